"""Errors of PostgreSQL in our words: its own may quote connection strings, and contents of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    import psycopg

__all__ = [
    "MISSING_SCHEMA",
    "is_away",
    "is_conflict",
    "missing_extra",
    "problem_of",
    "storage_error",
]

MISSING_SCHEMA: Final = frozenset({"3F000", "42P01"})
"""SQLSTATEs of a schema, or a table, that is not there."""

_AWAY: Final = frozenset({"57P01", "57P02", "57P03"})
_CONFLICTS: Final = frozenset({"40001", "40P01"})

_UNREACHABLE: Final = (
    "it cannot be reached, or has just closed the connection; see that it runs, check host and "
    "port in the connection string, and try again"
)
_BUSY: Final = (
    "it has no connection left; raise its max_connections, let each program open fewer, and try "
    "again"
)
_REFUSED: Final = (
    "it refuses the user name or the password; check those of the connection string, PGPASSWORD or "
    "the password file"
)
_NO_DATABASE: Final = "it has no such database or user; check the connection string"
_STARTING: Final = "it is starting up or shutting down; try again in a moment"

_REASONS: Final = {
    "22021": "its encoding has no such character; it must be UTF8, see 'icure storage status'",
    "25006": (
        "it is read-only: a standby, or in the middle of a failover; connect to the primary "
        "(target_session_attrs=read-write in the connection string), and try again"
    ),
    "28000": _REFUSED,
    "28P01": _REFUSED,
    "3D000": _NO_DATABASE,
    "3F000": "it has no schema for this; run 'icure storage init'",
    "42P01": "it has no tables for this; run 'icure storage init'",
    "42501": (
        "this user lacks a permission; have the owner of the schema run 'icure storage init "
        "--grant USER'"
    ),
    "42704": "it has no such user; make it with CREATE ROLE",
    "53100": "its disk is full; free some space and try again",
    "53200": "it is out of memory; try again",
    "53300": _BUSY,
    "55P03": "somebody else has locked the table; try again when that is over",
    "57014": (
        "it took longer than the statement_timeout allows, or an administrator cancelled it; try "
        "again, or raise the limit"
    ),
    "57P01": _STARTING,
    "57P02": _STARTING,
    "57P03": _STARTING,
    "XX001": "its data are damaged; restore it from a backup",
    "XX002": "an index of it is damaged; have its administrator reindex it",
}

# An attempt to connect fails without a SQLSTATE. These texts are looked for, and never shown.
_TEXTS: Final = (
    ("password", _REFUSED),
    ("authentication failed", _REFUSED),
    ("pg_hba.conf", "it does not let this user in from here; check pg_hba.conf and TLS"),
    ("SSL", "no TLS connection comes about; check sslmode and the certificates"),
    ("too many", _BUSY),
    ("remaining connection slots", _BUSY),
    ("does not exist", _NO_DATABASE),
    ("starting up", _STARTING),
    ("shutting down", _STARTING),
    ("read-write", _REASONS["25006"]),
)


def missing_extra() -> ConfigurationError:
    """Return the error for a machine without psycopg."""
    return ConfigurationError(
        "PostgreSQL needs its extra: pip install 'icure-async[postgres]', and an event loop that "
        "psycopg can use (on Windows, asyncio.SelectorEventLoop)."
    )


def problem_of(error: psycopg.Error) -> str:
    """Return the cause of an error and the next step, as the end of a sentence."""
    from psycopg import InterfaceError, OperationalError
    from psycopg_pool import PoolClosed

    if isinstance(error, PoolClosed):
        return "its pool of connections is closed, or was not opened; open it first"
    if error.sqlstate in _REASONS:
        return _REASONS[error.sqlstate]
    if error.sqlstate is not None and not error.sqlstate.startswith("08"):
        return f"it refuses that (SQLSTATE {error.sqlstate}); its log says more"
    text = str(error)
    for fragment, reason in _TEXTS:
        if fragment in text:
            return reason
    if isinstance(error, (OperationalError, InterfaceError)):
        return _UNREACHABLE
    return f"psycopg refuses that ({type(error).__name__})"


def storage_error(doing: str, problem: str) -> StorageError:
    """Return the error for something that could not be done.

    Args:
        doing: what was to be done, from its verb on.
        problem: the cause and the next step.
    """
    return StorageError(f"Cannot {doing} in PostgreSQL: {problem}.")


def is_away(error: psycopg.Error) -> bool:
    """Return whether a connection is dead, and another one may serve."""
    from psycopg import InterfaceError, OperationalError
    from psycopg_pool import PoolClosed, PoolTimeout

    if isinstance(error, (PoolClosed, PoolTimeout)):
        return False
    if error.sqlstate is None:
        return isinstance(error, (OperationalError, InterfaceError))
    return error.sqlstate in _AWAY or error.sqlstate.startswith("08")


def is_conflict(error: psycopg.Error) -> bool:
    """Return whether another transaction came first, so that the same statement may succeed now."""
    return error.sqlstate in _CONFLICTS
