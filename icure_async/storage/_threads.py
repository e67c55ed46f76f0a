"""Work on a disk, in threads: reading may be left behind, writing has an end that is waited for."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from icure_async.threads import PATIENCE_SECONDS, STORAGE, outcome_of, start, wait_through

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GivenUpError", "Undertaking", "finish", "read", "write"]

_logger = logging.getLogger(__name__)

Result = TypeVar("Result")

read = STORAGE.run_or_leave


class GivenUpError(Exception):
    """Nobody waits for the work any more, so it must not take effect. Never seen by a caller."""


class Undertaking:
    """Work in a thread, which asks whether anybody still waits before it takes effect."""

    def __init__(self) -> None:
        self._given_up = False

    def give_up(self) -> None:
        """Have the work take no effect, unless that is too late."""
        self._given_up = True

    def check(self) -> None:
        """Refuse to take effect where nobody waits any more.

        Raises:
            GivenUpError: that is so.
        """
        if self._given_up:
            raise GivenUpError


async def write(work: Callable[[Undertaking], Result], *, what: str, turn: str = "") -> Result:
    """Run work that changes something, in a thread.

    A thread cannot be interrupted. If a cancelled call returned while its thread went on, a write
    the caller has given up could land after a later one and replace the newer value. So a write
    that has begun when the cancellation arrives is waited for, for ``PATIENCE_SECONDS``. After that
    it is given up: it takes no effect any more, or, where the system is stuck in the very step that
    does, the next write of the same turn waits for it.

    Args:
        work: what to do; it calls :meth:`Undertaking.check` before it takes effect.
        what: is done, in words for the log.
        turn: names what is written to, among all storages of this process; works of one name run
            one after the other, in the order they were asked for. Empty: at any time.
    """
    undertaking = Undertaking()
    place = _Place(turn) if turn else None
    begun = False

    def call() -> Result:
        try:
            return work(undertaking)
        finally:
            if place is not None:
                place.leave()

    try:
        if place is not None:
            await place.is_first()
        async with STORAGE.limiter():
            job = start(call)
            begun = True
            try:
                return await outcome_of(job, PATIENCE_SECONDS)
            except asyncio.CancelledError:
                if not job.done():
                    undertaking.give_up()
                    _logger.warning(
                        "To %s was cancelled, and has not ended within %g s.",
                        what,
                        PATIENCE_SECONDS,
                    )
                raise
    finally:
        if place is not None and not begun:
            place.leave_in_order()


async def finish(work: Callable[[], None], *, what: str) -> None:
    """Run work that must not be left out, in a thread, at once and through all cancellations.

    It is waited for for ``PATIENCE_SECONDS``, and goes on without anybody after that.
    """
    job = start(work)
    cancellation = await wait_through(job, PATIENCE_SECONDS)
    if not job.done():
        _logger.warning("To %s has not ended within %g s.", what, PATIENCE_SECONDS)
    elif cancellation is None:
        job.result().unpack()
    if cancellation is not None:
        raise cancellation


class _Place:
    """A place in the queue of the writes to the same thing, in any thread and event loop."""

    def __init__(self, turn: str) -> None:
        self._turn = turn
        self._left: Future[None] = Future()
        # Now a waiter that is cancelled cannot cancel it.
        self._left.set_running_or_notify_cancel()
        with _queueing:
            self._before = _last.get(turn)
            _last[turn] = self._left

    async def is_first(self) -> None:
        """Wait until all those before have left."""
        if self._before is not None:
            await asyncio.wrap_future(self._before)

    def leave(self) -> None:
        """Let the next one go on."""
        with _queueing:
            if _last.get(self._turn) is self._left:
                del _last[self._turn]
        self._left.set_result(None)

    def leave_in_order(self) -> None:
        """Let the next one go on as soon as those before have left."""
        if self._before is None:
            self.leave()
        else:
            self._before.add_done_callback(lambda _: self.leave())


_queueing = threading.Lock()
_last: dict[str, Future[None]] = {}


def _after_fork_in_child() -> None:
    global _queueing
    # The threads that would let others go on are those of the parent.
    _queueing = threading.Lock()
    _last.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
