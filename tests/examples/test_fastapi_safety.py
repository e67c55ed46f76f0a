"""The service on FastAPI, asked by those who mean it harm, and by those in a hurry."""

from __future__ import annotations

import asyncio
import importlib
import re
from datetime import timedelta
from urllib.parse import quote

import pytest

from icure_async.sandbox import Fault, Sandbox
from tests.support.example_services import (
    EXAMPLES,
    RunningService,
    code_shown_by,
    example_library,
)
from tests.support.logins import tokens_of
from tests.support.postgres import PostgresServer
from tests.support.visitors import Answer, Visitor, visiting

pytestmark = pytest.mark.postgres

PHONE, BUSY_PHONE, CLICKING_PHONE = "+32470218311", "+32470218312", "+32470218314"


async def ask_for_code(visitor: Visitor, phone: str) -> Answer:
    return await visitor.post("/sign-in", phone=phone, first_name="Bran", last_name="Stark")


def assert_safe(answer: Answer) -> None:
    headers = answer.headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.asyncio(loop_scope="session")
async def test_every_answer_has_the_headers_for_safety(service: RunningService) -> None:
    async with visiting(service.url) as visitor:
        answers = {
            200: await visitor.get("/"),
            404: await visitor.get("/<script>alert(1)</script>"),
            401: await visitor.get("/notes"),
            403: await visitor.post("/sign-out", headers={}),
            410: await visitor.get("/sign-in/code"),
            422: await visitor.post("/sign-in", phone=PHONE),
            303: await visitor.post("/sign-out"),
            405: await visitor.get("/sign-out"),
        }
    for status, answer in answers.items():
        assert answer.status == status
        assert_safe(answer)
        assert "<script" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
@pytest.mark.asyncio(loop_scope="session")
async def test_a_form_that_another_page_sends_changes_nothing(
    service: RunningService, backend: Sandbox, headers: dict[str, str]
) -> None:
    count = len(backend.messages())
    async with visiting(service.url) as visitor:
        form = {"phone": PHONE, "first_name": "Bran", "last_name": "Stark"}
        answer = await visitor.post("/sign-in", headers=headers, **form)
    assert (answer.status, answer.cookies) == (403, [])
    assert len(backend.messages()) == count


@pytest.mark.asyncio(loop_scope="session")
async def test_cookies_are_for_this_service_alone_and_no_script_reads_them(
    service: RunningService, backend: Sandbox
) -> None:
    async with visiting(service.url) as bran:
        asked = await ask_for_code(bran, PHONE)
        code = await code_shown_by(backend.page_url, PHONE)
        signed_in = await bran.post("/sign-in/code", code=code)
        assert (asked.goes_to, signed_in.goes_to) == ("/sign-in/code", "/notes")
        for cookie in asked.cookies + signed_in.cookies:
            assert "HttpOnly" in cookie
            assert "SameSite=lax" in cookie
            assert "Path=/" in cookie
            assert "Domain" not in cookie

        missing = await bran.get("/notes/no-such-note")
        assert missing.status == 404
        assert "There is no such thing." in missing.text
        assert_safe(missing)
        empty = await bran.post("/notes", text="")
        assert empty.status == 422
        large = await bran.post("/notes", text="x" * 200_000)
        assert large.status == 413
        written = await bran.post("/notes", text="<img src=x onerror=alert(1)> \"'$id")
        for path in ("/notes", written.goes_to):
            shown = await bran.get(path)
            assert "<img" not in shown.text
            assert "&lt;img src=x onerror=alert(1)&gt; &quot;&#x27;$id" in shown.text


@pytest.mark.asyncio(loop_scope="session")
async def test_a_person_who_clicks_twice_is_signed_in_once(
    service: RunningService, backend: Sandbox
) -> None:
    async with visiting(service.url) as hodor:
        await ask_for_code(hodor, CLICKING_PHONE)
        code = await code_shown_by(backend.page_url, CLICKING_PHONE)
        answers = await asyncio.gather(*(hodor.post("/sign-in/code", code=code) for _ in range(2)))
    assert [answer.goes_to for answer in answers] == ["/notes", "/notes"]
    assert answers[0].cookies == answers[1].cookies
    assert len(await tokens_of(backend, CLICKING_PHONE)) == 1


@pytest.mark.asyncio(loop_scope="session")
async def test_a_malformed_form_is_not_repeated_to_its_sender(service: RunningService) -> None:
    async with visiting(service.url) as visitor:
        answer = await visitor.post("/sign-in/code", code="1234567890123456789012345")
        malformed = await visitor.post("/sign-in", phone="nonsense", first_name="A", last_name="B")
    assert (answer.status, malformed.status) == (422, 422)
    assert "1234567890" not in answer.text + malformed.text + service.log()
    assert "nonsense" not in malformed.text
    assert "Write the phone number with + and the country code." in malformed.text


@pytest.mark.asyncio(loop_scope="session")
async def test_a_stranger_cannot_have_codes_sent_without_end(
    service: RunningService, backend: Sandbox
) -> None:
    async with visiting(service.url) as visitor:
        # Each of the two workers counts by itself.
        for _ in range(2 * 3 + 1):
            answer = await ask_for_code(visitor, BUSY_PHONE)
            if answer.status == 429:
                break
    assert answer.status == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 600
    assert len(backend.messages(BUSY_PHONE)) <= 2 * 3
    assert quote(BUSY_PHONE) not in service.log()


@pytest.mark.asyncio(loop_scope="session")
async def test_a_backend_that_fails_is_a_page_of_its_own(
    service: RunningService, backend: Sandbox
) -> None:
    down = Fault("status", status=503, retry_after=1, path="/rest/v1/patient/*")
    async with visiting(service.url) as rickon:
        await ask_for_code(rickon, "+32470218313")
        code = await code_shown_by(backend.page_url, "+32470218313")
        await rickon.post("/sign-in/code", code=code)
        with backend.fault(down):
            answer = await rickon.get("/notes/some-note")
    assert answer.status == 502
    assert "Try again later." in answer.text
    assert_safe(answer)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_sign_out_that_the_backend_did_not_hear_of_says_so_and_can_be_repeated(
    service: RunningService, backend: Sandbox
) -> None:
    phone = "+32470218316"
    async with visiting(service.url) as meera:
        await ask_for_code(meera, phone)
        code = await code_shown_by(backend.page_url, phone)
        await meera.post("/sign-in/code", code=code)
        with backend.fault(Fault("status", status=500, path="/rest/v1/auth/login")):
            unheard = await meera.post("/sign-out")
        assert (unheard.status, "You are signed out here" in unheard.text) == (502, True)
        assert len(await tokens_of(backend, phone)) == 1
        session = meera.cookies["session"]
        assert (await meera.post("/sign-out")).goes_to == "/"
        assert await tokens_of(backend, phone) == {}
    async with visiting(service.url) as thief:
        headers = {"Origin": service.url, "Cookie": f"session={session}"}
        assert (await thief.post("/notes", headers=headers, text="I was here")).status == 401


@pytest.mark.asyncio(loop_scope="session")
async def test_a_database_that_is_away_is_a_page_of_its_own_until_it_is_back(
    service: RunningService, backend: Sandbox, postgres_server: PostgresServer
) -> None:
    async with visiting(service.url) as osha:
        await ask_for_code(osha, "+32470218315")
        code = await code_shown_by(backend.page_url, "+32470218315")
        await osha.post("/sign-in/code", code=code)
        written = await osha.post("/notes", text="Written before")
        postgres_server.kill()
        try:
            away = await osha.get("/notes")
        finally:
            postgres_server.start()
        back = await osha.get(written.goes_to)
    assert away.status == 503
    assert "Try again later." in away.text
    assert_safe(away)
    assert (back.status, "Written before" in back.text) == (200, True)


def test_elsewhere_than_on_the_own_machine_cookies_need_https(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fastapi = example_library("fastapi")
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.delenv("ALLOW_HTTP", raising=False)
    safety = importlib.import_module("fastapi_service.safety")
    response = fastapi.Response()
    safety.set_cookie(response, "session", "value", lasts=timedelta(minutes=1))
    safety.remove_cookie(response, "sign_in")
    for cookie in response.headers.getlist("set-cookie"):
        assert re.match("__Host-(session|sign_in)=", cookie)
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Strict-Transport-Security" in safety.HEADERS
