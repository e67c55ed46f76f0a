"""A stream of events as text, over connections that are made again when they break."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from icure_async.errors import (
    AuthenticationError,
    BackendError,
    BadRequestError,
    ConfigurationError,
    ICureError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    ResponseTooLargeError,
    ValidationError,
)
from icure_async.models.events import ConnectionChange, Reconnected, UnreadableEvent
from icure_async.rest.websocket import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from icure_async.models.events import Reconnection
    from icure_async.rest.websocket import Websocket

__all__ = ["Arrival", "EventStream", "Timing", "is_final"]

_log: Final = logging.getLogger(__name__)

_PING: Final = b"ping"
_PONG: Final = "pong"
_SIGN: Final = Message("sign")
_FINAL: Final = (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
# Request Timeout, Too Early: the request was not looked at (RFC 9110 §15.5.9, RFC 8470 §5.2).
_TOO_LATE: Final = frozenset({408, 425})
# A backend that asks for a longer wait may have an error in its clock.
_LONGEST_ASKED: Final = 3600.0
# Doubled more often than this, each wait is longer than the longest.
_MOST_DOUBLINGS: Final = 32

Arrival = bytes | Reconnected | UnreadableEvent
"""The text of an event, or what happened instead of one."""


async def _pause(seconds: float) -> None:
    await anyio.sleep(seconds)


@attrs.frozen(kw_only=True)
class Timing:
    """The times of a connection, in seconds, and the ways to measure them.

    Attributes:
        first_sign: how long a new connection may say nothing.
        ping: how long a backend that pings may take for its next one (wire-protocol.md §8).
        silence: how long one that does not ping may say nothing, before it is asked for a sign.
        stable: how long a connection lives that counts as a success.
        pause: waits before another attempt.
        chance: returns a number from 0 to 1.
        monotonic: a clock that nobody sets.
    """

    first_sign: float = 30.0
    ping: float = 20.0
    silence: float = 30.0
    stable: float = 60.0
    pause: Callable[[float], Awaitable[None]] = _pause
    chance: Callable[[], float] = random.random
    monotonic: Callable[[], float] = time.monotonic

    def wait_before(self, attempt: int, policy: Reconnection) -> float:
        """Return how long to wait before an attempt; the first has the number 1."""
        doubled = policy.first_wait * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS)
        return min(doubled, policy.longest_wait) * (1 - self.chance() / 2)


def is_final(error: ICureError) -> bool:
    """Return whether trying again would lead to the same error."""
    is_late = isinstance(error, BackendError) and error.status in _TOO_LATE
    return isinstance(error, _FINAL) and not is_late


@attrs.frozen(eq=False, repr=False)
class _Opened:
    """An open connection, and the first message on it."""

    socket: Websocket
    first: Message


class EventStream:
    """The arrivals on the websocket of one subscription, in a buffer of limited size.

    Where the buffer is full nothing more is read, and the backend has to wait: nothing is dropped.
    A backend that does not wait closes the connection, which is then made again.

    Args:
        open_websocket: makes one attempt to open a connection.
        subscription: returns the text to send first on a connection.
        policy: for making the connection again.
        timing: the times of a connection.
        clock: epoch seconds.
        max_arrivals: how many arrivals the buffer has room for.
        max_bytes: how many bytes of them.
        changed: told of each change of the connection.
    """

    def __init__(
        self,
        open_websocket: Callable[[], Awaitable[Websocket]],
        subscription: Callable[[], Awaitable[str]],
        *,
        policy: Reconnection,
        timing: Timing,
        clock: Callable[[], float],
        max_arrivals: int,
        max_bytes: int,
        changed: Callable[[ConnectionChange], object],
    ) -> None:
        self._open_websocket = open_websocket
        self._subscription = subscription
        self._policy = policy
        self._timing = timing
        self._clock = clock
        self._max_arrivals = max_arrivals
        self._max_bytes = max_bytes
        self._changed = changed
        self._buffer: deque[Arrival] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._heard_at = 0.0
        self._pinged_at: float | None = None

    async def start(self) -> None:
        """Open the first connection, and read from it from now on.

        Raises:
            ICureError: that did not work.
        """
        opened = await self._connect()
        self._tell(ConnectionChange(state="connected"))
        self._task = asyncio.create_task(self._run(opened), name="icure events")
        self._task.add_done_callback(lambda _: opened.socket.abandon())

    def stop(self) -> None:
        """Have the connection closed, without waiting for that."""
        if self._task is not None:
            # Not at once: a task that has not begun could not say goodbye.
            asyncio.get_running_loop().call_soon(self._task.cancel)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._task is not None:
            self.stop()
            await asyncio.wait([self._task])

    async def peek(self, most: int) -> Sequence[Arrival]:
        """Wait for arrivals, and return the oldest; they stay in the buffer.

        Returns:
            So many at most; none when the stream was closed.

        Raises:
            ICureError: there will be no more.
        """
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self._task is None or self._task.done():
                return ()
            self._news.clear()
            await self._news.wait()
        return [self._buffer[index] for index in range(min(most, len(self._buffer)))]

    def drop(self, count: int) -> None:
        """Take the oldest arrivals out of the buffer."""
        for _ in range(count):
            arrival = self._buffer.popleft()
            self._bytes -= len(arrival) if isinstance(arrival, bytes) else 0
        self._room.set()

    async def _run(self, opened: _Opened) -> None:
        """Read from one connection after the other, until there can be no further one."""
        failures = 0
        try:
            while True:
                began = self._timing.monotonic()
                lost = await self._read_all(opened)
                since = self._heard_at
                if self._timing.monotonic() - began >= self._timing.stable:
                    failures = 0
                elif is_final(lost):
                    raise lost
                self._tell(ConnectionChange(state="interrupted", error=lost))
                opened, failures = await self._connect_again(lost, failures)
                self._tell(ConnectionChange(state="connected"))
                self._append(
                    Reconnected(since=_ms(since), at=_ms(self._heard_at), attempts=failures)
                )
        except Exception as error:
            self._error = error
        finally:
            self._news.set()

    async def _connect_again(self, lost: ICureError, failures: int) -> tuple[_Opened, int]:
        """Return an open connection, and how many attempts in a row did not last, or may not.

        Raises:
            ICureError: no further attempt is of use, or allowed.
        """
        error = lost
        while not self._is_exhausted(failures):
            failures += 1
            wait = self._wait_before(failures, error)
            _log.debug("Events: attempt %d in %.1f s", failures, wait)
            await self._timing.pause(wait)
            try:
                return await self._connect(), failures
            except ICureError as failure:
                if is_final(failure):
                    raise
                error = failure
        raise NetworkError(
            f"The subscription has ended: {failures} attempts in a row to connect again did not "
            f"last. The last problem: {error} Subscribe again, or allow more with max_attempts.",
            maybe_processed=False,
        ) from error

    def _wait_before(self, attempt: int, error: ICureError) -> float:
        wait = self._timing.wait_before(attempt, self._policy)
        asked = error.retry_after if isinstance(error, BackendError) else None
        return max(wait, min(asked or 0.0, _LONGEST_ASKED))

    def _is_exhausted(self, failures: int) -> bool:
        most = self._policy.max_attempts
        return most is not None and failures >= most

    async def _connect(self) -> _Opened:
        """Return an open connection that the backend has said something on."""
        text = await self._subscription()
        socket = await self._open_websocket()
        self._pinged_at = None
        try:
            async with asyncio.timeout(self._timing.first_sign):
                await socket.send(text)
                # The answer comes after the backend has taken the subscription: from then on, no
                # event is missed.
                await socket.ask_for_a_sign()
                return _Opened(socket, await self._receive(socket))
        except TimeoutError:
            await socket.aclose()
            raise _silent(self._timing.first_sign) from None
        except BaseException:
            await socket.aclose()
            raise

    async def _read_all(self, opened: _Opened) -> ICureError:
        """Read until the connection is no more, and return the reason."""
        socket, message = opened.socket, opened.first
        asked = False
        try:
            while True:
                await self._take(socket, message)
                await self._wait_for_room()
                try:
                    async with asyncio.timeout_at(self._deadline(asked=asked)):
                        message = await self._receive(socket)
                    asked = False
                except TimeoutError:
                    if asked or self._pinged_at is not None:
                        return _silent(self._timing.silence if asked else self._timing.ping)
                    await socket.ask_for_a_sign()
                    message, asked = _SIGN, True
        except ICureError as error:
            return error
        finally:
            await socket.aclose()

    def _deadline(self, *, asked: bool) -> float:
        if self._pinged_at is not None:
            return self._pinged_at + self._timing.ping
        patience = self._timing.first_sign if asked else self._timing.silence
        return asyncio.get_running_loop().time() + patience

    async def _receive(self, socket: Websocket) -> Message:
        try:
            message = await socket.receive()
        except ResponseTooLargeError as error:
            self._append(UnreadableEvent(reason="It is larger than allowed.", error=error))
            raise
        self._heard_at = self._clock()
        return message

    async def _take(self, socket: Websocket, message: Message) -> None:
        if message.kind == "binary":
            self._append(UnreadableEvent(reason="It is binary, and no text."))
        elif message.kind == "text" and message.data.strip() == _PING:
            self._pinged_at = asyncio.get_running_loop().time()
            await socket.send(_PONG)
        elif message.kind == "text":
            self._append(message.data)

    def _append(self, arrival: Arrival) -> None:
        self._buffer.append(arrival)
        self._bytes += len(arrival) if isinstance(arrival, bytes) else 0
        self._news.set()

    async def _wait_for_room(self) -> None:
        waited = False
        while len(self._buffer) >= self._max_arrivals or self._bytes >= self._max_bytes:
            waited = True
            self._room.clear()
            await self._room.wait()
        if waited and self._pinged_at is not None:
            # Nobody has looked for the next ping.
            self._pinged_at = asyncio.get_running_loop().time()

    def _tell(self, change: ConnectionChange) -> None:
        self._changed(change)


def _silent(seconds: float) -> NetworkError:
    return NetworkError(
        f"The connection for events is dead: the backend said nothing for {seconds:g} s. Check "
        "the network, and whether a proxy on the way lets websockets through.",
        maybe_processed=False,
    )


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
