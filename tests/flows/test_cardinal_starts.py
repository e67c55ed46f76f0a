"""People of today's flavour, from their first start on, on the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from icure_async import MedTechApi, Patient
from icure_async.sandbox import Sandbox
from icure_async.storage import KeyStorage, MemoryKeyStorage
from tests.support.builders import builder_for
from tests.support.cardinal_world import CARDINAL, audit
from tests.support.request_log import RequestLog
from tests.support.seeds import PASSWORD, add_hcp, add_patient, stage

DOCTOR = "hcp-maester"
BRAN = "patient-bran"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    seed = stage(CARDINAL, "1-explicit")
    add_hcp(seed, "maester")
    add_patient(
        seed, "bran", {"note": "seen by a crow"}, autoDelegations={"all": [DOCTOR, "hcp-keyless"]}
    )
    add_patient(seed, "alone")
    add_hcp(seed, "keyless")
    async with Sandbox(seed=seed) as running:
        yield running


class Opener:
    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self._sandbox = sandbox
        self._session = session

    async def __call__(self, login: str, key_storage: KeyStorage | None = None) -> MedTechApi:
        return await (
            builder_for(self._sandbox.icure_url, login, PASSWORD)
            .with_flavour("cardinal")
            .with_client_session(self._session)
            .with_key_storage(key_storage or MemoryKeyStorage())
            .with_in_memory_keys()
            .build()
        )


@pytest.fixture
def opened(sandbox: Sandbox, client_session: aiohttp.ClientSession) -> Opener:
    return Opener(sandbox, client_session)


async def test_a_patient_and_her_professional_read_her_record_from_her_first_start_on(
    sandbox: Sandbox, opened: Opener, requests: RequestLog
) -> None:
    doctor = await opened("maester")
    (doctors_pair,) = await doctor.init_user_crypto()
    storage = MemoryKeyStorage()
    bran = await opened("bran", storage)
    (pair,) = await bran.init_user_crypto()
    stored = await sandbox.stored("patient", BRAN)
    assert stored is not None
    assert stored["publicKeysForOaepWithSha256"] == [pair.public_key]
    assert "crow" not in str(stored)
    assert len(stored["securityMetadata"]["secureDelegations"]) == 2
    for api in (bran, doctor):
        assert (await api.patient_api.get_patient(BRAN)).note == "seen by a crow"
    entities = (await sandbox.export())["entities"]
    assert audit(entities, [pair.private_key, doctors_pair.private_key]).problems == []

    requests.take()
    again = await opened("bran", storage)
    assert await again.init_user_crypto() == [pair]
    assert len(requests.take()) <= 4
    own = await again.patient_api.get_patient(BRAN)
    # The pages of her exchange data, and the record.
    assert requests.take() == [
        f"GET /rest/v2/exchangedata/byParticipant/{BRAN}",
        f"GET /rest/v2/patient/{BRAN}",
    ]
    own.note = "changed"
    await again.patient_api.create_or_modify_patient(own)
    assert (await doctor.patient_api.get_patient(BRAN)).note == "changed"
    stored = await sandbox.stored("patient", BRAN)
    await again.init_user_crypto()
    assert await sandbox.stored("patient", BRAN) == stored


async def test_a_person_who_shares_with_nobody_is_told(opened: Opener) -> None:
    api = await opened("alone")
    await api.init_user_crypto()
    assert any("Nobody but this user" in warning for warning in api.warnings)
    created = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    assert (await api.patient_api.get_patient(str(created.id))).note == "n"


async def test_an_invited_patient_is_told_that_nothing_opens_yet(
    sandbox: Sandbox, opened: Opener
) -> None:
    doctor = await opened("maester")
    await doctor.init_user_crypto()
    record = await doctor.patient_api.get_patient("patient-alone")
    record.note = "by the professional"
    await doctor.patient_api.create_or_modify_patient(record)
    before = await sandbox.stored("patient", "patient-alone")
    assert before is not None
    assert before.get("securityMetadata")
    api = await opened("alone")
    (pair,) = await api.init_user_crypto()
    after = await sandbox.stored("patient", "patient-alone")
    assert after is not None
    assert after["publicKeysForOaepWithSha256"] == [pair.public_key]
    assert after["securityMetadata"] == before["securityMetadata"]
    assert after["encryptedSelf"] == before["encryptedSelf"]
    assert any("give_access_back_to" in warning for warning in api.warnings)
