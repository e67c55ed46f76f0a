"""The flow tests of ``icure_async``, with ``icure_sync`` in its place.

Each module here takes over all tests of one of ``icure_async``, but for those that ``left_out``
names.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Generator, Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

import icure_sync
from icure_async.rest import connection
from icure_sync._runtime import get_runtime
from icure_sync.sandbox import Sandbox
from tests.support import seeds

from .adapter import Adapted, Registry, listeners
from .left_out import TESTS

SOURCES = (
    "tests.conftest",
    "tests.apis.",
    "tests.authentication.",
    "tests.flows.",
    "tests.keys.",
    "tests.support.",
)


def pytest_pycollect_makeitem(name: str, obj: object) -> list[pytest.Item] | None:
    """Collect nothing where a test is left out."""
    if inspect.isfunction(obj):
        written_in = obj.__module__.replace(".", "/") + ".py"
        if obj.__qualname__ in TESTS.get(written_in, {}):
            return []
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Generator[None, object, object]:
    """Let a test fail that never got to ``icure_sync``."""
    outcome = yield
    registry = item.funcargs.get("registry")
    if isinstance(registry, Registry) and not registry.blocked:
        pytest.fail("This made no call of icure_sync: name it in left_out.py.", pytrace=False)
    return outcome


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry()
    yield registry
    registry.close()


@pytest.fixture
def sdk_loop() -> asyncio.AbstractEventLoop:
    """The event loop that the SDK runs on: that of the loop thread."""
    return get_runtime().loop


@pytest.fixture(autouse=True)
def _blocking(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    """Have the tests and their fixtures make twins."""

    def factory(cls: type) -> Callable[..., Adapted]:
        return lambda **options: registry.adapted(cls(**options))

    for module in [module for name, module in sys.modules.items() if name.startswith(SOURCES)]:
        for cls in (icure_sync.AnonymousMedTechApiBuilder, icure_sync.MedTechApiBuilder, Sandbox):
            # The sandbox of the seeds is shared by all tests, and by both packages.
            if hasattr(module, cls.__name__) and (module, cls) != (seeds, Sandbox):
                monkeypatch.setattr(module, cls.__name__, factory(cls))

    def session_of_a_twin(**options: Any) -> aiohttp.ClientSession:
        assert asyncio.get_running_loop() is get_runtime().loop
        return aiohttp.ClientSession(trace_configs=[*listeners.get()], **options)

    stand_in = SimpleNamespace(**{**vars(aiohttp), "ClientSession": session_of_a_twin})
    monkeypatch.setattr(connection, "aiohttp", stand_in)
