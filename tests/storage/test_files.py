# The tests look at the disk themselves, on purpose.
# ruff: noqa: ASYNC240

from __future__ import annotations

import asyncio
import errno
import logging
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest
from anyio import to_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icure_async.errors import StorageError, ValidationError
from icure_async.storage import FileStorage, _disk
from icure_async.storage._names import file_name_of, item_name_of
from icure_async.threads import STORAGE
from tests.support.leaks import assert_secret_free

ROOT = Path(__file__).parents[2]
SECRET = "the-secret-value"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new" / "keys"


@pytest.fixture
def storage(folder: Path) -> FileStorage:
    return FileStorage(folder)


@pytest.fixture(params=[0o000, 0o077, 0o277, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def hidden_files(folder: Path) -> list[str]:
    return [name for name in names_in(folder) if name.startswith(".")]


async def test_items(storage: FileStorage, folder: Path) -> None:
    assert await storage.get_item("a") is None
    assert await storage.list_items() == []
    await storage.remove_item("a")
    assert not folder.exists()
    await storage.set_item("b.1", "one")
    await storage.set_item("a", "Zoë ✓\r\n\0\ufeff")
    assert (folder / "a").read_bytes() == "Zoë ✓\r\n\0\ufeff".encode()
    assert await storage.get_item("a") == "Zoë ✓\r\n\0\ufeff"
    await storage.set_item("a", "")
    assert await storage.get_item("a") == ""
    assert await storage.list_items() == ["a", "b.1"]
    assert await storage.list_items("b.") == ["b.1"]
    await storage.remove_item("a")
    await storage.remove_item("a")
    assert await storage.list_items() == ["b.1"]
    assert hidden_files(folder) == []


async def test_repr_and_directory(
    tmp_path: Path, folder: Path, storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await storage.set_item("name", SECRET)
    assert repr(storage) == f"FileStorage({str(folder)!r})"
    monkeypatch.chdir(tmp_path)
    relative = FileStorage("here")
    monkeypatch.chdir("/")
    assert relative.directory == tmp_path / "here"


# Names


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        (
            "47a0e3f8-6f4d-4133-ab98-4ff2de8d8e26.1cf103acacb3f2158c64f50203010001",
            "47a0e3f8-6f4d-4133-ab98-4ff2de8d8e26.1cf103acacb3f2158c64f50203010001",
        ),
        ("Az09-_.~", "Az09-_.~"),
        ("!'()*", "%21%27%28%29%2A"),
        ("a/b\\c d%+&é", "a%2Fb%5Cc%20d%25%2B%26%C3%A9"),
        ("😀", "%F0%9F%98%80"),
        (".", "%2E"),
        ("..", "%2E."),
        ("../x", "%2E.%2Fx"),
        ("a" * 255, "a" * 255),
    ],
)
async def test_file_names(storage: FileStorage, folder: Path, name: str, file_name: str) -> None:
    await storage.set_item(name, "value")
    assert names_in(folder) == [file_name]
    assert await storage.list_items() == [name]
    assert await storage.get_item(name) == "value"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_file_names_are_reversible(name: str) -> None:
    try:
        file_name = file_name_of(name)
    except ValidationError:
        assert len(name.encode()) > 80
    else:
        assert "/" not in file_name
        assert not file_name.startswith(".")
        assert file_name.isascii()
        assert item_name_of(file_name) == name


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "a" * 256, "é" * 43])
async def test_impossible_names(storage: FileStorage, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationError):
        await storage.get_item(name)
    with pytest.raises(ValidationError):
        await storage.set_item(name, "value")
    with pytest.raises(ValidationError):
        await storage.remove_item(name)
    assert names_in(tmp_path) == []


async def test_impossible_value(storage: FileStorage, tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        await storage.set_item("name", f"{SECRET}\udfff")
    assert_secret_free(caught.value, SECRET)
    assert names_in(tmp_path) == []


async def test_other_files_are_not_items(storage: FileStorage, folder: Path) -> None:
    await storage.set_item("item", "value")
    (folder / ".hidden").touch()
    (folder / "not(encoded)").touch()
    (folder / "bad%zz").touch()
    (folder / "latin%E9").touch()
    (folder / "lower%2f").touch()
    (folder / "backup").mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).touch()
    assert await storage.list_items() == ["item"]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
        ).filter(lambda name: len(name.encode()) < 80),
        st.text(st.characters(exclude_categories=["Cs"])),
        max_size=3,
    )
)
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, items: dict[str, str]) -> None:
    storage = FileStorage(tmp_path_factory.mktemp("any"))

    async def scenario() -> None:
        for name, value in items.items():
            await storage.set_item(name, value)
        assert await storage.list_items() == sorted(items)
        for name, value in items.items():
            assert await storage.get_item(name) == value

    asyncio.run(scenario())


# Permissions


@pytest.mark.usefixtures("umask")
async def test_modes_do_not_depend_on_the_umask(storage: FileStorage, folder: Path) -> None:
    await storage.set_item("item", "value")
    assert mode_of(folder / "item") == 0o600
    assert mode_of(folder) == 0o700
    assert mode_of(folder.parent) == 0o700


async def test_wide_folder_is_tightened_with_one_warning(
    folder: Path, storage: FileStorage, caplog: pytest.LogCaptureFixture
) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    assert await storage.list_items() == []
    assert mode_of(folder) == 0o755
    await storage.set_item("item", SECRET)
    assert mode_of(folder) == 0o700
    assert mode_of(folder.parent) == 0o755
    folder.chmod(0o750)
    await storage.set_item("item", SECRET)
    assert mode_of(folder) == 0o700
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(folder) in caplog.text
    assert "0755" in caplog.text
    assert SECRET not in caplog.text


async def test_a_wide_folder_that_cannot_be_closed_is_used_with_a_warning(
    folder: Path,
    storage: FileStorage,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o775)
    monkeypatch.setattr(Path, "chmod", refuse_to_change)
    await storage.set_item("item", "value")
    assert "cannot change" in caplog.text
    assert mode_of(folder / "item") == 0o600


def refuse_to_change(*_: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


async def test_a_folder_that_anybody_may_write_to_and_that_cannot_be_closed_is_refused(
    folder: Path, storage: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    monkeypatch.setattr(Path, "chmod", refuse_to_change)
    with pytest.raises(StorageError, match=r"other users .* may write to the folder"):
        await storage.set_item("item", "value")
    assert names_in(folder) == []


async def test_shared_folder_is_refused(folder: Path, storage: FileStorage) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o1777)
    with pytest.raises(StorageError, match="several users share"):
        await storage.set_item("item", "value")
    assert mode_of(folder) == 0o1777
    assert names_in(folder) == []


async def test_wide_file_is_readable_and_tightened_by_a_write(
    storage: FileStorage, folder: Path
) -> None:
    await storage.set_item("item", "value")
    (folder / "item").chmod(0o644)
    assert await storage.get_item("item") == "value"
    assert await storage.get_item_and_mode("item") == ("value", 0o644)
    await storage.set_item("item", "value")
    assert await storage.get_item_and_mode("item") == ("value", 0o600)


# Faults of the disk


async def test_symbolic_links_are_not_followed(
    storage: FileStorage, folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_text(SECRET)
    folder.mkdir(parents=True)
    (folder / "item").symlink_to(target)
    assert await storage.list_items() == ["item"]
    for attempt in (
        storage.get_item("item"),
        storage.set_item("item", "other"),
        storage.remove_item("item"),
    ):
        with pytest.raises(StorageError, match=r"'item'.*symbolic link"):
            await attempt
    assert target.read_text() == SECRET
    assert (folder / "item").is_symlink()


async def test_symbolic_links_where_the_system_has_no_flag(
    storage: FileStorage, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icure_async.storage._disk._NO_FOLLOW", 0)
    folder.mkdir(parents=True)
    (folder / "item").symlink_to(tmp_path)
    with pytest.raises(StorageError, match=r"'item'.*symbolic link"):
        await storage.get_item("item")


async def test_folder_in_place_of_an_item(storage: FileStorage, folder: Path) -> None:
    (folder / "item" / "deep").mkdir(parents=True)
    for attempt in (
        storage.get_item("item"),
        storage.set_item("item", SECRET),
        storage.remove_item("item"),
    ):
        with pytest.raises(StorageError, match=r"'item'.*folder in place") as caught:
            await attempt
        assert_secret_free(caught.value, SECRET)
    assert (folder / "item" / "deep").is_dir()


async def test_named_pipe_does_not_hang(storage: FileStorage, folder: Path) -> None:
    folder.mkdir(parents=True)
    os.mkfifo(folder / "item")
    for attempt in (
        storage.get_item("item"),
        storage.set_item("item", "value"),
        storage.remove_item("item"),
    ):
        with pytest.raises(StorageError, match="'item' is not a regular file"):
            await attempt


async def test_file_in_place_of_the_folder(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("")
    for storage in (FileStorage(folder), FileStorage(folder / "deeper")):
        with pytest.raises(StorageError, match="'item'"):
            await storage.set_item("item", "value")
        with pytest.raises(StorageError, match="'item'"):
            await storage.get_item("item")
        with pytest.raises(StorageError, match="another folder"):
            await storage.list_items()


async def test_not_utf8(storage: FileStorage, folder: Path) -> None:
    await storage.set_item("item", "value")
    (folder / "item").write_bytes(SECRET.encode() + b"\xff")
    with pytest.raises(StorageError, match="'item' is not UTF-8") as caught:
        await storage.get_item("item")
    assert_secret_free(caught.value, SECRET)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
async def test_permission_denied_by_the_system(storage: FileStorage, folder: Path) -> None:
    await storage.set_item("item", "value")
    (folder / "item").chmod(0)
    with pytest.raises(StorageError, match=r"'item'.*permission denied"):
        await storage.get_item("item")


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.EACCES, "permission denied"),
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "check the disk"),
        (None, "no reason"),
    ],
)
async def test_system_errors(
    storage: FileStorage,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int | None,
    advice: str,
) -> None:
    await storage.set_item("item", "old")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(code, "text") if code is not None else OSError("text")

    for function, attempt in (
        ("open", storage.get_item("item")),
        ("open", storage.set_item("item", SECRET)),
        ("fsync", storage.set_item("item", SECRET)),
        ("scandir", storage.list_items()),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, fail)
            with pytest.raises(StorageError, match=advice) as caught:
                await attempt
            assert_secret_free(caught.value, SECRET)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail)
        with pytest.raises(StorageError, match=f"'item'.*{advice}"):
            await storage.remove_item("item")
    assert await storage.get_item("item") == "old"
    assert hidden_files(folder) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
async def test_what_cannot_be_synced(
    storage: FileStorage, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    await storage.set_item("item", "old")
    fsync = os.fsync
    code = 0

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == (kind == "folder"):
            raise OSError(code, "text")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    for value, number in (("new", errno.EINVAL), ("newer", errno.ENOTSUP)):
        code = number
        await storage.set_item("item", value)
        assert await storage.get_item("item") == value
    code = errno.EIO
    if kind == "folder":
        with pytest.raises(StorageError, match="'item' is written, but a power failure"):
            await storage.set_item("item", "newest")
        with pytest.raises(StorageError, match="'item' is removed, but a power failure"):
            await storage.remove_item("item")
    else:
        with pytest.raises(StorageError, match=r"Cannot write the item 'item'.*check the disk"):
            await storage.set_item("item", "newest")
        assert await storage.get_item("item") == "newer"


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, None])
async def test_a_file_system_that_cannot_keep_others_from_reading_is_refused(
    storage: FileStorage, folder: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    """Without an error, too: there are some that do as if they had done it."""
    real_open = os.open

    def open_to_all(path: str, flags: int, mode: int = 0o777, **options: int) -> int:
        descriptor = real_open(path, flags, mode, **options)
        if flags & os.O_CREAT:
            Path(path).chmod(0o644)
        return descriptor

    def refuse(descriptor: int, mode: int) -> None:
        if code is not None:
            raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", open_to_all)
    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(StorageError, match=r"'item'.*keys cannot be protected there") as caught:
        await storage.set_item("item", SECRET)
    assert "ownership" not in str(caught.value)
    assert_secret_free(caught.value, SECRET)
    assert names_in(folder) == []


async def test_a_file_system_that_protects_every_file_by_itself_serves(
    storage: FileStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fchmod", refuse_to_change)
    await storage.set_item("item", "value")
    assert mode_of(folder / "item") == 0o600
    # One that is mounted with umask=077 may say that every file can be run.
    real_open = os.open

    def open_to_run(path: str, flags: int, mode: int = 0o777, **options: int) -> int:
        descriptor = real_open(path, flags, mode, **options)
        if flags & os.O_CREAT:
            Path(path).chmod(0o700)
        return descriptor

    monkeypatch.setattr(os, "open", open_to_run)
    await storage.set_item("item", "newer")
    assert await storage.get_item_and_mode("item") == ("newer", 0o700)


class Windows:
    """A system that refuses an operation for some time, as Windows does while a file is open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
        self.refusals = 3
        self.calls = 0
        real = getattr(owner, name)

        def operate(*args: Any, **options: Any) -> object:
            self.calls += 1
            if self.calls <= self.refusals:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return real(*args, **options)

        monkeypatch.setattr(owner, name, operate)
        monkeypatch.setattr(_disk, "_WINDOWS", True)
        monkeypatch.setattr(_disk, "_REFUSAL_SECONDS", 0.2)


@pytest.mark.parametrize(
    ("owner", "name"), [(Path, "replace"), (Path, "unlink"), (os, "open")], ids=str
)
async def test_windows_is_asked_again_for_a_second(
    storage: FileStorage, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    assert _disk._REFUSAL_SECONDS == 1
    await storage.set_item("item", "old")
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "replace": lambda: storage.set_item("item", "new"),
        "unlink": lambda: storage.remove_item("item"),
        "open": lambda: storage.get_item("item"),
    }
    windows = Windows(monkeypatch, owner, name)
    await calls[name]()
    assert windows.calls == 4
    storage.path_of("item").touch()
    windows.refusals = 1000
    begun = time.monotonic()
    with pytest.raises(StorageError, match="permission denied"):
        await calls[name]()
    assert 0.2 <= time.monotonic() - begun < 5


async def test_other_systems_mean_it(storage: FileStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    await storage.set_item("item", "old")
    system = Windows(monkeypatch, Path, "replace")
    monkeypatch.setattr(_disk, "_WINDOWS", False)
    with pytest.raises(StorageError, match="permission denied"):
        await storage.set_item("item", "new")
    assert system.calls == 1


async def test_order_of_the_steps(
    storage: FileStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await storage.set_item("item", "old")
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def record_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        is_folder = stat.S_ISDIR(status.st_mode)
        steps.append("sync folder" if is_folder else f"sync {status.st_size} bytes")
        fsync(descriptor)

    def record_replace(path: Path, target: Path) -> Path:
        assert path.parent == target.parent == folder
        assert path.name.startswith(".")
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Path, "replace", record_replace)
    await storage.set_item("item", "value")
    assert steps == ["sync 5 bytes", "rename", "sync folder"]


def test_interrupt_leaves_no_temporary_file(
    storage: FileStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    folder.mkdir(parents=True)
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        storage._write("item", folder / "item", b"value")
    assert names_in(folder) == []


async def test_stale_temporary_files(folder: Path) -> None:
    folder.mkdir(parents=True)
    names = {
        "stale": f".icure-{'0' * 32}.tmp",
        "recent": f".icure-{'1' * 32}.tmp",
        "foreign": ".something.tmp",
    }
    for name in names.values():
        (folder / name).write_text("half a va")
    for name in (names["stale"], names["foreign"]):
        os.utime(folder / name, (time.time() - 3700,) * 2)
    storage = FileStorage(folder)
    assert await storage.list_items() == []
    await storage.set_item("item", "value")
    assert sorted(hidden_files(folder)) == sorted([names["recent"], names["foreign"]])
    # At most once an hour.
    os.utime(folder / names["recent"], (time.time() - 3700,) * 2)
    await storage.set_item("item", "value")
    assert names["recent"] in hidden_files(folder)
    storage._cleaned_at = time.monotonic() - 3601
    await storage.set_item("item", "value")
    assert hidden_files(folder) == [names["foreign"]]


# Cancellation


class SlowDisk:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()
        fsync = os.fsync

        def slow(descriptor: int) -> None:
            self.reached.set()
            assert self.go_on.wait(10)
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", slow)

    async def wait_until_reached(self) -> None:
        assert await to_thread.run_sync(self.reached.wait, 10)


async def test_cancelled_write_is_over_when_the_cancellation_is_raised(
    storage: FileStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await storage.set_item("item", "old")
    disk = SlowDisk(monkeypatch)
    task = asyncio.create_task(storage.set_item("item", "new"))
    await disk.wait_until_reached()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    assert not task.done()
    assert await storage.get_item("item") == "old"
    disk.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (folder / "item").read_text() == "new"
    assert hidden_files(folder) == []


async def test_timeouts(storage: FileStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    await storage.set_item("item", "old")
    disk = SlowDisk(monkeypatch)
    asyncio.get_running_loop().call_later(0.1, disk.go_on.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await storage.set_item("item", "new")
    assert disk.go_on.is_set()
    disk.go_on.clear()
    asyncio.get_running_loop().call_later(0.1, disk.go_on.set)
    with anyio.move_on_after(0.02) as scope:
        await storage.set_item("item", "newer")
        await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert await storage.get_item("item") == "newer"


async def test_cancelled_and_failed(
    storage: FileStorage, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await storage.set_item("item", "old")
    disk = SlowDisk(monkeypatch)

    def fail(path: Path, target: Path) -> None:
        raise OSError(errno.EIO, "text")

    monkeypatch.setattr(Path, "replace", fail)
    task = asyncio.create_task(storage.set_item("item", "new"))
    await disk.wait_until_reached()
    task.cancel()
    disk.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names_in(folder) == ["item"]
    assert await storage.get_item("item") == "old"


async def test_write_cancelled_before_it_began(storage: FileStorage, folder: Path) -> None:
    limiter = STORAGE.limiter()
    before = limiter.total_tokens
    limiter.total_tokens = 1
    gate = threading.Event()
    try:
        busy = asyncio.create_task(STORAGE.run_or_leave(gate.wait))
        await asyncio.sleep(0.01)
        task = asyncio.create_task(storage.set_item("item", "value"))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await busy
    finally:
        limiter.total_tokens = before
    assert not folder.exists()


# Other processes

WRITER = """
import asyncio, sys
from icure_async.storage import FileStorage, _disk

async def main(folder, letters, rounds):
    storage = FileStorage(folder)
    print("ready", flush=True)
    for number in range(rounds):
        await storage.set_item("item", letters[number % len(letters)] * 300_000)
        await storage.set_item("own." + letters, str(number))

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


StartWriter = Callable[[Path, str, int], subprocess.Popen[str]]


@pytest.fixture
def start_writer() -> Iterator[StartWriter]:
    started: list[subprocess.Popen[str]] = []

    def start(folder: Path, letters: str, rounds: int) -> subprocess.Popen[str]:
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), letters, str(rounds)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(writer)
        return writer

    yield start
    for writer in started:
        writer.kill()
        writer.communicate()


async def test_two_processes_at_once(
    storage: FileStorage, folder: Path, start_writer: StartWriter
) -> None:
    writers = [start_writer(folder, letters, 40) for letters in ("ab", "cd")]
    seen: set[str] = set()
    while any(writer.poll() is None for writer in writers):
        value = await storage.get_item("item")
        if value is not None:
            assert value == value[0] * 300_000
            seen.add(value[0])
    for writer in writers:
        assert writer.returncode == 0
    assert seen <= set("abcd")
    assert await storage.list_items() == ["item", "own.ab", "own.cd"]
    assert await storage.get_item("own.ab") == "39"
    assert await storage.get_item("own.cd") == "39"
    assert hidden_files(folder) == []


async def test_killed_at_any_moment(
    storage: FileStorage, folder: Path, start_writer: StartWriter
) -> None:
    await storage.set_item("item", "a" * 300_000)
    delays = random.Random(1)
    for _ in range(5):
        writer = start_writer(folder, "ab", 1_000_000)
        assert writer.stdout is not None
        assert await to_thread.run_sync(writer.stdout.readline) == "ready\n"
        await asyncio.sleep(delays.random() * 0.03)
        writer.send_signal(signal.SIGKILL)
        assert await to_thread.run_sync(writer.wait) == -signal.SIGKILL
        value = await storage.get_item("item")
        assert value is not None
        assert value in {"a" * 300_000, "b" * 300_000}
        assert set(await storage.list_items()) <= {"item", "own.ab"}
    for name in hidden_files(folder):
        os.utime(folder / name, (time.time() - 3700,) * 2)
    await FileStorage(folder).set_item("item", "after")
    assert hidden_files(folder) == []
    assert await storage.get_item("item") == "after"


KILLED_AT_EACH_LINE = """
import os, signal, sys
from pathlib import Path
from icure_async.storage import FileStorage, _disk

folder = Path(sys.argv[1])
item = folder / "item"

def write(value, last_line):
    lines = 0

    def trace(frame, event, argument):
        nonlocal lines
        file = Path(frame.f_code.co_filename).name
        if file not in {"files.py", "_disk.py", "pathlib.py", "_local.py"}:
            return None
        lines += 1
        if lines == last_line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    FileStorage(folder)._write("item", item, value.encode())

FileStorage(folder)._write("item", item, b"old")
line, outcomes = 0, []
while True:
    line += 1
    item.write_text("old")
    child = os.fork()
    if child == 0:
        try:
            write("new value", line)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    outcomes.append(item.read_text())
    for leftover in folder.glob(".*"):
        leftover.unlink()
    if status == 0:
        break
    assert status == signal.SIGKILL, status
print(line, *sorted(outcomes), sep=",")
"""


def test_killed_at_each_line(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EACH_LINE, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    lines, *outcomes = done.stdout.strip().split(",")
    assert int(lines) > 20
    assert set(outcomes) == {"old", "new value"}


async def test_many_writes_at_once(storage: FileStorage, folder: Path) -> None:
    await asyncio.gather(
        *(storage.set_item("item", str(number)) for number in range(50)),
        *(storage.set_item(f"item.{number}", str(number)) for number in range(50)),
    )
    assert await storage.get_item("item") in {str(number) for number in range(50)}
    assert len(await storage.list_items("item.")) == 50
    assert hidden_files(folder) == []
