"""Events as records: what arrives from the backend is checked, decrypted, and caught up with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from icure_async.crypto.recent import Recent
from icure_async.entities.record_ids import generation_of
from icure_async.errors import (
    AuthenticationError,
    BackendError,
    ConfigurationError,
    ICureError,
    InvalidResponseError,
    NetworkError,
    ServerError,
)
from icure_async.json_shapes import is_object
from icure_async.models.base import EntityModel
from icure_async.models.events import Event, UnreadableEvent
from icure_async.models.filters import IntersectionFilter, NotificationsAfterDateFilter
from icure_async.models.user import User
from icure_async.models.wire import from_wire
from icure_async.rest.documents import checked_document, is_id
from icure_async.rest.json_body import INLINE_BYTES, load_json, load_large_json
from icure_async.threads import PARSING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from icure_async.entities.records import FillFilter, Records
    from icure_async.models.events import EventType
    from icure_async.models.filters import Filter

__all__ = [
    "USER_EVENTS",
    "CatchUp",
    "EventKind",
    "EventReader",
    "ends_all",
    "events_of",
    "is_passing",
]

RecordT = TypeVar("RecordT", bound=EntityModel)
Clear = TypeVar("Clear", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)

_OVERLAP_MS: Final = 5 * 60 * 1000
_MOST_REMEMBERED: Final = 10_000
_PAGE_SIZE: Final = 1000


async def _as_it_is(wanted: Filter) -> Filter:
    return wanted


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EventKind(Generic[RecordT]):
    """One kind of record that there are events about.

    Attributes:
        noun: the kind in words, in the singular.
        wire_class: the name of the kind in subscriptions, and the ``_type`` of its documents.
        route: the kind as the gate for answers knows it.
        open: returns the records of documents.
        filled: returns a filter with what only reading tells.
        filtered_by_owner: whether filters look at what is shared with a data owner.
        encrypted: wire names of the encrypted members, which no filter can search.
    """

    noun: str
    wire_class: str
    route: str
    open: Callable[[Sequence[Mapping[str, Any]]], Awaitable[Sequence[RecordT]]]
    filled: FillFilter = _as_it_is
    filtered_by_owner: bool = True
    encrypted: tuple[str, ...] = ()


def events_of(records: Records[Clear, Sealed]) -> EventKind[Clear | Sealed]:
    """Return the events about records of an encrypted kind."""
    kind = records.kind
    return EventKind(
        noun=kind.noun,
        wire_class=kind.wire_class,
        route=kind.route,
        open=records.received,
        filled=records.filled,
        encrypted=kind.encrypted,
    )


async def _users(documents: Sequence[Mapping[str, Any]]) -> list[User]:
    return [from_wire(User, document) for document in documents]


USER_EVENTS: Final = EventKind(
    noun="user",
    wire_class="org.taktik.icure.entities.User",
    route="user",
    open=_users,
    filtered_by_owner=False,
)


def is_passing(error: ICureError) -> bool:
    """Return whether an error may be gone a moment later."""
    if isinstance(error, BackendError):
        return error.retryable or isinstance(error, ServerError)
    return isinstance(error, NetworkError)


def ends_all(error: ICureError) -> bool:
    """Return whether nothing more can be read after an error: this object is closed, say."""
    return isinstance(error, AuthenticationError | ConfigurationError)


class EventReader(Generic[RecordT]):
    """Makes items of messages."""

    def __init__(self, kind: EventKind[RecordT]) -> None:
        self._kind = kind

    async def read(self, messages: Sequence[bytes]) -> list[Event[RecordT] | UnreadableEvent]:
        """Return an item for each message: the event, or the reason why it is unreadable.

        Raises:
            ICureError: one that may pass, or ends all; the messages can be read again.
        """
        parsed = [await self._parsed(message) for message in messages]
        documents = [item for item in parsed if not isinstance(item, UnreadableEvent)]
        events = iter(await self._events(documents))
        return [item if isinstance(item, UnreadableEvent) else next(events) for item in parsed]

    async def _events(
        self, documents: Sequence[Mapping[str, Any]]
    ) -> list[Event[RecordT] | UnreadableEvent]:
        try:
            return [Event(record=record) for record in await self._kind.open(documents)]
        except ICureError as error:
            if is_passing(error) or ends_all(error):
                raise
            if len(documents) == 1:
                record_id = documents[0]["id"]
                return [UnreadableEvent(reason=str(error), record_id=record_id, error=error)]
        # One of them must not keep the others back.
        return [item for document in documents for item in await self._events([document])]

    async def _parsed(self, message: bytes) -> dict[str, Any] | UnreadableEvent:
        try:
            if len(message) <= INLINE_BYTES:
                document = load_json(message)
            else:
                document = await PARSING.run(load_large_json, message)
        except ValueError:
            return UnreadableEvent(reason="It is no JSON.")
        record_id = _id_in(document)
        wire_class = document.get("_type") if is_object(document) else None
        if wire_class not in (None, self._kind.wire_class):
            return UnreadableEvent(
                reason=f"It is about something else than a {self._kind.noun}.", record_id=record_id
            )
        try:
            return checked_document(
                document, self._kind.route, None, f"read an event about a {self._kind.noun}"
            )
        except InvalidResponseError as error:
            return UnreadableEvent(reason=str(error), record_id=record_id, error=error)


def _id_in(document: object) -> str | None:
    record_id: object = document.get("id") if is_object(document) else None
    return record_id if isinstance(record_id, str) and is_id(record_id) else None


class CatchUp(Generic[RecordT]):
    """Finds the notifications that were created while there was no connection.

    It remembers what was given out, so that nothing is given out twice.

    Args:
        records: finds them.
        wanted: the filter of the subscription.
        event_types: those of the subscription.
    """

    def __init__(
        self,
        records: Records[Any, Any],
        wanted: Filter | None,
        event_types: Sequence[EventType],
    ) -> None:
        self._records = records
        self._wanted = wanted
        # A deletion comes after the creation, too.
        self._with_changes = any(event_type != "CREATE" for event_type in event_types)
        self._given: Recent[str, str] = Recent(_MOST_REMEMBERED)

    def is_news(self, record_id: str, rev: str) -> bool:
        """Return whether this, or a later state of the record, was not given out yet."""
        given = self._given.get(record_id)
        if given is None:
            return True
        return self._with_changes and rev != given and generation_of(rev) >= generation_of(given)

    def note(self, record: EntityModel) -> None:
        """Remember that a record was given out."""
        self._given.put(record.id, record.rev)

    async def missed(self, since: int) -> AsyncGenerator[Any, None]:
        """Iterate over the news since a moment, in epoch milliseconds.

        It begins five minutes earlier: the clocks of those who create notifications differ.
        """
        recent: Filter = NotificationsAfterDateFilter(date=max(0, since - _OVERLAP_MS))
        if self._wanted is not None:
            recent = IntersectionFilter(filters=(recent, self._wanted))
        found = self._records.find(
            recent, _PAGE_SIZE, where=lambda row: self.is_news(row["id"], row["rev"])
        )
        async for record in found:
            yield record
