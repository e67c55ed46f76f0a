"""The feed as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from icure_async.sandbox.errors import ApiError, bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.sandbox.control.feed import Feed, FeedReader

__all__ = ["position_in", "serve"]

HEARTBEAT_SECONDS: Final = 15.0
"""The pause after which a stream without events is sent a comment."""

PATIENCE_SECONDS: Final = 30.0
"""The time that a reader has to take what it is sent."""

_MOST_AT_ONCE: Final = 100
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_LAST_EVENT_ID: Final = "Last-Event-ID"


def position_in(query: Mapping[str, str], headers: Mapping[str, str]) -> int | None:
    """Return the number after which a reader wants to go on, or None for what comes from now on.

    Raises:
        ApiError: 400 if it is not a number.
    """
    for name, values in (("after", query), (_LAST_EVENT_ID, headers)):
        text = values.get(name, "").strip()
        if text:
            if not _NUMBER.fullmatch(text):
                raise bad_request(f"{name} must be the id of an event: a whole number")
            return int(text)
    return None


async def serve(request: web.Request, feed: Feed, after: int | None) -> web.StreamResponse:
    """Stream what happens until the client goes, falls behind, or the sandbox is closed.

    Raises:
        ApiError: 503 if there are too many streams.
    """
    reader = feed.follow(after)
    if reader is None:
        raise ApiError(503, "There are too many streams of events: close one")
    try:
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
                "X-Accel-Buffering": "no",
            }
        )
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            await _stream(request, response, feed, reader)
        return response
    finally:
        feed.leave(reader)


async def _stream(
    request: web.Request, response: web.StreamResponse, feed: Feed, reader: FeedReader
) -> None:
    await response.write(b"retry: 1000\n\n")
    missed = feed.missed(reader)
    if missed and reader.position:
        await response.write(_notice("missed", missed))
    if missed:
        feed.catch_up(reader)
    while not feed.is_closed:
        if feed.missed(reader):
            await _write(request, response, _notice("dropped", feed.missed(reader)))
            return
        happenings = feed.take(reader, _MOST_AT_ONCE)
        if happenings:
            await _write(request, response, b"".join(one.text for one in happenings))
            reader.position = max(reader.position, happenings[-1].number)
            continue
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await reader.news.wait()
        except TimeoutError:
            await _write(request, response, b": still here\n\n")


def _notice(event: str, number: int) -> bytes:
    return b'event: %s\ndata: {"events": %d}\n\n' % (event.encode("ascii"), number)


async def _write(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await response.write(data)
    except TimeoutError:
        # The reader takes nothing at all: what waits for it would wait for ever.
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("The reader of events takes nothing") from None
