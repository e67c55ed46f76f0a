"""Records that belong to a patient, shared so that those who get them find them by the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from icure_async.entities.record_ids import generation_of
from icure_async.models.base import EntityModel, has_id, has_rev
from icure_async.models.validation import validate_id
from icure_async.models.wire import to_wire

if TYPE_CHECKING:
    from icure_async.entities.patient_children import PatientChildren
    from icure_async.entities.repository import Repository
    from icure_async.entities.shares import Shares

__all__ = ["ChildShares"]

Clear = TypeVar("Clear", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)


class ChildShares(Generic[Clear, Sealed]):
    """Shares records of one kind."""

    def __init__(
        self,
        repository: Repository[Clear, Sealed],
        shares: Shares[Clear, Sealed],
        children: PatientChildren,
    ) -> None:
        self._repository = repository
        self._shares = shares
        self._children = children

    async def give(self, record: Clear, delegate_id: str) -> Clear:
        """Share one record, and return it as it is stored, with the errors of ``Shares.give``.

        A secret id of its patient that the delegate has is added first, where it has none of those
        in the record: a repeated call of which nothing is left to do sends nothing.
        """
        validate_id(delegate_id, "delegate id")
        if isinstance(record, self._repository.kind.clear) and has_id(record) and has_rev(record):
            self._repository.check(record, creating=False)
            record = await self._found_by(record, delegate_id)
        return self._repository.readable(await self._shares.give(record, delegate_id))

    async def _found_by(self, record: Clear, delegate_id: str) -> Clear:
        """Return a record with a secret id by which a delegate finds it, as far as it has one."""
        repository = self._repository
        document = to_wire(record)
        (lacks,) = await repository.metadata.lacking([document], delegate_id)
        added = await self._children.secret_ids_for(document, delegate_id) if lacks else ()
        if not added:
            return record
        secret_ids = [*(document.get("secretForeignKeys") or ()), *added]
        stored = await repository.update(record.id, {"secretForeignKeys": secret_ids})
        if generation_of(stored.rev) != generation_of(record.rev) + 1:
            # Somebody else has changed it, which sharing looks into.
            return record
        changes = {"rev": stored.rev, "system_meta_data": getattr(stored, "system_meta_data", None)}
        return record.evolve(**changes)
