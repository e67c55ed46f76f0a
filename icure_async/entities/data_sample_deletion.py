"""Data samples deleted: a tombstone takes the place of each, in a new contact.

The backend keeps older versions and hides none, so the tombstone has to be the latest version, and
to be readable by everybody who has read the data sample (docs/spec/second-world.md §2.4, §6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.entities.contact_services import (
    is_deleted,
    metadata_of,
    services_of,
    tombstone,
    version_time,
)
from icure_async.entities.data_sample_changes import derived_id
from icure_async.entities.data_samples import DATA_SAMPLE
from icure_async.entities.encrypted_self import ENCRYPTED_SELF
from icure_async.entities.metadata import Parent, Readers
from icure_async.entities.record_ids import id_list, one_id
from icure_async.entities.service_crypto import envelope_of, group_of
from icure_async.entities.unchanged import require_same_material
from icure_async.entities.wholeness import ENTITY_METADATA, same_material
from icure_async.errors import (
    ConflictError,
    CryptoError,
    DecryptionError,
    ICureError,
    InvalidResponseError,
)
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_list
from icure_async.models.contact import Contact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from icure_async.entities.data_samples import DataSamples
    from icure_async.entities.records import OwnDocument
    from icure_async.entities.repository import Repository
    from icure_async.entities.sharing import Sharing
    from icure_async.models.contact import EncryptedContact

__all__ = ["DataSampleDeletion"]

_KEYS: Final = tuple(name for name in ENTITY_METADATA if name != ENCRYPTED_SELF)


@attrs.frozen
class _Grave:
    """The parts that tombstones in one contact have in common.

    Attributes:
        patient_id: their patient.
        secret_ids: those of its secret ids by which they are found.
        delegates: the data owners they are shared with.
    """

    patient_id: str
    secret_ids: tuple[str, ...]
    delegates: tuple[str, ...]


class DataSampleDeletion:
    """Deletes data samples."""

    def __init__(
        self,
        samples: DataSamples,
        contacts: Repository[Contact, EncryptedContact],
        *,
        own: OwnDocument,
        user: Sharing,
        clock: Callable[[], float],
    ) -> None:
        self._samples = samples
        self._contacts = contacts
        self._own = own
        self._user = user
        self._clock = clock

    async def delete(self, sample_ids: Iterable[str]) -> list[str]:
        """Delete data samples, each of them once; those that are deleted already stay so.

        Returns:
            Their ids, in their order.

        Raises:
            ValidationError: an id is malformed. Nothing was sent.
            NotFoundError: some do not exist, or are not accessible. None was deleted.
            DecryptionError: the patient of one can't be told. None was deleted.
            InvalidResponseError: one is not in the batch that it is said to be in. None was
                deleted.
        """
        ids = list(
            dict.fromkeys(one_id(one, DATA_SAMPLE) for one in id_list(sample_ids, DATA_SAMPLE))
        )
        rows = [row for row in await self._samples.latest(ids) if not is_deleted(row)]
        await self._require_their_contacts(rows)
        done: list[str] = []
        for grave, buried in (await self._graves(rows)).items():
            try:
                await self._bury(grave, buried)
            except ICureError as error:
                if done:
                    error.add_note(
                        f"Deleted before that: data samples {', '.join(done)}. Repeat the call to "
                        "delete the others."
                    )
                raise
            done += [str(row["id"]) for row in buried]
        return ids

    async def _require_their_contacts(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Make sure that data samples are in the contacts whose patients they would be buried with.

        A key that opens the content proves it; where none does, the contact is read.

        Raises:
            InvalidResponseError: one is in another contact.
        """
        opened = await self._samples.services.open_many(rows)
        unproven = [
            row
            for row, clear in zip(rows, opened, strict=True)
            if clear is None or clear.key is None
        ]
        contacts: dict[str, Mapping[str, Any]] = {}
        for row in unproven:
            contact_id = str(row.get("contactId") or "")
            if contact_id not in contacts:
                contacts[contact_id] = await self._contacts.read(contact_id)
            contact = contacts[contact_id]
            in_it = any(service["id"] == row["id"] for service in services_of(contact))
            if not in_it or not same_material(metadata_of(contact), metadata_of(row), _KEYS):
                raise _in_another_batch(str(row["id"]))

    async def _graves(
        self, rows: Sequence[Mapping[str, Any]]
    ) -> dict[_Grave, list[Mapping[str, Any]]]:
        """Return the data samples by what their tombstones have in common."""
        groups = {group_of(row): row for row in rows}
        envelopes = {group: envelope_of(row) for group, row in groups.items()}
        owning = await self._contacts.metadata.owning_ids_of(list(envelopes.values()))
        by_group: dict[object, _Grave] = {}
        for (group, envelope), patient_ids in zip(envelopes.items(), owning, strict=True):
            if not patient_ids:
                raise _no_patient(str(groups[group]["id"]))
            by_group[group] = _Grave(
                patient_ids[0],
                tuple(as_list(envelope.get("secretForeignKeys"))),
                tuple(await self._samples.readers_of(envelope)),
            )
        graves: dict[_Grave, list[Mapping[str, Any]]] = {}
        for row in rows:
            graves.setdefault(by_group[group_of(row)], []).append(row)
        return graves

    async def _bury(self, grave: _Grave, rows: Sequence[Mapping[str, Any]]) -> None:
        own_id = await self._own.own_id()
        now = int(self._clock() * 1000)
        # The same for the same versions: a repeated request stores no second contact.
        versions = [f"{row['id']} {version_time(row)}" for row in rows]
        contact = Contact(
            id=derived_id("tombstones", own_id, *versions),
            services=[tombstone(row, now) for row in rows],
        )

        async def prepared(
            user: Mapping[str, Any],
        ) -> Sequence[dict[str, Any] | CryptoError]:
            document = self._contacts.new_document(contact, str(user["id"]), own_id)
            parent = Parent(grave.patient_id, list(grave.secret_ids))
            readers = Readers(grave.delegates, parent=parent)
            return await self._contacts.metadata.prepare(self._contacts.kind, [document], readers)

        (sealed,) = await self._user.sharing(prepared)
        if isinstance(sealed, CryptoError):
            raise sealed
        try:
            stored = await self._contacts.resource.create(sealed)
        except ConflictError:
            latest = await self._samples.latest([str(row["id"]) for row in rows])
            if not all(map(is_deleted, latest)):
                raise
        else:
            require_same_material(sealed, stored, DATA_SAMPLE, "delete")


def _no_patient(sample_id: str) -> DecryptionError:
    return DecryptionError(
        f"Data sample {printable(sample_id)} can't be deleted: no key of this user opens the id of "
        "its patient. Nothing was deleted. Have somebody with whole access delete it.",
        entity_type=DATA_SAMPLE,
        entity_ids=[sample_id],
    )


def _in_another_batch(sample_id: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"Data sample {printable(sample_id)} can't be deleted: the server says two things about "
        "its batch. Nothing was deleted. Try again; where it stays so, call the administrator of "
        "the backend."
    )
