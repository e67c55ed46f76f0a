"""Bodies of answers, decompressed piece by piece up to a limit, and known to be whole or cut."""

from __future__ import annotations

import importlib
import zlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from icure_async.threads import PARSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import aiohttp

__all__ = [
    "BodyTooLargeError",
    "BrokenBodyError",
    "Decoding",
    "UnknownEncodingError",
    "read_body",
]

_PIECE: Final = 1 << 16
# So many bytes inflate to eight million at most, which takes about five milliseconds.
_INLINE_BYTES: Final = 1 << 13
# Members of a gzip body may be empty, and each one costs a copy of what follows it.
_MOST_MEMBERS: Final = 64
_GZIP: Final = 16 + zlib.MAX_WBITS


class BodyTooLargeError(Exception):
    """There is more of the body than is allowed."""


class BrokenBodyError(Exception):
    """The body is cut or damaged."""


class UnknownEncodingError(Exception):
    """The body is encoded in a way that can't be undone here."""


async def read_body(answer: aiohttp.ClientResponse, *, limit: int, encoding: str) -> bytes:
    """Return the decompressed body of an answer whose stream is as it came over the wire.

    Args:
        answer: an answer whose head has been read.
        limit: how many bytes there may be, compressed and decompressed.
        encoding: its ``Content-Encoding``; empty for a body to be taken as it is.

    Raises:
        BodyTooLargeError: there is more. The rest was not read.
        BrokenBodyError: it is cut or damaged.
        UnknownEncodingError: it is encoded in another way than gzip, deflate, or what else aiohttp
            may have asked for.
    """
    if answer.content.at_eof():
        # There is no body, or a middleware of the caller's has read it.
        return _Body(encoding, limit).whole(await answer.read())
    if not encoding and (answer.content_length or 0) > limit:
        raise BodyTooLargeError
    body = _Body(encoding, limit)
    async for chunk in answer.content.iter_any():
        if encoding and len(chunk) > _INLINE_BYTES:
            await PARSING.run(body.add, chunk)
        else:
            body.add(chunk)
    return body.end()


class _Decoder(Protocol):
    """Undoes one encoding."""

    @property
    def is_whole(self) -> bool:
        """True if the decoded data may be complete."""
        ...

    def decode(self, data: bytes, length: int) -> bytes:
        """Return ``length`` bytes at most of what the data, and what went before, stand for.

        Called with no data until nothing more comes.
        """
        ...


class Decoding:
    """Decodes a body piece by piece.

    Args:
        encoding: its ``Content-Encoding``; empty for a body to be taken as it is.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder: _Decoder | None = None

    @property
    def is_whole(self) -> bool:
        """True unless more has to come."""
        return self._decoder is None or self._decoder.is_whole

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what the data that came over the wire stand for, a little at a time.

        Raises:
            BrokenBodyError: they are damaged.
            UnknownEncodingError: they are encoded in a way that can't be undone here.
        """
        if not self._encoding or not chunk:
            yield chunk
            return
        if self._decoder is None:
            self._decoder = _decoder(self._encoding, chunk)
        piece = _decoded(self._decoder, chunk)
        while piece:
            yield piece
            piece = _decoded(self._decoder, b"")


class _Body:
    """A body that grows, up to a limit."""

    def __init__(self, encoding: str, limit: int) -> None:
        self._limit = limit
        self._decoding = Decoding(encoding)
        self._pieces: list[bytes] = []
        self._received = 0
        self._size = 0

    def add(self, chunk: bytes) -> None:
        """Add what came over the wire."""
        self._received += len(chunk)
        if self._received > self._limit:
            raise BodyTooLargeError
        for piece in self._decoding.pieces(chunk):
            self._size += len(piece)
            if self._size > self._limit:
                raise BodyTooLargeError
            self._pieces.append(piece)

    def end(self) -> bytes:
        """Return all of it."""
        if not self._decoding.is_whole:
            raise BrokenBodyError
        return b"".join(self._pieces)

    def whole(self, data: bytes) -> bytes:
        """Return the decoded body, given all of its data."""
        self.add(data)
        return self.end()


def _decoded(decoder: _Decoder, data: bytes) -> bytes:
    try:
        return decoder.decode(data, _PIECE)
    # Each library has an error of its own.
    except Exception:
        raise BrokenBodyError from None


def _decoder(encoding: str, start: bytes) -> _Decoder:
    if encoding in ("gzip", "x-gzip"):
        return _Members(lambda: zlib.decompressobj(_GZIP))
    if encoding == "deflate":
        # Many servers send it without the header that RFC 9110 §8.4.1.2 asks for.
        has_header = start[0] & 0x0F == zlib.DEFLATED
        window = zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
        return _Members(lambda: zlib.decompressobj(window), most=1)
    if encoding == "br":
        return _Brotli(_library("brotlicffi", "brotli"))
    if encoding == "zstd":
        return _Members(_library("compression.zstd", "backports.zstd").ZstdDecompressor)
    raise UnknownEncodingError


def _library(*names: str) -> Any:
    """Return the first library there is: aiohttp asks servers for what it finds installed."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise UnknownEncodingError


class _Members:
    """One or several compressed members, one after the other, as gzip and zstd allow.

    Args:
        new: makes what decompresses one member.
        most: how many there may be; what follows a single one is ignored.
    """

    def __init__(self, new: Callable[[], Any], *, most: int = _MOST_MEMBERS) -> None:
        self._new = new
        self._most = most
        self._member = new()
        self._count = 1

    @property
    def is_whole(self) -> bool:
        return bool(self._member.eof)

    def decode(self, data: bytes, length: int) -> bytes:
        data = getattr(self._member, "unconsumed_tail", b"") + data
        piece = b""
        while not piece:
            if self._member.eof:
                # Padding, which gzip's own tool takes as well.
                data = (self._member.unused_data + data).lstrip(b"\0")
                if not data or self._most == 1:
                    break
                self._begin_member()
            piece = self._member.decompress(data, length)
            data = b""
            if not self._member.eof:
                break
        return piece

    def _begin_member(self) -> None:
        self._count += 1
        if self._count > self._most:
            raise BrokenBodyError
        self._member = self._new()


class _Brotli:
    def __init__(self, library: Any) -> None:
        self._decompressor = library.Decompressor()

    @property
    def is_whole(self) -> bool:
        return bool(self._decompressor.is_finished())

    def decode(self, data: bytes, length: int) -> bytes:
        if self.is_whole:
            return b""
        piece: bytes = self._decompressor.process(data, output_buffer_limit=length)
        return piece
