"""The names that ``import icure_async`` gives, and the modules that it must not import."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import icure_async

IMPORTED = "import sys, icure_async; print(*sorted(sys.modules))"
GOLDEN = Path(__file__).parent / "golden"
ORIGINAL = Path(__file__).parents[2] / "shared" / "golden"


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in icure_async.__all__:
        assert getattr(icure_async, name) is not None
    documented = [icure_async.AuthenticationApi, icure_async.PatientApi, icure_async.MedTechApi]
    for cls in documented:
        for name, member in vars(cls).items():
            if not name.startswith("_"):
                assert member.__doc__, f"{cls.__name__}.{name} has no docstring"


def test_the_sdk_imports_neither_the_sandbox_nor_the_command_line() -> None:
    # Coverage, where it measures subprocesses, imports on its own account.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    output = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    ).stdout.split()
    unwanted = {"typer", "rich", "joserfc", "sqlite3", "keyring"}
    unwanted |= {"cattrs", "cryptography", "email_validator", "phonenumbers", "tenacity"}  # slow
    unwanted |= {f"icure_async.{name}" for name in ("sandbox", "cli", "demo")}
    unwanted.add("icure_async.parts")  # imported by the builders
    assert not unwanted & set(output)


def test_the_errors_are_one_hierarchy() -> None:
    for name in icure_async.errors.__all__:
        assert issubclass(getattr(icure_async.errors, name), icure_async.ICureError)


@pytest.mark.skipif(not ORIGINAL.is_dir(), reason="waits for the original of the golden data")
def test_the_golden_data_is_as_it_was_written() -> None:
    for file in ORIGINAL.iterdir():
        assert (GOLDEN / file.name).read_bytes() == file.read_bytes()


def test_help_begins_with_where_to_start() -> None:
    start = icure_async.__doc__ or ""
    for name in (*re.findall(r":class:`(\w+)`", start), *re.findall(r"icure_async\.(\w+)", start)):
        assert hasattr(icure_async, name) or importlib.util.find_spec(f"icure_async.{name}")
    for name in ("MedTechApiBuilder", "AnonymousMedTechApiBuilder", "errors", "storage", "sandbox"):
        assert name in start
