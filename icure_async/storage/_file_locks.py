"""Locks of the operating system, on files that are there only while somebody wants them."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CANNOT_LOCK", "NOTHING_TO_LOCK", "remove_if_free", "try_lock", "unlock"]

_FLAGS: Final[int] = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
_FILE_MODE: Final = 0o600

NOTHING_TO_LOCK: Final = frozenset(
    {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT}
)
"""Numbers of the errors where nobody can write: there is nothing to take turns at."""

CANNOT_LOCK: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Numbers of the errors of file systems without locks: some on the network, or in user space."""

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in {errno.EACCES, errno.EDEADLK}:
                return False
            raise
        return True

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    # Not lockf(): its locks are those of the whole process, and closing any descriptor of the file
    # lets go of them.

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def try_lock(path: Path) -> int | None:
    """Return the descriptor that holds the lock, or None where somebody else holds it now.

    Raises:
        OSError: the file cannot be opened or locked.
    """
    descriptor = os.open(path, _FLAGS, _FILE_MODE)
    try:
        # The last holder may have removed the file after we opened it: then others lock a new one.
        if _lock(descriptor) and _is_at(path, descriptor):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def unlock(path: Path, descriptor: int) -> None:
    """Let go of the lock, and remove its file."""
    # While it is locked, or somebody may have locked it already. Windows refuses that: there it is
    # removed afterwards, unless somebody has it open.
    with contextlib.suppress(OSError):
        path.unlink()
    try:
        # By hand: a forked child would keep the lock with its copy of the descriptor.
        _unlock(descriptor)
    finally:
        os.close(descriptor)
    if sys.platform == "win32":
        with contextlib.suppress(OSError):
            path.unlink()


def remove_if_free(path: Path) -> None:
    """Remove the file of a lock which a killed program left behind, unless somebody holds it.

    Raises:
        OSError: the file cannot be opened or locked.
    """
    descriptor = try_lock(path)
    if descriptor is not None:
        unlock(path, descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
