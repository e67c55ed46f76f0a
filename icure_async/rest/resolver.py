"""Addresses of hosts, looked up in threads that the application can't use up."""

from __future__ import annotations

import functools
import socket
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import anyio
import anyio.to_thread

if TYPE_CHECKING:
    import asyncio

__all__ = ["own_resolver"]

_THREADS = 8


def own_resolver() -> aiohttp.ThreadedResolver:
    """Return aiohttp's resolver, on threads of our own.

    By itself it takes those of the event loop, which an application may have filled with handlers
    that wait for the SDK.
    """
    return aiohttp.ThreadedResolver(cast("asyncio.AbstractEventLoop", _Lookups()))


class _Lookups:
    """The methods of an event loop that the resolver calls."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(_THREADS)

    async def getaddrinfo(self, host: str, port: int, **options: Any) -> Any:
        return await self._run(functools.partial(socket.getaddrinfo, host, port, **options))

    async def getnameinfo(self, address: Any, flags: int) -> Any:
        return await self._run(functools.partial(socket.getnameinfo, address, flags))

    async def _run(self, look_up: functools.partial[Any]) -> Any:
        # A resolver may take minutes, and its callers have a time limit.
        return await anyio.to_thread.run_sync(
            look_up, limiter=self._limiter, abandon_on_cancel=True
        )
