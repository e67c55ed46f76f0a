"""Plain functions and objects that serve as async ones: they run in worker threads."""

# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import threading
from concurrent.futures import Future
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, overload

from anyio.lowlevel import checkpoint_if_cancelled

from icure_async.crypto.protocol import METHODS_OF_TODAY
from icure_async.errors import ConfigurationError
from icure_async.storage.locks import StorageLock
from icure_async.threads import PATIENCE_SECONDS, outcome_of, start, wait_through
from icure_sync._jobs import on_its_own
from icure_sync._signals import with_signals
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Coroutine,
        Iterable,
        Iterator,
    )

__all__ = ["adapt", "callback", "stepped", "taking"]

T = TypeVar("T")
P = ParamSpec("P")


def adapt(obj: Any, protocol_methods: tuple[str, ...]) -> Any:
    """Return an object that the SDK can await in place of a plain implementation of a protocol.

    Its methods may be plain, async, or some of each: each plain one is called in a worker thread,
    and so perhaps in several at once. An object whose methods are all async is returned as it is.

    Raises:
        ConfigurationError: a method is missing, or this is a class.
    """
    if isinstance(obj, type):
        raise ConfigurationError(
            f"An object is needed here, and this is the class {obj.__name__}: pass "
            f"{obj.__name__}(...)."
        )
    if issubclass(type(obj), Twin):
        twin: Twin[Any] = obj
        twin._check_process()
        if not any(map(twin._overrides, (*_SPECIAL, *protocol_methods))):
            return adapt(twin._inner, protocol_methods)
    methods: dict[str, Any] = {}
    for name in protocol_methods:
        method = getattr(obj, name, None)
        if method is None and name in METHODS_OF_TODAY:
            continue
        if not callable(method):
            raise ConfigurationError(
                f"{type(obj).__name__} can't be used here: it has no method {name}()."
            )
        methods[name] = method
    lock = getattr(obj, "lock", None)
    if all(map(_is_async, methods.values())) and (lock is None or _is_ours(lock)):
        return obj
    return _Adapted(obj, methods)


def _is_ours(method: Any) -> bool:
    return str(getattr(method, "__module__", "")).startswith("icure_async.")


_SPECIAL: Final = ("lock", "refuse_exposed")
"""Methods that a storage may have, next to those of its protocol."""


class _Adapted:
    """A plain implementation of an async protocol, ready to be awaited.

    Attributes:
        lock: as in ``LockableStorage``, if the implementation has such a method; else None.
        refuse_exposed: as in ``FileStorage``, or None.
    """

    def __init__(self, adapted: object, methods: dict[str, Any]) -> None:
        self._adapted = adapted
        for name, method in methods.items():
            setattr(self, name, _on_its_own(method, _patience_for(name)))
        lock, refuse_exposed = (getattr(adapted, name, None) for name in _SPECIAL)
        self.lock = partial(_adapted_lock, lock) if callable(lock) else None
        self.refuse_exposed = refuse_exposed and _on_its_own(refuse_exposed, 0)

    def __repr__(self) -> str:
        return f"<adapted {type(self._adapted).__name__}>"


@contextlib.asynccontextmanager
async def _adapted_lock(
    lock: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> AsyncGenerator[StorageLock, None]:
    manager = await _on_its_own(lock)(*args, **kwargs)
    if hasattr(manager, "__aenter__"):
        async with manager as held:
            yield _told(held)
        return
    entered: Future[object] = Future()
    may_leave = threading.Event()

    def keep() -> None:
        try:
            with manager as held:
                # Cancelled where the call was given up: the thread then leaves at once.
                entered.set_result(held)
                may_leave.wait()
        except BaseException as error:
            if entered.done():
                raise
            entered.set_exception(error)

    # A plain context manager is entered and left in the same thread.
    keeping = start(partial(with_signals, partial(on_its_own, keep)))
    try:
        yield _told(await asyncio.wrap_future(entered))
    finally:
        may_leave.set()
        # Nothing may keep the lock from being let go of. Given up before, it may never be entered.
        if not entered.cancel():
            cancellation = await wait_through(keeping, PATIENCE_SECONDS)
            if cancellation is not None:
                raise cancellation
            if keeping.done():
                keeping.result().unpack()


def _told(held: object) -> StorageLock:
    """Return the report of a lock that was entered; one that gives none may have waited."""
    return held if isinstance(held, StorageLock) else StorageLock(waited=True)


def _patience_for(method: str) -> float:
    """Return how long a call that is given up waits for a method: not at all if that only reads."""
    return 0 if method.startswith(("get_", "list_")) else PATIENCE_SECONDS


def _on_its_own(
    method: Callable[..., Any], patience: float = PATIENCE_SECONDS
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return a method like :func:`callback`, whose calls are no part of the job that calls it.

    The SDK shields writes, which must not be torn, and writes while it cleans up.
    """
    return method if _is_async(method) else callback(partial(on_its_own, method), patience)


@overload
def callback(
    function: Callable[P, Coroutine[Any, Any, T]], patience: float = PATIENCE_SECONDS
) -> Callable[P, Coroutine[Any, Any, T]]: ...
@overload
def callback(
    function: Callable[P, T], patience: float = PATIENCE_SECONDS
) -> Callable[P, Coroutine[Any, Any, T]]: ...
def callback(
    function: Callable[..., Any], patience: float = PATIENCE_SECONDS
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return an async function that runs a plain one in a worker thread.

    The function sees the context variables of the call it was made in. An awaitable that it
    returns is awaited on the loop thread. An async function is returned as it is.

    It may take as long as it likes, and make blocking calls itself: any number run at once. Where
    the call is given up, it is waited for ``patience`` seconds.

    Raises:
        ConfigurationError: it is no function.
    """
    if not callable(function):
        raise ConfigurationError(f"A function is needed here, and not a {type(function).__name__}.")
    if _is_async(function):
        return function

    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        await checkpoint_if_cancelled()
        # No limit: callbacks that wait for calls must not take the threads that these calls need.
        called = start(partial(with_signals, partial(function, *args, **kwargs)))
        result = await outcome_of(called, patience)
        return await result if inspect.isawaitable(result) else result

    return call


def taking(function: Any, *twins: type[Twin[Any]] | None) -> Any:
    """Return a function that gets twins instead of async objects.

    Args:
        function: of the application; anything else is returned as it is.
        twins: the twin of each argument, or None where that has none.
    """
    if not callable(function):
        return function

    @wraps(function)
    def call(*args: Any) -> Any:
        pairs = zip(args, twins, strict=True)
        return function(*(arg if twin is None else twin._wrap(arg) for arg, twin in pairs))

    return call


def stepped(stream: Any) -> Any:
    """Return an async iterable that takes the steps of a plain one, if that is one.

    Bytes, texts, paths and files are returned as they are: the SDK knows what to do with them.
    """
    return _Stepped(stream) if _has_steps(stream) else stream


def _has_steps(stream: object) -> bool:
    if isinstance(stream, bytes | bytearray | memoryview | str | os.PathLike):
        return False
    names = dir(stream)
    return "__iter__" in names and not {"__aiter__", "read"} & {*names}


_END: Final = object()


class _Stepped:
    """A plain iterable, each of whose steps is one call in a worker thread."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items

    async def __aiter__(self) -> AsyncIterator[Any]:
        iterator: Iterator[Any] = await callback(lambda: iter(self._items))()
        step = callback(lambda: next(iterator, _END))
        try:
            while (item := await step()) is not _END:
                yield item
        finally:
            close = getattr(iterator, "close", None)
            if callable(close):
                await callback(close)()


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )
