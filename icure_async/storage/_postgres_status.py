"""The state of a storage in PostgreSQL, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.storage._postgres_schema import VERSION, check_version, version_of

if TYPE_CHECKING:
    import psycopg

__all__ = ["status_of"]

_SETTINGS: Final = """SELECT pg_backend_pid(), current_setting('server_version'),
    current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery(),
    current_setting('default_transaction_read_only'), current_setting('server_encoding'),
    inet_server_addr() IS NULL OR inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1'
"""


async def status_of(connection: psycopg.AsyncConnection[Any], schema: str) -> dict[str, Any]:
    """Return the state of the database, with ``problems`` as sentences."""
    from psycopg.sql import SQL, Identifier

    row = await _row(connection, SQL(_SETTINGS))
    pid, server, fsync, full_pages, recovering, read_only, encoding, is_local = row
    version = await version_of(connection, schema)
    items = namespaces = None
    if version:
        table = Identifier(schema, "storage_items")
        count = SQL("SELECT count(*), count(DISTINCT namespace) FROM {}").format(table)
        items, namespaces = await _row(connection, count)
    has_pooler = pid != connection.info.backend_pid
    is_encrypted = bool(connection.pgconn.ssl_in_use)
    problems = {
        check_version(version, schema): version != VERSION,
        "fsync is off: a loss of power loses what was acknowledged.": fsync != "on",
        "full_page_writes is off: a loss of power may damage pages.": full_pages != "on",
        "It is read-only: a standby, or set so; connect to the primary.": (
            recovering or read_only == "on"
        ),
        f"Its encoding is {encoding}, and must be UTF8.": encoding != "UTF8",
        "The connection is not encrypted: set sslmode=verify-full.": (
            not is_encrypted and not is_local
        ),
        "There is a pooler on the way: locks need a connection to PostgreSQL itself.": has_pooler,
    }
    return {
        "server_version": server,
        "schema": schema,
        "version": version,
        "newest_version": VERSION,
        "items": items,
        "namespaces": namespaces,
        "encrypted": is_encrypted,
        "pooler": has_pooler,
        "problems": [problem for problem, is_so in problems.items() if is_so],
    }


async def _row(connection: psycopg.AsyncConnection[Any], statement: Any) -> tuple[Any, ...]:
    from psycopg.rows import tuple_row

    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(statement, prepare=False)
        row: tuple[Any, ...] | None = await cursor.fetchone()
        return row or ()
