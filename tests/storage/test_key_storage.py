from __future__ import annotations

import asyncio
import functools
import json
import logging
import re
import shlex
import subprocess
import threading
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from icure_async.errors import StorageError, ValidationError
from icure_async.models.key_pair import KeyPair
from icure_async.storage import (
    FileKeyStorage,
    FileStorage,
    KeyStorage,
    MemoryKeyStorage,
    MemoryStorage,
    PostgresStorage,
    Storage,
    StorageKeyStorage,
    jwk,
)
from tests.support.key_documents import compact, document_of, secrets_of
from tests.support.leaks import assert_secret_free

OWNER = "47a0e3f8-6f4d-4133-ab98-4ff2de8d8e26"
OTHER = "11b57f9c-8813-4491-be50-8d7f92700fde"
PREFIX = "org.taktik.icure.rsa."


@pytest.fixture(
    params=["memory", "files", pytest.param("postgres", marks=pytest.mark.postgres)],
)
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    if request.param == "postgres":
        async with PostgresStorage(request.getfixturevalue("postgres_url")) as postgres:
            yield postgres
    else:
        yield MemoryStorage() if request.param == "memory" else FileStorage(tmp_path / "keys")


@pytest.fixture
def keys(storage: Storage) -> StorageKeyStorage:
    return StorageKeyStorage(storage)


def name_of(pair: KeyPair, owner: str = OWNER) -> str:
    return f"{owner}.{pair.fingerprint}"


def full_text(pair: KeyPair) -> str:
    document = document_of(pair)
    document["publicKey"]["key_ops"] = ["encrypt"]
    document["privateKey"].update({"alg": "RSA-OAEP", "ext": True, "key_ops": ["decrypt"]})
    return json.dumps(document)


def broken_texts(pair: KeyPair, other: KeyPair) -> dict[str, str]:
    text = compact(document_of(pair))
    mangled = document_of(pair)
    mangled["privateKey"]["d"] = "*" + mangled["privateKey"]["d"]
    wrong = document_of(pair)
    wrong["privateKey"]["qi"] = wrong["privateKey"]["dp"]
    mismatch = document_of(pair)
    mismatch["privateKey"] = document_of(other)["privateKey"]
    return {
        "truncated": text[:-40],
        "mangled": compact(mangled),
        "no key": compact(wrong),
        "mismatch": compact(mismatch),
        "another key": compact(document_of(other)),
        "not an object": compact([1]),
    }


def test_classes_serve_as_the_protocols(tmp_path: Path) -> None:
    storages: list[Storage] = [MemoryStorage(), FileStorage(tmp_path)]
    key_storages: list[KeyStorage] = [
        MemoryKeyStorage(),
        FileKeyStorage(tmp_path),
        *(StorageKeyStorage(storage) for storage in storages),
    ]
    assert len(key_storages) == 4


async def test_store_get_list_remove(
    keys: StorageKeyStorage, storage: Storage, pairs: list[KeyPair]
) -> None:
    assert keys.storage is storage
    first, second, third = pairs
    assert await keys.get_key_pair(OWNER, first.fingerprint) is None
    assert await keys.list_key_pairs(OWNER) == []
    await keys.store_key_pair(OWNER, first)
    await keys.store_key_pair(OWNER, second)
    await keys.store_key_pair(OTHER, third)
    assert await storage.list_items() == sorted(
        [name_of(first), name_of(second), name_of(third, OTHER)]
    )
    assert await storage.get_item(name_of(first)) == compact(document_of(first))
    for reader in (keys, StorageKeyStorage(storage)):
        assert await reader.get_key_pair(OWNER, first.fingerprint) == first
        assert await reader.get_key_pair(OWNER, first.fingerprint.upper()) == first
        assert await reader.get_key_pair(OWNER, first.public_key) == first
        assert await reader.get_key_pair(OWNER, third.fingerprint) is None
        assert await reader.list_key_pairs(OWNER) == sorted(
            [first, second], key=lambda pair: pair.fingerprint
        )
        assert await reader.list_key_pairs(OTHER) == [third]
        assert await reader.list_key_pairs("nobody") == []
        assert await reader.list_key_pairs(OWNER[:-1]) == []
    await keys.remove_key_pair(OWNER, first.fingerprint)
    await keys.remove_key_pair(OWNER, first.fingerprint)
    await keys.remove_key_pair("nobody", first.fingerprint)
    assert await keys.get_key_pair(OWNER, first.fingerprint) is None
    assert await keys.list_key_pairs(OWNER) == [second]


async def test_golden_keys(
    keys: StorageKeyStorage, storage: Storage, golden_pairs: list[tuple[str, KeyPair]]
) -> None:
    for owner, pair in golden_pairs:
        await keys.store_key_pair(owner, pair)
        assert await StorageKeyStorage(storage).get_key_pair(owner, pair.fingerprint) == pair
        assert await storage.get_item(name_of(pair, owner)) == compact(document_of(pair))
    for owner in {owner for owner, _ in golden_pairs}:
        expected = {pair for of, pair in golden_pairs if of == owner}
        assert set(await keys.list_key_pairs(owner)) == expected


async def test_upper_case_pair(keys: StorageKeyStorage, storage: Storage, pair: KeyPair) -> None:
    await keys.store_key_pair(OWNER, KeyPair(pair.public_key.upper(), pair.private_key.upper()))
    assert await storage.list_items() == [name_of(pair)]
    assert await keys.get_key_pair(OWNER, pair.fingerprint) == pair


async def test_names_of_the_base_library(
    keys: StorageKeyStorage, storage: Storage, pairs: list[KeyPair]
) -> None:
    first, second, third = pairs
    await storage.set_item(f"{PREFIX}{name_of(first)}", full_text(first))
    await storage.set_item(f"{PREFIX}{OWNER}", full_text(second))
    await storage.set_item(f"{PREFIX}{OTHER}", full_text(third))
    await storage.set_item(f"{OWNER}.note", "not a key")
    await storage.set_item(f"{OWNER}.sub.{first.fingerprint}", "another owner's")
    assert await keys.get_key_pair(OWNER, first.fingerprint) == first
    assert await keys.get_key_pair(OWNER, second.fingerprint) == second
    assert await keys.get_key_pair(OWNER, third.fingerprint) is None
    assert await keys.list_key_pairs(OWNER) == [first, second]
    await keys.store_key_pair(OWNER, second)
    await keys.store_key_pair(OWNER, first)
    assert sorted(await keys.list_key_pairs(OWNER), key=str) == sorted([first, second], key=str)
    await keys.remove_key_pair(OWNER, second.fingerprint)
    assert await storage.get_item(f"{PREFIX}{OWNER}") is None
    assert await keys.list_key_pairs(OWNER) == [first]
    await keys.remove_key_pair(OWNER, first.fingerprint)
    assert await keys.list_key_pairs(OWNER) == []
    assert await keys.list_key_pairs(OTHER) == [third]


async def test_removal_leaves_other_keys(
    keys: StorageKeyStorage, storage: Storage, pairs: list[KeyPair]
) -> None:
    first, second, _ = pairs
    await storage.set_item(f"{PREFIX}{OWNER}", full_text(first))
    await storage.set_item(name_of(second), full_text(first))
    with pytest.raises(StorageError, match="another key than its name says"):
        await keys.remove_key_pair(OWNER, second.fingerprint)
    assert await storage.get_item(name_of(second)) == full_text(first)
    await storage.set_item(name_of(second), "broken")
    await keys.remove_key_pair(OWNER, second.fingerprint)
    assert await storage.list_items() == [f"{PREFIX}{OWNER}"]


@pytest.mark.parametrize(
    "text", ["{}", '{"publicKey":null,"privateKey":null}', '{"publicKey":{"kty":"RSA"}}']
)
async def test_item_without_both_halves_is_no_key_pair(
    keys: StorageKeyStorage, storage: Storage, pair: KeyPair, text: str
) -> None:
    await storage.set_item(name_of(pair), text)
    assert await keys.get_key_pair(OWNER, pair.fingerprint) is None
    assert await keys.list_key_pairs(OWNER) == []
    await keys.store_key_pair(OWNER, pair)
    assert await keys.get_key_pair(OWNER, pair.fingerprint) == pair


@pytest.mark.parametrize("public", [{}, {"publicKey": None}])
async def test_a_private_half_alone_is_a_key_pair(
    keys: StorageKeyStorage, storage: Storage, pair: KeyPair, public: dict[str, None]
) -> None:
    text = compact({**public, "privateKey": document_of(pair)["privateKey"]})
    await storage.set_item(name_of(pair), text)
    assert await keys.get_key_pair(OWNER, pair.fingerprint) == pair
    assert await keys.list_key_pairs(OWNER) == [pair]
    await keys.store_key_pair(OWNER, pair)
    assert await storage.get_item(name_of(pair)) != text


@pytest.mark.parametrize(
    "kind", ["truncated", "mangled", "no key", "mismatch", "another key", "not an object"]
)
async def test_broken_item(
    keys: StorageKeyStorage,
    storage: Storage,
    pairs: list[KeyPair],
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pair, other, good = pairs
    secrets = [*secrets_of(pair), *secrets_of(other)]
    text = broken_texts(pair, other)[kind]
    await storage.set_item(name_of(pair), text)

    for attempt in (
        keys.get_key_pair(OWNER, pair.fingerprint),
        keys.list_key_pairs(OWNER),
        keys.store_key_pair(OWNER, pair),
    ):
        with pytest.raises(StorageError) as caught:
            await attempt
        assert name_of(pair) in str(caught.value)
        assert_secret_free(caught.value, *secrets)
    assert await storage.get_item(name_of(pair)) == text

    caplog.clear()
    await keys.store_key_pair(OWNER, good)
    assert await keys.list_key_pairs(OWNER) == [good]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert name_of(pair) in caplog.text
    await storage.set_item(f"{PREFIX}{name_of(pair)}", full_text(pair))
    assert await keys.get_key_pair(OWNER, pair.fingerprint) == pair
    for secret in secrets:
        assert secret not in caplog.text


async def test_item_that_is_not_text(
    pairs: list[KeyPair], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair, good, _ = pairs
    keys = FileKeyStorage(tmp_path)
    await keys.store_key_pair(OWNER, good)
    path = tmp_path / name_of(pair)
    path.write_bytes(b"\xff")
    path.chmod(0o600)
    (tmp_path / f"{PREFIX}{name_of(pair)}").symlink_to(path)
    with pytest.raises(StorageError, match="is not UTF-8"):
        await keys.get_key_pair(OWNER, pair.fingerprint)
    assert await keys.list_key_pairs(OWNER) == [good]
    assert caplog.text.count(name_of(pair)) >= 2


async def test_another_private_key_is_never_overwritten(
    keys: StorageKeyStorage, storage: Storage, pair: KeyPair, twin: KeyPair
) -> None:
    await keys.store_key_pair(OWNER, pair)
    with pytest.raises(StorageError, match="never overwritten") as caught:
        await keys.store_key_pair(OWNER, twin)
    assert_secret_free(caught.value, *secrets_of(pair), *secrets_of(twin))
    assert await keys.get_key_pair(OWNER, pair.fingerprint) == pair
    # The same fingerprint, and yet two keys: a list shows both.
    await storage.set_item(f"{PREFIX}{OWNER}", full_text(twin))
    assert await keys.list_key_pairs(OWNER) == [pair, twin]


async def test_storing_again(keys: StorageKeyStorage, storage: Storage, pair: KeyPair) -> None:
    for text in (compact(document_of(pair)), full_text(pair), "", "\n"):
        await storage.set_item(name_of(pair), text)
        await keys.store_key_pair(OWNER, pair)
        assert await storage.get_item(name_of(pair)) == compact(document_of(pair))


async def test_invalid_pair_is_not_written(
    keys: StorageKeyStorage, storage: Storage, pairs: list[KeyPair]
) -> None:
    first, second, _ = pairs
    for bad in (
        KeyPair(first.public_key, second.private_key),
        KeyPair(first.public_key, ""),
        KeyPair("", first.private_key),
    ):
        with pytest.raises(ValidationError) as caught:
            await keys.store_key_pair(OWNER, bad)
        assert_secret_free(caught.value, *secrets_of(first), *secrets_of(second))
    assert await storage.list_items() == []


@pytest.mark.parametrize("owner", ["", "a/b", "a\\b", "a\nb", "a\0b", "\x7f", "\x85", "\ud800"])
async def test_invalid_data_owner_id(keys: StorageKeyStorage, pair: KeyPair, owner: str) -> None:
    for attempt in (
        keys.get_key_pair(owner, pair.fingerprint),
        keys.list_key_pairs(owner),
        keys.store_key_pair(owner, pair),
        keys.remove_key_pair(owner, pair.fingerprint),
    ):
        with pytest.raises(ValidationError, match="data owner id"):
            await attempt


async def test_data_owner_id_too_long_for_a_file(tmp_path: Path, pair: KeyPair) -> None:
    keys = FileKeyStorage(tmp_path)
    with pytest.raises(ValidationError, match="too long"):
        await keys.store_key_pair("x" * 230, pair)
    assert await FileStorage(tmp_path).list_items() == []


@pytest.mark.parametrize("fingerprint", ["", "abc", "z" * 32, "0" * 31 + "\n", "../" * 11])
async def test_invalid_fingerprint(keys: StorageKeyStorage, fingerprint: str) -> None:
    with pytest.raises(ValidationError, match="fingerprint"):
        await keys.get_key_pair(OWNER, fingerprint)
    with pytest.raises(ValidationError, match="fingerprint"):
        await keys.remove_key_pair(OWNER, fingerprint)


class ForgetfulStorage(MemoryStorage):
    """Claims to write, and cuts the end off, or keeps nothing."""

    def __init__(self, kept: int) -> None:
        super().__init__()
        self._kept = kept

    async def set_item(self, name: str, value: str) -> None:
        if self._kept:
            await super().set_item(name, value[: self._kept])


@pytest.mark.parametrize("kept", [0, 100, -1])
async def test_key_that_does_not_read_back(pair: KeyPair, kept: int) -> None:
    with pytest.raises(StorageError, match="does not read back") as caught:
        await StorageKeyStorage(ForgetfulStorage(kept)).store_key_pair(OWNER, pair)
    assert_secret_free(caught.value, *secrets_of(pair))


class ForeignStorage(MemoryStorage):
    """An application's storage that hands out invalid Unicode."""

    async def get_item(self, name: str) -> str | None:
        return "\ud800"


async def test_storage_with_invalid_text(pair: KeyPair) -> None:
    keys = StorageKeyStorage(ForeignStorage())
    with pytest.raises(StorageError, match="no usable key pair"):
        await keys.get_key_pair(OWNER, pair.fingerprint)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o666])
@pytest.mark.parametrize("kind", ["FileKeyStorage", "StorageKeyStorage"])
async def test_exposed_key_file(tmp_path: Path, pairs: list[KeyPair], mode: int, kind: str) -> None:
    folder = tmp_path / "folder with space"
    pair, good, _ = pairs
    keys = (
        FileKeyStorage(folder)
        if kind == "FileKeyStorage"
        else StorageKeyStorage(FileStorage(folder))
    )
    await keys.store_key_pair(OWNER, pair)
    await keys.store_key_pair(OWNER, good)
    path = folder / name_of(pair)
    path.chmod(mode)
    for attempt in (
        keys.get_key_pair(OWNER, pair.fingerprint),
        keys.list_key_pairs(OWNER),
        keys.store_key_pair(OWNER, pair),
    ):
        with pytest.raises(StorageError) as caught:
            await attempt
        message = str(caught.value)
        assert str(path) in message
        assert f"{mode:04o}" in message
        assert_secret_free(caught.value, *secrets_of(pair))
    assert await keys.get_key_pair(OWNER, good.fingerprint) == good
    command = message[message.index("chmod 600 ") :]
    assert command == f"chmod 600 {shlex.quote(str(path))}"
    await to_thread.run_sync(partial(subprocess.run, ["/bin/sh", "-c", command], check=True))
    assert await keys.get_key_pair(OWNER, pair.fingerprint) == pair
    path.chmod(mode)
    await keys.remove_key_pair(OWNER, pair.fingerprint)
    assert not path.exists()


async def test_file_modes_and_names(tmp_path: Path, pair: KeyPair) -> None:
    keys = FileKeyStorage(tmp_path / "a" / "b")
    await keys.store_key_pair(OWNER, pair)
    assert keys.directory == tmp_path / "a" / "b"
    path = keys.directory / name_of(pair)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.directory.stat().st_mode & 0o777 == 0o700
    assert path.read_text() == compact(document_of(pair))


async def test_validation_happens_once_and_in_a_thread(
    monkeypatch: pytest.MonkeyPatch, pairs: list[KeyPair]
) -> None:
    calls: list[str] = []
    main = threading.current_thread()

    def watched(name: str) -> Any:
        function = getattr(jwk, name)

        def call(*args: object) -> object:
            assert threading.current_thread() is not main
            calls.append(name)
            return function(*args)

        return call

    for name in ("validate", "key_pair_from_document"):
        monkeypatch.setattr(jwk, name, watched(name))
    storage = MemoryStorage()
    keys = StorageKeyStorage(storage)
    pair = pairs[0]
    await keys.store_key_pair(OWNER, pair)
    for _ in range(3):
        assert await keys.get_key_pair(OWNER, pair.fingerprint) == pair
        assert await keys.list_key_pairs(OWNER) == [pair]
    assert calls == ["validate"]
    other = StorageKeyStorage(storage)
    for _ in range(3):
        assert await other.get_key_pair(OWNER, pair.fingerprint) == pair
    assert calls == ["validate", "key_pair_from_document"]
    # A changed item is another item.
    await storage.set_item(name_of(pair), full_text(pair))
    assert await other.get_key_pair(OWNER, pair.fingerprint) == pair
    assert len(calls) == 3


async def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch, pairs: list[KeyPair]) -> None:
    monkeypatch.setattr("icure_async.storage.key_storage._CACHE_SIZE", 2)
    keys = MemoryKeyStorage()
    for pair in pairs:
        await keys.store_key_pair(OWNER, pair)
        await keys.get_key_pair(OWNER, pair.fingerprint)
    assert list(keys._validated.values()) == pairs[1:]
    await keys.get_key_pair(OWNER, pairs[1].fingerprint)
    assert list(keys._validated.values()) == [pairs[2], pairs[1]]
    await keys.remove_key_pair(OWNER, pairs[1].fingerprint)
    assert list(keys._validated.values()) == [pairs[2]]


async def test_repr_shows_no_key(tmp_path: Path, pair: KeyPair) -> None:
    memory = MemoryKeyStorage()
    files = FileKeyStorage(tmp_path)
    for keys in (memory, files):
        await keys.store_key_pair(OWNER, pair)
    assert repr(memory) == "MemoryKeyStorage(<MemoryStorage with 1 item>)"
    assert repr(files) == f"FileKeyStorage({str(tmp_path)!r})"
    assert repr(StorageKeyStorage(FileStorage(tmp_path))) == (
        f"StorageKeyStorage(FileStorage({str(tmp_path)!r}))"
    )


async def test_nothing_is_logged_in_normal_use(
    keys: StorageKeyStorage, pair: KeyPair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "icure_async")
    await keys.store_key_pair(OWNER, pair)
    await keys.list_key_pairs(OWNER)
    await keys.remove_key_pair(OWNER, pair.fingerprint)
    assert [record for record in caplog.records if record.name.startswith("icure_async")] == []


async def test_many_at_once(keys: StorageKeyStorage, pairs: Sequence[KeyPair]) -> None:
    await asyncio.gather(*(keys.store_key_pair(OWNER, pair) for pair in pairs for _ in range(3)))
    found = await asyncio.gather(
        *(keys.get_key_pair(OWNER, pair.fingerprint) for pair in pairs for _ in range(3))
    )
    assert set(found) == set(pairs)
    assert set(await keys.list_key_pairs(OWNER)) == set(pairs)


# Damage of a single bit, everywhere but in the digits of the numbers.


def flipped(text: str, position: int, bit: int) -> str | None:
    """Return the text with a bit changed, or None where it is no text any more."""
    data = bytearray(text.encode())
    data[position] ^= 1 << bit
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def outside_of_numbers(text: str) -> list[int]:
    numbers = [match.span(1) for match in re.finditer(r'"([\w-]{20,})"', text)]
    return [
        position
        for position in range(len(text))
        if not any(begin <= position < end for begin, end in numbers)
    ]


@pytest.mark.parametrize("kind", ["ours", "fuller"])
async def test_a_key_with_a_damaged_bit_is_damaged_and_never_absent(
    pair: KeyPair, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = compact(document_of(pair)) if kind == "ours" else full_text(pair)
    assembled = functools.cache(lambda numbers: assemble(dict(numbers)))
    assemble = jwk._assemble
    # Most of the damage leaves the numbers as they are, and to validate them takes long.
    monkeypatch.setattr(jwk, "_assemble", lambda numbers: assembled(tuple(numbers.items())))
    outcomes: dict[str, int] = {"damaged": 0, "read": 0}
    positions = outside_of_numbers(text)
    assert len(positions) > 100
    for position in positions:
        for bit in range(8):
            damaged = flipped(text, position, bit)
            if damaged is None:
                continue
            storage = MemoryStorage()
            await storage.set_item(name_of(pair), damaged or "x")
            keys = StorageKeyStorage(storage)
            try:
                assert await keys.get_key_pair(OWNER, pair.fingerprint) == pair, damaged
                outcomes["read"] += 1
            except StorageError:
                with pytest.raises(StorageError):
                    await keys.list_key_pairs(OWNER)
                outcomes["damaged"] += 1
    assert outcomes["damaged"] > outcomes["read"] > 0


@pytest.mark.parametrize(
    "text",
    [
        '{"publicKey":{"kty":"RSA"},"privateKex":{"kty":"RSA"}}',
        '{"publicKey":null,"privateKey":null,"private":{}}',
        '{"keyPair":{"publicKey":{},"privateKey":{}}}',
        '{"PrivateKey":1}',
        "[]",
        "null",
        "1",
        '"text"',
    ],
)
async def test_a_document_that_is_no_key_pair_is_an_error_and_stays(
    keys: StorageKeyStorage, storage: Storage, pair: KeyPair, text: str
) -> None:
    await storage.set_item(name_of(pair), text)
    for attempt in (
        keys.get_key_pair(OWNER, pair.fingerprint),
        keys.list_key_pairs(OWNER),
        keys.store_key_pair(OWNER, pair),
    ):
        with pytest.raises(StorageError, match=name_of(pair)):
            await attempt
    assert [key.problem is None for key in await keys.list_stored_keys()] == [False]
    assert await storage.get_item(name_of(pair)) == text
