"""The link between a patient and the records that belong to it: conditions, contacts, documents.

Such a record has secret ids of its patient in clear, by which it is found, and the id of the
patient, encrypted. Source: cryptography.md §7, docs/spec/today.md §7.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from icure_async.entities.metadata import Parent
from icure_async.errors import (
    CryptoError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_list
from icure_async.models.base import EntityModel, has_id
from icure_async.models.filters import (
    ComplementFilter,
    IntersectionFilter,
    PatientsLeaf,
    UnionFilter,
)
from icure_async.models.patient import EncryptedPatient, Patient
from icure_async.models.validation import validate_id
from icure_async.models.wire import to_wire
from icure_async.rest.documents import is_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from icure_async.entities.records import Among, OwnDocument, Records
    from icure_async.entities.repository import Repository
    from icure_async.models.filters import Filter
    from icure_async.models.patient import PotentiallyEncryptedPatient

__all__ = ["FoundPatient", "PatientChildren"]

_log: Final = logging.getLogger(__name__)

_PAGE_SIZE: Final = 1000
_CHILD_OF: Final = "secretForeignKeys"

Clear = TypeVar("Clear", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)
Row = TypeVar("Row", bound="Mapping[str, Any]")


@attrs.frozen(eq=False, repr=False)
class FoundPatient:
    """A patient as far as its records are found by it. Its repr shows no secret id.

    Attributes:
        id: its id.
        former_ids: ids of the patients that were merged into it.
        known_to: all of its secret ids that we can open → the data owners who are known to have
            them.
    """

    id: str
    former_ids: Sequence[str]
    known_to: Mapping[str, Collection[str]]

    @property
    def secret_ids(self) -> list[str]:
        """Its secret ids, ours first."""
        return list(self.known_to)


class PatientChildren:
    """Finds the secret ids of patients, and tells which records are theirs."""

    def __init__(self, patients: Repository[Patient, EncryptedPatient], own: OwnDocument) -> None:
        self._patients = patients
        self._own = own

    async def find(self, patient: PotentiallyEncryptedPatient | str) -> FoundPatient:
        """Return a patient with all of its secret ids, which takes a request where an id is given.

        Args:
            patient: as it was read, or its id.

        Raises:
            ValidationError: it is neither. Nothing was sent.
            NotFoundError: there is no such patient.
            PermissionDeniedError: this user may not read it.
            CryptoError: this user has no secret id of it.
        """
        return await self.found_in(await self._document(patient))

    async def found_in(self, document: Mapping[str, Any]) -> FoundPatient:
        """Return a patient with all of its secret ids, given its document.

        Raises:
            CryptoError: this user has no secret id of it.
        """
        known_to = await self._patients.metadata.holders_of_secret_ids(document)
        if not known_to:
            raise _no_secret_id(document["id"])
        former_ids = [one for one in as_list(document.get("mergedIds")) if isinstance(one, str)]
        return FoundPatient(document["id"], former_ids, known_to)

    async def parent(self, patient: PotentiallyEncryptedPatient | str) -> Parent:
        """Return a patient as the parent of new records, with the errors of :meth:`find`.

        Those who get access to the records find them by a secret id that they have. Where nobody
        does, it is one that no parent of ours has, as in the reference; and rather one that others
        have, too, than one that is ours alone.
        """
        found = await self.find(patient)
        own_id, *parents = await self._own.hierarchy()
        by_rank = sorted(
            found.known_to,
            key=lambda one: (
                not set(parents).isdisjoint(found.known_to[one]),
                own_id not in found.known_to[one],
                -len(found.known_to[one]),
            ),
        )
        return Parent(found.id, by_rank, found.known_to)

    async def secret_ids_for(self, document: Mapping[str, Any], delegate_id: str) -> Sequence[str]:
        """Return the secret ids that a record lacks for a data owner to find it by its patient.

        None where it has one, where the data owner is not known to have any, or where the patient
        is not known.
        """
        present = as_list(document.get(_CHILD_OF))
        (owning,) = await self._patients.metadata.owning_ids_of([document])
        for patient_id in filter(is_id, owning):
            try:
                found = await self.find(patient_id)
            except (NotFoundError, PermissionDeniedError, CryptoError):
                continue
            is_consistent = not present or not found.known_to.keys().isdisjoint(present)
            theirs = [one for one, holders in found.known_to.items() if delegate_id in holders]
            if theirs and is_consistent and set(theirs).isdisjoint(present):
                return theirs[:1]
        return ()

    async def listed(
        self,
        records: Records[Clear, Sealed],
        patient: PotentiallyEncryptedPatient | str,
        leaf: Callable[[FoundPatient], PatientsLeaf],
    ) -> list[Clear | Sealed]:
        """Return the records of a patient that are shared with us, or with parents of ours.

        Args:
            records: those of one kind.
            patient: as it was read, or its id.
            leaf: returns the filter for records of patients.
        """
        found = await self.find(patient)
        wanted = leaf(found).with_secret_ids(found.secret_ids)
        owner_ids = await self._own.hierarchy()
        parts = [attrs.evolve(wanted, data_owner_id=owner_id) for owner_id in owner_ids]
        pages = records.find(
            parts[0] if len(parts) == 1 else UnionFilter(filters=parts),
            _PAGE_SIZE,
            among=lambda documents: self.those_of(found, documents, records.kind.noun),
        )
        return [record async for record in pages]

    async def filled(self, wanted: Filter) -> Filter:
        """Return a filter whose parts for patients have the secret ids of these patients."""
        return (await self.narrowed(wanted, ""))[0]

    async def narrowed(self, wanted: Filter, noun: str) -> tuple[Filter, Among | None]:
        """Return a filter like :meth:`filled`, and a check of the records that it finds.

        The records of a filter by patients must be theirs: secret ids can be copied.

        Args:
            wanted: the filter.
            noun: the records, in the singular.

        Returns:
            The filter, and a function that returns those found documents that are right; None where
            patients are not a condition of all that is found.
        """
        by_leaf: dict[int, Filter] = {}
        asked: list[FoundPatient] = []
        required = {id(part) for part in _required(wanted)}
        for leaf in _for_patients(wanted):
            found = [await self.find(patient) for patient in leaf.patients]
            together = _together(found)
            by_leaf[id(leaf)] = leaf.with_secret_ids(together.secret_ids)
            if found and id(leaf) in required:
                asked.append(together)

        async def among(documents: Sequence[Row]) -> list[Row]:
            theirs = list(documents)
            for patient in asked:
                theirs = await self.those_of(patient, theirs, noun)
            return theirs

        return (_replaced(wanted, by_leaf) if by_leaf else wanted), among if asked else None

    async def those_of(
        self, patient: FoundPatient, documents: Sequence[Row], noun: str
    ) -> list[Row]:
        """Return those documents that belong to a patient.

        Args:
            patient: the patient that was asked for.
            documents: as they were found by its secret ids.
            noun: what they are, in the singular.

        Raises:
            InvalidResponseError: one has none of these secret ids.
        """
        for document in documents:
            if patient.known_to.keys().isdisjoint(as_list(document.get(_CHILD_OF))):
                raise InvalidResponseError(
                    f"Could not list the {noun}s of patient {patient.id}: the server answers with "
                    f"{noun} {printable(document['id'])}, which does not belong to the patient. "
                    "Try again; where it stays so, call the administrator of the backend."
                )
        names = {patient.id, *patient.former_ids}
        owning = await self._patients.metadata.owning_ids_of(documents)
        theirs: list[Row] = []
        for document, ids in zip(documents, owning, strict=True):
            if ids and names.isdisjoint(ids):
                # A secret id in clear may be copied by anybody.
                _log.warning(
                    "Not listed: %s %s has a secret id of patient %s, and names another one",
                    noun,
                    printable(document["id"]),
                    printable(patient.id),
                )
            else:
                theirs.append(document)
        return theirs

    async def _document(self, patient: object) -> Mapping[str, Any]:
        if isinstance(patient, str):
            return await self._patients.read(validate_id(patient, "patient id"))
        if not isinstance(patient, Patient | EncryptedPatient):
            raise ValidationError(
                "The patient must be a Patient that was read, or the id of one. Nothing was sent."
            )
        if not has_id(patient):
            raise ValidationError(
                "This patient has no id: save it first, and pass what that returns. Nothing was "
                "sent."
            )
        if patient.system_meta_data is None:
            return await self._patients.read(validate_id(patient.id, "patient id"))
        return to_wire(patient)


def _for_patients(wanted: Filter) -> Iterator[PatientsLeaf]:
    """Yield the parts of a filter that look for what belongs to patients."""
    if isinstance(wanted, UnionFilter | IntersectionFilter | ComplementFilter):
        for part in wanted.parts():
            yield from _for_patients(part)
    elif isinstance(wanted, PatientsLeaf) and wanted.secret_ids is None:
        yield wanted


def _required(wanted: Filter) -> Iterator[Filter]:
    """Yield the parts of a filter that all that it finds has to meet."""
    if isinstance(wanted, IntersectionFilter):
        for part in wanted.filters:
            yield from _required(part)
    elif isinstance(wanted, ComplementFilter):
        yield from _required(wanted.super_set)
    else:
        yield wanted


def _together(patients: Sequence[FoundPatient]) -> FoundPatient:
    """Return several patients as one who has all of their records."""
    known_to: dict[str, set[str]] = {}
    for patient in patients:
        for secret_id, holders in patient.known_to.items():
            known_to.setdefault(secret_id, set()).update(holders)
    ids = [one for patient in patients for one in (patient.id, *patient.former_ids)]
    return FoundPatient(", ".join(patient.id for patient in patients), ids, known_to)


def _replaced(wanted: Filter, by_leaf: Mapping[int, Filter]) -> Filter:
    """Return a filter with parts replaced by others, by their identity."""
    if isinstance(wanted, UnionFilter | IntersectionFilter):
        parts = [_replaced(part, by_leaf) for part in wanted.filters]
        return attrs.evolve(wanted, filters=parts)
    if isinstance(wanted, ComplementFilter):
        return attrs.evolve(
            wanted,
            super_set=_replaced(wanted.super_set, by_leaf),
            sub_set=_replaced(wanted.sub_set, by_leaf),
        )
    return by_leaf.get(id(wanted), wanted)


def _no_secret_id(patient_id: str) -> CryptoError:
    return CryptoError(
        f"The records of patient {printable(patient_id)} can't be found: the current user has no "
        "secret id of it, or keys that open none. Nothing was written. Have somebody with whole "
        "access share the patient with this user."
    )
