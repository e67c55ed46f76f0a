"""The bodies of requests: read and inflated within limits, the larger ones for known callers."""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING

import attrs
from aiohttp import hdrs, web

from icure_async.sandbox.errors import ApiError, bad_request, too_large

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from icure_async.sandbox.workers import Workers

__all__ = [
    "LARGEST",
    "LARGEST_OF_ANYBODY",
    "is_stream",
    "piece_of",
    "read_along",
    "read_body",
    "skip_body",
]

LARGEST_OF_ANYBODY = 2**20
"""Bytes that are read before the caller is known."""

LARGEST = 64 * 2**20
"""Bytes that are read at all: a picture of 20 MiB, encrypted and in base64 twice, is less."""

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


@attrs.frozen
class _Received:
    body: bytes = attrs.field(default=b"", repr=False)
    error: ApiError | None = None


_RECEIVED = web.RequestKey("received", _Received)


class _Limit:
    def __init__(self, admit: Callable[[], Awaitable[None]] | None) -> None:
        self._admit = admit
        self.bytes = LARGEST if admit is None else LARGEST_OF_ANYBODY

    async def allow(self, size: int) -> None:
        if size > LARGEST:
            raise too_large(LARGEST)
        if size > self.bytes and self._admit is not None:
            await self._admit()
            self.bytes = LARGEST


async def read_body(
    request: web.Request, workers: Workers, admit: Callable[[], Awaitable[None]]
) -> bytes:
    """Return the body of a request as its sender meant it.

    Args:
        request: it.
        workers: what inflates.
        admit: finds out who calls, before much is read; raises what refuses.

    Raises:
        ApiError: 413 for too much of it, before it is read or inflated; 400 if it is malformed.
    """
    window_bits = _window_bits(request)
    limit = _Limit(admit)
    received = await _receive(request, limit)
    if not window_bits or not received:
        return received
    while True:
        inflated: bytes | None = await workers.run(
            partial(_inflate, received, window_bits, limit.bytes)
        )
        if inflated is not None:
            return inflated
        await limit.allow(limit.bytes + 1)


async def read_along(request: web.Request) -> None:
    """Receive a whole body now, to be returned by `read_body` later."""
    try:
        request[_RECEIVED] = _Received(await _receive(request, _Limit(None)))
    except ApiError as error:
        request[_RECEIVED] = _Received(error=error)


def _window_bits(request: web.Request) -> int:
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    if encoding in ("", "identity"):
        return 0
    if encoding not in _WINDOW_BITS:
        raise bad_request("The Content-Encoding must be gzip, deflate or none at all")
    return _WINDOW_BITS[encoding]


async def _receive(request: web.Request, limit: _Limit) -> bytes:
    known: _Received | None = request.get(_RECEIVED)
    if known is not None:
        if known.error is not None:
            raise known.error
        await limit.allow(len(known.body))
        return known.body
    await limit.allow(request.content_length or 0)
    received = bytearray()
    while chunk := await piece_of(request):
        received += chunk
        await limit.allow(len(received))
    return bytes(received)


async def piece_of(request: web.Request) -> bytes:
    """Return the next bytes of a body, nothing at its end.

    Raises:
        ApiError: 400 if it is malformed.
    """
    try:
        return await request.content.readany()
    except web.RequestPayloadError:
        raise bad_request("The body can't be received: its framing is malformed") from None


def is_stream(request: web.Request) -> bool:
    """Return whether the body is that of an attachment, which is never whole in memory."""
    return request.content_type == "application/octet-stream"


async def skip_body(request: web.Request, part: float = 1.0) -> None:
    """Receive a body, or the first part of one of a known length, without keeping it."""
    length = request.content_length
    most = None if length is None else int(length * part)
    skipped = 0
    while (most is None or skipped < most) and (piece := await piece_of(request)):
        skipped += len(piece)


def _inflate(body: bytes, window_bits: int, limit: int) -> bytes | None:
    """Return the inflated body, or None as soon as it has more than ``limit`` bytes."""
    inflater = zlib.decompressobj(window_bits)
    try:
        inflated = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise bad_request("The body is not what its Content-Encoding says") from None
    if len(inflated) > limit:
        return None
    if not inflater.eof or inflater.unused_data:
        raise bad_request("The body is cut, or something follows what was compressed")
    return inflated
