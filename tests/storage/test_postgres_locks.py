"""Locks in PostgreSQL: whose they are, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from psycopg_pool import AsyncConnectionPool

from icure_async.errors import StorageError
from icure_async.storage import PostgresStorage, StorageLock
from icure_async.storage._held_locks import held_locks
from icure_async.storage._postgres_locks import key_of
from icure_sync.storage import PostgresStorage as BlockingPostgresStorage
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[2]

Make = Callable[..., PostgresStorage]


@pytest.fixture
async def make(postgres_url: str) -> AsyncIterator[Make]:
    """Makes storages on the database, each with connections of its own, and closes them."""
    async with contextlib.AsyncExitStack() as stack:

        def made(target: object = postgres_url, **options: Any) -> PostgresStorage:
            storage = PostgresStorage(target, **{"timeout": 10.0, **options})
            stack.push_async_callback(storage.aclose)
            return storage

        yield made


@pytest.fixture
def holder(make: Make) -> PostgresStorage:
    return make()


@pytest.fixture
def other(make: Make) -> PostgresStorage:
    """A storage of another program."""
    return make()


@pytest.fixture
def cut(postgres_server: PostgresServer) -> Callable[[], Any]:
    """Ends the sessions that hold locks."""

    def end() -> None:
        statement = (
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        )
        assert postgres_server.execute(statement)
        while postgres_server.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"):
            pass

    return lambda: to_thread.run_sync(end)


async def taken(storage: PostgresStorage, name: str = "x") -> StorageLock:
    with anyio.fail_after(10):
        async with storage.lock(name) as lock:
            return lock


async def test_a_holder_who_has_lost_the_lock_writes_nothing(
    holder: PostgresStorage, other: PostgresStorage, cut: Callable[[], Any]
) -> None:
    await holder.set_item("x", "before")
    async with holder.lock("x"):
        await holder.set_item("x", "held")
        await cut()
        async with other.lock("x") as lock:
            assert not lock.waited
            await other.set_item("x", "of the other")
            for call in (holder.set_item("x", "late"), holder.remove_item("x")):
                with pytest.raises(StorageError, match="a lock for this was lost"):
                    await call
        # It can see what has happened.
        assert await holder.get_item("x") == "of the other"
        with pytest.raises(StorageError, match="repeat the whole call"):
            await holder.set_item("y", "late")
    assert await holder.get_item("x") == "of the other"
    async with holder.lock("x"):
        await holder.set_item("x", "again")
    assert await other.get_item("x") == "again"


def test_a_blocking_holder_who_has_lost_the_lock_writes_nothing(
    postgres_server: PostgresServer, postgres_url: str, cut: Callable[[], Any]
) -> None:
    holder, other = BlockingPostgresStorage(postgres_url), BlockingPostgresStorage(postgres_url)
    with holder, other:
        with holder.lock("x"), holder.lock("y"):
            holder.set_item("x", "held")
            asyncio.run(cut())
            with other.lock("x"):
                other.set_item("x", "of the other")
                for call in (lambda: holder.set_item("x", "late"), lambda: holder.remove_item("x")):
                    with pytest.raises(StorageError, match="a lock for this was lost"):
                        call()
        assert held_locks.get() == ()
        assert holder.get_item("x") == "of the other"
        with holder.lock("x"):
            holder.set_item("x", "again")
        assert other.get_item("x") == "again"


async def test_who_holds_a_new_lock_cannot_write_under_the_one_that_was_lost(
    holder: PostgresStorage, cut: Callable[[], Any]
) -> None:
    async with holder.lock("x"):
        await cut()
        async with holder.lock("y"):
            with pytest.raises(StorageError, match="a lock for this was lost"):
                await holder.set_item("x", "late")
    async with holder.lock("y"):
        await holder.set_item("x", "in time")


async def test_a_lock_that_is_lost_without_a_write_is_logged(
    holder: PostgresStorage, cut: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with holder.lock("the item"):
        await cut()
    assert [r.getMessage() for r in caplog.records if r.name.startswith("icure_async")] == [
        "A lock was lost while it was held: to lock the item 'the item'."
    ]


async def test_tasks_of_the_holder_write_under_the_lock_and_others_do_not(
    holder: PostgresStorage, cut: Callable[[], Any]
) -> None:
    may_write = asyncio.Event()

    async def write_later(name: str) -> None:
        await may_write.wait()
        await holder.set_item(name, "x")

    stranger = asyncio.create_task(write_later("of a stranger"))
    async with holder.lock("x"):
        own = asyncio.create_task(write_later("of the holder"))
        await cut()
        may_write.set()
        await stranger
        with pytest.raises(StorageError, match="a lock for this was lost"):
            await own
    async with holder.lock("x"):
        left_over = asyncio.create_task(write_later("afterwards"))
    await left_over
    assert await holder.list_items() == ["afterwards", "of a stranger"]


async def test_locks_inside_each_other(holder: PostgresStorage, other: PostgresStorage) -> None:
    async with holder.lock("a"), holder.with_namespace("user").lock("a"):
        await holder.set_item("x", "1")
        await holder.with_namespace("user").set_item("x", "2")
        await other.set_item("y", "3")
    assert await other.get_item("x") == "1"


async def test_two_who_wait_while_the_server_is_cut_off_get_it_one_after_the_other(
    holder: PostgresStorage, other: PostgresStorage, cut: Callable[[], Any]
) -> None:
    inside = 0

    async def work(storage: PostgresStorage) -> None:
        nonlocal inside
        async with storage.lock("x"):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0.01)
            inside -= 1

    async with holder.lock("x"):
        waiting = [asyncio.create_task(work(one)) for one in (holder, other, holder, other)]
        await asyncio.sleep(0.1)
        await cut()
        # The lock is lost, and this task has left what it protects as it was.
    with anyio.fail_after(10):
        await asyncio.gather(*waiting)


async def test_many_locks_take_one_connection(
    holder: PostgresStorage, postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(200):
            await stack.enter_async_context(holder.lock(str(number)))
        rows = await to_thread.run_sync(
            postgres_server.execute,
            "SELECT count(*), count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory'",
        )
        assert rows == [(200, 1)]
    statement = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    assert await to_thread.run_sync(postgres_server.execute, statement) == [(0,)]


async def test_the_connection_is_given_back_as_it_was(make: Make, postgres_url: str) -> None:
    async with AsyncConnectionPool(postgres_url, min_size=1, max_size=2, open=False) as pool:
        statement = "SELECT current_setting('idle_session_timeout')"

        async def state() -> tuple[object, bool]:
            async with pool.connection() as connection:
                row = await (await connection.execute(statement)).fetchone()
                return row, connection.autocommit

        before = await state()
        storage = make(pool)
        for _ in range(4):
            async with storage.lock("x"):
                await storage.set_item("x", "y")
            states = [await state() for _ in range(4)]
            assert states == [before] * 4


async def test_names_of_locks_are_told_apart() -> None:
    keys = [
        key_of(*parts)
        for parts in (
            ("icure", "", "x"),
            ("icure", "x", ""),
            ("icurex", "", ""),
            ("icure", "a", "b"),
            ("icure", "ab", ""),
            ("icure", "", 'a","b'),
        )
    ]
    assert len(set(keys)) == len(keys)
    assert all(-(2**63) <= key < 2**63 for key in keys)
    # Programs of several versions share their locks: this never changes.
    assert keys[0] == 6238183514901291319


HOLD = """
import asyncio, sys
from icure_async.storage import PostgresStorage

async def main():
    async with PostgresStorage(sys.argv[1]) as storage, storage.lock("x"):
        await storage.set_item("acknowledged", "value")
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_killed_process_holds_no_lock(holder: PostgresStorage, postgres_url: str) -> None:
    def hold() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, postgres_url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    with await to_thread.run_sync(hold) as process:
        with anyio.move_on_after(0.1) as scope:
            await taken(holder)
        assert scope.cancelled_caught
        waiting = asyncio.create_task(taken(holder))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        process.send_signal(signal.SIGKILL)
        assert (await waiting).waited
    assert await holder.get_item("acknowledged") == "value"


# A pooler between the program and the server.


class Pooler:
    """Forwards connections, and names them itself, as every pooler does."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._server: asyncio.Server | None = None
        self._forwarding: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._forwarding:
            task.cancel()
        await asyncio.gather(*self._forwarding, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._forwarding.add(task)
        from_server, to_server = await asyncio.open_unix_connection(str(self._socket))
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                await asyncio.gather(
                    self._forward(reader, to_server), self._forward_named(from_server, writer)
                )
        finally:
            writer.transport.abort()
            to_server.transport.abort()
            await asyncio.sleep(0)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def _forward_named(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            if head[:1] == b"K":
                body = struct.pack("!I", 123456) + body[4:]
            writer.write(head + body)


async def test_behind_a_pooler_everything_works_but_locks(
    make: Make, postgres_server: PostgresServer, postgres_url: str
) -> None:
    database = postgres_url.rpartition("?")[0].rpartition("/")[2]
    async with Pooler(postgres_server.socket) as port:
        url = f"postgresql://owner@127.0.0.1:{port}/{database}?sslmode=disable&gssencmode=disable"
        storage = make(url)
        await storage.set_item("x", "y")
        assert await storage.get_item("x") == "y"
        for _ in range(2):
            with pytest.raises(StorageError, match="pooler") as caught:
                await taken(storage)
            assert "session_pooler=True" in str(caught.value)
        in_session_mode = make(url, session_pooler=True)
        async with in_session_mode.lock("x"):
            await in_session_mode.set_item("x", "z")
        await storage.aclose()
        await in_session_mode.aclose()
    assert await make().get_item("x") == "z"
