"""The database: SQLite, used from one thread, one transaction per job."""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import orjson

__all__ = ["DATABASES", "KINDS", "Json", "Store", "Transaction"]

Json = dict[str, Any]
"""An entity, or any other JSON object."""

T = TypeVar("T")

DATABASES: tuple[tuple[str, ...], ...] = (
    ("patient",),
    ("user", "hcparty", "device", "code"),
    ("maintenancetask", "helement", "contact", "document"),
)
"""Kinds that share a database on the real backend, and hence one space of ids (§2.4)."""

KINDS: tuple[str, ...] = (
    "user",
    "patient",
    "hcparty",
    "device",
    "maintenancetask",
    "helement",
    "contact",
    "document",
    "code",
)
"""Every kind of entity that is kept, with or without endpoints of its own."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entities (
    kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)
);
CREATE TABLE IF NOT EXISTS links (
    kind TEXT NOT NULL, relation TEXT NOT NULL, target TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (kind, relation, target, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS links_of_entity ON links (kind, id);
CREATE TABLE IF NOT EXISTS seeded_tokens (
    user_id TEXT NOT NULL, position INTEGER NOT NULL, token TEXT NOT NULL,
    PRIMARY KEY (user_id, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS processes (
    request_id TEXT PRIMARY KEY, body BLOB NOT NULL
) WITHOUT ROWID;
"""

Linker = Callable[[str, Json], Iterable[tuple[str, str]]]
"""Names what an entity should be found by, as (relation, target) pairs."""


class Transaction:
    """What a job may do while it has the database to itself."""

    def __init__(self, connection: sqlite3.Connection, linker: Linker) -> None:
        self._connection = connection
        self._linker = linker

    def get(self, kind: str, entity_id: str) -> Json | None:
        """Return the entity as stored, deleted ones included."""
        row = self._connection.execute(
            "SELECT body FROM entities WHERE kind = ? AND id = ?", (kind, entity_id)
        ).fetchone()
        return None if row is None else _object(row[0])

    def put(self, kind: str, entity: Json) -> None:
        """Store an entity under its id, replacing what was there."""
        entity_id: str = entity["id"]
        self._connection.execute(
            "INSERT INTO entities (kind, id, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (kind, entity_id, orjson.dumps(entity)),
        )
        self._connection.execute("DELETE FROM links WHERE kind = ? AND id = ?", (kind, entity_id))
        self._connection.executemany(
            "INSERT OR IGNORE INTO links (kind, relation, target, id) VALUES (?, ?, ?, ?)",
            [
                (kind, relation, target, entity_id)
                for relation, target in self._linker(kind, entity)
            ],
        )

    def id_taken(self, kind: str, entity_id: str) -> bool:
        """Whether the id is in use in the database of this kind, deleted entities included."""
        family = next((kinds for kinds in DATABASES if kind in kinds), (kind,))
        return any(
            self._connection.execute(
                "SELECT 1 FROM entities WHERE kind = ? AND id = ?", (member, entity_id)
            ).fetchone()
            for member in family
        )

    def all(self, kind: str) -> Iterator[Json]:
        """Every entity of a kind that is not deleted, by ascending id."""
        for entity in self.everything(kind):
            if not entity.get("deletionDate"):
                yield entity

    def everything(self, kind: str) -> list[Json]:
        """Every entity of a kind, deleted ones included, by ascending id."""
        rows = self._connection.execute(
            "SELECT body FROM entities WHERE kind = ? ORDER BY id", (kind,)
        ).fetchall()
        return [_object(row[0]) for row in rows]

    def linked(self, kind: str, relation: str, target: str) -> Iterator[Json]:
        """Entities of a kind that are not deleted and found by this target, by ascending id."""
        rows = self._connection.execute(
            "SELECT e.body FROM links l JOIN entities e ON e.kind = l.kind AND e.id = l.id"
            " WHERE l.kind = ? AND l.relation = ? AND l.target = ? ORDER BY l.id",
            (kind, relation, target),
        ).fetchall()
        for row in rows:
            entity = _object(row[0])
            if not entity.get("deletionDate"):
                yield entity

    def meta(self, key: str) -> str | None:
        """Return a value the sandbox keeps for itself."""
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Keep a value for the sandbox itself."""
        self._connection.execute(
            "INSERT INTO meta (key, value) VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (key, value),
        )

    def seeded_tokens(self, user_id: str) -> list[str]:
        """Return the plain tokens a seed gave this user, in its order."""
        rows = self._connection.execute(
            "SELECT token FROM seeded_tokens WHERE user_id = ? ORDER BY position", (user_id,)
        ).fetchall()
        return [str(row[0]) for row in rows]

    def all_seeded_tokens(self) -> dict[str, list[str]]:
        """Return the plain tokens of every user a seed gave some."""
        rows = self._connection.execute("SELECT DISTINCT user_id FROM seeded_tokens").fetchall()
        return {str(row[0]): self.seeded_tokens(str(row[0])) for row in rows}

    def set_seeded_tokens(self, user_id: str, tokens: list[str]) -> None:
        """Accept these plain tokens for a user, for ever."""
        self._connection.executemany(
            "INSERT INTO seeded_tokens (user_id, position, token) VALUES (?, ?, ?)",
            [(user_id, position, token) for position, token in enumerate(tokens)],
        )

    def process(self, request_id: str) -> Json | None:
        """Return an authentication process of the message gateway."""
        row = self._connection.execute(
            "SELECT body FROM processes WHERE request_id = ?", (request_id,)
        ).fetchone()
        return None if row is None else _object(row[0])

    def put_process(self, request_id: str, process: Json) -> None:
        """Remember an authentication process."""
        self._connection.execute(
            "INSERT INTO processes (request_id, body) VALUES (?, ?)"
            " ON CONFLICT (request_id) DO UPDATE SET body = excluded.body",
            (request_id, orjson.dumps(process)),
        )


def _object(body: bytes) -> Json:
    loaded: Json = orjson.loads(body)
    return loaded


class Store:
    """One SQLite database behind one worker thread.

    Jobs run strictly one after the other, each in its own transaction: what a job read is still
    true when it writes. The event loop only waits.
    """

    def __init__(self, path: str, linker: Linker) -> None:
        self._path = path
        self._linker = linker
        self._jobs: queue.SimpleQueue[Callable[[sqlite3.Connection], None] | None]
        self._jobs = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        """Start the thread and open the database.

        Raises:
            sqlite3.Error: if the file can't be opened or is no database.
        """
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        # A daemon, so that a program that forgets to close its sandbox still exits.
        self._thread = threading.Thread(
            target=self._work, args=(loop, opened), name="icure-sandbox-db", daemon=True
        )
        self._thread.start()
        try:
            await opened
        except BaseException:
            await self.close()
            raise

    async def run(self, job: Callable[[Transaction], T]) -> T:
        """Run ``job`` in a transaction: committed when it returns, undone when it raises."""
        if self._thread is None:
            raise RuntimeError("The sandbox is closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def work(connection: sqlite3.Connection) -> None:
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    result = job(Transaction(connection, self._linker))
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            except BaseException as error:
                _settle(loop, done, error=error)
            else:
                _settle(loop, done, result=result)

        self._jobs.put(work)
        return await done

    async def close(self) -> None:
        """Finish the jobs under way, close the database and end the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._jobs.put(None)
        await asyncio.to_thread(thread.join)

    def _work(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        try:
            connection = self._connect()
        except sqlite3.Error as error:
            _settle(loop, opened, error=error)
            return
        _settle(loop, opened, result=None)
        try:
            while (job := self._jobs.get()) is not None:
                job(connection)
        finally:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        if self._path != ":memory:":
            # It holds private keys of the master's and the server's.
            with suppress(OSError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            connection.execute("PRAGMA busy_timeout = 5000")
            if self._path != ":memory:":
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _settle(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[T],
    *,
    result: T | None = None,
    error: BaseException | None = None,
) -> None:
    def settle() -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T may be None itself

    # The loop may have ended while the job ran: nobody waits for the answer any more.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(settle)
