"""Async iterators, stepped for a blocking caller."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Self, TypeVar, cast

from icure_async.errors import ConfigurationError
from icure_async.storage._held_locks import held_locks
from icure_sync._jobs import Job, current_job, on_its_own, unseen
from icure_sync._runtime import check_pid, get_runtime, run
from icure_sync._signals import RaisedAgain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from icure_sync._jobs import Task

__all__ = ["ClosableIterator", "Entered", "entered", "iterate"]

T = TypeVar("T")
Other = TypeVar("Other")
P = ParamSpec("P")

_ABANDONED_SECONDS: Final = 10.0
_END: Final = object()


class _Step(Job[Any]):
    """The demand for one item, which is the result, or ``_END``."""

    def __init__(self, pump: _Pump[Any]) -> None:
        super().__init__(pump.aclose, current_job.get())
        self._pump = pump

    def start(self) -> None:
        if self.is_aborted:
            self.end()
        else:
            self._pump.demand(self)

    def abort(self) -> None:
        self.is_aborted = True
        self._pump.job.abort()

    async def abandon(self) -> None:
        # Also where the item is already there.
        self.is_aborted = True
        await self._pump.aclose()

    def settle(self, item: object, error: BaseException | None = None) -> None:
        """Let the caller go on with an item, or an error."""
        self.value, self.error = item, error
        self.end()


class _Pump(Generic[T]):
    """Steps an async iterator in one task, one step for each demand.

    Cancel scopes and task groups that the iterator holds open around a ``yield`` thereby stay in
    the task that entered them, and nothing is fetched before it is asked for.

    Attributes:
        job: what runs the iterator.
        is_closing: whether there is to be no further step.
    """

    def __init__(self, items: AsyncIterable[T]) -> None:
        self.job = Job(self._work, current_job.get())
        self.is_closing = False
        self._items = items
        self._context = copy_context()
        self._early: deque[T] = deque()
        self._step: _Step | None = None
        self._news = asyncio.Event()

    def demand(self, step: _Step) -> None:
        """Settle a step with the next item."""
        if self._step is not None:
            error = ConfigurationError(
                "This iterator is in the middle of a step, which the signal handler that asks for "
                "another has interrupted: let the handler set a flag, or close the iterator."
            )
            step.settle(_END, error)
        elif self._early:
            step.settle(self._early.popleft())
        elif self.is_closing or self.job.is_over:
            step.settle(_END, self._failure())
        else:
            self._step = step
            if self.job.task is None:
                self._context.run(self.job.start)
                cast("Task", self.job.task).add_done_callback(self._hand_over_end)
            else:
                self._news.set()

    async def aclose(self) -> None:
        """Close the iterator, and wait for its cleanup."""
        self.is_closing = True
        self._early.clear()
        task = self.job.task
        if task is not None:
            if self._step is None:
                self._news.set()
            else:
                # The caller of the step was interrupted, by a signal handler perhaps.
                self.job.abort()
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                await self.job.abandon()
                raise
        failure = self._failure()
        if failure is not None:
            raise failure

    def _failure(self) -> BaseException | None:
        """Return the error that has ended the iterator, once."""
        if not self.job.is_over:
            return None
        error, self.job.error = self.job.error, None
        is_abortion = self.job.is_aborted and isinstance(error, asyncio.CancelledError)
        return None if is_abortion else error

    def _hand_over(self, item: T) -> None:
        step, self._step = self._step, None
        if step is None:
            self._early.append(item)
        else:
            step.settle(item)

    def _hand_over_end(self, _: object) -> None:
        step, self._step = self._step, None
        if step is not None:
            failure = self._failure()
            if step.is_aborted and failure is None:
                # Even if the iterator caught the cancellation, it has not come to its end.
                failure = asyncio.CancelledError()
            step.settle(_END, failure)

    async def _work(self) -> None:
        with contextlib.suppress(StopAsyncIteration):
            iterator = aiter(self._items)
            while not self.is_closing:
                self._hand_over(await anext(iterator))
                await self._demanded(iterator)
            # An abortion that came with the item has not struck yet, and must not strike cleanup.
            self.job.shelter()
            await _close(iterator)

    async def _demanded(self, iterator: AsyncIterator[T]) -> None:
        while self._step is None and not self.is_closing:
            self._news.clear()
            try:
                await self._news.wait()
            except asyncio.CancelledError as cancellation:
                # A scope that the iterator holds open around its yield has expired. Only the
                # iterator can leave that scope.
                throw = getattr(iterator, "athrow", None)
                if throw is None:
                    raise
                self._hand_over(await throw(cancellation))


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

    The function that returns that is called at once, so that it can refuse its arguments. Nothing
    is fetched before the first step.
    """
    return ClosableIterator(function(*args, **kwargs))


def entered(
    function: Callable[P, AbstractAsyncContextManager[T]], /, *args: P.args, **kwargs: P.kwargs
) -> Entered[T]:
    """Return a context manager that enters and leaves an async one, both in the same task.

    An error of the block is not passed on to the async one: that is left as at the block's end.
    """
    return Entered(iterate(_held_by, partial(function, *args, **kwargs)))


async def _held_by(
    function: Callable[[], AbstractAsyncContextManager[T]],
) -> AsyncGenerator[tuple[T, tuple[object, ...]], None]:
    async with function() as held:
        yield held, held_locks.get()


class Entered(AbstractContextManager[T]):
    """See :func:`entered`."""

    def __init__(
        self, held: ClosableIterator[Any], wrap: Callable[[Any], T] = lambda held: held
    ) -> None:
        self._held = held
        self._wrap = wrap
        self._used = False
        self._locks: tuple[object, ...] = ()

    def through(self, wrap: Callable[[T], Other]) -> Entered[Other]:
        """Return the same, which gives something else to the block instead of what it holds."""
        return Entered(self._held, wrap)

    def __enter__(self) -> T:
        __tracebackhide__ = True
        with unseen:
            if self._used:
                raise ConfigurationError(
                    "This context manager was entered before: ask for another one each time."
                )
            self._used = True
            try:
                held, locks = next(self._held)
                self._hold(locks)
                return self._wrap(held)
            except BaseException:
                # An interrupt may have come when it was already entered.
                self._leave()
                raise

    def __exit__(self, *error: object) -> None:
        __tracebackhide__ = True
        with unseen:
            self._leave()

    def _hold(self, locks: tuple[object, ...]) -> None:
        # The calls of the block run in tasks of their own, in copies of our context.
        before = held_locks.get()
        self._locks = tuple(lock for lock in locks if lock not in before)
        if self._locks:
            held_locks.set((*before, *self._locks))

    def _leave(self) -> None:
        try:
            self._held.close()
        finally:
            if self._locks:
                left = tuple(lock for lock in held_locks.get() if lock not in self._locks)
                held_locks.set(left)


class ClosableIterator(Iterator[T]):
    """Blocks for the items of an async iterator, one by one; nothing is fetched ahead.

    It is closed by :meth:`close`, by leaving its ``with`` statement, and when it is dropped, as a
    ``for`` loop does at ``break`` or an exception: the async iterator's cleanup is then done before
    the next statement. Threads may share it.
    """

    __slots__ = ("_begun", "_lock", "_pid", "_pump", "before_step")

    def __init__(self, items: AsyncIterable[T]) -> None:
        self.before_step: Callable[[], None] | None = None
        self._pump = _Pump(items)
        # Reentrant: a signal handler may close what the interrupted code is iterating over.
        self._lock = threading.RLock()
        self._begun = False
        self._pid = os.getpid()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        __tracebackhide__ = True
        with unseen:
            check_pid(self._pid, "This iterator")
            self._check_caller()
            if self.before_step is not None:
                self.before_step()
            self._begun = True
            with self._lock:
                item = get_runtime().result_of(_Step(self._pump))
            if item is _END:
                raise StopIteration
            return cast("T", item)

    def _check_caller(self) -> None:
        get_runtime().check_thread()
        job = current_job.get()
        while job is not None:
            if job is self._pump.job:
                raise ConfigurationError(
                    "A callback can neither step nor close the iterator that waits for it: let it "
                    "return first."
                )
            job = job.whole

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        pump = getattr(self, "_pump", None)
        # One that was aborted was waited for, too.
        if pump is None or pump.job.task is None or pump.job.is_aborted or self._pid != os.getpid():
            return
        runtime, closing = get_runtime(), Job(pump.aclose)
        try:
            runtime.post(closing.start)
            # The garbage collector may run anywhere, even on the loop thread.
            if runtime.is_here() or runtime.is_closed:
                return
            closing.wait(_ABANDONED_SECONDS)
        except BaseException as interrupt:
            # Without the traceback: it holds this frame, and so the object to be dropped at its
            # end.
            _after_this = RaisedAgain(interrupt.with_traceback(None))
            runtime.post(closing.abort)
            closing.wait(_ABANDONED_SECONDS)
        else:
            if closing.is_over:
                closing.result()

    def close(self) -> None:
        """Close the async iterator and wait for its cleanup. Calling it again does nothing.

        A signal handler may call it in the middle of a step, which then ends the iteration. In a
        forked child it does nothing to an iterator of the parent.
        """
        __tracebackhide__ = True
        if self._pid != os.getpid():
            return
        with unseen:
            if self._begun:
                self._check_caller()
            # In this order: a first step that comes in between is the end.
            self._pump.is_closing = True
            if self._begun:
                with self._lock:
                    on_its_own(run, self._pump.aclose)
