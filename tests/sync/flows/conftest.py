"""The fixtures of the flow tests, with ``icure_sync`` in the place of ``icure_async``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

import icure_sync
from icure_async.rest import connection
from icure_sync.sandbox import Sandbox
from tests import conftest as shared
from tests.apis import support
from tests.apis.conftest import opener, proxy
from tests.apis.support import stage
from tests.authentication.conftest import (
    _shortcuts,
    anonymous,
    key_storage,
    storage,
)
from tests.conftest import RequestLog, anonymous_builder, builder
from tests.flows.conftest import tell_story

from .adapter import Adapted, Registry

__all__ = [
    "_shortcuts",
    "anonymous",
    "anonymous_builder",
    "builder",
    "key_storage",
    "opener",
    "proxy",
    "storage",
    "tell_story",
]


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry()
    yield registry
    registry.close()


@pytest.fixture(autouse=True)
def _blocking(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    requests: RequestLog,
    registry: Registry,
) -> None:
    """Have the tests and their fixtures make twins, whose requests are logged."""

    def factory(cls: type) -> Callable[..., Adapted]:
        return lambda **options: registry.adapted(cls(**options))

    written_in = sys.modules[request.function.__module__]
    for module in (shared, support, written_in):
        for cls in (icure_sync.AnonymousMedTechApiBuilder, icure_sync.MedTechApiBuilder, Sandbox):
            # The sandbox of the support module is shared by all tests, and by both packages.
            if hasattr(module, cls.__name__) and (module, cls) != (support, Sandbox):
                monkeypatch.setattr(module, cls.__name__, factory(cls))

    def logged_session(**options: Any) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(requests.record)
        return aiohttp.ClientSession(trace_configs=[trace], **options)

    stand_in = SimpleNamespace(ClientSession=logged_session, DummyCookieJar=aiohttp.DummyCookieJar)
    monkeypatch.setattr(connection, "aiohttp", stand_in)


@pytest.fixture
def seed(request: pytest.FixtureRequest, world: dict[str, Any]) -> dict[str, Any] | None:
    """What the sandbox starts with: for the tests of the APIs, the golden world."""
    return stage(world) if "opener" in request.fixturenames else None


@pytest.fixture
async def sandbox(seed: dict[str, Any] | None, registry: Registry) -> AsyncIterator[Adapted]:
    """The blocking sandbox."""
    async with registry.adapted(Sandbox(seed=seed, jwt=seed is None)) as running:
        yield running
