"""Results of calls that save many records, one for each record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from icure_async.errors import BatchError
from icure_async.models.base import EntityModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icure_async.errors import ICureError

__all__ = ["BatchItem", "BatchProgress", "BatchResult"]

RecordT = TypeVar("RecordT", bound=EntityModel)


@attrs.frozen(kw_only=True)
class BatchItem(Generic[RecordT]):
    """The outcome for one record.

    Attributes:
        index: its place among the records that were passed, counted from 0.
        id: id of the record; None where one without an id was refused.
        record: the record as saved; None where it was not.
        error: the reason why it was not saved, or is not known to be; None where it was.
    """

    index: int
    id: str | None
    record: RecordT | None = None
    error: ICureError | None = None


@attrs.frozen(kw_only=True)
class BatchProgress:
    """The state of a call that saves or reads many records.

    Attributes:
        done: how many records have an outcome.
        failed: how many of them were not saved.
        total: how many there are; None where ids come one by one, from a generator.

    Example:
        >>> async def show(progress):
        ...     print(f"{progress.done} of {progress.total}")
        >>> result = await api.patient_api.create_patients(
        ...     [Patient(last_name="Stark")], progress=show
        ... )
        1 of 1
    """

    done: int
    failed: int = 0
    total: int | None = None


@attrs.frozen
class BatchResult(Generic[RecordT]):
    """The outcomes for all records, in the order in which they were passed.

    Iterating over it gives the items. Call :meth:`raise_for_failures` unless you look at each.

    Attributes:
        items: one for each record.

    Example:
        >>> result = await api.patient_api.create_patients([Patient(last_name="Stark"), Patient()])
        >>> [type(item.error).__name__ for item in result.failed]
        ['ValidationError']
        >>> result.raise_for_failures()
        Traceback (most recent call last):
        BatchError: ...
    """

    items: tuple[BatchItem[RecordT], ...]

    @property
    def saved(self) -> list[RecordT]:
        """The records that were saved, as they are stored."""
        return [item.record for item in self.items if item.record is not None]

    @property
    def failed(self) -> list[BatchItem[RecordT]]:
        """The items that have an error."""
        return [item for item in self.items if item.error is not None]

    def raise_for_failures(self) -> None:
        """Raise if a record was not saved.

        Raises:
            BatchError: there are such; its ``errors`` are theirs, in their order.
        """
        failed = self.failed
        if not failed:
            return
        first = failed[0]
        named = f"record {first.index}" if first.id is None else first.id
        raise BatchError(
            f"{len(failed)} of {len(self.items)} records were not saved. The first, {named}: "
            f"{first.error} Look at `failed` for each of them, and repeat the call with their "
            "records once the reasons are gone.",
            errors=[item.error for item in failed if item.error is not None],
        )

    def __iter__(self) -> Iterator[BatchItem[RecordT]]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
