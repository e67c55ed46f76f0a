"""The bytes to attach: given as bytes, a file, or a stream."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, TypeAlias, cast

from icure_async.crypto.streams import PIECE_BYTES, Meter, pieces
from icure_async.crypto.threads import in_thread_if_large
from icure_async.errors import ValidationError
from icure_async.threads import STORAGE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from icure_async.crypto.streams import Measured

__all__ = ["AttachmentBody", "Source", "measured", "source_of"]

AttachmentBody: TypeAlias = bytes | os.PathLike[str] | BinaryIO | AsyncIterable[bytes]
"""The bytes of a file, its path, an open binary file, or an async iterable of bytes."""

_FORMS: Final = (
    "pass bytes, a pathlib.Path, a file opened with mode 'rb', or an async iterable of bytes"
)
_ADVICE: Final[dict[int, str]] = {
    errno.ENOENT: "it does not exist; check the path",
    errno.EACCES: "permission denied; give this user access to it",
    errno.EISDIR: "it is a folder; attach its files one by one",
}


class Source(Protocol):
    """The bytes to attach."""

    @property
    def is_once(self) -> bool:
        """True if they can be read once only."""
        ...

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Return them, from the beginning.

        Raises:
            ValidationError: they can't be read.
        """
        ...


def source_of(body: Any) -> Source:
    """Return the bytes to attach.

    Raises:
        ValidationError: the body has no form that can be attached.
    """
    if isinstance(body, bytes | bytearray | memoryview):
        return _Bytes(bytes(cast("bytes", body)))
    if hasattr(body, "__fspath__"):
        # Its method may return anything.
        with contextlib.suppress(TypeError):
            return _Path(Path(os.fsdecode(body)))
    if hasattr(body, "__aiter__"):
        return _Stream(body)
    if callable(getattr(body, "read", None)):
        file: Any = body
        return _File(file)
    given = "a text" if isinstance(body, str) else f"a {type(body).__name__}"
    raise ValidationError(f"{given.capitalize()} can't be attached: {_FORMS}. Nothing was sent.")


async def measured(source: Source) -> Measured | None:
    """Return the size and the hash of the bytes; None where that would use them up.

    Raises:
        ValidationError: they can't be read.
    """
    if source.is_once:
        return None
    meter = Meter()
    async with contextlib.aclosing(source.chunks()) as chunks:
        async for piece in pieces(chunks):
            await in_thread_if_large(len(piece), meter.add, piece)
    return meter.result()


class _Bytes:
    """Bytes in memory."""

    is_once = False

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        yield self._data


class _Path:
    """The file at a path, opened each time."""

    is_once = False

    def __init__(self, path: Path) -> None:
        self._path = path

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        # Without buffer: pieces are read as they are worked on.
        file: BinaryIO = await _read(lambda: self._path.open("rb", buffering=0))
        try:
            while chunk := await _read(lambda: file.read(PIECE_BYTES)):
                yield chunk
        finally:
            file.close()


class _File:
    """An open file, from the place where it is now. It stays open."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = _place_in(file)
        self.is_once = self._start is None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        start = self._start
        if start is not None:
            await _read(lambda: self._file.seek(start))
        while chunk := _as_bytes(await _read(lambda: self._file.read(PIECE_BYTES))):
            yield chunk


class _Stream:
    """An async iterable, which may be an iterator."""

    is_once = True

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = chunks

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        iterator: AsyncIterator[object] = aiter(self._chunks)
        try:
            async for chunk in iterator:
                yield _as_bytes(chunk)
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()


def _as_bytes(chunk: Any) -> bytes:
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, bytearray | memoryview):
        return bytes(cast("bytes", chunk))
    if chunk is None:
        raise ValidationError("The file to attach is not ready to be read: open it as blocking.")
    advice = "open it with mode 'rb'" if isinstance(chunk, str) else _FORMS
    raise ValidationError(
        f"The body to attach gives a {type(chunk).__name__} where bytes are needed: {advice}."
    )


def _place_in(file: BinaryIO) -> int | None:
    """Return the place in an open file; None where it can't go back."""
    try:
        return file.tell() if file.seekable() else None
    except (AttributeError, OSError, ValueError):
        return None


async def _read(step: Callable[[], Any]) -> Any:
    """Take a step with a file, which may be on a disk that is stuck, in a thread.

    Raises:
        ValidationError: it can't be taken.
    """
    try:
        return await STORAGE.run_or_leave(step)
    except OSError as error:
        number = error.errno or 0
        reason = _ADVICE.get(number) or f"{os.strerror(number)}; check the file and its disk"
    except ValueError:
        reason = "it is closed, or no binary file; open it with mode 'rb'"
    raise ValidationError(f"The file to attach can't be read: {reason}. No data sample has it.")
