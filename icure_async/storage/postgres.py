"""State and keys in PostgreSQL, shared by any number of programs and machines."""

from __future__ import annotations

import importlib.util
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, LiteralString, Self, TypeGuard
from urllib.parse import quote, unquote
from weakref import WeakValueDictionary

from icure_async.errors import ConfigurationError, ValidationError
from icure_async.mistakes import explained
from icure_async.secret_holders import SecretHolder
from icure_async.storage._held_locks import held_locks
from icure_async.storage._names import check_item_name, encode_value
from icure_async.storage._postgres_database import Database
from icure_async.storage._postgres_errors import missing_extra, storage_error
from icure_async.storage._postgres_locks import LOST, HeldLock, Locks, key_of
from icure_async.storage.key_storage import StorageKeyStorage
from icure_async.storage.locks import StorageLock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from psycopg_pool import AsyncConnectionPool

    from icure_async.storage._postgres_database import Rows

__all__ = ["PostgresKeyStorage", "PostgresStorage"]

_MAX_NAME: Final = 1024
_MAX_NAMESPACE: Final = 1024
_FEWEST_CONNECTIONS: Final = 2
_LAST_CHARACTER: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)

# In the transaction of each write: whatever the default of the role is, the write is on the disk
# when it returns. A stronger setting, for standbys, stays.
_DURABLE: Final = """WITH durable AS MATERIALIZED (
    SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit')
        WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true)
)
"""
_HELD: Final = """
    WHERE %(count)s = (
        SELECT count(*) FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid = pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32) | objid::bigint = ANY (%(keys)s)
    )
"""
_SET: Final = """INSERT INTO {items} AS items (namespace, name, value)
    SELECT %(namespace)s, %(name)s, %(value)s FROM durable
"""
_UPDATE: Final = """
    ON CONFLICT (namespace, name) DO UPDATE SET value = EXCLUDED.value, changed_at = now()
"""
_REMOVE: Final = """, removed AS (
    DELETE FROM {items} USING durable WHERE namespace = %(namespace)s AND name = %(name)s
"""
_REMOVE_IF_HELD: Final = """ AND EXISTS (SELECT FROM held))
    SELECT FROM held
"""


@explained
class PostgresStorage(SecretHolder):
    """A :class:`~icure_async.storage.Storage` in PostgreSQL 14 or later, for many machines.

    ``icure storage init``, or :meth:`init`, makes its tables. Nothing is encrypted: a person
    who can read the database can read the items. Wrap it in an
    :class:`~icure_async.storage.EncryptedStorage`, or keys in
    :meth:`EncryptedKeyStorage.over() <icure_async.storage.EncryptedKeyStorage.over>`.

    A write is on the disk of the server when its call returns (``synchronous_commit``, whatever
    the default of the role is), and it happens wholly or not at all. A read or write that finds
    its connection dead, as after a restart of the server, is repeated once. A write that is
    cancelled has happened or not when its call is over, and never happens later.

    :meth:`lock` makes tasks, programs and machines take turns, by advisory locks in one session of
    the program's own. A lock ends with that session: at once when its program is killed, and after
    25 s when its machine loses power or network. The task that holds a lock, and the tasks it has
    started since, write to this storage in that very session: while the lock is held, or not at
    all. If the session is lost, the next write raises
    :class:`~icure_async.errors.StorageError`; repeat the whole call then. A lock
    that was lost without a write since is a logged warning in the end.

    Its pool of connections is opened by the first use, and closed by ``aclose()``.
    Use an object from one event loop at a time.
    A pool belongs to one process: after ``os.fork()``, make a new object, or use one for the first
    time. Behind a
    pooler in transaction mode everything works but locks, which are refused.

    Every method raises :class:`~icure_async.errors.ValidationError` for a name that is empty, holds
    NUL or lone surrogates, or is longer than 1024 bytes; and
    :class:`~icure_async.errors.StorageError`, which names the item, the cause and the next step,
    where PostgreSQL does not do its work. No message holds a connection string or a password.

    Args:
        target: connection string, ``str`` as in ``postgresql://user@host/database``.
            An open ``AsyncConnectionPool`` of psycopg_pool for two connections or more serves.
        namespace: ``str``; items and locks of different namespaces have nothing to do with each
            other. See also :meth:`with_namespace`.
        schema: of the tables, as ``icure storage init`` made it.
        max_connections: the most that a pool of its own opens, 2 or more. One carries all locks.
        timeout: seconds to wait for a connection, and for a statement on the one that carries
            locks.
        session_pooler: whether a pooler on the way to PostgreSQL is in session mode, so that locks
            work.

    Raises:
        ConfigurationError: the ``postgres`` extra is not installed, or an argument is malformed.
    """

    def __init__(
        self,
        target: str | object,
        *,
        namespace: str = "",
        schema: str = "icure",
        max_connections: int = 10,
        timeout: float = 30.0,
        session_pooler: bool = False,
    ) -> None:
        if type(timeout) not in (int, float) or not 0 < timeout < math.inf:
            raise ConfigurationError("timeout must be a number of seconds above 0.")
        if type(max_connections) is not int:
            raise ConfigurationError("max_connections must be a whole number.")
        if not isinstance(namespace, str):
            raise ConfigurationError("namespace must be a text.")
        self._locks = _locks_at(target, schema, max_connections, timeout, session_pooler)
        self._database = self._locks.database
        self._owns_database = True
        self._parts: tuple[str, ...] = (namespace,) if namespace else ()
        self._namespace = _encoded(self._parts)

    @property
    def namespace(self) -> str:
        """Its namespace as it stands in the table: each part percent-encoded, slashes between."""
        return self._namespace

    def with_namespace(self, name: str) -> PostgresStorage:
        """Return a storage for a namespace inside this one, on the same connections.

        Each user of a service may have one. No two lists of names make the same namespace, whatever
        characters are in them. Closing the new storage closes nothing.

        Args:
            name: ``str``, not empty; an id of a user, for example.

        Raises:
            ValidationError: the name is empty, holds NUL or lone surrogates, or is too long.
        """
        check_item_name(name)
        other = object.__new__(PostgresStorage)
        other._locks, other._database = self._locks, self._database
        other._owns_database = False
        other._parts = (*self._parts, name)
        other._namespace = _encoded(other._parts)
        return other

    async def list_namespaces(self) -> Sequence[str]:
        """Return the sorted names of the namespaces directly inside this one that have items.

        Raises:
            StorageError: PostgreSQL does not answer.
        """
        prefix = f"{self._namespace}/" if self._namespace else ""
        rows = await self._database.run(
            "SELECT DISTINCT split_part(substr(namespace, %(skip)s), '/', 1) FROM {items} "
            "WHERE namespace >= %(prefix)s AND namespace < %(end)s AND namespace <> ''",
            {
                "skip": len(prefix) + 1,
                "prefix": prefix,
                # Namespaces are percent-encoded: nothing in them is above this.
                "end": f"{prefix}\x7f",
            },
            doing="list the namespaces",
        )
        return sorted(unquote(row[0]) for row in rows.found)

    async def open(self) -> None:
        """Connect, and check the version of the schema; the first use does so, too.

        Raises:
            ConfigurationError: it was used in another process, or is in use elsewhere.
            StorageError: PostgreSQL cannot be reached, or its schema is missing or too new.
        """
        self._database.reopen()
        await self._database.open()

    async def aclose(self) -> None:
        """Close the connections, unless they belong to another storage or to the caller."""
        if self._owns_database:
            await self._database.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def init(self) -> None:
        """Make the schema and its tables, or migrate them; as ``icure storage init`` does.

        Repeating it, and several programs at once, are no error.

        Raises:
            StorageError: the user lacks a permission, or the schema is of a newer version. Nothing
                was changed.
        """
        await self._database.init()

    async def grant(self, user: str) -> None:
        """Let another user of the database use the tables, and do nothing else.

        Args:
            user: ``str``, a role of PostgreSQL.

        Raises:
            StorageError: there is no such user, or this one does not own the tables.
        """
        await self._database.grant(user)

    async def status(self) -> dict[str, Any]:
        """Return the state of the database, as ``icure storage status`` shows it.

        Returns:
            ``server_version``, ``schema``, ``version`` (0 without tables), ``newest_version`` that
            this SDK knows, ``items`` and ``namespaces`` that are stored, ``encrypted`` (whether the
            connection is), ``pooler`` (whether there is one on the way), and ``problems``, a list
            of sentences.

        Raises:
            StorageError: PostgreSQL cannot be reached.
        """
        return await self._database.status()

    async def get_item(self, name: str) -> str | None:
        """Return the item, or None where there is none.

        Raises:
            ValidationError: the name is impossible.
            StorageError: the item cannot be read, or is not UTF-8 text.
        """
        _check_name(name)
        doing = f"read the item {name!r}"
        rows = await self._database.run(
            "SELECT value FROM {items} WHERE namespace = %(namespace)s AND name = %(name)s",
            {"namespace": self._namespace, "name": name},
            doing=doing,
        )
        if not rows.found:
            return None
        text = _decoded(bytes(rows.found[0][0]))
        if text is None:
            raise storage_error(doing, "it is damaged, not UTF-8 text; restore it from a backup")
        return text

    async def set_item(self, name: str, value: str) -> None:
        """Write the item; it is durable when the call returns.

        Raises:
            ValidationError: the name is impossible, or the value holds lone surrogates.
            StorageError: the item cannot be written, or a lock that this task holds was lost. It is
                as it was before, or written wholly.
        """
        _check_name(name)
        parameters: dict[str, object] = {"name": name, "value": encode_value(name, value)}
        doing = f"write the item {name!r}"
        rows = await self._write(
            f"{_DURABLE}{_SET}{_UPDATE}", f"{_DURABLE}{_SET}{_HELD}{_UPDATE}", parameters, doing
        )
        if not rows.count:
            raise storage_error(doing, LOST)

    async def remove_item(self, name: str) -> None:
        """Remove the item; removing an absent one is no error.

        Raises:
            ValidationError: the name is impossible.
            StorageError: the item cannot be removed, or a lock that this task holds was lost.
        """
        _check_name(name)
        doing = f"remove the item {name!r}"
        rows = await self._write(
            f"{_DURABLE}{_REMOVE}) SELECT",
            f"{_DURABLE}, held AS (SELECT {_HELD}){_REMOVE}{_REMOVE_IF_HELD}",
            {"name": name},
            doing,
        )
        if not rows.count:
            raise storage_error(doing, LOST)

    async def list_items(self, prefix: str = "") -> Sequence[str]:
        """Return the sorted names of the items that start with ``prefix``.

        Raises:
            StorageError: they cannot be listed.
        """
        if not _is_possible(prefix):
            return []
        rows = await self._database.run(
            "SELECT name FROM {items} WHERE namespace = %(namespace)s AND name >= %(prefix)s "
            "AND (%(end)s::text IS NULL OR name < %(end)s)",
            {"namespace": self._namespace, "prefix": prefix, "end": _after(prefix)},
            doing="list the items",
        )
        return sorted(row[0] for row in rows.found)

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncGenerator[StorageLock, None]:
        """Hold the lock of this name; tasks, programs and machines with this database share it.

        A call that waits looks again every 50 ms at the latest.

        Raises:
            ValidationError: the name is empty, or holds NUL or lone surrogates.
            StorageError: PostgreSQL cannot be used, or there is a pooler on the way to it that does
                not keep sessions.
        """
        check_item_name(name)
        key = key_of(self._database.schema, self._namespace, name)
        async with self._locks.hold(key, f"lock the item {name!r}") as (held, waited):
            held_locks.set((*held_locks.get(), held))
            try:
                yield StorageLock(waited=waited)
            finally:
                held_locks.set(tuple(lock for lock in held_locks.get() if lock is not held))

    def __repr__(self) -> str:
        # Without the connection string.
        return f"PostgresStorage(namespace={self._namespace!r})"

    async def _write(
        self,
        statement: LiteralString,
        statement_under_locks: LiteralString,
        parameters: dict[str, object],
        doing: str,
    ) -> Rows:
        parameters = {**parameters, "namespace": self._namespace}
        held = [
            lock
            for lock in held_locks.get()
            if isinstance(lock, HeldLock)
            and lock.session.database is self._database
            and not lock.is_released
        ]
        if not held:
            return await self._database.run(statement, parameters, doing=doing)
        if len({lock.session for lock in held}) > 1:
            # All but one were lost: there is one session at a time.
            raise storage_error(doing, LOST)
        keys = {lock.key for lock in held}
        return await held[0].session.run(
            statement_under_locks,
            {**parameters, "keys": sorted(keys), "count": len(keys)},
            doing=doing,
        )


class PostgresKeyStorage(SecretHolder, StorageKeyStorage):
    """A :class:`StorageKeyStorage` on a :class:`PostgresStorage`.

    Keys are in clear there: a person who can read the database can use them. See
    :meth:`EncryptedKeyStorage.over() <icure_async.storage.EncryptedKeyStorage.over>`. To use the
    connections of a :class:`PostgresStorage`, put a :class:`StorageKeyStorage` on it.

    Args:
        target: as for :class:`PostgresStorage`.
        namespace: as for :class:`PostgresStorage`.
        schema: as for :class:`PostgresStorage`.
        max_connections: as for :class:`PostgresStorage`.
        timeout: as for :class:`PostgresStorage`.
        session_pooler: as for :class:`PostgresStorage`.

    Raises:
        ConfigurationError: as for :class:`PostgresStorage`.
    """

    def __init__(
        self,
        target: str | object,
        *,
        namespace: str = "",
        schema: str = "icure",
        max_connections: int = 10,
        timeout: float = 30.0,
        session_pooler: bool = False,
    ) -> None:
        self._items = PostgresStorage(
            target,
            namespace=namespace,
            schema=schema,
            max_connections=max_connections,
            timeout=timeout,
            session_pooler=session_pooler,
        )
        super().__init__(self._items)

    async def open(self) -> None:
        """Connect, and check the version of the schema; the first use does so, too.

        Raises:
            ConfigurationError: it was used in another process, or is in use elsewhere.
            StorageError: PostgreSQL cannot be reached, or its schema is missing or too new.
        """
        await self._items.open()

    async def aclose(self) -> None:
        """Close the connections, unless the pool was given."""
        await self._items.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def init(self) -> None:
        """Make the schema and its tables, or migrate them; as ``icure storage init`` does.

        Raises:
            StorageError: the user lacks a permission, or the schema is of a newer version. Nothing
                was changed.
        """
        await self._items.init()

    def __repr__(self) -> str:
        return f"PostgresKeyStorage(namespace={self._items.namespace!r})"


def _locks_at(
    target: str | object,
    schema: str,
    max_connections: int,
    timeout: float,
    session_pooler: bool,
) -> Locks:
    """Return the locks of a new database, or those of a pool, which are always the same."""
    if any(importlib.util.find_spec(name) is None for name in ("psycopg", "psycopg_pool")):
        raise missing_extra()
    given = target if isinstance(target, str) else _checked_pool(target)
    most = max_connections if isinstance(given, str) else given.max_size
    if most < _FEWEST_CONNECTIONS:
        raise ConfigurationError(
            f"A pool needs {_FEWEST_CONNECTIONS} connections or more, since one of them carries "
            "the locks: raise max_connections, or the max_size of the pool."
        )
    place = id(target), schema
    locks = None if isinstance(given, str) else _of_pools.get(place)
    if locks is not None and locks.database.session_pooler == session_pooler:
        return locks
    locks = Locks(
        Database(
            given,
            schema=schema,
            max_connections=most,
            timeout=timeout,
            session_pooler=session_pooler,
        )
    )
    if not isinstance(given, str):
        _of_pools[place] = locks
    return locks


# Locks hold their pool: as long as an entry is here, no other pool has its id.
_of_pools: WeakValueDictionary[tuple[int, str], Locks] = WeakValueDictionary()


def _is_pool(pool: object) -> TypeGuard[AsyncConnectionPool[Any]]:
    from psycopg_pool import AsyncConnectionPool

    return isinstance(pool, AsyncConnectionPool)


def _checked_pool(pool: object) -> AsyncConnectionPool[Any]:
    if not _is_pool(pool):
        raise ConfigurationError(
            "PostgresStorage needs a connection string, or an AsyncConnectionPool of psycopg_pool."
        )
    return pool


def _encoded(parts: Sequence[str]) -> str:
    for part in parts:
        check_item_name(part)
    namespace = "/".join(quote(part, safe="") for part in parts)
    if len(namespace) > _MAX_NAMESPACE:
        raise ValidationError(
            f"The namespace is too long: {len(namespace)} bytes once encoded, where at most "
            f"{_MAX_NAMESPACE} are possible. Choose shorter names."
        )
    return namespace


def _check_name(name: str) -> None:
    check_item_name(name)
    size = len(name.encode())
    if size > _MAX_NAME:
        raise ValidationError(
            f"The name of the item is too long: {size} bytes, where at most {_MAX_NAME} are "
            "possible. Choose a shorter one."
        )


def _is_possible(prefix: str) -> bool:
    """Return whether a name can start with a prefix."""
    try:
        check_item_name(f"{prefix}.")
    except ValidationError:
        return False
    return True


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _after(prefix: str) -> str | None:
    """Return the first text that comes after all that start with a prefix; None if there is none.

    Texts are in the order of their code points.
    """
    rest = prefix.rstrip(chr(_LAST_CHARACTER))
    if not rest:
        return None
    following = ord(rest[-1]) + 1
    if following in _SURROGATES:
        following = _SURROGATES.stop
    return rest[:-1] + chr(following)
