"""Worker threads of the SDK's own: a few for each purpose, in each event loop.

The threads of anyio and asyncio belong to the application. Where its handlers use all of them up,
and wait for the SDK, nothing of the SDK may need one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from contextvars import copy_context
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
    "Job",
    "Outcome",
    "Threads",
    "outcome_of",
    "start",
    "wait_through",
]

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

PATIENCE_SECONDS: Final = 5.0
"""Seconds that a cancelled call waits for a write that has begun, or for a callback."""


@attrs.frozen(eq=False, repr=False)
class Outcome(Generic[Result]):
    """What became of work in a thread."""

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
        """Return what counts the threads of the running event loop."""
        try:
            return self._limiters.get()
        except LookupError:
            limiter = anyio.CapacityLimiter(self._count)
            self._limiters.set(limiter)
            return limiter

    async def run(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        """Run what computes, and so ends by itself, in one of the threads."""
        return await anyio.to_thread.run_sync(function, *args, limiter=self.limiter())

    async def run_or_leave(self, function: Callable[[], Result]) -> Result:
        """Run what may take for ever in one of the threads. Cancelled, leave it behind."""
        async with self.limiter():
            return await outcome_of(start(function))


# OpenSSL works under the interpreter's lock here: more threads make nothing faster, and each one
# more stands in line with the event loop for that lock.
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
    """Return what the work returns, or raise what it raises.

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
