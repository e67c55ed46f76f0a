"""The database: SQLite, used from one thread, one transaction per job."""

from __future__ import annotations

import asyncio
import itertools
import math
import queue
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Protocol, TypeVar

import attrs
import orjson

from icure_async.sandbox.database import opened_database, scratch_database, snapshot_of
from icure_async.sandbox.errors import ClosingError, disk_full
from icure_async.sandbox.workers import always, in_new_thread

__all__ = [
    "DATABASES",
    "DERIVED",
    "KINDS",
    "MAIN_GROUP",
    "Change",
    "Deriver",
    "Json",
    "Store",
    "Transaction",
    "Watcher",
    "alone",
]


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

_TABLES = (
    "entities",
    "links",
    "seeded_tokens",
    "processes",
    "further_groups",
    "attachments",
    "chunks",
)
_LINK = "INSERT INTO links (grp, kind, relation, target, id) VALUES (?, ?, ?, ?, ?)"
_UNLINK = "DELETE FROM links WHERE grp = ? AND kind = ? AND relation = ? AND target = ? AND id = ?"

DERIVED: tuple[str, ...] = ("service",)
"""Kinds of which nothing is kept but where it is in an entity of another kind."""

_DERIVING = "contact"

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


Deriver = Callable[["Transaction", Json | None, Json | None], None]
"""Keeps what is derived from a contact right: after it was stored, or removed."""


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
        derive: Deriver | None = None,
    ) -> None:
        self._connection = connection
        self._linker = linker
        self._derive = derive
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
        return Transaction(self._connection, self._linker, self.changes, group, self._derive)

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

    def put(self, kind: str, entity: Json, *, kept: Json | None = None) -> None:
        """Store an entity under its id, replacing what was there.

        Args:
            kind: its kind.
            entity: it.
            kept: what is kept of it, if that is not all.
        """
        entity_id: str = entity["id"]
        derive = self._derive if kind == _DERIVING else None
        replaced = None if derive is None else self.get(kind, entity_id)
        if self.changes is not None:
            key = (self.group, kind, entity_id)
            before = self.changes.get(key)
            is_new = before.is_new if before else self.get(kind, entity_id) is None
            self.changes[key] = Change(self.group, kind, {**entity}, is_new)
        self._connection.execute(
            "INSERT INTO entities (grp, kind, id, body) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (grp, kind, id) DO UPDATE SET body = excluded.body",
            (self.group, kind, entity_id, orjson.dumps(entity if kept is None else kept)),
        )
        self.link(kind, entity_id, entity)
        if derive is not None:
            derive(self, replaced, entity)

    def link(self, kind: str, entity_id: str, entity: Json | None) -> None:
        """Let an entity be found by what the linker says, or not at all if it is None."""
        links = set[tuple[str, str]]() if entity is None else set(self._linker(kind, entity))
        self._link(kind, entity_id, links)

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
        derive = self._derive if kind == _DERIVING else None
        removed = None if derive is None else self.get(kind, entity_id)
        self._link(kind, entity_id, set())
        self._connection.execute(
            "DELETE FROM entities WHERE grp = ? AND kind = ? AND id = ?",
            (self.group, kind, entity_id),
        )
        if self.changes is not None:
            self.changes.pop((self.group, kind, entity_id), None)
        if derive is not None and removed is not None:
            derive(self, removed, None)

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
        for table in _TABLES:
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

    def execute(self, sql: str, parameters: tuple[str | int | bytes, ...]) -> None:
        """Run a statement that `stored_bytes` has made."""
        self._connection.execute(sql, parameters)

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

    def processes(self) -> dict[str, Json]:
        """Return every authentication process of the message gateway, by its request id."""
        rows = self._connection.execute(
            "SELECT request_id, body FROM processes ORDER BY request_id"
        ).fetchall()
        return {str(request_id): _object(body) for request_id, body in rows}

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
    with scratch_database() as connection:
        tx = Transaction(connection, linker)
        tx.put(kind, entity)
        yield tx


def _object(body: bytes) -> Json:
    loaded: Json = orjson.loads(body)
    return loaded


class _Turns:
    """Shares of the database: a crowd of one kind of callers does not keep the others away.

    Each kind has a queue of its own, and the one that had the least of its share comes first. One
    that had nothing to do for a while has not saved up for it.
    """

    def __init__(self) -> None:
        self._begun = 0.0
        self._last: defaultdict[int, float] = defaultdict(float)

    def place(self, turn: int) -> float:
        """Return the place of a new job: those with lower ones go first."""
        place = max(self._begun, self._last[turn]) + 1 + turn
        self._last[turn] = place
        return place

    def begin(self, place: float) -> None:
        """Note that the turn of a job has come."""
        self._begun = max(self._begun, place)


@attrs.frozen(order=True)
class _Job:
    place: float
    number: int
    work: Callable[[sqlite3.Connection], None] | None = attrs.field(order=False)


class Store:
    """One SQLite database behind one worker thread.

    Jobs run strictly one after the other, each in its own transaction: what a job read is still
    true when it writes. The event loop only waits.
    """

    def __init__(
        self,
        path: str,
        linker: Linker,
        watcher: Watcher | None = None,
        derive: Deriver | None = None,
    ) -> None:
        self._path = path
        self._linker = linker
        self._derive = derive
        self._watcher = watcher
        self._jobs = queue.PriorityQueue[_Job]()
        self._order = itertools.count()
        self._turns = _Turns()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._snapshots = ExitStack()

    async def open(self) -> None:
        """Start the thread and open the database.

        Raises:
            OSError: that says why the file can't be used.
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
            turn: kind of the caller. Jobs of the same kind run in their order; of kind 0 run twice
                as many as of kind 1, and three times as many as of kind 2, if there are as many.
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
        bring_back: list[Callable[[], None]] = []

        def keep(connection: sqlite3.Connection) -> tuple[None, None]:
            bring_back.append(snapshot_of(connection, self._snapshots))
            return None, None

        await self._perform(keep, 0, always, None)

        def restore_all(_connection: sqlite3.Connection) -> tuple[None, None]:
            bring_back[0]()
            return None, None

        async def restore(restored: Callable[[], None]) -> None:
            await self._perform(restore_all, 0, always, restored)

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

        self._put(work, self._turns.place(turn))
        return await done

    def _put(self, work: Callable[[sqlite3.Connection], None] | None, place: float) -> None:
        self._jobs.put(_Job(place, next(self._order), work))

    def _transact(
        self, connection: sqlite3.Connection, job: Callable[[Transaction], T]
    ) -> tuple[T, Callable[[], None] | None]:
        watcher = self._watcher
        is_watched = watcher is not None and watcher.is_watching()
        changes: dict[tuple[str, str, str], Change] | None = {} if is_watched else None
        tx = Transaction(connection, self._linker, changes, derive=self._derive)
        seen: Callable[[], None] | None = None
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = job(tx)
            if watcher is not None and tx.changes:
                seen = watcher.look(tx, tx.changes.values())
            connection.execute("COMMIT")
        except BaseException as error:
            # SQLite itself undoes some that fail, for example with a full disk.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if _is_lack_of_space(error):
                raise disk_full() from error
            raise
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
        self._put(None, math.inf)
        await in_new_thread(thread.join)

    def _work(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[None]) -> None:
        with ExitStack() as stack:
            stack.enter_context(self._snapshots)
            try:
                connection = stack.enter_context(opened_database(self._path))
            except (sqlite3.Error, OSError) as error:
                _settle(loop, opened, error=error)
                return
            _settle(loop, opened, result=None)
            while (job := self._jobs.get()).work is not None:
                self._turns.begin(job.place)
                job.work(connection)


def _is_lack_of_space(error: BaseException) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


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
