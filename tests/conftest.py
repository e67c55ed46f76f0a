"""Fixtures that several rooms share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from hypothesis import settings

from icure_async import AnonymousMedTechApiBuilder, MedTechApiBuilder
from icure_async.models.flavour import Flavour
from icure_async.rest import retries
from icure_async.sandbox import Sandbox, hashing, server
from icure_async.storage import jwk
from tests.support.builders import anonymous_builder_for, builder_for
from tests.support.canned_answers import responses
from tests.support.counts import count, pytest_terminal_summary
from tests.support.golden import GOLDEN, WORLD
from tests.support.keyrings import system_keyring
from tests.support.postgres import (
    _postgres_shared,  # noqa: F401 - a fixture of fixtures
    _postgres_template,  # noqa: F401 - another one
    postgres_database,
    postgres_server,
    postgres_url,
)
from tests.support.request_log import RequestLog
from tests.support.shortcuts import MADE_ONCE, VALIDATED_ONCE

__all__ = [
    "count",
    "postgres_database",
    "postgres_server",
    "postgres_url",
    "pytest_terminal_summary",
    "responses",
    "system_keyring",
]


# No test asserts a time: an example may take long on a busy machine. CI tries a third of the usual
# hundred, other ones in each run.
settings.register_profile("untimed", deadline=None, max_examples=33)
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--package",
        choices=("async", "sync"),
        default="async",
        help="run all tests, or the flow tests of icure_async against icure_sync",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("package") == "sync":
        config.pluginmanager.import_plugin("tests.support.sync_package")


@pytest.fixture(scope="session")
def world() -> dict[str, Any]:
    """The reference's small world at three moments, with all keys. Not to be changed."""
    return WORLD


@pytest.fixture(scope="session")
def transcript() -> dict[str, Any]:
    """Every request the reference makes in the SMS flow. Not to be changed."""
    content: dict[str, Any] = json.loads((GOLDEN / "sms-flow-transcript.json").read_text("utf-8"))
    return content


@pytest.fixture
async def sdk_loop(pytestconfig: pytest.Config) -> asyncio.AbstractEventLoop:
    """The event loop that the SDK runs on: with ``icure_sync``, that of the loop thread."""
    if pytestconfig.getoption("package") == "sync":
        from tests.support.sync_package import loop

        return loop()
    return asyncio.get_running_loop()


@pytest.fixture
def flavour() -> Flavour:
    """The flavour in which everybody works; tests of another one override it."""
    return "medtech"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without waiting between them."""

    async def pause(seconds: float) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(retries, "pause", pause)


@pytest.fixture(autouse=True)
def _quick_sandboxes(request: pytest.FixtureRequest) -> None:
    """Spare all sandboxes but those under test themselves what is slow on purpose."""
    if "tests/sandbox/" not in request.node.nodeid:
        for name in ("keys_made_once", "cheap_hashes"):
            request.getfixturevalue(name)


@pytest.fixture
def keys_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each sandbox the making of its master's and its signing key."""
    for name, function in MADE_ONCE.items():
        monkeypatch.setattr(server, name, function)


@pytest.fixture
def keys_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each program on a device the validation of keys that others on it have validated."""
    for name, function in VALIDATED_ONCE.items():
        monkeypatch.setattr(jwk, name, function)


@pytest.fixture
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the sandbox the hashes that are slow on purpose."""
    monkeypatch.setattr(hashing, "slow_digest", hashing.quick_digest)


@pytest.fixture
def requests() -> RequestLog:
    return RequestLog()


@pytest.fixture
async def client_session(requests: RequestLog) -> AsyncIterator[aiohttp.ClientSession]:
    """A client session whose requests are in ``requests``."""
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(requests.record)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        yield session


@pytest.fixture
def anonymous_builder(
    sandbox: Sandbox, client_session: aiohttp.ClientSession
) -> Callable[[], AnonymousMedTechApiBuilder]:
    """Builders for registering patients at the sandbox, by SMS and by email."""

    def make() -> AnonymousMedTechApiBuilder:
        return anonymous_builder_for(sandbox).with_client_session(client_session)

    return make


@pytest.fixture
def builder(
    sandbox: Sandbox, client_session: aiohttp.ClientSession
) -> Callable[[str, str], MedTechApiBuilder]:
    """Builders for users of the sandbox, by user name and password."""

    def make(user_name: str, password: str) -> MedTechApiBuilder:
        return builder_for(sandbox.icure_url, user_name, password).with_client_session(
            client_session
        )

    return make
