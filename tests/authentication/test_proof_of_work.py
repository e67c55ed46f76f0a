"""The captcha that the SDK solves itself."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from aioresponses import aioresponses

from icure_async import AnonymousMedTechApi, AnonymousMedTechApiBuilder, CaptchaProgress
from icure_async.authentication.process import AuthenticationState
from icure_async.authentication.proof_of_work import smallest_nonce, solved
from icure_async.errors import (
    CaptchaRefusedError,
    ConfigurationError,
    InvalidResponseError,
    NetworkError,
    ServerError,
    UnknownProcessError,
    ValidationError,
)
from icure_async.models.flavour import Flavour
from icure_async.rest.message_gateway import Challenge
from tests.support.logins import CAPTCHA, EMAIL, PHONE, Json

GATEWAY = "https://gw.example/msggtw"
CHALLENGE = f"{GATEWAY}/ic/challenge"
START = re.compile(rf"{re.escape(GATEWAY)}/ic/process/.*")
# today.md §15
EASY: Json = {"id": "challenge-1", "salts": ["salt-1", "salt-2"], "difficultyFactor": 1000}
SOLUTION: Json = {"id": "challenge-1", "nonces": ["1033", "2395"]}
HARD: Json = {"id": "challenge-2", "salts": ["salt"], "difficultyFactor": 20_000_000}
BACKEND = "https://icure.example"


def builder_of(flavour: Flavour) -> AnonymousMedTechApiBuilder:
    return (
        AnonymousMedTechApiBuilder()
        .with_flavour(flavour)
        .with_icure_base_url(BACKEND)
        .with_msg_gw_url(GATEWAY)
        .with_msg_gw_spec_id("ic")
        .with_auth_process_by_sms_id("by-sms")
        .with_auth_process_by_email_id("by-email")
    )


@pytest.fixture
async def today() -> AsyncIterator[AnonymousMedTechApi]:
    async with builder_of("cardinal").build() as api:
        yield api


@pytest.fixture
async def medtech() -> AsyncIterator[AnonymousMedTechApi]:
    async with builder_of("medtech").build() as api:
        yield api


def sent_to(responses: aioresponses, method: str) -> list[Any]:
    """Return the requests of a method: the challenges, or the starts."""
    return [
        call for (name, _), calls in responses.requests.items() if name == method for call in calls
    ]


def bodies(responses: aioresponses) -> list[Json]:
    return [json.loads(call.kwargs["data"]) for call in sent_to(responses, "POST")]


def by_hand(text: str, salt: str, factor: int) -> int:
    """Solve a salt as the specification puts it, in numbers."""
    most = 2**128 - 1
    prefix = hashlib.sha256(salt.encode() + text.encode()).digest()
    return next(
        number
        for number in itertools.count(1)
        if int.from_bytes(hashlib.sha256(prefix + str(number).encode()).digest()[:16])
        >= most - most // factor
    )


@pytest.mark.parametrize(("salt", "nonce"), [("salt-1", 1033), ("salt-2", 2395)])
def test_the_nonces_of_the_vector_are_found(salt: str, nonce: int) -> None:
    assert smallest_nonce("ic", salt, 1000, range(1, 5000)) == nonce
    assert smallest_nonce("ic", salt, 1000, range(1, nonce + 1)) == nonce
    assert smallest_nonce("ic", salt, 1000, range(1, nonce)) is None
    assert smallest_nonce("ic", salt, 1000, range(nonce + 1, nonce + 2)) is None


@pytest.mark.parametrize("factor", [1, 2, 3, 10, 77, 500])
def test_nonces_are_the_ones_of_the_specification(factor: int) -> None:
    for salt in ("s", "\N{LATIN SMALL LETTER E WITH ACUTE}\N{GRINNING FACE}", "0" * 90):
        nonce = smallest_nonce("spec \N{EURO SIGN}", salt, factor, range(1, 100_000))
        assert nonce == by_hand("spec \N{EURO SIGN}", salt, factor)


async def test_a_nonce_far_away_is_found_in_slices() -> None:
    challenge = Challenge("c", ("far",), 60_000)
    found = await solved(challenge, "ic", None)
    nonce = by_hand("ic", "far", 60_000)
    assert nonce > 1 << 14
    assert found == {"id": "c", "nonces": [str(nonce)]}


async def test_today_a_start_solves_the_challenge_and_says_both_forms(
    today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, payload=EASY)
    responses.post(START, body="ok")
    process = await today.authentication_api.start_authentication(
        phone_number=PHONE,
        first_name="Ned",
        last_name="Stark",
        healthcare_professional_id="hcp-1",
    )
    (asked,), (body,) = sent_to(responses, "GET"), bodies(responses)
    assert asked.kwargs["headers"]["Accept"] == "application/json"
    assert "Authorization" not in asked.kwargs["headers"]
    assert body == {
        "kerberus-response": SOLUTION,
        "firstName": "Ned",
        "lastName": "Stark",
        "from": PHONE,
        "hcpId": "hcp-1",
        "email": "",
        "mobilePhone": PHONE,
        "deployment": BACKEND,
    }
    assert process.state is AuthenticationState.CODE_SENT
    assert process.flavour == "cardinal"


@pytest.mark.parametrize("captcha_type", [None, "recaptcha", "friendly-captcha"])
async def test_today_a_solution_that_is_given_is_passed_on(
    captcha_type: Any, today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, body="ok")
    await today.authentication_api.start_authentication(
        CAPTCHA, email=EMAIL, phone_number=PHONE, recaptcha_type=captcha_type
    )
    member = "friendly-captcha" if captcha_type == "friendly-captcha" else "g-recaptcha"
    assert bodies(responses) == [
        {
            f"{member}-response": CAPTCHA,
            "firstName": "",
            "lastName": "",
            "from": EMAIL,
            "hcpId": "",
            "email": EMAIL,
            "mobilePhone": PHONE,
            "deployment": BACKEND,
        }
    ]


async def test_in_the_flavour_of_2023_only_the_captcha_is_another(
    medtech: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, payload=EASY)
    responses.post(START, body="ok")
    await medtech.authentication_api.start_authentication(
        phone_number=PHONE, recaptcha_type="kerberus"
    )
    assert bodies(responses) == [
        {
            "kerberus-response": SOLUTION,
            "firstName": "",
            "lastName": "",
            "from": PHONE,
            "hcpId": "",
            "mobilePhone": PHONE,
        }
    ]


async def test_each_start_and_each_resend_has_a_challenge_of_its_own(
    today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    for number in range(3):
        responses.get(CHALLENGE, payload={**EASY, "id": f"challenge-{number}"})
    responses.post(START, body="ok", repeat=True)
    process = await today.authentication_api.start_authentication(phone_number=PHONE)
    again = await today.authentication_api.resend(process)
    await today.message_gateway_api.start_process("by-mail", email=EMAIL)
    used = [body["kerberus-response"]["id"] for body in bodies(responses)]
    assert used == ["challenge-0", "challenge-1", "challenge-2"]
    assert again.flavour == "cardinal"
    assert again.request_id != process.request_id


async def test_the_progress_is_told_salt_by_salt(
    today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, payload=EASY, repeat=True)
    responses.post(START, body="ok", repeat=True)
    steps: list[CaptchaProgress] = []

    async def progress(step: CaptchaProgress) -> None:
        steps.append(step)

    process = await today.authentication_api.start_authentication(
        phone_number=PHONE, progress=progress
    )
    both = [CaptchaProgress(solved=1, total=2), CaptchaProgress(solved=2, total=2)]
    assert steps == both
    await today.authentication_api.resend(process, progress=progress)
    await today.message_gateway_api.start_process("p", email=EMAIL, progress=progress)
    assert steps == both * 3


async def test_the_error_of_a_callback_ends_the_call_before_a_code_is_sent(
    today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, payload=EASY, repeat=True)

    async def stop(_: CaptchaProgress) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        await today.authentication_api.start_authentication(phone_number=PHONE, progress=stop)
    assert bodies(responses) == []


async def test_a_callback_that_is_not_async(
    today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, payload=EASY)

    def plain(_: CaptchaProgress) -> Any: ...

    with pytest.raises(ConfigurationError, match="async def"):
        await today.authentication_api.start_authentication(phone_number=PHONE, progress=plain)
    assert bodies(responses) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"progress": 1}, ConfigurationError),
        ({"recaptcha": ""}, ValidationError),
        ({"recaptcha": " "}, ValidationError),
        ({"recaptcha": 1}, ValidationError),
        ({"recaptcha": SOLUTION, "recaptcha_type": "kerberus"}, ValidationError),
        ({"recaptcha": CAPTCHA, "recaptcha_type": "kerberus"}, ValidationError),
        ({"recaptcha_type": "recaptcha"}, ValidationError),
        ({"recaptcha_type": "friendly-captcha"}, ValidationError),
        ({"recaptcha_type": "hcaptcha"}, ValidationError),
        ({"recaptcha_type": ["kerberus"]}, ValidationError),
        ({"phone_number": "12"}, ValidationError),
        ({"phone_number": None}, ValidationError),
        ({"validation_code_length": 3}, ValidationError),
        ({"healthcare_professional_id": "a/b\n"}, ValidationError),
    ],
)
async def test_mistakes_are_found_before_a_challenge_is_asked_for(
    arguments: Any, error: type[Exception], today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    with pytest.raises(error):
        await today.authentication_api.start_authentication(**{"phone_number": PHONE, **arguments})
    assert not responses.requests


async def test_in_the_flavour_of_2023_a_missing_captcha_is_a_mistake(
    medtech: AnonymousMedTechApi, responses: aioresponses
) -> None:
    with pytest.raises(ValidationError, match="kerberus"):
        await medtech.authentication_api.start_authentication(phone_number=PHONE)
    assert not responses.requests


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": ""},
        {"id": 1},
        {"id": "x" * 1001},
        {"salts": None},
        {"salts": "salt"},
        {"salts": {"0": "salt"}},
        {"salts": [1]},
        {"salts": [""]},
        {"salts": ["\ud800"]},
        {"salts": ["x" * 1001]},
        {"salts": [f"salt-{number}" for number in range(65)], "difficultyFactor": 1},
        {"salts": ["a", "b"], "difficultyFactor": 10_000_001},
        {"difficultyFactor": None},
        {"difficultyFactor": 0},
        {"difficultyFactor": -1000},
        {"difficultyFactor": 1000.0},
        {"difficultyFactor": True},
        {"difficultyFactor": "1000"},
        {"difficultyFactor": 10**40},
    ],
)
async def test_an_absurd_challenge_is_refused_before_any_work(
    change: Json, today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, body=json.dumps({**EASY, **change}))
    began = time.process_time()
    with pytest.raises(InvalidResponseError, match="challenge") as caught:
        await today.authentication_api.start_authentication(phone_number=PHONE)
    assert time.process_time() - began < 2
    assert "captcha of another type" in str(caught.value)
    assert bodies(responses) == []


@pytest.mark.parametrize("body", ["", "null", "[]", "<html>", "ok", '{"id":', "1"])
async def test_an_answer_that_is_no_challenge_is_an_error(
    body: str, today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, body=body)
    with pytest.raises(InvalidResponseError):
        await today.authentication_api.start_authentication(phone_number=PHONE)
    assert bodies(responses) == []


async def test_a_gateway_without_challenges_says_so(
    today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, status=404)
    with pytest.raises(UnknownProcessError, match="pass the solution") as caught:
        await today.authentication_api.start_authentication(phone_number=PHONE)
    assert caught.value.process is not None
    assert caught.value.process.state is AuthenticationState.UNKNOWN
    assert bodies(responses) == []


@pytest.mark.parametrize("status", [500, 403])
async def test_other_failures_of_the_challenge_are_told_as_they_are(
    status: int, today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, status=status, repeat=True)
    with pytest.raises(Exception, match="ask for a captcha") as caught:
        await today.authentication_api.start_authentication(phone_number=PHONE)
    assert isinstance(caught.value, ServerError) == (status == 500)
    assert bodies(responses) == []


async def test_a_challenge_is_asked_for_again_and_a_start_is_not(
    today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, status=503, headers={"Retry-After": "0"})
    responses.get(CHALLENGE, payload=EASY)
    responses.post(START, status=503, headers={"Retry-After": "0"}, repeat=True)
    with pytest.raises((ServerError, NetworkError)):
        await today.authentication_api.start_authentication(phone_number=PHONE)
    assert len(sent_to(responses, "GET")) == 2
    assert len(bodies(responses)) == 1


async def test_a_refused_solution_is_a_captcha_refused(
    today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, payload=EASY, repeat=True)
    responses.post(START, status=403)
    responses.post(START, body="ok")
    with pytest.raises(CaptchaRefusedError) as caught:
        await today.authentication_api.start_authentication(phone_number=PHONE)
    assert caught.value.process is not None
    again = await today.authentication_api.resend(caught.value.process)
    assert again.state is AuthenticationState.CODE_SENT


async def test_a_cancelled_call_stops_computing_and_sends_nothing(
    today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, payload=HARD)
    began = time.monotonic()
    with anyio.move_on_after(0.3) as scope:
        await today.authentication_api.start_authentication(phone_number=PHONE)
    assert scope.cancelled_caught
    assert time.monotonic() - began < 3
    assert bodies(responses) == []
    computed = time.process_time()
    await asyncio.sleep(0.3)
    assert time.process_time() - computed < 0.2


async def test_the_event_loop_runs_on_while_a_captcha_is_solved(
    today: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, payload=HARD)
    turns = 0
    with anyio.move_on_after(0.5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                lambda: today.authentication_api.start_authentication(phone_number=PHONE)
            )
            while True:
                await asyncio.sleep(0.001)
                turns += 1
    assert turns > 20


async def test_a_process_is_completed_and_resent_in_its_own_flavour_only(
    today: AnonymousMedTechApi, medtech: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.get(CHALLENGE, payload=EASY)
    responses.post(START, body="ok", repeat=True)
    new = await today.authentication_api.start_authentication(phone_number=PHONE)
    old = await medtech.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)
    assert (new.flavour, old.flavour) == ("cardinal", "medtech")
    before = len(bodies(responses))
    for api, process in ((medtech, new), (today, old)):
        with pytest.raises(ConfigurationError, match=rf"with_flavour\('{process.flavour}'\)"):
            await api.authentication_api.complete_authentication(process, "123456")
        with pytest.raises(ConfigurationError, match="with_flavour"):
            await api.authentication_api.resend(process, CAPTCHA)
    assert len(bodies(responses)) == before
    assert len(sent_to(responses, "GET")) == 1


async def test_a_gateway_of_today_gets_the_url_of_the_server(
    responses: aioresponses,
) -> None:
    responses.post(START, body="ok", repeat=True)
    for url in (f"{BACKEND}/", f"{BACKEND}/rest/v2", f"{BACKEND}/cloud"):
        async with builder_of("cardinal").with_icure_base_url(url).build() as api:
            await api.authentication_api.start_authentication(CAPTCHA, email=EMAIL)
    told = [body["deployment"] for body in bodies(responses)]
    assert told == [BACKEND, BACKEND, f"{BACKEND}/cloud"]
