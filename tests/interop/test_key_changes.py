"""Key pairs that the reference added, lost or gave access back to, as our SDK sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icure_async import KeyPair, Patient
from icure_async.errors import DecryptionError, PermissionDeniedError
from tests.support.notes import MARKER
from tests.support.our_sdk import register_with_sdk, sdk
from tests.support.reference_steps import log_in_as_master, may_meet_valid_padding, stored_patient

if TYPE_CHECKING:
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import ReferenceSdk, StartReference

pytestmark = pytest.mark.interop

PHONE = "+32588235595"


async def test_what_the_reference_shares_later_is_readable_without_logging_in_again(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    result = await register_with_sdk(sandbox, PHONE)
    async with result.med_tech_api as api:
        await log_in_as_master(reference, sandbox)
        created = await reference.create_patient(firstName="Jon", lastName="Snow", note=MARKER)
        with pytest.raises(PermissionDeniedError):
            await api.patient_api.get_patient(created["id"])
        user = await sandbox.stored("user", result.user_id)
        assert user is not None
        await reference.give_patient_access(created["id"], user["patientId"])
        assert (await api.patient_api.get_patient(created["id"])).note == MARKER


async def test_the_first_device_reads_what_was_written_with_a_second_key_pair(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    result = await register_with_sdk(sandbox, PHONE)
    async with result.med_tech_api as first_device:
        await reference.login(sandbox.icure_url, PHONE, result.token)
        await reference.add_key_pair()
        created = await reference.create_patient(firstName="Sansa", lastName="Stark", note=MARKER)
        assert (await first_device.patient_api.get_patient(created["id"])).note == MARKER
    async with sdk(sandbox, PHONE, result.token) as restarted:
        await restarted.init_user_crypto(result.key_pairs[0])
        assert (await restarted.patient_api.get_patient(created["id"])).note == MARKER


@may_meet_valid_padding
async def test_a_second_key_pair_is_used_without_touching_what_is_published(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    result = await register_with_sdk(sandbox, PHONE)
    second_device, hcp = await start_reference(), await start_reference()
    async with result.med_tech_api as first_device:
        old = await first_device.patient_api.create_or_modify_patient(
            Patient(first_name="Robb", last_name="Stark", note=MARKER)
        )
    assert old.id is not None
    user = await second_device.login(sandbox.icure_url, PHONE, result.token)
    second_pair = await second_device.add_key_pair()
    new = await second_device.create_patient(firstName="Sansa", lastName="Stark", note=MARKER)
    before = await stored_patient(sandbox, user["patientId"])

    async with sdk(sandbox, PHONE, result.token) as api:
        await api.init_user_crypto(KeyPair(second_pair.public_key, second_pair.private_key))
        assert (await api.patient_api.get_patient(new["id"])).note == MARKER
        with pytest.raises(DecryptionError):
            await api.patient_api.get_patient(old.id)
        assert await stored_patient(sandbox, user["patientId"]) == before

        await log_in_as_master(hcp, sandbox)
        requests = await hcp.key_update_requests()
        assert {r.new_public_key for r in requests} == {second_pair.public_key}
        await hcp.give_access_back(requests[0])
        assert (await api.patient_api.get_patient(old.id)).note == MARKER
