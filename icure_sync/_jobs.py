"""What runs on the loop thread for a caller, how it is aborted, and where its outcome is left."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar, cast

from anyio import CancelScope

from icure_sync._tracebacks import trim

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from icure_sync._handover import Handover

__all__ = ["Call", "Job", "Outcome", "Workshop", "current_job"]

T = TypeVar("T")

# A lock acquired without a timeout is interrupted by Ctrl-C on POSIX only.
_POLL_SECONDS: Final = -1 if os.name == "posix" else 0.1


class Outcome(Generic[T]):
    """Where the loop thread leaves what became of a request, and where the caller waits for it."""

    __slots__ = ("__weakref__", "_handover", "_lock", "_settled", "error", "value")

    value: T

    def __init__(self, handover: Handover) -> None:
        self.error: BaseException | None = None
        self._handover = handover
        self._settled = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def succeed(self, value: T) -> None:
        """Settle with a result; only what comes first counts."""
        if not self._settled:
            self.value = value
            self._settled = True
            self._handover.let_go(self._lock)

    def fail(self, error: BaseException) -> None:
        """Settle with an error; only what comes first counts."""
        if not self._settled:
            self.error = error
            self._settled = True
            self._handover.let_go(self._lock)

    def wait(self) -> None:
        """Wait until it is settled."""
        while not self._handover.wait(self._lock, _POLL_SECONDS):
            pass

    def wait_on(self) -> None:
        """Wait again, after an interrupt: that may have come when the lock was acquired."""
        while not self._settled and not self._handover.wait(self._lock, _POLL_SECONDS):
            pass

    def wait_at_most(self, seconds: float) -> None:
        """Wait until it is settled, or for so long; also after an interrupt."""
        if not self._settled:
            self._handover.wait(self._lock, seconds)

    def raise_error(self) -> NoReturn:
        """Raise the error as the caller is to see it, and let go of it."""
        __tracebackhide__ = True
        error = self._take_error()
        context = error.__context__
        try:
            raise error
        finally:
            # To raise is to replace the context by what the caller is handling, if anything.
            if context is not None:
                error.__context__ = context
            # A frame that is in the traceback of its own variable is a cycle.
            del error, context

    def _take_error(self) -> BaseException:
        error, self.error = cast("BaseException", self.error), None
        trim(error)
        if isinstance(error, asyncio.CancelledError):
            # It belongs to the task it was raised in. Raised anew in the caller, it would cancel
            # the caller's own task where there is one.
            cancelled = concurrent.futures.CancelledError(
                "The call was cancelled from within, or is part of one that was interrupted."
            )
            cancelled.__cause__ = error
            return cancelled
        return error


class Workshop:
    """What jobs have in common."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.jobs: dict[_Task, Job] = {}
        # CancelScope() looks up each time what to make; the loop thread finds out once.
        self.new_scope: Callable[[], CancelScope] = CancelScope


class _Task(asyncio.Task[None]):
    """A task whose abortion waits for shielded work and then strikes once.

    A cancel scope of anyio respects shields, so that a write in a worker thread is never torn, but
    cancels again at each later ``await``: an asyncio programmer's ``finally`` would not get far.
    ``Task.cancel()`` strikes once, but also inside shields. So the scope delivers the cancellation,
    and the delivery raises the shelter against the next.
    """

    shelter: CancelScope | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        cancelled = super().cancel(msg)
        if self.shelter is not None:
            self.shelter.shield = True
        return cancelled


class Job:
    """A task on the loop thread that can be aborted. Every method runs on the loop thread.

    What a plain callback of a job asks for is part of that job, and aborted with it.
    """

    __slots__ = ("_aborted", "_parts", "_scope", "_shelter", "_task", "_workshop")

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._task: _Task | None = None
        self._scope: CancelScope | None = None
        self._shelter: CancelScope | None = None
        self._aborted = False
        self._parts: set[Callable[[], object]] = set()

    def begin_part(self, start: Callable[[], object], abort: Callable[[], object]) -> None:
        """Start a part of this job, unless that was aborted: then abort the part."""
        if self._aborted:
            abort()
        else:
            self._parts.add(abort)
            start()

    def end_part(self, abort: Callable[[], object]) -> None:
        """Forget about a part that has ended."""
        self._parts.discard(abort)

    def _launch(self) -> None:
        if self._aborted:
            self._finished()
            return
        self._task = _Task(self._drive(), loop=self._workshop.loop)
        self._workshop.jobs[self._task] = self
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._forget(cast("_Task", task))
        if not task.cancelled():
            task.exception()

    def _forget(self, task: _Task) -> None:
        del self._workshop.jobs[task]
        self._task = None
        self._finished()

    def abort(self) -> None:
        """Cancel the task; :meth:`_finished` is called after its cleanup."""
        self._aborted = True
        for abort in list(self._parts):
            abort()
        if self._task is None:
            self._finished()
        elif self._scope is not None and self._task.shelter is None:
            self._task.shelter = self._shelter
            self._scope.cancel()

    async def _drive(self) -> None:
        current_job.set(self)
        new_scope = self._workshop.new_scope
        if not self._aborted:
            with new_scope() as self._scope, new_scope() as self._shelter:
                await self._work()
        # Called back only if it does not get here: that would cost one more round of the loop.
        task = cast("_Task", self._task)
        task.remove_done_callback(self._done)
        self._forget(task)

    async def _work(self) -> None:
        raise NotImplementedError

    def _finished(self) -> None:
        raise NotImplementedError


current_job: ContextVar[Job | None] = ContextVar("icure_sync_current_job", default=None)
"""The job that the code is part of, on the loop thread or in a callback."""


class Call(Job, Generic[T]):
    """One awaited function."""

    __slots__ = ("_function", "_outcome")

    def __init__(
        self, workshop: Workshop, outcome: Outcome[T], function: Callable[[], Awaitable[T]]
    ) -> None:
        super().__init__(workshop)
        self._outcome = outcome
        self._function = function

    def start(self) -> None:
        """Begin; the outcome is settled in any case."""
        self._launch()

    async def _work(self) -> None:
        try:
            value = await self._function()
        except BaseException as error:
            self._outcome.fail(error)
        else:
            self._outcome.succeed(value)

    def _finished(self) -> None:
        self._outcome.fail(asyncio.CancelledError())
