"""Where calls get to the loop thread, and from where callers go on when theirs have ended."""

from __future__ import annotations

import contextlib
import selectors
import time
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    import threading
    from collections.abc import Callable
    from contextvars import Context

__all__ = ["PATIENCE_SECONDS", "Handover"]

PATIENCE_SECONDS: Final = 0.002
"""How long a caller whose call has ended may have to wait for the loop, or for other callers."""


class Handover(selectors.DefaultSelector):
    """The selector of the loop thread, which is what it does between any two rounds of work.

    One thread at a time has the interpreter, and handing it over to another core takes longer than
    the rest of what blocking costs. So threads are woken up as seldom as possible:

    - A busy loop finds what was posted to it without being woken up.
    - Callers go on when the loop has nothing else to do, or has been busy for
      ``PATIENCE_SECONDS``. Woken up earlier, they would only queue for the interpreter.
    - They go on one by one, each woken up by the one before it, and the last one wakes up the loop
      for whatever they all posted meanwhile: whoever is awake finds the interpreter free.

    Ctrl-C may interrupt a caller between any two steps. Others never depend on it: while callers
    go on one by one, the loop sleeps for ``PATIENCE_SECONDS`` at most, and then wakes up the rest.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop: asyncio.AbstractEventLoop
        self._posted: deque[tuple[Callable[[], object], Context | None]] = deque()
        self._ended: deque[threading.Lock] = deque()
        self._overdue_at: float | None = None
        # Only the loop thread sets these two to True, so that no caller can keep it asleep.
        self._asleep = False
        self._one_by_one = False

    # On any thread.

    def post(self, function: Callable[[], object], context: Context | None = None) -> None:
        """Run ``function`` on the loop thread some time.

        Raises:
            RuntimeError: the loop was closed; not always noticed.
        """
        # In this order: the loop goes to sleep first, and then looks at what was posted.
        self._posted.append((function, context))
        if self._asleep and not self._one_by_one:
            self._wake_up()

    def wait(self, lock: threading.Lock, seconds: float) -> bool:
        """Wait until the loop thread lets go of a lock.

        Args:
            lock: an acquired one.
            seconds: how long to wait; -1 for any time.

        Returns:
            Whether that was in time.
        """
        acquired = lock.acquire(timeout=seconds)
        if self._one_by_one:
            self._wake_up_next()
        return acquired

    def let_go(self, lock: threading.Lock) -> None:
        """Release a lock soon, if it is the loop thread that calls; see :meth:`let_all_go`."""
        self._ended.append(lock)

    def let_all_go(self) -> None:
        """Release now what :meth:`let_go` is going to release."""
        while self._ended:
            # Another thread may be quicker.
            with contextlib.suppress(IndexError):
                self._ended.popleft().release()

    def _wake_up_next(self) -> None:
        try:
            following = self._ended.popleft()
        except IndexError:
            self._one_by_one = False
            if self._posted and self._asleep:
                self._wake_up()
        else:
            following.release()

    def _wake_up(self) -> None:
        self.loop.call_soon_threadsafe(_nothing)

    # On the loop thread.

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let callers go on, wait for events, and schedule what was posted meanwhile."""
        try:
            if self._ended and self._is_their_turn(timeout):
                timeout = self._let_go_one_by_one(timeout)
            self._asleep = True
            return super().select(0 if self._posted else timeout)
        finally:
            self._asleep = self._one_by_one = False
            if self._overdue_at is None:
                self.let_all_go()
            while self._posted:
                function, context = self._posted.popleft()
                self.loop.call_soon(function, context=context)

    def _is_their_turn(self, timeout: float | None) -> bool:
        if timeout == 0:
            now = time.monotonic()
            if self._overdue_at is None:
                self._overdue_at = now + PATIENCE_SECONDS
            if now < self._overdue_at:
                return False
        self._overdue_at = None
        return True

    def _let_go_one_by_one(self, timeout: float | None) -> float | None:
        try:
            first = self._ended.popleft()
        except IndexError:  # At exit another thread lets all of them go.
            return timeout
        self._one_by_one = bool(self._ended)
        first.release()
        if self._one_by_one and (timeout is None or timeout > PATIENCE_SECONDS):
            return PATIENCE_SECONDS
        return timeout


def _nothing() -> None:
    """Be what the loop is woken up for."""
