# Written by "python tools/gen_sync.py" from icure_async/storage/locks.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""One at a time: locks that threads and, where the storage can, processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from icure_async.storage.locks import StorageLock

__all__ = ["LOCKABLE_STORAGE_METHODS", "BlockingLockableStorage"]


class BlockingLockableStorage(Protocol):
    """A method that a storage may have in addition, so that programs that share it take turns.

    A :class:`~icure_sync.storage.BlockingStorage` or :class:`~icure_sync.storage.BlockingKeyStorage` without it
    serves as well, as long as one program at a time uses it.
    """

    def lock(self, name: str) -> AbstractContextManager[StorageLock]:
        """Return the lock of this name: entering it takes the lock, leaving it lets go of it.

        Entering waits until nobody else holds it; nobody can hold it twice. A lock must not outlive
        the program that holds it. Its name may be that of an item, and has nothing to do with it.
        """
        ...


LOCKABLE_STORAGE_METHODS: Final = ("lock",)
