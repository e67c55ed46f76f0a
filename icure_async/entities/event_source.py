"""The events about one kind of record, to subscribe to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from icure_async.crypto.exchange_data import keys_in_header
from icure_async.entities.event_feed import EventFeed
from icure_async.entities.events import CatchUp, EventReader
from icure_async.models.base import EntityModel
from icure_async.models.filters import refuse_encrypted
from icure_async.rest.event_stream import EventStream, Timing
from icure_async.rest.json_body import dump_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from icure_async.entities.event_feed import Feeds
    from icure_async.entities.events import EventKind
    from icure_async.entities.records import Records
    from icure_async.models.events import ConnectionChange, EventType, Reconnection
    from icure_async.models.filters import Filter
    from icure_async.rest.session import Session

__all__ = ["EventBackend", "EventSource", "Wanted"]

RecordT = TypeVar("RecordT", bound=EntityModel)

_PATH: Final = "/notification/subscribe"


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EventBackend:
    """The parts of a user's API that subscriptions work with.

    Attributes:
        session: the user's.
        own_id: returns the id of the user's data owner.
        feeds: the subscriptions that have begun.
        clock: epoch seconds.
        max_bytes: how many bytes may wait to be given out.
        timing: the times of a connection.
        access_headers: returns the header with the access control keys for a type of entity, for a
            user who is anonymous in today's flavour.
    """

    session: Session
    own_id: Callable[[], Awaitable[str]]
    feeds: Feeds
    clock: Callable[[], float]
    max_bytes: int
    timing: Timing = attrs.field(factory=Timing)
    access_headers: Callable[[str], Awaitable[Mapping[str, str]]] | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Wanted:
    """The wishes of a subscriber, checked.

    Attributes:
        event_types: the kinds of events.
        filter: the records to be told about; None for all.
        reconnection: for making the connection again.
        buffer_size: how many events may wait to be given out.
    """

    event_types: Sequence[EventType]
    filter: Filter | None
    reconnection: Reconnection
    buffer_size: int


class EventSource(Generic[RecordT]):
    """Makes the feeds of subscriptions.

    Args:
        backend: the parts to work with.
        kind: the kind of record.
        records: finds what was missed, where that can be found.
    """

    def __init__(
        self,
        backend: EventBackend,
        kind: EventKind[RecordT],
        *,
        records: Records[Any, Any] | None = None,
    ) -> None:
        self._backend = backend
        self._records = records
        self.kind: Final = kind

    def feed(self, wanted: Wanted, *, catch_up: bool = False) -> EventFeed[RecordT]:
        """Return the feed of a new subscription, which has not begun.

        Raises:
            ValidationError: the filter searches encrypted members.
        """
        if wanted.filter is not None:
            refuse_encrypted(wanted.filter, self.kind.encrypted)
        records = self._records if catch_up and "CREATE" in wanted.event_types else None

        async def open_stream(changed: Callable[[ConnectionChange], None]) -> EventStream:
            return await self._open(wanted, changed)

        return EventFeed(
            open_stream,
            EventReader(self.kind),
            catch_up=None
            if records is None
            else CatchUp(records, wanted.filter, wanted.event_types),
            policy=wanted.reconnection,
            timing=self._backend.timing,
            feeds=self._backend.feeds,
        )

    async def _open(
        self, wanted: Wanted, changed: Callable[[ConnectionChange], None]
    ) -> EventStream:
        backend = self._backend
        action = f"subscribe to events about {self.kind.noun}s"
        stream = EventStream(
            lambda: backend.session.open_websocket(_PATH, action=action),
            lambda: self._subscription(wanted),
            policy=wanted.reconnection,
            timing=backend.timing,
            clock=backend.clock,
            max_arrivals=wanted.buffer_size,
            max_bytes=backend.max_bytes,
            changed=changed,
        )
        await stream.start()
        return stream

    async def _subscription(self, wanted: Wanted) -> str:
        """Return the first text of a connection (wire-protocol.md §8)."""
        subscription: dict[str, Any] = {
            "eventTypes": list(wanted.event_types),
            "entityClass": self.kind.wire_class,
        }
        if wanted.filter is not None:
            own_id = await self._backend.own_id() if self.kind.filtered_by_owner else ""
            filled = await self.kind.filled(wanted.filter)
            subscription["filter"] = {"filter": filled.to_wire(own_id)}
        if self._backend.session.dialect.flavour == "cardinal":
            # Without useCardinalModelSerialization (server-behaviour.md §14.9): today's model lacks
            # members that saving the record of an event would then remove.
            subscription |= await self._access_control_keys()
        return dump_json(subscription).decode()

    async def _access_control_keys(self) -> Mapping[str, Sequence[str]]:
        """Return the member that stands for the header with access control keys."""
        if self._backend.access_headers is None or not self.kind.filtered_by_owner:
            return {}
        headers = await self._backend.access_headers(self.kind.wire_class.rpartition(".")[2])
        keys = [key.hex() for value in headers.values() for key in keys_in_header(value)]
        return {"accessControlKeys": keys} if keys else {}
