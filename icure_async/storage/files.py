"""One file per item, durable when a write returns and whole at every moment."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import shlex
import stat
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from icure_async.errors import StorageError
from icure_async.storage._disk import (
    FILE_MODE,
    GROUP_AND_OTHERS,
    POSIX,
    advice_for,
    open_to_read,
    replace,
    sync_folder,
    unlink,
    written,
)
from icure_async.storage._file_locks import (
    CANNOT_LOCK,
    NOTHING_TO_LOCK,
    remove_if_free,
    try_lock,
    unlock,
)
from icure_async.storage._folders import prepare_folder
from icure_async.storage._names import (
    check_item_name,
    encode_value,
    file_name_of,
    item_name_of,
)
from icure_async.storage._threads import GivenUpError, Undertaking, finish, read, write
from icure_async.storage.locks import StorageLock, wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

__all__ = ["ExposedFileError", "FileStorage", "write_private_file"]

_logger = logging.getLogger(__name__)

_STALE_AFTER: Final = 3600.0
_NO_LOCK: Final = -1
_LOCK_SUFFIX: Final = ".lock"
_TEMPORARY_NAME: Final = re.compile(r"\.icure-[0-9a-f]{32}\.(?:tmp|lock)")


class ExposedFileError(StorageError):
    """A private key in a file that other users of the machine can open."""


class FileStorage:
    """A :class:`~icure_async.storage.Storage` with one file per item in one folder.

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
    A write that is cancelled has happened wholly or not at all when its call is over, and never
    happens later. To see to that, the call waits for up to 5 s where the write has begun. A disk
    that takes longer finds the write given up, which is logged; if it is stuck in the very last
    step, the next write of the item by this process waits for it.

    :meth:`lock` makes tasks, threads and processes take turns. A killed process holds no lock.

    Every method raises :class:`~icure_async.errors.ValidationError`, before touching the disk, for
    a name that is empty, holds NUL or lone surrogates, or is longer than 255 bytes once encoded;
    and :class:`~icure_async.errors.StorageError`, which names the item and never its content, where
    the disk does not let it do its work: a full disk, missing permissions, a folder in the item's
    place, a content that is not UTF-8.

    Args:
        directory: the folder, ``str`` or ``os.PathLike[str]``. A relative path is taken from the
            working directory of this moment.

    Example:
        >>> storage = FileStorage(folder / "state")
        >>> await storage.set_item("name", "value")
        >>> await storage.list_items()
        ['name']
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory).absolute()
        self._warned = False
        self._warned_of_locks = False
        self._cleaned_at: float | None = None

    @property
    def directory(self) -> Path:
        """Absolute path of the folder, which may not exist yet."""
        return self._directory

    def path_of(self, name: str) -> Path:
        """Return where the item's file is, or would be.

        Raises:
            ValidationError: the name cannot be a file name.

        Example:
            >>> FileStorage(folder / "state").path_of("name").parent == folder / "state"
            True
        """
        return self._directory / file_name_of(name)

    async def get_item(self, name: str) -> str | None:
        """Return the item, or None where there is none.

        Raises:
            ValidationError: the name cannot be a file name.
            StorageError: the file cannot be read, or is not UTF-8 text.

        Example:
            >>> await FileStorage(folder / "nothing").get_item("name") is None
            True
        """
        found = await self.get_item_and_mode(name)
        return None if found is None else found[0]

    async def get_item_and_mode(self, name: str) -> tuple[str, int] | None:
        """Return the item and the permission bits of its file, or None where there is none.

        Both are taken from the same open file. Where the system has no POSIX permissions, the bits
        are 0600.

        Raises:
            ValidationError: the name cannot be a file name.
            StorageError: the file cannot be read, or is not UTF-8 text.
        """
        path = self.path_of(name)
        return await read(partial(self._read, name, path))

    async def refuse_exposed(self, name: str) -> None:
        """Refuse the file of a private key to which group or others have any permission.

        Raises:
            ValidationError: the name cannot be a file name.
            StorageError: they have. It says which mode to set. Or the file cannot be read.
        """
        found = await self.get_item_and_mode(name)
        if found is not None and found[1] & GROUP_AND_OTHERS:
            raise ExposedFileError(_exposed(self.path_of(name), found[1]))

    async def set_item(self, name: str, value: str) -> None:
        """Write the item; it is durable when the call returns.

        Raises:
            ValidationError: the name cannot be a file name, or the value holds lone surrogates.
            StorageError: the file cannot be written. The item is as it was before, except where the
                message says otherwise.

        Example:
            >>> storage = FileStorage(folder / "state")
            >>> await storage.set_item("name", "value")
            >>> oct(storage.path_of("name").stat().st_mode & 0o777)
            '0o600'
        """
        path = self.path_of(name)
        data = encode_value(name, value)
        await write(
            partial(self._write, name, path, data),
            what=f"write the item {name!r}",
            turn=str(path),
        )

    async def remove_item(self, name: str) -> None:
        """Remove the item; removing an absent one is no error.

        Raises:
            ValidationError: the name cannot be a file name.
            StorageError: the file cannot be removed.

        Example:
            >>> storage = FileStorage(folder / "state")
            >>> await storage.set_item("name", "value")
            >>> await storage.remove_item("name")
        """
        path = self.path_of(name)
        await write(
            partial(self._remove, name, path),
            what=f"remove the item {name!r}",
            turn=str(path),
        )

    async def list_items(self, prefix: str = "") -> Sequence[str]:
        """Return the sorted names of the items that start with ``prefix``.

        All symbolic links are listed, also those that cannot be read: an item that cannot be read
        is not an item that is absent.

        Raises:
            StorageError: the folder cannot be read.

        Example:
            >>> storage = FileStorage(folder / "items")
            >>> await storage.set_item("process.1", "value")
            >>> await storage.list_items("process.")
            ['process.1']
        """
        return await read(partial(self._list, prefix))

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncGenerator[StorageLock, None]:
        """Hold the lock of this name; tasks, threads and programs that use the folder share it.

        A call that waits looks again every 50 ms at the latest. Where the folder cannot be written,
        or its file system has no locks, there is nobody to wait for; the latter is logged.

        Raises:
            ValidationError: the name is empty, or holds NUL or lone surrogates.
            StorageError: the lock cannot be taken: there is something else in its file's place.

        Example:
            >>> async with FileStorage(folder / "state").lock("name") as lock:
            ...     print(lock.waited)
            False
        """
        check_item_name(name)
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        path = self._directory / f".icure-{digest}{_LOCK_SUFFIX}"
        held: list[int] = []

        def take(undertaking: Undertaking) -> bool:
            descriptor = self._try_lock(name, path)
            if descriptor is None:
                return False
            held.append(descriptor)
            try:
                undertaking.check()
            except GivenUpError:
                release()
                raise
            return True

        def release() -> None:
            # Popped first: one that is given up while it is taken may be released by two.
            while held:
                with contextlib.suppress(OSError, IndexError):
                    _let_go(path, held.pop())

        try:
            attempt = partial(write, take, what=f"lock the item {name!r}")
            yield StorageLock(waited=await wait_for(attempt))
        finally:
            if held:
                await finish(release, what=f"unlock the item {name!r}")

    def __repr__(self) -> str:
        return f"FileStorage({str(self._directory)!r})"

    def _read(self, name: str, path: Path) -> tuple[str, int] | None:
        try:
            descriptor = open_to_read(path)
            try:
                status = os.fstat(descriptor)
                self._refuse_other_than_file(name, path, status)
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    data = file.read()
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._fail("read", name, path, error)
        text = _decode(data)
        if text is None:
            raise StorageError(
                f"The item {name!r} is not UTF-8 text: {path} is damaged, or not ours."
                " Restore it from a backup or move it away."
            )
        return text, stat.S_IMODE(status.st_mode) if POSIX else FILE_MODE

    def _write(
        self, name: str, path: Path, data: bytes, undertaking: Undertaking | None = None
    ) -> None:
        try:
            self._prepare_folder()
            self._remove_stale_files()
            with contextlib.suppress(FileNotFoundError):
                self._refuse_other_than_file(name, path, path.lstat())
            with written(path, data) as temporary:
                if undertaking is not None:
                    undertaking.check()
                replace(temporary, path)
        except OSError as error:
            self._fail("write", name, path, error)
        self._make_durable("written", name)

    def _remove(self, name: str, path: Path, undertaking: Undertaking) -> None:
        try:
            self._refuse_other_than_file(name, path, path.lstat())
            undertaking.check()
            unlink(path)
        except FileNotFoundError:
            return
        except OSError as error:
            self._fail("remove", name, path, error)
        self._make_durable("removed", name)

    def _list(self, prefix: str) -> list[str]:
        names: list[str] = []
        try:
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    name = item_name_of(entry.name)
                    if name is None or not name.startswith(prefix):
                        continue
                    if not entry.is_dir(follow_symlinks=False):
                        names.append(name)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(
                f"Cannot list the items in {self._directory}: {advice_for(error)}."
            ) from error
        return sorted(names)

    def _try_lock(self, name: str, path: Path) -> int | None:
        """Return the descriptor that holds the lock, or None where somebody else holds it."""
        try:
            try:
                return try_lock(path)
            except FileNotFoundError:
                self._prepare_folder()
                return try_lock(path)
        except OSError as error:
            if error.errno not in NOTHING_TO_LOCK | CANNOT_LOCK:
                self._fail("lock", name, path, error)
            if error.errno in CANNOT_LOCK and not self._warned_of_locks:
                self._warned_of_locks = True
                _logger.warning(
                    "The file system of %s has no locks: let one program at a time use it.",
                    self._directory,
                )
            return _NO_LOCK

    def _prepare_folder(self) -> None:
        done = prepare_folder(self._directory)
        if done is not None and not self._warned:
            self._warned = True
            _logger.warning("The folder %s %s.", self._directory, done)

    def _remove_stale_files(self) -> None:
        now = time.monotonic()
        if self._cleaned_at is not None and now - self._cleaned_at < _STALE_AFTER:
            return
        self._cleaned_at = now
        oldest = time.time() - _STALE_AFTER
        # Tidying up is no reason for a write to fail.
        with contextlib.suppress(OSError), os.scandir(self._directory) as entries:
            for entry in entries:
                if not _TEMPORARY_NAME.fullmatch(entry.name):
                    continue
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if not stat.S_ISREG(status.st_mode) or status.st_mtime >= oldest:
                        continue
                    if entry.name.endswith(_LOCK_SUFFIX):
                        remove_if_free(Path(entry.path))
                    else:
                        Path(entry.path).unlink()

    def _make_durable(self, done: str, name: str) -> None:
        try:
            sync_folder(self._directory)
        except OSError as error:
            raise StorageError(
                f"The item {name!r} is {done}, but a power failure now might undo it:"
                f" {advice_for(error)}. Try again."
            ) from error

    def _refuse_other_than_file(self, name: str, path: Path, status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        if stat.S_ISDIR(status.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise StorageError(
                f"The item {name!r} is not a regular file. Move {path} away and try again."
            )

    def _fail(self, verb: str, name: str, path: Path, error: OSError) -> NoReturn:
        raise StorageError(
            f"Cannot {verb} the item {name!r} ({path}): {advice_for(error)}."
        ) from error


def write_private_file(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """Write a file of mode 0600, whole or not at all, which is durable when the call returns.

    It blocks: call it in a worker thread where there is an event loop.

    Args:
        path: where to; its folder must exist.
        data: the content.
        overwrite: whether a file that is there already may be replaced.

    Raises:
        FileExistsError: there is one, and it may not.
        OSError: the file cannot be written. The former one is still there.
    """
    with written(path, data) as temporary:
        if overwrite:
            replace(temporary, path)
        else:
            _move_to_free_name(temporary, path)
    sync_folder(path.parent)


def _exposed(path: Path, mode: int) -> str:
    found = f"The private key in {path} is open to other users of this machine (mode {mode:04o})"
    if path.is_symlink():
        return (
            f"{found}. For the volume of a Kubernetes Secret set defaultMode: 0400; where the pod "
            "needs an fsGroup, which opens the files to a group, mount an encrypted folder, and "
            "read it with EncryptedKeyStorage."
        )
    return f"{found}, and may have leaked. Close it with: chmod 600 {shlex.quote(str(path))}"


def _decode(data: bytes) -> str | None:
    # The codec's exception carries the whole content, so it must not become part of a chain.
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _move_to_free_name(temporary: Path, path: Path) -> None:
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: one look ahead is the best there is.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.rename(path)


def _let_go(path: Path, descriptor: int) -> None:
    if descriptor != _NO_LOCK:
        unlock(path, descriptor)
