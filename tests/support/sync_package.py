"""The pytest plugin of ``--package sync``, which runs flow tests against ``icure_sync``.

It collects the flow tests of ``icure_async``, without those that ``left_out`` names. Of the cases
of a test it takes the first and a tenth of the others, other ones each day; ``ICURE_SYNC=all``
takes all.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

import icure_async
import icure_async.sandbox
import icure_sync
import icure_sync.sandbox
from icure_async.rest import connection
from icure_sync._runtime import get_runtime
from tests.support.left_out import FILES, FOLDERS, TESTS
from tests.support.samples import all_wanted, today
from tests.support.sync_adapter import Adapted, Registry, listeners

OPTION = "ICURE_SYNC"
ROOT = Path(__file__).parents[2]
TWINS: tuple[tuple[type, type], ...] = (
    (icure_async.AnonymousMedTechApiBuilder, icure_sync.AnonymousMedTechApiBuilder),
    (icure_async.MedTechApiBuilder, icure_sync.MedTechApiBuilder),
    (icure_async.sandbox.Sandbox, icure_sync.sandbox.Sandbox),
)


def loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of the loop thread."""
    return get_runtime().loop


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Look into the files of flow tests only."""
    if collection_path.is_dir():
        return None
    path = collection_path.relative_to(ROOT).as_posix()
    return True if not path.startswith(FOLDERS) or path in FILES else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Deselect the tests that are left out, and cases of which it is not the day."""
    seen: set[str] = set()
    left_out: list[pytest.Function] = []
    for item in items:
        test = item.nodeid.partition("[")[0]
        if _is_left_out(item) or (test in seen and not _has_its_day(item)):
            left_out.append(item)
        seen.add(test)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _has_its_day(item: pytest.Function) -> bool:
    return all_wanted(OPTION) or (zlib.crc32(item.nodeid.encode()) + today()) % 10 == 0


def _is_left_out(item: pytest.Function) -> bool:
    path = item.path.relative_to(ROOT).as_posix()
    return item.function.__qualname__ in TESTS.get(path, {})


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


@pytest.fixture(autouse=True)
def _blocking(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    """Have the tests, their fixtures and helpers make twins."""

    def factory(twin: type) -> Callable[..., Adapted]:
        return lambda **options: registry.adapted(twin(**options))

    for module in [module for name, module in sys.modules.items() if name.startswith("tests.")]:
        for cls, twin in TWINS:
            if vars(module).get(cls.__name__) is cls:
                monkeypatch.setattr(module, cls.__name__, factory(twin))

    def session_of_a_twin(**options: Any) -> aiohttp.ClientSession:
        assert asyncio.get_running_loop() is loop()
        return aiohttp.ClientSession(trace_configs=[*listeners.get()], **options)

    stand_in = SimpleNamespace(**{**vars(aiohttp), "ClientSession": session_of_a_twin})
    monkeypatch.setattr(connection, "aiohttp", stand_in)
