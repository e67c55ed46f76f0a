"""Logins of a user with a second factor: the application supplies the code."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

from icure_async import MedTechApi, MedTechApiBuilder
from icure_async.errors import (
    AuthenticationError,
    ConfigurationError,
    NetworkError,
    SecondFactorRefusedError,
    SecondFactorRequiredError,
    ServerError,
    ValidationError,
)
from icure_async.sandbox import Fault, Sandbox
from tests.support.leaks import logged, printed
from tests.support.request_log import RequestLog
from tests.support.seeds import add_patient, stage

NAME = "bran"
TOKEN = "correct horse battery staple"
PASSWORD = "three eyed raven"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
LOGIN = "POST /rest/v1/auth/login"
CURRENT = "GET /rest/v1/user/current"
A_DAY = 25 * 3600

pytestmark = pytest.mark.usefixtures("cheap_hashes")
Builder = Callable[[str, str], MedTechApiBuilder]


@pytest.fixture
async def sandbox(world: dict[str, Any]) -> AsyncIterator[Sandbox]:
    seed = stage(world)
    add_patient(seed, NAME, status="ACTIVE")
    async with Sandbox(seed=seed) as running:
        yield running


class App:
    """An application that knows the codes of its user's authenticator."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.asked = 0
        self.codes: list[str] = []
        self.wrong = 0
        self.is_needed = True

    async def code(self) -> str:
        return await self._sandbox.second_factor_code(NAME)

    async def get_code(self) -> str:
        self.asked += 1
        code = await self.code() if self.is_needed else "123456"
        if self.wrong:
            self.wrong -= 1
            code = f"{(int(code) + 1) % 10**6:06d}"
        self.codes.append(code)
        return code


@pytest.fixture
async def app(sandbox: Sandbox, builder: Builder, requests: RequestLog) -> App:
    async with builder(NAME, TOKEN).build() as api:
        user = await api.user_api.get_logged_user()
        await api.user_api.create_or_modify_user(
            user.evolve(password_hash=PASSWORD, use2fa=True, secret=SECRET)
        )
    requests.take()
    return App(sandbox)


@pytest.fixture
async def bran(app: App, builder: Builder) -> AsyncIterator[MedTechApi]:
    async with builder(NAME, PASSWORD).with_second_factor(app.get_code).build() as api:
        yield api


async def test_the_code_is_asked_for_at_the_first_call(
    bran: MedTechApi, app: App, requests: RequestLog
) -> None:
    assert app.asked == 0
    user = await bran.user_api.get_logged_user()
    assert (user.use2fa, user.secret) == (True, None)
    assert app.asked == 1
    assert requests.take() == [LOGIN, LOGIN, CURRENT]
    await bran.user_api.get_logged_user()
    assert app.asked == 1


async def test_many_calls_at_once_ask_once(bran: MedTechApi, app: App) -> None:
    await asyncio.gather(*(bran.user_api.get_user("user-bran") for _ in range(8)))
    assert app.asked == 1


async def test_a_session_that_can_t_be_renewed_asks_again(
    bran: MedTechApi, app: App, sandbox: Sandbox, requests: RequestLog
) -> None:
    await bran.user_api.get_logged_user()
    sandbox.advance_clock(A_DAY)
    requests.take()
    await bran.user_api.get_logged_user()
    # The password alone is not tried again.
    assert requests.take() == [CURRENT, LOGIN, CURRENT]
    assert app.asked == 2


async def test_without_a_function_the_error_names_it(app: App, builder: Builder) -> None:
    async with builder(NAME, PASSWORD).build() as api:
        with pytest.raises(SecondFactorRequiredError, match=r"with_second_factor\(\)") as caught:
            await api.user_api.get_logged_user()
    assert caught.value.status == 417
    assert isinstance(caught.value, AuthenticationError)


async def test_a_wrong_password_asks_for_no_code(app: App, builder: Builder) -> None:
    made = builder(NAME, "a wrong password").with_second_factor(app.get_code)
    async with made.build() as api:
        with pytest.raises(AuthenticationError, match="wrong"):
            await api.user_api.get_logged_user()
    assert app.asked == 0


async def test_a_token_needs_no_code(bran: MedTechApi, app: App, builder: Builder) -> None:
    token = await bran.user_api.create_token()
    async with builder(NAME, token).build() as api:
        await api.user_api.get_logged_user()
    # The session goes on with a token from now on, too.
    await bran.user_api.renew_token()
    assert app.asked == 1


async def test_a_wrong_code_is_sent_once_and_the_next_call_asks_again(
    bran: MedTechApi, app: App, requests: RequestLog
) -> None:
    app.wrong = 1
    calls = [bran.user_api.get_user("user-bran") for _ in range(4)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {SecondFactorRefusedError}
    assert requests.take() == [LOGIN, LOGIN]
    assert app.asked == 1
    await bran.user_api.get_logged_user()
    assert requests.take() == [LOGIN, CURRENT]
    assert app.asked == 2


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "status"])
@pytest.mark.usefixtures("no_pauses")
async def test_a_login_with_a_code_is_not_repeated_blindly(
    kind: Any, bran: MedTechApi, app: App, sandbox: Sandbox, requests: RequestLog
) -> None:
    status = 503 if kind == "status" else None
    fault = Fault(kind, method="POST", path="*/auth/login", nth=2, status=status)
    sandbox.inject_fault(fault)
    with pytest.raises((NetworkError, ServerError)):
        await bran.user_api.get_logged_user()
    assert requests.take() == [LOGIN, LOGIN]
    await bran.user_api.get_logged_user()
    assert app.asked == 2


@pytest.mark.parametrize("code", ["123 456", "123-456"])
async def test_codes_as_people_read_them_off(code: str, app: App, builder: Builder) -> None:
    """With a blank in the middle, or a dash."""

    async def get_code() -> str:
        real = await app.code()
        return real[:3] + code[3] + real[3:]

    async with builder(NAME, PASSWORD).with_second_factor(get_code).build() as api:
        assert (await api.user_api.get_logged_user()).login == NAME


@pytest.mark.parametrize("code", ["", "12a456", "123", "1" * 13, None, 123456, b"123456"])
async def test_what_is_no_code_is_not_sent(
    code: Any, app: App, builder: Builder, requests: RequestLog
) -> None:
    async def get_code() -> str:
        return cast("str", code)

    async with builder(NAME, PASSWORD).with_second_factor(get_code).build() as api:
        with pytest.raises(ValidationError, match="4 to 12 digits"):
            await api.user_api.get_logged_user()
    assert requests.take() == [LOGIN]


async def test_what_the_function_raises_ends_the_call(
    app: App, builder: Builder, requests: RequestLog
) -> None:
    asked = 0

    async def get_code() -> str:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.05)
        raise KeyError("the person went away")

    async with builder(NAME, PASSWORD).with_second_factor(get_code).build() as api:
        calls = [api.user_api.get_user("user-bran") for _ in range(3)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds.count(KeyError) == 1
        assert kinds.count(SecondFactorRequiredError) == 2
        assert asked == 1


async def test_a_function_that_is_not_async(app: App, builder: Builder) -> None:
    made = builder(NAME, PASSWORD).with_second_factor(
        cast("Callable[[], Awaitable[str]]", lambda: "123456")
    )
    async with made.build() as api:
        with pytest.raises(ConfigurationError, match="needs an async function"):
            await api.user_api.get_logged_user()


async def test_a_function_that_uses_the_api_is_told_instead_of_waiting_for_itself(
    app: App, builder: Builder
) -> None:
    opened: list[MedTechApi] = []

    async def get_code() -> str:
        await opened[0].user_api.get_logged_user()
        return "123456"

    async with builder(NAME, PASSWORD).with_second_factor(get_code).build() as api:
        opened.append(api)
        async with asyncio.timeout(5):
            with pytest.raises(ConfigurationError, match="waits for the code"):
                await api.user_api.get_logged_user()


async def test_options_that_make_no_sense(builder: Builder) -> None:
    with pytest.raises(ConfigurationError, match="async function"):
        builder(NAME, PASSWORD).with_second_factor(cast("Any", "123456"))
    made = builder(NAME, PASSWORD).with_second_factor(cast("Any", print)).prevent_cookie_usage()
    with pytest.raises(ConfigurationError, match="can't be combined"):
        made.build()
    for expires_at in (0, -1, 1.5, "soon", True):
        with pytest.raises(ConfigurationError, match="with_password"):
            builder(NAME, PASSWORD).with_password(PASSWORD, expires_at=cast("int", expires_at))


async def test_a_second_factor_that_is_switched_off_again(
    bran: MedTechApi, app: App, sandbox: Sandbox, requests: RequestLog
) -> None:
    user = await bran.user_api.get_logged_user()
    await bran.user_api.create_or_modify_user(user.evolve(use2fa=False))
    sandbox.advance_clock(A_DAY)
    app.asked, app.is_needed = 0, False
    # Once with a code, which is refused now; from then on without.
    with pytest.raises(AuthenticationError):
        await bran.user_api.get_logged_user()
    assert app.asked == 1
    await bran.user_api.get_logged_user()
    assert app.asked == 1


async def test_the_password_of_a_user_with_a_second_factor_is_changed(
    bran: MedTechApi, app: App, sandbox: Sandbox
) -> None:
    await bran.user_api.change_password("a thousand eyes and one")
    sandbox.advance_clock(A_DAY)
    user = await bran.user_api.get_logged_user()
    assert user.use2fa
    assert app.asked > 1


async def test_a_backend_without_json_web_tokens(
    world: dict[str, Any], app: App, builder: Builder, sandbox: Sandbox
) -> None:
    seed = await sandbox.export()
    async with Sandbox(seed=seed, jwt=False) as basic_only:
        made = builder(NAME, PASSWORD).with_icure_base_url(basic_only.icure_url)
        async with made.with_second_factor(app.get_code).build() as api:
            with pytest.raises(SecondFactorRequiredError, match="Log in with a token"):
                await api.user_api.get_logged_user()


async def test_no_code_is_shown(
    bran: MedTechApi, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    app.wrong = 1
    with pytest.raises(SecondFactorRefusedError) as caught:
        await bran.user_api.get_logged_user()
    await bran.user_api.get_logged_user()
    texts = [logged(caplog.records), printed(caught.value), repr(bran), repr(bran._session)]
    for text in texts:
        for secret in (*app.codes, PASSWORD, SECRET):
            assert secret not in text
