"""A patient is invited, logs in for the first time, asks for access, and gets it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from icure_async import MedTechApi, Notification, Patient
from icure_async.errors import DecryptionError
from icure_async.models.flavour import FLAVOURS
from icure_async.storage import MemoryKeyStorage, MemoryStorage
from tests.support.invitations import EMAIL, NOTE, PHONE, Clinic, address, by_email, by_sms, clinic
from tests.support.request_log import RequestLog

__all__ = ["clinic"]


async def request_of(hcp: MedTechApi) -> Notification:
    """The request for access that a professional finds."""
    (found,) = await hcp.notification_api.get_pending_notifications_after()
    assert isinstance(found, Notification)
    assert found.type == "NEW_USER_OWN_DATA_ACCESS"
    return found


@pytest.mark.parametrize("channel", ["email", "sms"])
async def test_the_whole_story(clinic: Clinic, channel: str) -> None:
    patient = await clinic.patient(address(email=EMAIL, mobile=PHONE))
    factory = by_email(patient) if channel == "email" else by_sms(patient)
    contact = EMAIL if channel == "email" else PHONE
    user = await clinic.hcp.user_api.create_and_invite_user(patient, factory)
    assert (user.patient_id, user.login, user.name) == (patient.id, contact, contact)
    assert (user.email, user.mobile_phone) == (
        (EMAIL, None) if channel == "email" else (None, PHONE)
    )
    token = await clinic.token(contact)

    async with clinic.logged_in(token, contact) as result:
        arya = result.med_tech_api
        assert (result.user_id, result.data_owner_id) == (user.id, patient.id)
        assert [(one.recipient_id, one.delivered) for one in result.access_requests] == [
            (clinic.hcp_id, True)
        ]
        with pytest.raises(DecryptionError):
            await arya.patient_api.get_patient(patient.id)

        request = await request_of(clinic.hcp)
        assert (request.author, request.responsible) == (user.id, patient.id)
        answer = await clinic.hcp.data_owner_api.answer_access_request(request)
        assert answer.access.success
        assert (answer.access.patient_id, answer.access.delegate_id) == (patient.id, patient.id)
        assert answer.notification.status == "completed"
        assert await clinic.hcp.notification_api.get_pending_notifications_after() == []

        own = await arya.patient_api.get_patient(patient.id)
        assert own.note == NOTE
        own.note = "Valar morghulis"
        await arya.patient_api.create_or_modify_patient(own)
    assert (await clinic.hcp.patient_api.get_patient(patient.id)).note == "Valar morghulis"


async def test_the_patient_has_its_own_secret_id_and_then_that_of_the_professional(
    clinic: Clinic,
) -> None:
    """A share that took its own entry for access would give none (second-world.md §2.2)."""
    token = await clinic.invited()
    async with clinic.logged_in(token) as result:
        own_id = result.data_owner_id
        before = await clinic.sandbox.stored("patient", own_id)
        assert before
        assert [entry["owner"] for entry in before["delegations"][own_id]] == [own_id]
        assert own_id not in before["encryptionKeys"]
        await clinic.hcp.data_owner_api.answer_access_request(await request_of(clinic.hcp))
        after = await clinic.sandbox.stored("patient", own_id)
    assert after
    assert [entry["owner"] for entry in after["delegations"][own_id]] == [own_id, clinic.hcp_id]
    assert [entry["owner"] for entry in after["encryptionKeys"][own_id]] == [clinic.hcp_id]


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_an_answer_that_is_repeated_shares_nothing_twice(
    clinic: Clinic, requests: RequestLog
) -> None:
    token = await clinic.invited()
    async with clinic.logged_in(token):
        request = await request_of(clinic.hcp)
        await clinic.hcp.data_owner_api.answer_access_request(request)
        requests.take()
        again = await clinic.hcp.data_owner_api.answer_access_request(request)
        assert again.notification.status == "completed"
        assert not [line for line in requests.take() if line.startswith("PUT")]


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_the_first_login_is_repeated_on_the_same_device(clinic: Clinic) -> None:
    token = await clinic.invited()
    keys, storage = MemoryKeyStorage(), MemoryStorage()
    async with clinic.logged_in(token, keys=keys, storage=storage) as first:
        pass
    async with clinic.logged_in(token, keys=keys, storage=storage) as second:
        assert second.key_pairs == first.key_pairs
        assert second.access_requests == first.access_requests
    assert len(await clinic.tasks()) == 1


async def test_after_the_first_login_the_patient_logs_in_by_code(clinic: Clinic) -> None:
    token, keys = await clinic.invited(), MemoryKeyStorage()
    async with clinic.logged_in(token, keys=keys) as first:
        pass
    async with clinic.anonymous().with_key_storage(keys).build() as anonymous:
        process = await anonymous.authentication_api.start_authentication("captcha", email=EMAIL)
        code = await clinic.sandbox.wait_for_code(EMAIL)
        again = await anonymous.authentication_api.complete_authentication(process, code)
    async with again.med_tech_api:
        assert again.user_id == first.user_id
        assert again.key_pairs == first.key_pairs


async def test_an_invited_patient_shares_what_it_creates_when_it_says_so(clinic: Clinic) -> None:
    token = await clinic.invited(validity=timedelta(hours=1))
    async with clinic.logged_in(token) as result:
        assert "share_all_future_data_with" in "".join(result.warnings)
        arya = result.med_tech_api
        made = await arya.patient_api.create_or_modify_patient(Patient(first_name="N", note=NOTE))
        with pytest.raises(DecryptionError):
            await clinic.hcp.patient_api.get_patient(made.id)
