"""Losing a key in today's flavour: notices, access given back, transfer keys and recovery keys."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import pytest

from icure_async import KeyPair, MedTechApi, Notification, Patient, RecoveryKey
from icure_async.crypto.exchange_data import EncryptionKey, new_exchange_data
from icure_async.crypto.key_ring import KeyRing
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import (
    CryptoError,
    DecryptionError,
    KeyPairNotFoundError,
    NotFoundError,
    ValidationError,
)
from icure_async.models.key_pair import fingerprint_v2
from icure_async.models.key_question import KeyQuestion
from icure_async.models.missing_key import MissingKey
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage
from tests.support.builders import builder_for
from tests.support.cardinal_world import (
    CARDINAL,
    Reader,
    aes_open,
    audit,
    fields_of,
    pair_of,
    rsa_open,
)
from tests.support.exchange_backend import pairs_of
from tests.support.request_log import RequestLog
from tests.support.seeds import PASSWORD, Json, add_hcp, add_patient, stage

DOCTOR, COLLEAGUE, BRAN = "hcp-maester", "hcp-samwell", "patient-bran"
TODAYS = "publicKeysForOaepWithSha256"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    seed = stage(CARDINAL, "1-explicit")
    for login in ("maester", "samwell"):
        add_hcp(seed, login)
    add_patient(seed, "bran", {"note": "seen by a crow"})
    async with Sandbox(seed=seed) as running:
        yield running


class People:
    """The users of a sandbox, each with as many devices as wanted.

    Attributes:
        pairs: all key pairs that were in use.
    """

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self._sandbox = sandbox
        self._session = session
        self.pairs: dict[str, KeyPair] = {}

    async def open(
        self,
        login: str,
        *pairs: KeyPair,
        password: str = PASSWORD,
        owner_id: str = "",
        policy: Any = None,
    ) -> MedTechApi:
        """Open an API object on a device with these key pairs."""
        storage = MemoryKeyStorage()
        for pair in pairs:
            await storage.store_key_pair(owner_id, pair)
        builder = (
            builder_for(self._sandbox.icure_url, login, password)
            .with_flavour("cardinal")
            .with_client_session(self._session)
            .with_key_storage(storage)
            .with_in_memory_keys()
        )
        if policy is not None:
            builder = builder.with_public_key_policy(policy)
        return await builder.build()

    async def start(self, login: str, *pairs: KeyPair, **options: Any) -> MedTechApi:
        """Open an API object, and put its key pairs to use."""
        owner_id = BRAN if login == "bran" else f"hcp-{login}"
        how = {
            name: options.pop(name) for name in ("missing_key", "recovery_key") if name in options
        }
        api = await self.open(login, *pairs, owner_id=owner_id, **options)
        self.pairs |= {pair.fingerprint: pair for pair in await api.init_user_crypto(**how)}
        return api

    def newest(self) -> KeyPair:
        return list(self.pairs.values())[-1]

    async def audit(self) -> None:
        """Hold everything in the database against the rules."""
        entities = (await self._sandbox.export())["entities"]
        keys = [pair.private_key for pair in self.pairs.values()]
        found = audit(entities, keys)
        assert found.problems == []
        assert found.unverified == set()
        assert found.lagging == set()


@pytest.fixture
def people(sandbox: Sandbox, client_session: aiohttp.ClientSession) -> People:
    return People(sandbox, client_session)


async def written(api: MedTechApi, note: str, *readers: str) -> str:
    patient = await api.patient_api.create_or_modify_patient(
        Patient(first_name="Robb", last_name="Stark", note=note)
    )
    for reader in readers:
        await api.patient_api.give_access_to(patient, reader)
    return str(patient.id)


async def note_of(api: MedTechApi, patient_id: str) -> str | None:
    try:
        return (await api.patient_api.get_patient(patient_id)).note
    except DecryptionError:
        return None


async def update_for(api: MedTechApi) -> tuple[str, str]:
    """Return the arguments of giving access back that the newest notification names."""
    notifications = await api.notification_api.get_pending_notifications_after(0)
    updates = [
        update
        for one in notifications
        if isinstance(one, Notification) and (update := one.key_pair_update) is not None
    ]
    return updates[-1].data_owner_id, updates[-1].public_key


def writes_in(lines: Sequence[str]) -> list[str]:
    reads = ("/byIds", "/exchangedatamap/batch", "/filter", "/auth/", "/match")
    return [
        line
        for line in lines
        if line.startswith(("PUT", "POST", "DELETE"))
        and not (line.startswith("POST") and any(part in line for part in reads))
    ]


# --- Notices and access given back ----------------------------------------------------------------


async def test_a_professional_reads_again_what_others_give_back(
    people: People, sandbox: Sandbox, requests: RequestLog
) -> None:
    doctor = await people.start("maester")
    old = people.newest()
    colleague, bran = await people.start("samwell"), await people.start("bran")
    bran_pair = people.newest()
    shared = await written(doctor, "shared with a colleague", COLLEAGUE)
    alone = await written(doctor, "shared with nobody")
    own_record = await bran.patient_api.get_patient(BRAN)
    await bran.patient_api.give_access_to(own_record, DOCTOR)
    by_bran = await written(bran, "by a patient", DOCTOR)

    with pytest.raises(KeyPairNotFoundError, match="recovery key"):
        await people.start("maester")
    doctor = await people.start("maester", missing_key="allow")
    new = people.newest()
    stored = await sandbox.stored("hcparty", DOCTOR)
    assert stored is not None
    assert stored[TODAYS] == [old.public_key, new.public_key]
    assert not stored.get("publicKey")
    assert not stored.get("aesExchangeKeys")
    assert not stored.get("transferKeys")
    told = {notice.recipient_id: notice.delivered for notice in doctor.key_notices}
    assert told == {DOCTOR: True, COLLEAGUE: True, BRAN: True}
    everything = (shared, alone, BRAN, by_bran)
    assert [await note_of(doctor, one) for one in everything] == [None] * 4
    new_work = await written(doctor, "written without the old key")

    assert await update_for(colleague) == (DOCTOR, new.public_key)
    given = await colleague.data_owner_api.give_access_back_to(*await update_for(colleague))
    assert (given.given, given.present, given.closed) == (1, 1, 0)
    assert [await note_of(doctor, one) for one in everything] == [
        "shared with a colleague", None, None, None,
    ]  # fmt: skip

    bran = await people.start("bran", bran_pair)
    assert await update_for(bran) == (DOCTOR, new.public_key)
    await bran.data_owner_api.give_access_back_to(DOCTOR, new.public_key)
    # The running instance has not been reopened.
    assert [await note_of(doctor, one) for one in everything] == [
        "shared with a colleague", None, "seen by a crow", "by a patient",
    ]  # fmt: skip
    assert await note_of(doctor, new_work) == "written without the old key"
    # A device that has cached nothing finds its way through the maps.
    fresh = await people.start("maester", new)
    assert await note_of(fresh, by_bran) == "by a patient"
    await people.audit()

    requests.take()
    again = await bran.data_owner_api.give_access_back_to(DOCTOR, new.public_key)
    assert (again.given, again.closed) == (0, 0)
    assert writes_in(requests.take()) == []


async def test_a_patient_reads_again_what_a_professional_gives_back(
    people: People, sandbox: Sandbox
) -> None:
    doctor, bran = await people.start("maester"), await people.start("bran")
    own_record = await bran.patient_api.get_patient(BRAN)
    await bran.patient_api.give_access_to(own_record, DOCTOR)
    by_doctor = await written(doctor, "by a professional", BRAN)

    bran = await people.start("bran", missing_key="allow")
    new = people.newest()
    assert {notice.recipient_id for notice in bran.key_notices} == {BRAN, DOCTOR}
    assert all(notice.delivered for notice in bran.key_notices)
    assert await update_for(doctor) == (BRAN, new.public_key)
    await doctor.data_owner_api.give_access_back_to(BRAN, new.public_key)
    bran = await people.start("bran", new)
    assert await note_of(bran, by_doctor) == "by a professional"
    assert await note_of(bran, BRAN) == "seen by a crow"
    await people.audit()


async def test_notices_are_stored_once(people: People, sandbox: Sandbox) -> None:
    doctor = await people.start("maester")
    await people.start("samwell")
    await written(doctor, "shared", COLLEAGUE)
    doctor = await people.start("maester", missing_key="allow")
    before = (await sandbox.export())["entities"]["maintenancetask"]
    assert len(before) == 2
    notices = await doctor.data_owner_api.notify_key_pair_update(people.newest().public_key)
    assert [notice.delivered for notice in notices] == [True, True]
    assert (await sandbox.export())["entities"]["maintenancetask"] == before


async def test_the_users_other_device_gives_everything_back(
    people: People, sandbox: Sandbox
) -> None:
    doctor = await people.start("maester")
    old = people.newest()
    colleague = await people.start("samwell")
    alone = await written(doctor, "shared with nobody")
    by_colleague = await written(colleague, "by a colleague", DOCTOR)
    other = await people.start("maester", missing_key="allow")
    new = people.newest()
    assert await note_of(other, alone) is None

    assert await update_for(doctor) == (DOCTOR, new.public_key)
    await doctor.data_owner_api.give_access_back_to(DOCTOR, new.public_key)
    assert await note_of(other, alone) == "shared with nobody"
    assert await note_of(other, by_colleague) == "by a colleague"
    stored = await sandbox.stored("hcparty", DOCTOR)
    assert stored is not None
    assert stored["transferKeys"].keys() == {new.fingerprint}
    assert stored["transferKeys"][new.fingerprint].keys() == {old.fingerprint}
    # With the transfer key, the new device has the old pair from its next start on.
    again = await people.open("maester", new, owner_id=DOCTOR)
    assert await again.init_user_crypto() == [new, old]
    await people.audit()


async def test_a_key_that_is_not_published_gets_nothing(
    people: People, requests: RequestLog
) -> None:
    doctor = await people.start("maester")
    await people.start("samwell")
    await written(doctor, "shared", COLLEAGUE)
    requests.take()
    with pytest.raises(ValidationError, match="not one of data owner hcp-samwell"):
        await doctor.data_owner_api.give_access_back_to(COLLEAGUE, pairs_of("doc3")[0].public_key)
    assert writes_in(requests.take()) == []


async def test_a_key_that_the_policy_refuses_gets_nothing(
    people: People, requests: RequestLog
) -> None:
    refused: set[str] = set()

    async def policy(question: KeyQuestion) -> bool:
        return question.public_key not in refused

    doctor = await people.start("maester", policy=policy)
    colleague = await people.start("samwell")
    await written(doctor, "shared", COLLEAGUE)
    colleague = await people.start("samwell", missing_key="allow")
    assert colleague.key_notices
    refused.add(people.newest().public_key)
    requests.take()
    with pytest.raises(CryptoError, match="with_public_key_policy"):
        await doctor.data_owner_api.give_access_back_to(COLLEAGUE, people.newest().public_key)
    assert writes_in(requests.take()) == []


async def test_exchange_data_that_is_named_after_somebody_else_is_not_given(
    people: People, sandbox: Sandbox
) -> None:
    """The backend shows exchange data to a colleague as if it were to the one who asks."""
    doctor = await people.start("maester")
    await people.start("samwell")
    await people.start("bran")
    await written(doctor, "shared", COLLEAGUE)
    seed = await sandbox.export()
    for data in seed["entities"]["exchangedata"].values():
        if (data["delegator"], data["delegate"]) == (DOCTOR, COLLEAGUE):
            data["delegate"] = BRAN
    first = next(iter(people.pairs.values()))
    async with Sandbox(seed=seed) as hostile, aiohttp.ClientSession() as session:
        there = People(hostile, session)
        await there.start("bran", missing_key="allow")
        new = there.newest()
        doctor = await there.start("maester", first)
        given = await doctor.data_owner_api.give_access_back_to(BRAN, new.public_key)
        assert (given.given, given.closed) == (0, 1)
        entities = (await hostile.export())["entities"]
        (renamed,) = (
            data
            for data in entities["exchangedata"].values()
            if (data["delegator"], data["delegate"]) == (DOCTOR, BRAN)
        )
        assert fingerprint_v2(new.public_key) not in renamed["exchangeKey"]


# --- Transfer keys --------------------------------------------------------------------------------


async def two_devices(people: People) -> tuple[KeyPair, KeyPair]:
    """Publish two key pairs of the doctor, each on a device of its own."""
    await people.start("maester")
    old = people.newest()
    await people.start("maester", missing_key="allow")
    return old, people.newest()


async def test_two_key_pairs_on_a_device_lead_to_each_other(
    people: People, sandbox: Sandbox, requests: RequestLog
) -> None:
    old, new = await two_devices(people)
    alone = await written(await people.start("maester", old), "with the old key")
    requests.take()
    both = await people.start("maester", old, new)
    assert await note_of(both, alone) == "with the old key"
    stored = await sandbox.stored("hcparty", DOCTOR)
    assert stored is not None
    assert {name: set(inner) for name, inner in stored["transferKeys"].items()} == {
        old.fingerprint: {new.fingerprint},
        new.fingerprint: {old.fingerprint},
    }
    await people.audit()
    for one, other in ((old, new), (new, old)):
        requests.take()
        device = await people.open("maester", one, owner_id=DOCTOR)
        assert await device.init_user_crypto() == [one, other]
        assert writes_in(requests.take()) == []
        assert await note_of(device, alone) == "with the old key"
    # Nothing is written a second time.
    requests.take()
    await people.start("maester", old, new)
    assert writes_in(requests.take()) == []


async def test_a_key_that_is_only_listed_gets_no_transfer_key(
    people: People, sandbox: Sandbox
) -> None:
    old, new = await two_devices(people)
    stranger = pairs_of("doc3")[0]
    seed = await sandbox.export()
    seed["entities"]["hcparty"][DOCTOR][TODAYS].append(stranger.public_key)
    async with Sandbox(seed=seed) as hostile, aiohttp.ClientSession() as session:
        there = People(hostile, session)
        await there.start("maester", old, new)
        stored = await hostile.stored("hcparty", DOCTOR)
        assert stored is not None
        named = {
            *stored["transferKeys"],
            *(n for to in stored["transferKeys"].values() for n in to),
        }
        assert named == {old.fingerprint, new.fingerprint}


def private_keys_in(entities: Json, *known: str) -> set[str]:
    """Return the private keys that transfer keys of the doctor give to the holder of others."""
    exchange_keys = [
        opened[1]
        for pair in map(pair_of, known)
        for data in entities["exchangedata"].values()
        if pair.v2 in data["exchangeKey"]
        and (opened := rsa_open(pair, base64.b64decode(data["exchangeKey"][pair.v2])))
    ]
    ciphertexts = [
        ciphertext
        for by_target in entities["hcparty"][DOCTOR].get("transferKeys", {}).values()
        for ciphertext in by_target.values()
    ]
    opened_keys = (
        aes_open(key, bytes.fromhex(ciphertext))
        for key in exchange_keys
        for ciphertext in ciphertexts
    )
    return {private_key.hex() for private_key in opened_keys if private_key}


async def test_what_opens_transfer_keys_is_not_encrypted_for_a_key_that_is_only_listed(
    people: People, sandbox: Sandbox
) -> None:
    """Records are, where there is no policy; private keys never go under the same key."""
    await people.start("maester")
    old, stranger = people.newest(), pairs_of("doc3")[0]
    seed = await sandbox.export()
    seed["entities"]["hcparty"][DOCTOR][TODAYS].append(stranger.public_key)
    async with Sandbox(seed=seed) as hostile, aiohttp.ClientSession() as session:
        there = People(hostile, session)
        await written(await there.start("maester", old), "with the old key")
        await there.start("maester", missing_key="allow")
        new = there.newest()
        await there.start("maester", old, new)
        entities = (await hostile.export())["entities"]
        assert private_keys_in(entities, old.private_key) >= {new.private_key}
        assert private_keys_in(entities, stranger.private_key) == set()


async def test_a_key_pair_that_came_by_a_transfer_key_gets_none_in_return(
    people: People, sandbox: Sandbox
) -> None:
    """Somebody who writes the stub, and exchange data, makes it lead to a key pair of theirs."""
    old, new = await two_devices(people)
    stranger = pairs_of("doc3")[0]
    seed = await sandbox.export()
    doctor = seed["entities"]["hcparty"][DOCTOR]
    doctor[TODAYS].append(stranger.public_key)
    crypto = SoftwareCrypto()
    thief = KeyRing(crypto)
    await thief.add(stranger)
    keys = [EncryptionKey(pair.public_key, "sha-256") for pair in (stranger, old, new)]
    planted, secrets = await new_exchange_data(crypto, thief, "planted", DOCTOR, DOCTOR, keys, keys)
    seed["entities"]["exchangedata"]["planted"] = planted | {"rev": "1-a"}
    lure = await crypto.aes_encrypt(secrets.exchange_key, bytes.fromhex(stranger.private_key))
    doctor["transferKeys"] = {old.fingerprint: {stranger.fingerprint: lure.hex()}}
    async with Sandbox(seed=seed) as hostile:
        storage = MemoryKeyStorage()
        for pair in (old, new):
            await storage.store_key_pair(DOCTOR, pair)
        for _ in range(2):
            # Nothing but the key pairs outlives a program.
            builder = builder_for(hostile.icure_url, "maester", PASSWORD).with_key_storage(storage)
            async with builder.with_flavour("cardinal").with_in_memory_keys().build() as api:
                for _ in range(2):
                    found = await api.init_user_crypto()
                    assert found == [old, new, stranger]
            entities = (await hostile.export())["entities"]
            stolen = private_keys_in(entities, stranger.private_key)
            assert stolen <= {stranger.private_key}
            assert stranger.fingerprint not in entities["hcparty"][DOCTOR]["transferKeys"]


# --- Recovery keys --------------------------------------------------------------------------------


async def test_a_recovery_key_brings_the_key_pairs_back(
    people: People, sandbox: Sandbox, requests: RequestLog
) -> None:
    doctor = await people.start("maester")
    old = people.newest()
    alone = await written(doctor, "shared with nobody")
    key = await doctor.data_owner_api.create_recovery_key()
    assert key.text not in repr(key)
    (stored,) = (await sandbox.export())["entities"]["recoverydata"].values()
    assert old.private_key not in json.dumps(stored)
    assert key.to_bytes().hex() not in json.dumps(stored)

    requests.take()
    device = await people.start("maester", recovery_key=key.text)
    assert people.pairs.keys() == {old.fingerprint}
    assert writes_in(requests.take()) == []
    assert await note_of(device, alone) == "shared with nobody"
    # It is on the device from then on.
    assert await device.init_user_crypto() == [old]

    await doctor.data_owner_api.revoke_recovery_key(key)
    await doctor.data_owner_api.revoke_recovery_key(key.text)
    with pytest.raises(NotFoundError, match="mistyped, revoked"):
        await people.start("maester", recovery_key=key)


async def test_all_recovery_keys_are_revoked(people: People, sandbox: Sandbox) -> None:
    doctor = await people.start("maester")
    colleague = await people.start("samwell")
    others = await colleague.data_owner_api.create_recovery_key()
    for _ in range(2):
        await doctor.data_owner_api.create_recovery_key()
    await doctor.data_owner_api.revoke_all_recovery_keys()
    assert len((await sandbox.export())["entities"]["recoverydata"]) == 1
    await people.start("samwell", recovery_key=others)


async def test_a_recovery_key_of_another_user_is_refused(people: People) -> None:
    await people.start("maester")
    colleague = await people.start("samwell")
    key = await colleague.data_owner_api.create_recovery_key()
    device = await people.open("maester")
    with pytest.raises((ValidationError, NotFoundError), match="another user"):
        await device.init_user_crypto(recovery_key=key)


async def test_a_recovery_key_that_is_malformed_sends_nothing(
    people: People, requests: RequestLog
) -> None:
    await people.start("maester")
    device = await people.open("maester")
    requests.take()
    for malformed in ("", "secret", "0" * 63, "1" * 52, 7):
        with pytest.raises(ValidationError):
            await device.init_user_crypto(recovery_key=malformed)  # type: ignore[arg-type]
    assert requests.take() == []


async def test_nothing_can_be_recovered_without_a_key_pair_in_use(people: People) -> None:
    device = await people.open("maester")
    with pytest.raises(CryptoError, match="init_user_crypto"):
        await device.data_owner_api.create_recovery_key()


async def test_key_pairs_that_are_not_published_are_not_believed(
    people: People, sandbox: Sandbox
) -> None:
    doctor = await people.start("maester")
    old = people.newest()
    key = await doctor.data_owner_api.create_recovery_key()
    seed = await sandbox.export()
    seed["entities"]["hcparty"][DOCTOR][TODAYS] = [pairs_of("doc3")[0].public_key]
    async with Sandbox(seed=seed) as other, aiohttp.ClientSession() as session:
        device = await People(other, session).open("maester")
        with pytest.raises(ValidationError, match="no published key pair"):
            await device.init_user_crypto(recovery_key=key)
    (data,) = seed["entities"]["recoverydata"].values()
    data["encryptedSelf"] = base64.b64encode(bytes(64)).decode()
    seed["entities"]["hcparty"][DOCTOR][TODAYS] = [old.public_key]
    async with Sandbox(seed=seed) as other, aiohttp.ClientSession() as session:
        device = await People(other, session).open("maester")
        with pytest.raises(DecryptionError, match="damaged"):
            await device.init_user_crypto(recovery_key=key)


# --- The golden world -----------------------------------------------------------------------------


def expected_at(stage_name: str, reader: str) -> dict[str, Json | None]:
    return {
        one["patientId"]: one["fields"]
        for one in CARDINAL["expected"]
        if (one["stage"], one["reader"]) == (stage_name, reader)
    }


async def test_the_recovery_key_of_the_golden_world_brings_everything_back(
    client_session: aiohttp.ClientSession,
) -> None:
    user = CARDINAL["users"]["k-doc1"]
    async with Sandbox(seed=stage(CARDINAL, "k4-recovery")) as sandbox:
        device = await People(sandbox, client_session).open(user["login"], password=user["token"])
        key = RecoveryKey(CARDINAL["meta"]["recoveryKey"]["hex"])
        assert await device.init_user_crypto(recovery_key=key) == pairs_of("k-doc1")
        expected = expected_at("k1-before-loss", "k-doc1")
        assert expected
        for patient_id, fields in expected.items():
            read = await device.patient_api.get_patient(patient_id)
            assert fields is None or read.note == fields["note"]


async def test_a_notice_of_another_client_is_answered(
    client_session: aiohttp.ClientSession,
) -> None:
    """RC.7 lost the key at stage k2; at stage k3 its colleague had given access back."""
    new = pairs_of("k-doc1-new")[0]
    user = CARDINAL["users"]["k-doc2"]
    async with Sandbox(seed=stage(CARDINAL, "k2-key-lost")) as sandbox:
        colleague = await People(sandbox, client_session).open(
            user["login"], *pairs_of("k-doc2"), password=user["token"], owner_id=user["dataOwnerId"]
        )
        await colleague.init_user_crypto()
        assert await update_for(colleague) == (
            CARDINAL["users"]["k-doc1"]["dataOwnerId"], new.public_key,
        )  # fmt: skip
        await colleague.data_owner_api.give_access_back_to(*await update_for(colleague))
        entities = (await sandbox.export())["entities"]
    assert audit(entities, [new.private_key, pairs_of("k-doc2")[0].private_key]).problems == []
    reader = Reader(entities, new.private_key)
    expected = expected_at("k3-access-given-back", "k-doc1-new")
    read_again = 0
    for patient_id, fields in expected.items():
        if fields is None or patient_id not in entities["patient"]:
            continue
        read = reader.read("patient", patient_id)
        if read is not None:
            assert fields_of(read, fields) == fields
            read_again += 1
    assert read_again


# --- People of 2023 -------------------------------------------------------------------------------


async def golden_person(people: People, user: str, *pairs: KeyPair) -> MedTechApi:
    known = CARDINAL["users"][user]
    return await people.open(
        known["login"], *pairs, password=known["token"], owner_id=known["dataOwnerId"]
    )


async def test_exchange_keys_of_2023_are_given_back_to_a_key_of_today(
    client_session: aiohttp.ClientSession,
) -> None:
    ned_id = CARDINAL["users"]["ned"]["dataOwnerId"]
    async with Sandbox(seed=stage(CARDINAL, "legacy-2-cardinal")) as sandbox:
        people = People(sandbox, client_session)
        hcp = await golden_person(people, "hcp", *pairs_of("hcp"))
        await hcp.init_user_crypto()
        ned = await golden_person(people, "ned")
        (new,) = await ned.init_user_crypto(missing_key="allow")
        stored = await sandbox.stored("patient", ned_id)
        assert stored is not None
        assert stored[TODAYS] == [new.public_key]
        assert stored["publicKey"] == pairs_of("ned")[0].public_key
        readable = {
            name: fields
            for name, fields in expected_at("legacy-2-cardinal", "hcp").items()
            if fields is not None and name in expected_at("legacy-2-cardinal", "ned")
        }
        assert readable
        assert [await note_of(ned, name) for name in readable] == [None] * len(readable)

        assert await update_for(hcp) == (ned_id, new.public_key)
        given = await hcp.data_owner_api.give_access_back_to(ned_id, new.public_key)
        assert given.given
        after = await sandbox.stored("patient", ned_id)
        assert after is not None
        # Nothing but the ciphertexts for the new key has been added.
        (level,) = after["aesExchangeKeys"].values()
        (before,) = stored["aesExchangeKeys"].values()
        for delegate, wrapped in before.items():
            assert level[delegate].items() >= wrapped.items()
            assert level[delegate].keys() <= {*wrapped, new.fingerprint}
        fresh = await golden_person(people, "ned", new)
        await fresh.init_user_crypto()
        for name, fields in readable.items():
            for device in (ned, fresh):
                assert await note_of(device, name) == fields["note"]


# --- Other ways in --------------------------------------------------------------------------------


async def test_the_question_for_a_missing_key_is_answered_with_a_recovery_key(
    people: People,
) -> None:
    doctor = await people.start("maester")
    old = people.newest()
    key = await doctor.data_owner_api.create_recovery_key()
    asked: list[str] = []

    async def find_key(question: MissingKey) -> RecoveryKey:
        asked.extend(question.fingerprints)
        return key

    device = await people.open("maester")
    assert await device.init_user_crypto(find_key=find_key) == [old]
    assert asked == [old.fingerprint]


async def test_the_report_tells_which_keys_transfer_keys_lead_to(people: People) -> None:
    old, new = await two_devices(people)
    await people.start("maester", old, new)
    device = await people.open("maester", new, owner_id=DOCTOR)
    report = await device.data_owner_api.examine_keys()
    assert {key.fingerprint: key.status for key in report.keys} == {
        old.fingerprint: "recoverable",
        new.fingerprint: "on_device",
    }
