"""What runs on the loop thread for a caller, how it is aborted, and where its outcome is left."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, ParamSpec, TypeVar, cast

from anyio import CancelScope

from icure_sync._tracebacks import trim

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from icure_sync._handover import Handover

__all__ = ["Call", "Job", "Outcome", "Workshop", "current_job", "on_its_own"]

T = TypeVar("T")
P = ParamSpec("P")

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
        """Wait until it is settled; also again, after an interrupt.

        That may have come when the lock was acquired.
        """
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

    What a plain callback of a job asks for is part of that job, and struck when the job is aborted:
    once, as cancellation strikes async code. So what the callback does to clean up has its way.

    Attributes:
        whole: the job whose callback has made this one, if any.
    """

    __slots__ = (
        "_aborted",
        "_cleaned",
        "_ended",
        "_parts",
        "_scope",
        "_shelter",
        "_struck",
        "_task",
        "_workshop",
        "whole",
    )

    _workshop: Workshop

    def __init__(self) -> None:
        self.whole = current_job.get()
        self._task: _Task | None = None
        self._scope: CancelScope | None = None
        self._shelter: CancelScope | None = None
        self._aborted = False
        self._struck = False
        self._ended = False
        self._parts: set[Callable[[], object]] = set()
        self._cleaned: list[Outcome[None]] = []

    def begin_part(self, start: Callable[[], object], abort: Callable[[], object]) -> None:
        """Start a part of this job, or abort it where the job's abortion has struck none yet."""
        if self._aborted and not self._struck and not self._ended:
            self._struck = True
            abort()
        else:
            self._parts.add(abort)
            start()

    def end_part(self, abort: Callable[[], object]) -> None:
        """Forget about a part that has ended."""
        self._parts.discard(abort)

    def abort(self, cleaned: Outcome[None] | None = None) -> None:
        """Cancel the task, and settle ``cleaned`` when it has cleaned up after itself."""
        self._aborted = True
        if cleaned is not None:
            self._cleaned.append(cleaned)
        for abort in list(self._parts):
            self._struck = True
            abort()
        if self._task is None:
            self._end()
        elif self._scope is not None and self._task.shelter is None:
            self._task.shelter = self._shelter
            self._scope.cancel()

    def _launch(self) -> None:
        if self._aborted:
            self._end()
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
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._finished()
        while self._cleaned:
            self._cleaned.pop().succeed(None)

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
        """Settle whatever is waiting for this job."""
        raise NotImplementedError


current_job: ContextVar[Job | None] = ContextVar("icure_sync_current_job", default=None)
"""The job that the code is part of, on the loop thread or in a callback."""


def on_its_own(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function whose calls are no part of the job that it is called in.

    What closes, and what must not be torn, is not struck when the job is aborted.
    """
    __tracebackhide__ = True
    context = copy_context()
    context.run(current_job.set, None)
    return context.run(function, *args, **kwargs)


class Call(Job, Generic[T]):
    """One awaited function."""

    __slots__ = ("_function", "_outcome")

    def __init__(
        self, workshop: Workshop, outcome: Outcome[T], function: Callable[[], Awaitable[T]]
    ) -> None:
        super().__init__()
        self._workshop = workshop
        self._outcome = outcome
        self._function = function

    def start(self) -> None:
        """Begin; the outcome is settled in any case."""
        self._launch()

    def abort(self, cleaned: Outcome[None] | None = None) -> None:
        """Cancel the task. What it had opened, and nobody has received, is closed."""
        close = _closing(getattr(self._outcome, "value", None))
        if cleaned is not None and close is not None:
            Call(self._workshop, cleaned, close).start()
        else:
            super().abort(cleaned)

    async def _work(self) -> None:
        try:
            value = await self._function()
            close = _closing(value) if self._aborted else None
            if close is not None:
                with CancelScope(shield=True):
                    await close()
                raise asyncio.CancelledError
        except BaseException as error:
            self._outcome.fail(error)
        else:
            self._outcome.succeed(value)

    def _finished(self) -> None:
        self._outcome.fail(asyncio.CancelledError())


def _closing(value: object) -> Callable[[], Awaitable[None]] | None:
    """Return what closes something that was opened, or None where there is nothing to close."""
    return getattr(value, "aclose", None)
