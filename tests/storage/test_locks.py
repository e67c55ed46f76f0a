"""Taking turns: tasks, threads and processes on the same storage."""

# The tests look at the disk themselves, on purpose.
# ruff: noqa: ASYNC240

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import itertools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from icure_async.errors import StorageError, ValidationError
from icure_async.models.key_pair import KeyPair
from icure_async.storage import (
    FileKeyStorage,
    FileStorage,
    LockableStorage,
    MemoryKeyStorage,
    MemoryStorage,
    PostgresStorage,
    StorageKeyStorage,
    _file_locks,
)
from icure_async.storage.locks import lock_of

ROOT = Path(__file__).parents[2]
NAME = "a name / with anything in it"

Make = Callable[[], LockableStorage]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new" / "state"


@pytest.fixture(
    params=[
        "memory",
        "files",
        "two of the same files",
        "keys",
        "keys in memory",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("two programs on postgres", marks=pytest.mark.postgres),
    ]
)
async def make(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Make]:
    """Storages that share their locks."""
    if "postgres" not in request.param:
        yield on_this_machine(request.param, folder)
        return
    url = request.getfixturevalue("postgres_url")
    count = 2 if "two" in request.param else 1
    async with contextlib.AsyncExitStack() as stack:
        storages = [await stack.enter_async_context(PostgresStorage(url)) for _ in range(count)]
        one_after_the_other = itertools.cycle(storages)
        yield lambda: next(one_after_the_other)


def on_this_machine(kind: str, folder: Path) -> Make:
    memory, files, keys = MemoryStorage(), FileStorage(folder), MemoryKeyStorage()
    makers: dict[str, Make] = {
        "memory": lambda: memory,
        "files": lambda: files,
        "two of the same files": lambda: FileStorage(folder),
        "keys": lambda: FileKeyStorage(folder),
        "keys in memory": lambda: keys,
    }
    return makers[kind]


def lock_file(folder: Path, name: str = NAME) -> Path:
    return folder / f".icure-{hashlib.sha256(name.encode()).hexdigest()[:32]}.lock"


async def test_one_task_at_a_time(make: Make) -> None:
    inside = 0
    waited: list[bool] = []

    async def work() -> None:
        nonlocal inside
        async with make().lock(NAME) as lock:
            waited.append(lock.waited)
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.002)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(10)))
    # How many find it free is a matter of who comes when; the first one always does.
    assert len(waited) == 10
    assert not waited[0]


async def test_locks_of_other_names_are_free(make: Make) -> None:
    async with make().lock("a"), make().lock("b") as lock:
        assert not lock.waited


async def test_who_comes_later_has_not_waited(make: Make) -> None:
    for _ in range(3):
        async with make().lock(NAME) as lock:
            assert not lock.waited


async def test_an_error_lets_go(make: Make) -> None:
    with pytest.raises(ZeroDivisionError):
        async with make().lock(NAME):
            raise ZeroDivisionError
    async with make().lock(NAME) as lock:
        assert not lock.waited


async def test_event_loops_of_several_threads_take_turns(
    make: Make, request: pytest.FixtureRequest
) -> None:
    if isinstance(make(), PostgresStorage):
        pytest.skip("Connections belong to one event loop: each has a storage of its own.")
    inside = 0

    async def work() -> None:
        nonlocal inside
        async with make().lock(NAME):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.01)
            inside -= 1

    threads = [to_thread.run_sync(asyncio.run, work()) for _ in range(4)]
    await asyncio.gather(*threads)


async def test_who_waits_can_be_cancelled_and_is_in_nobodys_way(make: Make) -> None:
    async with make().lock(NAME):
        with anyio.move_on_after(0.05) as scope:
            async with make().lock(NAME):
                raise AssertionError("the lock is held")
        assert scope.cancelled_caught
        waiting = asyncio.create_task(enter(make()))
        await asyncio.sleep(0.03)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with make().lock(NAME) as lock:
        assert not lock.waited


async def enter(storage: LockableStorage) -> None:
    async with storage.lock(NAME):
        pass


async def test_cancelled_at_any_moment_it_is_let_go(make: Make) -> None:
    for steps in range(40):
        task = asyncio.create_task(enter(make()))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with anyio.fail_after(5):
            async with make().lock(NAME) as lock:
                assert not lock.waited


async def test_waiting_holds_up_neither_the_loop_nor_a_thread(folder: Path) -> None:
    storage = FileStorage(folder)
    async with storage.lock(NAME):
        # More than there are worker threads.
        waiting = [asyncio.create_task(enter(storage)) for _ in range(60)]
        with anyio.fail_after(5):
            for number in range(20):
                await storage.set_item(str(number), "value")
        assert not any(task.done() for task in waiting)
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800"])
async def test_impossible_names(make: Make, name: str) -> None:
    with pytest.raises(ValidationError):
        async with make().lock(name):
            raise AssertionError("no such lock")


async def test_any_other_name_will_do(folder: Path) -> None:
    async with FileStorage(folder).lock("x" * 1000):
        assert (folder / lock_file(folder, "x" * 1000)).exists()


async def test_a_lock_file_is_no_item_and_goes_with_the_lock(folder: Path) -> None:
    storage = FileStorage(folder)
    async with storage.lock(NAME):
        assert [path.name for path in folder.iterdir()] == [lock_file(folder).name]
        assert lock_file(folder).stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700
        assert await storage.list_items() == []
    assert list(folder.iterdir()) == []


async def test_who_opened_a_file_that_was_removed_meanwhile_does_not_hold_the_lock(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(parents=True)
    path = lock_file(folder)
    first = _file_locks.try_lock(path)
    assert first is not None
    real_lock = _file_locks._lock

    def lock_after_the_first_is_gone(descriptor: int) -> bool:
        monkeypatch.setattr(_file_locks, "_lock", real_lock)
        _file_locks.unlock(path, first)
        return real_lock(descriptor)

    monkeypatch.setattr(_file_locks, "_lock", lock_after_the_first_is_gone)
    assert _file_locks.try_lock(path) is None
    second = _file_locks.try_lock(path)
    assert second is not None
    assert _file_locks.try_lock(path) is None
    _file_locks.unlock(path, second)


async def test_files_of_locks_that_a_killed_program_held_are_removed_after_an_hour(
    folder: Path,
) -> None:
    folder.mkdir(parents=True)
    left, held, young = (lock_file(folder, name) for name in ("left", "held", "young"))
    left.touch()
    young.touch()
    async with FileStorage(folder).lock("held"):
        long_ago = time.time() - 3700
        os.utime(left, (long_ago, long_ago))
        os.utime(held, (long_ago, long_ago))
        await FileStorage(folder).set_item("item", "value")
        assert {path.name for path in folder.iterdir()} == {held.name, young.name, "item"}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
async def test_where_nobody_can_write_there_is_nobody_to_wait_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    storage = FileStorage(folder)
    await storage.set_item("item", "value")

    def refuse(path: Path) -> int | None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("icure_async.storage.files.try_lock", refuse)
    async with storage.lock(NAME) as lock:
        assert not lock.waited
        assert await storage.get_item("item") == "value"


async def test_a_file_system_without_locks_is_used_without_and_that_is_logged_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(descriptor: int) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(_file_locks, "_lock", refuse)
    storage = FileStorage(folder)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            async with storage.lock(NAME) as lock:
                assert not lock.waited
    assert [record.getMessage() for record in caplog.records] == [
        f"The file system of {folder} has no locks: let one program at a time use it."
    ]


async def test_something_else_in_place_of_the_lock_file_is_an_error(folder: Path) -> None:
    lock_file(folder).mkdir(parents=True)
    with pytest.raises(StorageError, match="Cannot lock the item"):
        async with FileStorage(folder).lock(NAME):
            raise AssertionError("no such lock")


class PlainStorage:
    """Somebody's own, without locks."""

    async def get_item(self, name: str) -> str | None:
        return None

    async def set_item(self, name: str, value: str) -> None:
        pass

    async def remove_item(self, name: str) -> None:
        pass

    async def list_items(self, prefix: str = "") -> Sequence[str]:
        return []


class StorageWithOtherLock(PlainStorage):
    def __init__(self) -> None:
        self.lock = asyncio.Lock()


@pytest.mark.parametrize("kind", [PlainStorage, StorageWithOtherLock])
async def test_a_storage_without_locks_serves_as_before(kind: type[PlainStorage]) -> None:
    storage = kind()
    async with lock_of(storage, NAME) as lock, StorageKeyStorage(storage).lock(NAME) as other:
        assert not lock.waited
        assert not other.waited


HOLD = """
import asyncio, sys
from icure_async.storage import FileStorage

async def main():
    async with FileStorage(sys.argv[1]).lock(sys.argv[2]):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), NAME],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


async def test_a_killed_process_holds_no_lock(folder: Path, pair: KeyPair) -> None:
    storage = FileStorage(folder)
    process = await to_thread.run_sync(hold, folder)
    with process:
        with anyio.move_on_after(0.1) as scope:
            await enter(storage)
        assert scope.cancelled_caught
        waiting = asyncio.create_task(enter(storage))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        process.send_signal(signal.SIGKILL)
        with anyio.fail_after(10):
            await waiting
    assert list(folder.iterdir()) == []
