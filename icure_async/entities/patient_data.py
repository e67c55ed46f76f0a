"""A patient shared with everything that belongs to it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.entities.at_once import each_at_once
from icure_async.entities.metadata import ReadableEntity
from icure_async.entities.pages import pages_of
from icure_async.entities.sealing import EntityCrypto
from icure_async.entities.unchanged import compare_with_stored
from icure_async.entities.wholeness import looks_whole
from icure_async.errors import (
    BatchError,
    CryptoError,
    DecryptionError,
    ICureError,
    InvalidResponseError,
)
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_list, as_object, is_list, is_object
from icure_async.models.shares import AccessToAllData, DataAccess
from icure_async.rest.patient_data import NOUNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.metadata import EncryptionMetadata, Granted
    from icure_async.entities.patient_children import FoundPatient, PatientChildren
    from icure_async.entities.records import OwnDocument
    from icure_async.entities.sealing import OpenedEntity
    from icure_async.entities.shares import Shares
    from icure_async.models.patient import EncryptedPatient, Patient
    from icure_async.rest.patient_data import PatientDataKind, PatientDataResource

__all__ = ["AllDataOfPatients"]

_AT_A_TIME: Final = 250
_LISTED: Final[tuple[PatientDataKind, ...]] = ("helement", "contact", "form", "invoice")
_REFERRED_TO: Final[tuple[PatientDataKind, ...]] = ("document",)
_ENTRIES: Final = ("delegations", "encryptionKeys", "cryptedForeignKeys")


@attrs.define(eq=False, repr=False)
class _Outcome:
    """The access of a delegate to the data of one kind, as it becomes known.

    Attributes:
        noun: the kind in words, in the singular.
        access: id → the access, or the reason why there is none.
    """

    noun: str
    access: dict[str, Granted | ICureError] = attrs.field(factory=dict[str, "Granted | ICureError"])

    def result(self, error: ICureError | None = None) -> DataAccess:
        """Return it as a value.

        Args:
            error: a further reason why it may not be all.
        """
        errors = [one for one in self.access.values() if isinstance(one, ICureError)]
        failed = tuple(name for name, one in self.access.items() if isinstance(one, ICureError))
        everything = [*errors, *([] if error is None else [error])]
        return DataAccess(
            shared=sum(one == "given" for one in self.access.values()),
            shared_before=sum(one == "present" for one in self.access.values()),
            not_shared=failed,
            error=_one_error(self.noun, everything),
        )


@attrs.frozen(eq=False, repr=False)
class _Call:
    """A call, of which the patient is shared already.

    Attributes:
        patient: found as it is stored.
        delegate_id: the data owner to share with.
    """

    patient: FoundPatient
    delegate_id: str


class AllDataOfPatients:
    """Shares patients with their medical data.

    Args:
        shares: shares patients.
        resource: lists their data, and takes entries for it.
        children: tells which data is a patient's.
        kinds: those of their data that can be shared.
        crypto: opens it.
        metadata: finds keys of it, and shares them.
        own: the current data owner.
    """

    def __init__(
        self,
        shares: Shares[Patient, EncryptedPatient],
        resource: PatientDataResource,
        children: PatientChildren,
        kinds: Mapping[PatientDataKind, EntityKind[Any, Any]],
        *,
        crypto: Crypto,
        metadata: EncryptionMetadata,
        own: OwnDocument,
    ) -> None:
        self._shares = shares
        self._resource = resource
        self._children = children
        self._kinds = kinds
        self._entities = EntityCrypto(crypto, metadata)
        self._metadata = metadata
        self._own = own

    async def give_access(self, patient_id: str, delegate_id: str) -> AccessToAllData:
        """Share a patient; ``PatientApi.give_access_to_all_data_of`` has the arguments and errors.

        The patient goes first: a delegate of its data alone would not find them.
        """
        stored = await self._shares.share_stored(patient_id, delegate_id)
        found: dict[PatientDataKind, DataAccess] = {}
        try:
            patient = await self._children.found_in(stored.document)
        except CryptoError as error:
            found = {kind: DataAccess(error=error) for kind in NOUNS}
        else:
            await self._share_all(_Call(patient, delegate_id), found)
        is_new = stored.access == "given"
        return AccessToAllData(
            patient_id=patient_id,
            delegate_id=delegate_id,
            patient=DataAccess(shared=int(is_new), shared_before=int(not is_new)),
            healthcare_elements=found["helement"],
            data_samples=found["contact"],
            documents=found["document"],
            forms=found["form"],
            invoices=found["invoice"],
        )

    async def _share_all(self, call: _Call, found: dict[PatientDataKind, DataAccess]) -> None:
        document_ids: dict[str, None] = {}
        unknown: ICureError | None = None

        async def share(kind: PatientDataKind) -> None:
            documents = await self._find(kind, call)
            if kind not in self._kinds:
                outcome = await self._looked_at(kind, documents, call)
            else:
                outcome, opened = await self._shared(kind, documents, call)
                if kind == "contact":
                    document_ids.update(dict.fromkeys(_document_ids_in(opened)))
            has_merged = bool(call.patient.former_ids)
            found[kind] = outcome.result(_not_looked_for(NOUNS[kind]) if has_merged else None)

        async def share_documents(kind: PatientDataKind) -> None:
            if unknown is not None:
                raise unknown
            documents = await self._resource.documents(list(document_ids)) if document_ids else []
            # Others are in clear: there is nothing to share of them.
            encrypted = [one for one in documents if self._metadata.has_keys(one)]
            outcome, _ = await self._shared(kind, encrypted, call)
            found[kind] = outcome.result()

        def failed(kind: PatientDataKind, error: ICureError) -> None:
            nonlocal unknown
            if kind == "contact":
                # Only they tell which documents there are.
                unknown = error
            found[kind] = DataAccess(error=error)

        ending = await each_at_once(_LISTED, share, failed)
        if ending is None:
            ending = await each_at_once(_REFERRED_TO, share_documents, failed)
        if ending is not None:
            for kind in NOUNS:
                found.setdefault(kind, DataAccess(error=ending))

    async def _find(self, kind: PatientDataKind, call: _Call) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        owner_ids = list(await self._own.hierarchy())
        secret_ids = call.patient.secret_ids
        search = self._resource.search(kind, owner_ids, secret_ids)
        if search is not None:
            pages = pages_of(search.resource, search.filter, _AT_A_TIME, noun=NOUNS[kind])
            async with contextlib.aclosing(pages):
                async for page in pages:
                    found.update((document["id"], document) for document in page)
        for owner_id in owner_ids if search is None else ():
            for document in await self._resource.of_patient(kind, owner_id, secret_ids):
                found[document["id"]] = document
        return await self._children.those_of(call.patient, list(found.values()), NOUNS[kind])

    async def _looked_at(
        self, kind: PatientDataKind, documents: Sequence[Mapping[str, Any]], call: _Call
    ) -> _Outcome:
        """Return the access to data of a kind that is not shared here."""
        lacking = await self._metadata.lacking(documents, call.delegate_id)
        outcome = _Outcome(NOUNS[kind])
        for document, lacks in zip(documents, lacking, strict=True):
            outcome.access[document["id"]] = _not_covered(outcome.noun) if lacks else "present"
        return outcome

    async def _shared(
        self, kind: PatientDataKind, documents: Sequence[Mapping[str, Any]], call: _Call
    ) -> tuple[_Outcome, list[Mapping[str, Any]]]:
        """Share data of a kind, and return the outcome, and that data in clear."""
        outcome = _Outcome(NOUNS[kind])
        clear: list[Mapping[str, Any]] = []
        for start in range(0, len(documents), _AT_A_TIME):
            some = documents[start : start + _AT_A_TIME]
            opened = await self._entities.open_many(some)
            clear += [one.document for one in opened if one is not None]
            proven = await self._proven(some, opened, call, outcome)
            if proven:
                await self._share_some(kind, proven, call, outcome)
        return outcome, clear

    async def _proven(
        self,
        documents: Sequence[Mapping[str, Any]],
        opened: Sequence[OpenedEntity | None],
        call: _Call,
        outcome: _Outcome,
    ) -> list[ReadableEntity]:
        """Return the data that says, to its readers, that it is the patient's.

        Without that, somebody who writes to the database could have other data shared, too.
        """
        names = {call.patient.id, *call.patient.former_ids}
        owning = await self._metadata.owning_ids_of(documents)
        proven: list[ReadableEntity] = []
        for document, one, ids in zip(documents, opened, owning, strict=True):
            if one is None:
                outcome.access[document["id"]] = _not_readable(outcome.noun, document)
            elif names.isdisjoint(ids):
                outcome.access[document["id"]] = _not_proven(outcome.noun, document)
            else:
                (owner_id, *_) = names.intersection(ids)
                proven.append(ReadableEntity(document, one.key, owner_id))
        return proven

    async def _share_some(
        self,
        kind: PatientDataKind,
        entities: Sequence[ReadableEntity],
        call: _Call,
        outcome: _Outcome,
    ) -> None:
        shared = await self._metadata.share(self._kinds[kind], entities, [call.delegate_id])
        changed: dict[str, Mapping[str, Any]] = {}
        for entity, one in zip(entities, shared, strict=True):
            entity_id = entity.document["id"]
            outcome.access[entity_id] = one.access[call.delegate_id]
            if not one.is_stored and one.document is not entity.document:
                changed[entity_id] = one.document
                if not looks_whole(entity.document):
                    # Entries go back as a whole.
                    try:
                        await compare_with_stored(
                            entity.document,
                            lambda one_id: self._resource.read(kind, one_id),
                            outcome.noun,
                        )
                    except ICureError as error:
                        outcome.access[entity_id] = error
                        del changed[entity_id]
        if not changed:
            return
        try:
            stored = await self._resource.add_entries(kind, list(changed.values()))
        except ICureError as error:
            outcome.access.update(dict.fromkeys(changed, error))
            raise
        for entity_id, document in changed.items():
            if not _has_entries(stored.get(entity_id, {}), document, call.delegate_id):
                outcome.access[entity_id] = _not_stored(outcome.noun, entity_id)


def _has_entries(stored: Mapping[str, Any], wanted: Mapping[str, Any], delegate_id: str) -> bool:
    """Return whether what is stored has the entries of a delegate that were sent."""
    for name in _ENTRIES:
        present = [_identity(one) for one in as_list(as_object(stored.get(name)).get(delegate_id))]
        for entry in as_list(as_object(wanted.get(name)).get(delegate_id)):
            if _identity(entry) not in present:
                return False
    return True


def _identity(entry: object) -> tuple[object, ...]:
    members = as_object(entry)
    return tuple(members.get(name) for name in ("owner", "delegatedTo", "key"))


def _document_ids_in(contacts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the ids of the documents in contents of contacts, however deep these are."""
    pending: list[object] = [contact.get("services") for contact in contacts]
    while pending:
        value = pending.pop()
        if is_list(value):
            pending += value
        elif is_object(value):
            document_id = value.get("documentId")
            if isinstance(document_id, str) and document_id:
                yield document_id
            pending += value.values()


def _one_error(noun: str, errors: Sequence[ICureError]) -> ICureError | None:
    if len(errors) < 2:
        return errors[0] if errors else None
    return BatchError(
        f"{len(errors)} {noun}s or more are not shared. The first: {errors[0]}", errors=errors
    )


def _not_covered(noun: str) -> CryptoError:
    return CryptoError(
        f"A {noun} of the patient is not shared: this SDK does not share {noun}s. Share it with "
        "another SDK."
    )


def _not_looked_for(noun: str) -> CryptoError:
    return CryptoError(
        f"The {noun}s of the patients that were merged into this one are not looked for: nothing "
        "proves that they belong to it. Share these patients as well."
    )


def _not_readable(noun: str, document: Mapping[str, Any]) -> DecryptionError:
    entity_id = printable(document["id"])
    return DecryptionError(
        f"{noun.capitalize()} {entity_id} is not shared: no key on this device opens it. Have "
        "somebody who can read it share it.",
        entity_type=noun,
        entity_ids=[entity_id],
    )


def _not_proven(noun: str, document: Mapping[str, Any]) -> CryptoError:
    return CryptoError(
        f"{noun.capitalize()} {printable(document['id'])} is not shared: it has a secret id of the "
        "patient, or is named in its data, and nothing that the current user can open says that it "
        f"is the patient's. Share the {noun} by itself, if it is."
    )


def _not_stored(noun: str, entity_id: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"Could not share {noun} {printable(entity_id)}: the server does not say that it did. "
        "Repeat the call, which finishes the job; where it stays so, call the administrator of the "
        "backend."
    )
