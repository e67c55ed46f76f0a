"""Worker threads of the SDK's own: a few for each purpose, in each event loop.

The threads of anyio and asyncio belong to the application. Where its handlers use all of them up,
and wait for the SDK, nothing of the SDK may need one.

A forked process has a copy of each lock, and none of the threads that would let go of it. OpenSSL
and the import system have such locks. So ``os.fork()`` waits until the SDK's threads have computed
what they compute, and the loop thread of ``icure_sync`` stands still. It does not wait for the
application's own threads and event loops, nor for threads that may be stuck (disk, host names,
system keyring, callbacks): where those import modules, use TLS or ``cryptography`` during the fork,
the child may still wait for ever. An application that forks from a thread does so before its event
loop runs ``icure_async``, or has ``multiprocessing`` use "spawn" or "forkserver".
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar, TypeVarTuple, cast

import anyio.to_thread
import attrs
from anyio.lowlevel import RunVar

from icure_async.errors import ICureError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CRYPTO",
    "OTHERS",
    "PARSING",
    "PATIENCE_SECONDS",
    "STORAGE",
    "ForkGate",
    "Job",
    "Outcome",
    "Threads",
    "blocked_thread",
    "outcome_of",
    "start",
    "wait_through",
]

blocked_thread: Final[ContextVar[int | None]] = ContextVar("icure_blocked_thread", default=None)
"""The application's thread that blocks for the call, in one of icure_sync; None in all others."""

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

PATIENCE_SECONDS: Final = 5.0
"""Seconds that a cancelled call waits for a write that has begun, or for a callback."""


@attrs.frozen(eq=False, repr=False)
class Outcome(Generic[Result]):
    """The outcome of work in a thread."""

    value: Result | None = None
    error: BaseException | None = None

    def unpack(self) -> Result:
        """Return the value, or raise the error."""
        if self.error is None:
            return cast("Result", self.value)
        try:
            raise self.error
        finally:
            # A frame that is in the traceback of its own variable is a cycle.
            del self


Job: TypeAlias = "Future[Outcome[Result]]"
"""Work in a thread. It has a result in any case."""


class ForkGate:
    """A gate before all that computes in threads, closed while the process forks.

    Args:
        patience: how many seconds a fork waits for what has begun.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        # One that forks in what it computes enters twice.
        self._entrance = threading.RLock()
        self._exit = threading.Condition()
        self._inside: set[int] = set()

    def run(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        """Call a function that holds locks of others."""
        me = threading.get_ident()
        with self._entrance:
            self._inside.add(me)
        try:
            return function(*args)
        finally:
            with self._exit:
                self._inside.discard(me)
                self._exit.notify_all()

    def close(self) -> None:
        """Let nobody in, and wait until all others are out."""
        me = threading.get_ident()
        self._entrance.acquire()
        with self._exit:
            self._exit.wait_for(lambda: self._inside <= {me}, self._patience)

    def open(self) -> None:
        """Let them in again."""
        self._entrance.release()

    def open_in_child(self) -> None:
        """Let them in again, and forget those that are inside in the parent."""
        self._exit = threading.Condition()
        self._inside &= {threading.get_ident()}
        self._entrance.release()


_gate: Final = ForkGate(10.0)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_gate.close, after_in_parent=_gate.open, after_in_child=_gate.open_in_child
    )


class Threads:
    """The threads for one purpose, so many in each event loop.

    Args:
        purpose: a word, unique.
        count: how many may run at once.
    """

    def __init__(self, purpose: str, count: int) -> None:
        self._count = count
        self._limiters: RunVar[anyio.CapacityLimiter] = RunVar(f"icure_{purpose}_threads")

    def limiter(self) -> anyio.CapacityLimiter:
        """Return the limiter of the threads of the running event loop."""
        try:
            return self._limiters.get()
        except LookupError:
            limiter = anyio.CapacityLimiter(self._count)
            self._limiters.set(limiter)
            return limiter

    async def run(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        """Run what computes, and so ends by itself, in one of the threads."""
        return await anyio.to_thread.run_sync(_gate.run, function, *args, limiter=self.limiter())

    async def run_or_leave(self, function: Callable[[], Result]) -> Result:
        """Run work that may take for ever in one of the threads. Cancelled, leave it behind."""
        async with self.limiter():
            return await outcome_of(start(function))


# Each thread stands in line with the event loop for the interpreter's lock, which most of our
# calculations are too short to let go of.
CRYPTO: Final = Threads("crypto", 2)
STORAGE: Final = Threads("storage", 16)
PARSING: Final = Threads("parsing", 2)
# Among them the derivation of keys, which takes 128 MiB each time.
OTHERS: Final = Threads("other", 4)


def start(function: Callable[[], Result]) -> Job[Result]:
    """Run work in a thread that keeps no program from ending, whatever it is stuck in.

    Raises:
        ICureError: there can be no further thread.
    """
    job: Job[Result] = Future()
    job.set_running_or_notify_cancel()

    def work() -> None:
        try:
            outcome = Outcome(function())
        except BaseException as error:
            outcome = Outcome[Result](error=error)
        job.set_result(outcome)

    thread = threading.Thread(
        target=copy_context().run, args=(work,), name="icure worker", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:
        raise ICureError(
            "No further thread can be started: the interpreter is exiting, or the system allows no "
            "more of them. Make the calls before the program ends, or raise that limit."
        ) from None
    return job


async def outcome_of(job: Job[Result], patience: float = 0.0) -> Result:
    """Return the result of the work, or raise its error.

    Args:
        job: the work, begun.
        patience: how many seconds to wait for it after a cancellation, before that is raised.
    """
    try:
        return (await asyncio.wrap_future(job)).unpack()
    except asyncio.CancelledError:
        if not job.done():
            await wait_through(job, patience)
        raise


async def wait_through(job: Job[Result], seconds: float) -> asyncio.CancelledError | None:
    """Wait for a job through all cancellations, so many seconds at most.

    Returns:
        The last cancellation, which the caller has to raise.
    """
    cancellation: asyncio.CancelledError | None = None
    end = time.monotonic() + seconds
    # The shield holds off anyio's cancel scopes; Task.cancel() ignores it and is caught below.
    with anyio.CancelScope(shield=True):
        while not job.done() and (left := end - time.monotonic()) > 0:
            ended = asyncio.wrap_future(job)
            try:
                await asyncio.wait([ended], timeout=left)
            except asyncio.CancelledError as error:
                cancellation = error
            finally:
                # Else it would call a loop that may be closed by then.
                ended.cancel()
    return cancellation
