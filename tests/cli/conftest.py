"""One sandbox for all tests of the command, and a device for each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import keyring.backends.fail
import pytest

from icure_async.sandbox import hashing
from icure_sync.sandbox import Sandbox
from tests.support.command import Command
from tests.support.keyrings import use_keyring

_numbers = count(470_000_000)


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    """A sandbox without the hashes that are slow on purpose."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "slow_digest", hashing.quick_digest)
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


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The device of somebody who has registered, once for all tests; to be filled by the first."""
    return {"home": tmp_path_factory.mktemp("registered") / "device"}


@pytest.fixture(scope="session")
def logged_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device of the sandbox's professional, logged in once for all tests; at first, nothing."""
    return tmp_path_factory.mktemp("logged-in") / "device"


@pytest.fixture
def patient(icure: Command, running: Sandbox, logged_in: Path) -> str:
    """A new patient of the sandbox's professional, who is logged in on this device."""
    if logged_in.exists():
        shutil.copytree(logged_in, icure.home)
    else:
        icure.log_in_as_master(running)
        shutil.copytree(icure.home, logged_in)
    created: str = icure.json("patient", "create", "--last-name", "Stark")["id"]
    return created


@pytest.fixture
def person(
    icure: Command, running: Sandbox, phone: str, registered: dict[str, Any]
) -> dict[str, Any]:
    """Somebody who has registered on this device, for tests that leave the login as it is."""
    if "login" not in registered:
        registered["login"] = icure.register(running, phone)
        shutil.copytree(icure.home, registered["home"])
    else:
        shutil.copytree(registered["home"], icure.home)
    login: dict[str, Any] = registered["login"]
    return login
