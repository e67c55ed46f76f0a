"""Items in memory: for tests, and for programs that keep their keys elsewhere."""

from __future__ import annotations

import os
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from icure_async.secret_holders import SecretHolder
from icure_async.storage._names import check_item_name, encode_value
from icure_async.storage.locks import StorageLock, wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

__all__ = ["MemoryStorage"]


class MemoryStorage(SecretHolder):
    """A :class:`~icure_async.storage.Storage` that is gone when the program ends.

    Its methods raise :class:`~icure_async.errors.ValidationError` for names and values that a file
    could not hold either (empty, with NUL, lone surrogates), so that a test does not accept what a
    device refuses.

    Example:
        >>> storage = MemoryStorage()
        >>> await storage.set_item("name", "value")
        >>> await storage.get_item("name")
        'value'
    """

    def __init__(self) -> None:
        self._items: dict[str, str] = {}
        self._make_locks()

    def _make_locks(self) -> None:
        self._locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._finding_lock = threading.Lock()
        self._pid = os.getpid()

    async def get_item(self, name: str) -> str | None:
        """Return the item, or None where there is none.

        Example:
            >>> await MemoryStorage().get_item("name") is None
            True
        """
        check_item_name(name)
        return self._items.get(name)

    async def set_item(self, name: str, value: str) -> None:
        """Write the item.

        Example:
            >>> storage = MemoryStorage()
            >>> await storage.set_item("name", "value")
        """
        check_item_name(name)
        encode_value(name, value)
        self._items[name] = value

    async def remove_item(self, name: str) -> None:
        """Remove the item; removing an absent one is no error.

        Example:
            >>> storage = MemoryStorage()
            >>> await storage.remove_item("name")  # nothing is no error
        """
        check_item_name(name)
        self._items.pop(name, None)

    async def list_items(self, prefix: str = "") -> Sequence[str]:
        """Return the sorted names of the items that start with ``prefix``.

        Example:
            >>> storage = MemoryStorage()
            >>> await storage.set_item("process.1", "value")
            >>> await storage.list_items("process.")
            ['process.1']
        """
        return sorted(name for name in self._items if name.startswith(prefix))

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncGenerator[StorageLock, None]:
        """Hold the lock of this name, of which the program has one.

        Raises:
            ValidationError: the name is empty, or holds NUL or lone surrogates.

        Example:
            >>> async with MemoryStorage().lock("name") as lock:
            ...     print(lock.waited)
            False
        """
        check_item_name(name)
        if self._pid != os.getpid():
            # Those that the parent process held when it forked are held for ever here.
            self._make_locks()
        # Not one of an event loop's: several may use this storage.
        with self._finding_lock:
            lock = self._locks.setdefault(name, threading.Lock())

        async def attempt() -> bool:
            return lock.acquire(blocking=False)

        waited = await wait_for(attempt)
        try:
            yield StorageLock(waited=waited)
        finally:
            lock.release()

    def __repr__(self) -> str:
        count = len(self._items)
        return f"<MemoryStorage with {count} item{'' if count == 1 else 's'}>"
