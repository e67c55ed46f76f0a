"""The whole story, step by step: register, write, read on another device, log in again, read."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from icure_async import (
    AnonymousMedTechApi,
    AnonymousMedTechApiBuilder,
    AuthenticationResult,
    MedTechApi,
    MedTechApiBuilder,
    Patient,
)
from icure_async.sandbox import Sandbox

PHONE = "+32588235595"
NOTE = "You must keep one's head"

Told = Callable[[str], None]


def _nobody_listens(step: str) -> None:
    pass


@attrs.define
class Story:
    """The objects of the story, for tests to look at; nothing is closed yet."""

    codes: list[str] = attrs.field(factory=list[str])
    tokens: list[str] = attrs.field(factory=list[str])
    objects: list[Any] = attrs.field(factory=list[Any])
    patient_id: str = ""
    result: AuthenticationResult | None = None

    @property
    def token(self) -> str:
        assert self.result is not None
        return self.result.token


Teller = Callable[[Told], Awaitable[Story]]


async def tell(
    sandbox: Sandbox,
    anonymous_builder: AnonymousMedTechApiBuilder,
    builder: Callable[[str, str], MedTechApiBuilder],
    *,
    told: Told = _nobody_listens,
    phone: str = PHONE,
    captcha: str | None = "a-captcha-solution",
) -> Story:
    """Live through the story; ``told`` is called after each step with its name.

    Without the solution of a captcha, the SDK solves one.
    """
    story = Story()
    log_in = functools.partial(
        _log_in, sandbox, story=story, told=told, phone=phone, captcha=captcha
    )
    async with contextlib.AsyncExitStack() as stack:
        anonymous = await stack.enter_async_context(anonymous_builder.build())
        story.objects += [anonymous_builder, anonymous, anonymous.authentication_api]

        result = await log_in(anonymous)
        stack.push_async_callback(result.med_tech_api.aclose)
        story.result = result

        patient = await result.med_tech_api.patient_api.create_or_modify_patient(
            Patient(first_name="Robb", last_name="Stark", gender="male", note=NOTE)
        )
        story.patient_id = str(patient.id)
        told("create")

        device_builder = builder(result.process.login, result.token)
        device = await stack.enter_async_context(device_builder.build())
        await device.init_user_crypto(result.key_pairs[0])
        told("re-open")
        read = await _read(device, story)
        told("first read")
        await _read(device, story)
        told("next read")

        again = await log_in(anonymous)
        stack.push_async_callback(again.med_tech_api.aclose)
        reread = await _read(again.med_tech_api, story)
        told("read again")

        story.objects += [result, patient, device_builder, device, read, again, reread]
        story.objects += [*result.key_pairs, result.process, again.process]
    return story


async def _log_in(
    sandbox: Sandbox,
    anonymous: AnonymousMedTechApi,
    *,
    story: Story,
    told: Told,
    phone: str,
    captcha: str | None,
) -> AuthenticationResult:
    process = await anonymous.authentication_api.start_authentication(
        captcha,
        phone_number=phone,
        first_name="Ned",
        last_name="Stark",
        healthcare_professional_id=sandbox.master_hcp.data_owner_id,
    )
    told("start")
    code = await sandbox.wait_for_code(phone)
    story.codes.append(code)
    story.objects.append(process)
    result = await anonymous.authentication_api.complete_authentication(process, code)
    told("complete")
    return result


async def _read(api: MedTechApi, story: Story) -> Patient:
    patient = await api.patient_api.get_patient(story.patient_id)
    assert patient.note == NOTE
    return patient
