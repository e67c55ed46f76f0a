from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import pytest
from aioresponses import aioresponses

from icure_async import AnonymousMedTechApi, AnonymousMedTechApiBuilder
from icure_async.authentication.process import (
    AuthenticationEvent,
    AuthenticationState,
    advance,
)
from icure_async.errors import (
    BackendError,
    BadRequestError,
    CaptchaRefusedError,
    CodeExpiredError,
    ConfigurationError,
    InvalidCodeError,
    NetworkError,
    ProcessStateError,
    ServerError,
    TooManyAttemptsError,
    UnknownProcessError,
    ValidationError,
)
from icure_async.sandbox import Fault, Sandbox
from icure_async.storage import MemoryStorage
from tests.support.builders import anonymous_builder_for
from tests.support.logins import CAPTCHA, EMAIL, PHONE, Json, another, left_in, start, tokens_of
from tests.support.request_log import RequestLog

State = AuthenticationState
GATEWAY = "https://gw.example/msggtw"
START = re.compile(rf"{re.escape(GATEWAY)}/ic/process/.*")


def offline() -> AnonymousMedTechApiBuilder:
    return (
        AnonymousMedTechApiBuilder()
        .with_icure_base_url("https://icure.example")
        .with_msg_gw_url(GATEWAY)
        .with_msg_gw_spec_id("ic")
    )


@pytest.fixture
async def both() -> AsyncIterator[AnonymousMedTechApi]:
    builder = offline().with_auth_process_by_sms_id("by-sms")
    async with builder.with_auth_process_by_email_id("by-email").build() as api:
        yield api


@pytest.fixture
async def only_sms() -> AsyncIterator[AnonymousMedTechApi]:
    async with offline().with_auth_process_by_sms_id("by-sms").build() as api:
        yield api


@pytest.fixture
async def only_email() -> AsyncIterator[AnonymousMedTechApi]:
    async with offline().with_auth_process_by_email_id("by-email").build() as api:
        yield api


def sent(responses: aioresponses) -> tuple[str, str, dict[str, str], Json]:
    """Return path, query, headers and body of the one request that was sent."""
    ((method, url), calls) = next(iter(responses.requests.items()))
    assert (method, len(responses.requests), len(calls)) == ("POST", 1, 1)
    kwargs = calls[0].kwargs
    return url.path, url.query_string, kwargs["headers"], json.loads(kwargs["data"])


@pytest.mark.parametrize("step", ["register", "login"])
async def test_the_request_is_the_one_of_the_reference(
    step: str,
    transcript: dict[str, Any],
    only_sms: AnonymousMedTechApi,
    responses: aioresponses,
) -> None:
    (recorded,) = next(
        found["requests"]
        for found in transcript["steps"]
        if found["step"] == f"startAuthentication by SMS ({step})"
    )
    responses.post(START, body="ok")
    body = recorded["body"]
    process = await only_sms.authentication_api.start_authentication(
        body["g-recaptcha-response"],
        phone_number=body["mobilePhone"],
        first_name=body["firstName"],
        last_name=body["lastName"],
        healthcare_professional_id=body["hcpId"],
    )
    path, query, headers, actual = sent(responses)
    assert actual == body
    assert headers == recorded["headers"]
    prefix = recorded["path"].partition("/process/")[0]
    assert path == f"{prefix}/process/by-sms/{process.request_id}"
    assert "?" + query == re.search(r"\?.*", recorded["path"])[0]  # type: ignore[index]
    assert uuid.UUID(process.request_id).version == 4


async def test_the_friendly_captcha_replaces_the_other(
    both: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, body="ok")
    await both.authentication_api.start_authentication(
        CAPTCHA, email=EMAIL, recaptcha_type="friendly-captcha"
    )
    assert sent(responses)[3] == {
        "friendly-captcha-response": CAPTCHA,
        "firstName": "",
        "lastName": "",
        "from": EMAIL,
        "email": EMAIL,
        "hcpId": "",
    }


async def test_both_contacts_go_by_email(
    both: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, body="ok")
    process = await both.authentication_api.start_authentication(
        CAPTCHA, email="Ned@Winterfell.Example", phone_number="+32 470 12 34 56"
    )
    path, _, _, body = sent(responses)
    assert "/by-email/" in path
    assert body["from"] == body["email"] == "ned@winterfell.example"
    assert body["mobilePhone"] == PHONE
    assert (process.channel, process.login) == ("email", "ned@winterfell.example")
    assert (process.email, process.phone_number) == ("ned@winterfell.example", PHONE)


async def test_both_contacts_without_email_process_go_by_sms(
    only_sms: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, body="ok")
    process = await only_sms.authentication_api.start_authentication(
        CAPTCHA, email=EMAIL, phone_number=PHONE
    )
    path, _, _, body = sent(responses)
    assert "/by-sms/" in path
    # The gateway would write to an address in the request, and make it the login.
    assert "email" not in body
    assert body["from"] == body["mobilePhone"] == PHONE
    assert (process.channel, process.login, process.email) == ("sms", PHONE, None)


async def test_an_empty_text_is_no_contact(
    both: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, body="ok")
    process = await both.authentication_api.start_authentication(
        CAPTCHA,
        email="",
        phone_number=PHONE,
        first_name="",
        last_name="",
        healthcare_professional_id="",
    )
    assert "email" not in sent(responses)[3]
    assert process.login == PHONE
    assert (process.first_name, process.last_name) == (None, None)
    assert process.healthcare_professional_id is None


async def test_the_process_says_what_was_asked_for(
    both: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, body="ok")
    process = await both.authentication_api.start_authentication(
        CAPTCHA,
        phone_number=PHONE,
        first_name="Ned",
        last_name="Stark",
        healthcare_professional_id="hcp-1",
        bypass_token_check=True,
        validation_code_length=8,
    )
    assert sent(responses)[1] == "codeLength=8"
    assert process.to_dict() == {
        "requestId": process.request_id,
        "login": PHONE,
        "bypassTokenCheck": True,
    }
    assert process.state is State.CODE_SENT
    assert process.process_id == "by-sms"
    assert (process.first_name, process.last_name) == ("Ned", "Stark")
    assert process.healthcare_professional_id == "hcp-1"
    assert process.validation_code_length == 8
    assert process.started_at > 1_600_000_000_000


@pytest.mark.parametrize("length", [4, 12])
async def test_codes_have_four_to_twelve_digits(
    length: int, both: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, body="ok")
    await both.authentication_api.start_authentication(
        CAPTCHA, phone_number=PHONE, validation_code_length=length
    )
    assert sent(responses)[1] == f"codeLength={length}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "at least provide its email OR its phone number"),
        ({"email": "", "phone_number": " "}, "at least provide its email OR its phone number"),
        ({"phone_number": "0470123456"}, "phone_number is malformed"),
        ({"email": "a b@x.be"}, "email is malformed"),
        ({"email": "<a@b.be>"}, "email is malformed"),
        ({"email": "x@"}, "email is malformed"),
        # Also where the code would go the other way.
        ({"email": "x@", "phone_number": PHONE}, "email is malformed"),
        ({"email": EMAIL, "phone_number": "12"}, "phone_number is malformed"),
        ({"phone_number": PHONE, "validation_code_length": 3}, "between 4 and 12"),
        ({"phone_number": PHONE, "validation_code_length": 13}, "between 4 and 12"),
        ({"phone_number": PHONE, "validation_code_length": 6.0}, "between 4 and 12"),
        ({"phone_number": PHONE, "validation_code_length": "6"}, "between 4 and 12"),
        ({"phone_number": PHONE, "healthcare_professional_id": "a/b"}, "must not contain /"),
        ({"phone_number": PHONE, "healthcare_professional_id": " "}, "must not contain /"),
        ({"phone_number": PHONE, "first_name": 7}, "first_name must be a text"),
        ({"phone_number": PHONE, "last_name": b"Stark"}, "last_name must be a text"),
        ({"phone_number": PHONE, "recaptcha": ""}, "recaptcha must be"),
        ({"phone_number": PHONE, "recaptcha_type": "hcaptcha"}, "recaptcha_type must be"),
    ],
)
async def test_a_malformed_argument_is_refused_before_any_request(
    arguments: Json, message: str, both: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, body="ok")
    all_arguments: Json = {"recaptcha": CAPTCHA} | arguments
    with pytest.raises(ValidationError, match=message):
        await both.authentication_api.start_authentication(**all_arguments)
    assert not responses.requests


async def test_only_an_email_needs_an_email_process(
    only_sms: AnonymousMedTechApi, responses: aioresponses
) -> None:
    with pytest.raises(ConfigurationError, match=r"with_auth_process_by_email_id\(\)"):
        await only_sms.authentication_api.start_authentication(CAPTCHA, email=EMAIL)
    assert not responses.requests


async def test_only_a_phone_number_needs_an_sms_process(
    only_email: AnonymousMedTechApi, responses: aioresponses
) -> None:
    with pytest.raises(ConfigurationError, match=r"with_auth_process_by_sms_id\(\)"):
        await only_email.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)
    assert not responses.requests


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "", CaptchaRefusedError),
        (403, "", CaptchaRefusedError),
        (400, '{"message":"Captcha verification failed"}', CaptchaRefusedError),
        (400, '{"message":"codeLength"}', BadRequestError),
        (400, "<html>captcha</html>", BadRequestError),
        (404, "<html>secret page</html>", UnknownProcessError),
        (500, "<html>secret page</html>", ServerError),
        (500, "", ServerError),
        (302, "", BackendError),
    ],
)
async def test_each_refusal_is_its_own_error(
    status: int,
    body: str,
    kind: type[BackendError],
    both: AnonymousMedTechApi,
    responses: aioresponses,
) -> None:
    responses.post(START, status=status, body=body, headers={"X-Request-Id": "gw-7"})
    with pytest.raises(kind) as caught:
        await both.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)
    assert caught.value.status == status
    assert caught.value.request_id == "gw-7"
    assert "secret page" not in str(caught.value)
    assert len(sent(responses)) == 4


async def test_a_server_failure_is_not_repeated_since_it_may_have_sent_a_message(
    both: AnonymousMedTechApi, responses: aioresponses, no_pauses: None
) -> None:
    responses.post(START, status=503, repeat=True)
    with pytest.raises(ServerError) as caught:
        await both.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)
    assert caught.value.retryable
    assert sent(responses)


async def test_no_answer_is_a_network_error(both: AnonymousMedTechApi, no_pauses: None) -> None:
    async def answer_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async with await asyncio.start_server(answer_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        builder = offline().with_auth_process_by_sms_id("by-sms")
        async with builder.with_msg_gw_url(f"http://127.0.0.1:{port}").build() as api:
            with pytest.raises(NetworkError) as caught:
                await api.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)
    assert caught.value.maybe_processed


async def test_a_refused_captcha_can_be_solved_again() -> None:
    async with Sandbox(captcha="right") as sandbox:
        builder = anonymous_builder_for(sandbox)
        async with builder.build() as api:
            with pytest.raises(CaptchaRefusedError, match="solve a new one") as caught:
                await api.authentication_api.start_authentication(
                    "wrong",
                    phone_number=PHONE,
                    first_name="Ned",
                    healthcare_professional_id=sandbox.master_hcp.data_owner_id,
                )
            refused = caught.value.process
            assert refused is not None
            assert refused.state is State.REFUSED
            with pytest.raises(CaptchaRefusedError):
                await api.authentication_api.resend(refused, "wrong again")
            again = await api.authentication_api.resend(refused, "right")
            assert again.state is State.CODE_SENT
            assert again.first_name == "Ned"
            assert await sandbox.wait_for_code(PHONE)


async def test_a_new_patient_without_a_professional_is_told_what_to_pass(
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder], sandbox: Sandbox
) -> None:
    async with anonymous_builder().build() as api:
        for professional in (None, "nobody-known"):
            with pytest.raises(BadRequestError, match="healthcare_professional_id") as caught:
                await api.authentication_api.start_authentication(
                    CAPTCHA, phone_number=PHONE, healthcare_professional_id=professional
                )
            assert caught.value.status == 422
            assert PHONE not in str(caught.value)
    with pytest.raises(TimeoutError):
        await sandbox.wait_for_code(PHONE, timeout=0.05)


async def test_an_unknown_process_id_names_the_method_to_check(
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
) -> None:
    builder = anonymous_builder().with_auth_process_by_sms_id("no-such-process")
    async with builder.build() as api:
        with pytest.raises(UnknownProcessError, match="with_auth_process_by_sms_id") as caught:
            await api.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)
    assert caught.value.process is not None
    assert caught.value.process.state is State.UNKNOWN


async def test_an_unknown_spec_id_names_the_method_to_check(
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
) -> None:
    builder = anonymous_builder().with_msg_gw_spec_id("no-such-spec")
    async with builder.build() as api:
        with pytest.raises(UnknownProcessError, match=r"with_msg_gw_spec_id\(\)"):
            await api.authentication_api.start_authentication(CAPTCHA, email=EMAIL)


async def test_the_url_of_the_backend_is_no_gateway_and_the_message_names_the_method_to_check(
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder], sandbox: Sandbox
) -> None:
    for url in (sandbox.icure_url, sandbox.icure_url.removesuffix("/rest/v1")):
        async with anonymous_builder().with_msg_gw_url(url).build() as api:
            with pytest.raises(BackendError, match=r"with_msg_gw_url\(\)"):
                await api.authentication_api.start_authentication(CAPTCHA, email=EMAIL)


@pytest.mark.parametrize("status", [401, 404, 405, 501])
async def test_what_is_no_gateway_is_named_by_its_method(
    status: int, both: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, status=status)
    with pytest.raises(BackendError, match=r"with_msg_gw_url\(\)"):
        await both.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)


@pytest.mark.parametrize("status", [400, 422])
async def test_a_refusal_without_a_professional_says_that_patients_need_one(
    status: int, both: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, status=status, payload={"message": "hcpId is missing"}, repeat=True)
    with pytest.raises(BadRequestError, match="healthcare_professional_id") as caught:
        await both.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)
    assert caught.value.status == status
    # Where the gateway speaks of the one that was named, it is that one.
    with pytest.raises(BadRequestError, match="healthcare_professional_id"):
        await both.authentication_api.start_authentication(
            CAPTCHA, phone_number=PHONE, healthcare_professional_id="h"
        )


async def test_another_refusal_of_a_registration_is_not_about_the_professional(
    both: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, status=400, payload={"message": "no"}, repeat=True)
    with pytest.raises(BadRequestError, match="malformed"):
        await both.authentication_api.start_authentication(
            CAPTCHA, phone_number=PHONE, healthcare_professional_id="h"
        )


async def test_resend_has_another_code_sent_to_the_same_person(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    process, code = await start(anonymous, sandbox, validation_code_length=8)
    with pytest.raises(InvalidCodeError) as caught:
        await anonymous.authentication_api.complete_authentication(process, another(code))
    mistyped = caught.value.process
    assert mistyped is not None
    assert mistyped.wrong_codes == 1

    again = await anonymous.authentication_api.resend(mistyped, CAPTCHA + "-2")
    assert again.request_id != process.request_id
    assert uuid.UUID(again.request_id).version == 4
    same = {"request_id", "started_at"}
    assert attrs.asdict(again, filter=lambda field, _: field.name not in same) == attrs.asdict(
        process, filter=lambda field, _: field.name not in same
    )
    assert again.started_at >= process.started_at
    new_code = await sandbox.wait_for_code(PHONE)
    result = await anonymous.authentication_api.complete_authentication(again, new_code)
    async with result.med_tech_api:
        assert result.process.request_id == again.request_id


async def test_resend_sends_the_new_captcha(
    both: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, body="ok")
    process = await both.authentication_api.start_authentication(
        CAPTCHA, email=EMAIL, phone_number=PHONE, first_name="Ned", last_name="Stark"
    )
    first = sent(responses)[3]
    responses.requests.clear()
    responses.post(START, body="ok")
    again = await both.authentication_api.resend(
        process, "another", recaptcha_type="friendly-captcha"
    )
    path, query, _, body = sent(responses)
    assert path.endswith(f"/ic/process/by-email/{again.request_id}")
    assert query == "codeLength=6"
    del first["g-recaptcha-response"]
    assert body == first | {"friendly-captcha-response": "another"}


async def test_after_resend_the_former_process_is_over(
    both: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, body="ok")
    process = await both.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)
    responses.requests.clear()
    superseded = advance(process, AuthenticationEvent.RESENT)
    with pytest.raises(ProcessStateError, match=r"resend\(\) returned"):
        await both.authentication_api.complete_authentication(superseded, "123456")
    with pytest.raises(ProcessStateError, match=r"resend\(\) returned"):
        await both.authentication_api.resend(superseded, CAPTCHA)
    assert not responses.requests


async def test_resend_after_the_code_expired(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    process, code = await start(anonymous, sandbox)
    sandbox.advance_clock(601)
    with pytest.raises(CodeExpiredError, match=r"resend\(\)") as caught:
        await anonymous.authentication_api.complete_authentication(process, code)
    expired = caught.value.process
    assert expired is not None
    assert expired.state is State.EXPIRED
    again = await anonymous.authentication_api.resend(expired, CAPTCHA)
    result = await anonymous.authentication_api.complete_authentication(
        again, await sandbox.wait_for_code(PHONE)
    )
    await result.med_tech_api.aclose()


async def test_resend_after_too_many_wrong_codes(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox
) -> None:
    process, code = await start(anonymous, sandbox)
    for _ in range(4):
        with pytest.raises(InvalidCodeError, match="Try again"):
            await anonymous.authentication_api.complete_authentication(process, another(code))
    with pytest.raises(TooManyAttemptsError, match=r"resend\(\)") as caught:
        await anonymous.authentication_api.complete_authentication(process, another(code))
    locked = caught.value.process
    assert locked is not None
    assert locked.state is State.LOCKED
    again = await anonymous.authentication_api.resend(locked, CAPTCHA)
    assert again.wrong_codes == 0
    result = await anonymous.authentication_api.complete_authentication(
        again, await sandbox.wait_for_code(PHONE)
    )
    await result.med_tech_api.aclose()


async def test_resend_leaves_nothing_of_the_former_process(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, storage: MemoryStorage, sign_in_pause: float
) -> None:
    process, code = await start(anonymous, sandbox)
    # The code is accepted, and the account never appears.
    sandbox.inject_fault(Fault(path="*/auth/login", kind="status", status=401, nth=range(1, 100)))
    with pytest.raises(CodeExpiredError, match=r"resend\(\)") as caught:
        await anonymous.authentication_api.complete_authentication(process, code)
    sandbox.clear_faults()
    assert caught.value.process is not None
    again = await anonymous.authentication_api.resend(caught.value.process, CAPTCHA)
    assert await left_in(storage) == []
    result = await anonymous.authentication_api.complete_authentication(
        again, await sandbox.wait_for_code(PHONE)
    )
    assert await left_in(storage) == []
    await result.med_tech_api.aclose()


async def test_resend_goes_on_with_the_token_that_was_created(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, storage: MemoryStorage, no_pauses: None
) -> None:
    process, code = await start(anonymous, sandbox)
    # Created, and the answer lost: there is a token now that nobody was given.
    sandbox.inject_fault(Fault(path="*/user/token/*", kind="drop-after", nth=range(1, 100)))
    with pytest.raises(NetworkError):
        await anonymous.authentication_api.complete_authentication(process, code)
    sandbox.clear_faults()
    (lost,) = await tokens_of(sandbox)
    again = await anonymous.authentication_api.resend(process, CAPTCHA)
    fresh = await sandbox.wait_for_code(PHONE)
    with pytest.raises(InvalidCodeError):
        await anonymous.authentication_api.complete_authentication(again, another(fresh))
    result = await anonymous.authentication_api.complete_authentication(again, fresh)
    assert list(await tokens_of(sandbox)) == [lost]
    assert await left_in(storage) == []
    await result.med_tech_api.aclose()


@pytest.mark.parametrize("state", [State.NEW, State.COMPLETED])
async def test_nothing_to_resend(
    state: AuthenticationState, both: AnonymousMedTechApi, responses: aioresponses
) -> None:
    responses.post(START, body="ok")
    process = await both.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)
    responses.requests.clear()
    with pytest.raises(ProcessStateError, match=state.value):
        await both.authentication_api.resend(attrs.evolve(process, state=state), CAPTCHA)
    assert not responses.requests


async def test_resend_needs_a_captcha(both: AnonymousMedTechApi, responses: aioresponses) -> None:
    responses.post(START, body="ok")
    process = await both.authentication_api.start_authentication(CAPTCHA, phone_number=PHONE)
    responses.requests.clear()
    with pytest.raises(ValidationError, match="recaptcha"):
        await both.authentication_api.resend(process, " ")
    assert not responses.requests


async def test_start_is_one_request(
    anonymous: AnonymousMedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    process, _ = await start(anonymous, sandbox)
    assert requests.take() == [
        f"POST /msggtw/{sandbox.spec_id}/process/{process.process_id}/{process.request_id}"
    ]
