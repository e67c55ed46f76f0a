"""The tables of a storage in PostgreSQL: made, migrated and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString

from icure_async.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    import psycopg

__all__ = [
    "VERSION",
    "check_schema_name",
    "check_version",
    "grant",
    "migrate",
    "version_of",
]

_MAX_NAME: Final = 63
_OLDEST_SERVER: Final = 140000
# One lock for all schemas: making them is rare.
_LOCK: Final = 0x1C0_0E_5C4E_3A_00

_MIGRATIONS: Final[tuple[tuple[LiteralString, ...], ...]] = (
    (
        """CREATE TABLE {schema}.storage_items (
            namespace text COLLATE "C" NOT NULL,
            name text COLLATE "C" NOT NULL,
            value bytea NOT NULL,
            changed_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (namespace, name)
        )""",
        """CREATE TABLE {schema}.storage_version (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            version integer NOT NULL
        )""",
        "INSERT INTO {schema}.storage_version (version) VALUES (1)",
    ),
)
"""Statements that lead from each version to the next one. Those that were released stay."""

VERSION: Final = len(_MIGRATIONS)
"""The version of the tables that this SDK reads and writes."""


def check_schema_name(name: str) -> str:
    """Return the name of a schema.

    Raises:
        ConfigurationError: it is empty, too long, holds NUL, or is reserved.
    """
    size = size_of_name(name)
    if not 0 < size <= _MAX_NAME or name.startswith("pg_"):
        raise ConfigurationError(
            f"The name of a schema has 1 to {_MAX_NAME} bytes, and does not begin with 'pg_'."
        )
    return name


def size_of_name(name: object) -> int:
    """Return how many bytes the name of a schema or role has; 0 for one that is impossible."""
    if not isinstance(name, str) or "\0" in name:
        return 0
    try:
        return len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return 0


def check_version(found: int, schema: str) -> str:
    """Return why tables of another version than ours cannot be used."""
    if not found:
        return f"The database has no schema {schema!r} for a storage: run 'icure storage init'."
    if found < VERSION:
        return (
            f"The schema {schema!r} is of version {found}, and this SDK needs {VERSION}: run "
            "'icure storage init'."
        )
    return (
        f"The schema {schema!r} is of version {found}, and this SDK knows those up to {VERSION}: "
        "update icure-async. Nothing was changed."
    )


async def version_of(connection: psycopg.AsyncConnection[Any], schema: str) -> int:
    """Return the version of the tables, 0 where there are none."""
    from psycopg.rows import tuple_row
    from psycopg.sql import SQL, Identifier

    table = Identifier(schema, "storage_version")
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relname = 'storage_version')",
            (schema,),
            prepare=False,
        )
        row = await cursor.fetchone()
        if row is None or not row[0]:
            return 0
        await cursor.execute(SQL("SELECT version FROM {}").format(table), prepare=False)
        row = await cursor.fetchone()
        return 0 if row is None else int(row[0])


async def migrate(connection: psycopg.AsyncConnection[Any], schema: str) -> int:
    """Bring the tables to our version in one transaction, and return the version they had.

    Raises:
        StorageError: they are of a newer version, or the server is too old or not of UTF-8.
        psycopg.Error: it failed. Nothing was changed.
    """
    from psycopg.sql import SQL, Identifier

    _check_server(connection)
    async with connection.transaction():
        # A snapshot from before the lock, as other levels have, does not show the work of others.
        await connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        # Held until the transaction ends: of two at once, the second one finds the work done.
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,), prepare=False)
        await connection.execute("SET LOCAL synchronous_commit TO on")
        found = await version_of(connection, schema)
        if found > VERSION:
            raise StorageError(check_version(found, schema))
        if not await _has_schema(connection, schema):
            await connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
        for statements in _MIGRATIONS[found:]:
            for statement in statements:
                await connection.execute(SQL(statement).format(schema=Identifier(schema)))
        await connection.execute(
            SQL("UPDATE {} SET version = %s").format(Identifier(schema, "storage_version")),
            (VERSION,),
            prepare=False,
        )
    return found


async def grant(connection: psycopg.AsyncConnection[Any], schema: str, role: str) -> None:
    """Let a role use the tables, and no more.

    Raises:
        StorageError: no role can have this name.
        psycopg.Error: it failed. Nothing was changed.
    """
    if not 0 < size_of_name(role) <= _MAX_NAME:
        raise StorageError(f"The name of a user of PostgreSQL has 1 to {_MAX_NAME} bytes.")
    from psycopg.sql import SQL, Identifier

    names = {
        "schema": Identifier(schema),
        "items": Identifier(schema, "storage_items"),
        "version": Identifier(schema, "storage_version"),
        "role": Identifier(role),
    }
    async with connection.transaction():
        for statement in (
            SQL("GRANT USAGE ON SCHEMA {schema} TO {role}"),
            SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {items} TO {role}"),
            SQL("GRANT SELECT ON {version} TO {role}"),
        ):
            await connection.execute(statement.format(**names))


def _check_server(connection: psycopg.AsyncConnection[Any]) -> None:
    if connection.info.server_version < _OLDEST_SERVER:
        raise StorageError(
            f"A storage needs PostgreSQL {_OLDEST_SERVER // 10000} or later, and this is version "
            f"{connection.info.server_version // 10000}. Nothing was changed."
        )
    if connection.info.parameter_status("server_encoding") != "UTF8":
        raise StorageError(
            "A storage needs a database of the encoding UTF8: make one with 'createdb -E UTF8 -T "
            "template0'. Nothing was changed."
        )


async def _has_schema(connection: psycopg.AsyncConnection[Any], schema: str) -> bool:
    from psycopg.rows import tuple_row

    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(
            "SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,), prepare=False
        )
        return await cursor.fetchone() is not None
