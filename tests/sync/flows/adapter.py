"""Makes ``icure_sync`` look like ``icure_async``, so that the tests of the latter run against it.

An adapted object has the methods of the async class. What is async there runs here, blocking, in a
worker thread, and what comes back is adapted, too. So the source of a test is the same for both
packages, and the calls of one test come from several threads.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, Self

import icure_sync
from icure_sync._twins import Twin

RENAMED = {"aclose": "close"}
_END = object()


class Registry:
    """The adapted objects of one test: each of them once, as the objects they stand for."""

    def __init__(self) -> None:
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
            return _stepping(value)
        else:
            return value
        return self._known.setdefault(id(value), Adapted(value, original, self))

    def close(self) -> None:
        """Close everything, as the end of an async test's client session does."""
        for opened in self._opened:
            opened.close()


async def _stepping(iterator: Iterator[Any]) -> AsyncIterator[Any]:
    """Iterate as a loop of a blocking caller does."""
    while (item := await asyncio.to_thread(next, iterator, _END)) is not _END:
        yield item


class Adapted:
    """One object of ``icure_sync``."""

    def __init__(self, blocking: Any, original: type, registry: Registry) -> None:
        self._blocking = blocking
        self._original = original
        self._registry = registry

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            return getattr(self._blocking._inner, name)
        attribute = getattr(self._blocking, RENAMED.get(name, name))
        shape = inspect.getattr_static(self._original, name, None)
        if name == "build":
            return lambda: Building(attribute, self._registry)
        if inspect.iscoroutinefunction(shape):

            async def call(*args: Any, **kwargs: Any) -> Any:
                answer = await asyncio.to_thread(attribute, *args, **kwargs)
                return self._registry.adapted(answer)

            return call
        if inspect.isfunction(shape):
            return lambda *args, **kwargs: self._registry.adapted(attribute(*args, **kwargs))
        return self._registry.adapted(attribute)

    def with_client_session(self, client_session: object) -> Self:
        """Twins have no such method: the session would belong to another loop."""
        return self

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._blocking.__enter__)
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self._blocking.__exit__, *error)

    def __repr__(self) -> str:
        return repr(self._blocking)


class Building:
    """What ``build()`` returns in ``icure_async``: to be awaited or entered."""

    def __init__(self, build: Callable[[], Any], registry: Registry) -> None:
        self._build = build
        self._registry = registry
        self._api: Any = None

    async def _built(self) -> Any:
        return self._registry.adapted(await asyncio.to_thread(self._build))

    def __await__(self) -> Generator[Any, None, Any]:
        return self._built().__await__()

    async def __aenter__(self) -> Any:
        self._api = await self._built()
        return self._api

    async def __aexit__(self, *error: object) -> None:
        await self._api.aclose()
