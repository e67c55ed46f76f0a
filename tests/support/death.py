"""A program's death at any of its steps, an exception that nobody handles."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

import aiohttp

from icure_async import (
    KeyPair,
    KeyStorage,
    Storage,
)
from tests.support.logins import (
    KNOWN_KEYS,
)

T = TypeVar("T")


class DeathError(BaseException):
    """The program is gone: nobody handles this."""


class Fate:
    """Notes every point at which the program could die, and lets it die at one of them."""

    def __init__(self, dies_at: int | None = None, *, cancelled: bool = False) -> None:
        self.points: list[str] = []
        self.point: str | None = None
        self.program: asyncio.Task[Any] | None = None
        self._dies_at = dies_at
        self._cancelled = cancelled

    async def reach(self, point: str) -> None:
        self.points.append(point)
        if len(self.points) - 1 != self._dies_at:
            return
        self.point = point
        if not self._cancelled:
            raise DeathError(point)
        task = asyncio.current_task()
        if self.program is not None and self.program.get_loop() is asyncio.get_running_loop():
            # Not one that works for the program: that ends with it.
            task = self.program
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async def around(self, name: str, call: Awaitable[T]) -> T:
        try:
            await self.reach(f"before {name}")
        except BaseException:
            asyncio.ensure_future(call).cancel()
            raise
        result = await call
        await self.reach(f"after {name}")
        return result

    def trace(self) -> aiohttp.TraceConfig:
        async def started(
            session: aiohttp.ClientSession, context: Any, request: aiohttp.TraceRequestStartParams
        ) -> None:
            await self.reach(f"before {request.method} {request.url.path}")

        async def answered(
            session: aiohttp.ClientSession, context: Any, request: aiohttp.TraceRequestEndParams
        ) -> None:
            await self.reach(f"after {request.method} {request.url.path}")

        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(started)
        trace.on_request_end.append(answered)
        return trace


def _step(verb: str, item: str) -> str:
    return f"{verb}_known_keys" if item.startswith(KNOWN_KEYS) else f"{verb}_item"


class MortalStorage:
    def __init__(self, storage: Storage, fate: Fate) -> None:
        self._storage = storage
        self._fate = fate

    async def get_item(self, name: str) -> str | None:
        return await self._fate.around(_step("get", name), self._storage.get_item(name))

    async def set_item(self, name: str, value: str) -> None:
        await self._fate.around(_step("set", name), self._storage.set_item(name, value))

    async def remove_item(self, name: str) -> None:
        await self._fate.around("remove_item", self._storage.remove_item(name))

    async def list_items(self, prefix: str = "") -> Sequence[str]:
        return await self._fate.around("list_items", self._storage.list_items(prefix))


class MortalKeyStorage:
    def __init__(self, storage: KeyStorage, fate: Fate) -> None:
        self._storage = storage
        self._fate = fate

    async def get_key_pair(self, data_owner_id: str, fingerprint: str) -> KeyPair | None:
        call = self._storage.get_key_pair(data_owner_id, fingerprint)
        return await self._fate.around("get_key_pair", call)

    async def list_key_pairs(self, data_owner_id: str) -> Sequence[KeyPair]:
        call = self._storage.list_key_pairs(data_owner_id)
        return await self._fate.around("list_key_pairs", call)

    async def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
        call = self._storage.store_key_pair(data_owner_id, key_pair)
        await self._fate.around("store_key_pair", call)

    async def remove_key_pair(self, data_owner_id: str, fingerprint: str) -> None:
        raise AssertionError("nothing removes a key")
