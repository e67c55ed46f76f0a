"""Flow tests of ``icure_async``: each runs for ``icure_sync``, or is named with a reason."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest

from icure_sync import MedTechApiBuilder
from icure_sync.sandbox import Sandbox
from tests.support.left_out import FILES, FOLDERS, TESTS
from tests.support.sync_adapter import Registry
from tests.support.sync_package import pytest_runtest_call

ROOT = Path(__file__).parents[2]

WRITTEN = {
    path.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("test_*.py")
}


def _imported(path: str) -> ModuleType:
    return importlib.import_module(path.removesuffix(".py").replace("/", "."))


def _tests_in(path: str) -> Iterator[str]:
    """The tests of a module, by qualified name."""
    module = _imported(path)
    for name, value in vars(module).items():
        if name.startswith("Test"):
            yield from (f"{name}.{member}" for member in dir(value) if member.startswith("test"))
        elif name.startswith("test"):
            yield name


def _collected(*options: str) -> set[str]:
    """The ids of the tests that pytest would run, without their parameters."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *options]
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE_", "PYTEST_"))
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}


def test_every_test_is_run_or_left_out_by_name() -> None:
    assert len(WRITTEN) > 20
    expected = {
        f"{path}::{name.replace('.', '::')}"
        for path in WRITTEN - FILES.keys()
        for name in _tests_in(path)
        if name not in TESTS.get(path, {})
    }
    assert len(expected) > 400
    assert _collected("--package", "sync") == expected


def test_what_is_left_out_exists_and_has_a_reason() -> None:
    assert FILES.keys() <= WRITTEN
    assert TESTS.keys() <= WRITTEN - FILES.keys()
    for path, tests in TESTS.items():
        assert tests.keys() <= {*_tests_in(path)}
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
