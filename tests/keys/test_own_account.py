"""Contacts, password and token of the logged-in user, changed while its session goes on."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from icure_async import MedTechApi, MedTechApiBuilder
from icure_async.errors import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ICureError,
    InvalidResponseError,
    NetworkError,
    PermissionDeniedError,
    UserExistsError,
    ValidationError,
    WeakPasswordError,
)
from icure_async.rest.user_tokens import token_key_of
from icure_async.sandbox import Fault, Sandbox
from tests.support.json_proxy import Exchange, Proxy
from tests.support.leaks import assert_secret_free, logged, printed
from tests.support.request_log import RequestLog
from tests.support.seeds import PASSWORD, add_patient, stage

EMAIL = "ned@winterfell.example"
NEW_EMAIL = "lord@winterfell.example"
PHONE = "+32470123456"
NEW_PHONE = "+32470654321"
NEW_PASSWORD = "winter is coming, they say"
NED = "user-ned"
PUT_USER = "/rest/v1/user"
LOGIN = "POST /rest/v1/auth/login"
CURRENT = "GET /rest/v1/user/current"
A_DAY = 25 * 3600

pytestmark = pytest.mark.usefixtures("cheap_hashes")
Builder = Callable[[str, str], MedTechApiBuilder]


@pytest.fixture(params=[True, False], ids=["jwt", "basic"])
def jwt(request: pytest.FixtureRequest) -> bool:
    return cast("bool", request.param)


@pytest.fixture
def seed(world: dict[str, Any]) -> dict[str, Any]:
    seed = stage(world)
    add_patient(seed, "ned")
    ned = seed["entities"]["user"][NED]
    ned |= {"login": EMAIL, "email": EMAIL, "mobilePhone": PHONE, "status": "ACTIVE"}
    ned |= {"properties": [{"id": "p", "typedValue": {"type": "STRING", "stringValue": "v"}}]}
    add_patient(seed, "arya")
    seed["entities"]["user"]["user-arya"] |= {"email": "arya@winterfell.example"}
    return seed


@pytest.fixture
async def sandbox(seed: dict[str, Any], jwt: bool) -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=seed, jwt=jwt) as running:
        yield running


@pytest.fixture
async def ned(builder: Builder) -> AsyncIterator[MedTechApi]:
    async with builder(EMAIL, PASSWORD).build() as api:
        yield api


@pytest.fixture
async def with_password(
    ned: MedTechApi, sandbox: Sandbox, builder: Builder
) -> AsyncIterator[MedTechApi]:
    """A session that logs in with a password."""
    await ned.user_api.change_password("an old password")
    async with builder(EMAIL, "an old password").build() as api:
        await api.user_api.get_logged_user()
        yield api


async def stored(sandbox: Sandbox, user_id: str = NED) -> dict[str, Any]:
    user = await sandbox.stored("user", user_id)
    assert user is not None
    return user


def changed_members(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The members that differ; backends write empty ones out, and the date of a creation."""
    return {
        name
        for name in (after.keys() | before.keys()) - {"created"}
        if (after.get(name) or None) != (before.get(name) or None)
    }


async def logs_in(builder: Builder, name: str, password: str) -> bool:
    async with builder(name, password).build() as api:
        try:
            user = await api.user_api.get_logged_user()
        except AuthenticationError:
            return False
    return user.id == NED


# Contacts


async def test_the_session_goes_on_with_the_new_address(
    ned: MedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    before = copy.deepcopy(await stored(sandbox))
    await ned.user_api.get_logged_user()
    requests.take()
    user = await ned.user_api.change_email("Lord@Winterfell.example")
    assert requests.take() == [CURRENT, "PUT /rest/v1/user"]
    assert (user.email, user.login) == (NEW_EMAIL, NEW_EMAIL)
    after = await stored(sandbox)
    assert changed_members(before, after) == {"rev", "email", "login"}
    # Also once the session has to log in again.
    sandbox.advance_clock(A_DAY)
    assert (await ned.user_api.get_logged_user()).email == NEW_EMAIL
    requests.take()
    await ned.user_api.change_email(NEW_EMAIL)
    assert requests.take() == [CURRENT]


async def test_a_login_of_its_own_stays(builder: Builder, sandbox: Sandbox) -> None:
    async with builder(PHONE, PASSWORD).build() as api:
        user = await api.user_api.change_phone_number("+32 470 65 43 21")
        assert (user.mobile_phone, user.login, user.email) == (NEW_PHONE, EMAIL, EMAIL)
        sandbox.advance_clock(A_DAY)
        assert (await api.user_api.get_logged_user()).mobile_phone == NEW_PHONE


@pytest.mark.parametrize("kind", ["drop-after", "truncate"])
@pytest.mark.usefixtures("no_pauses")
async def test_a_change_whose_answer_was_lost_is_found_to_be_made(
    kind: Any, ned: MedTechApi, sandbox: Sandbox
) -> None:
    sandbox.inject_fault(Fault(kind, method="PUT", path=PUT_USER, times=1))
    user = await ned.user_api.change_email(NEW_EMAIL)
    assert user.email == NEW_EMAIL
    assert (await stored(sandbox))["rev"].startswith("2-")
    sandbox.advance_clock(A_DAY)
    assert (await ned.user_api.get_logged_user()).email == NEW_EMAIL


@pytest.mark.parametrize("kind", ["drop-before", "drop-after"])
@pytest.mark.usefixtures("no_pauses")
async def test_a_change_whose_answers_were_all_lost_leaves_a_session_that_works(
    kind: Any, ned: MedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    sandbox.inject_fault(Fault(kind, method="PUT", path=PUT_USER, times=1))
    sandbox.inject_fault(Fault("drop-before", path=PUT_USER, method="PUT", nth=(2, 3)))
    with pytest.raises(NetworkError):
        await ned.user_api.change_email(NEW_EMAIL)
    sandbox.clear_faults()
    sandbox.advance_clock(A_DAY)
    user = await ned.user_api.get_logged_user()
    assert user.email == (NEW_EMAIL if kind == "drop-after" else EMAIL)
    requests.take()
    assert (await ned.user_api.change_email(NEW_EMAIL)).email == NEW_EMAIL
    assert requests.take().count("PUT /rest/v1/user") == (kind == "drop-before")
    sandbox.advance_clock(A_DAY)
    requests.take()
    await ned.user_api.get_logged_user()
    # The session has settled: it tries no other name.
    assert requests.take().count(LOGIN) <= 1


@pytest.mark.parametrize("kind", ["drop-before", "drop-after"])
@pytest.mark.usefixtures("no_pauses")
async def test_another_address_after_one_whose_answers_were_all_lost(
    kind: Any, ned: MedTechApi, sandbox: Sandbox
) -> None:
    sandbox.inject_fault(Fault(kind, method="PUT", path=PUT_USER, times=1))
    sandbox.inject_fault(Fault("drop-before", path=PUT_USER, method="PUT", nth=(2, 3)))
    with pytest.raises(NetworkError):
        await ned.user_api.change_email(NEW_EMAIL)
    sandbox.clear_faults()
    await ned.user_api.change_email("third@winterfell.example")
    sandbox.advance_clock(A_DAY)
    assert (await ned.user_api.get_logged_user()).email == "third@winterfell.example"


async def test_a_session_outlives_a_name_that_another_device_has_changed(
    ned: MedTechApi, builder: Builder, jwt: bool
) -> None:
    await ned.user_api.get_logged_user()
    async with builder(PHONE, PASSWORD).build() as other:
        await other.user_api.change_email(NEW_EMAIL)
    if jwt:
        assert (await ned.user_api.get_logged_user()).email == NEW_EMAIL
    else:
        with pytest.raises(AuthenticationError, match="refused now"):
            await ned.user_api.get_logged_user()


async def test_a_session_goes_on_with_another_login_of_any_form(
    ned: MedTechApi, builder: Builder, sandbox: Sandbox, requests: RequestLog
) -> None:
    user = await ned.user_api.get_logged_user()
    user = await ned.user_api.create_or_modify_user(user.evolve(login="ned"))
    async with builder("ned", PASSWORD).build() as api:
        await api.user_api.create_or_modify_user(user.evolve(login="eddard"))
        sandbox.advance_clock(A_DAY)
        requests.take()
        assert (await api.user_api.get_logged_user()).login == "eddard"
        # The session has settled: it tries no other name.
        assert requests.take().count(LOGIN) <= 1


async def test_an_address_that_is_taken(ned: MedTechApi, sandbox: Sandbox) -> None:
    with pytest.raises(UserExistsError, match="another user has this") as caught:
        await ned.user_api.change_email("arya@winterfell.example")
    assert caught.value.member in ("email", "login")
    assert isinstance(caught.value, BadRequestError)
    assert_secret_free_of(caught.value, "arya@")
    sandbox.advance_clock(A_DAY)
    assert (await ned.user_api.get_logged_user()).email == EMAIL


def assert_secret_free_of(error: ICureError, text: str) -> None:
    """The address is somebody's; the server's own words are kept out of the message."""
    assert text not in str(error)
    assert text not in repr(error)


@pytest.mark.parametrize("email", ["", "  ", "ned", "ned@", None, 5, "a@b.c, d@e.f"])
async def test_malformed_addresses_are_refused_before_any_request(
    email: Any, ned: MedTechApi, requests: RequestLog
) -> None:
    with pytest.raises(ValidationError, match="email"):
        await ned.user_api.change_email(email)
    assert requests.take() == []


@pytest.mark.parametrize("number", ["", "0470123456", "+32", None, 32470123456])
async def test_malformed_numbers_are_refused_before_any_request(
    number: Any, ned: MedTechApi, requests: RequestLog
) -> None:
    with pytest.raises(ValidationError, match="phone_number"):
        await ned.user_api.change_phone_number(number)
    assert requests.take() == []


async def test_a_change_is_seen_by_whatever_the_session_does_next(
    ned: MedTechApi, requests: RequestLog
) -> None:
    """For example by a creation, which shares with those that the user names."""
    user = await ned.user_api.get_logged_user()
    requests.take()
    hcp_id = "hcp-somebody"
    await ned.user_api.create_or_modify_user(user.evolve(sharing_data_with={"all": [hcp_id]}))
    assert requests.take() == ["PUT /rest/v1/user"]
    shared = await ned._parts.current_user.get_for_sharing()
    assert shared["autoDelegations"] == {"all": [hcp_id]}
    assert requests.take() == [CURRENT]


async def test_the_session_goes_on_after_any_modification_of_its_user(
    with_password: MedTechApi, sandbox: Sandbox, builder: Builder
) -> None:
    api = with_password
    user = await api.user_api.get_logged_user()
    changed = await api.user_api.create_or_modify_user(
        user.evolve(email=NEW_EMAIL, login=NEW_EMAIL, password_hash=NEW_PASSWORD)
    )
    assert changed.password_hash == "*"
    sandbox.advance_clock(A_DAY)
    assert (await api.user_api.get_logged_user()).email == NEW_EMAIL
    assert await logs_in(builder, NEW_EMAIL, NEW_PASSWORD)


async def test_members_of_a_newer_backend_survive(builder: Builder, sandbox: Sandbox) -> None:
    async def add(exchange: Exchange) -> None:
        exchange.answer |= {"future": {"a": [1]}, "termsOfUseDate": 5}
        exchange.answer["authenticationTokens"] = {"k": {"validity": 5, "deletionDate": 7}}

    async with Proxy(sandbox) as proxy:
        api = await builder(EMAIL, PASSWORD).with_icure_base_url(proxy.url).build()
        for change in (
            lambda: api.user_api.change_email(NEW_EMAIL),
            lambda: api.user_api.change_password(NEW_PASSWORD),
        ):
            proxy.after("GET /user/current", add)
            await cast("Any", change)()
            sent = proxy.sent("PUT /user")[-1]
            assert sent["future"] == {"a": [1]}
            assert sent["termsOfUseDate"] == 5
            assert sent["authenticationTokens"]["k"] == {"validity": 5, "deletionDate": 7}
        await api.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        {"id": "user-arya", "rev": "9-a", "email": NEW_EMAIL},
        {"id": NED, "rev": "9-a", "email": EMAIL},
        {"id": NED, "rev": "9-a"},
        {"id": NED, "rev": "9-a", "email": 5},
        {"id": NED, "rev": "9-a", "email": NEW_EMAIL, "autoDelegations": "all"},
        [],
        None,
    ],
)
async def test_hostile_answers_to_a_change(answer: Any, builder: Builder, sandbox: Sandbox) -> None:
    async def replace(exchange: Exchange) -> None:
        exchange.answer = answer

    async with Proxy(sandbox) as proxy:
        api = await builder(EMAIL, PASSWORD).with_icure_base_url(proxy.url).build()
        proxy.after("PUT /user", replace)
        with pytest.raises(InvalidResponseError):
            await api.user_api.change_email(NEW_EMAIL)
        # It was made all the same, and the session reckons with that.
        sandbox.advance_clock(A_DAY)
        assert (await api.user_api.get_logged_user()).email == NEW_EMAIL
        await api.aclose()


# Passwords


async def test_a_session_with_a_password_goes_on_with_the_new_one(
    with_password: MedTechApi, sandbox: Sandbox, builder: Builder, requests: RequestLog
) -> None:
    before = copy.deepcopy(await stored(sandbox))
    requests.take()
    await with_password.user_api.change_password(NEW_PASSWORD)
    assert requests.take() == [CURRENT, "PUT /rest/v1/user"]
    after = await stored(sandbox)
    assert changed_members(before, after) == {"rev", "passwordHash"}
    assert await logs_in(builder, EMAIL, NEW_PASSWORD)
    assert not await logs_in(builder, EMAIL, "an old password")
    sandbox.advance_clock(A_DAY)
    requests.take()
    await with_password.user_api.get_logged_user()
    assert requests.take().count(LOGIN) <= 1


async def test_a_session_with_a_token_keeps_to_it(
    ned: MedTechApi, sandbox: Sandbox, builder: Builder
) -> None:
    token = await ned.user_api.create_token(validity=timedelta(days=3))
    async with builder(EMAIL, token).build() as api:
        await api.user_api.change_password(NEW_PASSWORD)
        sandbox.advance_clock(A_DAY)
        assert [made.is_current for made in await api.user_api.list_tokens()] == [True]
        assert api.token_expires_at is not None
        assert (await api.logout()).token_revoked
    assert await logs_in(builder, EMAIL, NEW_PASSWORD)


@pytest.mark.parametrize("change", ["email", "token", "sharing"])
async def test_a_password_survives_an_answer_that_lacks_it(
    change: str, with_password: MedTechApi, sandbox: Sandbox, builder: Builder
) -> None:
    token = token_key_of(await with_password.user_api.create_token())

    async def cut(exchange: Exchange) -> None:
        del exchange.answer["passwordHash"]

    async with Proxy(sandbox) as proxy:
        made = builder(PHONE, "an old password").with_icure_base_url(proxy.url)
        async with made.build() as api:
            for _ in range(9):
                proxy.after("GET /user/current", cut)
            if change == "email":
                await api.user_api.change_email(NEW_EMAIL)
            elif change == "token":
                assert await api.user_api.revoke_token(token)
            else:
                user = await api.user_api.get_logged_user()
                shares = {"all": ["hcp-somebody"]}
                await api.user_api.create_or_modify_user(user.evolve(sharing_data_with=shares))
                await api.user_api.stop_sharing_data_with(["hcp-somebody"])
    assert await logs_in(builder, PHONE, "an old password")


@pytest.mark.parametrize("is_renewed", [True, False])
async def test_a_session_with_a_token_keeps_to_it_whatever_is_known_of_its_tokens(
    is_renewed: bool, ned: MedTechApi, builder: Builder
) -> None:
    token = await ned.user_api.create_token()
    async with builder(EMAIL, token).build() as api:
        user = await api.user_api.get_logged_user()
        if is_renewed:
            await api.user_api.renew_token()
        else:
            user = user.evolve(authentication_tokens={})
        await api.user_api.create_or_modify_user(user.evolve(password_hash=NEW_PASSWORD))
        assert [one.is_current for one in await api.user_api.list_tokens()].count(True) == 1
        assert (await api.logout()).token_revoked
    assert await logs_in(builder, EMAIL, NEW_PASSWORD)


@pytest.mark.parametrize("kind", ["drop-before", "drop-after"])
@pytest.mark.usefixtures("no_pauses")
async def test_a_password_whose_change_got_no_answer(
    kind: Any, with_password: MedTechApi, sandbox: Sandbox, builder: Builder
) -> None:
    sandbox.inject_fault(Fault(kind, method="PUT", path=PUT_USER, times=1))
    sandbox.inject_fault(Fault("drop-before", path=PUT_USER, method="PUT", nth=(2, 3)))
    with pytest.raises(NetworkError):
        await with_password.user_api.change_password(NEW_PASSWORD)
    sandbox.clear_faults()
    was_changed = await logs_in(builder, EMAIL, NEW_PASSWORD)
    assert was_changed == (kind == "drop-after")
    sandbox.advance_clock(A_DAY)
    await asyncio.gather(*(with_password.user_api.get_logged_user() for _ in range(3)))
    await with_password.user_api.change_password(NEW_PASSWORD)
    sandbox.advance_clock(A_DAY)
    assert (await with_password.user_api.get_logged_user()).id == NED
    assert await logs_in(builder, EMAIL, NEW_PASSWORD)


@pytest.mark.parametrize("through", ["change_password", "create_or_modify_user"])
@pytest.mark.usefixtures("no_pauses")
async def test_a_refusal_after_a_change_whose_answer_was_lost(
    through: str, with_password: MedTechApi, sandbox: Sandbox
) -> None:
    user = await with_password.user_api.get_logged_user()

    async def change() -> None:
        if through == "change_password":
            await with_password.user_api.change_password(NEW_PASSWORD)
        else:
            await with_password.user_api.create_or_modify_user(
                user.evolve(password_hash=NEW_PASSWORD)
            )

    sandbox.inject_fault(Fault("drop-after", method="PUT", path=PUT_USER, times=1))
    sandbox.inject_fault(Fault("drop-before", path=PUT_USER, method="PUT", nth=(2, 3)))
    with pytest.raises(NetworkError):
        await change()
    sandbox.clear_faults()
    sandbox.inject_fault(Fault("status", status=403, method="PUT", path=PUT_USER, times=1))
    with pytest.raises(PermissionDeniedError):
        await change()
    sandbox.advance_clock(A_DAY)
    assert (await with_password.user_api.get_logged_user()).id == NED


@pytest.mark.usefixtures("no_pauses")
async def test_a_program_that_dies_in_the_change_has_a_password_that_works(
    with_password: MedTechApi, sandbox: Sandbox, builder: Builder
) -> None:
    sandbox.inject_fault(Fault("drop-after", method="PUT", path=PUT_USER, times=1))
    sandbox.inject_fault(Fault("delay", method="PUT", path=PUT_USER, nth=2, seconds=5))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await with_password.user_api.change_password(NEW_PASSWORD)
    sandbox.clear_faults()
    async with builder(EMAIL, NEW_PASSWORD).build() as again:
        await again.user_api.change_password(NEW_PASSWORD)
    assert await logs_in(builder, EMAIL, NEW_PASSWORD)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "1234567",
        " in blanks ",
        "line\nbreak in it",
        "f" * 64,
        "0123456789abcdef" * 4,
        "$2a$10$aaaaaaaaaaaaaaaaaaaaaa",
        "sha256$abcdef$012345",
        "a password|123456",
        "x" * 1001,
        "a lone \ud800 surrogate",
        None,
        12345678,
    ],
)
async def test_passwords_that_backends_misunderstand_are_refused_before_any_request(
    password: Any, ned: MedTechApi, requests: RequestLog
) -> None:
    with pytest.raises(ValidationError, match="password") as caught:
        await ned.user_api.change_password(password)
    assert requests.take() == []
    if isinstance(password, str) and len(password) > 6:
        assert_secret_free(caught.value, password)


async def test_a_backend_that_wants_a_longer_password(
    with_password: MedTechApi, sandbox: Sandbox, builder: Builder
) -> None:
    async def refuse(exchange: Exchange) -> None:
        exchange.status = 400
        exchange.answer = {
            "message": "Your password is too short. It must have at least 20 characters."
        }

    async with Proxy(sandbox) as proxy:
        api = await builder(EMAIL, "an old password").with_icure_base_url(proxy.url).build()
        proxy.before("PUT /user", refuse)
        with pytest.raises(WeakPasswordError, match="at least 20 characters") as caught:
            await api.user_api.change_password(NEW_PASSWORD)
        assert_secret_free(caught.value, NEW_PASSWORD)
        sandbox.advance_clock(A_DAY)
        assert (await api.user_api.get_logged_user()).id == NED
        await api.aclose()


async def test_a_backend_that_shows_no_password_afterwards(
    builder: Builder, sandbox: Sandbox
) -> None:
    async def forget(exchange: Exchange) -> None:
        del exchange.answer["passwordHash"]

    async with Proxy(sandbox) as proxy:
        api = await builder(EMAIL, PASSWORD).with_icure_base_url(proxy.url).build()
        proxy.after("PUT /user", forget)
        with pytest.raises(InvalidResponseError, match="without the change"):
            await api.user_api.change_password(NEW_PASSWORD)
        sandbox.advance_clock(A_DAY)
        assert (await api.user_api.get_logged_user()).id == NED
        await api.aclose()


async def test_a_user_who_keeps_being_changed(builder: Builder, sandbox: Sandbox) -> None:
    sandbox.inject_fault(Fault("status", method="PUT", path=PUT_USER, status=409))
    async with builder(EMAIL, PASSWORD).build() as api:
        with pytest.raises(ConflictError, match="Try again"):
            await api.user_api.change_email(NEW_EMAIL)
        sandbox.clear_faults()
        assert (await api.user_api.get_logged_user()).email == EMAIL


async def test_a_user_who_may_not_change_itself(ned: MedTechApi, sandbox: Sandbox) -> None:
    sandbox.inject_fault(Fault("status", method="PUT", path=PUT_USER, status=403))
    with pytest.raises(PermissionDeniedError):
        await ned.user_api.change_password(NEW_PASSWORD)
    sandbox.advance_clock(A_DAY)
    assert (await ned.user_api.get_logged_user()).id == NED


async def test_no_password_and_no_token_is_shown(
    with_password: MedTechApi, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api = with_password
    await api.user_api.change_password(NEW_PASSWORD)
    renewed = await api.user_api.renew_token(name="laptop")
    sandbox.inject_fault(Fault("status", method="PUT", path=PUT_USER, status=400, times=1))
    with pytest.raises(BadRequestError) as caught:
        await api.user_api.change_password(NEW_PASSWORD + "!")
    texts = [logged(caplog.records), printed(caught.value), repr(renewed), repr(api._session)]
    texts += [repr(api._session.credentials), repr(api._session.credentials.current)]
    for text in texts:
        for secret in (NEW_PASSWORD, renewed.token, "an old password"):
            assert secret not in text


# Tokens


async def test_a_token_is_renewed_and_the_old_one_revoked_once_the_new_one_is_stored(
    ned: MedTechApi, sandbox: Sandbox, builder: Builder, requests: RequestLog
) -> None:
    old = await ned.user_api.create_token(validity=timedelta(days=2), name="laptop")
    async with builder(EMAIL, old).build() as api:
        await api.user_api.get_logged_user()
        requests.take()
        renewed = await api.user_api.renew_token(validity=timedelta(days=10))
        key = token_key_of(renewed.token, "laptop")
        assert requests.take() == [f"POST /rest/v1/user/token/{NED}/{key}"]
        assert (renewed.key, renewed.replaced_key) == (key, token_key_of(old, "laptop"))
        assert api.token_expires_at == renewed.token_expires_at
        # Both work until the old one is revoked.
        assert await logs_in(builder, EMAIL, old)
        assert await api.user_api.revoke_token(token_key_of(old, "laptop"))
        assert not await logs_in(builder, EMAIL, old)
        sandbox.advance_clock(3 * 86_400)
        current = [token for token in await api.user_api.list_tokens() if token.is_current]
        assert [(token.key, token.name) for token in current] == [(key, "laptop")]
        assert (await api.logout()).token_revoked
    assert not await logs_in(builder, EMAIL, renewed.token)


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "status"])
@pytest.mark.usefixtures("no_pauses")
async def test_a_renewal_that_fails_leaves_the_session_as_it_was(
    kind: Any, ned: MedTechApi, sandbox: Sandbox, builder: Builder
) -> None:
    old = await ned.user_api.create_token(validity=timedelta(days=9))
    status = 500 if kind == "status" else None
    async with builder(EMAIL, old).build() as api:
        sandbox.inject_fault(
            Fault(kind, method="POST", path="*/user/token/*", times=3, status=status)
        )
        with pytest.raises(ICureError):
            await api.user_api.renew_token()
        sandbox.clear_faults()
        sandbox.advance_clock(A_DAY)
        current = [token.key for token in await api.user_api.list_tokens() if token.is_current]
        assert current == [token_key_of(old)]
        assert (await api.user_api.renew_token()).replaced_key == token_key_of(old)
    assert await logs_in(builder, EMAIL, old)


async def test_a_session_with_a_password_goes_on_with_a_token(
    with_password: MedTechApi, sandbox: Sandbox
) -> None:
    renewed = await with_password.user_api.renew_token(validity=timedelta(days=5), name="box")
    assert renewed.replaced_key is None
    sandbox.advance_clock(A_DAY)
    current = [
        token.name for token in await with_password.user_api.list_tokens() if token.is_current
    ]
    assert current == ["box"]


async def test_a_session_that_has_ended_is_not_renewed(ned: MedTechApi) -> None:
    await ned.logout()
    for call in (
        ned.user_api.renew_token(),
        ned.user_api.change_password(NEW_PASSWORD),
        ned.user_api.change_email(NEW_EMAIL),
    ):
        with pytest.raises(AuthenticationError, match="logged out"):
            await call


@pytest.mark.parametrize(
    "options", [{"validity": timedelta(0)}, {"validity": 5}, {"name": "two words"}, {"name": ""}]
)
async def test_a_renewal_that_makes_no_sense(
    options: dict[str, Any], ned: MedTechApi, requests: RequestLog
) -> None:
    with pytest.raises(ValidationError):
        await ned.user_api.renew_token(**options)
    assert requests.take() == []


async def test_another_token_than_the_one_asked_for(builder: Builder, sandbox: Sandbox) -> None:
    async def swap(exchange: Exchange) -> None:
        exchange.answer = "11111111-2222-4333-8444-555555555555"

    async with Proxy(sandbox) as proxy:
        api = await builder(EMAIL, PASSWORD).with_icure_base_url(proxy.url).build()
        for part in ("renew_token", "create_token"):
            user = await api.user_api.get_logged_user()
            proxy.after(f"POST /user/token/{user.id}/*", swap)
            with pytest.raises(InvalidResponseError, match="another token"):
                await getattr(api.user_api, part)()
        assert api._session.credentials.current.secret == PASSWORD
        await api.aclose()


async def test_a_known_end_of_a_token_is_told_from_the_beginning(builder: Builder) -> None:
    made = builder(EMAIL, PASSWORD).with_password(PASSWORD, expires_at=1_900_000_000_000)
    async with made.build() as api:
        assert api.token_expires_at == 1_900_000_000_000
