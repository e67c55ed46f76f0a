"""A patient is invited in today's flavour, logs in, asks for access, and gets it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from icure_async import AnonymousMedTechApiBuilder, MedTechApi, MedTechApiBuilder, Patient
from icure_async.errors import DecryptionError, UserExistsError
from icure_async.sandbox import Sandbox
from tests.support.builders import configured
from tests.support.invitations import EMAIL, NOTE, PHONE, address, by_email, by_sms, token_in


@pytest.fixture(autouse=True)
def _shortcuts(keys_made_once: None, cheap_hashes: None) -> None:
    """These tests start many sandboxes."""


@pytest.fixture
async def doctor(
    sandbox: Sandbox, builder: Callable[[str, str], MedTechApiBuilder]
) -> AsyncIterator[MedTechApi]:
    master = sandbox.master_hcp
    made = configured(builder(master.login, master.password), sandbox).with_flavour("cardinal")
    async with made.with_in_memory_keys().build() as api:
        await api.init_user_crypto(master.key_pair)
        yield api


@pytest.mark.parametrize("channel", ["email", "sms"])
async def test_the_whole_story(
    doctor: MedTechApi,
    sandbox: Sandbox,
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    channel: str,
) -> None:
    patient = await doctor.patient_api.create_or_modify_patient(
        Patient(
            first_name="Arya",
            last_name="Stark",
            note=NOTE,
            addresses=[address(email=EMAIL, mobile=PHONE)],
        )
    )
    factory = by_email(patient) if channel == "email" else by_sms(patient)
    contact = EMAIL if channel == "email" else PHONE
    user = await doctor.user_api.create_and_invite_user(patient, factory)
    token = token_in(await sandbox.wait_for_message(contact))

    made = anonymous_builder().with_flavour("cardinal").with_in_memory_keys()
    async with made.build() as anonymous:
        logged_in = anonymous.authentication_api
        result = await logged_in.authenticate_and_ask_access_to_its_existing_data(contact, token)
    async with result.med_tech_api as arya:
        assert (result.user_id, result.data_owner_id) == (user.id, patient.id)
        assert result.group_id == "sandbox"
        assert [one.delivered for one in result.access_requests] == [True]
        with pytest.raises(DecryptionError):
            await arya.patient_api.get_patient(patient.id)

        (request,) = await doctor.notification_api.get_pending_notifications_after()
        answer = await doctor.data_owner_api.answer_access_request(request)
        assert answer.access.success
        assert answer.notification.status == "completed"

        assert (await arya.patient_api.get_patient(patient.id)).note == NOTE
    with pytest.raises(UserExistsError, match="has logged in already"):
        await doctor.user_api.create_and_invite_user(patient, factory)
