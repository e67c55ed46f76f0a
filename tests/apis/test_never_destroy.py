"""Records that can't be read, left as they are."""

from __future__ import annotations

import base64
from typing import Any

import aiohttp
import pytest

from icure_async import EncryptedPatient, MedTechApi, Patient
from icure_async.errors import ConflictError, CryptoError, DecryptionError, ValidationError
from icure_async.sandbox import Sandbox
from tests.support.golden_sandbox import Opener
from tests.support.request_log import RequestLog
from tests.support.seeds import add_hcp, add_patient, stage

ROBB_ID = "e3d39276-5730-4fbc-9069-bb7f99dfde55"


@pytest.fixture
async def stranger(opener: Opener, sandbox: Sandbox) -> MedTechApi:
    """A professional who may change every document, and can decrypt none of the golden ones."""
    master = sandbox.master_hcp
    api = await opener.plain(master.login, master.password)
    await api.init_user_crypto(master.key_pair)
    return api


async def test_an_unreadable_patient_is_not_overwritten(
    stranger: MedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    before = await sandbox.stored("patient", ROBB_ID)
    assert before is not None
    tried = await stranger.patient_api.get_patient_and_try_decrypt(ROBB_ID)
    assert isinstance(tried, EncryptedPatient)
    requests.take()

    with pytest.raises(ValidationError, match="modify_potentially_encrypted_patient"):
        await stranger.patient_api.create_or_modify_patient(tried)  # type: ignore[arg-type]
    assert requests.take() == []
    disguised = Patient.from_dict(tried.to_dict())
    by_hand = Patient(id=ROBB_ID, rev=tried.rev, first_name="Robb", note="overwritten")
    for patient in (disguised, by_hand):
        with pytest.raises(DecryptionError) as caught:
            await stranger.patient_api.create_or_modify_patient(patient)
        assert caught.value.entity_ids == (ROBB_ID,)
    with pytest.raises(DecryptionError):
        await stranger.patient_api.modify_potentially_encrypted_patient(by_hand)
    assert {line.split()[0] for line in requests.take()} == {"GET"}
    assert await sandbox.stored("patient", ROBB_ID) == before


async def test_the_clear_part_of_an_unreadable_patient_can_be_changed(
    stranger: MedTechApi, opener: Opener, sandbox: Sandbox, requests: RequestLog
) -> None:
    before = await sandbox.stored("patient", ROBB_ID)
    assert before is not None
    tried = await stranger.patient_api.get_patient_and_try_decrypt(ROBB_ID)
    tried.profession = "king"
    saved = await stranger.patient_api.modify_potentially_encrypted_patient(tried)
    assert isinstance(saved, EncryptedPatient)
    assert saved.profession == "king"
    after = await sandbox.stored("patient", ROBB_ID)
    assert after is not None
    for member in ("encryptedSelf", "delegations", "encryptionKeys"):
        assert _without_defaults(after[member]) == before[member]

    through_json = EncryptedPatient.from_dict(saved.to_dict())
    through_json.profession = "king in the north"
    await stranger.patient_api.modify_potentially_encrypted_patient(through_json)
    ned = await opener.golden("ned")
    read = await ned.patient_api.get_patient(ROBB_ID)
    assert (read.profession, read.note) == ("king in the north", "You must keep one's head")

    requests.take()
    saved.note = "overwritten"
    with pytest.raises(DecryptionError, match="note") as caught:
        await stranger.patient_api.modify_potentially_encrypted_patient(saved)
    assert caught.value.entity_ids == (ROBB_ID,)
    assert requests.take() == []


async def test_a_patient_that_has_become_readable_keeps_its_note(
    opener: Opener, world: dict[str, Any]
) -> None:
    """The object says that its note is unknown, even if the keys could open it by now."""
    user = world["users"]["ned"]
    api = await opener.plain(user["login"], user["token"])
    tried = await api.patient_api.get_patient_and_try_decrypt(ROBB_ID)
    assert isinstance(tried, EncryptedPatient)
    with_keys = await opener.golden("ned")
    tried.profession = "king"
    saved = await with_keys.patient_api.modify_potentially_encrypted_patient(tried)
    assert isinstance(saved, Patient)
    assert (saved.profession, saved.note) == ("king", "You must keep one's head")


async def test_a_readable_patient_is_modified_by_either_method(
    opener: Opener, requests: RequestLog
) -> None:
    api = await opener.golden("ned")
    patient = await api.patient_api.get_patient(ROBB_ID)
    patient.note = "changed"
    saved = await api.patient_api.modify_potentially_encrypted_patient(patient)
    assert saved.note == "changed"
    saved.note = None
    saved = await api.patient_api.modify_potentially_encrypted_patient(saved)
    assert isinstance(saved, Patient)
    assert saved.note is None
    requests.take()
    by_hand = Patient.from_dict(saved.to_dict() | {"profession": "king"})
    await api.patient_api.modify_potentially_encrypted_patient(by_hand)
    assert requests.take() == [
        f"GET /rest/v1/patient/{ROBB_ID}",
        "PUT /rest/v1/patient",
    ]


@pytest.mark.parametrize("position", [0, 15, 16, 31, -1])
async def test_damaged_content_is_an_error_and_not_an_empty_note(
    world: dict[str, Any], client_session: aiohttp.ClientSession, position: int
) -> None:
    seed = stage(world)
    document = seed["entities"]["patient"][ROBB_ID]
    content = bytearray(base64.b64decode(document["encryptedSelf"]))
    content[position] ^= 0x80
    document["encryptedSelf"] = base64.b64encode(content).decode()
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        api = await Opener(sandbox.icure_url, world, client_session).golden("ned")
        before = await sandbox.stored("patient", ROBB_ID)
        with pytest.raises(DecryptionError):
            await api.patient_api.get_patient(ROBB_ID)
        tried = await api.patient_api.get_patient_and_try_decrypt(ROBB_ID)
        assert isinstance(tried, EncryptedPatient)
        with pytest.raises(DecryptionError):
            await api.patient_api.create_or_modify_patient(Patient.from_dict(tried.to_dict()))
        assert await sandbox.stored("patient", ROBB_ID) == before


async def test_keys_without_content_are_not_replaced_by_a_stranger(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    """A document that has entity keys, and nothing encrypted with them yet."""
    seed = stage(world)
    del seed["entities"]["patient"][ROBB_ID]["encryptedSelf"]
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        master = sandbox.master_hcp
        stranger = await opener.plain(master.login, master.password)
        await stranger.init_user_crypto(master.key_pair)
        patient = await stranger.patient_api.get_patient(ROBB_ID)
        before = await sandbox.stored("patient", ROBB_ID)
        for save in (
            stranger.patient_api.create_or_modify_patient,
            stranger.patient_api.modify_potentially_encrypted_patient,
        ):
            with pytest.raises(DecryptionError):
                await save(patient.evolve(note="mine"))
        assert await sandbox.stored("patient", ROBB_ID) == before

        patient.profession = "king"
        with pytest.raises(DecryptionError):
            await stranger.patient_api.create_or_modify_patient(patient)
        await stranger.patient_api.modify_potentially_encrypted_patient(patient)
        ned = await opener.golden("ned")
        read = await ned.patient_api.get_patient(ROBB_ID)
        read.note = "ned has the key"
        await ned.patient_api.create_or_modify_patient(read)
        hcp = await opener.golden("hcp")
        found = await hcp.patient_api.get_patient(ROBB_ID)
        assert (found.profession, found.note) == ("king", "ned has the key")


async def test_keys_and_delegations_survive_a_patient_without_metadata(
    opener: Opener, sandbox: Sandbox, world: dict[str, Any]
) -> None:
    api = await opener.golden("ned")
    own_id = world["users"]["ned"]["dataOwnerId"]
    for patient_id in (ROBB_ID, own_id):
        patient = await api.patient_api.get_patient(patient_id)
        before = await sandbox.stored("patient", patient_id)
        assert before is not None
        patient.system_meta_data = None
        patient.profession = "king"
        await api.patient_api.create_or_modify_patient(patient)
        after = await sandbox.stored("patient", patient_id)
        assert after is not None
        for member in ("delegations", "encryptionKeys", "aesExchangeKeys", "publicKey"):
            assert _without_defaults(after.get(member) or None) == before.get(member)
    hcp = await opener.golden("hcp")
    assert (await hcp.patient_api.get_patient(ROBB_ID)).note == "You must keep one's head"


class TestBeforeInitUserCrypto:
    @pytest.fixture
    def seed(self, seed: dict[str, Any]) -> dict[str, Any]:
        add_hcp(seed, "new-hcp")
        add_patient(seed, "bran")
        return seed

    @pytest.mark.parametrize("login", ["new-hcp", "bran"])
    async def test_nothing_is_created_that_nobody_could_read(
        self, opener: Opener, login: str, requests: RequestLog
    ) -> None:
        """A user without published key, who shares with nobody."""
        api = await opener.plain(login)
        with pytest.raises(CryptoError, match="init_user_crypto"):
            await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="lost"))
        assert "POST /rest/v1/patient" not in requests.take()

    async def test_a_user_with_keys_is_told_as_well(
        self, opener: Opener, world: dict[str, Any], requests: RequestLog
    ) -> None:
        user = world["users"]["ned"]
        api = await opener.plain(user["login"], user["token"])
        with pytest.raises(CryptoError, match="init_user_crypto"):
            await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="lost"))
        with pytest.raises(CryptoError, match="init_user_crypto"):
            await api.patient_api.get_patient(ROBB_ID)
        assert "POST /rest/v1/patient" not in requests.take()


async def test_an_own_public_key_that_is_malformed_is_not_written_with(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    """Leaving it out would leave the user without access to what it creates."""
    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    bad = add_hcp(seed, "bad", autoDelegations={"all": [hcp_id]})
    seed["entities"]["hcparty"][bad]["publicKey"] = "ab" * 294
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        api = await Opener(sandbox.icure_url, world, client_session).plain("bad")
        with pytest.raises(CryptoError):
            await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="lost"))


async def test_a_delegate_with_a_malformed_public_key_is_left_out(
    world: dict[str, Any],
    client_session: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seed = stage(world)
    bad = add_hcp(seed, "bad")
    seed["entities"]["hcparty"][bad]["publicKey"] = "ab" * 294
    user = seed["entities"]["user"][world["users"]["ned"]["userId"]]
    user["autoDelegations"] = {"all": [bad], "medicalInformation": ["x"]}
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        api = await Opener(sandbox.icure_url, world, client_session).golden("ned")
        created = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
        assert created.system_meta_data is not None
        assert created.system_meta_data.encryption_keys.keys() == {
            world["users"]["ned"]["dataOwnerId"]
        }
        assert (await api.patient_api.get_patient(str(created.id))).note == "n"
    assert f"A public key of data owner {bad} is malformed" in caplog.text


async def test_an_exchange_key_nobody_here_can_open_is_not_replaced(
    world: dict[str, Any], client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    ned_id = world["users"]["ned"]["dataOwnerId"]
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    document = seed["entities"]["patient"][ned_id]
    (by_delegate,) = document["aesExchangeKeys"].values()
    for fingerprint in by_delegate[hcp_id]:
        by_delegate[hcp_id][fingerprint] = "00" * 256
    del document["hcPartyKeys"]
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        api = await Opener(sandbox.icure_url, world, client_session).golden("ned")
        before = await sandbox.stored("patient", ned_id)
        with pytest.raises(CryptoError, match="Nothing was changed"):
            await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
        assert await sandbox.stored("patient", ned_id) == before


async def test_a_stale_revision_is_a_conflict_even_by_hand(opener: Opener) -> None:
    api = await opener.golden("ned")
    read = await api.patient_api.get_patient(ROBB_ID)
    await api.patient_api.create_or_modify_patient(read)
    by_hand = Patient.from_dict(read.to_dict() | {"note": "late"})
    for save in (
        api.patient_api.create_or_modify_patient,
        api.patient_api.modify_potentially_encrypted_patient,
    ):
        with pytest.raises(ConflictError, match=ROBB_ID):
            await save(by_hand)
    assert (await api.patient_api.get_patient(ROBB_ID)).note == "You must keep one's head"


def _without_defaults(member: Any) -> Any:
    """Stored delegations without the empty tags a server completes."""
    if isinstance(member, dict):
        return {
            name: _without_defaults(value)
            for name, value in member.items()
            if (name, value) != ("tags", [])
        }
    return [_without_defaults(item) for item in member] if isinstance(member, list) else member
