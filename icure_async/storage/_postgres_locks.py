"""Advisory locks of PostgreSQL: all that a program holds are on one connection.

A lock is held as long as the session of that connection lives, so whatever is written on that very
connection was written while the lock was held: there is no moment between a check and a write.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, LiteralString, TypeVar

import attrs
import orjson

from icure_async.errors import StorageError
from icure_async.storage._postgres_database import execute_alone
from icure_async.storage._postgres_errors import problem_of, storage_error
from icure_async.storage.locks import wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Mapping

    import psycopg

    from icure_async.storage._postgres_database import Database, Rows

__all__ = ["LOST", "HeldLock", "Locks", "key_of"]

_logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# A machine that has lost its power or its network is noticed after 25 s, not after two hours; and
# a session is idle while its program talks to the backend.
_SETTINGS: Final = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "idle_session_timeout": "0",
}

_STATE: Final = """SELECT pg_backend_pid(),
    current_setting('tcp_keepalives_idle'), current_setting('tcp_keepalives_interval'),
    current_setting('tcp_keepalives_count'), current_setting('idle_session_timeout')"""
_CHANGE: Final = """SELECT set_config('tcp_keepalives_idle', %(tcp_keepalives_idle)s, false),
    set_config('tcp_keepalives_interval', %(tcp_keepalives_interval)s, false),
    set_config('tcp_keepalives_count', %(tcp_keepalives_count)s, false),
    set_config('idle_session_timeout', %(idle_session_timeout)s, false)"""

LOST: Final = (
    "the connection that held a lock for this was lost, and another program may hold the lock "
    "now; nothing was written, or it was written before the lock was lost; repeat the whole call"
)
_POOLER: Final = (
    "there is a pooler between this program and PostgreSQL (PgBouncer, for example), and a lock "
    "needs a session of its own: connect to PostgreSQL itself, or, where the pooler is in session "
    "mode, say so with session_pooler=True"
)


def key_of(schema: str, namespace: str, name: str) -> int:
    """Return the 64 bits that stand for a lock."""
    digest = hashlib.sha256(orjson.dumps(["icure-lock-1", schema, namespace, name])).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@attrs.define(eq=False)
class HeldLock:
    """A lock, the session that it was taken in, and whether it was let go of."""

    key: int
    session: _Session
    is_released: bool = attrs.field(default=False, init=False)


class _Session:
    """The connection that carries locks.

    Attributes:
        users: how many hold a lock in it, or wait for one.
        is_lost: whether its locks are gone.
    """

    def __init__(self, database: Database, connection: psycopg.AsyncConnection[Any]) -> None:
        self.users = 0
        self.is_lost = False
        self.database = database
        self._connection = connection
        self._was_autocommit = connection.autocommit
        self._before: dict[str, str] = {}
        # Keys that the server may hold for us.
        self._keys: set[int] = set()

    async def prepare(self, doing: str) -> None:
        """Make the connection fit for locks.

        Raises:
            StorageError: there is a pooler on the way, or the connection is dead.
        """
        rows = await self._run(_STATE, {}, doing, autocommit=True)
        pid, *values = rows.found[0]
        if pid != self._connection.info.backend_pid and not self.database.session_pooler:
            raise storage_error(doing, _POOLER)
        self._before = dict(zip(_SETTINGS, values, strict=True))
        await self._run(_CHANGE, _SETTINGS, doing)

    async def try_lock(self, key: int, doing: str) -> bool:
        """Return whether the lock was free, and is now held."""
        self._keys.add(key)
        rows = await self.run("SELECT pg_try_advisory_lock(%(key)s)", {"key": key}, doing=doing)
        if not rows.found[0][0]:
            self._keys.discard(key)
            return False
        return True

    async def unlock(self, key: int) -> None:
        """Let go of a lock that may be held. Where that fails, the connection is closed."""
        if key in self._keys and not self.is_lost:
            with contextlib.suppress(StorageError):
                await self.run("SELECT pg_advisory_unlock(%(key)s)", {"key": key}, doing="unlock")
        self._keys.discard(key)

    async def run(
        self, statement: LiteralString, parameters: Mapping[str, object], *, doing: str
    ) -> Rows:
        """Run one statement to its end, cancelled or not.

        Raises:
            StorageError: it failed. Where the connection is dead, all its locks are lost.
        """
        if self.is_lost:
            raise storage_error(doing, LOST)
        return await _to_the_end(self._run(statement, parameters, doing))

    async def end(self) -> None:
        """Give the connection back to the pool as it was; a dead one is replaced."""
        import psycopg

        if not self.is_lost:
            try:
                async with asyncio.timeout(self.database.timeout):
                    if self._before:
                        await self._execute(_CHANGE, self._before)
                    await self._connection.set_autocommit(self._was_autocommit)
            except (TimeoutError, psycopg.Error):
                self.is_lost = True
        if self.is_lost:
            await self._connection.close()
        await self.database.give_back(self._connection)

    async def _run(
        self,
        statement: LiteralString,
        parameters: Mapping[str, object],
        doing: str,
        *,
        autocommit: bool | None = None,
    ) -> Rows:
        import psycopg

        problem = LOST
        try:
            async with asyncio.timeout(self.database.timeout):
                if autocommit is not None:
                    await self._connection.set_autocommit(autocommit)
                return await self._execute(statement, parameters)
        except TimeoutError:
            # It may be done or not: without its session, at least nothing comes later.
            self.is_lost = True
        except psycopg.Error as error:
            if self._connection.broken or self._connection.closed:
                self.is_lost = True
            else:
                problem = problem_of(error)
        if self.is_lost:
            await self._connection.close()
        raise storage_error(doing, problem)

    async def _execute(self, statement: LiteralString, parameters: Mapping[str, object]) -> Rows:
        return await execute_alone(self._connection, self.database.schema, statement, parameters)


class _Queue:
    """Those of this program that want the same lock: only the first one asks the server."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.length = 0


class Locks:
    """The locks that this program holds or waits for in one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._session: _Session | None = None
        self._joining = asyncio.Lock()
        self._queues: dict[int, _Queue] = {}

    @asynccontextmanager
    async def hold(self, key: int, doing: str) -> AsyncGenerator[tuple[HeldLock, bool], None]:
        """Hold a lock; yields it, and whether somebody else held it.

        Raises:
            StorageError: it cannot be taken.
        """
        queue = self._queues.setdefault(key, _Queue())
        waited = queue.length > 0
        queue.length += 1
        try:
            async with queue.turn:
                taking = _Taking(self, key, doing)
                try:
                    waited |= await wait_for(taking.attempt)
                    async with taking.held() as held:
                        yield held, waited
                finally:
                    if taking.session is not None:
                        await _to_the_end(self.leave(taking.session, key))
                        if taking.session.is_lost and taking.is_held:
                            _logger.warning("A lock was lost while it was held: to %s.", doing)
        finally:
            queue.length -= 1
            if not queue.length:
                self._queues.pop(key, None)

    async def join(self, doing: str) -> _Session:
        """Return the session of this program's locks, to be left with :meth:`leave`."""
        async with self._joining:
            session = self._session
            if session is None or session.is_lost:
                connection = await self.database.take(doing)
                session = _Session(self.database, connection)
                try:
                    await _to_the_end(session.prepare(doing))
                except BaseException:
                    await _to_the_end(session.end())
                    raise
                self._session = session
            session.users += 1
            return session

    async def leave(self, session: _Session, key: int) -> None:
        """Let go of a lock that may be held; the last one ends the session."""
        await session.unlock(key)
        session.users -= 1
        if not session.users:
            if self._session is session:
                self._session = None
            await session.end()


class _Taking:
    """Attempts to take one lock.

    Attributes:
        session: which it is taken in, once there is one.
        is_held: whether an attempt succeeded.
    """

    def __init__(self, locks: Locks, key: int, doing: str) -> None:
        self.session: _Session | None = None
        self.is_held = False
        self._locks = locks
        self._key = key
        self._doing = doing

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[HeldLock, None]:
        """Hand out the lock until it is let go of."""
        if self.session is None:
            raise storage_error(self._doing, LOST)
        held = HeldLock(self._key, self.session)
        try:
            yield held
        finally:
            held.is_released = True

    async def attempt(self) -> bool:
        """Return whether the lock is held now."""
        try:
            return await self._attempt()
        except StorageError:
            # The server was restarted, perhaps: a new session serves, and holds nothing yet.
            if self.session is None or not self.session.is_lost:
                raise
        return await self._attempt()

    async def _attempt(self) -> bool:
        if self.session is not None and self.session.is_lost:
            lost, self.session = self.session, None
            await _to_the_end(self._locks.leave(lost, self._key))
        if self.session is None:
            self.session = await self._locks.join(self._doing)
        self.is_held = await self.session.try_lock(self._key, self._doing)
        return self.is_held


async def _to_the_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Await work that has an end of its own, and then raise a cancellation that came."""
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        if not task.cancelled():
            task.exception()
        raise cancellation
    return task.result()
