"""Backups: what is in them, who can open them, and that no bit of them can change unnoticed."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import attrs
import orjson
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from hypothesis import example, given
from hypothesis import strategies as st

from icure_async.errors import BackupError, StorageError, ValidationError
from icure_async.models.key_pair import KeyPair
from icure_async.storage import MemoryKeyStorage
from icure_async.storage._sealing import DEFAULT_COST, ScryptCost
from icure_async.storage.backup import (
    KeyBackup,
    export_key_pairs,
    import_key_pairs,
    read_backup,
    restore_backup,
    write_backup,
)
from tests.support.leaks import assert_secret_free

OWNER = "3b241101-e2bb-4255-8caf-4136c566a962"
OTHER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
PASSPHRASE = "four words are hard to guess"
QUICK = ScryptCost(2, 8, 1)

Items = dict[str, str]


async def _device(*pairs: KeyPair, owner: str = OWNER) -> MemoryKeyStorage:
    keys = MemoryKeyStorage()
    for pair in pairs:
        await keys.store_key_pair(owner, pair)
    return keys


async def _items(keys: MemoryKeyStorage) -> Items:
    storage = keys.storage
    return {name: str(await storage.get_item(name)) for name in await storage.list_items()}


async def _export(keys: MemoryKeyStorage, passphrase: str = PASSPHRASE) -> bytes:
    return await export_key_pairs(keys, OWNER, passphrase, _cost=QUICK)


async def _import(
    keys: MemoryKeyStorage, data: bytes | str, passphrase: str = PASSPHRASE, **options: Any
) -> KeyBackup:
    return await import_key_pairs(keys, data, passphrase, _cost=QUICK, **options)


@pytest.fixture(scope="session")
def backup(pairs: list[KeyPair]) -> bytes:
    """A backup of two key pairs, whose passphrase costs little to try."""
    return asyncio.run(
        write_backup(KeyBackup(OWNER, (pairs[0], pairs[1])), PASSPHRASE, _cost=QUICK)
    )


def _refused(data: bytes, passphrase: str = PASSPHRASE) -> BackupError:
    with pytest.raises(BackupError) as caught:
        asyncio.run(read_backup(data, passphrase, _cost=QUICK))
    return caught.value


async def test_what_one_device_exports_another_one_imports(pairs: list[KeyPair]) -> None:
    here, there = await _device(*pairs), MemoryKeyStorage()
    data = await _export(here)
    restored = await _import(there, data, data_owner_id=OWNER)
    assert restored.data_owner_id == OWNER
    assert set(restored.key_pairs) == set(pairs)
    assert await _items(there) == await _items(here)
    assert data != await _export(here)


async def test_the_default_cost_is_the_one_that_takes_128_mebibytes(pair: KeyPair) -> None:
    data = await export_key_pairs(await _device(pair), OWNER, PASSPHRASE)
    assert attrs.astuple(DEFAULT_COST) == (2**17, 8, 1)
    assert DEFAULT_COST.memory == 128 * 2**20
    kdf = json.loads(data)["kdf"]
    assert {**kdf, "salt": None} == {"name": "scrypt", "n": 131072, "r": 8, "p": 1, "salt": None}
    assert len(base64.b64decode(kdf["salt"])) == 16
    keys = MemoryKeyStorage()
    assert (await import_key_pairs(keys, data, PASSPHRASE)).key_pairs == (pair,)


def test_any_program_that_knows_the_passphrase_can_open_it(
    backup: bytes, pairs: list[KeyPair]
) -> None:
    document = json.loads(backup)
    ciphertext = base64.b64decode(document.pop("ciphertext"))
    kdf, cipher = document["kdf"], document["cipher"]
    assert document == {
        "format": "icure-key-backup",
        "version": 1,
        "minimumSdkVersion": "0.1.0",
        "dataOwnerId": OWNER,
        "kdf": {"name": "scrypt", "n": 2, "r": 8, "p": 1, "salt": kdf["salt"]},
        "cipher": {"name": "AES-256-GCM", "nonce": cipher["nonce"]},
    }
    salt = base64.b64decode(kdf["salt"])
    key = Scrypt(salt=salt, length=32, n=2, r=8, p=1).derive(PASSPHRASE.encode())
    header = json.dumps(document, separators=(",", ":")).encode()
    plaintext = AESGCM(key).decrypt(base64.b64decode(cipher["nonce"]), ciphertext, header)
    device = asyncio.run(_device(*pairs[:2]))
    expected = asyncio.run(_items(device))
    found = json.loads(plaintext)["keyPairs"]
    assert [json.dumps(item, separators=(",", ":")) for item in found] == [
        expected[f"{OWNER}.{pair.fingerprint}"] for pair in pairs[:2]
    ]


def test_nothing_of_a_key_is_readable_in_it(backup: bytes, pairs: list[KeyPair]) -> None:
    for pair in pairs[:2]:
        assert pair.fingerprint.encode() not in backup
        assert pair.public_key[-64:].encode() not in backup
        assert pair.private_key[100:140].encode() not in backup
    assert b"privateKey" not in backup
    assert PASSPHRASE.encode() not in backup


@given(st.data())
def test_no_bit_of_it_can_change_unnoticed(backup: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(backup) * 8 - 1))
    changed = bytearray(backup)
    changed[position // 8] ^= 1 << position % 8
    error = _refused(bytes(changed))
    assert_secret_free(error, PASSPHRASE)


def test_no_bit_of_its_header_and_of_its_end_can_change_unnoticed(backup: bytes) -> None:
    header = backup.index(b'"ciphertext"') + 20
    for index in [*range(header), *range(len(backup) - 8, len(backup))]:
        for bit in range(8):
            changed = bytearray(backup)
            changed[index] ^= 1 << bit
            _refused(bytes(changed))


@given(st.integers(0))
@example(0)
@example(1)
@example(2**40)
def test_cut_off_anywhere_it_is_refused(backup: bytes, length: int) -> None:
    _refused(backup[: length % len(backup)])


def test_line_ends_that_editors_add_do_no_harm(backup: bytes, pairs: list[KeyPair]) -> None:
    for end in (b"\n", b"\r\n", b" \t\n\n"):
        read = asyncio.run(read_backup(backup + end, PASSPHRASE, _cost=QUICK))
        assert read.key_pairs == tuple(pairs[:2])
    assert asyncio.run(read_backup(backup.decode(), PASSPHRASE, _cost=QUICK)) == read


def test_a_wrong_passphrase_and_damage_are_told_together(backup: bytes) -> None:
    error = _refused(backup, "four words are hard to guess!")
    assert "the passphrase is wrong, or it was changed or damaged" in str(error)
    assert OWNER in str(error)
    assert_secret_free(error, PASSPHRASE)


async def test_the_passphrase_may_be_typed_on_any_keyboard(pair: KeyPair) -> None:
    composed, decomposed = "Zo\u00eb et ses amis", "Zoe\u0308 et ses amis"
    data = await _export(await _device(pair), decomposed)
    assert (await _import(MemoryKeyStorage(), data, composed)).key_pairs == (pair,)


@pytest.mark.parametrize("passphrase", ["", None, b"twelve bytes", "eleven char", "\ud800" * 12])
async def test_bad_passphrases_are_refused_for_an_export(pair: KeyPair, passphrase: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        await _export(await _device(pair), passphrase)
    if passphrase:
        assert_secret_free(caught.value, str(passphrase))


@pytest.mark.parametrize("passphrase", ["", None, b"twelve bytes", "\ud800" * 12])
async def test_bad_passphrases_are_refused_for_an_import(backup: bytes, passphrase: Any) -> None:
    with pytest.raises(ValidationError):
        await _import(MemoryKeyStorage(), backup, passphrase)


async def test_a_short_passphrase_of_an_import_is_tried(backup: bytes) -> None:
    with pytest.raises(BackupError, match="the passphrase is wrong"):
        await _import(MemoryKeyStorage(), backup, "short")


@pytest.mark.parametrize("data", [None, 5, ["{}"]])
async def test_what_is_no_file_content_is_refused(data: Any) -> None:
    with pytest.raises(ValidationError, match="content of a file"):
        await _import(MemoryKeyStorage(), data)


async def test_the_backup_of_somebody_else_is_refused(backup: bytes) -> None:
    keys = MemoryKeyStorage()
    with pytest.raises(BackupError) as caught:
        await _import(keys, backup, data_owner_id=OTHER)
    assert OWNER in str(caught.value)
    assert OTHER in str(caught.value)
    assert await _items(keys) == {}


def _edited(backup: bytes, edit: Callable[[dict[str, Any]], object]) -> bytes:
    document = orjson.loads(backup)
    edit(document)
    return orjson.dumps(document)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"\xff\xfe{}", "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
        (b"{}", "not of the format"),
        (b'{"format":"icure-encrypted-storage","version":1}', "not of the format"),
        (b" " * (4 * 2**20 + 1), "larger than 4096 KiB"),
    ],
)
async def test_something_else_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(BackupError, match=said):
        await _import(MemoryKeyStorage(), content)


async def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(BackupError, match="not of the format"):
        await _import(MemoryKeyStorage(), '{"format":"\ud800"}')


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda d: d.update(version=2, minimumSdkVersion="3.1"), "icure-async 3.1 or later"),
        (lambda d: d.update(version=2, minimumSdkVersion="\x1b[2J"), "a newer icure-async"),
        (lambda d: d.update(version=0), "version is not a number"),
        (lambda d: d.update(version=True), "version is not a number"),
        (lambda d: d.update(extra=1), "members"),
        (lambda d: d.pop("cipher"), "nonce"),
        (lambda d: d.update(dataOwnerId=7), "member is malformed"),
        (lambda d: d.update(dataOwnerId="a\x1bb"), "data owner id"),
        (lambda d: d.update(dataOwnerId="a" * 257), "data owner id"),
        (lambda d: d.update(kdf=[]), "scrypt"),
        (lambda d: d["kdf"].update(name="argon2id"), "scrypt"),
        (lambda d: d["kdf"].update(n=3), "scrypt"),
        (lambda d: d["kdf"].update(n=1), "scrypt"),
        (lambda d: d["kdf"].update(r=1), "scrypt"),
        (lambda d: d["kdf"].update(n=-2), "scrypt"),
        (lambda d: d["kdf"].update(n=2.0), "scrypt"),
        (lambda d: d["kdf"].update(p="1"), "scrypt"),
        (lambda d: d["kdf"].update(p=True), "scrypt"),
        (lambda d: d["kdf"].update(n=2**60), "scrypt"),
        (lambda d: d["kdf"].update(n=2**20), "scrypt"),
        (lambda d: d["kdf"].update(n=2**17, p=9), "scrypt"),
        (lambda d: d["kdf"].update(r=2**20, n=2**10), "scrypt"),
        (lambda d: d["kdf"].update(salt="AAAA"), "salt"),
        (lambda d: d["cipher"].update(nonce="AAAA"), "nonce"),
        (lambda d: d["cipher"].update(nonce="!"), "nonce"),
        (lambda d: d["cipher"].update(nonce=None), "nonce"),
        (lambda d: d.update(ciphertext=""), "ciphertext"),
        (lambda d: d.update(ciphertext="QR=="), "ciphertext"),
        (lambda d: d.update(ciphertext="QUI="), "passphrase is wrong"),
    ],
)
def test_headers_that_were_tampered_with_are_refused(
    backup: bytes, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    error = _refused(_edited(backup, edit))
    assert said in str(error)
    assert "\x1b" not in str(error)


@pytest.mark.parametrize(
    "spelling", [(b'"version":1', b'"version": 1'), (b'"version":1', b'"version":1,"version":1')]
)
def test_another_spelling_of_the_same_is_refused(
    backup: bytes, spelling: tuple[bytes, bytes]
) -> None:
    assert "members are not those that were written" in str(_refused(backup.replace(*spelling)))


@pytest.mark.parametrize("cost", [QUICK, ScryptCost(2**16, 8, 1), ScryptCost(2**18, 8, 1)])
async def test_costs_that_the_version_does_not_stand_for_are_refused(
    cost: ScryptCost, backup: bytes
) -> None:
    changed = _edited(backup, lambda document: document["kdf"].update(attrs.asdict(cost)))
    with pytest.raises(BackupError, match="scrypt"):
        await import_key_pairs(MemoryKeyStorage(), changed, PASSPHRASE)


async def test_a_machine_with_too_little_memory_is_told_how_much_it_takes(
    backup: bytes, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryptography.hazmat.primitives.kdf import scrypt

    class Starved:
        def __init__(self, **_: object) -> None: ...

        def derive(self, _: bytes) -> bytes:
            raise MemoryError

    monkeypatch.setattr(scrypt, "Scrypt", Starved)
    with pytest.raises(BackupError, match="MiB of memory"):
        await _import(MemoryKeyStorage(), backup)
    with pytest.raises(BackupError, match="128 MiB of memory"):
        await export_key_pairs(await _device(pair), OWNER, PASSPHRASE)


async def _sealed(content: Any) -> bytes:
    """A backup of this content, by a program that knows the passphrase and errs."""
    salt, nonce = bytes(16), bytes(12)
    header = {
        "format": "icure-key-backup",
        "version": 1,
        "minimumSdkVersion": "0.1.0",
        "dataOwnerId": OWNER,
        "kdf": {"name": "scrypt", "n": 2, "r": 8, "p": 1, "salt": base64.b64encode(salt).decode()},
        "cipher": {"name": "AES-256-GCM", "nonce": base64.b64encode(nonce).decode()},
    }
    key = Scrypt(salt=salt, length=32, n=2, r=8, p=1).derive(PASSPHRASE.encode())
    plaintext = content if isinstance(content, bytes) else orjson.dumps(content)
    ciphertext = AESGCM(key).encrypt(nonce, plaintext, orjson.dumps(header))
    return orjson.dumps({**header, "ciphertext": base64.b64encode(ciphertext).decode()})


@pytest.mark.parametrize(
    "content", [b"no JSON", [], {}, {"keyPairs": {}}, {"keyPairs": []}, {"keyPairs": ["x"]}]
)
async def test_what_a_faulty_program_wrote_is_refused(content: Any) -> None:
    keys = MemoryKeyStorage()
    with pytest.raises(BackupError, match="faulty program"):
        await _import(keys, await _sealed(content))
    assert await _items(keys) == {}


async def test_every_key_pair_is_checked_before_any_is_written(pairs: list[KeyPair]) -> None:
    stored = await _items(await _device(*pairs[:2]))
    good, bad = (json.loads(stored[name]) for name in sorted(stored))
    bad["privateKey"]["d"] = good["privateKey"]["d"]
    keys = MemoryKeyStorage()
    with pytest.raises(BackupError, match="not valid") as caught:
        await _import(keys, await _sealed({"keyPairs": [good, bad]}))
    assert_secret_free(caught.value, good["privateKey"]["d"], PASSPHRASE)
    assert await _items(keys) == {}


async def test_importing_twice_changes_nothing_and_writes_nothing(
    backup: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = MemoryKeyStorage()
    first = await _import(keys, backup)
    items = await _items(keys)

    async def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(keys, "store_key_pair", refuse)
    assert await _import(keys, backup) == first
    assert await _items(keys) == items


async def test_what_is_on_the_device_stays(backup: bytes, pairs: list[KeyPair]) -> None:
    keys = await _device(pairs[2])
    await keys.store_key_pair(OTHER, pairs[1])
    before = await _items(keys)
    await _import(keys, backup)
    after = await _items(keys)
    assert before.items() <= after.items()
    assert len(after) == len(before) + 2


async def test_an_import_that_broke_off_is_finished_by_the_next(
    backup: bytes, pairs: list[KeyPair]
) -> None:
    keys = MemoryKeyStorage()
    storing = keys.store_key_pair

    async def break_off(data_owner_id: str, key_pair: KeyPair) -> None:
        if key_pair == pairs[1]:
            raise StorageError("the disk is full")
        await storing(data_owner_id, key_pair)

    keys.store_key_pair = break_off  # type: ignore[method-assign]
    with pytest.raises(StorageError):
        await _import(keys, backup)
    keys.store_key_pair = storing  # type: ignore[method-assign]
    await _import(keys, backup)
    assert await _items(keys) == await _items(await _device(*pairs[:2]))


async def test_another_key_pair_of_that_name_is_not_overwritten(
    pairs: list[KeyPair], twin: KeyPair
) -> None:
    keys = await _device(twin)
    before = await _items(keys)
    data = await _export(await _device(pairs[1], pairs[0]))
    with pytest.raises(BackupError, match="another key pair"):
        await _import(keys, data)
    assert await _items(keys) == before


async def test_a_damaged_item_in_the_place_is_not_overwritten(
    backup: bytes, pairs: list[KeyPair]
) -> None:
    keys = MemoryKeyStorage()
    name = f"{OWNER}.{pairs[1].fingerprint}"
    await keys.storage.set_item(name, '{"publicKey":{},"privateKey":{}}')
    before = await _items(keys)
    with pytest.raises(StorageError, match="no usable key pair"):
        await _import(keys, backup)
    assert await _items(keys) == before


async def test_without_key_pairs_there_is_nothing_to_export() -> None:
    with pytest.raises(BackupError, match=f"No key pair of data owner {OWNER}"):
        await _export(MemoryKeyStorage())


async def test_invalid_key_pairs_are_not_exported(pairs: list[KeyPair]) -> None:
    mixed = KeyPair(pairs[0].public_key, pairs[1].private_key)
    with pytest.raises(BackupError, match="does not belong to the public key") as caught:
        await write_backup(KeyBackup(OWNER, (pairs[2], mixed)), PASSPHRASE, _cost=QUICK)
    assert_secret_free(caught.value, mixed.private_key, pairs[2].private_key, PASSPHRASE)


@pytest.mark.parametrize("owner", ["", "a\nb", "x" * 257])
async def test_bad_data_owner_ids_are_refused(pair: KeyPair, owner: str) -> None:
    with pytest.raises(ValidationError, match="data owner id"):
        await write_backup(KeyBackup(owner, (pair,)), PASSPHRASE, _cost=QUICK)


async def test_more_than_can_be_read_again_is_not_written(
    pair: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icure_async.storage.backup.MAX_BACKUP_BYTES", 2000)
    with pytest.raises(BackupError, match="too many for one backup"):
        await write_backup(KeyBackup(OWNER, (pair,)), PASSPHRASE, _cost=QUICK)


async def test_keys_are_derived_in_another_thread(
    pair: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    import icure_async.storage._sealing as sealing

    threads: list[threading.Thread] = []
    derive = sealing._derive

    def watched(*arguments: Any) -> bytes:
        threads.append(threading.current_thread())
        return derive(*arguments)

    monkeypatch.setattr(sealing, "_derive", watched)
    await _import(MemoryKeyStorage(), await _export(await _device(pair)))
    assert len(threads) == 2
    assert threading.main_thread() not in threads


async def test_neither_a_repr_nor_the_log_shows_a_key(
    backup: bytes, pairs: list[KeyPair], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        restored = await _import(MemoryKeyStorage(), backup)
        await restore_backup(MemoryKeyStorage(), restored)
    assert repr(restored) == f"KeyBackup(data_owner_id={OWNER!r})"
    for secret in (PASSPHRASE, pairs[0].private_key):
        assert secret not in caplog.text
