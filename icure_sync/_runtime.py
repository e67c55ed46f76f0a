"""The one loop thread per process, and blocking calls on it.

Nothing is started before the first call. From then on one daemon thread runs an asyncio event loop
that all clients share; every blocking call is one task of it. The interpreter's exit closes what
was left open and stops the thread within :data:`EXIT_SECONDS`.
"""

# Twins have no public names of their own: public names are those of the async classes.
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

import _thread
import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import selectors
import sys
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from icure_async.errors import ConfigurationError
from icure_sync._jobs import Job, Task, current_job
from icure_sync._signals import block_signals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from icure_sync._twins import Twin

__all__ = [
    "EXIT_SECONDS",
    "Runtime",
    "check_pid",
    "close_at_exit",
    "get_runtime",
    "lock",
    "run",
]

T = TypeVar("T")
P = ParamSpec("P")

_START_NEW_THREAD: Final = _thread.start_new_thread

EXIT_SECONDS: Final = 2.0
"""The time that the interpreter's exit gives running calls to clean up and clients to close."""

_STEP_SECONDS: Final = EXIT_SECONDS / 5

_STANDSTILL_SECONDS: Final = 5.0
"""Seconds that a fork waits for the loop thread, which imports modules in its first calls."""


class _Executor(concurrent.futures.ThreadPoolExecutor):
    """Resolves host names for the loop, each in a daemon thread of its own.

    The threads of asyncio's own executor are joined by the interpreter's exit, however long the
    resolver takes, and start no more once the main thread has ended.
    """

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> concurrent.futures.Future[T]:
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name="icure_sync executor", daemon=True).start()
        return future


class Runtime:
    """The loop thread of this process.

    Attributes:
        loop: its event loop.
        is_closed: whether the interpreter is exiting.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.loop = asyncio.SelectorEventLoop(self._selector)
        self.loop.set_default_executor(_Executor())
        self.is_closed = False
        self._waiting: set[Job[Any]] = set()
        self._left_open: list[Any] = []
        self._stopping = asyncio.Event()
        self._going_on = threading.Event()
        # A daemon, as are the worker threads it starts: whatever they are stuck in, the
        # interpreter can exit.
        self._thread = threading.Thread(target=self._work, name="icure_sync", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # Python 3.12 starts no thread once the main thread has ended.
            self.loop.close()
            raise _exiting() from None

    def is_here(self) -> bool:
        """Return whether the caller is on the loop thread."""
        return threading.get_ident() == self._thread.ident

    def check_thread(self) -> None:
        """Refuse to block the loop thread on itself."""
        if self.is_here():
            raise ConfigurationError(
                "A blocking call on icure_sync's own loop thread would wait for itself for ever: "
                "make it from a plain function, or await icure_async there."
            )

    def result_of(self, job: Job[T]) -> T:
        """Run a job, and return its result, or raise its error. An interrupt aborts it."""
        __tracebackhide__ = True
        self.check_thread()
        try:
            self._wait_for(job)
        except BaseException:
            try:
                self._wait_for(Job(job.abandon))
            except BaseException:
                # Two signals may come at once, before anything was done about the first.
                self.post(Job(job.abandon).start)
                raise
            raise
        if self.is_closed and isinstance(job.error, asyncio.CancelledError):
            raise _exiting()
        return job.result()

    def _wait_for(self, job: Job[Any]) -> None:
        try:
            self._waiting.add(job)
            # After the line above: shutdown() ends all that wait.
            if self.is_closed:
                job.end()
            else:
                self.post(job.begin)
                job.wait()
        finally:
            self._waiting.discard(job)

    def post(self, function: Callable[[], object]) -> None:
        """Run a function on the loop thread some time, unless that has ended."""
        try:
            self.loop.call_soon_threadsafe(function)
        except RuntimeError:
            if not self.is_closed:
                raise

    def shutdown(self, left_open: list[Any]) -> None:
        """Abort what runs, close what was left open, and stop, all within ``EXIT_SECONDS``."""
        self.is_closed = True
        self._left_open = left_open
        self.post(self._stopping.set)
        self._thread.join(EXIT_SECONDS)
        for job in list(self._waiting):
            job.end()

    def stand_still(self) -> None:
        """Keep the loop thread from holding any lock until :meth:`go_on`, unless it is stuck."""
        stands, going_on = threading.Event(), threading.Event()
        self._going_on = going_on

        def stand() -> None:
            stands.set()
            going_on.wait()

        if not self.is_here() and not self.is_closed:
            self.post(stand)
            stands.wait(_STANDSTILL_SECONDS)

    def go_on(self) -> None:
        """Let the loop thread go on."""
        self._going_on.set()

    def disown(self) -> None:
        """Cut a forked child's copy of the loop off from the parent's.

        They share one epoll instance: a transport that the child drops would be removed from it,
        and the parent would wait for that transport for ever.
        """
        self.is_closed = True
        self.loop.set_exception_handler(_ignore)
        if sys.platform == "linux":
            with selectors.EpollSelector() as substitute:
                os.dup2(substitute.fileno(), self._selector.fileno(), inheritable=False)

    def _work(self) -> None:
        block_signals()
        serving = self.loop.create_task(self._serve())
        while not serving.done():
            # A SystemExit or KeyboardInterrupt that a task raises gets out of the event loop, too.
            # It has reached the awaiters of that task; the other tasks go on.
            with contextlib.suppress(BaseException):
                self.loop.run_until_complete(serving)
        self.loop.set_exception_handler(_ignore)
        self.loop.close()

    async def _serve(self) -> None:
        await self._stopping.wait()
        aborted = [task for task in asyncio.all_tasks() if isinstance(task, Task)]
        for aborting in aborted:
            aborting.job.abort()
        await _wait_for(aborted)
        await _wait_for(
            [self.loop.create_task(inner.__aexit__(None, None, None)) for inner in self._left_open]
        )
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await _wait_for(rest)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STEP_SECONDS):
                await self.loop.shutdown_asyncgens()


async def _wait_for(tasks: Collection[asyncio.Task[Any]]) -> None:
    if tasks:
        done, _ = await asyncio.wait(tasks, timeout=_STEP_SECONDS)
        for task in done:
            if not task.cancelled():
                task.exception()


def _ignore(*_: object) -> None:
    """Handle the complaints of a loop that has ended."""


def _exiting() -> ConfigurationError:
    return ConfigurationError(
        "The interpreter is exiting, and icure_sync's loop thread has ended: make the calls, and "
        "join the threads that make them, before the program ends."
    )


_runtime: Runtime | None = None
_closable: weakref.WeakSet[Twin[Any]] = weakref.WeakSet()
lock: Final = threading.RLock()
"""Held to start the loop thread, and to register twins."""

_forking: Final = threading.RLock()
"""Held by the thread that forks, for which the loop thread stands still."""

_disowned: list[object] = []


def get_runtime() -> Runtime:
    """Return the loop thread of this process, started if need be."""
    if _thread.start_new_thread is not _START_NEW_THREAD:
        raise ConfigurationError(
            "Threads were replaced after icure_sync was imported, and its calls would wait for "
            "ever: call gevent.monkey.patch_all(), or its like, before the first import of "
            "icure_sync. With gunicorn's gevent workers, leave --preload out."
        )
    return _runtime or _start_runtime()


def _start_runtime() -> Runtime:
    global _runtime
    with lock:
        if _runtime is None:
            _runtime = Runtime()
            # Registered late: handlers that were registered after the first call run before.
            atexit.unregister(_at_exit)
            atexit.register(_at_exit)
        return _runtime


def close_at_exit(twin: Twin[Any]) -> None:
    """Have the interpreter's exit warn of what was left open, and close it."""
    with lock:
        _closable.add(twin)


def _at_exit() -> None:
    if _runtime is None:
        return
    left_open = [twin for twin in list(_closable) if twin._is_open()]
    try:
        for twin in left_open:
            twin._warn_if_open()
    finally:
        _runtime.shutdown([twin._inner for twin in left_open])


def _before_fork() -> None:
    _forking.acquire()
    lock.acquire()
    if _runtime is not None:
        # The loop thread may wait for the lock.
        lock.release()
        try:
            _runtime.stand_still()
        finally:
            lock.acquire()


def _after_fork_in_parent() -> None:
    if _runtime is not None:
        _runtime.go_on()
    # In this order: an interrupt may have come when only the first one was held.
    _forking.release()
    lock.release()


def _after_fork_in_child() -> None:
    global _closable, _runtime
    if _runtime is not None:
        _runtime.disown()
        # Never to be finalised: that would touch objects of the parent.
        _disowned.extend((_runtime, *_closable))
    _runtime = None
    _closable = weakref.WeakSet()
    _forking.release()
    lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )


def run(function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call an async function on the loop thread, and block for its result.

    The function runs in a copy of the caller's context. Ctrl-C cancels it and waits until it has
    cleaned up after itself; a second one does not wait.

    Args:
        function: an async function, or any that returns an awaitable.
        args: its positional arguments.
        kwargs: its keyword arguments.

    Raises:
        ConfigurationError: the caller is on the loop thread, or the interpreter is exiting.
        concurrent.futures.CancelledError: the function cancelled itself, or the call is made by a
            callback of one that was interrupted.
    """
    __tracebackhide__ = True
    job = Job(partial(function, *args, **kwargs), current_job.get())
    try:
        result = get_runtime().result_of(job)
    except BaseException:
        job.forget(result=False)
        raise
    job.forget(result=True)
    return result


def check_pid(pid: int | None, what: str) -> None:
    """Refuse to use what was made in a process ``pid`` that was forked since then."""
    if pid is not None and pid != os.getpid():
        raise ConfigurationError(
            f"{what} was made before os.fork(), by the parent process, and its connections belong "
            "to that: make a new one here. With multiprocessing, make it in the worker."
        )
