"""Storages encrypted with keys of users, and what happens when the secrets change."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from icure_async.errors import ConfigurationError, StorageError, ValidationError
from icure_async.models.key_pair import KeyPair
from icure_async.storage import (
    EncryptedKeyStorage,
    EncryptedStorage,
    FileKeyStorage,
    FileStorage,
    MemoryStorage,
    derive_user_key,
)
from icure_async.storage.encrypted import protection_of
from tests.support.leaks import assert_secret_free

OWNER = "47a0e3f8-6f4d-4133-ab98-4ff2de8d8e26"
OLD, NEW = ("an old secret of the service, long enough", "a new secret of the service, long enough")
OLD_KEY, NEW_KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
RECORD = "icure.master-key"


# Keys that once sealed something open it for ever: these never change.
def test_derived_keys_never_change() -> None:
    secret = "s" * 32
    assert derive_user_key(secret, "ann").hex() == SERVICE_KEY
    assert derive_user_key(secret.encode(), "ann").hex() == SERVICE_KEY
    assert derive_user_key(secret, "ann", user_secret="u" * 32).hex() == BOTH_KEY


SERVICE_KEY = "4a06fde573cc2a92dc8852f19defe3ae564def5c8cbae5c12860ff25bef352b4"
BOTH_KEY = "2a440349d1c524a1cf8bba58bd0d333a1c7727e3b098264fa03d9cbc5c92ea61"


def test_another_user_or_secret_is_another_key() -> None:
    long = "s" * 64
    keys = [
        derive_user_key("s" * 32, "ann"),
        derive_user_key("s" * 32, "anna"),
        derive_user_key("s" * 33, "ann"),
        derive_user_key("s" * 32, "ann", user_secret="u" * 32),
        derive_user_key("s" * 32, "ann", user_secret="u" * 33),
        # The boundary between two secrets counts.
        derive_user_key(long[:32], "ann", user_secret=long[:33]),
        derive_user_key(long[:33], "ann", user_secret=long[:32]),
    ]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {32}


@pytest.mark.parametrize(
    ("secret", "user", "user_secret"),
    [
        ("short", "ann", None),
        (b"short", "ann", None),
        ("s" * 32, "", None),
        ("s" * 32, "\ud800", None),
        ("\ud800" * 32, "ann", None),
        ("s" * 32, "ann", "short"),
        ("s" * 32, "ann", b""),
    ],
)
def test_impossible_secrets(
    secret: str | bytes, user: str, user_secret: str | bytes | None
) -> None:
    with pytest.raises(ValidationError) as caught:
        derive_user_key(secret, user, user_secret=user_secret)
    assert "short" not in str(caught.value).replace("too short", "")


async def test_keys_over_any_storage(tmp_path: Path, pair: KeyPair) -> None:
    for storage in (MemoryStorage(), FileStorage(tmp_path / "keys")):
        keys = EncryptedKeyStorage.over(storage, key=OLD_KEY)
        await keys.store_key_pair(OWNER, pair)
        again = EncryptedKeyStorage.over(storage, key=OLD_KEY)
        assert await again.list_key_pairs(OWNER) == [pair]
        assert await protection_of(storage) == "key"
        stored = [await storage.get_item(name) or "" for name in await storage.list_items()]
        assert all(pair.private_key not in text and '"d"' not in text for text in stored)
        for wrong in (
            EncryptedKeyStorage.over(storage, key=NEW_KEY),
            EncryptedKeyStorage.over(storage, passphrase="a passphrase of four words"),
        ):
            with pytest.raises(StorageError) as caught:
                await wrong.list_key_pairs(OWNER)
            assert_secret_free(caught.value, NEW_KEY.hex(), "four words")
    assert keys.directory == tmp_path / "keys"
    assert keys.path_of("x") == tmp_path / "keys" / "x"
    in_memory = EncryptedKeyStorage.over(MemoryStorage(), key=OLD_KEY)
    with pytest.raises(ConfigurationError, match="not in a folder"):
        _ = in_memory.directory


async def test_a_folder_and_what_is_over_it_are_the_same(tmp_path: Path, pair: KeyPair) -> None:
    phrase = "a passphrase of four words"
    await EncryptedKeyStorage(tmp_path, passphrase=phrase).store_key_pair(OWNER, pair)
    over = EncryptedKeyStorage.over(FileStorage(tmp_path), passphrase=phrase)
    assert await over.list_key_pairs(OWNER) == [pair]
    with pytest.raises(StorageError, match="set up with a passphrase"):
        await EncryptedKeyStorage.over(FileStorage(tmp_path), key=OLD_KEY).list_key_pairs(OWNER)
    with pytest.raises(StorageError):
        await FileKeyStorage(tmp_path).list_key_pairs(OWNER)


@pytest.mark.parametrize(
    "options",
    [{}, {"passphrase": "a passphrase of four words", "key": OLD_KEY}],
)
def test_either_a_passphrase_or_a_key(options: dict[str, Any]) -> None:
    makers: list[Any] = [EncryptedStorage, EncryptedKeyStorage.over]
    for make in makers:
        with pytest.raises(ConfigurationError, match="either a passphrase or a key"):
            make(MemoryStorage(), **options)


@pytest.mark.parametrize(
    "key", [b"short", [], [OLD_KEY, b"short"], "text of 32 characters or more…!!"]
)
def test_impossible_keys(key: object) -> None:
    with pytest.raises(ValidationError, match="32 random bytes"):
        EncryptedStorage(MemoryStorage(), key=key)  # type: ignore[arg-type]


async def test_a_service_goes_from_one_secret_to_the_next_while_it_runs(pair: KeyPair) -> None:
    storage = MemoryStorage()
    old, new = derive_user_key(OLD, "ann"), derive_user_key(NEW, "ann")
    first = EncryptedKeyStorage.over(storage, key=[old])
    await first.store_key_pair(OWNER, pair)
    # All programs learn the new secret, and still seal with the old one; then they seal with it.
    second = EncryptedKeyStorage.over(storage, key=[old, new])
    third = EncryptedKeyStorage.over(storage, key=[new, old])
    assert await third.list_key_pairs(OWNER) == [pair]
    for _ in range(2):
        await third.reseal(key=[new, old])
    for programs in (second, third, EncryptedKeyStorage.over(storage, key=new)):
        assert await programs.list_key_pairs(OWNER) == [pair]
    await second.store_key_pair("another", pair)
    with pytest.raises(StorageError, match="none of the keys"):
        await EncryptedKeyStorage.over(storage, key=old).list_key_pairs(OWNER)


async def test_a_write_during_a_reseal_is_whole(pair: KeyPair) -> None:
    class Resealed(MemoryStorage):
        """Another program reseals it in the middle of the next write."""

        is_next = False

        async def set_item(self, name: str, value: str) -> None:
            await super().set_item(name, value)
            if self.is_next:
                self.is_next = False
                await EncryptedStorage(self, key=[OLD_KEY, NEW_KEY]).reseal(key=NEW_KEY)

    storage = Resealed()
    both = EncryptedStorage(storage, key=[OLD_KEY, NEW_KEY])
    await both.set_item("x", "1")
    storage.is_next = True
    await both.set_item("y", "2")
    opened = EncryptedStorage(storage, key=NEW_KEY)
    assert [await opened.get_item(name) for name in ("x", "y")] == ["1", "2"]


async def test_resealing_can_be_interrupted_and_repeated(pair: KeyPair) -> None:
    class Dying(MemoryStorage):
        """The program dies before or after the record is written."""

        dies: str | None = None

        async def set_item(self, name: str, value: str) -> None:
            if name == RECORD and self.dies == "before":
                raise KeyboardInterrupt
            await super().set_item(name, value)
            if name == RECORD and self.dies == "after":
                raise KeyboardInterrupt

    for moment in ("before", "after"):
        storage = Dying()
        await EncryptedStorage(storage, key=OLD_KEY).set_item("x", "y")
        storage.dies = moment
        with pytest.raises(KeyboardInterrupt):
            await EncryptedStorage(storage, key=OLD_KEY).reseal(key=NEW_KEY)
        storage.dies = None
        await EncryptedStorage(storage, key=OLD_KEY).reseal(key=NEW_KEY)
        assert await EncryptedStorage(storage, key=NEW_KEY).get_item("x") == "y"


async def test_a_wrong_secret_reseals_nothing() -> None:
    storage = MemoryStorage()
    await EncryptedStorage(storage, key=OLD_KEY).set_item("x", "y")
    record = await storage.get_item(RECORD)
    with pytest.raises(StorageError, match="none of the keys"):
        await EncryptedStorage(storage, key=OTHER_KEY).reseal(key=NEW_KEY)
    with pytest.raises(ValidationError, match="fewer than 12"):
        await EncryptedStorage(storage, key=OLD_KEY).reseal(passphrase="short")
    assert await storage.get_item(RECORD) == record
    assert await EncryptedStorage(storage, key=OLD_KEY).get_item("x") == "y"


async def test_an_empty_storage_is_resealed_by_its_first_write() -> None:
    storage = MemoryStorage()
    encrypted = EncryptedStorage(storage, key=OLD_KEY)
    await encrypted.reseal(key=NEW_KEY)
    await encrypted.set_item("x", "y")
    assert await EncryptedStorage(storage, key=NEW_KEY).get_item("x") == "y"


async def test_programs_that_reseal_at_once_end_up_with_one_record() -> None:
    storage = MemoryStorage()
    await EncryptedStorage(storage, key=OLD_KEY).set_item("x", "y")
    programs = [EncryptedStorage(storage, key=[OLD_KEY, NEW_KEY]) for _ in range(5)]
    await asyncio.gather(*(program.reseal(key=[NEW_KEY, OLD_KEY]) for program in programs))
    assert await EncryptedStorage(storage, key=NEW_KEY).get_item("x") == "y"
