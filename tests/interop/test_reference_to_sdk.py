"""Records of the reference: our SDK reads and modifies them, and the reference reads them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from icure_async import KeyPair, Patient
from icure_async.errors import DecryptionError
from tests.support.notes import LONE_SURROGATES, MARKER, NOTES
from tests.support.our_sdk import sdk
from tests.support.reference_steps import (
    assert_encrypted,
    log_in_as_master,
    register_with_reference,
    stored_patient,
)

if TYPE_CHECKING:
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import ReferenceKeyPair, ReferenceSdk, StartReference

pytestmark = pytest.mark.interop

PHONE = "+32588235595"


def ours(pair: ReferenceKeyPair) -> KeyPair:
    return KeyPair(pair.public_key, pair.private_key)


@pytest.mark.parametrize("professional", [False, True], ids=["patient", "professional"])
async def test_a_patient_is_read_and_modified_by_both(
    sandbox: Sandbox, reference: ReferenceSdk, professional: bool
) -> None:
    user = await register_with_reference(reference, sandbox, PHONE, professional=professional)
    created = await reference.create_patient(
        firstName="Robb", lastName="Stark", gender="male", note=MARKER
    )
    async with sdk(sandbox, user.login, user.token) as api:
        await api.init_user_crypto(ours(user.key_pair))
        patient = await api.patient_api.get_patient(created["id"])
        assert patient.note == MARKER
        assert (patient.first_name, patient.last_name) == ("Robb", "Stark")
        modified = await api.patient_api.create_or_modify_patient(
            attrs.evolve(patient, note="Modified by our SDK")
        )
        assert modified.note == "Modified by our SDK"
        assert (await reference.get_patient(created["id"]))["note"] == "Modified by our SDK"
        stored = await stored_patient(sandbox, created["id"])
        assert "Modified by our SDK" not in str(stored)

    hcp = sandbox.master_hcp
    async with sdk(sandbox, hcp.login, hcp.password) as api:
        await api.init_user_crypto(hcp.key_pair)
        if professional:
            # Unlike a patient, it shares with nobody unasked.
            with pytest.raises(DecryptionError):
                await api.patient_api.get_patient(created["id"])
            return
        assert (await api.patient_api.get_patient(created["id"])).note == "Modified by our SDK"


async def test_notes_arrive_as_they_were_written(sandbox: Sandbox, reference: ReferenceSdk) -> None:
    hcp = sandbox.master_hcp
    await log_in_as_master(reference, sandbox)
    notes = NOTES | {"surrogates": LONE_SURROGATES}
    damaged = []
    async with sdk(sandbox, hcp.login, hcp.password) as api:
        await api.init_user_crypto(hcp.key_pair)
        for name, note in notes.items():
            created = await reference.create_patient(firstName="Bran", lastName="Stark", note=note)
            if (await api.patient_api.get_patient(created["id"])).note != note:
                damaged.append(name)
    assert damaged == []


async def test_our_sdk_changes_nothing_it_was_not_asked_to(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    hcp = sandbox.master_hcp
    await log_in_as_master(reference, sandbox)
    address = {
        "addressType": "home",
        "descr": "Castle",
        "city": "Winterfell",
        "telecoms": [{"telecomType": "mobile", "telecomNumber": "+32588235595"}],
    }
    created = await reference.create_patient(
        firstName="Bran",
        lastName="Stark",
        dateOfBirth=19900203,
        ssin="90020300123",
        addresses=[address],
        note=MARKER,
    )
    before = await stored_patient(sandbox, created["id"])
    async with sdk(sandbox, hcp.login, hcp.password) as api:
        await api.init_user_crypto(hcp.key_pair)
        patient = await api.patient_api.get_patient(created["id"])
        await api.patient_api.create_or_modify_patient(attrs.evolve(patient, note="Other"))
    after = await stored_patient(sandbox, created["id"])
    changing = {"rev", "encryptedSelf", "modified"}
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert (await reference.get_patient(created["id"]))["note"] == "Other"


async def test_the_own_document_of_a_new_patient_user_is_ours_too(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    user = await register_with_reference(reference, sandbox, PHONE)
    async with sdk(sandbox, user.login, user.token) as api:
        await api.init_user_crypto(ours(user.key_pair))
        themselves = await api.patient_api.get_patient(user.data_owner_id)
        assert (themselves.first_name, themselves.last_name) == ("Ned", "Stark")
        await api.patient_api.create_or_modify_patient(attrs.evolve(themselves, note=MARKER))
    assert (await reference.get_patient(user.data_owner_id))["note"] == MARKER
    assert_encrypted(await stored_patient(sandbox, user.data_owner_id))


async def test_our_sdk_goes_on_creating_with_the_keys_of_the_references_user(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    registering = await start_reference()
    user = await register_with_reference(registering, sandbox, PHONE)
    async with sdk(sandbox, user.login, user.token) as api:
        await api.init_user_crypto(ours(user.key_pair))
        patient = await api.patient_api.create_or_modify_patient(
            Patient(first_name="Arya", last_name="Stark", note=MARKER)
        )
    assert patient.id is not None
    assert (await registering.get_patient(patient.id))["note"] == MARKER

    as_hcp = await start_reference()
    await log_in_as_master(as_hcp, sandbox)
    assert (await as_hcp.get_patient(patient.id))["note"] == MARKER


async def test_what_was_not_shared_is_an_error_and_not_an_empty_patient(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    doctor = await start_reference()
    await log_in_as_master(doctor, sandbox)
    created = await doctor.create_patient(firstName="Jon", lastName="Snow", note=MARKER)

    colleague = await start_reference()
    user = await register_with_reference(colleague, sandbox, PHONE, professional=True)
    async with sdk(sandbox, user.login, user.token) as api:
        await api.init_user_crypto(ours(user.key_pair))
        with pytest.raises(DecryptionError) as refusal:
            await api.patient_api.get_patient(created["id"])
    assert created["id"] in str(refusal.value)
    assert MARKER not in str(refusal.value)
