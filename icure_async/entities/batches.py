"""Many records saved with few requests.

A backend answers a batch with ids and revisions, and leaves out what it did not save without a word
(server-behaviour.md §5.4). Those records are read again: an earlier attempt may have saved them.
The others are sent once more, one by one, which tells the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from icure_async.crypto.threads import Turns
from icure_async.entities.at_once import ENDING, each_at_once
from icure_async.entities.progress import checked_progress, report
from icure_async.errors import (
    BadRequestError,
    ConflictError,
    ICureError,
    ResponseTooLargeError,
    ValidationError,
)
from icure_async.models.base import EntityModel, has_id, has_rev
from icure_async.models.batch import BatchItem, BatchProgress, BatchResult

if TYPE_CHECKING:
    from icure_async.entities.progress import Progress
    from icure_async.entities.repository import Repository

__all__ = ["Batches"]

Clear = TypeVar("Clear", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)

_PER_REQUEST: Final = 250
# These are about the content of the whole request, which may be that of one record.
_ABOUT_CONTENT: Final = (BadRequestError, ConflictError, ResponseTooLargeError, ValidationError)


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


class Batches(Generic[Clear, Sealed]):
    """Saves many records of one kind."""

    def __init__(self, repository: Repository[Clear, Sealed]) -> None:
        self._repository = repository

    async def save(
        self, records: Iterable[Clear], progress: Progress | None, *, creating: bool
    ) -> BatchResult[Clear]:
        """Create or replace records; repeating the call with the same objects finishes the job.

        Args:
            records: to save.
            progress: called after each request.
            creating: whether they are new.

        Raises:
            ValidationError: ``records`` is not a list of records. Nothing was sent.
        """
        noun = self._repository.kind.noun
        if isinstance(records, str | Mapping) or not isinstance(records, Iterable):
            raise ValidationError(f"{noun}s must be a list of {noun}s. Nothing was sent.")
        checked_progress(progress)
        listed = list(records)
        outcomes = _Outcomes(listed)
        seen: set[object] = set()
        for start in range(0, len(listed), _PER_REQUEST):
            some = [
                _Pending(index, record)
                for index, record in enumerate(listed[start : start + _PER_REQUEST], start)
            ]
            valid = await self._valid(some, seen, outcomes, creating=creating)
            ending = await self._save_some(valid, outcomes, creating=creating)
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
        creating: bool,
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

    def _check(self, record: Clear, *, creating: bool) -> None:
        kind = self._repository.kind
        if not isinstance(record, kind.clear):
            raise ValidationError(f"It is not a {kind.clear.__name__}. It was not sent.")
        if creating and has_rev(record):
            raise ValidationError(f"This {kind.noun} has a rev: modify it. It was not sent.")
        if not creating and not has_rev(record):
            raise ValidationError(f"This {kind.noun} has no rev: create it. It was not sent.")
        self._repository.check(record, creating=creating)

    async def _save_some(
        self, pending: Sequence[_Pending[Clear]], outcomes: _Outcomes[Clear], *, creating: bool
    ) -> ICureError | None:
        """Save as many records as go into one request; return an error that ends it all."""
        needs_stored = self._repository.needs_stored
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
    ) -> list[tuple[_Pending[Clear], Mapping[str, Any]]]:
        """Return the records that can be encrypted, and their documents."""
        prepare = self._repository.prepare if creating else self._repository.prepare_changes
        prepared = await prepare([one.record for one in pending])
        sent: list[tuple[_Pending[Clear], Mapping[str, Any]]] = []
        for one, document in zip(pending, prepared, strict=True):
            if isinstance(document, ICureError):
                outcomes.failed(one.index, document)
            else:
                sent.append((one, document))
        return sent

    async def _take(
        self,
        sent: Sequence[tuple[_Pending[Clear], Mapping[str, Any]]],
        revisions: Mapping[str, str],
        outcomes: _Outcomes[Clear],
    ) -> None:
        """Note which records were saved: as they were sent, with what the backend fills in."""
        defaults = self._repository.kind.server_defaults
        saved = [(one, document) for one, document in sent if document["id"] in revisions]
        documents = [
            {**defaults, **document, "rev": revisions[document["id"]]} for _, document in saved
        ]
        records = await self._repository.open_many(documents)
        for (one, _), record in zip(saved, records, strict=True):
            outcomes.saved(one, self._repository.require_readable(record))

    async def _find(self, missing: Sequence[_Pending[Clear]], outcomes: _Outcomes[Clear]) -> None:
        """Note which records are stored all the same, by this attempt or an earlier one."""
        found = await self._repository.saved_among([one.record for one in missing])
        for one, record in zip(missing, found, strict=True):
            if record is not None:
                outcomes.saved(one, self._repository.require_readable(record))

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
