"""Holders of secrets in clear, which no pickle takes out of the program."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import icure_sync.storage
from icure_async import KeyPair, MedTechApiBuilder
from icure_async.crypto.key_ring import KeyRing
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import ConfigurationError, ICureError
from icure_async.storage import (
    EncryptedKeyStorage,
    FileKeyStorage,
    FileStorage,
    MemoryKeyStorage,
    MemoryStorage,
    StorageKeyStorage,
)

OWNER = "3b241101-e2bb-4255-8caf-4136c566a962"
PASSPHRASE = "four words are hard to guess"

COPIES: dict[str, Callable[[Any], object]] = {
    "pickle": pickle.dumps,
    "old pickle": lambda value: pickle.dumps(value, protocol=0),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.fixture
def pair(world: dict[str, Any]) -> KeyPair:
    pair = world["users"]["ned"]["keyPairs"][0]
    return KeyPair(pair["publicKey"], pair["privateKey"])


def builder() -> MedTechApiBuilder:
    builder = MedTechApiBuilder().with_icure_base_url("http://127.0.0.1:9").with_user_name("ned")
    return builder.with_password("winter is coming")


@pytest.mark.parametrize("how", COPIES)
async def test_what_holds_secrets_is_neither_pickled_nor_copied(
    tmp_path: Path, pair: KeyPair, how: str
) -> None:
    crypto = SoftwareCrypto()
    ring = KeyRing(crypto)
    await ring.add(pair)
    memory = MemoryStorage()
    keys = MemoryKeyStorage()
    await keys.store_key_pair(OWNER, pair)
    encrypted = EncryptedKeyStorage(tmp_path, passphrase=PASSPHRASE)
    await encrypted.store_key_pair(OWNER, pair)
    async with builder().build() as api:
        for holder in (
            encrypted,
            encrypted.storage,
            EncryptedKeyStorage(tmp_path, use_keyring=True),
            keys,
            memory,
            ring,
            crypto,
            api,
            api._session,
        ):
            with pytest.raises(ICureError, match="secrets in clear") as caught:
                COPIES[how](holder)
            assert isinstance(caught.value, ConfigurationError)
            assert isinstance(caught.value, TypeError)
            message = str(caught.value)
            assert message.startswith(f"This {type(holder).__name__} ")
            assert PASSPHRASE not in message


@pytest.mark.parametrize("how", ["pickle", "old pickle", "deepcopy"])
def test_a_builder_with_a_password_is_not_pickled_but_copied(how: str) -> None:
    with pytest.raises(ConfigurationError, match="This MedTechApiBuilder holds secrets"):
        COPIES[how](builder())
    other = copy.copy(builder()).with_icure_base_url("http://127.0.0.1:10")
    assert "127.0.0.1:10" in repr(other)


async def test_key_files_are_used_by_another_process_without_a_key_in_the_pickle(
    tmp_path: Path, pair: KeyPair
) -> None:
    for keys in (FileKeyStorage(tmp_path), StorageKeyStorage(FileStorage(tmp_path))):
        await keys.store_key_pair(OWNER, pair)
        pickled = pickle.dumps(keys)
        for half in (pair.private_key, pair.public_key):
            assert half.encode() not in pickled
            assert bytes.fromhex(half) not in pickled
        for other in (pickle.loads(pickled), copy.copy(keys), copy.deepcopy(keys)):
            assert await other.list_key_pairs(OWNER) == [pair]


@pytest.mark.parametrize("how", ["pickle", "copy", "deepcopy"])
def test_the_same_holds_in_the_blocking_package(tmp_path: Path, pair: KeyPair, how: str) -> None:
    encrypted = icure_sync.storage.EncryptedKeyStorage(tmp_path / "a", passphrase=PASSPHRASE)
    memory = icure_sync.storage.MemoryKeyStorage()
    for keys in (encrypted, memory):
        keys.store_key_pair(OWNER, pair)
        with pytest.raises(ConfigurationError, match=f"This {type(keys).__name__} holds secrets"):
            COPIES[how](keys)


def test_files_of_the_blocking_package_are_used_by_another_process(
    tmp_path: Path, pair: KeyPair
) -> None:
    keys = icure_sync.storage.FileKeyStorage(tmp_path)
    keys.store_key_pair(OWNER, pair)
    pickled = pickle.dumps(keys)
    assert pair.private_key.encode() not in pickled
    assert list(pickle.loads(pickled).list_key_pairs(OWNER)) == [pair]
