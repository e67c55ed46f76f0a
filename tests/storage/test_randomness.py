"""Values that must be new each time: nonces, salts, keys. Two alike give the rest away."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from icure_async.models.key_pair import KeyPair
from icure_async.storage import MemoryStorage
from icure_async.storage._master_key import RECORD_NAME, KeyringProtection, PassphraseProtection
from icure_async.storage._sealing import ScryptCost
from icure_async.storage.backup import KeyBackup, write_backup
from icure_async.storage.encrypted import EncryptedStorage
from tests.support.keyrings import MemoryKeyring

OWNER = "3b241101-e2bb-4255-8caf-4136c566a962"
PASSPHRASE = "four words are hard to guess"
QUICK = ScryptCost(2, 8, 1)
NONCE = 12
COUNT = 16

Make = Callable[[MemoryStorage], EncryptedStorage]


@pytest.fixture(params=["passphrase", "keyring"])
def make(request: pytest.FixtureRequest, system_keyring: MemoryKeyring) -> Make:
    """Opens a storage anew, as a program that has just started does."""

    def made(storage: MemoryStorage) -> EncryptedStorage:
        return EncryptedStorage(
            storage,
            _protection=KeyringProtection()
            if request.param == "keyring"
            else PassphraseProtection(PASSPHRASE, QUICK),
        )

    return made


def is_random(values: Sequence[bytes]) -> bool:
    """Return whether all differ, and no byte is the same in all of them."""
    return len(set(values)) == len(values) and all(
        len(set(column)) > 1 for column in zip(*values, strict=False)
    )


def nonces_are_random(values: Sequence[bytes]) -> bool:
    return is_random([value[:NONCE] for value in values])


async def bytes_of(storage: MemoryStorage, name: str) -> bytes:
    return base64.b64decode(str(await storage.get_item(name)).partition(".")[2])


async def test_every_value_of_a_storage_has_a_nonce_of_its_own(make: Make) -> None:
    storage = MemoryStorage()
    encrypted = make(storage)
    seen: list[bytes] = []
    for number in range(COUNT):
        if number % 8 == 7:
            # A program that has started again.
            encrypted = make(storage)
        name = "item" if number % 2 else f"item {number}"
        await encrypted.set_item(name, "the same value")
        seen.append(await bytes_of(storage, name))
    assert nonces_are_random(seen)
    assert is_random([value[NONCE:] for value in seen])


async def test_two_values_do_not_tell_what_differs_between_them(make: Make) -> None:
    storage = MemoryStorage()
    encrypted = make(storage)
    values = ("a secret of the same length", "another one of that length!")
    seen: list[bytes] = []
    for value in values:
        await encrypted.set_item("item", value)
        seen.append((await bytes_of(storage, "item"))[NONCE:])
    differences = [
        bytes(one ^ other for one, other in zip(*pair, strict=False))[: len(values[0])]
        for pair in (seen, [value.encode() for value in values])
    ]
    assert differences[0] != differences[1]


async def test_every_storage_has_a_key_of_its_own_and_seals_it_anew(
    make: Make, system_keyring: MemoryKeyring
) -> None:
    records: list[str] = []
    keys: list[bytes] = []
    for _ in range(COUNT):
        storage = MemoryStorage()
        encrypted = make(storage)
        await encrypted.set_item("item", "the same value")
        records.append(str(await storage.get_item(RECORD_NAME)))
        assert encrypted._open is not None
        keys.append(encrypted._open[1])
        # A value never has the nonce of what the record has encrypted with the same key.
        assert await bytes_of(storage, "item") not in records[-1].encode()
    assert is_random(keys)
    documents = [json.loads(record) for record in records]
    envelopes_are_random(documents)
    if documents[0]["protection"] == "keyring":
        assert len(system_keyring.entries) == COUNT
        assert is_random([base64.b64decode(text) for text in system_keyring.entries.values()])


async def test_every_backup_has_a_salt_and_a_nonce_of_its_own(pair: KeyPair) -> None:
    backup = KeyBackup(OWNER, (pair,))
    written = [await write_backup(backup, PASSPHRASE, _cost=QUICK) for _ in range(COUNT)]
    envelopes_are_random([json.loads(content) for content in written])


def envelopes_are_random(envelopes: Sequence[dict[str, dict[str, str]]]) -> None:
    assert is_random([base64.b64decode(envelope["kdf"]["salt"]) for envelope in envelopes])
    assert is_random([base64.b64decode(envelope["cipher"]["nonce"]) for envelope in envelopes])
    assert {len(base64.b64decode(envelope["kdf"]["salt"])) for envelope in envelopes} == {16}


async def test_no_key_encrypts_twice_with_one_nonce(
    make: Make, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[bytes, bytes]] = []

    class Watched:
        def __init__(self, key: bytes) -> None:
            self._key = key

        def encrypt(self, nonce: bytes, data: bytes, associated: bytes | None) -> bytes:
            used.append((self._key, nonce))
            return AESGCM(self._key).encrypt(nonce, data, associated)

        def decrypt(self, nonce: bytes, data: bytes, associated: bytes | None) -> bytes:
            return AESGCM(self._key).decrypt(nonce, data, associated)

    monkeypatch.setattr("cryptography.hazmat.primitives.ciphers.aead.AESGCM", Watched)
    storage = MemoryStorage()
    for number in range(COUNT):
        await make(storage).set_item(f"item {number % 3}", "the same value")
        await write_backup(KeyBackup(OWNER, (pair,)), PASSPHRASE, _cost=QUICK)
    assert len(used) == 2 * COUNT + 1
    assert len(set(used)) == len(used)
    assert is_random([nonce for _, nonce in used])
