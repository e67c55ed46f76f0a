"""Async iterators, stepped for a blocking caller."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Self, TypeVar, cast

from icure_async.errors import ConfigurationError
from icure_sync._jobs import Job, Outcome
from icure_sync._runtime import Runtime, check_pid, get_runtime
from icure_sync._tracebacks import trimmed_traceback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from icure_sync._jobs import Workshop

__all__ = ["ClosableIterator", "entered", "iterate"]

T = TypeVar("T")
P = ParamSpec("P")

_ABANDONED_SECONDS: Final = 10.0


_END: Final = object()


class _Pump(Job, Generic[T]):
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

    def __init__(self, workshop: Workshop, items: AsyncIterable[T]) -> None:
        super().__init__(workshop)
        self._items = items
        self._interrupted: Outcome[T | object] | None = None
        self._demand: Outcome[T | object] | None = None
        self._early: deque[T] = deque()
        self._failure: BaseException | None = None
        self._wake_up: asyncio.Future[None] | None = None
        self._closing = False
        self._ended = False

    def demand(self, outcome: Outcome[T | object]) -> None:
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

    def close(self, outcome: Outcome[T | object]) -> None:
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

    def stop(self, outcome: Outcome[T | object]) -> None:
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
            self._wake_up = self._workshop.loop.create_future()
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


@contextlib.contextmanager
def entered(
    function: Callable[P, AbstractAsyncContextManager[T]], /, *args: P.args, **kwargs: P.kwargs
) -> Generator[T, None, None]:
    """Return a context manager that enters and leaves an async one, both in the same task.

    What the block raises is not passed on to the async one: that is left as at the block's end.

    Args:
        function: returns the async context manager.
        args: its positional arguments.
        kwargs: its keyword arguments.
    """
    with iterate(_held_by, partial(function, *args, **kwargs)) as held:
        yield next(held)


async def _held_by(
    function: Callable[[], AbstractAsyncContextManager[T]],
) -> AsyncGenerator[T, None]:
    async with function() as held:
        yield held


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
        self._runtime: Runtime | None = None
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
            check_pid(self._pid, "This iterator")
            with self._lock:
                return self._step()

    def _step(self) -> T:
        if self._stepping:
            raise ConfigurationError(
                "This iterator is in the middle of a step, which the signal handler that asks for "
                "another has interrupted: let the handler set a flag, or close the iterator."
            )
        if self._items is not None:
            self._runtime = get_runtime()
            self._pump = _Pump(self._runtime.workshop, self._items)
            self._items = None
        pump, runtime = self._pump, self._runtime
        if pump is None or runtime is None:
            raise StopIteration
        runtime.check_thread()
        outcome: Outcome[Any] = Outcome(runtime.handover)
        demand, stop = partial(pump.demand, outcome), partial(pump.stop, outcome)
        try:
            self._stepping = True
            runtime.request(outcome, demand, stop, self._context)
            if outcome.error is None and outcome.value is not _END:
                return cast("T", outcome.value)
        except BaseException:
            self._pump = None
            # The interrupt may have come when the item was already there.
            runtime.post(partial(pump.close, Outcome(runtime.handover)))
            raise
        finally:
            self._stepping = False
        self._pump = None
        if outcome.error is not None:
            outcome.raise_error()
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
        outcome: Outcome[Any] = Outcome(runtime.handover)
        runtime.post(partial(pump.close, outcome))
        # The garbage collector may run anywhere, even on the loop thread.
        if not runtime.is_usable():
            return
        try:
            outcome.wait_at_most(_ABANDONED_SECONDS)
        except KeyboardInterrupt:
            _ctrl_c_after_this = _CtrlC()
            runtime.post(partial(pump.stop, outcome))
            outcome.wait_at_most(_ABANDONED_SECONDS)
        else:
            if outcome.error is not None:
                outcome.raise_error()

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
            outcome: Outcome[Any] = Outcome(runtime.handover)
            close, stop = partial(pump.close, outcome), partial(pump.stop, outcome)
            runtime.request(outcome, close, stop, self._context)
            if outcome.error is not None:
                outcome.raise_error()


class _CtrlC:
    """Presses Ctrl-C when it is garbage.

    Python only reports what a ``__del__`` raises, and goes on as if nothing was. So Ctrl-C has to
    come anew when the ``__del__`` has returned, which is when its variables are dropped. There must
    be no line of Python between here and there: that would be what is interrupted.
    """

    __slots__ = ()

    __del__ = _thread.interrupt_main
