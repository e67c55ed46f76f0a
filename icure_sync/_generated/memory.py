# Written by "python tools/gen_sync.py" from icure_async/storage/memory.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Items in memory: for tests, and for programs that keep their keys elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.storage.memory import MemoryStorage as AsyncMemoryStorage
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from icure_async.storage.locks import StorageLock

__all__ = ["MemoryStorage"]


class MemoryStorage(Twin[AsyncMemoryStorage]):
    """A :class:`~icure_sync.storage.BlockingStorage` that is gone when the program ends.

    Its methods raise :class:`~icure_sync.errors.ValidationError` for names and values that a file
    could not hold either (empty, with NUL, lone surrogates), so that a test does not accept what a
    device refuses.

    Example:
        >>> storage = MemoryStorage()
        >>> storage.set_item("name", "value")
        >>> storage.get_item("name")
        'value'
    """

    _portable = True

    def __init__(self) -> None:
        self._hold(AsyncMemoryStorage())

    def get_item(self, name: str) -> str | None:
        """Return the item, or None where there is none.

        Example:
            >>> MemoryStorage().get_item("name") is None
            True
        """
        return self._run(self._inner.get_item, name)

    def set_item(self, name: str, value: str) -> None:
        """Write the item.

        Example:
            >>> storage = MemoryStorage()
            >>> storage.set_item("name", "value")
        """
        self._run(self._inner.set_item, name, value)

    def remove_item(self, name: str) -> None:
        """Remove the item; removing an absent one is no error.

        Example:
            >>> storage = MemoryStorage()
            >>> storage.remove_item("name")  # nothing is no error
        """
        self._run(self._inner.remove_item, name)

    def list_items(self, prefix: str = "") -> Sequence[str]:
        """Return the sorted names of the items that start with ``prefix``.

        Example:
            >>> storage = MemoryStorage()
            >>> storage.set_item("process.1", "value")
            >>> storage.list_items("process.")
            ['process.1']
        """
        return self._run(self._inner.list_items, prefix)

    def lock(self, name: str) -> AbstractContextManager[StorageLock]:
        """Hold the lock of this name, of which the program has one.

        Raises:
            ValidationError: the name is empty, or holds NUL or lone surrogates.

        Example:
            >>> with MemoryStorage().lock("name") as lock:
            ...     print(lock.waited)
            False
        """
        return self._enter(self._inner.lock, name)
