"""Records of our SDK: the reference reads and modifies them, and our SDK reads them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icure_async import Patient
from tests.support.notes import LONE_SURROGATES, MARKER, NOTES
from tests.support.our_sdk import register_with_sdk, sdk
from tests.support.reference_sdk import ReferenceSdkError
from tests.support.reference_steps import assert_encrypted, log_in_as_master, stored_patient

if TYPE_CHECKING:
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import ReferenceSdk, StartReference

pytestmark = pytest.mark.interop

PHONE = "+32588235595"


@pytest.mark.parametrize("professional", [False, True], ids=["patient", "professional"])
async def test_a_patient_is_read_and_modified_by_both(
    sandbox: Sandbox, start_reference: StartReference, professional: bool
) -> None:
    result = await register_with_sdk(sandbox, PHONE, professional=professional)
    async with result.med_tech_api as api:
        patient = await api.patient_api.create_or_modify_patient(
            Patient(first_name="Robb", last_name="Stark", gender="male", note=MARKER)
        )
        assert patient.id is not None
        assert_encrypted(await stored_patient(sandbox, patient.id))

        as_user = await start_reference()
        user = await as_user.login(sandbox.icure_url, PHONE, result.token)
        assert user["id"] == result.user_id
        await as_user.use_key_pair(result.key_pairs[0])
        read = await as_user.get_patient(patient.id)
        assert read["note"] == MARKER
        assert (read["firstName"], read["lastName"], read["gender"]) == ("Robb", "Stark", "male")
        await as_user.modify_patient(patient.id, note="Modified by the user")
        assert (await api.patient_api.get_patient(patient.id)).note == "Modified by the user"

        as_hcp = await start_reference()
        await log_in_as_master(as_hcp, sandbox)
        if professional:
            # Unlike a patient, it shares with nobody unasked.
            with pytest.raises(ReferenceSdkError, match="decrypt"):
                await as_hcp.get_patient(patient.id)
            return
        assert (await as_hcp.get_patient(patient.id))["note"] == "Modified by the user"
        await as_hcp.modify_patient(patient.id, note="Modified by the doctor")
        assert (await api.patient_api.get_patient(patient.id)).note == "Modified by the doctor"


async def test_notes_arrive_as_they_were_written(sandbox: Sandbox, reference: ReferenceSdk) -> None:
    hcp = sandbox.master_hcp
    await log_in_as_master(reference, sandbox)
    damaged = []
    async with sdk(sandbox, hcp.login, hcp.password) as api:
        await api.init_user_crypto(hcp.key_pair)
        for name, note in (NOTES | {"surrogates": LONE_SURROGATES}).items():
            patient = await api.patient_api.create_or_modify_patient(
                Patient(first_name="Bran", last_name="Stark", note=note)
            )
            assert patient.id is not None
            if (await reference.get_patient(patient.id))["note"] != note:
                damaged.append(name)
    assert damaged == []


async def test_a_patient_without_a_note_has_none_for_the_reference(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    hcp = sandbox.master_hcp
    async with sdk(sandbox, hcp.login, hcp.password) as api:
        await api.init_user_crypto(hcp.key_pair)
        patient = await api.patient_api.create_or_modify_patient(
            Patient(first_name="Bran", last_name="Stark")
        )
        assert patient.id is not None
        await log_in_as_master(reference, sandbox)
        assert (await reference.get_patient(patient.id)).get("note") is None
        await reference.modify_patient(patient.id, note=MARKER)
        assert (await api.patient_api.get_patient(patient.id)).note == MARKER


async def test_the_own_document_of_a_new_patient_user_is_the_references_too(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    result = await register_with_sdk(sandbox, PHONE, first_name="Ned", last_name="Stark")
    async with result.med_tech_api as api:
        as_user = await start_reference()
        user = await as_user.login(sandbox.icure_url, PHONE, result.token)
        await as_user.use_key_pair(result.key_pairs[0])
        themselves = await as_user.get_patient(user["patientId"])
        assert (themselves["firstName"], themselves["lastName"]) == ("Ned", "Stark")
        assert themselves["publicKey"] == result.key_pairs[0].public_key
        await as_user.modify_patient(user["patientId"], note=MARKER)
        assert (await api.patient_api.get_patient(user["patientId"])).note == MARKER

        as_hcp = await start_reference()
        await log_in_as_master(as_hcp, sandbox)
        assert (await as_hcp.get_patient(user["patientId"]))["note"] == MARKER


async def test_the_reference_goes_on_creating_with_the_keys_of_our_user(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    result = await register_with_sdk(sandbox, PHONE)
    async with result.med_tech_api as api:
        as_user = await start_reference()
        await as_user.login(sandbox.icure_url, PHONE, result.token)
        await as_user.use_key_pair(result.key_pairs[0])
        created = await as_user.create_patient(firstName="Arya", lastName="Stark", note=MARKER)
        patient = await api.patient_api.get_patient(created["id"])
        assert (patient.first_name, patient.note) == ("Arya", MARKER)
