"""The feed of things that happen in the sandbox, for readers who follow it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson

from icure_async.sandbox.control.rings import Ring
from icure_async.sandbox.store import DERIVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from icure_async.sandbox.store import Change, Json, Transaction, Watcher

__all__ = ["DataWatcher", "Feed", "FeedReader", "Happening", "Watchers"]

_MOST_KEPT: Final = 5000
_HEAVIEST: Final = 1 << 23
_MOST_READERS: Final = 100


@attrs.frozen(repr=False)
class Happening:
    """One thing that happened, as readers are sent it.

    Attributes:
        number: counted from 1.
        text: its form in a stream of server-sent events.
    """

    number: int
    text: bytes


def _weight(happening: Happening) -> int:
    return len(happening.text)


@attrs.define(eq=False, repr=False)
class FeedReader:
    """Somebody who follows the feed.

    Attributes:
        position: number of the last thing that it was sent.
        news: set when there is more.
    """

    position: int
    news: asyncio.Event = attrs.field(factory=asyncio.Event)


class Feed:
    """The newest things that happened, and those who follow.

    Readers have a position instead of a queue, so one who is slow costs nothing: it is told that
    it fell behind as soon as the next thing for it is no longer kept.
    """

    def __init__(self) -> None:
        self._ring: Ring[Happening] = Ring(_MOST_KEPT, _HEAVIEST, _weight)
        self._last = 0
        # Replaced and never changed: the store's thread reads it, too.
        self._readers: tuple[FeedReader, ...] = ()
        self._was_read = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: int | None = None
        self.is_closed: bool = False

    def open(self) -> None:
        """Take what happens from now on, in this event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.is_closed = False

    def close(self) -> None:
        """Let all readers go."""
        self.is_closed = True
        for reader in self._readers:
            reader.news.set()

    # In any thread.

    def tell(self, event: str, data: Any) -> None:
        """Tell readers that something happened, with JSON that does not change any more."""
        loop = self._loop
        if loop is None or self.is_closed:
            return
        if threading.get_ident() == self._thread:
            self._tell(event, data)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(self._tell, event, data)

    @property
    def is_followed(self) -> bool:
        """True as soon as there was a reader: one that comes back wants to know the rest."""
        return self._was_read

    # In the event loop.

    def _tell(self, event: str, data: Any) -> None:
        self._last += 1
        text = b"id: %d\nevent: %s\ndata: %s\n\n" % (
            self._last,
            event.encode("ascii"),
            orjson.dumps(data),
        )
        self._ring.append(Happening(self._last, text))
        for reader in self._readers:
            reader.news.set()

    def forget(self) -> None:
        """Forget what happened until now, also for readers who were not sent it; numbers go on."""
        self._ring.clear()
        for reader in self._readers:
            reader.position = self._last

    def follow(self, after: int | None) -> FeedReader | None:
        """Return a new reader, or None if there are too many.

        Args:
            after: number of the last thing that it knows; None for one that knows all.
        """
        if len(self._readers) >= _MOST_READERS:
            return None
        reader = FeedReader(self._last if after is None else after)
        self._readers = (*self._readers, reader)
        self._was_read = True
        return reader

    def leave(self, reader: FeedReader) -> None:
        """Let a reader go."""
        self._readers = tuple(other for other in self._readers if other is not reader)

    def missed(self, reader: FeedReader) -> int:
        """Return how many things a reader can't be sent any more."""
        if reader.position > self._last:
            # A number of an earlier start of the sandbox.
            return reader.position
        first = self._ring.first
        kept_from = self._last + 1 if first is None else first.number
        return max(0, kept_from - 1 - reader.position)

    def take(self, reader: FeedReader, most: int) -> list[Happening]:
        """Return the next things for a reader, the oldest first."""
        reader.news.clear()
        return self._ring.newest(self._last - reader.position)[:most]

    def catch_up(self, reader: FeedReader) -> None:
        """Let a reader go on with what is still kept."""
        reader.position = self._last - len(self._ring)


class Watchers:
    """Several watchers of the store as one."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def is_watching(self) -> bool:
        """Return whether one of them wants to know."""
        return any(watcher.is_watching() for watcher in self._watchers)

    def look(self, tx: Transaction, changes: Iterable[Change], /) -> Callable[[], None] | None:
        """Show changes to all of them."""
        seen = list(changes)
        effects = [
            effect
            for watcher in self._watchers
            if watcher.is_watching() and (effect := watcher.look(tx, seen)) is not None
        ]

        def tell() -> None:
            for effect in effects:
                effect()

        return tell if effects else None


class DataWatcher:
    """Tells the feed which entities were stored; never their content."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def is_watching(self) -> bool:
        """Return whether the feed has, or had, a reader."""
        return self._feed.is_followed

    def look(self, tx: Transaction, changes: Iterable[Change], /) -> Callable[[], None] | None:
        """Note the changes of a job."""
        told = [_described(tx, change) for change in changes if change.kind not in DERIVED]

        def tell() -> None:
            for data in told:
                self._feed.tell("data", data)

        return tell if told else None


def _described(tx: Transaction, change: Change) -> Json:
    entity = change.entity
    stored = "created" if change.is_new else "changed"
    return {
        "group": tx.in_row_group(change.group).group_id,
        "kind": change.kind,
        "id": entity["id"],
        "rev": entity.get("rev"),
        "change": "deleted" if entity.get("deletionDate") else stored,
    }
