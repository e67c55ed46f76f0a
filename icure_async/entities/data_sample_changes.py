"""Data samples saved: new ones as a contact of their own, changed ones in the contact they are in.

Others who change the same contact lose nothing: what was not passed goes back as it was read just
before, and a conflict is met by reading again (docs/spec/second-world.md §6).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from icure_async.crypto.encoding import new_uuid, uuid_from
from icure_async.entities.contact_services import (
    OF_THE_CONTACT,
    Links,
    is_deleted,
    links_of,
    period_of,
    row_of,
    services_of,
    version_time,
    with_links,
    with_services,
)
from icure_async.entities.contents import storable_service
from icure_async.entities.data_samples import DATA_SAMPLE, unreadable_sample
from icure_async.entities.encrypted_self import ENCRYPTED_SELF
from icure_async.entities.record_ids import one_id
from icure_async.entities.stored_members import without_empty
from icure_async.entities.unchanged import require_same_material
from icure_async.errors import (
    ConflictError,
    CryptoError,
    DecryptionError,
    InvalidResponseError,
    NotFoundError,
    ValidationError,
)
from icure_async.foreign_text import printable
from icure_async.models.base import has_id
from icure_async.models.contact import Contact
from icure_async.models.contents import (
    refuse_cycles_of_parents,
    validate_data_sample_for_saving,
)
from icure_async.models.data_sample import DataSample, EncryptedDataSample
from icure_async.models.validation import UnusualValueError, validate_id
from icure_async.models.wire import from_wire, to_wire, wire_names
from icure_async.rest.changes import change_document

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.data_samples import DataSamples
    from icure_async.entities.patient_children import PatientChildren
    from icure_async.entities.records import OwnDocument
    from icure_async.entities.repository import Repository
    from icure_async.entities.sealing import OpenedEntity
    from icure_async.entities.service_crypto import OpenedService
    from icure_async.models.contact import EncryptedContact

__all__ = ["DataSampleChanges", "derived_id"]

# Set by saving, or filled in by backends (server-behaviour.md §6.1): no content of the sample.
_SET_ON_SAVING: Final = ("author", "created", "index", "modified", "responsible")
_FILLED_IN: Final = ("valueDate", "openingDate")


@attrs.frozen(eq=False, repr=False)
class _Stored:
    """A data sample as it is stored in its contact.

    Attributes:
        service: as the contact has it.
        row: the same, as routes of services answer with it.
        opened: the same in clear; None where no key opens it.
    """

    service: Mapping[str, Any]
    row: Mapping[str, Any]
    opened: OpenedService | None


class DataSampleChanges:
    """Creates and modifies data samples."""

    def __init__(
        self,
        samples: DataSamples,
        contacts: Repository[Contact, EncryptedContact],
        children: PatientChildren,
        *,
        crypto: Crypto,
        own: OwnDocument,
        clock: Callable[[], float],
    ) -> None:
        self._samples = samples
        self._contacts = contacts
        self._children = children
        self._crypto = crypto
        self._own = own
        self._clock = clock

    async def save(
        self, samples: Iterable[DataSample], patient_id: str | None = None
    ) -> list[DataSample]:
        """Create data samples that have no ``batch_id`` as one batch, else replace the stored ones.

        Each is given its ``id`` before anything is sent: a repeated call with the same objects
        finishes the job.

        Args:
            samples: new ones, or those of one batch as they were read, with changes.
            patient_id: id of their patient; None is enough for stored ones.

        Returns:
            The data samples as they are stored, in the order of the arguments.

        Raises:
            ValidationError: a member is malformed, they are not of one batch, or belong to another
                patient. Nothing was sent, or nothing written.
            NotFoundError: there is no such patient, or no such data sample.
            CryptoError: they can't be encrypted for the current data owner.
            DecryptionError: a stored one can't be decrypted, so that it would be lost.
            ConflictError: somebody else changed or deleted one of them.
        """
        given = _checked(samples)
        if not given:
            return []
        batch_ids = {sample.batch_id for sample in given}
        if len(batch_ids) > 1:
            raise ValidationError(
                "Only data samples of one batch can be saved together: these have several values "
                "of batch_id, or some are new. Save those of each batch with a call of their own. "
                "Nothing was sent."
            )
        if patient_id is not None:
            validate_id(patient_id, "patient_id")
        (batch_id,) = batch_ids
        if batch_id is not None:
            return await self._modify(given, batch_id, patient_id)
        if patient_id is None:
            raise ValidationError(
                "A new data sample belongs to a patient: pass the id of the patient as patient_id. "
                "Nothing was sent."
            )
        return await self._create(given, patient_id)

    async def apply(
        self,
        sample_id: str,
        change: Callable[[DataSample], DataSample | None],
        read: Callable[[], Awaitable[dict[str, Any]]],
    ) -> DataSample:
        """Change a stored data sample, whatever others do to it at the same time.

        Args:
            sample_id: its id.
            change: returns it changed; None where there is nothing to change.
            read: returns the contact with its latest version, as it is stored then.

        Returns:
            The data sample as it is stored.
        """

        async def changed(contact: dict[str, Any]) -> dict[str, Any] | None:
            (stored,) = await self._samples.samples_in(contact, [sample_id])
            wanted = change(self._samples.readable(stored))
            return None if wanted is None else await self._changed(contact, [wanted])

        contact = await change_document(
            f"The batch of data sample {sample_id}",
            read=read,
            change=changed,
            write=self._contacts.put,
        )
        (saved,) = await self._saved_in(contact, [sample_id])
        return saved

    # --- New ones ---

    async def _create(self, samples: Sequence[DataSample], patient_id: str) -> list[DataSample]:
        # With an id of their own they may be there already: as others, or from an earlier call.
        named = [sample.id for sample in samples if has_id(sample)]
        await self._name(samples)
        ids = [sample.id for sample in samples]
        own_id = await self._own.own_id()
        contact_id = derived_id("contact", own_id, patient_id, *ids)
        if named and (present := await self._samples.present(named)):
            if any(row.get("contactId") != contact_id for row in present):
                raise _id_in_use(named)
            return await self._created_before(samples, contact_id, patient_id, None)
        parent = await self._children.parent(patient_id)
        contact = self._new_contact(samples, contact_id)
        (sealed,) = await self._contacts.prepare([contact], (), parent)
        if isinstance(sealed, CryptoError):
            raise sealed
        document = _signed(sealed)
        try:
            stored = await self._contacts.resource.create(document)
        except ConflictError as conflict:
            return await self._created_before(samples, contact_id, patient_id, conflict)
        require_same_material(document, stored, DATA_SAMPLE, "create")
        self._contacts.note_parts(document, stored)
        return await self._saved_in(stored, ids)

    async def _name(self, samples: Sequence[DataSample]) -> None:
        """Give an id to each data sample that has none, nested ones included."""
        for sample in _with_nested(samples):
            if not has_id(sample):
                sample.id = await new_uuid(self._crypto)

    def _new_contact(self, samples: Sequence[DataSample], contact_id: str) -> Contact:
        now = int(self._clock() * 1000)
        services: list[dict[str, Any]] = []
        linked: Mapping[str, Any] = {}
        for place, sample in enumerate(samples):
            service = storable_service(_wire(sample))
            service.pop(ENCRYPTED_SELF, None)
            index = service.pop("index", None)
            stamps = {"index": place if index is None else index, "created": now, "modified": now}
            services.append({**service, **stamps})
            linked = with_links(linked, sample.id, _links(sample))
        opening, closing = period_of(services)
        return Contact(
            id=contact_id,
            group_id=contact_id,
            services=services,
            sub_contacts=linked.get("subContacts", []),
            opening_date=opening,
            closing_date=closing,
        )

    async def _created_before(
        self,
        samples: Sequence[DataSample],
        contact_id: str,
        patient_id: str,
        conflict: ConflictError | None,
    ) -> list[DataSample]:
        """Return the data samples that an earlier call has created, if these are the ones.

        Raises:
            ConflictError: they are others.
        """
        ids = [sample.id for sample in samples]
        try:
            contact = await self._contacts.read(contact_id)
        except NotFoundError:
            raise conflict or _id_in_use(ids) from None
        if not await self._contacts.belongs_to(contact, patient_id):
            raise _id_in_use(ids)
        found = await self._stored_in(contact, samples)
        for sample in samples:
            stored = found.get(sample.id)
            if stored is None or not _is_stored(sample, contact, stored):
                raise _id_in_use(ids) from None
        return await self._saved_in(contact, ids)

    # --- Stored ones ---

    async def _modify(
        self, samples: Sequence[DataSample], batch_id: str, patient_id: str | None
    ) -> list[DataSample]:
        one_id(batch_id, "batch")
        ids = [sample.id for sample in samples]
        await self._name(samples)
        _require_latest(await self._samples.latest(ids), batch_id)

        async def change(contact: dict[str, Any]) -> dict[str, Any] | None:
            await self._require_patient(contact, patient_id)
            return await self._changed(contact, samples)

        contact = await change_document(
            f"The batch {batch_id} of data samples",
            read=lambda: self._contacts.read(batch_id),
            change=change,
            write=self._contacts.put,
        )
        return await self._saved_in(contact, ids)

    async def _require_patient(self, contact: Mapping[str, Any], patient_id: str | None) -> None:
        """Refuse data samples that belong to another patient than the one named."""
        if patient_id is None:
            return
        (owning,) = await self._contacts.metadata.owning_ids_of([contact])
        names = {patient_id}
        if owning and patient_id not in owning:
            names |= {*(await self._children.find(patient_id)).former_ids}
        if owning and names.isdisjoint(owning):
            raise ValidationError(
                f"These data samples belong to another patient than {patient_id}, which can't be "
                "changed. Nothing was changed. Create new ones for that patient: without id and "
                "batch_id."
            )

    async def _changed(
        self, contact: dict[str, Any], samples: Sequence[DataSample]
    ) -> dict[str, Any] | None:
        """Return a contact with data samples changed, or None where all of that is stored."""
        found = await self._stored_in(contact, samples)
        pending: list[tuple[DataSample, _Stored]] = []
        for sample in samples:
            stored = found.get(sample.id)
            if stored is None:
                raise _changed_by_others(sample.id)
            if stored.opened is None:
                raise unreadable_sample(sample.id)
            if _is_as_read(sample, stored.service):
                present = from_wire(DataSample, stored.opened.document)
                validate_data_sample_for_saving(sample, creating=False, stored=present)
                pending.append((sample, stored))
            elif is_deleted(stored.service) or not _is_stored(sample, contact, stored):
                raise _changed_by_others(sample.id)
        if not pending:
            return None
        opened = await self._opened(contact)
        now = int(self._clock() * 1000)
        changed: dict[str, Mapping[str, Any]] = {}
        linked: Mapping[str, Any] = contact
        for sample, stored in pending:
            changed[sample.id] = await self._sealed(contact, sample, stored, opened, now)
            linked = with_links(linked, sample.id, _links(sample))
        document = with_services(linked, changed, now)
        await self._contacts.confirm_whole(contact, opened)
        return document

    async def _opened(self, contact: Mapping[str, Any]) -> OpenedEntity | None:
        """Return a contact without its services in clear: each of these opens for itself."""
        alone = {name: value for name, value in contact.items() if name != "services"}
        (opened,) = await self._contacts.open_documents([alone])
        return opened

    async def _sealed(
        self,
        contact: Mapping[str, Any],
        sample: DataSample,
        stored: _Stored,
        opened: OpenedEntity | None,
        now: int,
    ) -> dict[str, Any]:
        """Return the new version of a data sample, encrypted with the key it had."""
        key = stored.opened.key if stored.opened else None
        if key is None and opened is not None:
            key = opened.key
        if key is None:
            raise DecryptionError(
                f"Data sample {sample.id} can't be encrypted: no key on this device opens its "
                "batch. Nothing was sent. Ask a data owner with access to share it with this user.",
                entity_type=DATA_SAMPLE,
                entity_ids=[sample.id],
            )
        await self._contacts.metadata.check_key(contact, key)
        inside = self._contacts.kind.manifest_of(contact).inside
        service = _new_version(sample, stored, now)
        try:
            return await self._samples.services.seal(service, key, inside)
        except ValueError:
            raise CryptoError(
                f"Data sample {sample.id} can't be encrypted: it has a value that JSON has not, or "
                "something in it is encrypted for another batch. Nothing was sent."
            ) from None

    # --- Both ---

    async def _stored_in(
        self, contact: Mapping[str, Any], samples: Iterable[DataSample]
    ) -> dict[str, _Stored]:
        """Return those of some data samples that are in a contact by id.

        Raises:
            InvalidResponseError: one is there twice.
        """
        ids = {sample.id for sample in samples}
        services = [service for service in services_of(contact) if service["id"] in ids]
        rows = [row_of(contact, service) for service in services]
        opened = await self._samples.services.open_many(rows)
        found: dict[str, _Stored] = {}
        for service, row, clear in zip(services, rows, opened, strict=True):
            if service["id"] in found:
                raise InvalidResponseError(
                    f"Could not use batch {printable(contact['id'])}: data sample "
                    f"{printable(service['id'])} is in it twice. Have the administrator of the "
                    "backend correct that."
                )
            found[service["id"]] = _Stored(service, row, clear)
        return found

    async def _saved_in(
        self, contact: Mapping[str, Any], sample_ids: Sequence[str]
    ) -> list[DataSample]:
        found = await self._samples.samples_in(contact, sample_ids)
        for sample in found:
            if isinstance(sample, EncryptedDataSample):
                raise InvalidResponseError(
                    f"Could not save data sample {printable(sample.id)}: the server answers with "
                    "something that can't be decrypted. Read it again to see what is stored."
                )
        return cast("list[DataSample]", found)


def derived_id(*names: str) -> str:
    """Return the id that follows from others: the same for the same ones, so that calls repeat."""
    text = "\n".join(names).encode("utf-8", errors="surrogatepass")
    return uuid_from(hashlib.sha256(text).digest()[:16])


# --- Arguments ------------------------------------------------------------------------------------


def _checked(samples: Iterable[DataSample]) -> list[DataSample]:
    """Return data samples that can be saved.

    Raises:
        ValidationError: one can't.
    """
    if isinstance(samples, str | Mapping | DataSample) or not isinstance(samples, Iterable):
        raise ValidationError("The data samples must be a list of DataSamples. Nothing was sent.")
    given = list(samples)
    seen: set[object] = set()
    for sample in given:
        if isinstance(sample, EncryptedDataSample):
            raise unreadable_sample(str(sample.id))
        _check(sample)
        names = {id(sample), *([one_id(sample.id, DATA_SAMPLE)] if has_id(sample) else ())}
        if not seen.isdisjoint(names):
            raise ValidationError("A data sample is in the list twice. Nothing was sent.")
        seen |= names
    refuse_cycles_of_parents(given)
    return given


def _check(sample: DataSample) -> None:
    creating = isinstance(sample, DataSample) and sample.batch_id is None
    try:
        validate_data_sample_for_saving(sample, creating=creating)
    except UnusualValueError:
        # Perhaps the content is the stored one: known once that is read.
        if creating:
            raise


def _with_nested(samples: Iterable[DataSample]) -> Iterator[DataSample]:
    """Yield data samples, and those in their contents."""
    for sample in samples:
        yield sample
        for content in sample.content.values():
            yield from _with_nested(content.compound_value)


def _links(sample: DataSample) -> Links:
    return Links(
        tuple(dict.fromkeys(sample.healthcare_element_ids)),
        tuple(dict.fromkeys(sample.canvases_ids)),
    )


def _wire(sample: DataSample) -> dict[str, Any]:
    """Return a data sample in clear, without keys and delegations that are not its own."""
    document = to_wire(sample)
    return {name: value for name, value in document.items() if name not in OF_THE_CONTACT}


def _signed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a new contact whose services say who made them, as it does itself."""
    by_whom = {name: document[name] for name in ("author", "responsible") if name in document}
    services = [{**service, **by_whom} for service in services_of(document)]
    return {**document, "services": services}


# --- Stored versions ------------------------------------------------------------------------------


def _require_latest(rows: Sequence[Mapping[str, Any]], batch_id: str) -> None:
    """Refuse to change data samples of which there are newer versions elsewhere.

    Raises:
        ConflictError: there are.
    """
    for row in rows:
        if is_deleted(row):
            raise ConflictError(
                f"Data sample {printable(row['id'])} was deleted. It was not changed. Save its "
                "content as a new one, without id and batch_id, to keep it.",
                status=409,
            )
        if row.get("contactId") != batch_id:
            raise _changed_by_others(row["id"])


def _is_as_read(sample: DataSample, service: Mapping[str, Any]) -> bool:
    """Return whether a stored version is the one that a data sample was read from."""
    if is_deleted(service) or sample.modified != service.get("modified"):
        return False
    # Other SDKs change content and leave the date as it is (docs/spec/second-world.md §2.3).
    read = sample.system_meta_data
    return read is None or (read.encrypted_self or None) == (service.get(ENCRYPTED_SELF) or None)


def _is_stored(sample: DataSample, contact: Mapping[str, Any], stored: _Stored) -> bool:
    """Return whether a stored version has what was to be saved."""
    if stored.opened is None or is_deleted(stored.service):
        return False
    present = from_wire(DataSample, stored.opened.document)
    ours, theirs = _compared(sample), _compared(present)
    for name in _FILLED_IN:
        if name not in ours:
            theirs.pop(name, None)
    links = links_of(contact, sample.id)
    wanted = _links(sample)
    return (
        ours == theirs
        and set(links.health_elements) == set(wanted.health_elements)
        and set(links.forms) == set(wanted.forms)
    )


def _compared(sample: DataSample) -> dict[str, Any]:
    """Return the content of a data sample, for comparisons."""
    known = wire_names(DataSample) - {*_SET_ON_SAVING, ENCRYPTED_SELF}
    service = storable_service(_wire(sample))
    content: dict[str, Any] = without_empty(
        {name: value for name, value in service.items() if name in known}
    )
    return content


def _new_version(sample: DataSample, stored: _Stored, now: int) -> dict[str, Any]:
    """Return the service that replaces a stored one, in clear next to what was encrypted in it."""
    wire = _wire(sample)
    if sample.unknown_fields is None and stored.opened is not None:
        # Built by hand: it lacks what its class does not know.
        known = wire_names(DataSample)
        clear = stored.opened.document
        wire = {name: value for name, value in clear.items() if name not in known} | wire
    service = storable_service(wire)
    service.pop(ENCRYPTED_SELF, None)
    kept = (*OF_THE_CONTACT, ENCRYPTED_SELF, "created", "author", "responsible")
    service |= {name: stored.service[name] for name in kept if name in stored.service}
    return {**service, "modified": max(now, version_time(stored.service) + 1)}


def _changed_by_others(sample_id: str) -> ConflictError:
    return ConflictError(
        f"Data sample {printable(sample_id)} was changed by somebody else. It was not changed. "
        "Read it again, apply the change to what you read, and save that.",
        status=409,
    )


def _id_in_use(sample_ids: Sequence[str]) -> ConflictError:
    return ConflictError(
        f"Data samples {', '.join(map(printable, sample_ids))} were not created: an id of them is "
        "in use. Read them again, and change what you read, or leave out the ids of new ones.",
        status=409,
    )
