"""People of today's flavour, from their first start on, on the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from icure_async import MedTechApi, Patient
from icure_async.errors import CryptoError
from icure_async.models.key_question import KeyQuestion
from icure_async.sandbox import Sandbox
from icure_async.storage import KeyStorage, MemoryKeyStorage, MemoryStorage
from tests.support.bare_client import Client, basic
from tests.support.builders import builder_for
from tests.support.cardinal_world import CARDINAL, audit
from tests.support.exchange_backend import pairs_of
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


async def test_a_key_is_split_among_notaries_and_put_together_again(
    sandbox: Sandbox, opened: Opener, requests: RequestLog
) -> None:
    notaries = {}
    for login in ("maester", "keyless"):
        notaries[f"hcp-{login}"] = await opened(login)
        await notaries[f"hcp-{login}"].init_user_crypto()
    bran = await opened("bran")
    (pair,) = await bran.init_user_crypto()
    split = await bran.data_owner_api.split_private_key_among(list(notaries), threshold=2)
    assert split.fingerprint == pair.fingerprint
    stored = await sandbox.stored("patient", BRAN)
    assert stored is not None
    assert stored["privateKeyShamirPartitions"].keys() == notaries.keys()
    assert not stored.get("aesExchangeKeys")
    assert stored["publicKeysForOaepWithSha256"] == [pair.public_key]

    shares = [await notary.data_owner_api.get_key_share_of(BRAN) for notary in notaries.values()]
    storage = MemoryKeyStorage()
    new_device = await opened("bran", storage)
    recovered = await new_device.data_owner_api.recover_private_key_from(shares)
    assert recovered == pair
    assert await new_device.init_user_crypto() == [pair]
    assert (await new_device.patient_api.get_patient(BRAN)).note == "seen by a crow"
    # Another time, nothing is in the way.
    await bran.data_owner_api.split_private_key_among(["hcp-maester"])
    report = await bran.data_owner_api.examine_keys()
    assert report.notaries == ("hcp-maester",)
    assert report.problems == []


async def test_a_patient_shares_automatically_with_a_professional_of_today(
    sandbox: Sandbox, opened: Opener
) -> None:
    doctor = await opened("maester")
    api = await opened("alone")
    await api.init_user_crypto()
    with pytest.raises(CryptoError, match="no public key"):
        await api.user_api.share_all_future_data_with([DOCTOR])
    await doctor.init_user_crypto()
    await api.user_api.share_all_future_data_with([DOCTOR])
    created = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    assert (await doctor.patient_api.get_patient(str(created.id))).note == "n"


async def test_an_invited_patient_asks_for_access_and_gets_it(
    sandbox: Sandbox, opened: Opener
) -> None:
    doctor = await opened("maester")
    await doctor.init_user_crypto()
    record = await doctor.patient_api.get_patient("patient-alone")
    record.note = "by the professional"
    await doctor.patient_api.create_or_modify_patient(record)
    api = await opened("alone")
    await api.init_user_crypto()
    (asked,) = await api.data_owner_api.ask_access_to_own_data()
    assert (asked.recipient_id, asked.delivered, asked.problem) == (DOCTOR, True, None)
    (notice,) = await doctor.notification_api.get_pending_notifications_after(0)
    answer = await doctor.data_owner_api.answer_access_request(notice)
    assert answer.access.success
    assert (await api.patient_api.get_patient("patient-alone")).note == "by the professional"


async def test_a_key_that_somebody_planted_is_told_and_not_encrypted_for_under_a_policy(
    sandbox: Sandbox, client_session: aiohttp.ClientSession
) -> None:
    planted = pairs_of("doc2")[0]
    asked: list[KeyQuestion] = []

    async def refuse(question: KeyQuestion) -> bool:
        asked.append(question)
        return False

    attacker = Client(client_session, sandbox.icure_v2_url, basic("maester", PASSWORD))
    storage, state = MemoryKeyStorage(), MemoryStorage()

    async def open_api() -> MedTechApi:
        return await (
            builder_for(sandbox.icure_url, "maester", PASSWORD)
            .with_flavour("cardinal")
            .with_client_session(client_session)
            .with_key_storage(storage)
            .with_storage(state)
            .with_in_memory_keys()
            .with_public_key_policy(refuse)
            .build()
        )

    (pair,) = await (await open_api()).init_user_crypto()
    stub = (await attacker.get(f"/dataowner/stub/{DOCTOR}")).body
    stub["stub"]["publicKeysForOaepWithSha256"].append(planted.public_key)
    assert (await attacker.put("/dataowner/stub", stub)).status == 200

    api = await open_api()
    assert await api.init_user_crypto() == [pair]
    assert [key.public_key for key in api.unknown_public_keys] == [planted.public_key]
    await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    (data,) = [
        one
        for one in (await sandbox.export())["entities"]["exchangedata"].values()
        if one["delegator"] == DOCTOR
    ]
    assert data["exchangeKey"].keys() == {pair.fingerprint[:22]}
    # Whole keys are asked about.
    assert {question.public_key for question in asked} == {planted.public_key}
