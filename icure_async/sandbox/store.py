"""The database: SQLite, used from one thread, one transaction per job."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs
import orjson

from icure_async.sandbox.errors import ClosingError
from icure_async.sandbox.workers import always, in_new_thread

__all__ = [
    "DATABASES",
    "KINDS",
    "MAIN_GROUP",
    "Change",
    "Json",
    "Store",
    "Transaction",
    "Watcher",
    "alone",
]

_LOGGER = logging.getLogger("icure_async.sandbox")
_LAST = 9
_IN_MEMORY = ":memory:"
_OWN_FILES = ("", "-wal", "-shm")
_OTHERS = 0o077

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
    "exchangedata",
    "exchangedatamap",
    "recoverydata",
    "securedelegationkeymap",
)
"""Every kind of entity that is kept, with or without endpoints of its own."""

MAIN_GROUP = ""
"""The group that a database always has, as it is called in its rows."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS further_groups (id TEXT PRIMARY KEY, name TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entities (
    grp TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (grp, kind, id)
);
CREATE TABLE IF NOT EXISTS links (
    grp TEXT NOT NULL, kind TEXT NOT NULL, relation TEXT NOT NULL, target TEXT NOT NULL,
    id TEXT NOT NULL, PRIMARY KEY (grp, kind, relation, target, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS links_of_entity ON links (grp, kind, id);
CREATE TABLE IF NOT EXISTS seeded_tokens (
    grp TEXT NOT NULL, user_id TEXT NOT NULL, position INTEGER NOT NULL, token TEXT NOT NULL,
    PRIMARY KEY (grp, user_id, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS processes (
    request_id TEXT PRIMARY KEY, body BLOB NOT NULL
) WITHOUT ROWID;
"""

_LINK = "INSERT INTO links (grp, kind, relation, target, id) VALUES (?, ?, ?, ?, ?)"
_UNLINK = "DELETE FROM links WHERE grp = ? AND kind = ? AND relation = ? AND target = ? AND id = ?"

# Earlier versions knew the main group only. The links are made anew by `relink`.
_UPGRADE = f"""
BEGIN IMMEDIATE;
ALTER TABLE entities RENAME TO entities_of_one_group;
ALTER TABLE seeded_tokens RENAME TO tokens_of_one_group;
DROP TABLE links;
{_SCHEMA}
INSERT INTO entities SELECT '', kind, id, body FROM entities_of_one_group;
INSERT INTO seeded_tokens SELECT '', user_id, position, token FROM tokens_of_one_group;
DROP TABLE entities_of_one_group;
DROP TABLE tokens_of_one_group;
DELETE FROM meta WHERE key = 'links';
COMMIT;
"""  # noqa: S608 - nothing but the schema

Linker = Callable[[str, Json], Iterable[tuple[str, str]]]
"""Names what an entity should be found by, as (relation, target) pairs."""


@attrs.frozen(eq=False, repr=False)
class Change:
    """An entity that a job has stored, in its last state."""

    group: str
    kind: str
    entity: Json
    is_new: bool


class Watcher(Protocol):
    """Looks at what jobs have stored."""

    def is_watching(self) -> bool:
        """Return whether anybody wants to know; asked in the store's thread."""
        ...

    def look(self, tx: Transaction, changes: Iterable[Change], /) -> Callable[[], None] | None:
        """Look at the changes of a job before they are committed, in the store's thread.

        Returns:
            A function to call in the event loop after the commit.
        """
        ...


class Transaction:
    """The operations of a job that has the database to itself, in one group of users.

    Nothing of another group is ever found, except by way of `in_group`.

    Attributes:
        changes: what the job has stored, by group, kind and id; None where nobody wants to know.
        group: the group, as it is called in rows.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        linker: Linker,
        changes: dict[tuple[str, str, str], Change] | None = None,
        group: str = MAIN_GROUP,
    ) -> None:
        self._connection = connection
        self._linker = linker
        self.changes = changes
        self.group = group

    @property
    def group_id(self) -> str:
        """Id of the group, as clients know it."""
        return self.group or self.meta("group") or ""

    def group_ids(self) -> list[str]:
        """Return the ids of all groups, the main one first."""
        rows = self._connection.execute("SELECT id FROM further_groups ORDER BY id").fetchall()
        return [self.in_row_group(MAIN_GROUP).group_id, *(str(row[0]) for row in rows)]

    def groups(self) -> list[Transaction]:
        """Return the same transaction in each of the groups, the main one first."""
        _main, *others = self.group_ids()
        return [self.in_row_group(MAIN_GROUP), *map(self.in_row_group, others)]

    def in_group(self, group_id: str) -> Transaction | None:
        """Return the same transaction in another group, or None if there is no such group."""
        return next((tx for tx in self.groups() if tx.group_id == group_id), None)

    def in_row_group(self, group: str) -> Transaction:
        """Return the same transaction in the group that rows call so."""
        return Transaction(self._connection, self._linker, self.changes, group)

    def group_name(self) -> str | None:
        """Return the name of the group, if it has one."""
        if self.group == MAIN_GROUP:
            return self.meta("group name")
        row = self._connection.execute(
            "SELECT name FROM further_groups WHERE id = ?", (self.group,)
        ).fetchone()
        return None if row is None or row[0] is None else str(row[0])

    def add_group(self, group_id: str, name: str | None) -> Transaction:
        """Add a group, and return the same transaction in it."""
        self._connection.execute(
            "INSERT INTO further_groups (id, name) VALUES (?, ?)", (group_id, name)
        )
        return self.in_row_group(group_id)

    def get(self, kind: str, entity_id: str) -> Json | None:
        """Return the entity as stored, deleted ones included."""
        row = self._connection.execute(
            "SELECT body FROM entities WHERE grp = ? AND kind = ? AND id = ?",
            (self.group, kind, entity_id),
        ).fetchone()
        return None if row is None else _object(row[0])

    def put(self, kind: str, entity: Json) -> None:
        """Store an entity under its id, replacing what was there."""
        entity_id: str = entity["id"]
        if self.changes is not None:
            key = (self.group, kind, entity_id)
            before = self.changes.get(key)
            is_new = before.is_new if before else self.get(kind, entity_id) is None
            self.changes[key] = Change(self.group, kind, {**entity}, is_new)
        self._connection.execute(
            "INSERT INTO entities (grp, kind, id, body) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (grp, kind, id) DO UPDATE SET body = excluded.body",
            (self.group, kind, entity_id, orjson.dumps(entity)),
        )
        self._link(kind, entity_id, set(self._linker(kind, entity)))

    def _link(self, kind: str, entity_id: str, wanted: set[tuple[str, str]]) -> None:
        present: set[tuple[str, str]] = set(
            self._connection.execute(
                "SELECT relation, target FROM links WHERE grp = ? AND kind = ? AND id = ?",
                (self.group, kind, entity_id),
            )
        )
        for change, links in ((_UNLINK, present - wanted), (_LINK, wanted - present)):
            self._connection.executemany(
                change,
                [(self.group, kind, relation, target, entity_id) for relation, target in links],
            )

    def remove(self, kind: str, entity_id: str) -> None:
        """Forget an entity for good."""
        self._link(kind, entity_id, set())
        self._connection.execute(
            "DELETE FROM entities WHERE grp = ? AND kind = ? AND id = ?",
            (self.group, kind, entity_id),
        )
        if self.changes is not None:
            self.changes.pop((self.group, kind, entity_id), None)

    def relink(self, kind: str) -> None:
        """Store every entity of a kind again, to be found by what the linker says now."""
        for entity in self.everything(kind):
            self.put(kind, entity)

    def id_taken(self, kind: str, entity_id: str) -> bool:
        """Return whether the database of this kind has the id, deleted entities included."""
        family = next((kinds for kinds in DATABASES if kind in kinds), (kind,))
        return any(
            self._connection.execute(
                "SELECT 1 FROM entities WHERE grp = ? AND kind = ? AND id = ?",
                (self.group, member, entity_id),
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
            "SELECT body FROM entities WHERE grp = ? AND kind = ? ORDER BY id", (self.group, kind)
        ).fetchall()
        return [_object(row[0]) for row in rows]

    def page_of_everything(self, kind: str, after: str, limit: int) -> list[Json]:
        """Return the next entities of a kind after an id, deleted ones included."""
        rows = self._connection.execute(
            "SELECT body FROM entities WHERE grp = ? AND kind = ? AND id > ? ORDER BY id LIMIT ?",
            (self.group, kind, after, limit),
        ).fetchall()
        return [_object(row[0]) for row in rows]

    def count(self, kind: str) -> int:
        """Return the number of entities of a kind, deleted ones included."""
        row = self._connection.execute(
            "SELECT COUNT(*) FROM entities WHERE grp = ? AND kind = ?", (self.group, kind)
        ).fetchone()
        return int(row[0])

    def clear(self) -> None:
        """Forget everything but the master and what signs: no group has anything then."""
        for table in ("entities", "links", "seeded_tokens", "processes", "further_groups"):
            self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - nothing but names
        self._connection.execute(
            "DELETE FROM meta WHERE key = 'group name' OR key LIKE 'revoked %'"
        )

    def linked(self, kind: str, relation: str, target: str) -> Iterator[Json]:
        """Entities of a kind that are not deleted and found by this target, by ascending id."""
        rows = self._connection.execute(
            "SELECT e.body FROM links l"
            " JOIN entities e ON e.grp = l.grp AND e.kind = l.kind AND e.id = l.id"
            " WHERE l.grp = ? AND l.kind = ? AND l.relation = ? AND l.target = ? ORDER BY l.id",
            (self.group, kind, relation, target),
        ).fetchall()
        for row in rows:
            entity = _object(row[0])
            if not entity.get("deletionDate"):
                yield entity

    def select(self, sql: str, parameters: tuple[str | int, ...]) -> list[tuple[Any, ...]]:
        """Return the rows of a query that `queries` has made."""
        return self._connection.execute(sql, parameters).fetchall()

    def each(self, kind: str, ids: Iterable[str]) -> list[Json]:
        """Return entities in the order of their ids, unknown ones left out."""
        found = (self.get(kind, entity_id) for entity_id in ids)
        return [entity for entity in found if entity is not None]

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
            "SELECT token FROM seeded_tokens WHERE grp = ? AND user_id = ? ORDER BY position",
            (self.group, user_id),
        ).fetchall()
        return [str(row[0]) for row in rows]

    def all_seeded_tokens(self) -> dict[str, list[str]]:
        """Return the plain tokens of every user a seed gave some."""
        rows = self._connection.execute(
            "SELECT DISTINCT user_id FROM seeded_tokens WHERE grp = ?", (self.group,)
        ).fetchall()
        return {str(row[0]): self.seeded_tokens(str(row[0])) for row in rows}

    def set_seeded_tokens(self, user_id: str, tokens: list[str]) -> None:
        """Accept these plain tokens for a user, for ever, and no others."""
        self._connection.execute(
            "DELETE FROM seeded_tokens WHERE grp = ? AND user_id = ?", (self.group, user_id)
        )
        self._connection.executemany(
            "INSERT INTO seeded_tokens (grp, user_id, position, token) VALUES (?, ?, ?, ?)",
            [(self.group, user_id, position, token) for position, token in enumerate(tokens)],
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


@contextmanager
def alone(linker: Linker, kind: str, entity: Json) -> Generator[Transaction]:
    """Yield a transaction of a database that has nothing but this entity."""
    with closing(sqlite3.connect(_IN_MEMORY, isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
        tx = Transaction(connection, linker)
        tx.put(kind, entity)
        yield tx


def _object(body: bytes) -> Json:
    loaded: Json = orjson.loads(body)
    return loaded


@attrs.frozen(order=True)
class _Job:
    turn: int
    number: int
    work: Callable[[sqlite3.Connection], None] | None = attrs.field(order=False)


class Store:
    """One SQLite database behind one worker thread.

    Jobs run strictly one after the other, each in its own transaction: what a job read is still
    true when it writes. The event loop only waits.
    """

    def __init__(self, path: str, linker: Linker, watcher: Watcher | None = None) -> None:
        self._path = path
        self._linker = linker
        self._watcher = watcher
        self._jobs = queue.PriorityQueue[_Job]()
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._snapshots: list[sqlite3.Connection] = []

    async def open(self) -> None:
        """Start the thread and open the database.

        Raises:
            sqlite3.Error: if the file can't be opened or is no database.
            OSError: if others can read the file, and its mode can't be changed.
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

    async def run(
        self,
        job: Callable[[Transaction], T],
        *,
        turn: int = 0,
        wanted: Callable[[], bool] = always,
        committed: Callable[[], None] | None = None,
    ) -> T:
        """Run ``job`` in a transaction: committed when it returns, undone when it raises.

        Args:
            job: what to do, and the result.
            turn: of the jobs that wait the lowest goes first, and of the same ones the earliest.
            wanted: asked when its turn comes, whether anybody still waits for it.
            committed: called in the event loop after the commit, even if nobody waits any more.

        Raises:
            ClosingError: the store was closed before its turn came.
            ConnectionResetError: nobody waited any more.
        """
        return await self._perform(
            lambda connection: self._transact(connection, job), turn, wanted, committed
        )

    async def snapshot(self) -> Callable[[Callable[[], None]], Awaitable[None]]:
        """Keep everything as it is now.

        Returns:
            An async function that brings it back, at once, and then calls a function in the event
            loop, before anybody is told of a later job.
        """

        def keep(connection: sqlite3.Connection) -> tuple[sqlite3.Connection, None]:
            # SQLite moves what is too large for memory to a file that nobody else sees.
            kept = sqlite3.connect("", isolation_level=None)
            self._snapshots.append(kept)
            connection.backup(kept)
            return kept, None

        kept = await self._perform(keep, 0, always, None)

        def bring_back(connection: sqlite3.Connection) -> tuple[None, None]:
            kept.backup(connection)
            return None, None

        async def restore(restored: Callable[[], None]) -> None:
            await self._perform(bring_back, 0, always, restored)

        return restore

    async def _perform(
        self,
        perform: Callable[[sqlite3.Connection], tuple[T, Callable[[], None] | None]],
        turn: int,
        wanted: Callable[[], bool],
        committed: Callable[[], None] | None,
    ) -> T:
        if self._thread is None or self._closing:
            raise ClosingError
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def work(connection: sqlite3.Connection) -> None:
            try:
                if self._closing:
                    raise ClosingError
                if done.done() or not wanted():
                    raise ConnectionResetError("Nobody waits for this any more")
                result, seen = perform(connection)
            except BaseException as error:
                _settle(loop, done, error=error)
            else:
                _settle(loop, done, result=result, then=(seen, committed))

        self._put(work, turn)
        return await done

    def _put(self, work: Callable[[sqlite3.Connection], None] | None, turn: int) -> None:
        self._jobs.put(_Job(turn, next(self._order), work))

    def _transact(
        self, connection: sqlite3.Connection, job: Callable[[Transaction], T]
    ) -> tuple[T, Callable[[], None] | None]:
        watcher = self._watcher
        is_watched = watcher is not None and watcher.is_watching()
        tx = Transaction(connection, self._linker, {} if is_watched else None)
        seen: Callable[[], None] | None = None
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = job(tx)
            if watcher is not None and tx.changes:
                seen = watcher.look(tx, tx.changes.values())
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return result, seen

    def stop(self) -> None:
        """Drop the jobs that have not begun, and take no more."""
        self._closing = True

    async def close(self) -> None:
        """Finish the job under way, drop the others, close the database and end the thread."""
        self.stop()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._put(None, _LAST)
        await in_new_thread(thread.join)

    def _work(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        try:
            connection = self._connect()
        except (sqlite3.Error, OSError) as error:
            _settle(loop, opened, error=error)
            return
        _settle(loop, opened, result=None)
        try:
            while (work := self._jobs.get().work) is not None:
                work(connection)
        finally:
            for kept in (connection, *self._snapshots):
                kept.close()

    def _connect(self) -> sqlite3.Connection:
        if self._path != _IN_MEMORY:
            # It holds private keys of the master's and the server's.
            with suppress(OSError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL, 0o600))
        connection = sqlite3.connect(self._path, isolation_level=None)
        try:
            connection.execute("PRAGMA busy_timeout = 5000")
            if self._path != _IN_MEMORY:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
            columns = {str(row[1]) for row in connection.execute("PRAGMA table_info(entities)")}
            connection.executescript(_UPGRADE if columns and "grp" not in columns else _SCHEMA)
            if self._path != _IN_MEMORY and os.name == "posix":
                self._keep_private()
        except (sqlite3.Error, OSError):
            connection.close()
            raise
        return connection

    def _keep_private(self) -> None:
        # Not before it proved to be a database of ours: it may be anybody's file.
        for path in (Path(self._path + suffix) for suffix in _OWN_FILES):
            if not path.exists() or not path.stat().st_mode & _OTHERS:
                continue
            try:
                path.chmod(0o600)
            except OSError:
                raise PermissionError(
                    f"others can read {path}, which holds private keys, and this user can't "
                    "change its mode: make it 0600, or keep the database in another file"
                ) from None
            _LOGGER.warning(
                "Others could read %s, which holds private keys: its mode is 0600 now", path
            )


def _settle(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[T],
    *,
    result: T | None = None,
    error: BaseException | None = None,
    then: Iterable[Callable[[], None] | None] = (),
) -> None:
    def settle() -> None:
        if future.done():
            pass
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T may be None itself
        # Those who wait go on in a later turn of the loop only.
        for effect in then:
            if effect is not None:
                effect()

    # The loop may have ended while the job ran: nobody waits for the answer any more.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(settle)
