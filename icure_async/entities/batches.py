"""Many records saved with few requests.

A backend answers a batch with ids and revisions, and leaves out what it did not save without a word
(server-behaviour.md §5.4). Those records are read again: an earlier attempt may have saved them.
The others are sent once more, one by one, which tells the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import attrs

from icure_async.crypto.threads import Turns
from icure_async.entities.at_once import ENDING, each_at_once
from icure_async.entities.progress import report
from icure_async.errors import (
    BadRequestError,
    ConflictError,
    ICureError,
    ResponseTooLargeError,
    ValidationError,
)
from icure_async.mistakes import checked_progress
from icure_async.models.base import EntityModel, has_id, has_rev
from icure_async.models.batch import BatchItem, BatchProgress, BatchResult

if TYPE_CHECKING:
    from icure_async.entities.progress import Progress
    from icure_async.rest.entities import EntityResource

__all__ = ["BatchedKind", "BatchedRecords", "Batches"]

Clear = TypeVar("Clear", bound=EntityModel)
AnyClear = TypeVar("AnyClear", bound=EntityModel, covariant=True)

_PER_REQUEST: Final = 250
# These are about the content of the whole request, which may be that of one record.
_ABOUT_CONTENT: Final = (BadRequestError, ConflictError, ResponseTooLargeError, ValidationError)


class BatchedKind(Protocol[AnyClear]):
    """The kind of the records, as batches see it."""

    @property
    def noun(self) -> str:
        """The kind in words, in the singular."""
        ...

    @property
    def clear(self) -> type[AnyClear]:
        """The class of the records."""
        ...


class BatchedRecords(Protocol[Clear]):
    """Records of one kind, as batches save them."""

    @property
    def kind(self) -> BatchedKind[Clear]:
        """Their kind."""
        ...

    @property
    def resource(self) -> EntityResource:
        """The backend's resource of them."""
        ...

    def check(self, record: Clear, *, creating: bool) -> None:
        """Raise a ValidationError unless a record can be saved."""
        ...

    async def read_ahead(self, records: Sequence[Clear], /) -> None:
        """Read what is needed to replace records, as far as that makes it cheaper."""
        ...

    def needs_stored(self, record: Clear, /) -> bool:
        """Return whether the stored document has to be read before a record replaces it."""
        ...

    async def prepare(self, records: Sequence[Clear], /) -> Sequence[dict[str, Any] | ICureError]:
        """Return the documents of new records, an error for each that can't be sent."""
        ...

    async def prepare_changes(
        self, records: Sequence[Clear], /
    ) -> Sequence[dict[str, Any] | ICureError]:
        """Return the documents of changed records, an error for each that can't be sent."""
        ...

    async def as_saved(
        self, saved: Sequence[tuple[Clear, Mapping[str, Any]]], /
    ) -> Sequence[Clear | None]:
        """Return records that the backend has saved: a record and its document with the new rev.

        None takes the place of one that has to be looked at again.
        """
        ...

    async def saved_among(self, records: Sequence[Clear], /) -> Sequence[Clear | None]:
        """Return for each record the stored one if it has the same content, else None."""
        ...

    async def save(self, record: Clear, /) -> Clear:
        """Create or replace one record."""
        ...


@attrs.define(eq=False)
class _Pending(Generic[Clear]):
    """A record without an outcome so far."""

    index: int
    record: Clear


class _Outcomes(Generic[Clear]):
    """The outcomes for a list of records, as they come in."""

    def __init__(self, records: Sequence[Clear]) -> None:
        self._records = records
        self._items: dict[int, BatchItem[Clear]] = {}
        self._failed = 0

    def saved(self, one: _Pending[Clear], record: Clear) -> None:
        """Note that a record was saved."""
        self._items[one.index] = BatchItem(index=one.index, id=record.id, record=record)

    def failed(self, index: int, error: ICureError) -> None:
        """Note that a record was not saved."""
        record: object = self._records[index]
        record_id = record.id if isinstance(record, EntityModel) and has_id(record) else None
        self._items[index] = BatchItem(index=index, id=record_id, error=error)
        self._failed += 1

    def open_among(self, pending: Iterable[_Pending[Clear]]) -> list[_Pending[Clear]]:
        """Return those that have no outcome yet."""
        return [one for one in pending if one.index not in self._items]

    def fail_open(self, pending: Iterable[_Pending[Clear]], error: ICureError) -> None:
        """Give an error to those that have no outcome yet."""
        for one in self.open_among(pending):
            self.failed(one.index, error)

    def end(self, error: ICureError) -> None:
        """Give an error to all records that have no outcome yet."""
        for index in range(len(self._records)):
            if index not in self._items:
                self.failed(index, error)

    @property
    def progress(self) -> BatchProgress:
        """The number of outcomes so far."""
        return BatchProgress(done=len(self._items), failed=self._failed, total=len(self._records))

    @property
    def result(self) -> BatchResult[Clear]:
        """All outcomes, in order."""
        return BatchResult(tuple(self._items[index] for index in range(len(self._records))))


class Batches(Generic[Clear]):
    """Saves many records of one kind."""

    def __init__(self, repository: BatchedRecords[Clear]) -> None:
        self._repository = repository

    async def save(
        self, records: Iterable[Clear], progress: Progress | None, *, creating: bool | None = None
    ) -> BatchResult[Clear]:
        """Create or replace records; repeating the call with the same objects finishes the job.

        Args:
            records: to save.
            progress: called after each request.
            creating: whether they are new; None where those without a ``rev`` are.

        Raises:
            ValidationError: ``records`` is not a list of records. Nothing was sent.
        """
        noun = self._repository.kind.noun
        if isinstance(records, str | Mapping) or not isinstance(records, Iterable):
            raise ValidationError(f"{noun}s must be a list of {noun}s. Nothing was sent.")
        checked_progress(progress, BatchProgress)
        listed = list(records)
        outcomes = _Outcomes(listed)
        seen: set[object] = set()
        for start in range(0, len(listed), _PER_REQUEST):
            some = [
                _Pending(index, record)
                for index, record in enumerate(listed[start : start + _PER_REQUEST], start)
            ]
            valid = await self._valid(some, seen, outcomes, creating=creating)
            ending = None
            for are_new in (True, False):
                these = [one for one in valid if has_rev(one.record) is not are_new]
                if these and ending is None:
                    ending = await self._save_some(these, outcomes, creating=are_new)
            if ending is not None:
                outcomes.end(ending)
            await report(progress, outcomes.progress)
            if ending is not None:
                break
        return outcomes.result

    async def _valid(
        self,
        pending: Sequence[_Pending[Clear]],
        seen: set[object],
        outcomes: _Outcomes[Clear],
        *,
        creating: bool | None,
    ) -> list[_Pending[Clear]]:
        """Return the records that can be saved, and were not seen before."""
        valid: list[_Pending[Clear]] = []
        turns = Turns()
        for one in pending:
            await turns.give()
            try:
                self._check(one.record, creating=creating)
                name = one.record.id if has_id(one.record) else id(one.record)
                if name in seen:
                    raise ValidationError(
                        f"This {self._repository.kind.noun} is in the list twice. It was sent once."
                    )
                seen.add(name)
            except ValidationError as error:
                outcomes.failed(one.index, error)
            else:
                valid.append(one)
        return valid

    def _check(self, record: Clear, *, creating: bool | None) -> None:
        kind = self._repository.kind
        if not isinstance(record, kind.clear):
            raise ValidationError(f"It is not a {kind.clear.__name__}. It was not sent.")
        if creating and has_rev(record):
            raise ValidationError(f"This {kind.noun} has a rev: modify it. It was not sent.")
        if creating is False and not has_rev(record):
            raise ValidationError(f"This {kind.noun} has no rev: create it. It was not sent.")
        self._repository.check(record, creating=not has_rev(record))

    async def _save_some(
        self, pending: Sequence[_Pending[Clear]], outcomes: _Outcomes[Clear], *, creating: bool
    ) -> ICureError | None:
        """Save as many records as go into one request; return an error that ends it all."""
        needs_stored = self._repository.needs_stored
        if not creating:
            try:
                await self._repository.read_ahead([one.record for one in pending])
            except ICureError as error:
                outcomes.fail_open(pending, error)
                return error if isinstance(error, ENDING) else None
        together = [one for one in pending if creating or not needs_stored(one.record)]
        failure = await self._save_together(together, outcomes, creating=creating)
        if failure is not None and not isinstance(failure, _ABOUT_CONTENT):
            outcomes.fail_open(together, failure)
        if isinstance(failure, ENDING):
            return failure
        return await self._save_one_by_one(outcomes.open_among(pending), outcomes)

    async def _save_together(
        self, pending: Sequence[_Pending[Clear]], outcomes: _Outcomes[Clear], *, creating: bool
    ) -> ICureError | None:
        """Save records with one request, and return why that failed as a whole."""
        resource = self._repository.resource
        try:
            sent = await self._prepared(pending, outcomes, creating=creating)
        except ICureError as error:
            outcomes.fail_open(pending, error)
            return error
        if not sent:
            return None
        failure: ICureError | None = None
        try:
            write = resource.create_many if creating else resource.modify_many
            revisions = await write([document for _, document in sent])
            await self._take(sent, revisions, outcomes)
        except ICureError as error:
            failure = error
        missing = outcomes.open_among([one for one, _ in sent])
        if missing:
            try:
                await self._find(missing, outcomes)
            except ICureError as error:
                failure = failure or error
        # If all were saved, only the answer was lost.
        return failure if outcomes.open_among(missing) else None

    async def _prepared(
        self, pending: Sequence[_Pending[Clear]], outcomes: _Outcomes[Clear], *, creating: bool
    ) -> list[tuple[_Pending[Clear], dict[str, Any]]]:
        """Return the records that can be encrypted, and their documents."""
        prepare = self._repository.prepare if creating else self._repository.prepare_changes
        prepared = await prepare([one.record for one in pending])
        sent: list[tuple[_Pending[Clear], dict[str, Any]]] = []
        for one, document in zip(pending, prepared, strict=True):
            if isinstance(document, ICureError):
                outcomes.failed(one.index, document)
            else:
                sent.append((one, document))
        return sent

    async def _take(
        self,
        sent: Sequence[tuple[_Pending[Clear], dict[str, Any]]],
        revisions: Mapping[str, str],
        outcomes: _Outcomes[Clear],
    ) -> None:
        """Note which records were saved."""
        saved = [
            (one, document | {"rev": revisions[document["id"]]})
            for one, document in sent
            if document["id"] in revisions
        ]
        records = await self._repository.as_saved([(one.record, new) for one, new in saved])
        for (one, _), record in zip(saved, records, strict=True):
            if record is not None:
                outcomes.saved(one, record)

    async def _find(self, missing: Sequence[_Pending[Clear]], outcomes: _Outcomes[Clear]) -> None:
        """Note which records are stored all the same, by this attempt or an earlier one."""
        found = await self._repository.saved_among([one.record for one in missing])
        for one, record in zip(missing, found, strict=True):
            if record is not None:
                outcomes.saved(one, record)

    async def _save_one_by_one(
        self, pending: Sequence[_Pending[Clear]], outcomes: _Outcomes[Clear]
    ) -> ICureError | None:
        """Save records with a request or more each; return an error that ends it all.

        They are encrypted anew: whom the user shares with may have changed.
        """

        async def save(one: _Pending[Clear]) -> None:
            outcomes.saved(one, await self._repository.save(one.record))

        return await each_at_once(
            pending, save, lambda one, error: outcomes.failed(one.index, error)
        )
