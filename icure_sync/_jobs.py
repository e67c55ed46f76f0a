"""Tasks on the loop thread: how callers wait for them, and how they are aborted."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import os
import threading
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar

from anyio import CancelScope

from icure_async.threads import blocked_thread
from icure_async.tracebacks import Unseen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

__all__ = ["Job", "Task", "current_job", "on_its_own", "unseen"]

T = TypeVar("T")
P = ParamSpec("P")

# A lock acquired without a timeout is interrupted by Ctrl-C on POSIX only.
_POLL_SECONDS: Final = -1 if os.name == "posix" else 0.1

unseen: Final = Unseen(
    "icure_sync._", "anyio.", "concurrent.futures.", but=("icure_sync._generated.",)
)
"""Entered around a blocking call, it leaves the caller's line and the SDK's in a traceback."""


class Job(Generic[T]):
    """One awaited function: a task on the loop thread that can be aborted.

    The calls that its plain callbacks make are its parts. Aborting a job strikes the parts that
    run, or else the next one: once, as cancellation strikes async code. So the calls that a
    callback makes to clean up have their way.

    Args:
        function: the async function, without arguments.
        whole: the job that this one is a part of, if any.

    Attributes:
        thread: the ident of the one that blocks for it.
        task: the task, while it runs.
        value: the result; there is none where there is an error.
        error: the reason why there is no result.
        is_aborted: whether it is to stop.
        is_over: whether it has ended, cleanup included.
        parts: the jobs that are parts of this one, and run.
        is_struck: whether the abortion has struck a part.
    """

    value: T

    def __init__(self, function: Callable[[], Awaitable[T]], whole: Job[Any] | None = None) -> None:
        self._function: Callable[[], Awaitable[T]] | None = function
        self.whole = whole
        # The one that made the first call: it can't go on before this job is over, either.
        self.thread: int = threading.get_ident() if whole is None else whole.thread
        self.task: Task | None = None
        self.error: BaseException | None = asyncio.CancelledError()
        self.is_aborted = self.is_over = self.is_struck = False
        self._scope: CancelScope | None = None
        self._shelter: CancelScope | None = None
        self.parts: set[Job[Any]] = set()
        # A plain lock: all else that waits is written in Python, where a signal handler that raises
        # can leave it in pieces.
        self._lock = threading.Lock()
        self._lock.acquire()

    # In the thread of the caller.

    def wait(self, seconds: float | None = None) -> None:
        """Wait until it is over, or for so long; also again, after an interrupt.

        That may have come when the lock was acquired.
        """
        if seconds is not None:
            _ = self.is_over or self._lock.acquire(timeout=seconds)
            return
        while not self.is_over and not self._lock.acquire(timeout=_POLL_SECONDS):
            pass

    def result(self) -> T:
        """Return the result, or raise the error as the caller is to see it."""
        __tracebackhide__ = True
        error, self.error = self.error, None
        if error is None:
            return self.value
        unseen.trim(error)
        if isinstance(error, asyncio.CancelledError):
            # It belongs to the task it was raised in. Raised anew in the caller, it would cancel
            # the caller's own task where there is one.
            raise concurrent.futures.CancelledError(
                "The call was cancelled from within, or is part of one that was interrupted."
            ) from error
        context = error.__context__
        try:
            raise error
        finally:
            # Raising replaces the context by the error that the caller is handling, if any.
            if context is not None:
                error.__context__ = context
            # A frame that is in the traceback of its own variable is a cycle.
            del error, context

    def forget(self, *, result: bool) -> None:
        """Let go of the function, and of the result unless an interrupted call has left it.

        The context of each task that the function has started holds this job as long as that runs.
        """
        self._function = None
        if result:
            del self.value

    # On the loop thread.

    def begin(self) -> None:
        """Start, as a part of the whole."""
        whole = self.whole
        if whole is not None and not whole.is_over:
            if whole.is_aborted and not whole.is_struck:
                whole.is_struck = self.is_aborted = True
            whole.parts.add(self)
        self.start()

    def start(self) -> None:
        """Start, as nobody's part."""
        if self.is_aborted:
            self.end()
        else:
            self.task = Task(self, self._drive())

    def abort(self) -> None:
        """Cancel the task and its parts, once."""
        if self.is_aborted:
            return
        self.is_aborted = True
        for part in list(self.parts):
            self.is_struck = True
            part.abort()
        if self._scope is not None and not self.is_over:
            self._scope.cancel()

    async def abandon(self) -> None:
        """Abort, and wait for the cleanup."""
        self.abort()
        if self.task is None:
            await self._discard()
        else:
            await asyncio.wait([self.task])

    async def _discard(self) -> None:
        """Close what an aborted job has opened: nobody is going to receive it."""
        close = getattr(getattr(self, "value", None), "aclose", None)
        if close is not None and self.is_aborted:
            self.error = asyncio.CancelledError()
            with CancelScope(shield=True):
                await close()

    def end(self) -> None:
        """Let the caller go on."""
        if not self.is_over:
            self.is_over, self.task = True, None
            if self.whole is not None:
                self.whole.parts.discard(self)
            self._lock.release()

    async def _drive(self) -> None:
        current_job.set(self)
        blocked_thread.set(self.thread)
        function = self._function
        try:
            if function is not None and not self.is_aborted:
                new_scope = _scope_class()
                with new_scope() as self._scope, new_scope() as self._shelter:
                    self.value = await function()
                    self.error = None
                    await self._discard()
        except BaseException as error:
            self.error = error
        self.end()

    def shelter(self) -> bool:
        """Hold off further cancellations if this is the one that aborts; false before it runs."""
        if self._shelter is None:
            return False
        self._shelter.shield = self.is_aborted
        return True


@functools.cache
def _scope_class() -> Callable[[], CancelScope]:
    # CancelScope() looks up each time what to make.
    return type(CancelScope())


class Task(asyncio.Task[None]):
    """The task of a job. Its abortion waits for shielded work, and then strikes once.

    A cancel scope of anyio respects shields, so that a write in a worker thread is never torn, but
    cancels again at each later ``await``: an asyncio programmer's ``finally`` would not get far.
    ``Task.cancel()`` strikes once, but also inside shields. So the scope delivers the cancellation,
    and the delivery raises the shelter against the next.
    """

    def __init__(self, job: Job[Any], driving: Coroutine[Any, Any, None]) -> None:
        self.job = job
        super().__init__(driving)

    def cancel(self, msg: Any | None = None) -> bool:
        if not self.job.shelter():
            # It would not even begin, and so not tell its caller that it has ended.
            self.job.abort()
            return True
        return super().cancel(msg)


current_job: ContextVar[Job[Any] | None] = ContextVar("icure_sync_current_job", default=None)
"""The job that the code is part of, on the loop thread or in a callback."""


def on_its_own(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function whose calls are no part of the job that it is called in.

    Aborting the job does not strike a function that closes, or that must not be torn.
    """
    __tracebackhide__ = True
    context = copy_context()
    context.run(current_job.set, None)
    return context.run(function, *args, **kwargs)
