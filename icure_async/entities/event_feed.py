"""The feed of one subscription: from its connection to those who wait for its items."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from collections import deque
from contextlib import aclosing
from contextvars import ContextVar
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import anyio

from icure_async.entities.events import EventReader, ends_all, is_passing
from icure_async.errors import ConfigurationError, ICureError
from icure_async.mistakes import awaited
from icure_async.models.base import EntityModel
from icure_async.models.events import ConnectionChange, Event, Reconnected, UnreadableEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from icure_async.entities.events import CatchUp
    from icure_async.models.events import Reconnection, SubscriptionItem
    from icure_async.rest.event_stream import Arrival, EventStream, Timing

__all__ = ["EventFeed", "Feeds"]

_log: Final = logging.getLogger(__name__)

RecordT = TypeVar("RecordT", bound=EntityModel)

# Decrypted together, they share the requests for keys.
_TOGETHER: Final = 50
_FAREWELL_SECONDS: Final = 5.0

_telling: Final[ContextVar[frozenset[object]]] = ContextVar("icure_telling", default=frozenset())
"""The feeds that the running code was called by: it can't wait for them."""


class Feeds:
    """The feeds of one API object that have begun, which it closes before itself.

    Attributes:
        are_closed: whether there are to be no further ones.
    """

    def __init__(self) -> None:
        self.are_closed: bool = False
        self._begun: set[EventFeed[Any]] = set()

    def add(self, feed: EventFeed[Any]) -> None:
        """Close a feed, too."""
        self._begun.add(feed)

    def remove(self, feed: EventFeed[Any]) -> None:
        """Forget a feed that has ended."""
        self._begun.discard(feed)

    async def aclose(self) -> None:
        """Close all of them, and those that are about to begin."""
        self.are_closed = True
        for feed in list(self._begun):
            await feed.aclose()


class EventFeed(Generic[RecordT]):
    """Gives out the items of one subscription, one after the other, each once.

    Two tasks work for it: one reads from the connection, the other one makes items of what it has
    read. Neither is part of a call of the user's, so that giving up a call loses nothing.

    Args:
        open_stream: returns a stream that has started, and tells changes of the connection.
        reader: makes items of messages.
        catch_up: finds what was missed; None for no such thing.
        policy: for trying again what may pass.
        timing: for the waits in between.
        feeds: those of the API object.
    """

    def __init__(
        self,
        open_stream: Callable[[Callable[[ConnectionChange], None]], Awaitable[EventStream]],
        reader: EventReader[RecordT],
        *,
        catch_up: CatchUp[RecordT] | None,
        policy: Reconnection,
        timing: Timing,
        feeds: Feeds,
    ) -> None:
        self._open_stream = open_stream
        self._reader = reader
        self._catch_up = catch_up
        self._policy = policy
        self._timing = timing
        self._feeds = feeds
        self._items: deque[SubscriptionItem[RecordT]] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._beginning = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stream: EventStream | None = None
        self._decoding: asyncio.Task[None] | None = None
        self._delivering: asyncio.Task[None] | None = None
        self._is_calling = False
        self._changes: asyncio.Queue[ConnectionChange] | None = None
        self._error: Exception | None = None
        self._is_over = asyncio.Event()
        self.is_closed: bool = False

    @property
    def is_open(self) -> bool:
        """True if it has begun, and has not ended."""
        return self._stream is not None and not self.is_closed and self._error is None

    async def start(self) -> None:
        """Open the connection, unless that has been done.

        Raises:
            ICureError: that did not work, or it was closed.
        """
        async with self._beginning:
            if self.is_closed:
                raise ConfigurationError(
                    "This subscription is closed. Subscribe again: "
                    "each subscription is opened once."
                )
            if self._stream is not None:
                return
            stream = await self._open_stream(self._note)
            if self._was_closed():
                await stream.aclose()
                raise ConfigurationError("This subscription was closed before it was open.")
            self._loop = asyncio.get_running_loop()
            self._stream = stream
            self._feeds.add(self)
            self._decoding = asyncio.create_task(self._decode(stream), name="icure events")

    def _was_closed(self) -> bool:
        return self.is_closed or self._feeds.are_closed

    async def next(self) -> SubscriptionItem[RecordT]:
        """Return the next item.

        Raises:
            StopAsyncIteration: it was closed.
            ICureError: there will be no more.
        """
        if not self.is_closed:
            await self.start()
        while not self._items or self.is_closed:
            if self._error is not None and not self.is_closed:
                raise _another(self._error)
            if self.is_closed or self._decoding is None or self._decoding.done():
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        self._room.set()
        return self._items.popleft()

    def stop(self) -> None:
        """Have it closed, from any thread, unless functions are called for its items."""
        loop = self._loop
        if loop is None or self.is_closed or self._delivering is not None:
            return
        # The loop may have ended, with everything in it.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self.is_closed = True
        self._feeds.remove(self)
        if self._decoding is not None:
            self._decoding.cancel()
        if self._stream is not None:
            self._stream.stop()
        self._items.clear()
        self._news.set()

    async def aclose(self) -> None:
        """Close the connection, and let those who wait for an item go. Harmless to repeat."""
        if self._loop is not None and self._loop is not asyncio.get_running_loop():
            self._delivering = None
            self.stop()
            return
        self._cancel()
        ending: list[asyncio.Task[Any]] = [task for task in (self._decoding,) if task is not None]
        if self._delivering is not None and self not in _telling.get():
            if self._is_calling:
                # Only then: else it is about to end, and to tell that.
                self._delivering.cancel()
            ending.append(self._delivering)
        if self._stream is not None:
            await self._stream.aclose()
        if ending:
            await asyncio.wait(ending)
        if self._delivering is None or self._delivering in ending:
            self._is_over.set()

    async def wait(self) -> None:
        """Wait until functions are called no more for its items.

        Raises:
            ConfigurationError: such a function is waiting.
            Exception: the error that has ended it: one of ours, or of the function.
        """
        if self in _telling.get():
            raise ConfigurationError(
                "A function that is called for a subscription can't wait for its end, which comes "
                "after its return: let it return, or close the subscription."
            )
        await self._is_over.wait()
        if self._error is not None:
            raise self._error

    # Items.

    async def _decode(self, stream: EventStream) -> None:
        try:
            while arrivals := await stream.peek(_TOGETHER):
                for _, group in groupby(arrivals, type):
                    await self._take(list(group))
                stream.drop(len(arrivals))
        except Exception as error:
            self._error = error
            stream.stop()
            self._feeds.remove(self)
        finally:
            self._news.set()
            if self._delivering is None:
                self._is_over.set()

    async def _take(self, arrivals: Sequence[Arrival]) -> None:
        """Give out the items of some arrivals of one kind."""
        messages = [arrival for arrival in arrivals if isinstance(arrival, bytes)]
        if messages:
            await self._read(messages)
            return
        for arrival in arrivals:
            if not isinstance(arrival, bytes):
                await self._put(arrival)
            if self._catch_up is not None and isinstance(arrival, Reconnected):
                await self._look_for_missed(self._catch_up, arrival.since)

    async def _read(self, messages: Sequence[bytes]) -> None:
        attempts = 0
        while True:
            try:
                items = await self._reader.read(messages)
                break
            except ICureError as error:
                attempts += 1
                await self._wait_after(error, attempts)
        for item in items:
            await self._put_if_news(item)

    async def _put_if_news(self, item: SubscriptionItem[RecordT]) -> None:
        catch_up = self._catch_up
        if catch_up is not None and isinstance(item, Event):
            if not catch_up.is_news(item.record.id, item.record.rev):
                return
            catch_up.note(item.record)
        await self._put(item)

    async def _look_for_missed(self, catch_up: CatchUp[RecordT], since: int) -> None:
        attempts = 0
        while True:
            try:
                async with aclosing(catch_up.missed(since)) as missed:
                    async for record in missed:
                        catch_up.note(record)
                        await self._put(Event(record=record, caught_up=True))
            except ICureError as error:
                if is_passing(error) or ends_all(error):
                    attempts += 1
                    await self._wait_after(error, attempts)
                    continue
                reason = f"It is not known what was missed: {error}"
                await self._put(UnreadableEvent(reason=reason, error=error))
            return

    async def _wait_after(self, error: ICureError, attempts: int) -> None:
        """Wait before trying again, or raise the error where that is of no use."""
        most = self._policy.max_attempts
        if not is_passing(error) or (most is not None and attempts > most):
            raise error
        wait = self._timing.wait_before(attempts, self._policy)
        # Nothing else tells of it, and it may go on for long.
        level = logging.WARNING if attempts == 1 else logging.DEBUG
        kind = type(error).__name__
        _log.log(level, "Events can't be read for now (%s): next try in %.1f s", kind, wait)
        await self._timing.pause(wait)

    async def _put(self, item: SubscriptionItem[RecordT]) -> None:
        while len(self._items) >= _TOGETHER:
            self._room.clear()
            await self._room.wait()
        self._items.append(item)
        self._news.set()

    def _note(self, change: ConnectionChange) -> None:
        if self._changes is not None:
            self._changes.put_nowait(change)

    # Functions that are called.

    async def deliver(
        self,
        on_event: Callable[[SubscriptionItem[RecordT]], Awaitable[None]],
        on_state: Callable[[ConnectionChange], Awaitable[None]] | None,
    ) -> None:
        """Call a function for each item from now on, and another for changes of the connection.

        Raises:
            ConfigurationError: one is called already, or can't be called.
            ICureError: the connection could not be opened.
        """
        for name, function in (("on_event", on_event), ("on_state", on_state)):
            if not callable(function) and (name == "on_event" or function is not None):
                raise ConfigurationError(f"{name} must be an async function.")
        if self._delivering is not None or self._changes is not None:
            raise ConfigurationError(
                "This subscription calls a function already: subscribe again for another one."
            )
        self._changes = asyncio.Queue()
        if self.is_open:
            self._note(ConnectionChange(state="connected"))
        try:
            await self.start()
        except BaseException:
            self._changes = None
            raise
        self._is_over.clear()
        self._delivering = asyncio.create_task(
            self._deliver(on_event, on_state, self._changes), name="icure events"
        )
        # Those who wait are told in our words.
        self._delivering.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _deliver(
        self,
        on_event: Callable[[SubscriptionItem[RecordT]], Awaitable[None]],
        on_state: Callable[[ConnectionChange], Awaitable[None]] | None,
        changes: asyncio.Queue[ConnectionChange],
    ) -> None:
        _telling.set(_telling.get() | {self})
        states = asyncio.create_task(self._tell(on_state, changes), name="icure events")
        try:
            await self._call_for_each(on_event)
        except Exception as error:
            # Of an application's error, the text may say anything.
            _log.warning("A subscription has ended with a %s", type(error).__name__)
            self._error = error
        except (SystemExit, KeyboardInterrupt) as error:
            self._error = ConfigurationError(
                f"on_event has ended with a {type(error).__name__}, and so has the subscription. "
                "Close the subscription instead."
            )
            raise
        finally:
            self._cancel()
            changes.put_nowait(ConnectionChange(state="closed", error=self._error))
            with anyio.move_on_after(_FAREWELL_SECONDS, shield=True):
                await asyncio.wait([states])
            states.cancel()
            self._is_over.set()

    async def _call_for_each(
        self, on_event: Callable[[SubscriptionItem[RecordT]], Awaitable[None]]
    ) -> None:
        while True:
            try:
                item = await self.next()
            except StopAsyncIteration:
                return
            self._is_calling = True
            try:
                await _answered(on_event(item), "on_event", "The subscription has ended.")
            finally:
                self._is_calling = False

    async def _tell(
        self,
        on_state: Callable[[ConnectionChange], Awaitable[None]] | None,
        changes: asyncio.Queue[ConnectionChange],
    ) -> None:
        while True:
            change = await changes.get()
            if on_state is not None:
                try:
                    await _answered(on_state(change), "on_state", "Nothing more is told.")
                except Exception as error:
                    _log.warning("on_state failed with a %s", type(error).__name__)
            if change.state == "closed":
                return


async def _answered(returned: object, receiver: str, consequence: str) -> None:
    """Wait for an application's function. A cancellation of its own making is an error of it."""
    try:
        await awaited(returned, receiver, consequence)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
    else:
        return
    raise ConfigurationError(
        f"{receiver} has waited for something that was cancelled: let it catch the CancelledError. "
        f"{consequence}"
    )


def _another(error: Exception) -> Exception:
    """Return an error to raise once more: the traceback of the first would grow."""
    return copy.copy(error) if isinstance(error, ICureError) else error
