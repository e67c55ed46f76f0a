"""The outcomes of sharing many records, as they come in."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import attrs

from icure_async.errors import ICureError
from icure_async.models.base import EntityModel, has_id
from icure_async.models.batch import BatchProgress
from icure_async.models.shares import ShareItem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.entities.metadata import Granted
    from icure_async.models.shares import ShareStatus

__all__ = ["NO_ACCESS", "ShareOutcomes", "SharedRecord"]

RecordT = TypeVar("RecordT", bound=EntityModel)

NO_ACCESS: Final[Mapping[str, Granted | ICureError]] = MappingProxyType({})
"""The access of delegates about whom nothing is known."""


@attrs.frozen(eq=False, repr=False)
class SharedRecord(Generic[RecordT]):
    """A record, and the access of delegates to it.

    Attributes:
        record: as it is stored; as it was passed where it could not be shared.
        access: delegate id → its access, or the reason why it has none.
    """

    record: RecordT
    access: Mapping[str, Granted | ICureError]

    def raise_for(self, delegate_id: str) -> None:
        """Raise if the delegate has no access."""
        access = self.access[delegate_id]
        if isinstance(access, ICureError):
            raise access


class ShareOutcomes(Generic[RecordT]):
    """The outcomes for a list of records, as they come in."""

    def __init__(self, records: Sequence[RecordT], delegates: Sequence[str]) -> None:
        self._records = records
        self._delegates = delegates
        self._found: dict[int, SharedRecord[RecordT]] = {}

    def note(self, index: int, shared: SharedRecord[RecordT]) -> None:
        """Note the outcome of a record."""
        self._found[index] = shared

    def failed(
        self,
        index: int,
        error: ICureError,
        access: Mapping[str, Granted | ICureError] = NO_ACCESS,
    ) -> None:
        """Note that a record could not be written, and the access that holds all the same."""
        every: dict[str, Granted | ICureError] = dict.fromkeys(self._delegates, error)
        every.update((name, one) for name, one in access.items() if one != "given")
        self._found[index] = SharedRecord(self._records[index], every)

    def end(self, error: ICureError) -> None:
        """Give an error to all records that have no outcome yet."""
        for index in range(len(self._records)):
            if index not in self._found:
                self.failed(index, error)

    @property
    def progress(self) -> BatchProgress:
        """The number of outcomes so far."""
        failed = sum(
            any(isinstance(access, ICureError) for access in shared.access.values())
            for shared in self._found.values()
        )
        return BatchProgress(done=len(self._found), failed=failed, total=len(self._records))

    @property
    def result(self) -> list[SharedRecord[RecordT]]:
        """All outcomes, in order."""
        return [self._found[index] for index in range(len(self._records))]

    @property
    def items(self) -> list[ShareItem]:
        """The outcomes for each record and delegate, in order."""
        return [
            _item(index, self._records[index], delegate_id, access)
            for index, shared in enumerate(self.result)
            for delegate_id, access in shared.access.items()
        ]


def _item(index: int, record: object, delegate_id: str, access: Granted | ICureError) -> ShareItem:
    record_id = record.id if isinstance(record, EntityModel) and has_id(record) else None
    error = access if isinstance(access, ICureError) else None
    status: ShareStatus = "shared" if access == "given" else "shared_before"
    return ShareItem(
        index=index,
        id=record_id,
        delegate_id=delegate_id,
        status=status if error is None else "not_shared",
        error=error,
    )
