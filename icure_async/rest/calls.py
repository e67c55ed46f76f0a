"""The calls of one API object: which ones are under way, and whether new ones are refused."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from contextvars import ContextVar, copy_context
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from icure_async.errors import ConfigurationError, NetworkError
from icure_async.mistakes import OneByOne

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Generator,
    )

    from icure_async.rest.connection import Connection

__all__ = ["Calls", "guard_class", "is_noted_in_call", "note_in_call", "start_ahead"]

Answer = TypeVar("Answer")


class _Call:
    """One call, with the requests it consists of.

    Attributes:
        notes: what holds until it ends.
        is_over: whether it has ended; tasks that it has started may go on.
    """

    def __init__(self) -> None:
        self.notes: set[object] = set()
        self.is_over = False


# Whether the running code asks for something before anybody needs it.
_ahead: Final[ContextVar[bool]] = ContextVar("icure_ahead", default=False)

# A call of a method that returns such a thing is one call for each step.
_ITERATORS: Final = ("AsyncGenerator[", "AsyncIterator[")

# The calls that the running code belongs to: of a user's API, and of the anonymous one it is from.
_ours: Final[ContextVar[frozenset[_Call]]] = ContextVar("icure_calls", default=frozenset())


def note_in_call(thing: object) -> None:
    """Take note of something until the running call ends; outside of calls, of nothing."""
    for call in _ours.get():
        if not call.is_over:
            call.notes.add(thing)


def is_noted_in_call(thing: object) -> bool:
    """Return whether the running call has taken note of something."""
    return any(thing in call.notes for call in _ours.get() if not call.is_over)


def start_ahead(work: Coroutine[Any, Any, Answer], name: str) -> asyncio.Task[Answer]:
    """Start something before anybody needs it, so that :meth:`Calls.close` does not wait for it.

    Args:
        work: makes requests, and changes nothing.
        name: of the task.
    """
    context = copy_context()
    context.run(_ahead.set, True)
    return asyncio.create_task(work, name=name, context=context)


class Calls:
    """Lets calls in until it is closed; those that are under way then come to their end.

    Args:
        name: what the user knows the API object as: "This MedTechApi".
        connection: tells in which event loop it may be used.
    """

    def __init__(self, name: str, connection: Connection) -> None:
        self._name = name
        self._connection = connection
        self._running: set[_Call] = set()
        self._interruptible: set[asyncio.Timeout] = set()
        self._ended = asyncio.Event()
        self._closed = False
        self._cut = False
        self._checks: list[Callable[[], None]] = []

    def refuse_where(self, check: Callable[[], None]) -> None:
        """Have each call begin with a check, which raises where calls are not possible."""
        self._checks.append(check)

    @contextlib.contextmanager
    def call(self, action: str = "") -> Generator[None]:
        """Be a call under way, or a part of one.

        Args:
            action: what is about to be done, in words for an error message.

        Raises:
            ConfigurationError: the object is closed, or belongs to another event loop.
        """
        self._connection.check_loop(self._name)
        for check in self._checks:
            check()
        ours = _ours.get()
        if not ours.isdisjoint(self._running) and not self._cut:
            yield
            return
        if self._closed:
            raise ConfigurationError(
                f"{f'Could not {action}: ' if action else ''}{self._name} is closed. Keep it open "
                "while it is in use, or build another one."
            )
        call = _Call()
        if not _ahead.get():
            self._running.add(call)
        token = _ours.set(ours | {call})
        try:
            yield
        finally:
            # The garbage collector finalises generators in another context.
            with contextlib.suppress(ValueError):
                _ours.reset(token)
            call.is_over = True
            self._running.discard(call)
            self._ended.set()

    async def request(self, action: str, send: Callable[[], Awaitable[Answer]]) -> Answer:
        """Send a request, which :meth:`close` may interrupt in the end.

        Raises:
            ConfigurationError: as for :meth:`call`.
            NetworkError: the object was closed, and the answer did not come in time.
        """
        with self.call(action):
            interruptible = asyncio.timeout(None)
            try:
                async with interruptible:
                    self._interruptible.add(interruptible)
                    try:
                        return await send()
                    finally:
                        self._interruptible.discard(interruptible)
            except TimeoutError:
                if not interruptible.expired():
                    raise
        raise NetworkError(
            f"Could not {action}: this program closed {self._name[0].lower()}{self._name[1:]} "
            "before there was an answer. The server may have done it all the same: check before "
            "trying again."
        )

    async def close(self, seconds: float) -> None:
        """Refuse new calls, and wait for those that are under way; then interrupt them.

        Args:
            seconds: how long to wait. A cancellation interrupts them at once.
        """
        self._closed = True
        if not self._connection.is_running_here():
            self._cut = True
            return
        # A call that closes its own object can't wait for that.
        ours = _ours.get()
        try:
            async with asyncio.timeout(seconds):
                while self._running - ours:
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            pass
        finally:
            self._cut = True
            now = asyncio.get_running_loop().time()
            for interruptible in list(self._interruptible):
                if not interruptible.expired():
                    interruptible.reschedule(now)

    def guard(self, api: object) -> None:
        """Make each public async method of an object a call, and each step of its iterators."""
        cls: Any = type(api)
        for name, function in _public_functions(cls):
            if inspect.iscoroutinefunction(function):
                guarded = _as_call(function, lambda _: self)
            elif str(function.__annotations__.get("return")).startswith(_ITERATORS):
                guarded = self._as_calls(function)
            else:
                continue
            setattr(api, name, MethodType(guarded, api))

    def _as_calls(
        self, function: Callable[..., AsyncIterator[Any]]
    ) -> Callable[..., AsyncIterator[Any]]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            items = function(*args, **kwargs)
            return items.through(self._steps) if isinstance(items, OneByOne) else self._steps(items)

        return guarded

    async def _steps(self, iterator: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        # Each step is a call of its own: nobody waits for an iterator that nobody steps.
        try:
            while True:
                with self.call():
                    try:
                        item = await anext(iterator)
                    except StopAsyncIteration:
                        return
                yield item
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()


def guard_class(cls: type, calls_of: Callable[[Any], Calls]) -> None:
    """Do for all objects of a class what :meth:`Calls.guard` does for one.

    Args:
        cls: the class; its objects keep the attributes they are documented with, and no more.
        calls_of: returns the calls of an object.
    """
    for name, function in _public_functions(cls):
        if inspect.iscoroutinefunction(function):
            setattr(cls, name, _as_call(function, calls_of))


def _as_call(
    function: Callable[..., Awaitable[Any]], calls_of: Callable[[Any], Calls]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def guarded(api: object, *args: Any, **kwargs: Any) -> Any:
        with calls_of(api).call():
            return await function(api, *args, **kwargs)

    return guarded


@functools.cache
def _public_functions(cls: type) -> tuple[tuple[str, FunctionType], ...]:
    """Return the public methods of a class, but for what closes its objects."""
    members = ((name, inspect.getattr_static(cls, name)) for name in dir(cls))
    return tuple(
        (name, function)
        for name, function in members
        if inspect.isfunction(function) and not name.startswith("_") and name != "aclose"
    )
