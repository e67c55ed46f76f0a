"""The golden world on a sandbox, with its users' APIs, and a proxy in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from icure_async.sandbox import Sandbox
from tests.support.apis import Backend, Opener, Proxy, stage


@pytest.fixture
def seed(world: dict[str, Any]) -> dict[str, Any]:
    """What the sandbox of a test starts with; tests that need more override it."""
    return stage(world)


@pytest.fixture
async def sandbox(seed: dict[str, Any]) -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=seed, jwt=False) as running:
        yield running


@pytest.fixture
def opener(
    sandbox: Sandbox, world: dict[str, Any], client_session: aiohttp.ClientSession
) -> Opener:
    return Opener(sandbox.icure_url, world, client_session)


@pytest.fixture
async def proxy(sandbox: Sandbox) -> AsyncIterator[Proxy]:
    async with Proxy(sandbox) as running:
        yield running


@pytest.fixture
def backend(sandbox: Sandbox, client_session: aiohttp.ClientSession) -> Backend:
    return Backend(sandbox, client_session)
