"""Waiting for what may never end: a disk that hangs, a keyring that asks somebody."""

# The tests look at the disk themselves, on purpose.
# ruff: noqa: ASYNC240

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from icure_async.errors import StorageError
from icure_async.models.key_pair import KeyPair
from icure_async.storage import (
    EncryptedKeyStorage,
    FileKeyStorage,
    FileStorage,
    _file_locks,
    _keyring,
    _threads,
)
from icure_async.threads import STORAGE
from tests.support.keyrings import MemoryKeyring, use_keyring

OWNER = "3b241101-e2bb-4255-8caf-4136c566a962"
SOON = 0.1
LONG = 3.0
"""Seconds within which something that ends at once has ended, on any machine."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def storage(folder: Path) -> FileStorage:
    return FileStorage(folder)


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threads, "PATIENCE_SECONDS", SOON)


class Stuck:
    """Replaces a function by one that hangs until the test ends, or says otherwise."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        self.reached = threading.Event()
        self.over = threading.Event()
        self.calls = 0

    def __call__(self, *args: object, **kwargs: object) -> object:
        self.calls += 1
        self.reached.set()
        self.over.wait(20)
        return self._function(*args, **kwargs)

    async def wait_until_reached(self) -> None:
        assert await STORAGE.run_or_leave(lambda: self.reached.wait(10))


@pytest.fixture
def stick(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[object, str], Stuck]]:
    made: list[Stuck] = []

    def replace(owner: object, name: str) -> Stuck:
        stuck = Stuck(getattr(owner, name))
        made.append(stuck)
        # A function, so that it can be a method.
        monkeypatch.setattr(owner, name, lambda *args, **kwargs: stuck(*args, **kwargs))
        return stuck

    yield replace
    for stuck in made:
        stuck.over.set()


Stick = Callable[[object, str], Stuck]


def hidden_files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


class TestReading:
    @pytest.mark.parametrize("read", ["get_item", "get_item_and_mode", "list_items"])
    @pytest.mark.parametrize("how", ["asyncio", "anyio", "cancel"])
    async def test_one_that_is_cancelled_is_not_waited_for(
        self, storage: FileStorage, stick: Stick, read: str, how: str
    ) -> None:
        await storage.set_item("item", "value")
        stuck = stick(os, "scandir" if read == "list_items" else "open")
        begun = time.monotonic()
        reading = asyncio.ensure_future(getattr(storage, read)("item"))
        if how == "asyncio":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SOON):
                    await reading
        elif how == "anyio":
            with anyio.move_on_after(SOON) as scope:
                await reading
            assert scope.cancelled_caught
        else:
            await asyncio.sleep(SOON)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        assert stuck.calls == 1
        assert time.monotonic() - begun < LONG

    async def test_those_that_hang_take_nothing_from_the_others(
        self, storage: FileStorage, tmp_path: Path, stick: Stick
    ) -> None:
        await storage.set_item("item", "value")
        with pytest.MonkeyPatch.context() as patch:
            stuck = Stuck(os.open)
            patch.setattr(os, "open", stuck)
            reading = [asyncio.ensure_future(storage.get_item("item")) for _ in range(40)]
            await asyncio.sleep(SOON)
            for task in reading:
                task.cancel()
            await asyncio.wait(reading)
        assert await FileStorage(tmp_path / "other").get_item("item") is None
        assert await storage.get_item("item") == "value"
        stuck.over.set()


class TestWriting:
    @pytest.mark.usefixtures("short_patience")
    @pytest.mark.parametrize("change", ["set", "remove"])
    async def test_what_was_given_up_never_happens_later(
        self,
        storage: FileStorage,
        folder: Path,
        stick: Stick,
        caplog: pytest.LogCaptureFixture,
        change: str,
    ) -> None:
        await storage.set_item("item", "old")
        # In the middle of a write; and before a removal.
        stuck = stick(os, "fsync") if change == "set" else stick(Path, "lstat")
        call = storage.set_item("item", "new") if change == "set" else storage.remove_item("item")
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON):
                await call
        assert time.monotonic() - begun < LONG
        assert "'item' was cancelled, and has not ended within 0.1 s" in caplog.text
        stuck.over.set()
        # The next one comes after it.
        await storage.set_item("other", "1")
        await storage.remove_item("other")
        assert await _settled(lambda: hidden_files(folder) == [])
        assert await storage.get_item("item") == "old"

    @pytest.mark.usefixtures("short_patience")
    async def test_the_next_write_comes_after_one_that_is_stuck_in_its_last_step(
        self, storage: FileStorage, stick: Stick
    ) -> None:
        await storage.set_item("item", "old")
        stuck = stick(Path, "replace")
        first = asyncio.ensure_future(storage.set_item("item", "first"))
        await stuck.wait_until_reached()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.ensure_future(storage.set_item("item", "second"))
        # Another object, but the same file.
        third = asyncio.ensure_future(FileStorage(storage.directory).set_item("item", "third"))
        given_up = asyncio.ensure_future(storage.set_item("item", "given up"))
        await asyncio.sleep(SOON)
        assert not second.done()
        assert stuck.calls == 1
        begun = time.monotonic()
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert time.monotonic() - begun < LONG
        fourth = asyncio.ensure_future(storage.set_item("item", "fourth"))
        stuck.over.set()
        await asyncio.gather(second, third)
        await fourth
        assert await storage.get_item("item") == "fourth"
        assert stuck.calls == 4
        assert _threads._last == {}

    async def test_a_program_may_be_cancelled_at_any_moment_and_the_last_write_wins(
        self, storage: FileStorage
    ) -> None:
        for steps in range(30):
            task = asyncio.create_task(storage.set_item("item", "given up"))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await storage.set_item("item", f"last {steps}")
            await asyncio.gather(task, return_exceptions=True)
            assert await storage.get_item("item") == f"last {steps}"
        assert _threads._last == {}

    @pytest.mark.usefixtures("short_patience")
    async def test_a_key_that_was_given_up_is_not_stored(
        self, folder: Path, pair: KeyPair, stick: Stick
    ) -> None:
        keys = FileKeyStorage(folder)
        stuck = stick(os, "fsync")
        storing = asyncio.ensure_future(keys.store_key_pair(OWNER, pair))
        await stuck.wait_until_reached()
        storing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing
        stuck.over.set()
        assert await _settled(lambda: hidden_files(folder) == [])
        assert await keys.list_key_pairs(OWNER) == []
        await keys.store_key_pair(OWNER, pair)
        assert await keys.list_key_pairs(OWNER) == [pair]

    @pytest.mark.usefixtures("short_patience")
    async def test_a_lock_that_comes_when_nobody_waits_any_more_is_let_go_of(
        self, storage: FileStorage, stick: Stick
    ) -> None:
        await storage.set_item("item", "value")
        real = _file_locks._lock
        stuck = stick(_file_locks, "_lock")
        with anyio.move_on_after(SOON) as scope:
            async with storage.lock("name"):
                raise AssertionError("it is stuck")
        assert scope.cancelled_caught
        stuck.over.set()
        assert await _settled(lambda: hidden_files(storage.directory) == [])
        assert real is stuck._function
        async with storage.lock("name") as lock:
            assert not lock.waited

    @pytest.mark.usefixtures("short_patience")
    @pytest.mark.parametrize("cancelled", [True, False])
    async def test_letting_go_of_a_lock_holds_nobody_up(
        self,
        storage: FileStorage,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        cancelled: bool,
    ) -> None:
        stuck = Stuck(_file_locks.unlock)
        monkeypatch.setattr("icure_async.storage.files.unlock", stuck)
        begun = time.monotonic()
        with anyio.CancelScope() as scope:
            async with storage.lock("name"):
                if cancelled:
                    scope.cancel()
                await anyio.lowlevel.checkpoint()
        assert time.monotonic() - begun < LONG
        assert "To unlock the item 'name' has not ended within 0.1 s" in caplog.text
        stuck.over.set()
        async with storage.lock("name"):
            pass


async def _settled(is_so: Callable[[], bool]) -> bool:
    with anyio.move_on_after(30):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return is_so()


class Asking(MemoryKeyring):
    """A keyring that shows a prompt, which somebody may answer."""

    def __init__(self) -> None:
        super().__init__()
        self.asks = False
        self.prompts = 0
        self.answered = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self._ask()
        return super().get_password(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self._ask()
        super().set_password(service, username, password)

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]

    def _ask(self) -> None:
        if self.asks:
            self.prompts += 1
            self.answered.wait(20)


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    backend = Asking()
    use_keyring(monkeypatch, backend)
    monkeypatch.setattr(_keyring, "ANSWER_SECONDS", SOON)
    monkeypatch.setattr(_keyring, "_LAST_SECONDS", SOON)
    yield backend
    backend.answered.set()


class TestKeyring:
    def test_it_has_ten_seconds(self) -> None:
        assert _keyring.ANSWER_SECONDS == 10

    async def test_one_that_does_not_answer_is_an_error_that_says_so(
        self, folder: Path, pair: KeyPair, asking: Asking
    ) -> None:
        await EncryptedKeyStorage(folder, use_keyring=True).store_key_pair(OWNER, pair)
        asking.asks = True
        keys = EncryptedKeyStorage(folder, use_keyring=True)
        for attempt in (keys.list_key_pairs(OWNER), keys.get_key_pair(OWNER, pair.fingerprint)):
            with pytest.raises(StorageError, match=r"not answered within 0\.1 s.*[Uu]nlock"):
                await attempt
        # One prompt is enough.
        assert asking.prompts == 1
        asking.answered.set()
        assert await keys.list_key_pairs(OWNER) == [pair]
        assert _keyring._asked == {}

    async def test_many_that_wait_for_it_do_not_wait_one_after_the_other(
        self, folder: Path, pair: KeyPair, asking: Asking, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await EncryptedKeyStorage(folder, use_keyring=True).store_key_pair(OWNER, pair)
        monkeypatch.setattr(_keyring, "ANSWER_SECONDS", 1.0)
        monkeypatch.setattr(_keyring, "_LAST_SECONDS", 0.01)
        asking.asks = True
        keys = EncryptedKeyStorage(folder, use_keyring=True)
        with anyio.fail_after(5):
            outcomes = await asyncio.gather(
                *(keys.list_key_pairs(OWNER) for _ in range(20)), return_exceptions=True
            )
        assert [type(outcome) for outcome in outcomes] == [StorageError] * 20

    async def test_what_it_did_not_take_in_time_is_not_used(
        self, folder: Path, pair: KeyPair, asking: Asking
    ) -> None:
        asking.asks = True
        keys = EncryptedKeyStorage(folder, use_keyring=True)
        with pytest.raises(StorageError, match="not answered"):
            await keys.store_key_pair(OWNER, pair)
        assert [path for path in folder.iterdir() if not path.name.startswith(".")] == []
        asking.answered.set()
        asking.asks = False
        # Nor is it left behind.
        assert await _settled(lambda: len(asking.threads) == 2 and asking.entries == {})
        await keys.store_key_pair(OWNER, pair)
        assert await keys.list_key_pairs(OWNER) == [pair]

    @pytest.mark.parametrize("call", ["list_key_pairs", "store_key_pair"])
    async def test_a_time_limit_of_the_callers_ends_the_wait(
        self,
        folder: Path,
        pair: KeyPair,
        asking: Asking,
        monkeypatch: pytest.MonkeyPatch,
        call: str,
    ) -> None:
        monkeypatch.setattr(_keyring, "ANSWER_SECONDS", 10.0)
        if call == "list_key_pairs":
            await EncryptedKeyStorage(folder, use_keyring=True).store_key_pair(OWNER, pair)
        asking.asks = True
        keys = EncryptedKeyStorage(folder, use_keyring=True)
        waiting = keys.list_key_pairs(OWNER) if call[0] == "l" else keys.store_key_pair(OWNER, pair)
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON):
                await waiting
        assert time.monotonic() - begun < LONG


async def test_a_failure_that_comes_too_late_is_nobodys(
    storage: FileStorage,
    stick: Stick,
    monkeypatch: pytest.MonkeyPatch,
    short_patience: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await storage.set_item("item", "old")

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "text")

    monkeypatch.setattr(os, "fsync", fail)
    stuck = stick(os, "fsync")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            await storage.set_item("item", "new")
    stuck.over.set()
    assert await _settled(lambda: hidden_files(storage.directory) == [])
    await asyncio.sleep(SOON)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
