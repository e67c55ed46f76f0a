"""Keys that are encrypted where they are stored."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keyring.backend
import keyring.backends.fail
import keyring.backends.null
import keyring.core
import keyring.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.errors import ConfigurationError, StorageError, ValidationError
from icure_async.models.key_pair import KeyPair
from icure_async.storage import EncryptedKeyStorage, FileKeyStorage, KeyStorage, MemoryStorage
from icure_async.storage._master_key import (
    RECORD_NAME,
    KeyringProtection,
    PassphraseProtection,
    Protection,
)
from icure_async.storage._sealing import DEFAULT_COST, ScryptCost
from icure_async.storage.encrypted import EncryptedStorage, protection_of
from tests.support.keyrings import MemoryKeyring, use_keyring
from tests.support.leaks import assert_secret_free

OWNER = "3b241101-e2bb-4255-8caf-4136c566a962"
PASSPHRASE = "four words are hard to guess"
WRONG = "four words are hard to guess!"
QUICK = ScryptCost(2, 8, 1)

Open = Callable[[], EncryptedKeyStorage]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture(params=["passphrase", "keyring"])
def open_keys(request: pytest.FixtureRequest, folder: Path, system_keyring: MemoryKeyring) -> Open:
    """Opens the folder anew, as a program that has just started does."""

    def opened() -> EncryptedKeyStorage:
        if request.param == "keyring":
            return EncryptedKeyStorage(folder, use_keyring=True)
        return _with_passphrase(folder)

    return opened


def _with_passphrase(folder: Path, passphrase: str = PASSPHRASE) -> EncryptedKeyStorage:
    return EncryptedKeyStorage(folder, passphrase=passphrase, _cost=QUICK)


def _contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()} if folder.exists() else {}


class TestKeys:
    async def test_what_one_program_stores_another_one_reads(
        self, open_keys: Open, pairs: list[KeyPair]
    ) -> None:
        here: KeyStorage = open_keys()
        for pair in pairs:
            await here.store_key_pair(OWNER, pair)
        there = open_keys()
        assert set(await there.list_key_pairs(OWNER)) == set(pairs)
        assert await there.get_key_pair(OWNER, pairs[0].fingerprint) == pairs[0]
        await there.remove_key_pair(OWNER, pairs[0].fingerprint)
        assert set(await open_keys().list_key_pairs(OWNER)) == set(pairs[1:])

    async def test_the_disk_shows_no_key(
        self, open_keys: Open, folder: Path, pair: KeyPair, system_keyring: MemoryKeyring
    ) -> None:
        await open_keys().store_key_pair(OWNER, pair)
        plain = FileKeyStorage(folder.with_name("plain"))
        await plain.store_key_pair(OWNER, pair)
        (content,) = _contents(plain.directory).values()
        private = json.loads(content)["privateKey"]
        contents = _contents(folder)
        assert contents.keys() == {f"{OWNER}.{pair.fingerprint}", RECORD_NAME}
        master_keys = list(system_keyring.entries.values())
        for name, written in contents.items():
            for secret in (PASSPHRASE, private["d"], private["n"], *master_keys):
                assert secret.encode() not in written
            assert (folder / name).stat().st_mode & 0o777 == 0o600

    async def test_a_folder_that_is_cleared_meanwhile_gets_a_new_master_key(
        self, open_keys: Open, folder: Path, pairs: list[KeyPair]
    ) -> None:
        keys = open_keys()
        await keys.store_key_pair(OWNER, pairs[0])
        shutil.rmtree(folder)
        assert await keys.list_key_pairs(OWNER) == []
        await keys.store_key_pair(OWNER, pairs[1])
        assert await open_keys().list_key_pairs(OWNER) == [pairs[1]]

    async def test_a_folder_that_is_made_anew_meanwhile_is_used_with_its_new_master_key(
        self, open_keys: Open, folder: Path, pairs: list[KeyPair]
    ) -> None:
        keys = open_keys()
        await keys.store_key_pair(OWNER, pairs[0])
        shutil.rmtree(folder)
        await open_keys().store_key_pair(OWNER, pairs[1])
        assert await keys.list_key_pairs(OWNER) == [pairs[1]]
        await keys.store_key_pair(OWNER, pairs[2])
        assert set(await open_keys().list_key_pairs(OWNER)) == set(pairs[1:])

    async def test_equal_keys_are_encrypted_differently(
        self, open_keys: Open, folder: Path, pair: KeyPair
    ) -> None:
        keys = open_keys()
        await keys.store_key_pair("a", pair)
        await keys.store_key_pair("b", pair)
        assert len(set(_contents(folder).values())) == 3

    async def test_reading_an_empty_folder_writes_nothing(
        self, open_keys: Open, folder: Path, system_keyring: MemoryKeyring
    ) -> None:
        keys = open_keys()
        assert await keys.list_key_pairs(OWNER) == []
        assert await keys.get_key_pair(OWNER, "a" * 32) is None
        assert _contents(folder.parent) == {}
        assert system_keyring.entries == {}

    async def test_items_that_were_exchanged_are_refused(
        self, open_keys: Open, folder: Path, pair: KeyPair
    ) -> None:
        keys = open_keys()
        await keys.store_key_pair("a", pair)
        await keys.store_key_pair("b", pair)
        (folder / f"a.{pair.fingerprint}").replace(folder / f"b.{pair.fingerprint}")
        with pytest.raises(StorageError, match="cannot be decrypted"):
            await open_keys().list_key_pairs("b")

    async def test_an_item_of_another_storage_is_refused(
        self, open_keys: Open, folder: Path, pair: KeyPair
    ) -> None:
        await open_keys().store_key_pair(OWNER, pair)
        other = folder.with_name("other")
        await _with_passphrase(other).store_key_pair(OWNER, pair)
        name = f"{OWNER}.{pair.fingerprint}"
        (folder / name).write_bytes((other / name).read_bytes())
        with pytest.raises(StorageError, match="cannot be decrypted"):
            await open_keys().get_key_pair(OWNER, pair.fingerprint)

    async def test_what_cannot_be_decrypted_is_not_overwritten(
        self, open_keys: Open, folder: Path, pair: KeyPair
    ) -> None:
        await open_keys().store_key_pair(OWNER, pair)
        file = folder / f"{OWNER}.{pair.fingerprint}"
        file.write_bytes(file.read_bytes()[:-8])
        before = _contents(folder)
        with pytest.raises(StorageError):
            await open_keys().store_key_pair(OWNER, pair)
        assert _contents(folder) == before

    async def test_a_key_that_is_not_encrypted_is_refused_and_kept(
        self, open_keys: Open, folder: Path, pair: KeyPair
    ) -> None:
        await FileKeyStorage(folder).store_key_pair(OWNER, pair)
        before = _contents(folder)
        with pytest.raises(StorageError, match="not encrypted"):
            await open_keys().get_key_pair(OWNER, pair.fingerprint)
        with pytest.raises(StorageError, match="not encrypted"):
            await open_keys().store_key_pair(OWNER, pair)
        assert _contents(folder) == before

    async def test_without_the_record_nothing_is_read_or_written(
        self, open_keys: Open, folder: Path, pairs: list[KeyPair]
    ) -> None:
        await open_keys().store_key_pair(OWNER, pairs[0])
        (folder / RECORD_NAME).unlink()
        before = _contents(folder)
        with pytest.raises(StorageError, match=RECORD_NAME):
            await open_keys().list_key_pairs(OWNER)
        with pytest.raises(StorageError, match=RECORD_NAME):
            await open_keys().store_key_pair(OWNER, pairs[1])
        assert _contents(folder) == before

    async def test_a_crash_after_the_record_is_repaired_by_repeating(
        self, open_keys: Open, folder: Path, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = open_keys()
        storage = keys.storage
        assert isinstance(storage, EncryptedStorage)
        files = storage._storage
        write = files.set_item

        async def only_the_record(name: str, value: str) -> None:
            if name != RECORD_NAME:
                raise StorageError("the disk is full")
            await write(name, value)

        monkeypatch.setattr(files, "set_item", only_the_record)
        with pytest.raises(StorageError, match="full"):
            await keys.store_key_pair(OWNER, pair)
        record = _contents(folder)
        assert record.keys() == {RECORD_NAME}
        again = open_keys()
        await again.store_key_pair(OWNER, pair)
        assert await open_keys().list_key_pairs(OWNER) == [pair]
        assert record.items() <= _contents(folder).items()

    async def test_a_record_that_does_not_read_back_encrypts_nothing(
        self, open_keys: Open, folder: Path, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys = open_keys()
        storage = keys.storage
        assert isinstance(storage, EncryptedStorage)

        async def forget(*_: object) -> None: ...

        monkeypatch.setattr(storage._storage, "set_item", forget)
        with pytest.raises(StorageError, match="does not read back"):
            await keys.store_key_pair(OWNER, pair)

    async def test_neither_a_repr_nor_the_log_shows_a_secret(
        self,
        open_keys: Open,
        folder: Path,
        pair: KeyPair,
        system_keyring: MemoryKeyring,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        keys = open_keys()
        with caplog.at_level(logging.DEBUG):
            await keys.store_key_pair(OWNER, pair)
            await open_keys().list_key_pairs(OWNER)
        assert repr(keys) == f"EncryptedKeyStorage({str(folder)!r})"
        shown = f"{keys.storage!r} {caplog.text}"
        for secret in (PASSPHRASE, pair.private_key, *system_keyring.entries.values()):
            assert secret not in shown

    async def test_tasks_and_objects_that_start_at_once_share_one_master_key(
        self, open_keys: Open, pairs: list[KeyPair]
    ) -> None:
        storages = [open_keys() for _ in range(4)]
        await asyncio.gather(
            *(keys.store_key_pair(f"owner-{n}", pairs[n % 3]) for n, keys in enumerate(storages)),
            *(keys.store_key_pair(f"other-{n}", pairs[n % 3]) for n, keys in enumerate(storages)),
        )
        later = open_keys()
        for n in range(4):
            assert await later.list_key_pairs(f"owner-{n}") == [pairs[n % 3]]
            assert await later.list_key_pairs(f"other-{n}") == [pairs[n % 3]]


class TestPassphrase:
    async def test_a_wrong_one_is_an_error_and_writes_nothing(
        self, folder: Path, pairs: list[KeyPair]
    ) -> None:
        await _with_passphrase(folder).store_key_pair(OWNER, pairs[0])
        before = _contents(folder)
        wrong = _with_passphrase(folder, WRONG)
        for attempt in (
            wrong.list_key_pairs(OWNER),
            wrong.get_key_pair(OWNER, pairs[0].fingerprint),
            wrong.store_key_pair(OWNER, pairs[0]),
            wrong.store_key_pair(OWNER, pairs[1]),
        ):
            with pytest.raises(StorageError, match="the passphrase is wrong") as caught:
                await attempt
            assert_secret_free(caught.value, WRONG, PASSPHRASE, pairs[0].private_key)
        assert _contents(folder) == before

    async def test_it_is_derived_once(
        self, folder: Path, pairs: list[KeyPair], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import icure_async.storage._sealing as sealing

        threads: list[threading.Thread] = []
        derive = sealing._derive

        def watched(*arguments: Any) -> bytes:
            threads.append(threading.current_thread())
            return derive(*arguments)

        monkeypatch.setattr(sealing, "_derive", watched)
        keys = _with_passphrase(folder)
        for pair in pairs:
            await keys.store_key_pair(OWNER, pair)
        await keys.list_key_pairs(OWNER)
        assert len(threads) == 1
        wrong = _with_passphrase(folder, WRONG)
        for _ in range(3):
            with pytest.raises(StorageError):
                await wrong.list_key_pairs(OWNER)
        assert len(threads) == 2
        assert threading.main_thread() not in threads

    async def test_the_default_cost_is_that_of_backups(self, folder: Path, pair: KeyPair) -> None:
        keys = EncryptedKeyStorage(folder, passphrase=PASSPHRASE)
        await keys.store_key_pair(OWNER, pair)
        kdf = json.loads((folder / RECORD_NAME).read_text())["kdf"]
        assert (kdf["n"], kdf["r"], kdf["p"]) == (2**17, 8, 1)
        assert DEFAULT_COST.n == 2**17
        again = EncryptedKeyStorage(folder, passphrase=PASSPHRASE)
        assert await again.list_key_pairs(OWNER) == [pair]

    async def test_a_record_that_costs_something_else_is_refused(
        self, folder: Path, pair: KeyPair
    ) -> None:
        await _with_passphrase(folder).store_key_pair(OWNER, pair)
        with pytest.raises(StorageError, match="scrypt"):
            await EncryptedKeyStorage(folder, passphrase=PASSPHRASE).list_key_pairs(OWNER)

    async def test_a_short_one_is_refused_for_a_new_folder(
        self, folder: Path, pair: KeyPair
    ) -> None:
        with pytest.raises(ValidationError, match="fewer than 12"):
            await _with_passphrase(folder, "short").store_key_pair(OWNER, pair)
        assert _contents(folder) == {}

    @pytest.mark.parametrize("passphrase", ["", b"bytes", "\ud800"])
    def test_what_is_none_is_refused(self, folder: Path, passphrase: Any) -> None:
        with pytest.raises(ValidationError):
            _with_passphrase(folder, passphrase)

    def test_one_of_the_two_has_to_be_chosen(self, folder: Path) -> None:
        for options in ({}, {"passphrase": PASSPHRASE, "use_keyring": True}):
            with pytest.raises(ConfigurationError, match="either a passphrase or use_keyring"):
                EncryptedKeyStorage(folder, **options)  # type: ignore[arg-type]

    async def test_a_machine_with_too_little_memory_is_told(
        self, folder: Path, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from cryptography.hazmat.primitives.kdf import scrypt

        class Starved:
            def __init__(self, **_: object) -> None: ...

            def derive(self, _: bytes) -> bytes:
                raise MemoryError

        monkeypatch.setattr(scrypt, "Scrypt", Starved)
        keys = EncryptedKeyStorage(folder, passphrase=PASSPHRASE)
        with pytest.raises(StorageError, match="128 MiB"):
            await keys.store_key_pair(OWNER, pair)
        assert _contents(folder) == {}


class TestSystemKeyring:
    async def test_it_holds_the_key_and_is_asked_in_another_thread(
        self, folder: Path, pair: KeyPair, system_keyring: MemoryKeyring
    ) -> None:
        await EncryptedKeyStorage(folder, use_keyring=True).store_key_pair(OWNER, pair)
        ((place, text),) = system_keyring.entries.items()
        record = json.loads((folder / RECORD_NAME).read_text())
        assert place == (record["service"], record["account"])
        assert place[0] == "icure-sdk"
        assert len(base64.b64decode(text)) == 32
        assert system_keyring.threads
        assert threading.main_thread() not in system_keyring.threads

    async def test_folders_have_keys_of_their_own(
        self, tmp_path: Path, pair: KeyPair, system_keyring: MemoryKeyring
    ) -> None:
        for name in ("a", "b"):
            await EncryptedKeyStorage(tmp_path / name, use_keyring=True).store_key_pair(OWNER, pair)
        assert len(set(system_keyring.entries.values())) == 2

    @pytest.mark.parametrize(
        "backend", [keyring.backends.fail.Keyring, keyring.backends.null.Keyring]
    )
    async def test_a_machine_without_one_is_told_the_alternatives(
        self,
        folder: Path,
        pair: KeyPair,
        backend: type[keyring.backend.KeyringBackend],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        use_keyring(monkeypatch, backend())
        with pytest.raises(StorageError) as caught:
            await EncryptedKeyStorage(folder, use_keyring=True).store_key_pair(OWNER, pair)
        assert "passphrase" in str(caught.value)
        assert "FileKeyStorage" in str(caught.value)
        assert _contents(folder) == {}

    async def test_a_backend_that_raises_tells_nothing_of_the_key(
        self, folder: Path, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []

        class Talkative(MemoryKeyring):
            def set_password(self, service: str, username: str, password: str) -> None:
                seen.append(password)
                raise RuntimeError(f"cannot keep {password}")

        use_keyring(monkeypatch, Talkative())
        with pytest.raises(StorageError, match="RuntimeError") as caught:
            await EncryptedKeyStorage(folder, use_keyring=True).store_key_pair(OWNER, pair)
        assert_secret_free(caught.value, *seen)
        assert _contents(folder) == {}

    async def test_a_locked_one_may_be_unlocked_and_the_call_repeated(
        self, folder: Path, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Lockable(MemoryKeyring):
            locked = False

            def get_password(self, service: str, username: str) -> str | None:
                if self.locked:
                    raise keyring.errors.KeyringLocked
                return super().get_password(service, username)

        backend = Lockable()
        use_keyring(monkeypatch, backend)
        await EncryptedKeyStorage(folder, use_keyring=True).store_key_pair(OWNER, pair)
        backend.locked = True
        keys = EncryptedKeyStorage(folder, use_keyring=True)
        with pytest.raises(StorageError, match="KeyringLocked"):
            await keys.list_key_pairs(OWNER)
        backend.locked = False
        assert await keys.list_key_pairs(OWNER) == [pair]

    async def test_without_the_extra_its_name_is_told(
        self, folder: Path, pair: KeyPair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "keyring", None)
        with pytest.raises(ConfigurationError, match=r"icure-async\[keyring\]"):
            await EncryptedKeyStorage(folder, use_keyring=True).store_key_pair(OWNER, pair)
        assert _contents(folder) == {}

    @pytest.mark.parametrize(
        ("entry", "said"),
        [
            (None, "has no key for this encrypted storage"),
            ("garbage", "has no key for this encrypted storage"),
            (base64.b64encode(bytes(32)).decode(), "is not the one of this encrypted storage"),
        ],
    )
    async def test_a_lost_or_exchanged_entry_is_an_error_and_writes_nothing(
        self,
        folder: Path,
        pairs: list[KeyPair],
        system_keyring: MemoryKeyring,
        entry: str | None,
        said: str,
    ) -> None:
        await EncryptedKeyStorage(folder, use_keyring=True).store_key_pair(OWNER, pairs[0])
        before = _contents(folder)
        (place,) = system_keyring.entries
        if entry is None:
            system_keyring.entries.clear()
        else:
            system_keyring.entries[place] = entry
        entries = dict(system_keyring.entries)
        keys = EncryptedKeyStorage(folder, use_keyring=True)
        for attempt in (keys.list_key_pairs(OWNER), keys.store_key_pair(OWNER, pairs[1])):
            with pytest.raises(StorageError, match=said):
                await attempt
        assert _contents(folder) == before
        assert system_keyring.entries == entries

    async def test_a_folder_is_not_opened_in_the_other_way(
        self, tmp_path: Path, pair: KeyPair, system_keyring: MemoryKeyring
    ) -> None:
        a, b = tmp_path / "a", tmp_path / "b"
        await EncryptedKeyStorage(a, use_keyring=True).store_key_pair(OWNER, pair)
        await _with_passphrase(b).store_key_pair(OWNER, pair)
        with pytest.raises(StorageError, match="use_keyring=True"):
            await _with_passphrase(a).list_key_pairs(OWNER)
        with pytest.raises(StorageError, match="set up with a passphrase"):
            await EncryptedKeyStorage(b, use_keyring=True).list_key_pairs(OWNER)


def _sealed(protection: Protection) -> dict[str, str]:
    async def seal() -> dict[str, str]:
        storage = MemoryStorage()
        await EncryptedStorage(storage, _protection=protection).set_item("name", "a secret value")
        return {name: str(await storage.get_item(name)) for name in await storage.list_items()}

    return asyncio.run(seal())


@pytest.fixture(scope="module")
def items() -> dict[str, str]:
    """The files that a storage with a passphrase writes for one item."""
    return _sealed(PassphraseProtection(PASSPHRASE, QUICK))


class TestDamage:
    def _refused(self, items: dict[str, str], protection: Protection) -> StorageError:
        async def read() -> None:
            storage = MemoryStorage()
            for name, value in items.items():
                await storage.set_item(name, value)
            await EncryptedStorage(storage, _protection=protection).get_item("name")

        with pytest.raises(StorageError) as caught:
            asyncio.run(read())
        return caught.value

    @given(st.data())
    def test_no_bit_of_an_item_or_of_the_record_can_change_unnoticed(
        self, items: dict[str, str], data: st.DataObject
    ) -> None:
        name = data.draw(st.sampled_from(sorted(items)))
        content = bytearray(items[name].encode())
        position = data.draw(st.integers(0, len(content) * 8 - 1))
        content[position // 8] ^= 1 << position % 8
        try:
            changed = content.decode()
        except UnicodeDecodeError:
            return  # a FileStorage refuses these itself
        if "\0" in changed:
            return
        error = self._refused(items | {name: changed}, PassphraseProtection(PASSPHRASE, QUICK))
        assert_secret_free(error, PASSPHRASE, "a secret value")

    @given(st.data())
    def test_no_bit_of_a_record_for_the_keyring_can_change_unnoticed(
        self, data: st.DataObject
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            use_keyring(patch, backend := MemoryKeyring())
            items = _sealed(KeyringProtection())
            (key,) = backend.entries.values()
            content = bytearray(items[RECORD_NAME].encode())
            position = data.draw(st.integers(0, len(content) * 7 - 1))
            content[position // 7] ^= 1 << position % 7
            changed = items | {RECORD_NAME: content.decode()}
            assert_secret_free(self._refused(changed, KeyringProtection()), key, "a secret value")

    @pytest.mark.parametrize("length", [0, 1, 18, 30, 40])
    def test_items_that_are_cut_off_are_refused(self, items: dict[str, str], length: int) -> None:
        protection = PassphraseProtection(PASSPHRASE, QUICK)
        self._refused(items | {"name": items["name"][:length]}, protection)
        self._refused(items | {RECORD_NAME: items[RECORD_NAME][:length]}, protection)

    def test_a_newer_version_says_so(self) -> None:
        newer = {
            "format": "icure-encrypted-storage",
            "version": 3,
            "minimumSdkVersion": "4.2",
        }
        items = {RECORD_NAME: json.dumps(newer), "name": "icure-encrypted-1.AAAA"}
        protection = PassphraseProtection(PASSPHRASE, QUICK)
        for kept in (protection, KeyringProtection()):
            assert "icure-async 4.2 or later" in str(self._refused(items, kept))


class TestEncryptedStorage:
    @pytest.fixture
    def storage(self) -> EncryptedStorage:
        return EncryptedStorage(
            MemoryStorage(), _protection=PassphraseProtection(PASSPHRASE, QUICK)
        )

    async def test_it_is_a_storage_like_any_other(self, storage: EncryptedStorage) -> None:
        await storage.set_item("b", "")
        await storage.set_item("a", "Zoë ✓ \0")
        assert await storage.list_items() == ["a", "b"]
        assert await storage.list_items("b") == ["b"]
        assert await storage.list_items("icure") == []
        assert (await storage.get_item("a"), await storage.get_item("b")) == ("Zoë ✓ \0", "")
        await storage.remove_item("a")
        await storage.remove_item("a")
        assert await storage.get_item("a") is None
        async with storage.lock("a") as lock:
            assert not lock.waited

    @pytest.mark.parametrize("stays", [True, False])
    async def test_a_record_that_goes_during_a_write_is_noticed(self, stays: bool) -> None:
        class Cleared(MemoryStorage):
            async def set_item(self, name: str, value: str) -> None:
                await super().set_item(name, value)
                if name == "b" and not stays:
                    await self.remove_item(RECORD_NAME)

        storage = EncryptedStorage(Cleared(), _protection=PassphraseProtection(PASSPHRASE, QUICK))
        await storage.set_item("a", "x")
        if stays:
            await storage.set_item("b", "x")
        else:
            with pytest.raises(StorageError, match="write it again"):
                await storage.set_item("b", "x")

    async def test_names_and_values_that_are_impossible_are_refused(
        self, storage: EncryptedStorage
    ) -> None:
        for name in ("", "\0", "\ud800", RECORD_NAME):
            for attempt in (
                storage.get_item(name),
                storage.set_item(name, "x"),
                storage.remove_item(name),
            ):
                with pytest.raises(ValidationError):
                    await attempt
        with pytest.raises(ValidationError):
            await storage.set_item("a", "\ud800")
        assert await storage._storage.list_items() == []

    async def test_how_it_is_protected_can_be_told(self, system_keyring: MemoryKeyring) -> None:
        plain, sealed, kept, broken = (MemoryStorage() for _ in range(4))
        await EncryptedStorage(
            sealed, _protection=PassphraseProtection(PASSPHRASE, QUICK)
        ).set_item("a", "b")
        await EncryptedStorage(kept, _protection=KeyringProtection()).set_item("a", "b")
        await broken.set_item(RECORD_NAME, "{")
        assert await protection_of(plain) is None
        assert await protection_of(sealed) == "passphrase"
        assert await protection_of(kept) == "keyring"
        with pytest.raises(StorageError, match="damaged"):
            await protection_of(broken)


PROGRAM = """
import asyncio, sys
from icure_async.models.key_pair import KeyPair
from icure_async.storage import EncryptedKeyStorage
from icure_async.storage._sealing import ScryptCost

folder, owner, public_key, private_key = sys.argv[1:]

async def main():
    keys = EncryptedKeyStorage(folder, passphrase="PASSPHRASE", _cost=ScryptCost(2, 8, 1))
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    sys.stdin.readline()
    await keys.store_key_pair(owner, KeyPair(public_key, private_key))

asyncio.run(main())
""".replace("PASSPHRASE", PASSPHRASE)


async def test_processes_that_start_at_once_end_with_one_master_key(
    folder: Path, pair: KeyPair
) -> None:
    count = 4
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, str(folder), f"owner-{n}"),
            *(pair.public_key, pair.private_key),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for n in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    for process in processes:
        await process.communicate()
        assert process.returncode == 0
    keys = _with_passphrase(folder)
    for n in range(count):
        assert await keys.list_key_pairs(f"owner-{n}") == [pair]
