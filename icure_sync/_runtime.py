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
import inspect
import math
import os
import selectors
import sys
import threading
import warnings
import weakref
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
)
from contextvars import Context, ContextVar, copy_context
from functools import partial, wraps
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    NoReturn,
    ParamSpec,
    Self,
    TypeVar,
    cast,
    overload,
)

from anyio import CancelScope, CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from icure_async.errors import ConfigurationError
from icure_async.storage.locks import StorageLock
from icure_sync._handover import Handover

if TYPE_CHECKING:
    from types import TracebackType

__all__ = [
    "EXIT_SECONDS",
    "ClosableIterator",
    "Twin",
    "adapt",
    "callback",
    "iterate",
    "run",
    "trimmed_traceback",
]

A = TypeVar("A")
T = TypeVar("T")
P = ParamSpec("P")

EXIT_SECONDS: Final = 2.0
"""How long the interpreter's exit waits for running calls to clean up and for clients to close."""

_ABANDONED_ITERATOR_SECONDS: Final = 10.0
# A lock acquired without a timeout is interrupted by Ctrl-C on POSIX only.
_POLL_SECONDS: Final = -1 if os.name == "posix" else 0.1


class _Outcome(Generic[T]):
    """Where the loop thread leaves what became of a request, and where the caller waits for it."""

    __slots__ = ("__weakref__", "_handover", "_lock", "_settled", "error", "value")

    value: T

    def __init__(self, runtime: _Runtime) -> None:
        self.error: BaseException | None = None
        self._handover = runtime.handover
        self._settled = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def succeed(self, value: T) -> None:
        if not self._settled:
            self.value = value
            self._settled = True
            self._handover.let_go(self._lock)

    def fail(self, error: BaseException) -> None:
        if not self._settled:
            self.error = error
            self._settled = True
            self._handover.let_go(self._lock)

    def wait(self) -> None:
        while not self._handover.wait(self._lock, _POLL_SECONDS):
            pass

    def wait_on(self) -> None:
        """Wait again, after an interrupt: that may have come when the lock was acquired."""
        while not self._settled and not self._handover.wait(self._lock, _POLL_SECONDS):
            pass

    def wait_at_most(self, seconds: float) -> None:
        if not self._settled:
            self._handover.wait(self._lock, seconds)

    def take_error(self) -> BaseException:
        """Return the error as the caller is to see it, and let go of it."""
        error, self.error = cast("BaseException", self.error), None
        _trim(error)
        if isinstance(error, asyncio.CancelledError):
            # It belongs to the task it was raised in. Raised anew in the caller, it would cancel
            # the caller's own task where there is one.
            cancelled = concurrent.futures.CancelledError(
                "The call was cancelled from within, or is part of one that was interrupted."
            )
            cancelled.__cause__ = error
            return cancelled
        return error


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


class _Job:
    """A task on the loop thread that can be aborted. Every method runs on the loop thread.

    What a plain callback of a job asks for is part of that job, and aborted with it.
    """

    __slots__ = ("_aborted", "_parts", "_runtime", "_scope", "_shelter", "_task")

    def __init__(self, runtime: _Runtime) -> None:
        self._runtime = runtime
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
        self._task = _Task(self._drive(), loop=self._runtime.loop)
        self._runtime.jobs[self._task] = self
        self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._forget(cast("_Task", task))
        if not task.cancelled():
            task.exception()

    def _forget(self, task: _Task) -> None:
        del self._runtime.jobs[task]
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
        _current_job.set(self)
        new_scope = self._runtime.new_scope
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


_current_job: ContextVar[_Job | None] = ContextVar("icure_sync_current_job", default=None)


class _Call(_Job, Generic[T]):
    """One awaited function."""

    __slots__ = ("_function", "_outcome")

    def __init__(
        self, runtime: _Runtime, outcome: _Outcome[T], function: Callable[[], Awaitable[T]]
    ) -> None:
        super().__init__(runtime)
        self._outcome = outcome
        self._function = function

    def start(self) -> None:
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


_END: Final = object()


class _Pump(_Job, Generic[T]):
    """Steps an async iterator in one task, one step for each demand.

    Cancel scopes and task groups that the iterator holds open around a ``yield`` thereby stay in
    the task that entered them, and nothing is fetched before it is asked for.
    """

    __slots__ = (
        "_closing",
        "_demand",
        "_early",
        "_ended",
        "_failure",
        "_interrupted",
        "_items",
        "_wake_up",
    )

    def __init__(self, runtime: _Runtime, items: AsyncIterable[T]) -> None:
        super().__init__(runtime)
        self._items = items
        self._interrupted: _Outcome[T | object] | None = None
        self._demand: _Outcome[T | object] | None = None
        self._early: deque[T] = deque()
        self._failure: BaseException | None = None
        self._wake_up: asyncio.Future[None] | None = None
        self._closing = False
        self._ended = False

    def demand(self, outcome: _Outcome[T | object]) -> None:
        """Settle ``outcome`` with the next item, or with ``_END``."""
        if self._early:
            outcome.succeed(self._early.popleft())
            return
        self._demand = outcome
        if self._ended:
            self._finished()
        elif self._task is None:
            self._launch()
        else:
            self._go_on()

    def close(self, outcome: _Outcome[T | object]) -> None:
        """Close the iterator, and settle ``outcome`` when its cleanup is done.

        A step that is under way is aborted: a signal handler has interrupted whoever waits for it.
        """
        self._closing = True
        self._early.clear()
        self._interrupted, self._demand = self._demand, outcome
        if self._interrupted is not None:
            self.abort()
        elif self._task is None:
            self._finished()
        else:
            self._go_on()

    def stop(self, outcome: _Outcome[T | object]) -> None:
        """Abort, and settle ``outcome`` after the cleanup, even if it was never asked for."""
        self._demand = outcome
        self.abort()

    def _go_on(self) -> None:
        if self._wake_up is not None and not self._wake_up.done():
            self._wake_up.set_result(None)

    async def _work(self) -> None:
        try:
            iterator = aiter(self._items)
            while True:
                self._hand_over(await anext(iterator))
                await self._demanded(iterator)
                if self._closing:
                    await _close(iterator)
                    return
        except StopAsyncIteration:
            pass
        except StopIteration as error:
            # It would end the caller's loop as if there was nothing wrong.
            self._failure = RuntimeError("The async iterator raised StopIteration.")
            self._failure.__cause__ = error
        except BaseException as error:
            self._failure = error

    def _hand_over(self, item: T) -> None:
        if self._demand is None:
            self._early.append(item)
        else:
            outcome, self._demand = self._demand, None
            outcome.succeed(item)

    async def _demanded(self, iterator: AsyncIterator[T]) -> None:
        while not self._closing:
            self._wake_up = self._runtime.loop.create_future()
            try:
                await self._wake_up
            except asyncio.CancelledError as cancellation:
                # A scope that the iterator holds open around its yield has expired meanwhile. Only
                # the iterator can leave that scope.
                throw = getattr(iterator, "athrow", None)
                if throw is None:
                    raise
                self._wake_up = None
                self._hand_over(await throw(cancellation))
            else:
                return
            finally:
                self._wake_up = None

    def _finished(self) -> None:
        self._ended = True
        interrupted, self._interrupted = self._interrupted, None
        if interrupted is not None:
            interrupted.succeed(_END)
        outcome, self._demand = self._demand, None
        if outcome is None:
            return
        failure, self._failure = self._failure, None
        if self._aborted:
            failure = self._failure_of_abort(failure)
        if failure is not None:
            outcome.fail(failure)
        else:
            outcome.succeed(_END)

    def _failure_of_abort(self, failure: BaseException | None) -> BaseException | None:
        if not self._closing:
            # However it took it, it has not come to its end.
            return failure or asyncio.CancelledError()
        return None if isinstance(failure, asyncio.CancelledError) else failure


async def _close(iterator: AsyncIterator[Any]) -> None:
    close = getattr(iterator, "aclose", None)
    if close is None:
        return
    try:
        await close()
    except BaseExceptionGroup as group:
        # A task group around the yield packs up the GeneratorExit that closes the generator.
        rest = group.split(GeneratorExit)[1]
        if rest is not None:
            raise rest from None


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


class _Runtime:
    """The loop thread of this process."""

    def __init__(self) -> None:
        self.handover = Handover()
        self.loop = self.handover.loop = asyncio.SelectorEventLoop(self.handover)
        self.loop.set_default_executor(_Executor())
        self.jobs: dict[_Task, _Job] = {}
        self._waiting: set[_Outcome[Any]] = set()
        self._left_open: list[Any] = []
        # What CancelScope() looks up each time, see _serve().
        self.new_scope: Callable[[], CancelScope] = CancelScope
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
        outcome: _Outcome[Any],
        start: Callable[[], object],
        abort: Callable[[], object],
        context: Context,
    ) -> None:
        """Run ``start`` on the loop thread and wait until ``outcome`` is settled.

        Whatever interrupts the wait, Ctrl-C before all, runs ``abort`` and waits again: what was
        begun has cleaned up after itself when the interrupt gets on. A second one ends that wait.

        Raises:
            ConfigurationError: the caller is on the loop thread, or the interpreter is exiting.
        """
        self.check_thread()
        whole = _current_job.get()
        if whole is not None:
            start = partial(whole.begin_part, start, abort)
        self._waiting.add(outcome)
        try:
            # After the line above: shutdown() settles whatever is waiting.
            if self._closed:
                raise _exiting()
            try:
                self.post(start, context)
                outcome.wait()
            except BaseException:
                self.post(abort)
                outcome.wait_on()
                raise
        finally:
            self._waiting.discard(outcome)
            if whole is not None:
                self.post(partial(whole.end_part, abort))
        if isinstance(outcome.error, asyncio.CancelledError) and self.is_closed():
            raise _exiting()

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
        self.new_scope = type(CancelScope())
        await self._stopping.wait()
        for job in list(self.jobs.values()):
            job.abort()
        seconds = EXIT_SECONDS / 5
        await _wait_for(self.jobs, seconds)
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


_runtime: _Runtime | None = None
# Twins of objects that have to be closed.
_closable: weakref.WeakSet[Twin[Any]] = weakref.WeakSet()
_lock = threading.RLock()
_disowned: list[object] = []


def _get_runtime() -> _Runtime:
    return _runtime or _start_runtime()


def _start_runtime() -> _Runtime:
    global _runtime
    with _lock:
        if _runtime is None:
            _runtime = _Runtime()
            # Registered late: handlers that were registered after the first call run before.
            atexit.unregister(_at_exit)
            atexit.register(_at_exit)
        return _runtime


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
    runtime = _get_runtime()
    outcome: _Outcome[T] = _Outcome(runtime)
    call = _Call(runtime, outcome, partial(function, *args, **kwargs))
    runtime.request(outcome, call.start, call.abort, copy_context())
    if outcome.error is not None:
        _raise(outcome)
    return outcome.value


def _raise(outcome: _Outcome[Any]) -> NoReturn:
    __tracebackhide__ = True
    error = outcome.take_error()
    context = error.__context__
    try:
        raise error
    finally:
        # To raise is to replace the context by what the caller is handling, if anything.
        if context is not None:
            error.__context__ = context
        # A frame that is in the traceback of its own variable is a cycle.
        del error, context


def iterate(
    function: Callable[P, AsyncIterable[T]], /, *args: P.args, **kwargs: P.kwargs
) -> ClosableIterator[T]:
    """Return an iterator over what an async iterator yields.

    Args:
        function: returns the async iterator; it is called at once, so that it can refuse its
            arguments. Nothing is fetched before the first step.
        args: its positional arguments.
        kwargs: its keyword arguments.
    """
    return ClosableIterator(function(*args, **kwargs))


class ClosableIterator(Iterator[T]):
    """Blocks for the items of an async iterator, one by one; nothing is fetched ahead.

    It is closed by :meth:`close`, by leaving its ``with`` statement, and when it is dropped, as a
    ``for`` loop does at ``break`` or an exception: the async iterator's cleanup is then done before
    the next statement. Threads may share it.
    """

    __slots__ = ("_context", "_items", "_lock", "_pid", "_pump", "_runtime", "_stepping")

    def __init__(self, items: AsyncIterable[T]) -> None:
        self._items: AsyncIterable[T] | None = items
        self._pump: _Pump[T] | None = None
        self._runtime: _Runtime | None = None
        self._context = copy_context()
        # Reentrant: a signal handler may close what the interrupted code is iterating over.
        self._lock = threading.RLock()
        self._stepping = False
        self._pid = os.getpid()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        __tracebackhide__ = True
        with trimmed_traceback:
            _check_pid(self._pid, "This iterator")
            with self._lock:
                return self._step()

    def _step(self) -> T:
        if self._stepping:
            raise ConfigurationError(
                "This iterator is in the middle of a step, which the signal handler that asks for "
                "another has interrupted: let the handler set a flag, or close the iterator."
            )
        if self._items is not None:
            self._runtime = _get_runtime()
            self._pump = _Pump(self._runtime, self._items)
            self._items = None
        pump, runtime = self._pump, self._runtime
        if pump is None or runtime is None:
            raise StopIteration
        runtime.check_thread()
        outcome: _Outcome[Any] = _Outcome(runtime)
        demand, stop = partial(pump.demand, outcome), partial(pump.stop, outcome)
        try:
            self._stepping = True
            runtime.request(outcome, demand, stop, self._context)
            if outcome.error is None and outcome.value is not _END:
                return cast("T", outcome.value)
        except BaseException:
            self._pump = None
            # The interrupt may have come when the item was already there.
            runtime.post(partial(pump.close, _Outcome(runtime)))
            raise
        finally:
            self._stepping = False
        self._pump = None
        if outcome.error is not None:
            _raise(outcome)
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        pump, runtime = getattr(self, "_pump", None), getattr(self, "_runtime", None)
        if pump is None or runtime is None or self._pid != os.getpid():
            return
        outcome: _Outcome[Any] = _Outcome(runtime)
        runtime.post(partial(pump.close, outcome))
        # The garbage collector may run anywhere, even on the loop thread.
        if not runtime.is_usable():
            return
        try:
            outcome.wait_at_most(_ABANDONED_ITERATOR_SECONDS)
        except KeyboardInterrupt:
            _ctrl_c_after_this = _CtrlC()
            runtime.post(partial(pump.stop, outcome))
            outcome.wait_at_most(_ABANDONED_ITERATOR_SECONDS)
        else:
            if outcome.error is not None:
                _raise(outcome)

    def close(self) -> None:
        """Close the async iterator and wait for its cleanup. Calling it again does nothing.

        A signal handler may call it in the middle of a step, which then ends the iteration. In a
        forked child it does nothing to an iterator of the parent.
        """
        __tracebackhide__ = True
        if self._pid != os.getpid():
            return
        with trimmed_traceback:
            if self._runtime is not None:
                self._runtime.check_thread()
            with self._lock:
                pump, runtime = self._pump, self._runtime
                self._items = self._pump = None
            if pump is None or runtime is None:
                return
            outcome: _Outcome[Any] = _Outcome(runtime)
            close, stop = partial(pump.close, outcome), partial(pump.stop, outcome)
            runtime.request(outcome, close, stop, self._context)
            if outcome.error is not None:
                _raise(outcome)


class _CtrlC:
    """Presses Ctrl-C when it is garbage.

    Python only reports what a ``__del__`` raises, and goes on as if nothing was. So Ctrl-C has to
    come anew when the ``__del__`` has returned, which is when its variables are dropped. There must
    be no line of Python between here and there: that would be what is interrupted.
    """

    __slots__ = ()

    __del__ = _thread.interrupt_main


class Twin(Generic[A]):
    """Base of every generated class: holds the async object, and blocks on its calls.

    A subclass with a constructor of its own calls ``super().__init__(inner)``.
    """

    __slots__ = ("__weakref__", "_inner", "_pid")

    _inner: A

    def __init__(self, inner: A) -> None:
        self._hold(inner)

    def _hold(self, inner: A, pid: int | None = None) -> None:
        self._inner = inner
        self._pid = os.getpid() if pid is None else pid
        _known[id(inner)] = self
        if hasattr(type(inner), "__aexit__"):
            # Somebody may hold the inner object when nobody holds the twin. That it was left open
            # is certain when both are garbage, so they become so together.
            with contextlib.suppress(AttributeError):
                object.__setattr__(inner, "_blocking_twin", self)
            with _lock:
                _closable.add(self)

    @classmethod
    def _wrap(cls, inner: A, *, pid: int | None = None) -> Self:
        """Return the twin of an async object, the same one as long as it is in use.

        Args:
            inner: the async object.
            pid: the process it was made in; by default this one.
        """
        with _lock:
            known = _known.get(id(inner))
            if isinstance(known, cls) and known._inner is inner:
                return known
            twin = cls.__new__(cls)
            twin._hold(inner, pid)
            return twin

    @property
    def _here(self) -> A:
        """The async object, unless the process was forked since it was made."""
        _check_pid(self._pid, f"This {type(self).__name__}")
        return self._inner

    def _run(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do as :func:`run` does, unless the process was forked meanwhile."""
        __tracebackhide__ = True
        if self._pid != os.getpid():
            _check_pid(self._pid, f"This {type(self).__name__}")
        return run(function, *args, **kwargs)

    def _close(
        self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Call what closes the async object, unless that is the business of the parent process.

        A forked child leaves the ``with`` blocks of its parent, too, whatever it does.
        """
        __tracebackhide__ = True
        if self._pid == os.getpid():
            run(function, *args, **kwargs)

    def _iterate(
        self, function: Callable[P, AsyncIterable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> ClosableIterator[T]:
        """Do as :func:`iterate` does, unless the process was forked meanwhile."""
        __tracebackhide__ = True
        _check_pid(self._pid, f"This {type(self).__name__}")
        return iterate(function, *args, **kwargs)

    def _is_open(self) -> bool:
        """Return whether the async object is one that has to be closed, and was not."""
        closed = getattr(self._inner, "_closed", None)
        if isinstance(closed, bool):
            return not closed
        return getattr(self._inner, "_runner", None) is not None

    def _warn_if_open(self) -> None:
        """Give a ``ResourceWarning`` if the async object was left open."""
        if getattr(self, "_pid", None) != os.getpid() or not self._is_open():
            return
        name = type(self).__name__
        warnings.warn(
            f"A {name} was not closed: use it in a with statement, or call its close().",
            ResourceWarning,
            source=self,
            stacklevel=3,
        )

    def __del__(self) -> None:
        self._warn_if_open()

    def __repr__(self) -> str:
        name, text = type(self).__name__, repr(self._inner)
        of_inner = type(self._inner).__name__
        for opening in ("", "<"):
            if text.startswith(opening + of_inner):
                return opening + name + text.removeprefix(opening + of_inner)
        return f"<{name}>"


_known: weakref.WeakValueDictionary[int, Twin[Any]] = weakref.WeakValueDictionary()


def _check_pid(pid: int, what: str) -> None:
    if pid != os.getpid():
        raise ConfigurationError(
            f"{what} was made before os.fork(), by the parent process, and its connections belong "
            "to that: make a new one here. With multiprocessing, make it in the worker."
        )


def adapt(obj: Any, protocol_methods: tuple[str, ...]) -> Any:
    """Return an object that the SDK can await in place of a plain implementation of a protocol.

    Each plain method is called in a worker thread, and so perhaps in several at once.

    Args:
        obj: the implementation; its methods may be plain, async, or some of each. One whose
            methods are all async is returned as it is.
        protocol_methods: the names of the methods of the protocol.

    Raises:
        ConfigurationError: a method is missing.
    """
    if isinstance(obj, Twin):
        twin: Twin[Any] = obj  # pyright: ignore[reportUnknownVariableType]
        _check_pid(twin._pid, f"This {type(twin).__name__}")
        return twin._inner
    methods: dict[str, Any] = {}
    for name in protocol_methods:
        method = getattr(obj, name, None)
        if not callable(method):
            raise ConfigurationError(
                f"{type(obj).__name__} can't be used here: it has no method {name}()."
            )
        methods[name] = method
    if all(_is_async(method) for method in methods.values()):
        return obj
    return _Adapted(obj, methods)


class _Adapted:
    """A plain implementation of an async protocol, ready to be awaited.

    Attributes:
        lock: as in ``LockableStorage``, if the implementation has such a method; else None.
    """

    def __init__(self, adapted: object, methods: dict[str, Any]) -> None:
        self._adapted = adapted
        for name, method in methods.items():
            setattr(self, name, callback(method))
        lock = getattr(adapted, "lock", None)
        self.lock = partial(_adapted_lock, lock) if callable(lock) else None

    def __repr__(self) -> str:
        return f"<adapted {type(self._adapted).__name__}>"


@contextlib.asynccontextmanager
async def _adapted_lock(lock: Callable[[str], Any], name: str) -> AsyncGenerator[StorageLock]:
    manager = lock(name)
    if hasattr(manager, "__aenter__"):
        async with manager as held:
            yield held
        return
    held = await callback(manager.__enter__)()
    try:
        # One that doesn't tell may have waited.
        yield held if isinstance(held, StorageLock) else StorageLock(waited=True)
    finally:
        # Nothing may keep the lock from being let go of.
        with CancelScope(shield=True):
            await callback(manager.__exit__)(*sys.exc_info())


@overload
def callback(
    function: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]: ...
@overload
def callback(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]: ...
def callback(function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return an async function that runs a plain one in a worker thread.

    The function sees the context variables of the call it was made in. An awaitable that it
    returns is awaited on the loop thread. An async function is returned as it is.

    It may take as long as it likes, and make blocking calls itself: any number run at once.
    """
    if _is_async(function):
        return function

    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        called = partial(function, *args, **kwargs)
        result = await to_thread.run_sync(called, limiter=_unlimited())
        return await result if inspect.isawaitable(result) else result

    return call


_limiter: Final[RunVar[CapacityLimiter]] = RunVar("icure_sync_callbacks")


def _unlimited() -> CapacityLimiter:
    # Callbacks that wait for calls must not take the worker threads that these calls need.
    try:
        return _limiter.get()
    except LookupError:
        limiter = CapacityLimiter(math.inf)
        _limiter.set(limiter)
        return limiter


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


class _TrimmedTraceback:
    """See :data:`trimmed_traceback`."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_value is not None:
            exc_value.__traceback__ = _without_plumbing(exc_value.__traceback__)


trimmed_traceback: Final = _TrimmedTraceback()
"""Entered around a blocking call, it also removes the frames between that line and the SDK's."""


def _trim(error: BaseException) -> None:
    """Take the plumbing out of the tracebacks of an error and of those it came from."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = _without_plumbing(one.__traceback__)
        todo += (one.__cause__, one.__context__)
        if isinstance(one, BaseExceptionGroup):
            todo += cast("BaseExceptionGroup[BaseException]", one).exceptions


def _without_plumbing(traceback: TracebackType | None) -> TracebackType | None:
    first = traceback
    while first is not None and _is_plumbing(first):
        first = first.tb_next
    kept = first
    while kept is not None:
        following = kept.tb_next
        while following is not None and _is_plumbing(following):
            following = following.tb_next
        kept.tb_next = following
        kept = following
    return first


_PLUMBING: Final = (f"{__name__}.", f"{Handover.__module__}.", "anyio.", "concurrent.futures.")


def _is_plumbing(traceback: TracebackType) -> bool:
    module = traceback.tb_frame.f_globals.get("__name__", "")
    return f"{module}.".startswith(_PLUMBING)
