"""Data samples, read as services of contacts and decrypted with the keys of these."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
from anyio.lowlevel import checkpoint

from icure_async.entities.contact_services import (
    is_deleted,
    latest_versions,
    metadata_of,
    row_of,
    services_of,
)
from icure_async.entities.contents import CONTENT
from icure_async.entities.events import EventKind
from icure_async.entities.pages import pages_of
from icure_async.entities.record_ids import IDS_PER_REQUEST, id_list, in_order, valid_id
from icure_async.entities.service_crypto import ServiceCrypto, envelope_of, group_of
from icure_async.errors import (
    ConflictError,
    DecryptionError,
    InvalidResponseError,
    ValidationError,
)
from icure_async.foreign_text import printable
from icure_async.models.data_sample import DataSample, EncryptedDataSample
from icure_async.models.filters import (
    DataSamplesByIdsFilter,
    DataSamplesByPatientsFilter,
    UnionFilter,
    refuse_encrypted,
)
from icure_async.models.wire import from_wire, to_wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.child_shares import ChildShares
    from icure_async.entities.patient_children import FoundPatient, PatientChildren
    from icure_async.entities.records import Among, OwnDocument
    from icure_async.entities.repository import Repository
    from icure_async.entities.service_crypto import OpenedService
    from icure_async.models.contact import Contact, EncryptedContact
    from icure_async.models.data_sample import PotentiallyEncryptedDataSample
    from icure_async.models.filters import Filter
    from icure_async.models.patient import PotentiallyEncryptedPatient
    from icure_async.rest.entities import EntityResource

__all__ = ["DATA_SAMPLE", "SERVICE_ROUTE", "DataSamples", "unreadable_sample"]

_log: Final = logging.getLogger(__name__)

DATA_SAMPLE: Final = "data sample"
"""The records in words, in the singular."""

SERVICE_ROUTE: Final = "contact/service"
"""The paths of the services in contacts, and their kind as the gate for answers knows it."""

_PAGE_SIZE: Final = 1000

Rows = list[dict[str, Any]]


class DataSamples:
    """Reads data samples, and shares the contacts they are in.

    Args:
        contacts: the contacts.
        resource: the services in them.
        children: finds patients, and tells what is theirs.
        shares: shares contacts.
        crypto: the primitives.
    """

    def __init__(
        self,
        contacts: Repository[Contact, EncryptedContact],
        resource: EntityResource,
        children: PatientChildren,
        shares: ChildShares[Contact, EncryptedContact],
        *,
        crypto: Crypto,
        own: OwnDocument,
    ) -> None:
        self._contacts = contacts
        self.resource: Final = resource
        self._children = children
        self._shares = shares
        self._own = own
        self.services: Final = ServiceCrypto(crypto, contacts.metadata)

    # --- Reading ---

    async def get(self, sample_id: str) -> DataSample:
        """Return the latest version of a data sample, decrypted; that of a deleted one is empty.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such data sample that the user may read.
            DecryptionError: no key opens it.
        """
        return self.readable(await self.get_and_try_decrypt(sample_id))

    async def get_and_try_decrypt(self, sample_id: str) -> PotentiallyEncryptedDataSample:
        """Return a data sample like :meth:`get`, a sealed one where no key opens it."""
        (sample,) = await self.open_many(await self.latest([sample_id]))
        return sample

    async def latest(self, sample_ids: Iterable[str]) -> Rows:
        """Return the latest versions of data samples as the backend has them, in their order.

        Raises:
            ValidationError: an id is malformed.
            NotFoundError: some do not exist, or are not accessible; the message names them.
        """
        ids = [valid_id(one, DATA_SAMPLE) for one in id_list(sample_ids, DATA_SAMPLE)]
        return in_order(await self.present(ids), ids, DATA_SAMPLE)

    async def present(self, sample_ids: Sequence[str]) -> Rows:
        """Return those of the latest versions that there are."""
        ids = list(dict.fromkeys(sample_ids))
        found: Rows = []
        for start in range(0, len(ids), IDS_PER_REQUEST):
            found += await self.resource.get_many(ids[start : start + IDS_PER_REQUEST])
        return found

    def find(
        self, wanted: Filter, page_size: int = _PAGE_SIZE
    ) -> AsyncGenerator[PotentiallyEncryptedDataSample, None]:
        """Iterate over the data samples that a filter finds; each comes once.

        Deleted ones come only where the filter names them by their ids.

        Raises:
            ValidationError: the filter searches encrypted members.
        """
        refuse_encrypted(wanted, (CONTENT,))
        by_ids = isinstance(wanted, DataSamplesByIdsFilter)
        return self._found(wanted, page_size, None, with_deleted=by_ids)

    async def match(self, wanted: Filter) -> list[str]:
        """Return the ids of all data samples that a filter finds, deleted ones included.

        Raises:
            ValidationError: the filter searches encrypted members.
        """
        refuse_encrypted(wanted, (CONTENT,))
        return await self.resource.match(await self._on_wire(wanted))

    async def of_patient(
        self, patient: PotentiallyEncryptedPatient | str, *, with_deleted: bool = False
    ) -> list[PotentiallyEncryptedDataSample]:
        """Return the data samples of a patient that are shared with us, or with parents of ours.

        Args:
            patient: as it was read, or its id.
            with_deleted: whether deleted ones are listed, too.
        """
        found = await self._children.find(patient)
        wanted = DataSamplesByPatientsFilter(patients=[found.id]).with_secret_ids(found.secret_ids)
        parts = [
            attrs.evolve(wanted, data_owner_id=owner_id) for owner_id in await self._own.hierarchy()
        ]
        pages = self._found(
            parts[0] if len(parts) == 1 else UnionFilter(filters=parts),
            _PAGE_SIZE,
            found,
            with_deleted=with_deleted,
        )
        return [sample async for sample in pages]

    async def filled(self, wanted: Filter) -> Filter:
        """Return a filter with the secret ids of its patients."""
        return await self._children.filled(wanted)

    @property
    def events(self) -> EventKind[PotentiallyEncryptedDataSample]:
        """The events about data samples."""
        return EventKind(
            noun=DATA_SAMPLE,
            wire_class="org.taktik.icure.entities.embed.Service",
            route=SERVICE_ROUTE,
            open=self.open_many,
            filled=self.filled,
            encrypted=(CONTENT,),
        )

    async def open_many(
        self, rows: Sequence[Mapping[str, Any]]
    ) -> list[PotentiallyEncryptedDataSample]:
        """Return the data samples of services, sealed ones where no key opens them."""
        return await self.services.open_each(rows, _sample)

    async def samples_in(
        self, contact: Mapping[str, Any], sample_ids: Sequence[str]
    ) -> list[PotentiallyEncryptedDataSample]:
        """Return some of the data samples in a contact, in the order of their ids.

        Raises:
            InvalidResponseError: one is not there.
        """
        rows = latest_versions(row_of(contact, service) for service in services_of(contact))
        if missing := [one for one in sample_ids if one not in rows]:
            raise InvalidResponseError(
                f"Could not use data samples {', '.join(missing)}: the server answers with a batch "
                "that they are not in. Read them again to see what is stored."
            )
        return await self.open_many([rows[one] for one in sample_ids])

    def readable(self, sample: PotentiallyEncryptedDataSample) -> DataSample:
        """Return a data sample that could be decrypted.

        Raises:
            DecryptionError: it could not.
        """
        if isinstance(sample, EncryptedDataSample):
            raise unreadable_sample(sample.id)
        return sample

    # --- The patient, and sharing ---

    async def readers_of(self, contact: Mapping[str, Any]) -> list[str]:
        """Return the data owners who are known to have the keys of a contact, without ourselves.

        The contact names more where others have shared it, or the backend says so: that these may
        read it can't be proven.
        """
        metadata = self._contacts.metadata
        named = metadata.delegates_of(contact) - {await self._own.own_id()}
        return [one for one in sorted(named) if not (await metadata.lacking([contact], one))[0]]

    async def patient_id_of(self, sample: PotentiallyEncryptedDataSample) -> str:
        """Return the id of the patient that a data sample belongs to.

        Args:
            sample: as it was read; one that was built by hand is read again.

        Raises:
            ValidationError: it has no id.
            NotFoundError: there is no such data sample.
            DecryptionError: no key of this user opens the id.
        """
        row: Mapping[str, Any] = to_wire(sample)
        if not sample.batch_id or not metadata_of(row):
            (row,) = await self.latest([sample.id])
        (owning,) = await self._contacts.metadata.owning_ids_of([envelope_of(row)])
        if not owning:
            raise DecryptionError(
                f"The patient of data sample {printable(str(sample.id))} can't be told: no key of "
                "this user opens its id. Have somebody with whole access share the data sample.",
                entity_type=DATA_SAMPLE,
                entity_ids=[sample.id],
            )
        return owning[0]

    async def give_access(
        self, sample: PotentiallyEncryptedDataSample, delegate_id: str
    ) -> DataSample:
        """Share the contact of a data sample, and return the data sample as it is stored.

        Raises:
            ValidationError: an argument is malformed, or the data sample was not saved.
            DecryptionError: something in the contact can't be decrypted.
            CryptoError: it can't be shared with this delegate.
            NotFoundError: the delegate or the contact does not exist.
            ConflictError: the data sample is in another contact by now.
        """
        self.readable(sample)
        sample_id = valid_id(sample.id, DATA_SAMPLE)
        if not sample.batch_id:
            raise ValidationError(
                "This data sample has no batch_id: save it first, and share what that returns. "
                "Nothing was sent."
            )
        contact = await self._contacts.get_and_try_decrypt(sample.batch_id)
        if sample_id not in [service.get("id") for service in services_of(to_wire(contact))]:
            raise ConflictError(
                f"Data sample {sample_id} is in another batch by now. It was not shared. Read it "
                "again, and share what you read.",
                status=409,
            )
        # One that is sealed is refused, with the reason.
        shared = await self._shares.give(cast("Contact", contact), delegate_id)
        (stored,) = await self.samples_in(to_wire(shared), [sample_id])
        return self.readable(stored)

    # --- Pages ---

    async def _found(
        self,
        wanted: Filter,
        page_size: int,
        patient: FoundPatient | None,
        *,
        with_deleted: bool,
    ) -> AsyncGenerator[PotentiallyEncryptedDataSample, None]:
        filled, among = await self._children.narrowed(wanted, "contact")
        if patient is not None:

            async def of_patient(envelopes: Rows) -> Rows:
                return await self._children.those_of(patient, envelopes, "contact")

            among = of_patient
        pages = pages_of(self.resource, await self._on_wire(filled), page_size, noun=DATA_SAMPLE)
        async with contextlib.aclosing(pages):
            async for page in pages:
                rows = [row for row in page if with_deleted or not is_deleted(row)]
                if among is not None:
                    rows = await _among(rows, among)
                for sample in await self.open_many(rows):
                    yield sample
                    await checkpoint()

    async def _on_wire(self, wanted: Filter) -> dict[str, Any]:
        filled = await self.filled(wanted)
        # Some users are no data owners.
        is_ours = None in filled.data_owners()
        return filled.to_wire(await self._own.own_id() if is_ours else "")


async def _among(rows: Rows, among: Among) -> Rows:
    """Return those services whose contacts are right, looking at each contact once."""
    by_group: dict[object, dict[str, Any]] = {}
    for row in rows:
        by_group.setdefault(group_of(row), envelope_of(row))
    kept = {id(envelope) for envelope in await among(list(by_group.values()))}
    return [row for row in rows if id(by_group[group_of(row)]) in kept]


def _sample(row: Mapping[str, Any], opened: OpenedService | None) -> PotentiallyEncryptedDataSample:
    """Return a data sample from what the backend sent, and what could be opened of it.

    The encrypted part comes from another data owner: where a data sample may not hold it, it is as
    unreadable as if it could not be decrypted, and must not block the others.
    """
    if opened is not None:
        try:
            return from_wire(DataSample, opened.document)
        except InvalidResponseError:
            _log.warning("The content of data sample %s is malformed", printable(str(row["id"])))
    return from_wire(EncryptedDataSample, row)


def unreadable_sample(*sample_ids: str) -> DecryptionError:
    """Return the error for data samples that no key opens."""
    return DecryptionError(
        f"Data sample {', '.join(map(printable, sample_ids))} can't be decrypted: no key on this "
        "device opens it, or its content is malformed. The stored one is left as it is. Call "
        "init_user_crypto() with the key pair that can read it, or ask a data owner with access to "
        "share it with this user.",
        entity_type=DATA_SAMPLE,
        entity_ids=sample_ids,
    )
