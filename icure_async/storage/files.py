"""One file per item, durable when a write returns and whole at every moment."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import secrets
import shlex
import stat
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import anyio
from anyio import to_thread

from icure_async.errors import StorageError
from icure_async.storage._file_locks import (
    CANNOT_LOCK,
    NOTHING_TO_LOCK,
    remove_if_free,
    try_lock,
    unlock,
)
from icure_async.storage._names import (
    check_item_name,
    encode_value,
    file_name_of,
    item_name_of,
)
from icure_async.storage._threads import run_to_completion
from icure_async.storage.locks import StorageLock, wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

__all__ = ["FileStorage", "chmod_command", "is_exposed", "write_private_file"]

_logger = logging.getLogger(__name__)

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_GROUP_AND_OTHERS: Final = 0o077
_STALE_AFTER: Final = 3600.0
_NO_LOCK: Final = -1
_LOCK_SUFFIX: Final = ".lock"
_TEMPORARY_NAME: Final = re.compile(r"\.icure-[0-9a-f]{32}\.(?:tmp|lock)")

# Windows has neither POSIX modes, nor fsync of a folder, nor these flags.
_POSIX: Final = os.name == "posix"
_NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_NON_BLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)
_BINARY: Final[int] = getattr(os, "O_BINARY", 0)

_ADVICE: Final[dict[int, str]] = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EROFS: "the disk is read-only; make it writable or choose another folder",
    errno.EACCES: "permission denied; give this user access to the folder and to the file",
    errno.EPERM: "the operation is not permitted; give this user ownership of the folder",
    errno.ENOTDIR: "a part of the folder's path is a file; choose another folder",
    errno.ELOOP: "it is a symbolic link, and links are not followed; put the file itself there",
    errno.EMLINK: "it is a symbolic link, and links are not followed; put the file itself there",
    errno.EISDIR: "there is a folder in place of the file; move it away",
    errno.ENOENT: "the folder disappeared meanwhile; make sure that nothing removes it",
    errno.EMFILE: "too many files are open; close some and try again",
    errno.ENFILE: "too many files are open; close some and try again",
}


class FileStorage:
    """A :class:`~icure_async.storage.Storage` with one file per item in one folder.

    File names and contents are those of the reference's directory store (cryptography.md §2): the
    item name percent-encoded, and the raw UTF-8 value. Hidden files are never items.

    The folder, with its missing parents, is created with mode 0700 by the first write, and files
    with mode 0600, whatever the umask. A folder that exists with wider permissions is tightened to
    0700 by a write, with one logged warning; a folder with the sticky bit (``/tmp``) is refused,
    since it is meant to be shared. A file with wider permissions is tightened by its next write.

    A write goes to a temporary file beside the item, is fsynced, takes the item's name in one step,
    and the folder is fsynced: readers, other processes and a crash at any moment see the old value
    or the new one, whole. Temporary files that a killed program left behind are removed after an
    hour. A write that is cancelled has happened wholly or not at all when its call is over, and
    never happens later. Disk access runs in worker threads.

    :meth:`lock` makes tasks, threads and processes take turns. A killed process holds no lock.

    Every method raises :class:`~icure_async.errors.ValidationError`, before touching the disk, for
    a name that is empty, holds NUL or lone surrogates, or is longer than 255 bytes once encoded;
    and :class:`~icure_async.errors.StorageError`, which names the item and never its content, where
    the disk does not let it do its work: a full disk, missing permissions, a symbolic link or
    folder in the item's place, a content that is not UTF-8.

    Args:
        directory: the folder, ``str`` or ``os.PathLike[str]``. A relative path is taken from the
            working directory of this moment.
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
        """
        return self._directory / file_name_of(name)

    async def get_item(self, name: str) -> str | None:
        """Return the item, or None where there is none.

        Raises:
            ValidationError: the name cannot be a file name.
            StorageError: the file cannot be read, or is not UTF-8 text.
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
        return await to_thread.run_sync(partial(self._read, name, path))

    async def set_item(self, name: str, value: str) -> None:
        """Write the item; it is durable when the call returns.

        Raises:
            ValidationError: the name cannot be a file name, or the value holds lone surrogates.
            StorageError: the file cannot be written. The item is as it was before, except where the
                message says otherwise.
        """
        path = self.path_of(name)
        data = encode_value(name, value)
        await run_to_completion(partial(self._write, name, path, data))

    async def remove_item(self, name: str) -> None:
        """Remove the item; removing an absent one is no error.

        Raises:
            ValidationError: the name cannot be a file name.
            StorageError: the file cannot be removed.
        """
        path = self.path_of(name)
        await run_to_completion(partial(self._remove, name, path))

    async def list_items(self, prefix: str = "") -> Sequence[str]:
        """Return the sorted names of the items that start with ``prefix``.

        Symbolic links are listed, although reading them is an error: an item that cannot be read is
        not an item that is absent.

        Raises:
            StorageError: the folder cannot be read.
        """
        return await to_thread.run_sync(partial(self._list, prefix))

    @asynccontextmanager
    async def lock(self, name: str) -> AsyncGenerator[StorageLock, None]:
        """Hold the lock of this name, of which all who use the folder have one.

        Who waits looks again every 50 ms at the latest. Where the folder cannot be written, or its
        file system has no locks, there is nobody to wait for; the latter is logged.

        Raises:
            ValidationError: the name is empty, or holds NUL or lone surrogates.
            StorageError: the lock cannot be taken: there is something else in its file's place.
        """
        check_item_name(name)
        digest = hashlib.sha256(name.encode()).hexdigest()[:32]
        path = self._directory / f".icure-{digest}{_LOCK_SUFFIX}"
        descriptor: int | None = None

        def take() -> None:
            nonlocal descriptor
            descriptor = self._try_lock(name, path)

        async def attempt() -> bool:
            await run_to_completion(take)
            return descriptor is not None

        def release() -> None:
            nonlocal descriptor
            if descriptor is not None and descriptor != _NO_LOCK:
                unlock(path, descriptor)
            descriptor = None

        try:
            yield StorageLock(waited=await wait_for(attempt))
        finally:
            try:
                with anyio.CancelScope(shield=True):
                    await run_to_completion(release)
            finally:
                # Does nothing but where a cancellation came before the thread began.
                release()

    def __repr__(self) -> str:
        return f"FileStorage({str(self._directory)!r})"

    def _read(self, name: str, path: Path) -> tuple[str, int] | None:
        try:
            self._refuse_link(path)
            # Without O_NONBLOCK, opening a named pipe waits for a writer that may never come.
            descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | _NON_BLOCK | _BINARY)
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
        return text, stat.S_IMODE(status.st_mode) if _POSIX else _FILE_MODE

    def _write(self, name: str, path: Path, data: bytes) -> None:
        temporary = self._directory / f".icure-{secrets.token_hex(16)}.tmp"
        try:
            self._prepare_folder(name)
            self._remove_stale_files()
            with contextlib.suppress(FileNotFoundError):
                self._refuse_other_than_file(name, path, path.lstat())
            try:
                _write_new_file(temporary, data)
                temporary.replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise
        except OSError as error:
            self._fail("write", name, path, error)
        self._make_durable("written", name)

    def _remove(self, name: str, path: Path) -> None:
        try:
            self._refuse_other_than_file(name, path, path.lstat())
            path.unlink()
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
                f"Cannot list the items in {self._directory}: {_advice(error)}."
            ) from error
        return sorted(names)

    def _try_lock(self, name: str, path: Path) -> int | None:
        """Return what holds the lock, or None where somebody else holds it."""
        try:
            try:
                return try_lock(path)
            except FileNotFoundError:
                self._prepare_folder(name)
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

    def _prepare_folder(self, name: str) -> None:
        missing: list[Path] = []
        folder = self._directory
        while not folder.exists() and folder != folder.parent:
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            try:
                folder.mkdir(_FOLDER_MODE)
            except FileExistsError:
                continue
            # The umask may have taken bits of our own.
            folder.chmod(_FOLDER_MODE)
            _sync_folder(folder.parent)
        status = self._directory.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise StorageError(
                f"Cannot write the item {name!r}: {self._directory} is not a folder."
                " Choose another folder."
            )
        if not _POSIX or not status.st_mode & _GROUP_AND_OTHERS:
            return
        if status.st_mode & stat.S_ISVTX:
            raise StorageError(
                f"Cannot write the item {name!r}: {self._directory} is a folder that several users"
                " share. Choose a folder of its own, for example inside it."
            )
        mode = stat.S_IMODE(status.st_mode)
        try:
            self._directory.chmod(_FOLDER_MODE)
        except PermissionError:
            outcome = "which this user cannot change; use a folder of its own"
        else:
            outcome = "changed to 0700, since keys may be in it"
        if not self._warned:
            self._warned = True
            _logger.warning("The folder %s had mode %04o: %s.", self._directory, mode, outcome)

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
            _sync_folder(self._directory)
        except OSError as error:
            raise StorageError(
                f"The item {name!r} is {done}, but a power failure now might undo it:"
                f" {_advice(error)}. Try again."
            ) from error

    def _refuse_link(self, path: Path) -> None:
        if not _NO_FOLLOW and path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))

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
            f"Cannot {verb} the item {name!r} ({path}): {_advice(error)}."
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
        OSError: the file cannot be written. What was there before is still there.
    """
    temporary = path.with_name(f".icure-{secrets.token_hex(16)}.tmp")
    try:
        _write_new_file(temporary, data)
        if overwrite:
            temporary.replace(path)
        else:
            _move_to_free_name(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    _sync_folder(path.parent)


def chmod_command(path: Path) -> str:
    """Return the shell command that makes a file private."""
    return f"chmod 600 {shlex.quote(str(path))}"


def is_exposed(mode: int) -> bool:
    """Whether group or others have any permission."""
    return bool(mode & _GROUP_AND_OTHERS)


def _advice(error: OSError) -> str:
    if error.errno in _ADVICE:
        return _ADVICE[error.errno]
    reason = os.strerror(error.errno) if error.errno is not None else "the system gives no reason"
    return f"{reason}; check the disk and the folder, and try again"


def _decode(data: bytes) -> str | None:
    # The codec's exception carries the whole content, so it must not become part of a chain.
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _write_new_file(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY
    descriptor = os.open(path, flags, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        if _POSIX:
            os.fchmod(descriptor, _FILE_MODE)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


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


def _sync_folder(path: Path) -> None:
    if not _POSIX:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and user-space file systems cannot sync a folder at all.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
