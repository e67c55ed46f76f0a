"""Whether all flow tests of ``icure_async`` are run for ``icure_sync``, or said not to be."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest

from icure_sync import MedTechApiBuilder
from icure_sync.sandbox import Sandbox

from .flows.adapter import Registry
from .flows.conftest import pytest_runtest_call
from .flows.left_out import FILES, TESTS

ROOT = Path(__file__).parents[2]
FOLDERS = ("apis", "authentication", "flows", "keys", "programs")


def _test_files(folder: str) -> Iterator[str]:
    """The paths of all test files in a folder, from that on."""
    for path in sorted((ROOT / folder).rglob("test_*.py")):
        yield path.relative_to(ROOT / folder).as_posix()


WRITTEN = {f"{folder}/{path}" for folder in FOLDERS for path in _test_files(f"tests/{folder}")}
RUN = set(_test_files("tests/sync/flows"))


def _imported(path: str) -> ModuleType:
    return importlib.import_module(path.removesuffix(".py").replace("/", "."))


def _found_in(module: ModuleType) -> dict[str, object]:
    """What pytest finds in a module: tests, classes of tests, fixtures and marks."""
    return {
        name: value
        for name, value in vars(module).items()
        if name.startswith(("test", "Test"))
        or name == "pytestmark"
        or type(value).__module__ == "_pytest.fixtures"
    }


def test_every_file_is_run_or_left_out_by_name() -> None:
    assert len(WRITTEN) > 20
    left_out = {path.removeprefix("tests/") for path in FILES}
    assert left_out <= WRITTEN
    assert sorted(RUN) == sorted(WRITTEN - left_out)


@pytest.mark.parametrize("path", sorted(RUN))
def test_everything_in_a_file_is_run(path: str) -> None:
    written = _found_in(_imported(f"tests/{path}"))
    assert [name for name, value in written.items() if callable(value)]
    assert _found_in(_imported(f"tests/sync/flows/{path}")) == written


def test_what_is_left_out_exists_and_has_a_reason() -> None:
    assert {path.removeprefix("tests/") for path in TESTS} <= RUN
    for path, tests in TESTS.items():
        assert tests.keys() <= _found_in(_imported(path)).keys()
    reasons = [*FILES.values(), *(reason for tests in TESTS.values() for reason in tests.values())]
    assert all(len(reason) > 30 for reason in reasons)


async def test_only_the_calls_of_the_sdk_count() -> None:
    registry = Registry()
    async with registry.adapted(Sandbox()) as sandbox:
        assert await sandbox.export()
        assert registry.blocked == 0
        builder = registry.adapted(MedTechApiBuilder()).with_icure_base_url(sandbox.icure_url)
        async with builder.with_user_name("nobody").with_password("x").build():
            pass
        assert registry.blocked == 2


def test_a_test_that_makes_no_call_fails() -> None:
    registry = Registry()
    item = cast("pytest.Function", SimpleNamespace(funcargs={"registry": registry}))
    idle = pytest_runtest_call(item)
    next(idle)
    with pytest.raises(pytest.fail.Exception, match="no call of icure_sync"):
        idle.send(None)
    busy = pytest_runtest_call(item)
    next(busy)
    registry.blocked = 1
    with pytest.raises(StopIteration):
        busy.send(None)


def test_an_adapted_object_cannot_be_patched() -> None:
    adapted = Registry().adapted(MedTechApiBuilder())
    with pytest.raises(AttributeError, match="changes nothing"):
        adapted._settings = None
