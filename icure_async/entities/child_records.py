"""Records of one kind that belong to patients: saved, listed by patient, and shared."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Generic, TypeVar

from icure_async.entities.batches import Batches
from icure_async.entities.with_parent import WithParent
from icure_async.models.base import EntityModel
from icure_async.models.filters import refuse_encrypted
from icure_async.models.validation import validate_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from icure_async.entities.child_shares import ChildShares
    from icure_async.entities.patient_children import FoundPatient, PatientChildren
    from icure_async.entities.progress import Progress
    from icure_async.entities.repository import Repository
    from icure_async.models.batch import BatchResult
    from icure_async.models.filters import Filter, PatientsLeaf
    from icure_async.models.patient import PotentiallyEncryptedPatient

__all__ = ["ChildRecords"]

Clear = TypeVar("Clear", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)


class ChildRecords(Generic[Clear, Sealed]):
    """Records of one kind.

    Args:
        repository: the records.
        children: finds patients, and tells what is theirs.
        shares: shares the records.
        leaf: returns the filter for those of a patient.
    """

    def __init__(
        self,
        repository: Repository[Clear, Sealed],
        children: PatientChildren,
        shares: ChildShares[Clear, Sealed],
        leaf: Callable[[FoundPatient], PatientsLeaf],
    ) -> None:
        self._repository = repository
        self._children = children
        self._shares = shares
        self._leaf = leaf

    async def save(self, record: Clear, patient_id: str | None) -> Clear:
        """Create a record of a patient if it has no ``rev``, else replace the stored one."""
        return await self._saving(patient_id).save(record)

    async def save_many(
        self, records: Iterable[Clear], patient_id: str | None, progress: Progress | None
    ) -> BatchResult[Clear]:
        """Save several records of a patient, and return what became of each."""
        return await Batches(self._saving(patient_id)).save(records, progress)

    def find(self, wanted: Filter, page_size: int) -> AsyncGenerator[Clear | Sealed, None]:
        """Iterate over the records that a filter finds; by patients, it finds only theirs.

        Raises:
            ValidationError: the filter searches encrypted members.
        """
        refuse_encrypted(wanted, self._repository.kind.encrypted)
        return self._found(wanted, page_size)

    async def _found(self, wanted: Filter, page_size: int) -> AsyncGenerator[Clear | Sealed, None]:
        filled, among = await self._children.narrowed(wanted, self._repository.kind.noun)
        pages = self._repository.find(filled, page_size, among=among)
        async with contextlib.aclosing(pages):
            async for record in pages:
                yield record

    async def of_patient(self, patient: PotentiallyEncryptedPatient | str) -> list[Clear | Sealed]:
        """Return the records of a patient, as it was read, or given by its id."""
        return await self._children.listed(self._repository, patient, self._leaf)

    async def give(self, record: Clear, delegate_id: str) -> Clear:
        """Share a record with a data owner, and return it as it is stored."""
        return await self._shares.give(record, delegate_id)

    def _saving(self, patient_id: str | None) -> WithParent[Clear, Sealed]:
        if patient_id is not None:
            validate_id(patient_id, "patient_id")
        return WithParent(self._repository, self._children, patient_id)
