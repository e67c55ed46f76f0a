"""Bodies that are sent and received piece by piece, and the patience with the other side."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Protocol, Self

from icure_async.rest.decoding import BrokenBodyError, Decoding, UnknownEncodingError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from types import TracebackType

    import aiohttp

__all__ = ["Download", "Streams", "Upload"]

_PARTIAL_CONTENT: Final = 206


class Upload(Protocol):
    """A body to send."""

    @property
    def size(self) -> int | None:
        """The number of its bytes; None where that is not known."""
        ...

    @property
    def is_spent(self) -> bool:
        """True if it has been begun, and can't be made again."""
        ...

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Return all of it, from its beginning.

        An error that the generator raises ends the request, and reaches the caller as it is.
        """
        ...


class Download(Protocol):
    """Takes the body of a success.

    An error of its methods ends the request, and reaches the caller as it is.
    """

    async def begin(self, size: int | None, /) -> None:
        """Forget what came before: a body begins.

        Args:
            size: how many bytes it is to have; None where that is not known.
        """
        ...

    async def take(self, chunk: bytes, /) -> None:
        """Take more of it."""
        ...

    async def end(self, *, is_framed: bool) -> None:
        """Take note of its end.

        Args:
            is_framed: whether the server has said where that is; else the connection just ended.
        """
        ...


class Streams:
    """The streams of one attempt, in which the server must never be silent for too long.

    The time that the upload and the download take on this side is not counted.

    Args:
        seconds: how long the server may take nothing and send nothing.
        upload: the body to send, if any.
        download: takes the body that comes, if any.

    Attributes:
        failure: the error with which the upload or the download has ended the attempt.
    """

    def __init__(self, seconds: float, upload: Upload | None, download: Download | None) -> None:
        self.failure: Exception | None = None
        self._seconds = seconds
        self._upload = upload
        self._download = download
        self._sending: AsyncGenerator[bytes, None] | None = None
        self._is_at_work = False
        self._is_sent = asyncio.Event()
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self._wait()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._limit.__aexit__(kind, error, traceback)
        finally:
            await self._stop_sending()

    def body(self) -> AsyncGenerator[bytes, None] | None:
        """Return the body to send."""
        if self._upload is not None:
            self._sending = self._sent(self._upload)
        return self._sending

    async def receive(self, answer: aiohttp.ClientResponse, encoding: str) -> None:
        """Hand on the body of a success.

        Args:
            answer: an answer whose head has been read.
            encoding: its ``Content-Encoding``; empty for a body to be taken as it is.

        Raises:
            BrokenBodyError: it is cut or damaged.
            UnknownEncodingError: it is encoded in a way that can't be undone here.
        """
        download = self._download
        if download is None:
            return
        if answer.status == _PARTIAL_CONTENT:
            # Nobody has asked for a part.
            raise BrokenBodyError
        with self._ours():
            await download.begin(None if encoding else answer.content_length)
        decoding = Decoding(encoding)
        # A middleware of the caller's may have read it.
        rest = [await answer.read()] if answer.content.at_eof() else []
        for chunk in rest:
            await self._take(decoding, chunk, download)
        async for chunk in answer.content.iter_any():
            await self._take(decoding, chunk, download)
        if not decoding.is_whole:
            raise BrokenBodyError
        with self._ours():
            await download.end(is_framed=_is_framed(answer))

    async def _take(self, decoding: Decoding, chunk: bytes, download: Download) -> None:
        with self._ours():
            for piece in decoding.pieces(chunk):
                await download.take(piece)

    async def _sent(self, upload: Upload) -> AsyncGenerator[bytes, None]:
        try:
            async with contextlib.aclosing(upload.chunks()) as chunks:
                while True:
                    self._is_at_work = True
                    with self._ours():
                        chunk = await anext(chunks, None)
                    self._is_at_work = False
                    if chunk is None:
                        return
                    yield chunk
        finally:
            self._is_sent.set()

    async def _stop_sending(self) -> None:
        """Close the body that is sent. The server may have answered before its end."""
        if self._sending is None:
            return
        if self._is_at_work and not self._is_sent.is_set():
            # aiohttp cancels the task that sends it, and does not always wait for that.
            await self._is_sent.wait()
        else:
            await self._sending.aclose()

    @contextlib.contextmanager
    def _ours(self) -> Generator[None]:
        """Do something that the server need not wait for, and whose errors are not its own."""
        self._reschedule(None)
        try:
            yield
        except (BrokenBodyError, UnknownEncodingError):
            raise
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._wait()

    def _wait(self) -> None:
        self._reschedule(asyncio.get_running_loop().time() + self._seconds)

    def _reschedule(self, when: float | None) -> None:
        # A body may be closed after the end of the time.
        with contextlib.suppress(RuntimeError):
            self._limit.reschedule(when)


def _is_framed(answer: aiohttp.ClientResponse) -> bool:
    """Return whether a body that is cut would have been noticed as such."""
    coding = answer.headers.get("Transfer-Encoding", "")
    return answer.content_length is not None or "chunked" in coding.lower()
