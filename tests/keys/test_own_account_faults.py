"""Changes of the own account in which any request goes wrong, once or until the call gives up."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

from icure_async import MedTechApi, MedTechApiBuilder
from icure_async.errors import AuthenticationError, ICureError
from icure_async.sandbox import Fault, Sandbox
from tests.support.seeds import PASSWORD, add_patient, stage

EMAIL = "ned@winterfell.example"
NEW_EMAIL = "lord@winterfell.example"
OLD_PASSWORD = "an old password"
NEW_PASSWORD = "winter is coming, they say"
NED = "user-ned"
A_DAY = 25 * 3600

FAULTS: dict[str, dict[str, Any]] = {
    "dropped before": {"kind": "drop-before"},
    "dropped after": {"kind": "drop-after"},
    "truncated": {"kind": "truncate"},
    "401": {"kind": "status", "status": 401},
    "403": {"kind": "status", "status": 403},
    "409": {"kind": "status", "status": 409},
    "429": {"kind": "status", "status": 429},
    "500": {"kind": "status", "status": 500},
    "503": {"kind": "status", "status": 503},
}
REQUESTS = {
    "read": ("GET", "*/user/current"),
    "write": ("PUT", "*/user"),
    "token": ("POST", "*/user/token/*"),
    "login": ("POST", "*/auth/login"),
}

pytestmark = pytest.mark.usefixtures("cheap_hashes", "no_pauses")
Builder = Callable[[str, str], MedTechApiBuilder]
Change = Callable[[MedTechApi], Awaitable[Any]]


async def _save_oneself(api: MedTechApi) -> None:
    user = await api.user_api.get_logged_user()
    changes = {"email": NEW_EMAIL, "login": NEW_EMAIL, "password_hash": NEW_PASSWORD}
    await api.user_api.create_or_modify_user(user.evolve(**changes))


CHANGES: dict[str, tuple[Change, str, str]] = {
    "email": (lambda api: api.user_api.change_email(NEW_EMAIL), NEW_EMAIL, OLD_PASSWORD),
    "password": (lambda api: api.user_api.change_password(NEW_PASSWORD), EMAIL, NEW_PASSWORD),
    "both": (_save_oneself, NEW_EMAIL, NEW_PASSWORD),
    "token": (lambda api: api.user_api.renew_token(), EMAIL, OLD_PASSWORD),
}


@pytest.fixture(params=[True, False], ids=["jwt", "basic"])
async def sandbox(request: pytest.FixtureRequest, world: dict[str, Any]) -> AsyncIterator[Sandbox]:
    seed = stage(world)
    add_patient(seed, "ned", email=EMAIL, status="ACTIVE")
    seed["entities"]["user"][NED]["login"] = EMAIL
    async with Sandbox(seed=seed, jwt=cast("bool", request.param)) as running:
        yield running


@pytest.fixture
async def ned(sandbox: Sandbox, builder: Builder) -> AsyncIterator[MedTechApi]:
    """A session that logs in with an email address and a password, and has done nothing yet."""
    async with builder(EMAIL, PASSWORD).build() as first:
        await first.user_api.change_password(OLD_PASSWORD)
    async with builder(EMAIL, OLD_PASSWORD).build() as api:
        yield api


async def logs_in(builder: Builder, name: str, password: str) -> bool:
    async with builder(name, password).build() as api:
        with contextlib.suppress(AuthenticationError):
            return (await api.user_api.get_logged_user()).id == NED
    return False


@pytest.mark.parametrize("times", [1, 50], ids=["once", "until it gives up"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("name", "request_name"),
    [
        (name, request_name)
        for name in CHANGES
        for request_name in REQUESTS
        if request_name != ("write" if name == "token" else "token")
    ],
)
async def test_a_change_can_be_finished_and_the_session_always_goes_on(
    name: str,
    request_name: str,
    fault: str,
    times: int,
    ned: MedTechApi,
    sandbox: Sandbox,
    builder: Builder,
) -> None:
    change, new_name, new_password = CHANGES[name]
    method, path = REQUESTS[request_name]
    injected = sandbox.inject_fault(Fault(method=method, path=path, times=times, **FAULTS[fault]))
    with contextlib.suppress(ICureError):
        await change(ned)
    sandbox.clear_faults()
    assert injected.struck
    # One login works, whichever was stored, and this session goes on.
    names, passwords = {EMAIL, new_name}, {OLD_PASSWORD, new_password}
    ways = [(one, password) for one in sorted(names) for password in sorted(passwords)]
    outcomes = [await logs_in(builder, *way) for way in ways]
    assert outcomes.count(True) == 1
    sandbox.advance_clock(A_DAY)
    assert (await ned.user_api.get_logged_user()).id == NED
    # Repeating the call finishes it.
    await change(ned)
    assert await logs_in(builder, new_name, new_password)
    sandbox.advance_clock(A_DAY)
    user = await ned.user_api.get_logged_user()
    assert user.email == new_name
    assert len(ned._session.credentials.candidates) == 1
