"""The steps of reading and writing files that are private, whole and durable."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = [
    "CANNOT_PROTECT",
    "FILE_MODE",
    "GROUP_AND_OTHERS",
    "POSIX",
    "RefusedError",
    "advice_for",
    "create",
    "open_to_read",
    "replace",
    "sync",
    "sync_folder",
    "temporary_for",
    "unlink",
    "written",
]

FILE_MODE: Final = 0o600
GROUP_AND_OTHERS: Final = 0o077

# Windows has neither POSIX modes, nor fsync of a folder, nor these flags.
POSIX: Final = os.name == "posix"
_WINDOWS: Final = os.name == "nt"
_NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_NON_BLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)
_BINARY: Final[int] = getattr(os, "O_BINARY", 0)
_DIRECTORY: Final[int] = getattr(os, "O_DIRECTORY", 0)
_FROM_FOLDER: Final = os.open in os.supports_dir_fd

CANNOT_PROTECT: Final = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}
)
"""Numbers of the errors of file systems on which nobody can set permissions."""

_CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
_REFUSAL_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 0.1
_LINK_TRIES: Final = 5
_LINK_PAUSE_SECONDS: Final = 0.02

_LINK: Final = (
    "it is a symbolic link, and only reading follows links, those that stay inside the folder; put "
    "the file itself there"
)
_ADVICE: Final[dict[int, str]] = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EROFS: "the disk is read-only; make it writable or choose another folder",
    errno.EACCES: "permission denied; give this user access to the folder and to the file",
    errno.EPERM: "the operation is not permitted; give this user ownership of the folder",
    errno.ENOTDIR: "a part of the folder's path is a file; choose another folder",
    errno.ELOOP: _LINK,
    errno.EMLINK: _LINK,
    errno.EISDIR: "there is a folder in place of the file; move it away",
    errno.ENOENT: "the folder has just disappeared; make sure that nothing removes it",
    errno.EMFILE: "too many files are open; close some and try again",
    errno.ENFILE: "too many files are open; close some and try again",
}

Result = TypeVar("Result")


class RefusedError(OSError):
    """A step that the system might allow, and we refuse; ``strerror`` says why, and what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)


def advice_for(error: OSError) -> str:
    """Return the cause of an error and the next step, as the end of a sentence."""
    if isinstance(error, RefusedError):
        return str(error.strerror)
    if error.errno in _ADVICE:
        return _ADVICE[error.errno]
    reason = os.strerror(error.errno) if error.errno is not None else "the system gives no reason"
    return f"{reason}; check the disk and the folder, and try again"


def open_to_read(path: Path) -> int:
    """Open a file, or one in the same folder that it links to, and return the descriptor.

    A mounted Kubernetes Secret is a folder of such links: ``file → ..data/file`` and
    ``..data → ..2026_11_26…/``.

    Raises:
        FileNotFoundError: there is neither a file nor a link.
        OSError: it cannot be opened, or is a link that leads out of the folder or nowhere.
    """
    # Without O_NONBLOCK, opening a named pipe waits for a writer that may never come.
    flags = os.O_RDONLY | _NO_FOLLOW | _NON_BLOCK | _BINARY
    try:
        if _NO_FOLLOW or not path.is_symlink():
            return _patiently(lambda: os.open(path, flags))
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.EMLINK} or not path.is_symlink():
            raise
    for _ in range(_LINK_TRIES):
        # The links of a mount are exchanged whenever the Secret changes.
        with contextlib.suppress(FileNotFoundError):
            return _open_inside(path.parent, path, flags)
        time.sleep(_LINK_PAUSE_SECONDS)
    raise RefusedError("it is a symbolic link to a file that is not there; put the file there")


def _open_inside(folder: Path, link: Path, flags: int) -> int:
    real_folder, target = (Path(os.path.realpath(path, strict=True)) for path in (folder, link))
    if target == real_folder or not target.is_relative_to(real_folder):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(link))
    if not _FROM_FOLDER:
        return os.open(target, flags)
    *folders, name = target.relative_to(real_folder).parts
    at = os.open(real_folder, os.O_RDONLY | _DIRECTORY)
    try:
        # Step by step, so that no link that is put there now is followed either.
        for part in folders:
            inner = os.open(part, os.O_RDONLY | _DIRECTORY | _NO_FOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(name, flags, dir_fd=at)
    finally:
        os.close(at)


@contextmanager
def written(path: Path, data: bytes) -> Generator[Path, None, None]:
    """Write a temporary file of mode 0600 next to a path, and have it on the disk.

    It is removed in the end, unless it was given another name.

    Raises:
        RefusedError: others could read the file, and nothing can be done about that.
        OSError: it cannot be written.
    """
    temporary = temporary_for(path)
    try:
        with create(temporary) as file:
            _protect(file.fileno())
            file.write(data)
            sync(file)
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            unlink(temporary)


def temporary_for(path: Path) -> Path:
    """Return an unused path next to a path."""
    return path.with_name(f".icure-{secrets.token_hex(16)}.tmp")


def create(path: Path) -> BinaryIO:
    """Create a file of mode 0600, as far as its file system has modes, and open it to write."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY
    return os.fdopen(os.open(path, flags, FILE_MODE), "wb")


def sync(file: BinaryIO) -> None:
    """Have all that was written to a file on the disk."""
    file.flush()
    _sync(file.fileno())


def replace(path: Path, target: Path) -> None:
    """Give a file the name of another one, in one step."""
    _patiently(lambda: path.replace(target))


def unlink(path: Path) -> None:
    """Remove a file."""
    _patiently(path.unlink)


def sync_folder(path: Path) -> None:
    """Have the names in a folder on the disk, where the system can do that."""
    if not POSIX:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _protect(descriptor: int) -> None:
    if not POSIX or _mode_of(descriptor) == FILE_MODE:
        return
    try:
        # The umask may have taken bits of our own.
        os.fchmod(descriptor, FILE_MODE)
    except OSError as error:
        if error.errno not in CANNOT_PROTECT:
            raise
    # There are file systems that refuse, and others that do as if they had done it.
    if _mode_of(descriptor) & GROUP_AND_OTHERS:
        raise RefusedError(
            "its file system lets other users of this machine read every file, and keys cannot be "
            "protected there; choose a folder on a disk of this machine, or mount that file system "
            "for this user alone (umask=077)"
        )


def _mode_of(descriptor: int) -> int:
    return stat.S_IMODE(os.fstat(descriptor).st_mode)


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and user-space file systems cannot do it at all.
        if error.errno not in _CANNOT_SYNC:
            raise


def _patiently(operation: Callable[[], Result]) -> Result:
    """Repeat an operation that Windows refuses for some milliseconds while a file is open."""
    end = time.monotonic() + _REFUSAL_SECONDS
    pause = 0.005
    while True:
        try:
            return operation()
        except PermissionError:
            if not _WINDOWS or time.monotonic() >= end:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
