"""A key lost with one SDK and replaced; the other SDK gives access back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icure_async import KeyPair, Patient
from icure_async.errors import DecryptionError
from tests.support.notes import MARKER
from tests.support.our_sdk import register_with_sdk, sdk
from tests.support.reference_steps import (
    log_in_as_master,
    may_meet_valid_padding,
    register_with_reference,
)

if TYPE_CHECKING:
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import ReferenceSdk, StartReference

# With two exchange keys of one delegator, the reference may trip in any of these.
pytestmark = [pytest.mark.interop, may_meet_valid_padding]

PHONE = "+32588235595"


async def test_the_reference_gives_access_back_to_our_new_key(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    ned, hcp = await start_reference(), await start_reference()
    user = await register_with_reference(ned, sandbox, PHONE)
    created = await ned.create_patient(firstName="Sansa", lastName="Stark", note=MARKER)
    async with sdk(sandbox, user.login, user.token) as new_device:
        (pair,) = await new_device.init_user_crypto(missing_key="allow")
        assert all(notice.delivered for notice in new_device.key_notices)
        with pytest.raises(DecryptionError):
            await new_device.patient_api.get_patient(created["id"])

        await log_in_as_master(hcp, sandbox)
        requests = await hcp.key_update_requests()
        assert {(r.status, r.concerned_owner_id, r.new_public_key) for r in requests} == {
            ("pending", user.data_owner_id, pair.public_key)
        }
        await hcp.give_access_back(requests[0])
        assert (await new_device.patient_api.get_patient(created["id"])).note == MARKER


async def test_we_give_access_back_to_a_new_key_of_the_reference(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    result = await register_with_sdk(sandbox, PHONE)
    async with result.med_tech_api as first_device:
        old = await first_device.patient_api.create_or_modify_patient(
            Patient(first_name="Robb", last_name="Stark", note=MARKER)
        )
    assert old.id is not None
    new_device = await start_reference()
    user = await new_device.login(sandbox.icure_url, PHONE, result.token)
    pair = await new_device.add_key_pair()
    master = sandbox.master_hcp
    async with sdk(sandbox, master.login, master.password) as hcp:
        await hcp.init_user_crypto(KeyPair(master.key_pair.public_key, master.key_pair.private_key))
        await hcp.data_owner_api.give_access_back_to(user["patientId"], pair.public_key)

    later = await start_reference()
    await later.login(sandbox.icure_url, PHONE, result.token)
    await later.use_key_pair(pair)
    assert (await later.get_patient(old.id))["note"] == MARKER


async def test_the_reference_reads_what_our_new_key_wrote_with_the_old_one(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    ned = await start_reference()
    user = await register_with_reference(ned, sandbox, PHONE)
    async with sdk(sandbox, user.login, user.token) as new_device:
        await new_device.init_user_crypto(missing_key="allow")
        created = await new_device.patient_api.create_or_modify_patient(
            Patient(first_name="Robb", last_name="Stark", note=MARKER)
        )
    assert created.id is not None
    later = await start_reference()
    await later.login(sandbox.icure_url, user.login, user.token)
    await later.use_key_pair(user.key_pair)
    assert (await later.get_patient(created.id))["note"] == MARKER


async def test_the_reference_reads_everything_our_first_device_gave_its_second(
    sandbox: Sandbox, start_reference: StartReference, reference: ReferenceSdk
) -> None:
    result = await register_with_sdk(sandbox, PHONE)
    new_device = await start_reference()
    user = await new_device.login(sandbox.icure_url, PHONE, result.token)
    async with result.med_tech_api as first_device:
        own = await first_device.patient_api.create_or_modify_patient(
            Patient(first_name="Robb", last_name="Stark", note=MARKER)
        )
        await log_in_as_master(reference, sandbox)
        shared = await reference.create_patient(firstName="Jon", lastName="Snow", note=MARKER)
        await reference.give_patient_access(shared["id"], user["patientId"])
        pair = await new_device.add_key_pair()
        await first_device.data_owner_api.give_access_back_to(user["patientId"], pair.public_key)
    assert own.id is not None
    later = await start_reference()
    await later.login(sandbox.icure_url, PHONE, result.token)
    await later.use_key_pair(pair)
    assert (await later.get_patient(own.id))["note"] == MARKER
    # The professional shared it with the old key only: read through the transfer key.
    assert (await later.get_patient(shared["id"]))["note"] == MARKER
