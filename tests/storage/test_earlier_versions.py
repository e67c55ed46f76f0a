"""Files of earlier versions: a key that cannot be read any more is a lost record.

The file next to this one was written by the version whose scrypt cost was read from files, and
whose keyring entries were the master keys themselves.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from icure_async.errors import StorageError
from icure_async.storage import MemoryStorage
from icure_async.storage._master_key import (
    RECORD_NAME,
    KeyringProtection,
    PassphraseProtection,
    Protection,
)
from icure_async.storage.backup import read_backup
from icure_async.storage.encrypted import EncryptedStorage, protection_of
from tests.support.keyrings import MemoryKeyring
from tests.support.leaks import assert_secret_free

Written = dict[str, Any]


@pytest.fixture(scope="module")
def written() -> Written:
    text = Path(__file__).with_name("earlier_versions.json").read_text()
    content: Written = json.loads(text)
    return content


async def _holding(items: dict[str, str]) -> MemoryStorage:
    storage = MemoryStorage()
    for name, value in items.items():
        await storage.set_item(name, value)
    return storage


async def _read_and_write(storage: MemoryStorage, protection: Protection) -> None:
    record = await storage.get_item(RECORD_NAME)
    encrypted = EncryptedStorage(storage, _protection=protection)
    assert await encrypted.get_item("name") == "a secret value"
    await encrypted.set_item("other", "another one")
    assert (
        await EncryptedStorage(storage, _protection=protection).get_item("other") == "another one"
    )
    assert await storage.get_item(RECORD_NAME) == record


@pytest.fixture
def entry(written: Written, system_keyring: MemoryKeyring) -> tuple[str, str]:
    """The place of the entry in the system keyring."""
    ((service, account, text),) = written["entries"]
    system_keyring.entries[service, account] = text
    return service, account


async def test_a_storage_with_a_passphrase_opens(written: Written) -> None:
    storage = await _holding(written["sealed"])
    assert await protection_of(storage) == "passphrase"
    await _read_and_write(storage, PassphraseProtection(written["passphrase"]))


async def test_a_storage_whose_key_is_in_the_keyring_opens(
    written: Written, entry: tuple[str, str]
) -> None:
    storage = await _holding(written["kept"])
    assert await protection_of(storage) == "keyring"
    await _read_and_write(storage, KeyringProtection())


async def test_the_key_of_another_storage_in_the_keyring_is_recognised(
    written: Written, entry: tuple[str, str], system_keyring: MemoryKeyring
) -> None:
    key = system_keyring.entries[entry]
    system_keyring.entries[entry] = key[:10] + ("A" if key[10] != "A" else "B") + key[11:]
    storage = await _holding(written["kept"])
    with pytest.raises(StorageError, match="is not the one of this encrypted storage") as caught:
        await EncryptedStorage(storage, _protection=KeyringProtection()).get_item("name")
    assert_secret_free(caught.value, key, system_keyring.entries[entry])


@pytest.mark.parametrize("member", ["format", "version", "service", "account", "check"])
@pytest.mark.parametrize("value", [None, 7, "AAAA", "\ud800", [], {"a": 1}])
async def test_a_record_for_the_keyring_that_was_changed_is_refused(
    written: Written, entry: tuple[str, str], member: str, value: object
) -> None:
    record = json.loads(written["kept"][RECORD_NAME]) | {member: value}
    storage = await _holding(written["kept"] | {RECORD_NAME: json.dumps(record)})
    with pytest.raises(StorageError):
        await EncryptedStorage(storage, _protection=KeyringProtection()).get_item("name")


async def test_a_backup_can_be_read(written: Written) -> None:
    backup = await read_backup(written["backup"], written["passphrase"])
    assert [pair.public_key for pair in backup.key_pairs] == [written["publicKey"]]
