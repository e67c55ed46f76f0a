"""Patients shared by either SDK: read, changed and shared onward by the other one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icure_async import Patient
from tests.support.notes import MARKER
from tests.support.our_sdk import register_with_sdk, sdk
from tests.support.reference_sdk import ReferenceSdkError
from tests.support.reference_steps import (
    log_in_as_master,
    may_meet_valid_padding,
    register_with_reference,
    stored_patient,
)

if TYPE_CHECKING:
    from icure_async import AuthenticationResult, MedTechApi
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import ReferenceSdk, StartReference

pytestmark = pytest.mark.interop

PHONE, OTHER_PHONE = "+32588235595", "+32470123456"


async def own_id_of(api: MedTechApi) -> str:
    return api.data_owner_api.get_data_owner_id_of(await api.user_api.get_logged_user())


async def as_reference(
    start_reference: StartReference, sandbox: Sandbox, phone: str, result: AuthenticationResult
) -> ReferenceSdk:
    """The user of our SDK, with the reference."""
    reference = await start_reference()
    await reference.login(sandbox.icure_url, phone, result.token)
    await reference.use_key_pair(result.key_pairs[0])
    return reference


@pytest.mark.parametrize("to_patient", [False, True], ids=["professional", "patient"])
async def test_what_our_sdk_shares_the_reference_reads_changes_and_shares_onward(
    sandbox: Sandbox, start_reference: StartReference, to_patient: bool
) -> None:
    owner = await register_with_sdk(sandbox, PHONE, professional=True)
    delegate = await register_with_sdk(sandbox, OTHER_PHONE, professional=not to_patient)
    async with owner.med_tech_api as api, delegate.med_tech_api as other:
        patient = await api.patient_api.create_or_modify_patient(
            Patient(first_name="Robb", last_name="Stark", note=MARKER)
        )
        reader = await as_reference(start_reference, sandbox, OTHER_PHONE, delegate)
        with pytest.raises(ReferenceSdkError):
            await reader.get_patient(patient.id)
        shared = await api.patient_api.give_access_to(patient, await own_id_of(other))
        assert (await reader.get_patient(patient.id))["note"] == MARKER
        await reader.modify_patient(patient.id, note="changed by the delegate")
        master = sandbox.master_hcp
        await reader.give_patient_access(patient.id, master.data_owner_id)
        assert (await api.patient_api.get_patient(shared.id)).note == "changed by the delegate"
        async with sdk(sandbox, master.login, master.password) as third:
            await third.init_user_crypto(master.key_pair)
            read = await third.patient_api.get_patient(patient.id)
            assert read.note == "changed by the delegate"
            # A share of the reference counts.
            of_delegate = await other.patient_api.get_patient(patient.id)
            same = await other.patient_api.give_access_to(of_delegate, master.data_owner_id)
            assert same is of_delegate


@may_meet_valid_padding
async def test_what_the_reference_shares_our_sdk_reads_and_shares_onward(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    reference = await start_reference()
    owner = await register_with_reference(reference, sandbox, PHONE, professional=True)
    delegate = await register_with_sdk(sandbox, OTHER_PHONE)
    created = await reference.create_patient(firstName="Arya", lastName="Stark", note=MARKER)
    async with delegate.med_tech_api as api:
        own_id = await own_id_of(api)
        await reference.give_patient_access(created["id"], own_id)
        patient = await api.patient_api.get_patient(created["id"])
        assert patient.note == MARKER
        # Neither is it given back to the one who shared it.
        assert await api.patient_api.give_access_to(patient, owner.data_owner_id) is patient
        shared = await api.patient_api.give_access_to(patient, sandbox.master_hcp.data_owner_id)
        third = await start_reference()
        await log_in_as_master(third, sandbox)
        assert (await third.get_patient(created["id"]))["note"] == MARKER
        await third.modify_patient(created["id"], note="changed by the third")
        assert (await api.patient_api.get_patient(shared.id)).note == "changed by the third"
        assert (await reference.get_patient(created["id"]))["note"] == "changed by the third"


async def test_the_reference_shares_again_what_our_sdk_has_shared(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    owner = await register_with_sdk(sandbox, PHONE, professional=True)
    hcp = sandbox.master_hcp
    async with owner.med_tech_api as api:
        patient = await api.patient_api.create_or_modify_patient(
            Patient(first_name="Robb", last_name="Stark", note=MARKER)
        )
        await api.patient_api.give_access_to(patient, hcp.data_owner_id)
        before = await stored_patient(sandbox, patient.id)
        reference = await as_reference(start_reference, sandbox, PHONE, owner)
        await reference.give_patient_access(patient.id, hcp.data_owner_id)
        after = await stored_patient(sandbox, patient.id)
        for member in ("delegations", "encryptionKeys"):
            assert {name: len(entries) for name, entries in after[member].items()} == {
                name: len(entries) for name, entries in before[member].items()
            }
        third = await start_reference()
        await log_in_as_master(third, sandbox)
        assert (await third.get_patient(patient.id))["note"] == MARKER


async def test_a_patient_user_shares_its_own_record(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    owner = await register_with_sdk(sandbox, PHONE)
    delegate = await register_with_sdk(sandbox, OTHER_PHONE, professional=True)
    async with owner.med_tech_api as api, delegate.med_tech_api as other:
        own = await api.patient_api.get_patient(await own_id_of(api))
        own.note = MARKER
        own = await api.patient_api.create_or_modify_patient(own)
        shared = await api.patient_api.give_access_to(own, await own_id_of(other))
        reader = await as_reference(start_reference, sandbox, OTHER_PHONE, delegate)
        assert (await reader.get_patient(shared.id))["note"] == MARKER
        # Its keys are as good as before.
        themselves = await as_reference(start_reference, sandbox, PHONE, owner)
        created = await themselves.create_patient(firstName="A", lastName="B", note=MARKER)
        assert (await api.patient_api.get_patient(created["id"])).note == MARKER


@pytest.mark.parametrize("professional", [False, True], ids=["patient", "professional"])
async def test_the_reference_shares_automatically_with_whom_our_sdk_says(
    sandbox: Sandbox, start_reference: StartReference, professional: bool
) -> None:
    owner = await register_with_sdk(sandbox, PHONE, professional=professional)
    delegate = await register_with_sdk(sandbox, OTHER_PHONE, professional=True)
    async with owner.med_tech_api as api, delegate.med_tech_api as other:
        delegate_id = await own_id_of(other)
        for is_shared in (True, False):
            change = (
                api.user_api.share_all_future_data_with
                if is_shared
                else api.user_api.stop_sharing_data_with
            )
            await change([delegate_id])
            reference = await as_reference(start_reference, sandbox, PHONE, owner)
            created = await reference.create_patient(firstName="A", lastName="B", note=MARKER)
            stored = await stored_patient(sandbox, created["id"])
            assert (delegate_id in stored["encryptionKeys"]) is is_shared
            if is_shared:
                assert (await other.patient_api.get_patient(created["id"])).note == MARKER
