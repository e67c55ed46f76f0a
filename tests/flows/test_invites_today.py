"""A patient is invited with today's iCure, logs in for the first time, and gets access."""

from __future__ import annotations

import pytest

from icure_async import MedTechApi, Notification, Patient
from icure_async.errors import DecryptionError, PermissionDeniedError, UserExistsError
from icure_async.models.flavour import Flavour
from icure_async.storage import MemoryKeyStorage
from tests.support.cardinal_world import audit
from tests.support.invitations import EMAIL, NOTE, PHONE, Clinic, address, by_email, by_sms, clinic
from tests.support.request_log import RequestLog

__all__ = ["clinic"]

CLOSED = (DecryptionError, PermissionDeniedError)


@pytest.fixture
def flavour() -> Flavour:
    return "cardinal"


async def request_of(hcp: MedTechApi) -> Notification:
    """The request for access that a professional finds."""
    (found,) = await hcp.notification_api.get_pending_notifications_after()
    assert isinstance(found, Notification)
    assert found.type == "NEW_USER_OWN_DATA_ACCESS"
    return found


@pytest.mark.parametrize("channel", ["email", "sms"])
async def test_the_whole_story(clinic: Clinic, channel: str, requests: RequestLog) -> None:
    patient = await clinic.patient(address(email=EMAIL, mobile=PHONE))
    factory = by_email(patient) if channel == "email" else by_sms(patient)
    contact = EMAIL if channel == "email" else PHONE
    user = await clinic.hcp.user_api.create_and_invite_user(patient, factory)
    assert (user.patient_id, user.login) == (patient.id, contact)
    token = await clinic.token(contact)

    async with clinic.logged_in(token, contact) as result:
        arya = result.med_tech_api
        assert (result.user_id, result.data_owner_id) == (user.id, patient.id)
        assert result.process.flavour == "cardinal"
        assert [(one.recipient_id, one.delivered) for one in result.access_requests] == [
            (clinic.hcp_id, True)
        ]
        with pytest.raises(CLOSED):
            await arya.patient_api.get_patient(str(patient.id))
        request = await request_of(clinic.hcp)
        assert (request.author, request.responsible) == (user.id, patient.id)
        answer = await clinic.hcp.data_owner_api.answer_access_request(request)
        assert answer.access.success
        assert answer.notification.status == "completed"
        assert await clinic.hcp.notification_api.get_pending_notifications_after() == []

        own = await arya.patient_api.get_patient(str(patient.id))
        assert own.note == NOTE
        own.note = "Valar morghulis"
        await arya.patient_api.create_or_modify_patient(own)
        pairs = [clinic.sandbox.master_hcp.key_pair, *result.key_pairs]
    read = await clinic.hcp.patient_api.get_patient(str(patient.id))
    assert read.note == "Valar morghulis"
    stored = await clinic.sandbox.stored("patient", str(patient.id))
    assert stored is not None
    assert not stored.get("publicKey")
    assert not stored.get("delegations")
    assert not [line for line in requests.take() if "/rest/v1/" in line]
    exported = (await clinic.sandbox.export())["entities"]
    found = audit(exported, [pair.private_key for pair in pairs])
    assert (found.problems, found.unverified) == ([], set())


async def test_after_the_first_login_the_patient_logs_in_by_code(clinic: Clinic) -> None:
    token, keys = await clinic.invited(), MemoryKeyStorage()
    async with clinic.logged_in(token, keys=keys) as first:
        pass
    async with clinic.anonymous().with_key_storage(keys).build() as anonymous:
        process = await anonymous.authentication_api.start_authentication(email=EMAIL)
        code = await clinic.sandbox.wait_for_code(EMAIL)
        again = await anonymous.authentication_api.complete_authentication(process, code)
    async with again.med_tech_api:
        assert again.user_id == first.user_id
        assert again.key_pairs == first.key_pairs


async def test_an_invitation_is_sent_again_until_the_patient_has_logged_in(clinic: Clinic) -> None:
    patient = await clinic.patient()
    invite = clinic.hcp.user_api.create_and_invite_user
    first = await invite(patient, by_email(patient))
    assert (await invite(patient, by_email(patient))).id == first.id
    async with clinic.logged_in(await clinic.token()):
        with pytest.raises(UserExistsError, match="logged in"):
            await invite(patient, by_email(patient))


async def test_a_record_can_be_shared_with_the_invited_patient_once_it_has_a_key(
    clinic: Clinic,
) -> None:
    token = await clinic.invited()
    made = await clinic.hcp.patient_api.create_or_modify_patient(
        Patient(first_name="Nymeria", note=NOTE)
    )
    async with clinic.logged_in(token) as result:
        await clinic.hcp.patient_api.give_access_to(made, result.data_owner_id)
        api = result.med_tech_api
        assert (await api.patient_api.get_patient(str(made.id))).note == NOTE
