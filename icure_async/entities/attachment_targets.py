"""The places where the bytes of an attachment go: memory, or a file that is whole or not there."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeGuard

from icure_async.errors import ResponseTooLargeError, ValidationError
from icure_async.storage import _disk
from icure_async.threads import STORAGE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["FileTarget", "MemoryTarget", "Target", "file_at"]


class Target(Protocol):
    """A place for bytes."""

    async def begin(self, size: int | None, /) -> None:
        """Forget what was added: all of it comes anew.

        Args:
            size: how many bytes there will be; None where that is not known.
        """
        ...

    async def add(self, data: bytes, /) -> None:
        """Add bytes."""
        ...


class MemoryTarget:
    """Memory.

    Args:
        limit: how many bytes there may be.
        name: of the attachment, for messages.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._pieces: list[bytes] = []
        self._size = 0

    async def begin(self, size: int | None, /) -> None:
        """Forget what was added.

        Raises:
            ResponseTooLargeError: there will be too much.
        """
        self._pieces, self._size = [], 0
        self._check(size or 0)

    async def add(self, data: bytes, /) -> None:
        """Add bytes.

        Raises:
            ResponseTooLargeError: these are too many.
        """
        self._size += len(data)
        self._check(self._size)
        self._pieces.append(data)

    def data(self) -> bytes:
        """Return all of it."""
        return b"".join(self._pieces)

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ResponseTooLargeError(
                f"Could not read {self._name}: it is larger than {self._limit:,} bytes. Write it "
                "to a file with save_data_sample_attachment_content(), or allow more with "
                "with_max_response_size()."
            )


class FileTarget:
    """A temporary file next to a path, which gets that name in the end."""

    def __init__(self, path: Path, temporary: Path, file: BinaryIO) -> None:
        self._path = path
        self._temporary = temporary
        self._file = file

    async def begin(self, size: int | None, /) -> None:  # noqa: ARG002 - any size will do
        """Forget what was added."""

        def empty() -> None:
            self._file.seek(0)
            self._file.truncate()

        await _written(empty)

    async def add(self, data: bytes, /) -> None:
        """Add bytes."""
        await _written(lambda: self._file.write(data))

    async def finish(self) -> None:
        """Give the file its name, with all that was added on the disk.

        Raises:
            ValidationError: the system refuses.
        """

        def finish() -> None:
            _disk.sync(self._file)
            self._file.close()
            _disk.replace(self._temporary, self._path)
            _disk.sync_folder(self._path.parent)

        await _written(finish)


@contextlib.asynccontextmanager
async def file_at(path: object) -> AsyncGenerator[FileTarget, None]:
    """Open a file to write, which this user alone may read; unless it is finished, nothing is left.

    Raises:
        ValidationError: there can be no file at that path.
    """
    target = _target(path)
    temporary = _disk.temporary_for(target)
    file: BinaryIO = await _created(target, temporary)
    try:
        yield FileTarget(target, temporary, file)
    finally:
        with contextlib.suppress(OSError):
            file.close()
        with contextlib.suppress(OSError):
            _disk.unlink(temporary)


def _is_path(path: object) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(path, str) or hasattr(path, "__fspath__")


def _target(path: object) -> Path:
    encoded = b""
    # There are characters that no path can have.
    with contextlib.suppress(TypeError, ValueError):
        encoded = os.fsencode(path) if _is_path(path) else b""
    if not encoded or b"\0" in encoded:
        raise ValidationError("path must be the path of the file to write. Nothing was sent.")
    return Path(os.fsdecode(encoded))


async def _created(target: Path, temporary: Path) -> BinaryIO:
    """Create the temporary file. A call that is cancelled in the meantime leaves none."""
    is_left = threading.Event()

    def create() -> BinaryIO:
        if not target.name or target.is_dir():
            raise _disk.RefusedError("path is a folder: add a name for the file to write")
        if target.exists() and not target.is_file():
            # To give its name to a file would take it from all other programs: /dev/null.
            raise _disk.RefusedError(
                "path is a device or a pipe, and not a file; choose another name"
            )
        file = _disk.create(temporary)
        if is_left.is_set():
            file.close()
            _disk.unlink(temporary)
        return file

    try:
        created: BinaryIO = await _written(create)
    except BaseException:
        is_left.set()
        with contextlib.suppress(OSError):
            _disk.unlink(temporary)
        raise
    return created


async def _written(step: Callable[[], Any]) -> Any:
    """Take a step of writing, on a disk that may be stuck, in a thread.

    Raises:
        ValidationError: the system refuses.
    """
    try:
        return await STORAGE.run_or_leave(step)
    except OSError as error:
        reason = _disk.advice_for(error)
    raise ValidationError(f"The file for the attachment can't be written: {reason}.")
