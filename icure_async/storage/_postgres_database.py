"""A pool of connections to PostgreSQL, and statements on it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
from typing import TYPE_CHECKING, Any, Final, LiteralString

from icure_async.errors import ConfigurationError, StorageError
from icure_async.secret_holders import SecretHolder
from icure_async.storage._postgres_errors import (
    MISSING_SCHEMA,
    is_away,
    is_conflict,
    problem_of,
    storage_error,
)
from icure_async.storage._postgres_schema import (
    VERSION,
    check_schema_name,
    check_version,
    grant,
    migrate,
    version_of,
)
from icure_async.storage._postgres_status import status_of
from icure_async.threads import OTHERS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from typing import TypeAlias, TypeVar

    import psycopg
    from psycopg_pool import AsyncConnectionPool

    Connection: TypeAlias = "psycopg.AsyncConnection[Any]"
    Pool: TypeAlias = "AsyncConnectionPool[Any]"
    Result = TypeVar("Result")

__all__ = ["Database", "Rows", "execute", "execute_alone"]

# A pool that has given up tries again when it is asked: so it is asked often, and gives up soon.
_RECONNECT_SECONDS: Final = 0.5
_ASK_SECONDS: Final = 0.5
_CLOSE_SECONDS: Final = 5.0
# Where the default of transactions is stricter than READ COMMITTED. One that conflicts has come
# after another that was done.
_MOST_CONFLICTS: Final = 100
# A connection string has precedence.
_CONNECTION: Final = {
    "application_name": "icure",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}


class Rows:
    """The answer to a statement.

    Attributes:
        count: of the rows that were changed or found.
        found: the rows of a query.
    """

    def __init__(self, count: int, found: Sequence[tuple[Any, ...]]) -> None:
        self.count = count
        self.found = found


async def execute(
    connection: Connection,
    schema: str,
    statement: LiteralString,
    parameters: Mapping[str, object],
) -> Rows:
    """Run one statement on a connection; ``{items}`` and ``{version}`` in it are our tables.

    Raises:
        psycopg.Error: it failed.
    """
    from psycopg.rows import tuple_row
    from psycopg.sql import SQL, Identifier

    query = SQL(statement).format(
        items=Identifier(schema, "storage_items"), version=Identifier(schema, "storage_version")
    )
    async with connection.cursor(row_factory=tuple_row) as cursor:
        # Never prepared: a pooler would hand the next statement to another session.
        await cursor.execute(query, parameters, prepare=False)
        found = [] if cursor.description is None else await cursor.fetchall()
        return Rows(cursor.rowcount, found)


async def execute_alone(
    connection: Connection,
    schema: str,
    statement: LiteralString,
    parameters: Mapping[str, object],
) -> Rows:
    """Run one statement as :func:`execute` on a connection in autocommit mode, despite conflicts.

    Raises:
        psycopg.Error: it failed.
    """
    import psycopg

    for _ in range(_MOST_CONFLICTS):
        try:
            return await execute(connection, schema, statement, parameters)
        except psycopg.Error as error:
            if not is_conflict(error):
                raise
    return await execute(connection, schema, statement, parameters)


class Database(SecretHolder):
    """A pool of connections, opened when it is first needed, and closed if it was made here.

    Attributes:
        schema: of the tables.
        session_pooler: whether a pooler on the way gives each connection a session of its own.
    """

    def __init__(
        self,
        target: str | Pool,
        *,
        schema: str,
        max_connections: int,
        timeout: float,
        session_pooler: bool,
    ) -> None:
        self.schema = check_schema_name(schema)
        self.session_pooler = session_pooler
        self.timeout = timeout
        self._conninfo = _checked_conninfo(target) if isinstance(target, str) else None
        self._given = None if isinstance(target, str) else target
        self._max_connections = max_connections
        self._pool: Pool | None = None
        self._place: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._is_checked = False
        self._is_closed = False
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Connect, and check the version of the schema.

        Raises:
            ConfigurationError: it belongs to another process or event loop.
            StorageError: PostgreSQL cannot be used, or the schema cannot.
        """
        await self._checked()

    async def close(self) -> None:
        """Close the pool if it was made here."""
        self._check_place()
        pool, self._pool = self._pool, None
        self._is_closed, self._is_checked, self._place = True, False, None
        if pool is not None and self._given is None:
            await pool.close(_CLOSE_SECONDS)

    def reopen(self) -> None:
        """Let the next use open the pool again."""
        self._is_closed = False

    async def init(self) -> int:
        """Make or migrate the schema, and return the version that it had."""

        async def work(connection: Connection) -> int:
            return await migrate(connection, self.schema)

        found = await self._with_connection(await self._opened(), work, "make the schema")
        self._is_checked = True
        return found

    async def grant(self, user: str) -> None:
        """Let another user of the database use the tables."""

        async def work(connection: Connection) -> None:
            await grant(connection, self.schema, user)

        await self._with_connection(await self._checked(), work, f"let {user!r} use the tables")

    async def status(self) -> dict[str, Any]:
        """Return the state of the database."""

        async def work(connection: Connection) -> dict[str, Any]:
            return await status_of(connection, self.schema)

        return await self._with_connection(await self._opened(), work, "read the state")

    async def version(self) -> int:
        """Return the version of the schema, 0 where there is none."""

        async def work(connection: Connection) -> int:
            return await version_of(connection, self.schema)

        return await self._with_connection(
            await self._opened(), work, "read the version of the schema"
        )

    async def run(
        self, statement: LiteralString, parameters: Mapping[str, object], *, doing: str
    ) -> Rows:
        """Run one statement in a transaction of its own, and once more where a connection is dead.

        Args:
            statement: one that may happen twice.
            parameters: by name.
            doing: what it does, from its verb on.

        Raises:
            ConfigurationError: the pool belongs to another process or event loop.
            StorageError: it failed.
        """

        async def work(connection: Connection) -> Rows:
            return await execute(connection, self.schema, statement, parameters)

        return await self._with_connection(await self._checked(), work, doing)

    async def take(self, doing: str) -> Connection:
        """Take a live connection from the pool, to give it back with :meth:`give_back`."""
        import psycopg

        pool, problem = await self._checked(), ""
        for _ in range(2):
            connection = await self._connection_of(pool, doing)
            try:
                await connection.execute("SELECT 1", prepare=False)
                await connection.rollback()
            except psycopg.Error as error:
                problem = problem_of(error)
            except BaseException:
                await pool.putconn(connection)
                raise
            else:
                return connection
            await pool.putconn(connection)
            await _replace_dead(pool)
        raise storage_error(doing, problem)

    async def give_back(self, connection: Connection) -> None:
        """Give back a connection, which the pool replaces if it is closed."""
        pool = self._given or self._pool
        if pool is None:
            await connection.close()
        else:
            await pool.putconn(connection)

    async def _checked(self) -> Pool:
        pool = await self._opened()
        if not self._is_checked:
            found = await self.version()
            if found != VERSION:
                raise StorageError(check_version(found, self.schema))
            self._is_checked = True
        return pool

    async def _opened(self) -> Pool:
        self._check_place()
        if self._is_closed:
            raise StorageError("This PostgresStorage was closed: open() it again, or make another.")
        pool = self._given or self._pool
        if pool is not None:
            self._note_place()
            return pool
        async with self._opening:
            if self._pool is None:
                self._note_place()
                self._pool = await self._made()
        return self._pool

    async def _made(self) -> Pool:
        await OTHERS.run(_import)
        from psycopg_pool import AsyncConnectionPool

        problem = await self._try_to_connect()
        if problem is not None:
            self._place = None
            raise storage_error("open the storage", problem)
        pool: Pool = AsyncConnectionPool(
            self._conninfo or "",
            kwargs={"autocommit": True},
            min_size=1,
            max_size=self._max_connections,
            timeout=self.timeout,
            reconnect_timeout=_RECONNECT_SECONDS,
            name="icure",
            open=False,
        )
        await pool.open()
        return pool

    async def _try_to_connect(self) -> str | None:
        """Return why a new connection does not come about: a pool says only that it waited."""
        import psycopg

        if self._conninfo is None:
            return None
        try:
            connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
            await connection.close()
        except psycopg.Error as error:
            return problem_of(error)
        return None

    async def _with_connection(
        self, pool: Pool, work: Callable[[Connection], Awaitable[Result]], doing: str
    ) -> Result:
        import psycopg

        conflicts, was_dead = 0, False
        while True:
            connection = await self._connection_of(pool, doing)
            try:
                # As pool.connection() does: commit, or roll back.
                async with _given_back_to(pool, connection), connection:
                    return await work(connection)
            except psycopg.Error as error:
                problem = problem_of(error)
                if error.sqlstate in MISSING_SCHEMA:
                    self._is_checked = False
                if is_conflict(error) and conflicts < _MOST_CONFLICTS:
                    conflicts += 1
                    continue
                if was_dead or not is_away(error):
                    break
            # Those that died with the server are still in the pool.
            was_dead = True
            await _replace_dead(pool)
        raise storage_error(doing, problem)

    async def _connection_of(self, pool: Pool, doing: str) -> Connection:
        import psycopg
        from psycopg_pool import PoolTimeout

        is_waiting = False
        try:
            connection: Connection = await _wait_for_connection(pool, self.timeout)
        except PoolTimeout:
            is_waiting = True
            problem = ""
        except psycopg.Error as error:
            problem = problem_of(error)
        else:
            return connection
        if is_waiting:
            problem = await self._try_to_connect() or (
                f"no connection of the pool came free within {self.timeout:g} s, or none can be "
                "made; see that PostgreSQL runs, let the pool have more (max_connections, or its "
                "max_size), and try again"
            )
        raise storage_error(doing, problem)

    def _note_place(self) -> None:
        if self._place is None:
            self._place = os.getpid(), asyncio.get_running_loop()

    def _check_place(self) -> None:
        if self._place is None:
            return
        pid, loop = self._place
        if pid != os.getpid():
            # Never finalised here: the connections are the parent's.
            _of_parents.append((self._pool, self._given))
            raise ConfigurationError(
                "This PostgresStorage was used before os.fork(), by the parent process, and its "
                "connections belong to that: make a new one here. With gunicorn's --preload, or "
                "multiprocessing, make it in the worker."
            )
        if loop is not asyncio.get_running_loop():
            raise ConfigurationError(
                "This PostgresStorage was used in another event loop, and its connections belong "
                "to that: call its aclose() there, or make a new one here."
            )


@contextlib.asynccontextmanager
async def _given_back_to(pool: Pool, connection: Connection) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await pool.putconn(connection)


async def _wait_for_connection(pool: Pool, timeout: float) -> Connection:
    from psycopg_pool import PoolTimeout

    connection: Connection
    soon = min(_ASK_SECONDS, timeout)
    try:
        connection = await pool.getconn(soon)
    except PoolTimeout:
        if timeout <= soon:
            raise
    else:
        return connection
    asking = asyncio.create_task(_ask_again(pool))
    try:
        connection = await pool.getconn(timeout - soon)
    finally:
        asking.cancel()
    return connection


async def _ask_again(pool: Pool) -> None:
    while True:
        await _replace_dead(pool)
        await asyncio.sleep(_ASK_SECONDS)


async def _replace_dead(pool: Pool) -> None:
    import psycopg

    with contextlib.suppress(psycopg.Error):
        await pool.check()


_of_parents: list[object] = []


def _import() -> None:
    """Import in a worker thread, since that takes long."""
    importlib.import_module("psycopg_pool")


def _checked_conninfo(conninfo: str) -> str:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        given = conninfo_to_dict(conninfo)
        return make_conninfo("", **{**_CONNECTION, **given})
    except (psycopg.Error, ValueError):
        pass
    # Without its text, which may quote a password.
    raise ConfigurationError(
        "The connection string is malformed: it must be as in postgresql://user@host/database, "
        "with %-escapes for special characters of a password, or as in 'host=… dbname=…'."
    )
