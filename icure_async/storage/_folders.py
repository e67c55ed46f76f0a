"""Folders for secrets, which nobody else can replace, nor the files in them.

As for the keys of ssh, the owners of the folder, of its parents and of the links that lead to it
count, and the users that may write to them:

* The folder belongs to this user, or to root. A program that runs as root, as in a container, may
  use anybody's, such as a folder of the host.
* No other user may write to a parent, unless that has the sticky bit (``/tmp``), or is the top of
  a volume that root mounted (an ``emptyDir`` of Kubernetes, open to all users of the pod). A parent
  of somebody else's that is writable by its group is refused as well; one of this user's or of
  root's is not: there the group was chosen (a group of one, an ``fsGroup``).
* A link belongs to this user, to root, or to the owner of the folder that it is in.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from icure_async.storage._disk import (
    CANNOT_PROTECT,
    GROUP_AND_OTHERS,
    POSIX,
    RefusedError,
    sync_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_folder", "prepare_folder"]

_FOLDER_MODE: Final = 0o700
_ROOT: Final = 0
_MAX_LINKS: Final = 40


def prepare_folder(folder: Path) -> str | None:
    """Make a folder with its missing parents, and take from others the permissions they have on it.

    Args:
        folder: an absolute path.

    Returns:
        The fate of wide permissions, in words for the log; None where there were none.

    Raises:
        RefusedError: it is no folder, or others can exchange what is in it.
        OSError: the system refuses.
    """
    if POSIX:
        _check_way(folder)
    _make(folder)
    status = folder.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise RefusedError(f"{folder} is not a folder; choose another folder")
    return _tighten(folder, status) if POSIX else None


def check_folder(folder: Path) -> str | None:
    """Return the permissions that others have on a folder, in words, and change nothing.

    Args:
        folder: an absolute path.

    Returns:
        None where others have no permission, or there is no such folder yet.

    Raises:
        RefusedError: it is no folder, or others can exchange what is in it.
        OSError: the system refuses.
    """
    if not POSIX:
        return None
    _check_way(folder)
    try:
        status = folder.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        raise RefusedError(f"{folder} is not a folder; choose another folder")
    _check_owner(folder, status)
    mode = stat.S_IMODE(status.st_mode)
    return f"has mode {mode:04o}" if mode & GROUP_AND_OTHERS else None


def _make(folder: Path) -> None:
    missing: list[Path] = []
    while not folder.exists() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        try:
            new.mkdir(_FOLDER_MODE)
        except FileExistsError:
            continue
        # The umask may have taken bits of our own.
        _close(new)
        sync_folder(new.parent)


def _check_owner(folder: Path, status: os.stat_result) -> None:
    if os.geteuid() != _ROOT and status.st_uid not in {os.geteuid(), _ROOT}:
        raise RefusedError(
            f"the folder {folder} belongs to another user, who could exchange what is in it; "
            "choose a folder that belongs to this user"
        )


def _tighten(folder: Path, status: os.stat_result) -> str | None:
    _check_owner(folder, status)
    if not status.st_mode & GROUP_AND_OTHERS:
        return None
    if status.st_mode & stat.S_ISVTX:
        raise RefusedError(
            f"{folder} is a folder that several users share; choose a folder of its own, for "
            "example inside it"
        )
    mode = stat.S_IMODE(status.st_mode)
    if _close(folder):
        return f"had mode {mode:04o}: changed to 0700, since keys may be in it"
    if status.st_mode & stat.S_IWOTH and not _is_volume(folder, status):
        raise RefusedError(
            f"other users of this machine may write to the folder {folder}, and this user cannot "
            "change that; choose a folder that belongs to this user"
        )
    return f"had mode {mode:04o}: which this user cannot change; use a folder of its own"


def _close(folder: Path) -> bool:
    """Take all permissions from group and others, and return whether that was possible."""
    try:
        folder.chmod(_FOLDER_MODE)
    except OSError as error:
        if error.errno not in CANNOT_PROTECT | {errno.EACCES}:
            raise
        return False
    return True


def _check_way(folder: Path) -> None:
    """Refuse a way to a folder on which others could put another one in its place.

    The end of it is the business of :func:`_tighten`.
    """
    for path, status, parent, is_end in _way_to(folder):
        if stat.S_ISLNK(status.st_mode):
            if status.st_uid not in {os.geteuid(), _ROOT, parent.st_uid}:
                raise RefusedError(
                    f"{path} is a symbolic link that another user made; choose a folder that no "
                    "such link leads to"
                )
        elif not is_end and stat.S_ISDIR(status.st_mode):
            _check_parent(path, status)


def _check_parent(path: str, status: os.stat_result) -> None:
    mode, owner, user = status.st_mode, status.st_uid, os.geteuid()
    if mode & stat.S_ISVTX:
        return
    is_open = mode & stat.S_IWOTH and not _is_volume(path, status)
    is_foreign = user != _ROOT and owner not in {user, _ROOT}
    if is_open or (is_foreign and mode & stat.S_IWGRP):
        raise RefusedError(
            f"other users of this machine may write to {path}, and so exchange the folders in it; "
            "take that right from them (chmod go-w), or choose another folder"
        )


def _is_volume(folder: str | Path, status: os.stat_result) -> bool:
    return status.st_uid == _ROOT and os.path.ismount(folder)


def _way_to(folder: Path) -> Iterator[tuple[str, os.stat_result, os.stat_result, bool]]:
    """Yield the folders and links on the way to a folder, as far as they are there.

    Each is a path, its status, that of the folder that it is in, and whether it is the end.
    """
    here, *parts = folder.parts
    status = os.stat(here)  # noqa: PTH116 - these steps are taken before every write.
    parts.reverse()
    links = 0
    while parts:
        path = os.path.normpath(os.path.join(here, parts.pop()))  # noqa: PTH118
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            return
        if not stat.S_ISLNK(found.st_mode):
            yield path, found, status, not parts
            here, status = path, found
            continue
        yield path, found, status, False
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = Path(path).readlink()
        if target.is_absolute():
            here = target.anchor
            status = os.stat(here)  # noqa: PTH116
        parts += reversed(target.parts[1:] if target.is_absolute() else target.parts)
