"""Patients invited with one SDK, who log in and ask for access with the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icure_async import Notification, Patient
from icure_async.errors import DecryptionError, UserExistsError
from tests.support.builders import builder_for
from tests.support.invitations import EMAIL, address, by_email, token_in
from tests.support.notes import NOTES
from tests.support.our_sdk import anonymous_sdk
from tests.support.reference_sdk import ReferenceSdkError
from tests.support.reference_steps import log_in_as_master

if TYPE_CHECKING:
    from icure_async import MedTechApiBuilder
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import ReferenceSdk, StartReference

pytestmark = pytest.mark.interop

NOTE = next(iter(NOTES.values()))


def master_builder(sandbox: Sandbox) -> MedTechApiBuilder:
    """The professional with our SDK, and the gateway."""
    master = sandbox.master_hcp
    builder = builder_for(sandbox.icure_url, master.login, master.password)
    return builder.with_msg_gw_url(sandbox.msg_gw_url).with_msg_gw_spec_id(sandbox.spec_id)


async def test_we_invite_the_reference_asks_we_answer_and_it_reads(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    async with master_builder(sandbox).build() as hcp:
        await hcp.init_user_crypto(sandbox.master_hcp.key_pair)
        patient = await hcp.patient_api.create_or_modify_patient(
            Patient(first_name="Arya", note=NOTE, addresses=[address(email=EMAIL)])
        )
        await hcp.user_api.create_and_invite_user(patient, by_email(patient))
        short_token = token_in(await sandbox.wait_for_message(EMAIL))

        await reference.login(sandbox.icure_url, EMAIL, short_token)
        token = await reference.create_token()
        user = await reference.login(sandbox.icure_url, EMAIL, token)
        assert user["patientId"] == patient.id
        await reference.register_key_pair()
        with pytest.raises(ReferenceSdkError, match="Could not decrypt"):
            await reference.get_patient(patient.id)
        task = await reference.create_task(
            sandbox.master_hcp.data_owner_id,
            taskType="NEW_USER_OWN_DATA_ACCESS",
            status="pending",
            identifier=[],
        )

        (request,) = await hcp.notification_api.get_pending_notifications_after()
        assert isinstance(request, Notification)
        assert (request.id, request.author, request.responsible) == (
            task["id"],
            user["id"],
            patient.id,
        )
        answer = await hcp.data_owner_api.answer_access_request(request)
        assert answer.access.success
        assert (await reference.get_task(task["id"]))["status"] == "completed"
        assert (await reference.get_patient(patient.id))["note"] == NOTE
        await reference.modify_patient(patient.id, note=NOTE[::-1])
        assert (await hcp.patient_api.get_patient(patient.id)).note == NOTE[::-1]
        with pytest.raises(UserExistsError):
            await hcp.user_api.create_and_invite_user(patient, by_email(patient))


async def test_the_reference_invites_we_ask_it_answers_and_we_read(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    reference, master = await start_reference(), sandbox.master_hcp
    await log_in_as_master(reference, sandbox)
    telecom = {"telecomType": "email", "telecomNumber": EMAIL}
    patient = await reference.create_patient(
        firstName="Arya",
        note=NOTE,
        addresses=[{"addressType": "home", "telecoms": [telecom]}],
    )
    user = await reference.invite_user(
        sandbox.msg_gw_url,
        sandbox.spec_id,
        master.login,
        master.password,
        {"name": EMAIL, "login": EMAIL, "email": EMAIL, "patientId": patient["id"]},
    )
    short_token = token_in(await sandbox.wait_for_message(EMAIL))

    async with anonymous_sdk(sandbox) as anonymous:
        api = anonymous.authentication_api
        result = await api.authenticate_and_ask_access_to_its_existing_data(EMAIL, short_token)
    async with result.med_tech_api as arya:
        assert result.user_id == user["id"]
        ((recipient_id, task_id),) = [
            (one.recipient_id, one.notification_id) for one in result.access_requests
        ]
        assert recipient_id == master.data_owner_id
        with pytest.raises(DecryptionError):
            await arya.patient_api.get_patient(patient["id"])

        # A session that has read something of the patient would not look its keys up again.
        reference = await start_reference()
        await log_in_as_master(reference, sandbox)
        wanted = {
            "$type": "MaintenanceTaskByHcPartyAndTypeFilter",
            "healthcarePartyId": master.data_owner_id,
            "type": "NEW_USER_OWN_DATA_ACCESS",
        }
        ((task,), _) = await reference.filter_tasks(wanted)
        assert (task["id"], task["author"], task["responsible"]) == (
            task_id,
            user["id"],
            patient["id"],
        )
        await reference.give_patient_access(patient["id"], task["responsible"])
        await reference.modify_task(task_id, status="completed")

        own = await arya.patient_api.get_patient(patient["id"])
        assert own.note == NOTE
        assert (await arya.notification_api.get_notification(task_id)).status == "completed"
        own.note = NOTE[::-1]
        await arya.patient_api.create_or_modify_patient(own)
    assert (await reference.get_patient(patient["id"]))["note"] == NOTE[::-1]
