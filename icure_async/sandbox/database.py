"""The SQLite database: its schema, its upgrades, and the file that one sandbox has open."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from icure_async.sandbox.errors import DatabaseUnusableError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = [
    "IN_MEMORY",
    "PATIENCE",
    "SCHEMA_VERSION",
    "opened_database",
    "scratch_database",
    "snapshot_of",
]

_LOGGER = logging.getLogger("icure_async.sandbox")

IN_MEMORY = ":memory:"
"""The path of a database that is in no file."""

SCHEMA_VERSION = 2
"""The version of the schema, kept in the header of a file; earlier sandboxes left it at 0."""

PATIENCE = 1.0
"""Seconds to wait for another sandbox that is about to end."""

_PAUSE = 0.02
_OTHERS = 0o077
_OWN_FILES = ("", "-wal", "-shm")
_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_APPLICATION_ID = int.from_bytes(b"iCur", "big")

_CHUNKS = """
CREATE TABLE IF NOT EXISTS {}chunks (
    upload TEXT NOT NULL, position INTEGER NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY (upload, position)
);
"""
"""The bytes of attachments: in a file that SQLite makes for itself where the rest is in memory."""

_HELD: Final = "held"
_HOLD: Final = f"ATTACH '' AS {_HELD}; {_CHUNKS.format(_HELD + '.')}"

_SCHEMA = f"""
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
CREATE TABLE IF NOT EXISTS attachments (
    grp TEXT NOT NULL, document TEXT NOT NULL, id TEXT NOT NULL, upload TEXT NOT NULL,
    size INTEGER NOT NULL, PRIMARY KEY (grp, document, id)
) WITHOUT ROWID;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

_FORGET_PARTS = "DELETE FROM chunks WHERE upload NOT IN (SELECT upload FROM attachments)"
"""Removes the parts of an upload that was under way when the sandbox was killed."""

# The first sandboxes knew one group only. The links are made anew by `relink`.
_FROM_ONE_GROUP = f"""
ALTER TABLE entities RENAME TO entities_of_one_group;
ALTER TABLE seeded_tokens RENAME TO tokens_of_one_group;
DROP TABLE links;
{_SCHEMA}
INSERT INTO entities SELECT '', kind, id, body FROM entities_of_one_group;
INSERT INTO seeded_tokens SELECT '', user_id, position, token FROM tokens_of_one_group;
DROP TABLE entities_of_one_group;
DROP TABLE tokens_of_one_group;
DELETE FROM meta WHERE key = 'links';
"""  # noqa: S608 - nothing but the schema


def snapshot_of(connection: sqlite3.Connection, stack: ExitStack) -> Callable[[], None]:
    """Keep everything that a database has until a stack is closed.

    Returns:
        A function that brings it back, in the thread of the connection.
    """
    # SQLite moves what is too large for memory to a file that nobody else sees.
    kept, held = (
        stack.enter_context(closing(sqlite3.connect("", isolation_level=None))) for _ in range(2)
    )
    connection.backup(kept)
    holds = any(row[1] == _HELD for row in connection.execute("PRAGMA database_list"))
    if holds:
        held.executescript(_CHUNKS.format(""))
        _copy_chunks(connection, held)

    def bring_back() -> None:
        kept.backup(connection)
        if holds:
            _copy_chunks(held, connection)

    return bring_back


def _copy_chunks(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Replace all chunks, one after the other."""
    target.execute("BEGIN")
    target.execute("DELETE FROM chunks")
    for row in source.execute("SELECT upload, position, bytes FROM chunks"):
        target.execute("INSERT INTO chunks (upload, position, bytes) VALUES (?, ?, ?)", row)
    target.execute("COMMIT")


@contextmanager
def opened_database(path: str) -> Generator[sqlite3.Connection]:
    """Open a database for one sandbox alone, making or upgrading it where that is needed.

    A commit to a file has reached the disk when it returns, so that neither a kill nor a loss of
    power takes away what was acknowledged: ``synchronous = FULL``. With a write-ahead log that is
    one flush to the disk per commit, half of what a rollback journal needs; a reading transaction
    needs none.

    Raises:
        DatabaseUnusableError: if the file can't be opened, is in use, damaged, of a newer version
            or of another program, or others can read it and its mode can't be changed. It is then
            as it was.
    """
    if path == IN_MEMORY:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(_SCHEMA + _HOLD)
            yield connection
        return
    with _claimed(path), closing(_connect(path)) as connection:
        yield connection


@contextmanager
def scratch_database() -> Generator[sqlite3.Connection]:
    """Open a database for a moment: in memory, and without the bytes of attachments."""
    with closing(sqlite3.connect(IN_MEMORY, isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
        yield connection


@contextmanager
def _claimed(path: str) -> Generator[None]:
    try:
        # It holds private keys of the master's and the server's.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
    except (OSError, ValueError) as error:
        raise DatabaseUnusableError(f"The database {path} can't be opened: {error}") from None
    try:
        _lock(descriptor, path)
        _check_header(os.read(descriptor, _HEADER), path)
        yield
    finally:
        # Not before the connection: closing any descriptor of a file ends SQLite's own locks.
        os.close(descriptor)


def _lock(descriptor: int, path: str) -> None:
    """Lock a file against other sandboxes, in this process as well."""
    end = time.monotonic() + PATIENCE
    while not _is_locked(descriptor):
        if time.monotonic() > end:
            raise _in_use(path)
        time.sleep(_PAUSE)


if sys.platform == "win32":  # pragma: no cover

    def _is_locked(_descriptor: int) -> bool:
        return True  # by SQLite's own lock, which belongs to a descriptor there

else:
    import fcntl

    # SQLite's own locks are those of the whole process: they keep no second sandbox in it away.
    def _is_locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # pragma: no cover - a file system without such locks
            return True
        return True


def _in_use(path: str) -> DatabaseUnusableError:
    return DatabaseUnusableError(
        f"The database {path} is in use by another sandbox, or open in another program: "
        "stop that one, or keep this sandbox in another file"
    )


def _check_header(header: bytes, path: str) -> None:
    """Look at a file before SQLite does, which may write to it even where it only reads."""
    if not header:
        return
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise DatabaseUnusableError(f"The file {path} is not a database: it was left as it is")
    version = int.from_bytes(header[60:64], "big")
    application = int.from_bytes(header[68:72], "big")
    if application not in (0, _APPLICATION_ID) or (version and not application):
        raise _foreign(path)
    if version > SCHEMA_VERSION:
        raise DatabaseUnusableError(
            f"The database {path} was written by a newer version of icure-async (its schema is "
            f"{version}, and this version knows {SCHEMA_VERSION}): install that version, or start "
            "with another file. It was left as it is"
        )


def _foreign(path: str) -> DatabaseUnusableError:
    return DatabaseUnusableError(
        f"The file {path} is a database of another program: it was left as it is"
    )


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)
    try:
        _prepare(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise _explained(error, path) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _explained(error: sqlite3.Error, path: str) -> DatabaseUnusableError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return _in_use(path)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _damaged(path, str(error))
    return DatabaseUnusableError(f"The database {path} can't be opened: {error}")


def _damaged(path: str, complaint: str) -> DatabaseUnusableError:
    return DatabaseUnusableError(
        f"The database {path} is damaged: {complaint}. Take a copy or an export of it, or start "
        "with another file"
    )


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    complaint = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if complaint != "ok":
        raise _damaged(path, " ".join(complaint.split()))
    tables = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master")}
    if tables and not {"meta", "entities", "links"} <= tables:
        raise _foreign(path)
    if connection.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
        _upgrade(connection)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")
    connection.execute(_FORGET_PARTS)
    if os.name == "posix":
        _keep_private(path)


def _upgrade(connection: sqlite3.Connection) -> None:
    # Without a log, so that the version is in the header of the file itself from the first moment.
    connection.execute("PRAGMA journal_mode = DELETE")
    columns = {str(row[1]) for row in connection.execute("PRAGMA table_info(entities)")}
    script = _FROM_ONE_GROUP if columns and "grp" not in columns else _SCHEMA
    connection.executescript(f"BEGIN IMMEDIATE; {script} {_CHUNKS.format('')} COMMIT;")


def _keep_private(path: str) -> None:
    # Not before it proved to be a database of ours: it may be anybody's file.
    for own in (Path(os.path.realpath(path) + suffix) for suffix in _OWN_FILES):
        if not own.exists() or not own.stat().st_mode & _OTHERS:
            continue
        try:
            own.chmod(0o600)
        except OSError:
            raise DatabaseUnusableError(
                f"Others can read {own}, which holds private keys, and this user can't "
                "change its mode: make it 0600, or keep the database in another file"
            ) from None
        _LOGGER.warning("Others could read %s, which holds private keys: its mode is 0600 now", own)
