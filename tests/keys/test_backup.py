"""Backups of a user's own key pairs, on a new device and on the old one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from icure_async import KeyPair, MedTechApi, MissingKey
from icure_async.errors import (
    BackupError,
    DecryptionError,
    KeyPairNotFoundError,
    NetworkError,
    StorageError,
    ValidationError,
)
from icure_async.storage import MemoryKeyStorage
from tests.support.golden_sandbox import Opener, confirm_all
from tests.support.json_proxy import ConnectionLostError, Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, add_patient, key_pair_of, stage

PASSPHRASE = "winter is coming, soon"

Open = Callable[..., Any]


@pytest.fixture
def seed(world: Json) -> Json:
    seed = stage(world)
    add_patient(seed, "bran")
    return seed


@pytest.fixture
def ned(world: Json, opener: Opener) -> Open:
    user = world["users"]["ned"]

    async def open_api(keys: MemoryKeyStorage | None = None, **options: Any) -> MedTechApi:
        return await opener.plain(user["login"], user["token"], key_storage=keys, **options)

    return open_api


@pytest.fixture
def ned_id(world: Json) -> str:
    return str(world["users"]["ned"]["dataOwnerId"])


@pytest.fixture
def robb_id(world: Json) -> str:
    patients = world["stages"]["1-shared"]["entities"]["patient"].values()
    return next(str(patient["id"]) for patient in patients if patient["firstName"] == "Robb")


@pytest.fixture
async def backup(ned: Open, world: Json) -> bytes:
    api = await ned()
    await api.init_user_crypto(key_pair_of(world, "ned"))
    data = await api.export_keys(PASSPHRASE)
    assert isinstance(data, bytes)
    return data


async def test_a_new_device_imports_and_reads(
    ned: Open, ned_id: str, robb_id: str, backup: bytes, world: Json, requests: RequestLog
) -> None:
    pair = key_pair_of(world, "ned")
    api = await ned(keys := MemoryKeyStorage())
    with pytest.raises(KeyPairNotFoundError, match=r"import_keys\(\)"):
        await api.init_user_crypto()
    requests.take()
    assert await api.import_keys(backup, PASSPHRASE) == [pair]
    assert await api.init_user_crypto() == [pair]
    assert not [line for line in requests.take() if line.startswith("PUT")]
    assert await keys.list_key_pairs(ned_id) == [pair]
    assert (await api.patient_api.get_patient(robb_id)).note
    later = await ned(keys)
    assert await later.init_user_crypto() == [pair]


async def test_what_was_imported_is_in_use_at_once(
    ned: Open, robb_id: str, backup: bytes, world: Json
) -> None:
    api = await ned()
    (new,) = await api.init_user_crypto(missing_key="allow")
    with pytest.raises(DecryptionError):
        await api.patient_api.get_patient(robb_id)
    await api.import_keys(backup.decode(), PASSPHRASE)
    assert (await api.patient_api.get_patient(robb_id)).note
    assert set(await api.init_user_crypto()) == {new, key_pair_of(world, "ned")}


async def test_the_callback_that_finds_a_missing_key_may_import(
    ned: Open, ned_id: str, backup: bytes, world: Json
) -> None:
    api = await ned(keys := MemoryKeyStorage())

    async def find_key(missing: MissingKey) -> KeyPair | None:
        assert missing.data_owner_id == ned_id
        found: list[KeyPair] = await api.import_keys(backup, PASSPHRASE)
        return found[0]

    pair = key_pair_of(world, "ned")
    assert await api.init_user_crypto(find_key=find_key) == [pair]
    assert await keys.list_key_pairs(ned_id) == [pair]


async def test_a_pair_that_is_not_published_yet_is_exported_and_used_elsewhere(
    opener: Opener, proxy: Proxy, no_pauses: None
) -> None:
    async def lose(_: Exchange) -> None:
        raise ConnectionLostError

    here, there = MemoryKeyStorage(), MemoryKeyStorage()
    api = await opener.plain("bran", key_storage=here, url=proxy.url)
    proxy.before("PUT /patient", lose)
    with pytest.raises(NetworkError):
        await api.init_user_crypto()
    (pending,) = await here.list_key_pairs("patient-bran")
    data = await api.export_keys(PASSPHRASE)
    other = await opener.plain("bran", key_storage=there)
    assert await other.import_keys(data, PASSPHRASE) == [pending]
    assert await other.init_user_crypto() == [pending]


async def test_a_pair_that_could_not_be_stored_is_exported_all_the_same(
    ned: Open, backup: bytes, world: Json
) -> None:
    class Full(MemoryKeyStorage):
        full = False

        async def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
            if self.full:
                raise StorageError("The disk is full.")
            await super().store_key_pair(data_owner_id, key_pair)

    other = await ned(public_key_policy=confirm_all)
    (new,) = await other.init_user_crypto(missing_key="allow")
    api = await ned(keys := Full())
    await api.import_keys(backup, PASSPHRASE)
    keys.full = True
    recovered = await api.init_user_crypto()
    assert [pair.fingerprint for pair in recovered] == [
        key_pair_of(world, "ned").fingerprint,
        new.fingerprint,
    ]
    third = await ned()
    assert set(await third.import_keys(await api.export_keys(PASSPHRASE), PASSPHRASE)) == set(
        recovered
    )


async def test_the_backup_of_another_user_is_refused(
    opener: Opener, ned_id: str, world: Json, backup: bytes
) -> None:
    arya = world["users"]["arya"]
    api = await opener.plain(arya["login"], arya["token"], key_storage=(keys := MemoryKeyStorage()))
    with pytest.raises(BackupError) as caught:
        await api.import_keys(backup, PASSPHRASE)
    assert ned_id in str(caught.value)
    assert arya["dataOwnerId"] in str(caught.value)
    assert await keys.storage.list_items() == []
    with pytest.raises(KeyPairNotFoundError):
        await api.init_user_crypto()


async def test_a_wrong_passphrase_writes_nothing(
    ned: Open, backup: bytes, requests: RequestLog
) -> None:
    api = await ned(keys := MemoryKeyStorage())
    requests.take()
    with pytest.raises(BackupError, match="passphrase is wrong"):
        await api.import_keys(backup, PASSPHRASE.upper())
    assert await keys.storage.list_items() == []
    assert requests.take() == []


async def test_bad_arguments_are_refused_before_anything_is_sent(
    ned: Open, backup: bytes, requests: RequestLog
) -> None:
    api = await ned()
    requests.take()
    with pytest.raises(ValidationError, match="fewer than 12 characters"):
        await api.export_keys("winter")
    with pytest.raises(ValidationError, match="not empty"):
        await api.import_keys(backup, "")
    with pytest.raises(ValidationError, match="content of a file"):
        await api.import_keys(None, PASSPHRASE)
    assert requests.take() == []


async def test_a_device_without_keys_has_nothing_to_export(ned: Open, ned_id: str) -> None:
    with pytest.raises(BackupError, match=f"No key pair of data owner {ned_id}"):
        await (await ned()).export_keys(PASSPHRASE)
