"""Async iterators, stepped for a blocking caller."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Self, TypeVar, cast

from icure_async.errors import ConfigurationError
from icure_sync._jobs import Job, Outcome, current_job, on_its_own
from icure_sync._runtime import Runtime, check_pid, get_runtime
from icure_sync._signals import raised_again
from icure_sync._tracebacks import trimmed_traceback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
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
        "_failure",
        "_interrupted",
        "_items",
        "_wake_up",
    )

    def __init__(self, items: AsyncIterable[T]) -> None:
        super().__init__()
        self._items = items
        self._interrupted: list[Outcome[T | object]] = []
        self._demand: Outcome[T | object] | None = None
        self._early: deque[T] = deque()
        self._failure: BaseException | None = None
        self._wake_up: asyncio.Future[None] | None = None
        self._closing = False

    def demand(self, workshop: Workshop, outcome: Outcome[T | object]) -> None:
        """Settle ``outcome`` with the next item, or with ``_END``."""
        self._workshop = workshop
        if self._early:
            outcome.succeed(self._early.popleft())
            return
        if self._closing and not self._ended:
            # A signal handler asks, in the middle of close().
            self._interrupted.append(outcome)
            return
        self._demand = outcome
        if self._ended:
            self._end()
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
        if self._interrupt_step(outcome):
            self.abort()
        elif self._task is None:
            self._end()
        else:
            self._go_on()

    def stop(self, outcome: Outcome[T | object], cleaned: Outcome[None] | None = None) -> None:
        """Abort, and settle ``outcome`` after the cleanup, even if it was never asked for."""
        self._interrupt_step(outcome)
        self._early.clear()
        self.abort(cleaned)

    def _interrupt_step(self, outcome: Outcome[T | object]) -> bool:
        """Have ``outcome`` be what is settled at the end; return whether a step is under way."""
        step, self._demand = self._demand, outcome
        if step is None or step is outcome:
            return False
        self._interrupted.append(step)
        return True

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
        while self._interrupted:
            self._interrupted.pop().succeed(_END)
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


def entered(
    function: Callable[P, AbstractAsyncContextManager[T]], /, *args: P.args, **kwargs: P.kwargs
) -> AbstractContextManager[T]:
    """Return a context manager that enters and leaves an async one, both in the same task.

    What the block raises is not passed on to the async one: that is left as at the block's end.

    Args:
        function: returns the async context manager.
        args: its positional arguments.
        kwargs: its keyword arguments.
    """
    return _Entered(iterate(_held_by, partial(function, *args, **kwargs)))


async def _held_by(
    function: Callable[[], AbstractAsyncContextManager[T]],
) -> AsyncGenerator[T, None]:
    async with function() as held:
        yield held


class _Entered(AbstractContextManager[T]):
    """See :func:`entered`."""

    def __init__(self, held: ClosableIterator[T]) -> None:
        self._held = held
        self._used = False

    def __enter__(self) -> T:
        __tracebackhide__ = True
        with trimmed_traceback:
            if self._used:
                raise ConfigurationError(
                    "This context manager was entered before: ask for another one each time."
                )
            self._used = True
            try:
                return next(self._held)
            except BaseException:
                # An interrupt may have come when it was already entered.
                self._held.close()
                raise

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        with trimmed_traceback:
            self._held.close()


class ClosableIterator(Iterator[T]):
    """Blocks for the items of an async iterator, one by one; nothing is fetched ahead.

    It is closed by :meth:`close`, by leaving its ``with`` statement, and when it is dropped, as a
    ``for`` loop does at ``break`` or an exception: the async iterator's cleanup is then done before
    the next statement. Threads may share it.
    """

    __slots__ = ("_context", "_lock", "_pid", "_pump", "_runtime", "_stepping", "before_step")

    def __init__(self, items: AsyncIterable[T]) -> None:
        self.before_step: Callable[[], None] | None = None
        self._pump: _Pump[T] | None = _Pump(items)
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
            self._check_caller()
            if self.before_step is not None:
                self.before_step()
            with self._lock:
                return self._step()

    def _check_caller(self) -> None:
        job = current_job.get()
        while job is not None:
            if job is self._pump:
                raise ConfigurationError(
                    "A callback can neither step nor close the iterator that waits for it: let it "
                    "return first."
                )
            job = job.whole

    def _step(self) -> T:
        if self._stepping:
            raise ConfigurationError(
                "This iterator is in the middle of a step, which the signal handler that asks for "
                "another has interrupted: let the handler set a flag, or close the iterator."
            )
        # In this order: a signal handler that closes in between either finds the runtime, or has
        # left no pump.
        runtime = self._runtime = self._runtime or get_runtime()
        pump = self._pump
        if pump is None:
            raise StopIteration
        runtime.check_thread()
        outcome: Outcome[Any] = Outcome(runtime.handover)
        demand = partial(pump.demand, runtime.workshop, outcome)
        stop = partial(pump.stop, outcome)
        try:
            self._stepping = True
            runtime.request(outcome, demand, stop, self._context)
            if outcome.error is None and outcome.value is not _END:
                return cast("T", outcome.value)
        except BaseException as interrupt:
            # It may have come when the item was already there.
            newest = runtime.abort(stop, interrupt)
            self._pump = None
            raise newest  # noqa: B904
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
        except BaseException as interrupt:
            # Without the traceback, which has this frame, and so what is to be dropped at its end.
            _after_this = raised_again(interrupt.with_traceback(None))
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
            self._check_caller()
            on_its_own(self._close)

    def _close(self) -> None:
        runtime, pump = self._runtime, self._pump
        if runtime is None or pump is None:
            self._pump = None
            return
        runtime.check_thread()
        outcome: Outcome[Any] = Outcome(runtime.handover)
        close, stop = partial(pump.close, outcome), partial(pump.stop, outcome)
        try:
            with self._lock:
                runtime.request(outcome, close, stop, self._context)
        except BaseException as interrupt:
            # It may have come before the request was made.
            newest = runtime.abort(stop, interrupt)
            self._pump = None
            raise newest  # noqa: B904
        self._pump = None
        if outcome.error is not None:
            outcome.raise_error()
