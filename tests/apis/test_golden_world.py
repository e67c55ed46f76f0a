"""Everything the reference wrote is read, and nothing that it could not read is made up."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from icure_async import EncryptedPatient, KeyPair, Patient
from icure_async.errors import DecryptionError
from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD
from tests.support.golden_sandbox import Opener
from tests.support.seeds import key_pair_of, stage

_READERS = sorted({(entry["stage"], entry["reader"]) for entry in WORLD["expected"]})


@pytest.mark.parametrize(("stage_name", "reader"), _READERS)
async def test_every_reader_reads_what_is_expected(
    world: dict[str, Any],
    client_session: aiohttp.ClientSession,
    stage_name: str,
    reader: str,
) -> None:
    expected = {
        entry["patientId"]: entry["fields"]
        for entry in world["expected"]
        if (entry["stage"], entry["reader"]) == (stage_name, reader)
    }
    readable = [patient_id for patient_id, fields in expected.items() if fields is not None]
    unreadable = [patient_id for patient_id, fields in expected.items() if fields is None]
    if stage_name == "1-shared":
        assert not unreadable
    async with Sandbox(seed=stage(world, stage_name), jwt=False) as sandbox:
        api = await Opener(sandbox.icure_url, world, client_session).golden(reader)
        patients = api.patient_api

        for patient_id in readable:
            read = (await patients.get_patient(patient_id)).to_dict()
            fields = expected[patient_id]
            assert {name: read.get(name) for name in fields} == fields
            assert ("note" in read) == ("note" in fields)
        many = await patients.get_patients(readable)
        assert [patient.id for patient in many] == readable
        assert [patient.note for patient in many] == [
            expected[patient_id].get("note") for patient_id in readable
        ]

        for patient_id in unreadable:
            with pytest.raises(DecryptionError) as caught:
                await patients.get_patient(patient_id)
            assert caught.value.entity_ids == (patient_id,)
            assert caught.value.entity_type == "patient"
            tried = await patients.get_patient_and_try_decrypt(patient_id)
            assert isinstance(tried, EncryptedPatient)
            assert tried.note is None
        if unreadable:
            with pytest.raises(DecryptionError) as caught:
                await patients.get_patients([*readable, *unreadable])
            assert caught.value.entity_ids == tuple(unreadable)
            tried_many = await patients.get_patients_and_try_decrypt([*readable, *unreadable])
            assert [type(patient) for patient in tried_many] == [
                *[Patient for _ in readable],
                *[EncryptedPatient for _ in unreadable],
            ]


async def test_the_second_key_pair_is_recognised_though_it_is_not_the_public_key(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world, "2-key-lost")
    ned_id = world["users"]["ned"]["dataOwnerId"]
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        before = await sandbox.stored("patient", ned_id)
        api = await Opener(sandbox.icure_url, world, client_session).golden("nedLost")
        assert await api.init_user_crypto() == [key_pair_of(world, "nedLost")]
        assert before is not None
        assert before["publicKey"] != key_pair_of(world, "nedLost").public_key
        assert await sandbox.stored("patient", ned_id) == before


async def test_writing_with_both_key_pairs_lost_and_new_goes_on(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    """The professional with whom the user shares reads records that the new device wrote."""
    async with Sandbox(seed=stage(world, "3-access-given-back"), jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        api = await opener.golden("nedLost")
        created = await api.patient_api.create_or_modify_patient(
            Patient(first_name="Rickon", last_name="Stark", note="new device")
        )
        patient_id = "e3d39276-5730-4fbc-9069-bb7f99dfde55"
        old = await api.patient_api.get_patient(patient_id)
        old.note = "changed with the new key"
        await api.patient_api.create_or_modify_patient(old)

        hcp = await opener.golden("hcp")
        assert (await hcp.patient_api.get_patient(str(created.id))).note == "new device"
        assert (await hcp.patient_api.get_patient(patient_id)).note == "changed with the new key"
        with_old_key = await opener.plain(
            world["users"]["nedLost"]["login"], world["users"]["nedLost"]["token"]
        )
        old_pair = world["users"]["ned"]["keyPairs"][0]
        await with_old_key.init_user_crypto(KeyPair(old_pair["publicKey"], old_pair["privateKey"]))
        assert (await with_old_key.patient_api.get_patient(patient_id)).note == (
            "changed with the new key"
        )
