"""The pytest plugin of icure-async: a sandbox for tests, its people, and logins.

It stands outside of the packages that it tests, and imports them when the first test asks for a
fixture: pytest starts as fast as without it, and coverage misses no line of them. docs/in-tests.md
shows how to use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    import icure_async
    import icure_async.sandbox
    import icure_sync
    import icure_sync.sandbox
    from icure_async.sandbox import SandboxPerson
    from pytest_icure._sandboxes import SessionSandbox

__all__ = [
    "icure_async_login",
    "icure_async_sandbox",
    "icure_environment",
    "icure_login",
    "icure_patient",
    "icure_professional",
    "icure_sandbox",
    "icure_sandbox_options",
    "icure_session_sandbox",
]

_USED = pytest.StashKey["SessionSandbox"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of the ini file."""
    parser.addini("icure_flavour", "flavour of people and logins: medtech or cardinal", default="")
    parser.addini("icure_sandbox_profile", "profile of the sandbox: legacy or strict", default="")
    parser.addini("icure_sandbox_seed", "JSON file that the sandbox starts with", default="")
    parser.addini("icure_sandbox_random_seed", "number that makes codes repeatable", default="")
    parser.addini(
        "icure_sandbox_codes", "fixed codes of contacts, a CONTACT=CODE each line", type="linelist"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the last requests to the sandbox with a test that failed."""
    report = yield
    used = item.stash.get(_USED, None)
    if used is not None and report.when == "call" and report.failed:
        requests = used.last_requests()
        if requests:
            report.sections.append(("Requests to the iCure sandbox", requests))
    return report


@pytest.fixture(scope="session")
def icure_sandbox_options() -> dict[str, Any]:
    """Return options of the `Sandbox` of this session: override it in a conftest.py."""
    return {}


@pytest.fixture(scope="session")
def _icure_session(
    pytestconfig: pytest.Config, icure_sandbox_options: dict[str, Any]
) -> Iterator[SessionSandbox]:
    try:
        from pytest_icure._sandboxes import opened
    except ImportError as error:
        pytest.fail(_missing(error), pytrace=False)
    with opened(pytestconfig, icure_sandbox_options) as session:
        yield session


def _missing(error: ImportError) -> str:
    return f"The iCure fixtures need their extra: pip install 'icure-async[testing]' ({error})"


@pytest.fixture(scope="session")
def icure_session_sandbox(_icure_session: SessionSandbox) -> icure_sync.sandbox.Sandbox:
    """Return the sandbox of this session, with what earlier tests have left in it."""
    return _icure_session.used().blocking


@pytest.fixture
def _icure_renewed(
    request: pytest.FixtureRequest, _icure_session: SessionSandbox
) -> SessionSandbox:
    _icure_session.renew()
    request.node.stash[_USED] = _icure_session
    return _icure_session


@pytest.fixture
def icure_sandbox(_icure_renewed: SessionSandbox) -> icure_sync.sandbox.Sandbox:
    """Return a sandbox as it is right after its start, for blocking tests."""
    return _icure_renewed.blocking


@pytest.fixture
def icure_async_sandbox(_icure_renewed: SessionSandbox) -> icure_async.sandbox.Sandbox:
    """Return the same sandbox for async tests: its methods are awaited, in any event loop."""
    return _icure_renewed.awaitable


@pytest.fixture
def icure_professional(_icure_renewed: SessionSandbox) -> SandboxPerson:
    """Return a professional who has registered, with a key pair."""
    return _icure_renewed.register("professional")


@pytest.fixture
def icure_patient(
    _icure_renewed: SessionSandbox, icure_professional: SandboxPerson
) -> SandboxPerson:
    """Return a patient who has registered, with a key pair, and shares with the professional."""
    return _icure_renewed.register("patient", shares_with=[icure_professional])


@pytest.fixture
def icure_login(
    _icure_renewed: SessionSandbox,
) -> Callable[[SandboxPerson], AbstractContextManager[icure_sync.MedTechApi]]:
    """Return a function that logs a person in until the end of a ``with`` statement."""
    return _icure_renewed.login


@pytest.fixture
def icure_async_login(
    _icure_renewed: SessionSandbox,
) -> Callable[[SandboxPerson], AbstractAsyncContextManager[icure_async.MedTechApi]]:
    """Return the same function for async tests, for ``async with``."""
    return _icure_renewed.async_login


@pytest.fixture
def icure_environment(
    monkeypatch: pytest.MonkeyPatch, _icure_renewed: SessionSandbox
) -> dict[str, str]:
    """Set the environment variables that name the sandbox, and return them."""
    environment = _icure_renewed.blocking.environment
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment
