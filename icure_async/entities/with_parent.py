"""Records of one kind, of which new ones belong to a patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from icure_async.errors import ICureError, ValidationError
from icure_async.models.base import EntityModel, has_rev
from icure_async.models.wire import to_wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.metadata import Parent
    from icure_async.entities.patient_children import PatientChildren
    from icure_async.entities.repository import Repository
    from icure_async.rest.entities import EntityResource

__all__ = ["WithParent"]

Clear = TypeVar("Clear", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)


class WithParent(Generic[Clear, Sealed]):
    """Saves records, new ones as those of one patient, which is read once.

    Args:
        repository: the records.
        children: finds the patient.
        patient_id: id of the patient; None where all records are stored already.
    """

    def __init__(
        self,
        repository: Repository[Clear, Sealed],
        children: PatientChildren,
        patient_id: str | None,
    ) -> None:
        self._repository = repository
        self._children = children
        self._patient_id = patient_id
        self._parent: Parent | None = None

    @property
    def kind(self) -> EntityKind[Clear, Sealed]:
        """Their kind."""
        return self._repository.kind

    @property
    def resource(self) -> EntityResource:
        """The backend's resource of them."""
        return self._repository.resource

    def check(self, record: Clear, *, creating: bool) -> None:
        """Check a record before it is saved.

        Raises:
            ValidationError: a member is malformed, or a new one has no patient.
        """
        self._repository.check(record, creating=creating)
        if creating and self._patient_id is None:
            noun = self.kind.noun
            raise ValidationError(
                f"A new {noun} belongs to a patient: pass the id of the patient as patient_id. "
                "Nothing was sent."
            )

    async def read_ahead(self, records: Sequence[Clear], /) -> None:
        """Read nothing."""

    def needs_stored(self, record: Clear, /) -> bool:
        """Return whether the stored document has to be read before a record replaces it."""
        return self._repository.needs_stored(record)

    async def prepare(self, records: Sequence[Clear], /) -> Sequence[dict[str, Any] | ICureError]:
        """Return the documents of new records, an error for each that can't be sent."""
        return await self._repository.prepare(records, parent=await self._require_parent())

    async def prepare_changes(
        self, records: Sequence[Clear], /
    ) -> Sequence[dict[str, Any] | ICureError]:
        """Return the documents of changed records, an error for each that can't be sent."""
        refused = await self._refusals(records)
        prepared = await self._repository.prepare_changes(records)
        return [no or document for no, document in zip(refused, prepared, strict=True)]

    async def as_saved(
        self, saved: Sequence[tuple[Clear, Mapping[str, Any]]], /
    ) -> Sequence[Clear | None]:
        """Return records that the backend has saved: a record and its document with the new rev."""
        return await self._repository.as_saved(saved)

    async def saved_among(self, records: Sequence[Clear], /) -> Sequence[Clear | None]:
        """Return for each record the stored one if it has the same content and patient."""
        found = await self._repository.saved_among(records)
        theirs: list[Clear | None] = []
        for record, stored in zip(records, found, strict=True):
            # The answer about a new one got lost: it may be somebody else's with the same id.
            is_theirs = (
                stored is None
                or has_rev(record)
                or self._parent is None
                or await self._repository.belongs_to(to_wire(stored), self._parent.entity_id)
            )
            theirs.append(stored if is_theirs else None)
        return theirs

    async def save(self, record: Clear, /) -> Clear:
        """Create a record if it has no ``rev``, else replace the stored one.

        Raises:
            ValidationError: the record is malformed, a new one has no patient, or a stored one
                belongs to another one. Nothing was written.
        """
        repository, kind = self._repository, self.kind
        is_new = isinstance(record, kind.clear) and not has_rev(record)
        self.check(record, creating=is_new)
        if is_new:
            parent = await self._require_parent()
            return repository.require_readable(await repository.create(record, parent=parent))
        (refused,) = await self._refusals([record])
        if refused is not None:
            raise refused
        return repository.require_readable(await repository.modify(record))

    async def _require_parent(self) -> Parent:
        if self._parent is None:
            # Checked before: new ones have one.
            self._parent = await self._children.parent(self._patient_id or "")
        return self._parent

    async def _refusals(self, records: Sequence[Clear]) -> list[ValidationError | None]:
        """Return for each record an error if it belongs to another patient than the one named."""
        patient_id = self._patient_id
        if patient_id is None:
            return [None] * len(records)
        documents = [to_wire(record) for record in records]
        owning = await self._repository.metadata.owning_ids_of(documents)
        names = {patient_id}
        if any(ids and patient_id not in ids for ids in owning):
            names |= {*(await self._children.find(patient_id)).former_ids}
        return [
            None
            if not ids or not names.isdisjoint(ids)
            else ValidationError(
                f"{self.kind.noun.capitalize()} {record.id} belongs to another patient than "
                f"{patient_id}: leave patient_id out, or pass the right one. It was not sent."
            )
            for record, ids in zip(records, owning, strict=True)
        ]
