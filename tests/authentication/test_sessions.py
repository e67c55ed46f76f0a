"""The end of a session, the user's tokens, and the ids that a login gives."""

from __future__ import annotations

import copy
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from icure_async import (
    AnonymousMedTechApi,
    AuthenticationResult,
    LogoutResult,
    MedTechApiBuilder,
)
from icure_async.errors import (
    AuthenticationError,
    NetworkError,
    PermissionDeniedError,
    TokenExpiredError,
    ValidationError,
)
from icure_async.rest.user_tokens import token_key_of
from icure_async.sandbox import Fault, Sandbox
from tests.support.builders import anonymous_builder_for, builder_for
from tests.support.logins import CAPTCHA, PHONE, authenticate, start, tokens_of, user_named
from tests.support.request_log import RequestLog

Builder = Callable[[str, str], MedTechApiBuilder]

PUT_USER = "/rest/v1/user"


@pytest.fixture
async def ned(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> AsyncIterator[AuthenticationResult]:
    result = await authenticate(anonymous, sandbox)
    async with result.med_tech_api:
        yield result


async def stored_user(sandbox: Sandbox) -> dict[str, Any]:
    user = await user_named(sandbox, PHONE)
    assert user is not None
    return user


def without_tokens(user: dict[str, Any]) -> dict[str, Any]:
    """The members that a revocation leaves alone; backends write empty ones out."""
    return {
        name: value
        for name, value in user.items()
        if name not in ("rev", "authenticationTokens") and value not in ([], {})
    }


# Logging out


async def test_a_logout_ends_the_session_here_and_its_token_there(
    ned: AuthenticationResult, sandbox: Sandbox, builder: Builder, requests: RequestLog
) -> None:
    api, before = ned.med_tech_api, copy.deepcopy(await stored_user(sandbox))
    outcome = await api.logout()
    assert outcome.token_revoked
    assert outcome.reason is None
    after = await stored_user(sandbox)
    assert without_tokens(after) == without_tokens(before)
    kept = before["authenticationTokens"]
    del kept[token_key_of(ned.token)]
    assert after["authenticationTokens"] == kept
    requests.take()
    for call in (api.user_api.get_logged_user, api.user_api.list_tokens, api.identify):
        with pytest.raises(AuthenticationError, match="logged out"):
            await call()
    with pytest.raises(AuthenticationError, match="logged out"):
        await api.patient_api.get_patient(ned.data_owner_id)
    assert requests.take() == []
    async with builder(ned.process.login, ned.token).build() as again:
        with pytest.raises(AuthenticationError):
            await again.user_api.get_logged_user()


async def test_a_logout_may_be_repeated(ned: AuthenticationResult, requests: RequestLog) -> None:
    first = await ned.med_tech_api.logout()
    requests.take()
    assert await ned.med_tech_api.logout() == first
    assert requests.take() == []


@pytest.mark.parametrize("kind", ["drop-before", "status"])
@pytest.mark.usefixtures("no_pauses")
async def test_a_logout_whose_network_breaks_ends_the_session_and_is_finished_by_another(
    kind: Any, ned: AuthenticationResult, sandbox: Sandbox
) -> None:
    api = ned.med_tech_api
    status = 500 if kind == "status" else None
    for method, path in (("PUT", PUT_USER), ("GET", "*/user/current")):
        sandbox.inject_fault(Fault(kind, method=method, path=path, times=4, status=status))
    outcomes: list[LogoutResult] = []
    while not outcomes or not outcomes[-1].token_revoked:
        assert len(outcomes) < 9
        outcomes.append(await api.logout())
        with pytest.raises(AuthenticationError, match="logged out"):
            await api.user_api.get_logged_user()
    assert len(outcomes) > 1
    for outcome in outcomes[:-1]:
        assert "call logout() again" in str(outcome.reason).replace("Call", "call")
        assert outcome.token_expires_at == ned.token_expires_at
    assert await tokens_of(sandbox) == {}


@pytest.mark.usefixtures("no_pauses")
async def test_a_revocation_whose_answer_was_lost_is_one(
    ned: AuthenticationResult, sandbox: Sandbox
) -> None:
    sandbox.inject_fault(Fault("drop-after", method="PUT", path=PUT_USER, nth=1))
    assert (await ned.med_tech_api.logout()).token_revoked
    assert await tokens_of(sandbox) == {}


@pytest.mark.usefixtures("no_pauses")
async def test_a_revocation_whose_answers_were_all_lost_is_one_for_the_next_logout(
    ned: AuthenticationResult, sandbox: Sandbox
) -> None:
    sandbox.inject_fault(Fault("drop-after", method="PUT", path=PUT_USER, times=3))
    assert not (await ned.med_tech_api.logout()).token_revoked
    assert (await ned.med_tech_api.logout()).token_revoked


async def test_a_logout_goes_on_after_a_conflict(
    ned: AuthenticationResult, sandbox: Sandbox
) -> None:
    sandbox.inject_fault(Fault("status", method="PUT", path=PUT_USER, nth=1, status=409))
    assert (await ned.med_tech_api.logout()).token_revoked


async def test_a_backend_that_refuses_the_revocation_is_named(
    ned: AuthenticationResult, sandbox: Sandbox, requests: RequestLog
) -> None:
    sandbox.inject_fault(Fault("status", method="PUT", path=PUT_USER, status=403))
    outcome = await ned.med_tech_api.logout()
    assert not outcome.token_revoked
    assert "not revoked" in str(outcome.reason)
    assert outcome.token_expires_at == ned.token_expires_at
    # Nothing is remembered to try again with.
    requests.take()
    assert await ned.med_tech_api.logout() == outcome
    assert requests.take() == []


async def test_after_a_logout_with_a_password_nothing_is_revoked_and_the_result_says_so(
    sandbox: Sandbox, builder: Builder
) -> None:
    master = sandbox.master_hcp
    async with builder(master.login, master.password).build() as api:
        await api.user_api.get_logged_user()
        outcome = await api.logout()
        assert not outcome.token_revoked
        assert "password" in str(outcome.reason)
        with pytest.raises(AuthenticationError, match="logged out"):
            await api.user_api.get_logged_user()


async def test_a_token_of_an_earlier_version_is_not_found_and_the_result_says_so(
    ned: AuthenticationResult, sandbox: Sandbox
) -> None:
    exported = await sandbox.export()
    tokens = exported["entities"]["user"][ned.user_id]["authenticationTokens"]
    tokens["a-random-key"] = tokens.pop(token_key_of(ned.token))
    async with (
        Sandbox(seed=exported) as older,
        builder_for(older.icure_url, ned.process.login, ned.token).build() as api,
    ):
        outcome = await api.logout()
        assert not outcome.token_revoked
        assert "revoke_token" in str(outcome.reason)


async def test_a_logout_leaves_the_other_sessions_alone(
    ned: AuthenticationResult, builder: Builder
) -> None:
    other = await ned.med_tech_api.user_api.create_token(name="tablet")
    async with builder(ned.process.login, other).build() as tablet:
        await ned.med_tech_api.logout()
        assert (await tablet.user_api.get_logged_user()).id == ned.user_id
        assert (await tablet.logout()).token_revoked


# Tokens


async def test_tokens_are_listed_created_and_revoked(
    ned: AuthenticationResult, builder: Builder
) -> None:
    users = ned.med_tech_api.user_api
    secret = await users.create_token(validity=timedelta(hours=2), name="nightly-export")
    code, current, made = await users.list_tokens()
    assert [token.is_current for token in (code, current, made)] == [False, True, False]
    assert (current.name, made.name) == (None, "nightly-export")
    assert current.expires_at == ned.token_expires_at
    assert made.creation_time is not None
    assert (made.validity, made.expires_at) == (7200, made.creation_time + 7_200_000)
    assert secret not in made.key
    async with builder(ned.process.login, secret).build() as export:
        assert [token.is_current for token in await export.user_api.list_tokens()] == [
            *(False, False, True)
        ]
        assert export.token_expires_at == made.expires_at
    assert await users.revoke_token(made.key)
    assert not await users.revoke_token(made.key)
    assert await users.list_tokens() == [code, current]
    async with builder(ned.process.login, secret).build() as export:
        with pytest.raises(AuthenticationError):
            await export.user_api.list_tokens()


async def test_a_token_and_its_revocation_are_in_no_log_line_and_no_repr(
    ned: AuthenticationResult, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    users = ned.med_tech_api.user_api
    secret = await users.create_token(name="tablet")
    tokens = await users.list_tokens()
    outcome = await ned.med_tech_api.logout()
    for shown in (caplog.text, repr(tokens), repr(outcome), repr(users), repr(ned.med_tech_api)):
        assert secret not in shown
        assert ned.token not in shown


async def test_a_revocation_gives_everything_else_back_as_it_was_read(
    ned: AuthenticationResult, sandbox: Sandbox
) -> None:
    users, before = ned.med_tech_api.user_api, copy.deepcopy(await stored_user(sandbox))
    await users.create_token(name="tablet")
    (tablet,) = [token for token in await users.list_tokens() if token.name == "tablet"]
    await users.revoke_token(tablet.key)
    after = await stored_user(sandbox)
    assert without_tokens(after) == without_tokens(before)
    assert after["authenticationTokens"] == before["authenticationTokens"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"validity": 3600},
        {"validity": timedelta(0)},
        {"validity": None},
        {"name": ""},
        {"name": "two words"},
        {"name": "a/b"},
        {"name": "n" * 101},
        {"name": 7},
    ],
    ids=str,
)
async def test_a_token_that_makes_no_sense_is_refused_before_any_request(
    arguments: dict[str, Any], ned: AuthenticationResult, requests: RequestLog
) -> None:
    requests.take()
    with pytest.raises(ValidationError):
        await ned.med_tech_api.user_api.create_token(**arguments)
    with pytest.raises(ValidationError, match="list_tokens"):
        await ned.med_tech_api.user_api.revoke_token("")
    assert requests.take() == []


async def test_who_may_not_create_tokens_is_told(
    ned: AuthenticationResult, sandbox: Sandbox
) -> None:
    sandbox.inject_fault(Fault("status", path="*/user/token/*", status=403))
    with pytest.raises(PermissionDeniedError):
        await ned.med_tech_api.user_api.create_token()


# The ids that a login gives


async def test_a_login_says_when_its_token_ends_and_whose_it_is(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    process, code = await start(anonymous, sandbox)
    complete = anonymous.authentication_api.complete_authentication
    result = await complete(process, code, token_validity=timedelta(days=7))
    requests.take()
    async with result.med_tech_api as api:
        user = await stored_user(sandbox)
        token = user["authenticationTokens"][token_key_of(result.token)]
        assert result.token_expires_at == token["creationTime"] + 7 * 86_400_000
        assert api.token_expires_at == result.token_expires_at
        assert result.data_owner_id == user["patientId"]
        assert await api.data_owner_id() == user["patientId"]
        assert requests.take() == []
        assert result.token not in repr(result)


async def test_a_login_on_a_device_with_keys_says_it_too(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, ned: AuthenticationResult
) -> None:
    """The user is not read then: it is known from what was asked for."""
    again = await authenticate(anonymous, sandbox)
    async with again.med_tech_api as api:
        user = await stored_user(sandbox)
        token = user["authenticationTokens"][token_key_of(again.token)]
        real = token["creationTime"] + token["validity"] * 1000
        assert abs(again.token_expires_at - real) < 60_000
        assert again.data_owner_id == ned.data_owner_id
        assert again.warnings == []
        await api.user_api.get_logged_user()
        assert api.token_expires_at == real


async def test_a_registration_with_somebody_to_share_with_has_no_warnings(
    ned: AuthenticationResult,
) -> None:
    assert ned.warnings == []
    assert list(ned.med_tech_api.warnings) == []


def of_nobody(exported: dict[str, Any]) -> dict[str, Any]:
    """A sandbox whose only patient has a user, no key pair, and nobody to share with."""
    exported["entities"]["patient"]["bran"] = {"id": "bran", "firstName": "Bran", "lastName": "S"}
    exported["entities"]["user"]["bran-user"] = {
        "id": "bran-user",
        "login": PHONE,
        "mobilePhone": PHONE,
        "patientId": "bran",
        "groupId": "test-group",
        "created": int(time.time() * 1000),
    }
    return exported


@pytest.mark.usefixtures("no_pauses")
async def test_a_registration_with_nobody_to_share_with_says_so_even_when_it_is_repeated(
    sandbox: Sandbox,
) -> None:
    async with Sandbox(seed=of_nobody(await sandbox.export())) as lonely:
        builder = anonymous_builder_for(lonely)
        async with builder.build() as api:
            process = await api.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)
            code = await lonely.wait_for_code(PHONE)
            # The key is published, and the program dies before it is told.
            lonely.inject_fault(Fault("drop-after", method="PUT", path="*/patient", times=1))
            with pytest.raises(NetworkError):
                await api.authentication_api.complete_authentication(process, code)
            result = await api.authentication_api.complete_authentication(process, code)
        async with result.med_tech_api as bran:
            (warning,) = result.warnings
            assert "Nobody but this user can read" in warning
            assert "healthcare_professional_id" in warning
            assert list(bran.warnings) == [warning]


# Expired, or wrong


async def test_a_session_whose_token_has_expired_says_so(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    process, code = await start(anonymous, sandbox)
    result = await anonymous.authentication_api.complete_authentication(
        process, code, token_validity=timedelta(minutes=5)
    )
    async with result.med_tech_api as api:
        sandbox.advance_clock(86_400 * 2)
        with pytest.raises(TokenExpiredError, match="Get a new token") as caught:
            await api.user_api.get_logged_user()
        assert result.token not in str(caught.value)


async def test_a_password_that_never_worked_is_wrong_and_not_expired(
    sandbox: Sandbox, builder: Builder
) -> None:
    async with builder(sandbox.master_hcp.login, "a wrong password").build() as api:
        with pytest.raises(AuthenticationError, match="is wrong, or has expired") as caught:
            await api.user_api.get_logged_user()
        assert type(caught.value) is AuthenticationError
