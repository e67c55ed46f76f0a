"""Makes ``icure_sync`` look like ``icure_async``, so that the tests of the latter run against it.

An adapted object has the methods of the async class. An async method runs here, blocking, in a
worker thread, and its result is adapted, too. So the source of a test is the same for both
packages, and the calls of one test come from several threads.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, Self

import aiohttp
import attrs

import icure_sync
from icure_sync._runtime import run
from icure_sync._twins import Twin
from icure_sync.sandbox import Sandbox

RENAMED = {"aclose": "close"}
_END = object()

listeners: ContextVar[Sequence[aiohttp.TraceConfig]] = ContextVar("listeners", default=())
"""The listeners of the client session of the API that is being built."""


class Registry:
    """The adapted objects of one test: each of them once, as the objects they stand for.

    Attributes:
        blocked: how often a call of ``icure_sync`` blocked, those of its sandbox not counted.
    """

    def __init__(self) -> None:
        self.blocked = 0
        self._known: dict[int, Adapted] = {}
        self._opened: list[Any] = []

    def adapted(self, value: Any) -> Any:
        """Return a value as a test of ``icure_async`` expects it."""
        if isinstance(value, icure_sync.AuthenticationResult):
            original: type = type(value)
        elif isinstance(value, Twin):
            original = type(value._inner)
            if hasattr(value, "close"):
                self._opened.append(value)
        elif isinstance(value, Iterator):
            return self._stepping(value)
        else:
            return value
        return self._known.setdefault(id(value), Adapted(value, original, self))

    async def block(self, owner: object, function: Callable[[], Any]) -> Any:
        """Call a blocking function of a twin."""
        if not isinstance(owner, Sandbox):
            self.blocked += 1
        return self.adapted(await asyncio.to_thread(function))

    def close(self) -> None:
        """Close everything, as the end of an async test's client session does."""
        for opened in self._opened:
            opened.close()

    async def _stepping(self, iterator: Iterator[Any]) -> AsyncIterator[Any]:
        """Iterate as a loop of a blocking caller does."""
        while (item := await self.block(iterator, partial(next, iterator, _END))) is not _END:
            yield item


class Adapted:
    """One object of ``icure_sync``.

    The objects that a test reaches inside of it are of ``icure_async``, and work on the loop
    thread.
    """

    def __init__(self, blocking: Any, original: type, registry: Registry) -> None:
        self._blocking = blocking
        self._original = original
        self._registry = registry
        self._listeners: Sequence[aiohttp.TraceConfig] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            return _inside(getattr(self._blocking._inner, name))
        attribute = getattr(self._blocking, RENAMED.get(name, name))
        shape = inspect.getattr_static(self._original, name, None)
        if name == "build":
            return lambda: Building(attribute, self._registry, self._listeners)
        if inspect.iscoroutinefunction(shape):

            async def call(*args: Any, **kwargs: Any) -> Any:
                return await self._registry.block(self._blocking, _bound(attribute, args, kwargs))

            return call
        if inspect.isfunction(shape):
            return lambda *args, **kwargs: self._registry.adapted(_bound(attribute, args, kwargs)())
        return self._registry.adapted(attribute)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("_blocking", "_original", "_registry", "_listeners"):
            raise AttributeError(f"To set {name} here changes nothing in icure_sync.")
        super().__setattr__(name, value)

    def with_client_session(self, client_session: aiohttp.ClientSession) -> Self:
        """Have the session's listeners listen to the twin's: the session is of another loop."""
        self._listeners = client_session.trace_configs
        return self

    async def __aenter__(self) -> Self:
        await self._registry.block(self._blocking, self._blocking.__enter__)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._registry.block(self._blocking, partial(self._blocking.__exit__, *error))

    def __repr__(self) -> str:
        return repr(self._blocking)

    @property
    def __wrapped__(self) -> Any:
        return self._blocking


class Building:
    """The result of ``build()`` in ``icure_async``: to be awaited or entered."""

    def __init__(
        self,
        build: Callable[[], Any],
        registry: Registry,
        listening: Sequence[aiohttp.TraceConfig],
    ) -> None:
        self._build = build
        self._registry = registry
        self._listening = listening
        self._api: Any = None

    async def _built(self) -> Any:
        before = listeners.set(self._listening)
        try:
            return await self._registry.block(self, self._build)
        finally:
            listeners.reset(before)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._built().__await__()

    async def __aenter__(self) -> Any:
        self._api = await self._built()
        return self._api

    async def __aexit__(self, *error: object) -> None:
        await self._api.aclose()


class Inside:
    """An object of ``icure_async`` inside of a twin."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return _inside(getattr(self._inner, name))


def _inside(value: Any) -> Any:
    if inspect.iscoroutinefunction(value):
        return partial(asyncio.to_thread, run, value)
    is_object = type(value).__module__.startswith("icure_async.") and not attrs.has(type(value))
    return Inside(value) if is_object else value


def _bound(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Callable[[], Any]:
    """Bind arguments, callbacks among them as the plain functions that a blocking caller gives."""
    return partial(
        function,
        *(_plain(argument) for argument in args),
        **{name: _plain(argument) for name, argument in kwargs.items()},
    )


def _plain(argument: Any) -> Any:
    if not inspect.iscoroutinefunction(argument):
        return argument
    loop = asyncio.get_running_loop()

    def callback(*args: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(argument(*args), loop).result()

    return callback
