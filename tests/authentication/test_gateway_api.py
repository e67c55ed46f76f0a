"""The message gateway as users call it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import aiohttp
import pytest

from icure_async import AnonymousMedTechApiBuilder, EmailMessage, MedTechApiBuilder, SMSMessage
from icure_async.errors import (
    AuthenticationError,
    BackendError,
    CaptchaRefusedError,
    NetworkError,
    TooManyAttemptsError,
    UnknownProcessError,
    ValidationError,
)
from icure_async.sandbox import Fault, Sandbox
from tests.support.builders import builder_for
from tests.support.invitations import EMAIL, PHONE, Clinic, clinic
from tests.support.leaks import assert_secret_free, printed
from tests.support.logins import CAPTCHA, another
from tests.support.request_log import RequestLog

__all__ = ["clinic"]

HELLO = EmailMessage(sender="luwin@clinic.example", subject="Hello", html="<p>Hello</p>")


async def test_messages_arrive_as_they_were_written(clinic: Clinic) -> None:
    api, sandbox = clinic.hcp.message_gateway_api, clinic.sandbox
    await api.send_email(EMAIL, HELLO)
    assert await sandbox.wait_for_message(EMAIL) == {
        "from": "luwin@clinic.example",
        "subject": "Hello",
        "html": "<p>Hello</p>",
    }
    await api.send_sms("+32 470 12 34 56", SMSMessage(message="Hello"))
    assert await sandbox.wait_for_message(PHONE) == {"message": "Hello"}


async def test_recipients_are_escaped_and_a_user_is_named(clinic: Clinic) -> None:
    """The reference puts the address into the path as it is."""
    sent: list[tuple[str, str]] = []

    async def note(
        session: aiohttp.ClientSession, context: Any, params: aiohttp.TraceRequestStartParams
    ) -> None:
        header = params.headers.get("Authorization", "")
        sent.append((params.url.raw_path, header.partition(" ")[0]))

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(note)
    master = clinic.sandbox.master_hcp
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        builder = clinic.builder(master.login, master.password).with_client_session(session)
        async with builder.build() as api:
            await api.message_gateway_api.send_email("a+b/c?d#e@x.example", HELLO)
            await api.message_gateway_api.send_sms(PHONE, SMSMessage(message="Hello"))
    spec = clinic.sandbox.spec_id
    assert sent == [
        (f"/msggtw/{spec}/email/to/a%2Bb%2Fc%3Fd%23e%40x.example", "Basic"),
        (f"/msggtw/{spec}/sms/to/%2B32470123456", "Basic"),
    ]


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("send_email", ("nobody", HELLO)),
        ("send_email", ("", HELLO)),
        ("send_email", (None, HELLO)),
        ("send_email", (EMAIL, SMSMessage(message="m"))),
        ("send_email", (EMAIL, {"from": "a"})),
        ("send_email", (EMAIL, EmailMessage(sender="a@b.example", subject=" ", html="h"))),
        ("send_sms", ("12", SMSMessage(message="m"))),
        ("send_sms", (None, SMSMessage(message="m"))),
        ("send_sms", (PHONE, HELLO)),
        ("send_sms", (PHONE, SMSMessage(message=""))),
        ("send_sms", (PHONE, SMSMessage(message=cast("str", 1)))),
        ("validate_process", ("a/b", "123456")),
        ("validate_process", ("r", "")),
        ("validate_process", ("r", 123456)),
        ("start_process", ("", CAPTCHA)),
        ("start_process", ("patient-sms", "")),
        ("start_process", ("patient-sms", CAPTCHA)),
    ],
)
async def test_mistakes_are_found_before_anything_is_sent(
    clinic: Clinic, requests: RequestLog, call: str, arguments: tuple[Any, ...]
) -> None:
    requests.take()
    with pytest.raises(ValidationError):
        await getattr(clinic.hcp.message_gateway_api, call)(*arguments)
    assert requests.take() == []


async def test_the_gateway_checks_the_credentials_and_no_error_says_them(
    sandbox: Sandbox, builder: Callable[[str, str], MedTechApiBuilder]
) -> None:
    secret = "password-of-nobody"
    wrong = builder_for(sandbox.icure_url, "master", secret).with_msg_gw_url(sandbox.msg_gw_url)
    async with wrong.with_msg_gw_spec_id(sandbox.spec_id).build() as api:
        with pytest.raises(AuthenticationError, match="send the email") as caught:
            await api.message_gateway_api.send_email(EMAIL, HELLO)
    assert_secret_free(caught.value, secret, "bWFzdGVyOnBhc3N3b3Jk")
    assert EMAIL not in printed(caught.value)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "drop-after"}, NetworkError),
        ({"kind": "status", "status": 500}, BackendError),
        ({"kind": "status", "status": 503}, BackendError),
    ],
)
async def test_a_message_is_not_sent_twice(
    clinic: Clinic, requests: RequestLog, fault: dict[str, Any], error: type[Exception]
) -> None:
    path = "/msggtw/ic/email/to/*"
    clinic.sandbox.inject_fault(Fault(method="POST", path=path, nth=range(1, 9), **fault))
    requests.take()
    with pytest.raises(error):
        await clinic.hcp.message_gateway_api.send_email(EMAIL, HELLO)
    assert len(requests.take()) == 1


async def test_after_a_logout_nothing_is_sent(clinic: Clinic, requests: RequestLog) -> None:
    master = clinic.sandbox.master_hcp
    async with clinic.builder(master.login, master.password).build() as api:
        await api.logout()
        requests.take()
        with pytest.raises(AuthenticationError, match="logged out"):
            await api.message_gateway_api.send_email(EMAIL, HELLO)
        assert requests.take() == []


@pytest.fixture
async def processes(
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
) -> AsyncIterator[Any]:
    async with anonymous_builder().build() as anonymous:
        yield anonymous.message_gateway_api


async def test_a_process_is_started_and_its_code_accepted_once(
    processes: Any, sandbox: Sandbox
) -> None:
    process = await processes.start_process(
        "patient-email",
        CAPTCHA,
        email=EMAIL,
        first_name="Arya",
        last_name="Stark",
        healthcare_professional_id=sandbox.master_hcp.data_owner_id,
        validation_code_length=8,
    )
    assert process.process_id == "patient-email"
    code = await sandbox.wait_for_code(EMAIL)
    assert len(code) == 8
    validate = processes.validate_process
    assert not await validate(process.request_id, another(code))
    assert await validate(process.request_id, f" {code[:4]} {code[4:]}\n")
    assert not await validate(process.request_id, code)
    assert not await validate("00000000-0000-4000-8000-000000000000", code)


async def test_a_process_of_the_gateway_can_be_completed(
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder], sandbox: Sandbox
) -> None:
    async with anonymous_builder().build() as anonymous:
        process = await anonymous.message_gateway_api.start_process(
            "hcp-sms", CAPTCHA, phone_number=PHONE, last_name="Luwin"
        )
        code = await sandbox.wait_for_code(PHONE)
        result = await anonymous.authentication_api.complete_authentication(process, code)
    async with result.med_tech_api as api:
        assert (await api.user_api.get_logged_user()).healthcare_party_id


async def test_refusals_of_a_process(processes: Any, sandbox: Sandbox) -> None:
    with pytest.raises(UnknownProcessError):
        await processes.start_process("no-such-process", CAPTCHA, phone_number=PHONE)
    path = "/msggtw/ic/process/*/*"
    sandbox.inject_fault(Fault("status", method="POST", path=path, status=403))
    with pytest.raises(CaptchaRefusedError):
        await processes.start_process("hcp-sms", CAPTCHA, phone_number=PHONE)
    sandbox.clear_faults()
    process = await processes.start_process(
        "hcp-sms", CAPTCHA, phone_number=PHONE, last_name="Luwin"
    )
    wrong = another(await sandbox.wait_for_code(PHONE))

    async def guess() -> None:
        for _ in range(20):
            assert not await processes.validate_process(process.request_id, wrong)

    with pytest.raises(TooManyAttemptsError):
        await guess()
    path = "/msggtw/ic/process/validate/*"
    sandbox.inject_fault(Fault("status", method="GET", path=path, status=500))
    with pytest.raises(BackendError):
        await processes.validate_process(process.request_id, wrong)
