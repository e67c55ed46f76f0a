"""Records shared with further data owners.

A stored record gets the entries that a delegate lacks, and nothing else in it changes. A delegate
who has them all costs no request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

import attrs

from icure_async.crypto.threads import Turns
from icure_async.entities.at_once import ENDING, each_at_once
from icure_async.entities.encrypted_self import as_encrypted
from icure_async.entities.manifests import SET_ON_SAVING
from icure_async.entities.metadata import ReadableEntity
from icure_async.entities.progress import report
from icure_async.entities.share_outcomes import NO_ACCESS, SharedRecord, ShareOutcomes
from icure_async.errors import ConflictError, ICureError, ValidationError
from icure_async.mistakes import checked_progress
from icure_async.models.base import EntityModel, has_id, has_rev
from icure_async.models.batch import BatchProgress
from icure_async.models.shares import ShareResult
from icure_async.models.validation import validate_id
from icure_async.models.wire import to_wire
from icure_async.rest.changes import change_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.metadata import Granted, Shared
    from icure_async.entities.progress import Progress
    from icure_async.entities.records import OwnDocument
    from icure_async.entities.repository import Repository
    from icure_async.entities.sealing import OpenedEntity

__all__ = ["Shares", "StoredShare", "checked_delegates"]

_AT_A_TIME: Final = 250

RecordT = TypeVar("RecordT", bound=EntityModel)
Clear = TypeVar("Clear", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)


@attrs.frozen(eq=False, repr=False)
class StoredShare:
    """A stored document, and the access that a delegate has to it."""

    document: Mapping[str, Any]
    access: Granted


@attrs.frozen(eq=False, repr=False)
class _Request:
    """A call: whom to share with, and what to do about records that no key opens."""

    delegates: Sequence[str]
    may_be_sealed: bool = False


@attrs.define(eq=False, repr=False)
class _Pending(Generic[RecordT]):
    """A record about to be shared."""

    index: int
    record: RecordT


@attrs.define(eq=False, repr=False)
class _Prepared(_Pending[RecordT]):
    """One whose document is known as it is stored."""

    entity: ReadableEntity
    opened: OpenedEntity


def checked_delegates(delegate_ids: object, own_id: str | None) -> list[str]:
    """Return ids of data owners, without doubles.

    Args:
        delegate_ids: as they were passed.
        own_id: id of the current data owner, if that may not be among them.

    Raises:
        ValidationError: it is no list of ids, empty, or the current data owner is among them.
    """
    if isinstance(delegate_ids, str) or not isinstance(delegate_ids, Iterable):
        raise ValidationError(
            "The delegates must be a list of data owner ids. Put a single id into a list."
        )
    ids = [validate_id(one, "delegate id") for one in cast("Iterable[object]", delegate_ids)]
    if not ids:
        raise ValidationError("The list of delegates is empty: name at least one data owner.")
    if own_id is not None and own_id in ids:
        raise ValidationError(
            f"Data owner {own_id} is the current one, who can't share with itself: name another "
            "data owner. Nothing was sent."
        )
    return list(dict.fromkeys(ids))


class Shares(Generic[Clear, Sealed]):
    """Shares records of one kind."""

    def __init__(
        self, repository: Repository[Clear, Sealed], *, crypto: Crypto, own: OwnDocument
    ) -> None:
        self._repository = repository
        self._crypto = crypto
        self._own = own

    async def give(
        self, record: Clear | Sealed, delegate_id: str, *, may_be_sealed: bool = False
    ) -> Clear | Sealed:
        """Share one record, and return it as it is stored; repeating the call sends nothing.

        Args:
            record: as it was read.
            delegate_id: whom to share with.
            may_be_sealed: whether one that can't be decrypted is shared as far as possible, as
                opposed to refused.

        Raises:
            ValidationError: an argument is malformed, or the record has changes that were not
                saved. Nothing was sent.
            DecryptionError: the record can't be decrypted. Nothing was sent.
            CryptoError: nothing can be shared, or not with this delegate.
            NotFoundError: the delegate or the record does not exist, or may not be read.
            ConflictError: somebody else has changed the record.
        """
        validate_id(delegate_id, "delegate id")
        (shared,) = await self.share([record], [delegate_id], may_be_sealed=may_be_sealed)
        shared.raise_for(delegate_id)
        return shared.record

    async def share(
        self,
        records: Sequence[Clear | Sealed],
        delegate_ids: Sequence[str],
        *,
        may_be_sealed: bool = False,
    ) -> list[SharedRecord[Clear | Sealed]]:
        """Share many records; one that can't be shared does not keep the others from it.

        Args:
            records: as they were read.
            delegate_ids: whom to share each of them with.
            may_be_sealed: whether those that can't be decrypted are shared as far as possible.

        Raises:
            ValidationError: the list of delegates is malformed. Nothing was sent.
        """
        outcomes = await self._share(records, delegate_ids, None, may_be_sealed=may_be_sealed)
        return outcomes.result

    async def _share(
        self,
        records: Sequence[Clear | Sealed],
        delegate_ids: Sequence[str],
        progress: Progress | None,
        *,
        may_be_sealed: bool,
    ) -> ShareOutcomes[Clear | Sealed]:
        own_id = await self._own.own_id()
        request = _Request(checked_delegates(delegate_ids, own_id), may_be_sealed)
        checked_progress(progress, BatchProgress)
        outcomes = ShareOutcomes(records, request.delegates)
        seen: set[str] = set()
        for start in range(0, len(records), _AT_A_TIME):
            some = [
                _Pending(index, record)
                for index, record in enumerate(records[start : start + _AT_A_TIME], start)
            ]
            valid = self._valid(some, seen, request, outcomes)
            ending: ICureError | None = None
            # Our exchange keys are on our own record, which goes first therefore, and alone.
            for is_own in (True, False):
                part = [one for one in valid if (one.record.id == own_id) is is_own]
                if part and ending is None:
                    ending = await self._share_some(part, request, outcomes)
            if ending is not None:
                outcomes.end(ending)
            await report(progress, outcomes.progress)
            if ending is not None:
                break
        return outcomes

    async def share_many(
        self, records: Iterable[Clear], delegate_ids: Sequence[str], progress: Progress | None
    ) -> ShareResult[Clear]:
        """Share many records that can be decrypted, and return the outcomes.

        Raises:
            ValidationError: ``records`` or ``delegate_ids`` is no list. Nothing was sent.
            ConfigurationError: ``progress`` can't be called.
        """
        noun = self._repository.kind.noun
        if isinstance(records, str | Mapping) or not isinstance(records, Iterable):
            raise ValidationError(f"{noun}s must be a list of {noun}s. Nothing was sent.")
        outcomes = await self._share(list(records), delegate_ids, progress, may_be_sealed=False)
        stored = tuple(cast("Clear", one.record) for one in outcomes.result)
        return ShareResult(tuple(outcomes.items), stored)

    async def share_stored(self, record_id: str, delegate_id: str) -> StoredShare:
        """Share a record as it is stored, read now.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            DecryptionError: the record can't be decrypted. Nothing was sent.
            CryptoError: nothing can be shared, or not with this delegate.
            NotFoundError: the record or the delegate does not exist.
            ConflictError: others keep changing the record.
        """
        validate_id(record_id, f"{self._repository.kind.noun} id")
        delegates = checked_delegates([delegate_id], await self._own.own_id())
        document, access = await self._share_again(None, record_id, _Request(delegates))
        given = access[delegate_id]
        if isinstance(given, ICureError):
            raise given
        return StoredShare(document, given)

    def _valid(
        self,
        pending: Sequence[_Pending[Clear | Sealed]],
        seen: set[str],
        request: _Request,
        outcomes: ShareOutcomes[Clear | Sealed],
    ) -> list[_Pending[Clear | Sealed]]:
        """Return the records that can be shared, and were not seen before."""
        valid: list[_Pending[Clear | Sealed]] = []
        for one in pending:
            try:
                self._check(one.record, request)
                if one.record.id in seen:
                    raise ValidationError(
                        f"This {self._repository.kind.noun} is in the list twice. It was shared "
                        "once."
                    )
                seen.add(one.record.id)
            except ICureError as error:
                outcomes.failed(one.index, error)
            else:
                valid.append(one)
        return valid

    def _check(self, record: Clear | Sealed, request: _Request) -> None:
        kind = self._repository.kind
        if not isinstance(record, (kind.clear, kind.sealed)):
            raise ValidationError(f"It is not a {kind.clear.__name__}. Nothing was sent.")
        if not (has_id(record) and has_rev(record)):
            raise ValidationError(
                f"This {kind.noun} has no id or no rev: save it first, and share what that "
                "returns. Nothing was sent."
            )
        self._repository.check(record, creating=False)
        if not request.may_be_sealed:
            self._repository.readable(record)

    async def _share_some(
        self,
        pending: Sequence[_Pending[Clear | Sealed]],
        request: _Request,
        outcomes: ShareOutcomes[Clear | Sealed],
    ) -> ICureError | None:
        """Share records with as few requests as possible; return an error that ends it all."""
        try:
            prepared = await self._prepared(pending)
            entities = [one.entity for one in prepared]
            shared = await self._repository.metadata.share(
                self._repository.kind, entities, request.delegates
            )
        except ICureError as error:
            for one in pending:
                outcomes.failed(one.index, error)
            return error if isinstance(error, ENDING) else None
        both = {one.index: (one, each) for one, each in zip(prepared, shared, strict=True)}

        async def finish(one: _Pending[Clear | Sealed]) -> None:
            if one.index in both:
                saved = await self._write(*both[one.index], request)
            else:
                saved = await self._share_stored_record(one.record, request)
            outcomes.note(one.index, saved)

        def failed(one: _Pending[Clear | Sealed], error: ICureError) -> None:
            access = both[one.index][1].access if one.index in both else NO_ACCESS
            outcomes.failed(one.index, error, access)

        return await each_at_once(pending, finish, failed)

    async def _prepared(
        self, pending: Sequence[_Pending[Clear | Sealed]]
    ) -> list[_Prepared[Clear | Sealed]]:
        """Return those records whose documents need not be read again."""
        documents = [to_wire(one.record) for one in pending]
        opened = await self._repository.open_documents(documents)
        prepared: list[_Prepared[Clear | Sealed]] = []
        turns = Turns()
        for one, document, clear in zip(pending, documents, opened, strict=True):
            await turns.give()
            if clear is None:
                continue
            stored = await self._as_stored(one.record, document, clear.key)
            if stored is not None:
                entity = ReadableEntity(stored, clear.key)
                prepared.append(_Prepared(one.index, one.record, entity, clear))
        return prepared

    async def _as_stored(
        self, record: Clear | Sealed, document: Mapping[str, Any], key: bytes | None
    ) -> dict[str, Any] | None:
        """Return the document that a record was read from, or None where only reading it tells.

        Args:
            record: as it was read.
            document: its document, of which encrypted members are in clear.
            key: opens it.
        """
        kind = self._repository.kind
        if not isinstance(record, kind.clear) or self._repository.needs_stored(record):
            return None
        stored = dict(document) if key is None else await as_encrypted(self._crypto, key, document)
        # A member in clear that is to be encrypted was changed, or is stored so.
        # Backends fill some in (server-behaviour.md §11.1).
        filled_in = kind.server_defaults
        if stored and (
            kind.shows_content(stored)
            or any(
                stored.get(name) and stored[name] != filled_in.get(name)
                for name in {*kind.encrypted} - SET_ON_SAVING
            )
        ):
            return None
        return stored

    async def _write(
        self, prepared: _Prepared[Clear | Sealed], shared: Shared, request: _Request
    ) -> SharedRecord[Clear | Sealed]:
        if shared.is_stored:
            return await self._stored_record(shared, request)
        if shared.document is prepared.entity.document:
            return SharedRecord(prepared.record, shared.access)
        await self._repository.confirm_whole(prepared.entity.document, prepared.opened)
        try:
            saved = await self._repository.put(shared.document)
        except ConflictError:
            return await self._share_stored_record(prepared.record, request)
        return await self._shared_record(saved, shared.access)

    async def _share_stored_record(
        self, record: Clear | Sealed, request: _Request
    ) -> SharedRecord[Clear | Sealed]:
        return await self._shared_record(*await self._share_again(record, record.id, request))

    async def _stored_record(
        self, shared: Shared, request: _Request
    ) -> SharedRecord[Clear | Sealed]:
        """Return a record that the backend has stored on its own."""
        self._repository.learn(shared.document)
        found = await self._shared_record(shared.document, shared.access)
        if not request.may_be_sealed:
            self._repository.require_readable(found.record)
        return found

    async def _shared_record(
        self, document: Mapping[str, Any], access: Mapping[str, Granted | ICureError]
    ) -> SharedRecord[Clear | Sealed]:
        (record,) = await self._repository.open_many([document])
        return SharedRecord(record, access)

    async def _share_again(
        self, record: Clear | Sealed | None, record_id: str, request: _Request
    ) -> tuple[dict[str, Any], Mapping[str, Granted | ICureError]]:
        """Share what is stored, if it has the content of a record; return it, and the access to it.

        Args:
            record: the one that is meant; None for whatever is stored.
            record_id: its id.
            request: the call.
        """
        repository, kind = self._repository, self._repository.kind
        access: Mapping[str, Granted | ICureError] = {}
        stored_since: dict[str, Any] | None = None

        async def change(stored: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal access, stored_since
            (opened,) = await repository.open_documents([stored])
            if not request.may_be_sealed:
                repository.readable(repository.record_of(stored, opened))
            is_meant = record is None or await repository.is_stored_as(record, stored, opened)
            if record is not None and not is_meant and stored["rev"] == record.rev:
                raise _has_changes(kind.noun, record_id)
            entity = ReadableEntity(stored, opened.key if opened else None)
            (shared,) = await repository.metadata.share(kind, [entity], request.delegates)
            access = shared.access
            if shared.is_stored:
                stored_since = dict(shared.document)
                repository.learn(stored_since)
                return None
            if shared.document is stored:
                return None
            if not is_meant:
                raise _was_changed(kind.noun, record_id)
            await repository.confirm_whole(stored, opened)
            return dict(shared.document)

        stored = await change_document(
            f"{kind.noun.capitalize()} {record_id}",
            read=lambda: repository.read(record_id),
            change=change,
            write=repository.put,
        )
        return stored_since or stored, access


def _has_changes(noun: str, record_id: str) -> ValidationError:
    return ValidationError(
        f"{noun.capitalize()} {record_id} has changes that were not saved. Save it first, and "
        "share what that returns. Nothing was sent."
    )


def _was_changed(noun: str, record_id: str) -> ConflictError:
    return ConflictError(
        f"{noun.capitalize()} {record_id} was changed by somebody else. It was not shared. Read it "
        "again, and share what you read.",
        status=409,
    )
