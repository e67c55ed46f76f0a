# Written by "python tools/gen_sync.py" from icure_async/storage/postgres.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""State and keys in PostgreSQL, shared by any number of programs and machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from icure_async.storage.postgres import PostgresKeyStorage as AsyncPostgresKeyStorage
from icure_async.storage.postgres import PostgresStorage as AsyncPostgresStorage
from icure_sync._generated.key_storage import StorageKeyStorage
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from icure_async.storage.locks import StorageLock

__all__ = ["PostgresKeyStorage", "PostgresStorage"]


class PostgresStorage(Twin[AsyncPostgresStorage]):
    """A :class:`~icure_sync.storage.BlockingStorage` in PostgreSQL 14 or later, for many machines.

    ``icure storage init``, or :meth:`init`, makes its tables. Nothing is encrypted: a person
    who can read the database can read the items. Wrap it in an
    :class:`~icure_sync.storage.EncryptedStorage`, or keys in
    :meth:`EncryptedKeyStorage.over() <icure_sync.storage.EncryptedKeyStorage.over>`.

    A write is on the disk of the server when its call returns (``synchronous_commit``, whatever
    the default of the role is), and it happens wholly or not at all. A read or write that finds
    its connection dead, as after a restart of the server, is repeated once. A write that is
    cancelled has happened or not when its call is over, and never happens later.

    :meth:`lock` makes tasks, programs and machines take turns, by advisory locks in one session of
    the program's own. A lock ends with that session: at once when its program is killed, and after
    25 s when its machine loses power or network. The task that holds a lock, and the tasks it has
    started since, write to this storage in that very session: while the lock is held, or not at
    all. If the session is lost, the next write raises
    :class:`~icure_sync.errors.StorageError`; repeat the whole call then. A lock
    that was lost without a write since is a logged warning in the end.

    Its pool of connections is opened by the first use, and closed by ``close()``.
    Threads may share an object.
    A pool belongs to one process: after ``os.fork()``, make a new object, or use one for the first
    time. Behind a
    pooler in transaction mode everything works but locks, which are refused.

    Every method raises :class:`~icure_sync.errors.ValidationError` for a name that is empty, holds
    NUL or lone surrogates, or is longer than 1024 bytes; and
    :class:`~icure_sync.errors.StorageError`, which names the item, the cause and the next step,
    where PostgreSQL does not do its work. No message holds a connection string or a password.

    Args:
        target: connection string, ``str`` as in ``postgresql://user@host/database``.
            A pool of psycopg_pool does not serve: its own one is shared by all threads.
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

    _portable = True

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
        self._hold(
            AsyncPostgresStorage(
                target,
                namespace=namespace,
                schema=schema,
                max_connections=max_connections,
                timeout=timeout,
                session_pooler=session_pooler,
            )
        )

    @property
    def namespace(self) -> str:
        """Its namespace as it stands in the table: each part percent-encoded, slashes between."""
        return self._inner.namespace

    def with_namespace(self, name: str) -> PostgresStorage:
        """Return a storage for a namespace inside this one, on the same connections.

        Each user of a service may have one. No two lists of names make the same namespace, whatever
        characters are in them. Closing the new storage closes nothing.

        Args:
            name: ``str``, not empty; an id of a user, for example.

        Raises:
            ValidationError: the name is empty, holds NUL or lone surrogates, or is too long.
        """
        return PostgresStorage._wrap(self._call(self._inner.with_namespace, name))

    def list_namespaces(self) -> Sequence[str]:
        """Return the sorted names of the namespaces directly inside this one that have items.

        Raises:
            StorageError: PostgreSQL does not answer.
        """
        return self._run(self._inner.list_namespaces)

    def open(self) -> None:
        """Connect, and check the version of the schema; the first use does so, too.

        Raises:
            ConfigurationError: it was used in another process, or is in use elsewhere.
            StorageError: PostgreSQL cannot be reached, or its schema is missing or too new.
        """
        self._run(self._inner.open)

    def close(self) -> None:
        """Close the connections, unless they belong to another storage or to the caller."""
        self._close(self._inner.aclose)

    def __enter__(self) -> Self:
        self._run(self._inner.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._close(self._inner.__aexit__, *_)

    def init(self) -> None:
        """Make the schema and its tables, or migrate them; as ``icure storage init`` does.

        Repeating it, and several programs at once, are no error.

        Raises:
            StorageError: the user lacks a permission, or the schema is of a newer version. Nothing
                was changed.
        """
        self._run(self._inner.init)

    def grant(self, user: str) -> None:
        """Let another user of the database use the tables, and do nothing else.

        Args:
            user: ``str``, a role of PostgreSQL.

        Raises:
            StorageError: there is no such user, or this one does not own the tables.
        """
        self._run(self._inner.grant, user)

    def status(self) -> dict[str, Any]:
        """Return the state of the database, as ``icure storage status`` shows it.

        Returns:
            ``server_version``, ``schema``, ``version`` (0 without tables), ``newest_version`` that
            this SDK knows, ``items`` and ``namespaces`` that are stored, ``encrypted`` (whether the
            connection is), ``pooler`` (whether there is one on the way), and ``problems``, a list
            of sentences.

        Raises:
            StorageError: PostgreSQL cannot be reached.
        """
        return self._run(self._inner.status)

    def get_item(self, name: str) -> str | None:
        """Return the item, or None where there is none.

        Raises:
            ValidationError: the name is impossible.
            StorageError: the item cannot be read, or is not UTF-8 text.
        """
        return self._run(self._inner.get_item, name)

    def set_item(self, name: str, value: str) -> None:
        """Write the item; it is durable when the call returns.

        Raises:
            ValidationError: the name is impossible, or the value holds lone surrogates.
            StorageError: the item cannot be written, or a lock that this task holds was lost. It is
                as it was before, or written wholly.
        """
        self._run(self._inner.set_item, name, value)

    def remove_item(self, name: str) -> None:
        """Remove the item; removing an absent one is no error.

        Raises:
            ValidationError: the name is impossible.
            StorageError: the item cannot be removed, or a lock that this task holds was lost.
        """
        self._run(self._inner.remove_item, name)

    def list_items(self, prefix: str = "") -> Sequence[str]:
        """Return the sorted names of the items that start with ``prefix``.

        Raises:
            StorageError: they cannot be listed.
        """
        return self._run(self._inner.list_items, prefix)

    def lock(self, name: str) -> AbstractContextManager[StorageLock]:
        """Hold the lock of this name; tasks, programs and machines with this database share it.

        A call that waits looks again every 50 ms at the latest.

        Raises:
            ValidationError: the name is empty, or holds NUL or lone surrogates.
            StorageError: PostgreSQL cannot be used, or there is a pooler on the way to it that does
                not keep sessions.
        """
        return self._enter(self._inner.lock, name)


class PostgresKeyStorage(StorageKeyStorage):
    """A :class:`StorageKeyStorage` on a :class:`PostgresStorage`.

    Keys are in clear there: a person who can read the database can use them. See
    :meth:`EncryptedKeyStorage.over() <icure_sync.storage.EncryptedKeyStorage.over>`. To use the
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

    _inner: AsyncPostgresKeyStorage
    _portable = True

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
        self._hold(
            AsyncPostgresKeyStorage(
                target,
                namespace=namespace,
                schema=schema,
                max_connections=max_connections,
                timeout=timeout,
                session_pooler=session_pooler,
            )
        )

    def open(self) -> None:
        """Connect, and check the version of the schema; the first use does so, too.

        Raises:
            ConfigurationError: it was used in another process, or is in use elsewhere.
            StorageError: PostgreSQL cannot be reached, or its schema is missing or too new.
        """
        self._run(self._inner.open)

    def close(self) -> None:
        """Close the connections, unless the pool was given."""
        self._close(self._inner.aclose)

    def __enter__(self) -> Self:
        self._run(self._inner.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self._close(self._inner.__aexit__, *_)

    def init(self) -> None:
        """Make the schema and its tables, or migrate them; as ``icure storage init`` does.

        Raises:
            StorageError: the user lacks a permission, or the schema is of a newer version. Nothing
                was changed.
        """
        self._run(self._inner.init)
