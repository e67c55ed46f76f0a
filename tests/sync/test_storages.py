"""The storages of ``icure_sync``: blocking, and of use to its builders in whatever way made."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import icure_async.storage
from icure_sync import MedTechApiBuilder
from icure_sync._plain import adapt
from icure_sync._runtime import run
from icure_sync.errors import ConfigurationError, StorageError, ValidationError
from icure_sync.sandbox import Sandbox
from icure_sync.storage import (
    BlockingLockableStorage,
    BlockingStorage,
    EncryptedKeyStorage,
    FileKeyStorage,
    FileStorage,
    MemoryKeyStorage,
    MemoryStorage,
    StorageKeyStorage,
    StorageLock,
)
from tests.support.interpreters import (
    SLOW_IMPORT,
    Interrupted,
    interrupt_after,
    modules_in,
    run_program,
    swallowed_interrupts_are_no_matter,
)
from tests.support.plain_storages import OWNER, PAIR, Dictionary


@pytest.mark.parametrize("kind", ["files", "memory"])
def test_items_are_written_read_listed_and_removed(kind: str, tmp_path: Path) -> None:
    storage: BlockingStorage = FileStorage(tmp_path) if kind == "files" else MemoryStorage()
    storage.set_item("b", "1")
    storage.set_item("a", "2")

    assert storage.get_item("b") == "1"
    assert list(storage.list_items()) == ["a", "b"]
    assert list(storage.list_items("b")) == ["b"]
    storage.remove_item("b")
    assert storage.get_item("b") is None


@pytest.mark.parametrize("kind", ["files", "memory", "encrypted", "plain", "twin"])
def test_key_pairs_are_stored_read_listed_and_removed(kind: str, tmp_path: Path) -> None:
    made: dict[str, Callable[[], StorageKeyStorage]] = {
        "files": lambda: FileKeyStorage(tmp_path),
        "memory": MemoryKeyStorage,
        "encrypted": lambda: EncryptedKeyStorage(tmp_path, passphrase="winter is coming"),
        "plain": lambda: StorageKeyStorage(Dictionary()),
        "twin": lambda: StorageKeyStorage(FileStorage(tmp_path)),
    }
    keys = made[kind]()
    assert keys.get_key_pair(OWNER, PAIR.fingerprint) is None
    keys.store_key_pair(OWNER, PAIR)

    assert keys.get_key_pair(OWNER, PAIR.fingerprint) == PAIR
    assert list(keys.list_key_pairs(OWNER)) == [PAIR]
    assert [key.fingerprint for key in keys.list_stored_keys()] == [PAIR.fingerprint]
    keys.remove_key_pair(OWNER, PAIR.fingerprint)
    assert list(keys.list_key_pairs(OWNER)) == []


def test_files_say_where_and_how_they_are(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    storage.set_item("a/b", "1")

    assert storage.directory == FileKeyStorage(tmp_path).directory == tmp_path
    assert storage.path_of("a/b").read_text() == "1"
    assert FileKeyStorage(tmp_path).path_of("a/b") == storage.path_of("a/b")
    assert storage.get_item_and_mode("a/b") == ("1", 0o600)


def test_both_packages_use_the_same_files(tmp_path: Path) -> None:
    FileKeyStorage(tmp_path).store_key_pair(OWNER, PAIR)
    theirs = icure_async.storage.FileKeyStorage(tmp_path)

    assert asyncio.run(theirs.get_key_pair(OWNER, PAIR.fingerprint)) == PAIR


def test_an_exposed_key_file_is_an_error_here_too(tmp_path: Path) -> None:
    keys = StorageKeyStorage(FileStorage(tmp_path))
    keys.store_key_pair(OWNER, PAIR)
    for file in tmp_path.iterdir():
        file.chmod(0o644)

    with pytest.raises(StorageError, match="chmod"):
        keys.get_key_pair(OWNER, PAIR.fingerprint)


def test_what_is_no_storage_is_refused_at_once() -> None:
    nothing: Any = object()
    with pytest.raises(ConfigurationError, match=r"no method get_item\(\)"):
        StorageKeyStorage(nothing)


def test_a_repr_shows_where_and_not_what(tmp_path: Path) -> None:
    keys = EncryptedKeyStorage(tmp_path, passphrase="winter is coming")
    assert repr(keys) == f"EncryptedKeyStorage({str(tmp_path)!r})"
    assert repr(FileStorage(tmp_path)) == f"FileStorage({str(tmp_path)!r})"


@pytest.mark.parametrize("kind", ["files", "memory", "keys"])
def test_threads_take_turns(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Callable[[], BlockingLockableStorage]] = {
        "files": lambda: FileStorage(tmp_path),
        "memory": MemoryStorage,
        "keys": MemoryKeyStorage,
    }
    storage = made[kind]()
    inside = 0
    most = 0
    waiting: set[object] = set()
    all_others_wait = threading.Event()
    sleep = anyio.sleep

    async def sleep_between_attempts(seconds: float) -> None:
        waiting.add(asyncio.current_task())
        if len(waiting) == 3:
            all_others_wait.set()
        await sleep(seconds)

    monkeypatch.setattr(anyio, "sleep", sleep_between_attempts)

    def take_turn(_: int) -> StorageLock:
        nonlocal inside, most
        with storage.lock("turn") as lock:
            inside += 1
            most = max(most, inside)
            assert all_others_wait.wait(30)
            time.sleep(0.02)
            inside -= 1
        return lock

    with ThreadPoolExecutor(4) as pool:
        locks = list(pool.map(take_turn, range(4)))
    assert most == 1
    assert sorted(lock.waited for lock in locks) == [False, True, True, True]


def test_an_error_under_a_lock_lets_go_of_it() -> None:
    storage = MemoryStorage()
    with pytest.raises(ZeroDivisionError), storage.lock("turn"):
        1 / 0  # noqa: B018
    with storage.lock("turn") as lock:
        assert not lock.waited


def test_a_subclass_has_its_say_and_still_takes_turns(tmp_path: Path) -> None:
    reads: list[str] = []

    class Auditing(FileStorage):
        def get_item(self, name: str) -> str | None:
            reads.append(name)
            return super().get_item(name)

    keys = StorageKeyStorage(Auditing(tmp_path))
    keys.store_key_pair(OWNER, PAIR)
    assert reads

    def take_turn() -> bool:
        with keys.lock("turn") as lock:
            return lock.waited

    with ThreadPoolExecutor(1) as pool:
        with FileStorage(tmp_path).lock("turn"):
            waiting = pool.submit(take_turn)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.1)
        assert waiting.result(timeout=10)


@pytest.mark.parametrize("said", [None, "x"], ids=["nothing", "something else"])
def test_a_lock_of_any_kind_serves(said: object) -> None:
    class Lockable(Dictionary):
        def lock(self, name: str) -> nullcontext[object]:
            return nullcontext(said)

    # It does not tell, so somebody may have done the work during the wait.
    with StorageKeyStorage(Lockable()).lock("turn") as lock:
        assert lock == StorageLock(waited=True)


def test_a_lock_may_be_asked_for_with_more_than_a_name() -> None:
    async def hold(storage: Any) -> StorageLock:
        async with storage.lock("turn", patience=1) as lock:
            assert isinstance(lock, StorageLock)
            return lock

    class Lockable(Dictionary):
        def lock(self, name: str, *, patience: float) -> nullcontext[StorageLock]:
            return nullcontext(StorageLock(waited=patience > 1))

    assert run(hold, adapt(Lockable(), ("get_item",))) == StorageLock(waited=False)


def test_an_override_counts_however_it_is_made() -> None:
    written: list[str] = []

    def audited(method: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(method)
        def call(storage: Any, name: str, value: str) -> None:
            written.append(name)
            method(storage, name, value)

        return call

    class Decorated(MemoryStorage):
        set_item = audited(MemoryStorage.set_item)

    on_the_object: Any = MemoryStorage()
    on_the_object.set_item = functools.partial(audited(MemoryStorage.set_item), MemoryStorage())
    for storage in (Decorated(), on_the_object):
        written.clear()
        run(adapt(storage, ("get_item", "set_item")).set_item, "a", "1")
        assert written == ["a"]


def test_a_subclass_may_not_read_exposed_keys_either(tmp_path: Path) -> None:
    class Logging(FileStorage):
        def set_item(self, name: str, value: str) -> None:
            super().set_item(name, value)

    keys = StorageKeyStorage(Logging(tmp_path))
    keys.store_key_pair(OWNER, PAIR)
    assert keys.get_key_pair(OWNER, PAIR.fingerprint) == PAIR
    for file in tmp_path.iterdir():
        file.chmod(0o644)
    with pytest.raises(StorageError, match="chmod"):
        StorageKeyStorage(Logging(tmp_path)).get_key_pair(OWNER, PAIR.fingerprint)


def test_an_async_storage_may_have_a_plain_lock() -> None:
    class Lockable(icure_async.storage.MemoryStorage):
        @contextmanager
        def lock(self, name: str) -> Iterator[StorageLock]:  # type: ignore[override]
            yield StorageLock(waited=False)

    with StorageKeyStorage(Lockable()).lock("turn") as lock:
        assert lock == StorageLock(waited=False)


def test_an_async_storage_of_the_sdk_is_taken_as_it_is() -> None:
    storage = icure_async.storage.MemoryStorage()
    assert adapt(storage, ("get_item", "set_item")) is storage


def test_a_plain_lock_may_belong_to_a_thread() -> None:
    class Lockable(Dictionary):
        turn = threading.RLock()

        def lock(self, name: str) -> Any:
            return self.turn

    storage = Lockable()
    keys = StorageKeyStorage(storage)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, [keys] * 16))
    assert storage.turn.acquire(blocking=False)


def hold(keys: StorageKeyStorage) -> None:
    with keys.lock("turn"):
        time.sleep(0.001)


def test_who_gives_up_waiting_for_a_plain_lock_has_not_got_it() -> None:
    class Lockable(Dictionary):
        turn = threading.Lock()

        def lock(self, name: str) -> Any:
            return self.turn

    keys = StorageKeyStorage(Lockable())
    Lockable.turn.acquire()
    with pytest.raises(Interrupted), interrupt_after(0.1):
        hold(keys)
    Lockable.turn.release()
    deadline = time.monotonic() + 5
    while Lockable.turn.locked() and time.monotonic() < deadline:
        time.sleep(0.01)
    # The thread that waited lets go of it at once.
    hold(keys)
    assert not Lockable.turn.locked()


async def test_a_call_given_up_in_the_moment_of_entering_a_plain_lock_lets_go_of_it() -> None:
    turn, entered = threading.Lock(), threading.Event()

    @contextmanager
    def take_turn() -> Iterator[None]:
        with turn:
            entered.set()
            yield

    class Lockable(Dictionary):
        async def lock(self, name: str) -> Any:
            return take_turn()

    async def hold() -> None:
        async with adapt(Lockable(), ("get_item", "set_item")).lock("turn"):
            await anyio.sleep(5)

    def hold_up_the_loop() -> None:
        assert entered.wait(5)
        time.sleep(0.1)

    holding = asyncio.ensure_future(hold())
    await asyncio.sleep(0)
    # The thread enters, and this loop does not hear of it.
    hold_up_the_loop()
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert turn.acquire(timeout=5)


def test_a_plain_lock_that_is_an_item_is_removed_after_an_interrupt() -> None:
    items = MemoryStorage()

    class Lockable(MemoryStorage):
        @contextmanager
        def lock(self, name: str) -> Iterator[StorageLock]:
            items.set_item(name, "held")
            try:
                yield StorageLock(waited=False)
            finally:
                items.remove_item(name)

    adapted = adapt(Lockable(), ("get_item", "set_item"))

    async def wait() -> None:
        async with adapted.lock("turn"):
            await anyio.sleep(5)

    with pytest.raises(Interrupted), interrupt_after(0.1):
        run(wait)
    assert list(items.list_items()) == []


@swallowed_interrupts_are_no_matter
def test_interrupts_at_any_moment_leave_no_lock_held() -> None:
    storage = MemoryStorage()

    async def is_free(name: str) -> bool:
        with anyio.move_on_after(0.5):
            async with storage._inner.lock(name):
                return True
        return False

    interrupted = 0
    for step in range(60):
        name = f"turn {step}"
        try:
            with interrupt_after(0.0002 + step * 0.00002):
                for _ in range(100):
                    with storage.lock(name):
                        pass
        except Interrupted:
            interrupted += 1
        assert run(is_free, name)
    assert interrupted > 0


def test_a_lock_is_entered_once() -> None:
    lock = MemoryStorage().lock("turn")
    with lock, pytest.raises(ConfigurationError, match="entered before"):
        lock.__enter__()
    with pytest.raises(ConfigurationError, match="entered before"):
        lock.__enter__()


def test_an_error_on_entering_shows_no_plumbing() -> None:
    with pytest.raises(ValidationError) as raised, MemoryStorage().lock(""):
        pass
    modules = modules_in(raised.value)
    assert modules[0] == __name__
    assert {name.partition(".")[0] for name in modules[1:]} <= {"icure_async", "contextlib"}


def test_a_key_storage_is_no_storage() -> None:
    keys: Any = MemoryKeyStorage()
    with pytest.raises(ConfigurationError, match=r"MemoryKeyStorage .* no method get_item\(\)"):
        StorageKeyStorage(keys)


def test_a_subclass_may_replace_the_lock() -> None:
    taken: list[str] = []

    class Logging(MemoryStorage):
        @contextmanager
        def lock(self, name: str) -> Iterator[StorageLock]:
            with super().lock(name) as lock:
                taken.append(name)
                yield lock

    with StorageKeyStorage(Logging()).lock("turn") as lock:
        assert lock == StorageLock(waited=False)
    assert taken == ["turn"]


def test_an_interrupt_leaves_no_write_of_a_subclass_half_done() -> None:
    class Slow(MemoryStorage):
        def set_item(self, name: str, value: str) -> None:
            time.sleep(0.3)
            super().set_item(name, value)

    storage = Slow()
    adapted = adapt(storage, ("get_item", "set_item"))

    async def write_and_go_on() -> None:
        await adapted.set_item("a", "1")
        await anyio.lowlevel.checkpoint()
        await adapted.set_item("a", "2")

    with pytest.raises(Interrupted), interrupt_after(0.1):
        run(write_and_go_on)
    assert storage.get_item("a") == "1"


def test_a_subclass_can_be_written_to_while_an_interrupted_call_cleans_up() -> None:
    class Upper(MemoryStorage):
        def set_item(self, name: str, value: str) -> None:
            super().set_item(name, value.upper())

    storage = Upper()
    adapted = adapt(storage, ("get_item", "set_item"))

    async def clean_up() -> None:
        try:
            await anyio.sleep(5)
        finally:
            await adapted.set_item("a", "cleaned up")

    with pytest.raises(Interrupted), interrupt_after(0.1):
        run(clean_up)
    assert storage.get_item("a") == "CLEANED UP"


def test_what_is_not_overridden_is_the_async_storage_itself() -> None:
    class Named(MemoryStorage):
        name = "mine"

    storage = Named()
    assert adapt(storage, ("get_item", "set_item")) is storage._inner


def test_records_are_read_with_keys_in_a_plain_storage() -> None:
    keys = StorageKeyStorage(Dictionary())
    with Sandbox() as sandbox:
        master = sandbox.master_hcp
        keys.store_key_pair(master.data_owner_id, master.key_pair)
        builder = (
            MedTechApiBuilder()
            .with_icure_base_url(sandbox.icure_url)
            .with_user_name(master.login)
            .with_password(master.password)
            .with_key_storage(keys)
        )
        with builder.build() as api:
            assert list(api.init_user_crypto()) == [master.key_pair]


def test_a_forked_process_waits_for_no_lock_of_its_parents(tmp_path: Path) -> None:
    EncryptedKeyStorage(tmp_path, passphrase="winter is coming").store_key_pair(OWNER, PAIR)
    ended = run_program(
        SLOW_IMPORT
        + f"""
from icure_sync.storage import EncryptedKeyStorage, MemoryStorage

memory = MemoryStorage()
keys = EncryptedKeyStorage({str(tmp_path)!r}, passphrase="winter is coming")
inside, over = threading.Event(), threading.Event()

def hold():
    with memory.lock("turn"):
        inside.set()
        over.wait(30)

def read():
    return len(keys.list_key_pairs({OWNER!r}))

# The opening of the key storage takes half a second, and begins with an import.
importing = slow_down("cryptography.hazmat.primitives.kdf.scrypt")
busy = [threading.Thread(target=hold), threading.Thread(target=read)]
for thread in busy:
    thread.start()
inside.wait(30)
importing.wait(30)
child = os.fork()
if not child:
    signal.alarm(10)
    with memory.lock("turn") as lock:
        say(lock.waited)
    say(read())
    os._exit(0)
say("child exited with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
over.set()
for thread in busy:
    thread.join()
"""
    )

    assert ended.lines == ["False", "1", "child exited with 0"], ended.errors


def test_storages_and_builders_serve_a_forked_process(tmp_path: Path) -> None:
    ended = run_program(f"""
        from icure_sync import MedTechApiBuilder
        from icure_sync.storage import FileStorage, MemoryKeyStorage

        storage = FileStorage({str(tmp_path)!r})
        storage.set_item("a", "written by the parent")
        builder = (
            MedTechApiBuilder()
            .with_icure_base_url("http://127.0.0.1:9")
            .with_user_name("ned")
            .with_password("winter")
            .with_storage(storage)
        )
        with builder.build() as parents:
            child = os.fork()
            if not child:
                signal.alarm(10)
                say(storage.get_item("a"))
                with builder.with_key_storage(MemoryKeyStorage()).build() as api:
                    say(api)
                    storage.set_item("a", "written by the child")
                sys.exit(7)
            say("child exited with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        say(storage.get_item("a"))
        """)

    assert ended.lines[0] == "written by the parent", ended.errors
    assert ended.lines[1].startswith("MedTechApi("), ended.errors
    assert ended.lines[2:] == ["child exited with 7", "written by the child"], ended.errors
    assert ended.errors == ""
