"""One sandbox for all tests of the command, and a device for each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import keyring.backends.fail
import pytest

from icure_sync.sandbox import Sandbox
from tests.support.command import Command
from tests.support.keyrings import use_keyring

_numbers = count(470_000_000)


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def phone() -> str:
    """A number that nobody else has."""
    return f"+32{next(_numbers)}"


@pytest.fixture
def icure(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    running: Sandbox,
) -> Command:
    """The command on a narrow terminal, in the environment of a sandbox, without a keyring."""
    monkeypatch.setenv("COLUMNS", "30")
    use_keyring(monkeypatch, keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
    return Command(monkeypatch, capsys, tmp_path / "device", running.environment)
