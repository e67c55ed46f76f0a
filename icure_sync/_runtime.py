"""The one loop thread per process, and what it takes to block on it correctly.

Nothing is started before the first call. From then on one daemon thread runs an asyncio event loop
that all clients share; every blocking call is one task of it. The interpreter's exit closes what
was left open and stops the thread within :data:`EXIT_SECONDS`.
"""

# Twins have no public names of their own: those are for what the twins are generated from.
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
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar

from anyio import CancelScope

from icure_async.errors import ConfigurationError
from icure_sync._handover import Handover
from icure_sync._jobs import Call, Outcome, Workshop, current_job
from icure_sync._signals import block_signals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from contextvars import Context

__all__ = [
    "EXIT_SECONDS",
    "Closable",
    "Runtime",
    "check_pid",
    "close_at_exit",
    "get_runtime",
    "run",
]

T = TypeVar("T")
P = ParamSpec("P")

_START_NEW_THREAD: Final = _thread.start_new_thread

EXIT_SECONDS: Final = 2.0
"""How long the interpreter's exit waits for running calls to clean up and for clients to close."""


class Abort(Protocol):
    """Aborts a job on the loop thread."""

    def __call__(self, cleaned: Outcome[None] | None = None, /) -> object:
        """Abort, and settle ``cleaned`` after the cleanup."""


class Closable(Protocol):
    """The twin of an object that has to be closed."""

    @property
    def _inner(self) -> Any:
        """The async object, an async context manager."""

    def _is_open(self) -> bool:
        """Return whether it is still to be closed."""
        ...

    def _warn_if_open(self) -> None:
        """Give a ``ResourceWarning`` if it is."""


class _Executor(concurrent.futures.ThreadPoolExecutor):
    """What the loop resolves host names in, one daemon thread for each.

    The threads of asyncio's own executor are joined by the interpreter's exit, however long the
    resolver takes, and start no more once the main thread has ended.
    """

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> concurrent.futures.Future[T]:
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name="icure_sync executor", daemon=True).start()
        return future


class Runtime:
    """The loop thread of this process."""

    def __init__(self) -> None:
        self.handover = Handover()
        self.loop = self.handover.loop = asyncio.SelectorEventLoop(self.handover)
        self.loop.set_default_executor(_Executor())
        self.workshop = Workshop(self.loop)
        self._waiting: set[Outcome[Any]] = set()
        self._left_open: list[Any] = []
        self._closed = False
        self._stopping = asyncio.Event()
        # A daemon, as are the worker threads it starts: whatever they are stuck in, the
        # interpreter can exit.
        self._thread = threading.Thread(target=self._work, name="icure_sync", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            # Python 3.12 starts no thread once the main thread has ended.
            self.loop.close()
            raise _exiting() from None

    def check_thread(self) -> None:
        """Refuse to block the loop thread on itself.

        Raises:
            ConfigurationError: the caller is on the loop thread.
        """
        if threading.get_ident() == self._thread.ident:
            raise ConfigurationError(
                "A blocking call on icure_sync's own loop thread would wait for itself for ever: "
                "make it from a plain function, or await icure_async there."
            )

    def request(
        self,
        outcome: Outcome[Any],
        start: Callable[[], object],
        abort: Abort,
        context: Context,
    ) -> None:
        """Run ``start`` on the loop thread and wait until ``outcome`` is settled.

        Whatever interrupts the wait, Ctrl-C before all, aborts: see :meth:`abort`.

        Raises:
            ConfigurationError: the caller is on the loop thread, or the interpreter is exiting.
        """
        self.check_thread()
        whole = current_job.get()
        if whole is not None:
            start = partial(whole.begin_part, start, abort)
        try:
            self._waiting.add(outcome)
            # After the line above: shutdown() settles whatever is waiting.
            if self._closed:
                raise _exiting()
            self.post(start, context)
            outcome.wait()
        except BaseException as interrupt:
            newest, is_over = interrupt, False
            while not is_over:
                # Two signals may come at the same time. Here is no call outside of the try.
                try:
                    newest = self.abort(abort, newest)
                    is_over = True
                except BaseException as another:
                    newest = another
            raise newest  # noqa: B904
        finally:
            self._waiting.discard(outcome)
            if whole is not None:
                self.post(partial(whole.end_part, abort))
        if isinstance(outcome.error, asyncio.CancelledError) and self.is_closed():
            raise _exiting()

    def abort(self, abort: Abort, interrupt: BaseException) -> BaseException:
        """Abort what was begun, and wait until it has cleaned up after itself.

        Another interrupt ends that wait, but only once the abortion is on its way: two may come at
        the same time.

        Args:
            abort: aborts, and settles the outcome it is given after the cleanup.
            interrupt: what the caller is interrupted by.

        Returns:
            What the caller is to raise: the last interrupt.
        """
        cleaned: Outcome[None] = Outcome(self.handover)
        is_on_its_way = False
        # The exit aborts everything itself.
        while not self._closed:
            try:
                self._waiting.add(cleaned)
                if not is_on_its_way:
                    self.post(partial(abort, cleaned))
                    is_on_its_way = True
                cleaned.wait()
                break
            except BaseException as another:
                interrupt = another
                if is_on_its_way:
                    break
        self._waiting.discard(cleaned)
        return interrupt

    def post(self, function: Callable[[], object], context: Context | None = None) -> None:
        """Run ``function`` on the loop thread some time, unless that has ended."""
        try:
            self.handover.post(function, context)
        except RuntimeError:
            if not self._closed:
                raise

    def is_closed(self) -> bool:
        """Return whether the interpreter is exiting."""
        return self._closed

    def is_usable(self) -> bool:
        """Return whether the caller may wait for the loop thread."""
        return not self._closed and threading.get_ident() != self._thread.ident

    def shutdown(self, left_open: list[Any]) -> None:
        """Abort what runs, close what was left open, and stop, all within ``EXIT_SECONDS``."""
        self._closed = True
        self._left_open = left_open
        self.post(self._stopping.set)
        self._thread.join(EXIT_SECONDS)
        for outcome in list(self._waiting):
            outcome.fail(asyncio.CancelledError())
        self.handover.let_all_go()

    def disown(self) -> None:
        """Cut a forked child's copy of the loop off from the parent's.

        They share one epoll instance: a transport that the child drops would be removed from it,
        and the parent would wait for that transport for ever.
        """
        self._closed = True
        self.loop.set_exception_handler(_ignore)
        if sys.platform == "linux":
            with selectors.EpollSelector() as substitute:
                os.dup2(substitute.fileno(), self.handover.fileno(), inheritable=False)

    def _work(self) -> None:
        block_signals()
        serving = self.loop.create_task(self._serve())
        while not serving.done():
            # A SystemExit or KeyboardInterrupt that a task raises gets out of the event loop, too.
            # It has reached whoever awaits that task; the other tasks go on.
            with contextlib.suppress(BaseException):
                self.loop.run_until_complete(serving)
        self.handover.let_all_go()
        self.loop.set_exception_handler(_ignore)
        self.loop.close()

    async def _serve(self) -> None:
        self.workshop.new_scope = type(CancelScope())
        await self._stopping.wait()
        for job in list(self.workshop.jobs.values()):
            job.abort()
        seconds = EXIT_SECONDS / 5
        await _wait_for(self.workshop.jobs, seconds)
        closing = [
            self.loop.create_task(inner.__aexit__(None, None, None)) for inner in self._left_open
        ]
        await _wait_for(closing, seconds)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await _wait_for(rest, seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.loop.shutdown_asyncgens()


async def _wait_for(tasks: Iterable[asyncio.Task[Any]], seconds: float) -> None:
    waited_for = list(tasks)
    if waited_for:
        done, _ = await asyncio.wait(waited_for, timeout=seconds)
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
_closable: weakref.WeakSet[Closable] = weakref.WeakSet()
_lock = threading.RLock()
_disowned: list[object] = []


def get_runtime() -> Runtime:
    """Return the loop thread of this process, started if need be.

    Raises:
        ConfigurationError: the interpreter is exiting, or threads were replaced behind our back.
    """
    if _thread.start_new_thread is not _START_NEW_THREAD:
        raise ConfigurationError(
            "Threads were replaced after icure_sync was imported, and its calls would wait for "
            "ever: call gevent.monkey.patch_all(), or its like, before the first import of "
            "icure_sync. With gunicorn's gevent workers, leave --preload out."
        )
    return _runtime or _start_runtime()


def _start_runtime() -> Runtime:
    global _runtime
    with _lock:
        if _runtime is None:
            _runtime = Runtime()
            # Registered late: handlers that were registered after the first call run before.
            atexit.unregister(_at_exit)
            atexit.register(_at_exit)
        return _runtime


def close_at_exit(twin: Closable) -> None:
    """Have the interpreter's exit warn of what was left open, and close it."""
    with _lock:
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


def _after_fork_in_child() -> None:
    global _closable, _lock, _runtime
    if _runtime is not None:
        _runtime.disown()
        # Never to be finalised: that would reach for what belongs to the parent.
        _disowned.extend((_runtime, *_closable))
    _runtime = None
    _closable = weakref.WeakSet()
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


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
    runtime = get_runtime()
    outcome: Outcome[T] = Outcome(runtime.handover)
    call = Call(runtime.workshop, outcome, partial(function, *args, **kwargs))
    runtime.request(outcome, call.start, call.abort, copy_context())
    if outcome.error is not None:
        outcome.raise_error()
    return outcome.value


def check_pid(pid: int | None, what: str) -> None:
    """Refuse to use what belongs to the parent process.

    Raises:
        ConfigurationError: the process was forked since ``what`` was made in ``pid``.
    """
    if pid is not None and pid != os.getpid():
        raise ConfigurationError(
            f"{what} was made before os.fork(), by the parent process, and its connections belong "
            "to that: make a new one here. With multiprocessing, make it in the worker."
        )
