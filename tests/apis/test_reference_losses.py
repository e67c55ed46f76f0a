"""Data that the reference SDK loses, and this one must not; each test is named after one loss.

Sources: cryptography.md §13, wire-protocol.md §9. Shamir's shares: tests/crypto/test_shamir.py.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import Any

import aiohttp
import pytest

from icure_async import Notification, Patient, Property
from icure_async.errors import CryptoError, DecryptionError, NetworkError
from icure_async.sandbox import Sandbox
from icure_async.storage import FileStorage, MemoryKeyStorage, StorageKeyStorage
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import ConnectionLostError, Exchange, Proxy
from tests.support.seeds import Json, add_patient, key_pair_of, stage

ROBB = "e3d39276-5730-4fbc-9069-bb7f99dfde55"


@pytest.fixture
def seed(seed: Json, world: Json) -> Json:
    add_patient(
        seed,
        "pictured",
        {"picture": base64.b64encode(b"\x89PNG picture").decode()},
        autoDelegations={"all": [world["users"]["hcp"]["dataOwnerId"]]},
    )
    seed["entities"]["hcparty"]["hcp-newcomer"] = {
        "id": "hcp-newcomer",
        "lastName": "Snow",
        "publicKey": key_pair_of(world, "arya").public_key,
    }
    ned = seed["entities"]["user"][world["users"]["ned"]["userId"]]
    ned["autoDelegations"]["all"].append("hcp-newcomer")
    return seed


async def _owner(sandbox: Sandbox, kind: str, owner_id: str) -> Json:
    stored = await sandbox.stored(kind, owner_id)
    assert stored is not None
    return stored


async def test_reopening_with_a_second_key_pair_on_empty_storage_overwrites_exchange_keys(
    world: Json, client_session: aiohttp.ClientSession
) -> None:
    async with Sandbox(seed=stage(world, "2-key-lost"), jwt=False) as sandbox:
        ned_id = world["users"]["ned"]["dataOwnerId"]
        before = await _owner(sandbox, "patient", ned_id)
        opener = Opener(sandbox.icure_url, world, client_session)
        user = world["users"]["nedLost"]
        second_pair = key_pair_of(world, "nedLost")
        for missing_key in ("refuse", "allow"):
            api = await opener.plain(user["login"], user["token"], key_storage=MemoryKeyStorage())
            await api.init_user_crypto(second_pair, missing_key=missing_key)
            assert await _owner(sandbox, "patient", ned_id) == before
        (after_id,) = (
            patient["id"]
            for patient in world["stages"]["2-key-lost"]["entities"]["patient"].values()
            if patient["firstName"] == "After"
        )
        # Records encrypted under those exchange keys are readable still, for the delegate too.
        for reader in (api, await opener.golden("hcp")):
            assert (await reader.patient_api.get_patient(after_id)).note


async def test_an_entity_whose_decryption_failed_loses_its_note_when_it_is_saved(
    world: Json, client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    document = seed["entities"]["patient"][ROBB]
    damaged = bytearray(base64.b64decode(document["encryptedSelf"]))
    damaged[20] ^= 1
    document["encryptedSelf"] = base64.b64encode(damaged).decode()
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        api = await Opener(sandbox.icure_url, world, client_session).golden("ned")
        with pytest.raises(DecryptionError):
            await api.patient_api.get_patient(ROBB)
        tried = await api.patient_api.get_patient_and_try_decrypt(ROBB)
        assert not isinstance(tried, Patient)
        with pytest.raises(CryptoError):
            await api.patient_api.create_or_modify_patient(
                Patient.from_dict(tried.to_dict() | {"note": "overwritten"})
            )
        await api.patient_api.modify_potentially_encrypted_patient(tried)
        assert (await _owner(sandbox, "patient", ROBB))["encryptedSelf"] == (
            document["encryptedSelf"]
        )


async def test_rows_read_together_are_never_decrypted(opener: Opener) -> None:
    ned = await opener.golden("ned")
    (row,) = await ned.patient_api.get_patients([ROBB])
    assert row.note
    row.nationality = "be"
    await ned.patient_api.create_or_modify_patient(row)
    assert (await ned.patient_api.get_patient(ROBB)).note == row.note


async def test_filtered_rows_are_never_decrypted(opener: Opener, world: Json) -> None:
    ned, hcp = await opener.golden("ned"), await opener.golden("hcp")
    await ned.notification_api.create_or_modify_notification(
        Notification(type="OTHER", properties=[Property(id="said")]),
        world["users"]["hcp"]["dataOwnerId"],
    )
    for listed in (
        [row async for row in hcp.notification_api.filter_notifications()],
        await hcp.notification_api.get_pending_notifications_after(),
    ):
        (row,) = listed
        assert isinstance(row, Notification)
        assert [said.id for said in row.properties or []] == ["said"]
    # Saving a row erases nothing.
    assert isinstance(row, Notification)
    row.status = "completed"
    await hcp.notification_api.create_or_modify_notification(row)
    read = await ned.notification_api.get_notification(str(row.id))
    assert (read.status, [said.id for said in read.properties or []]) == ("completed", ["said"])


async def test_the_conversion_of_legacy_keys_drops_delegates(
    world: Json, client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    ned_id, hcp_id, arya_id = (
        world["users"][name]["dataOwnerId"] for name in ("ned", "hcp", "arya")
    )
    document = seed["entities"]["patient"][ned_id]
    # As it was before aesExchangeKeys existed.
    document["aesExchangeKeys"] = {}
    legacy = {name: list(pair) for name, pair in document["hcPartyKeys"].items()}
    assert legacy.keys() == {ned_id, hcp_id}
    seed["entities"]["user"][world["users"]["ned"]["userId"]]["autoDelegations"] = {
        "all": [hcp_id, "hcp-newcomer"]
    }
    seed["entities"]["hcparty"]["hcp-newcomer"] = {
        "id": "hcp-newcomer",
        "lastName": "Snow",
        "publicKey": key_pair_of(world, "arya").public_key,
    }
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, world, client_session)
        ned = await opener.golden("ned")
        await ned.patient_api.create_or_modify_patient(Patient(first_name="Bran", note="n"))
        after = await _owner(sandbox, "patient", ned_id)
        assert {name: after["hcPartyKeys"][name] for name in legacy} == legacy
        assert "hcp-newcomer" in next(iter(after["aesExchangeKeys"].values()))
        hcp = await opener.golden("hcp")
        assert (await hcp.patient_api.get_patient(ROBB)).note

        # Giving access back to a legacy key keeps it for the delegate who has nothing else.
        lost = world["users"]["ned"]
        new_device = await opener.plain(lost["login"], lost["token"])
        (pair,) = await new_device.init_user_crypto(missing_key="allow")
        await hcp.data_owner_api.give_access_back_to(ned_id, pair.public_key)
        assert (await new_device.patient_api.get_patient(ROBB)).note
        again = await opener.golden("hcp")
        assert (await again.patient_api.get_patient(ROBB)).note
    assert arya_id not in legacy


async def test_giving_access_back_succeeds_having_given_nothing_with_a_second_key(
    opener: Opener, world: Json
) -> None:
    ned_user, hcp_user = world["users"]["ned"], world["users"]["hcp"]
    helper = await opener.plain(hcp_user["login"], hcp_user["token"])
    await helper.init_user_crypto(key_pair_of(world, "hcp"))
    # The helper's second key, which is not in the memory of the first device.
    elsewhere = await opener.plain(hcp_user["login"], hcp_user["token"])
    await elsewhere.init_user_crypto(missing_key="allow")
    ned = await opener.plain(ned_user["login"], ned_user["token"])
    (pair,) = await ned.init_user_crypto(missing_key="allow")
    given = await helper.data_owner_api.give_access_back_to(
        ned_user["dataOwnerId"], pair.public_key
    )
    assert given.given > 0
    assert (await ned.patient_api.get_patient(ROBB)).note


@pytest.mark.parametrize("failure", ["lost", "conflict"])
async def test_a_failed_write_stays_in_the_cache(
    failure: str, opener: Opener, proxy: Proxy, world: Json
) -> None:
    elsewhere = await opener.golden("ned")

    async def fail(_: Exchange) -> None:
        if failure == "lost":
            raise ConnectionLostError
        me = await elsewhere.patient_api.get_patient(world["users"]["ned"]["dataOwnerId"])
        await elsewhere.patient_api.create_or_modify_patient(me)

    user = world["users"]["ned"]
    ned = await opener.plain(user["login"], user["token"], url=proxy.url)
    await ned.init_user_crypto(key_pair_of(world, "ned"))
    # To make an exchange key to somebody new.
    proxy.before("PUT /patient", fail)
    with contextlib.suppress(NetworkError):
        await ned.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    # The next call reads what is stored, and works.
    created = await ned.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    assert (await ned.patient_api.get_patient(str(created.id))).note == "n"
    assert len(proxy.sent("PUT /patient")) == 2
    assert "hcp-newcomer" in created.to_dict()["systemMetaData"]["delegations"]


async def test_a_patient_with_a_picture_can_never_finish_a_first_login(
    opener: Opener, sandbox: Sandbox
) -> None:
    api = await opener.plain("pictured")
    await api.init_user_crypto()
    document = await _owner(sandbox, "patient", "patient-pictured")
    assert document["delegations"].keys() >= {"patient-pictured"}
    assert (await api.patient_api.get_patient("patient-pictured")).picture == b"\x89PNG picture"


async def test_a_key_is_stored_under_a_name_that_is_never_looked_up(
    opener: Opener, world: Json, tmp_path: Any
) -> None:
    ned_id, pair = world["users"]["ned"]["dataOwnerId"], key_pair_of(world, "ned")
    for prefix in ("", "org.taktik.icure.rsa."):
        storage = FileStorage(tmp_path / f"as {prefix}")
        ours = StorageKeyStorage(FileStorage(tmp_path / "ours"))
        await ours.store_key_pair(ned_id, pair)
        text = await FileStorage(tmp_path / "ours").get_item(f"{ned_id}.{pair.fingerprint}")
        assert text is not None
        await storage.set_item(f"{prefix}{ned_id}.{pair.fingerprint}", text)
        user = world["users"]["ned"]
        api = await opener.plain(
            user["login"], user["token"], key_storage=StorageKeyStorage(storage)
        )
        assert await api.init_user_crypto() == [pair]


async def test_two_clicks_make_two_keys(opener: Opener, sandbox: Sandbox) -> None:
    keys = MemoryKeyStorage()
    clicks = [await opener.plain("pictured", key_storage=keys) for _ in range(2)]
    first, second = await asyncio.gather(*(click.init_user_crypto() for click in clicks))
    document = await _owner(sandbox, "patient", "patient-pictured")
    assert document["aesExchangeKeys"].keys() == {document["publicKey"]}
    assert first == second
    assert [pair.public_key for pair in first] == [document["publicKey"]]


async def test_a_half_initialised_patient_is_never_repaired(
    world: Json, client_session: aiohttp.ClientSession
) -> None:
    seed = stage(world)
    hcp_id = world["users"]["hcp"]["dataOwnerId"]
    pair = key_pair_of(world, "nedLost")
    patient_id = add_patient(
        seed, "half", {"publicKey": pair.public_key}, autoDelegations={"all": [hcp_id]}
    )
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        api = await Opener(sandbox.icure_url, world, client_session).plain("half")
        await api.init_user_crypto(pair)
        document = await _owner(sandbox, "patient", patient_id)
        assert document["delegations"].keys() == {patient_id, hcp_id}
        assert document["encryptionKeys"].keys() == {patient_id, hcp_id}
