# Written by "python tools/gen_sync.py" from icure_async/storage/files.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""One file per item, durable when a write returns and whole at every moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.storage.files import FileStorage as AsyncFileStorage
from icure_sync._twins import Twin

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from icure_async.storage.locks import StorageLock

__all__ = ["FileStorage"]


class FileStorage(Twin[AsyncFileStorage]):
    """A :class:`~icure_sync.storage.BlockingStorage` with one file per item in one folder.

    File names and contents are those of the reference's directory store (cryptography.md §2): the
    item name percent-encoded, and the raw UTF-8 value. Hidden files are never items.

    The folder, with its missing parents, is created with mode 0700 by the first write, and files
    with mode 0600, whatever the umask. A folder that exists with wider permissions is tightened to
    0700 by a write, with one logged warning; a folder with the sticky bit (``/tmp``) is refused,
    since it is meant to be shared. A file with wider permissions is tightened by its next write.
    Where the file system cannot keep others from reading, nothing is written.

    Nothing is written either where others could put something else in the folder's place: it must
    belong to this user or to root, no other user may be able to write to a parent of it, and no
    link of somebody else's may lead to it. Sticky parents (``/tmp``) are fine, as is the top of a
    volume that root mounted (an ``emptyDir``), and parents that a group may write to if they belong
    to this user or to root. A program that runs as root, as in a container, may use a folder that
    belongs to anybody. Reading looks at none of this.

    Reading follows a symbolic link to a file in the same folder, as there are in a mounted
    Kubernetes Secret; no other link is followed, and none by a write.

    A write goes to a temporary file next to the item, is fsynced, takes the item's name in one
    step, and the folder is fsynced: readers, other processes and a crash at any moment see the old
    value or the new one, whole. Temporary files that a killed program left behind are removed after
    an hour. Disk access runs in worker threads of the SDK's own.

    A read that is cancelled is left behind.
    A write that Ctrl-C interrupts has happened wholly or not at all when its call is over, and never
    happens later. To see to that, the call waits for up to 5 s where the write has begun. A disk
    that takes longer finds the write given up, which is logged; if it is stuck in the very last
    step, the next write of the item by this process waits for it.

    :meth:`lock` makes threads and processes take turns. A killed process holds no lock.

    Every method raises :class:`~icure_sync.errors.ValidationError`, before touching the disk, for
    a name that is empty, holds NUL or lone surrogates, or is longer than 255 bytes once encoded;
    and :class:`~icure_sync.errors.StorageError`, which names the item and never its content, where
    the disk does not let it do its work: a full disk, missing permissions, a folder in the item's
    place, a content that is not UTF-8.

    Args:
        directory: the folder, ``str`` or ``os.PathLike[str]``. A relative path is taken from the
            working directory of this moment.

    Example:
        >>> storage = FileStorage(folder / "state")
        >>> storage.set_item("name", "value")
        >>> storage.list_items()
        ['name']
    """

    _portable = True

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._hold(AsyncFileStorage(directory))

    @property
    def directory(self) -> Path:
        """Absolute path of the folder, which may not exist yet."""
        return self._inner.directory

    def path_of(self, name: str) -> Path:
        """Return where the item's file is, or would be.

        Raises:
            ValidationError: the name cannot be a file name.

        Example:
            >>> FileStorage(folder / "state").path_of("name").parent == folder / "state"
            True
        """
        return self._call(self._inner.path_of, name)

    def get_item(self, name: str) -> str | None:
        """Return the item, or None where there is none.

        Raises:
            ValidationError: the name cannot be a file name.
            StorageError: the file cannot be read, or is not UTF-8 text.

        Example:
            >>> FileStorage(folder / "nothing").get_item("name") is None
            True
        """
        return self._run(self._inner.get_item, name)

    def get_item_and_mode(self, name: str) -> tuple[str, int] | None:
        """Return the item and the permission bits of its file, or None where there is none.

        Both are taken from the same open file. Where the system has no POSIX permissions, the bits
        are 0600.

        Raises:
            ValidationError: the name cannot be a file name.
            StorageError: the file cannot be read, or is not UTF-8 text.
        """
        return self._run(self._inner.get_item_and_mode, name)

    def refuse_exposed(self, name: str) -> None:
        """Refuse the file of a private key to which group or others have any permission.

        Raises:
            ValidationError: the name cannot be a file name.
            StorageError: they have. It says which mode to set. Or the file cannot be read.
        """
        self._run(self._inner.refuse_exposed, name)

    def set_item(self, name: str, value: str) -> None:
        """Write the item; it is durable when the call returns.

        Raises:
            ValidationError: the name cannot be a file name, or the value holds lone surrogates.
            StorageError: the file cannot be written. The item is as it was before, except where the
                message says otherwise.

        Example:
            >>> storage = FileStorage(folder / "state")
            >>> storage.set_item("name", "value")
            >>> oct(storage.path_of("name").stat().st_mode & 0o777)
            '0o600'
        """
        self._run(self._inner.set_item, name, value)

    def remove_item(self, name: str) -> None:
        """Remove the item; removing an absent one is no error.

        Raises:
            ValidationError: the name cannot be a file name.
            StorageError: the file cannot be removed.

        Example:
            >>> storage = FileStorage(folder / "state")
            >>> storage.set_item("name", "value")
            >>> storage.remove_item("name")
        """
        self._run(self._inner.remove_item, name)

    def list_items(self, prefix: str = "") -> Sequence[str]:
        """Return the sorted names of the items that start with ``prefix``.

        All symbolic links are listed, also those that cannot be read: an item that cannot be read
        is not an item that is absent.

        Raises:
            StorageError: the folder cannot be read.

        Example:
            >>> storage = FileStorage(folder / "items")
            >>> storage.set_item("process.1", "value")
            >>> storage.list_items("process.")
            ['process.1']
        """
        return self._run(self._inner.list_items, prefix)

    def lock(self, name: str) -> AbstractContextManager[StorageLock]:
        """Hold the lock of this name; threads and programs that use the folder share it.

        A call that waits looks again every 50 ms at the latest. Where the folder cannot be written,
        or its file system has no locks, there is nobody to wait for; the latter is logged.

        Raises:
            ValidationError: the name is empty, or holds NUL or lone surrogates.
            StorageError: the lock cannot be taken: there is something else in its file's place.

        Example:
            >>> with FileStorage(folder / "state").lock("name") as lock:
            ...     print(lock.waited)
            False
        """
        return self._enter(self._inner.lock, name)
