"""The effects of faults on requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import orjson
from aiohttp import hdrs, web

from icure_async.sandbox.bodies import is_stream, read_along, skip_body
from icure_async.sandbox.control.requests import STRUCK_BY
from icure_async.sandbox.faults import Fault, Faults

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

__all__ = ["HANDLED_ANYWAY", "SAVES_NOTHING", "SENT_PART", "fault_middleware"]

HANDLED_ANYWAY = web.RequestKey("handled_anyway", bool)
"""Set for a request that a slow network seems to deliver after its sender lost patience."""

SAVES_NOTHING = web.RequestKey("saves_nothing", bool)
"""Set for a request that meets with a conflict when it comes to saving."""

SENT_PART = web.RequestKey("sent_part", float)
"""Set for a request of which an answer that is streamed is cut: after this part of it."""

_HALF = 0.5

_Strike = Callable[[Fault, web.Request, "Handler"], Awaitable[web.StreamResponse]]


def fault_middleware(faults: Faults, *, spared: Callable[[str], bool]) -> Middleware:
    """Return the middleware that lets faults strike; it goes around everything else.

    Args:
        faults: those in force.
        spared: tells the paths of requests that no fault strikes.
    """

    @web.middleware
    async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
        if spared(request.path):
            return await handler(request)
        fault = faults.strike(request.method, request.path)
        if fault is None:
            return await handler(request)
        request[STRUCK_BY] = fault.kind
        return await _STRIKES[fault.kind](fault, request, handler)

    return strike


async def _delay(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    # Read now: the rest of the body is lost when the sender loses patience.
    if not is_stream(request):
        await read_along(request)
    request[HANDLED_ANYWAY] = True
    await asyncio.sleep(fault.seconds or 0)
    return await handler(request)


async def _drop_before(
    _fault: Fault, request: web.Request, _handler: Handler
) -> web.StreamResponse:
    if is_stream(request):
        await skip_body(request, _HALF)
    return _dropped(request)


async def _drop_after(_fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    request[SENT_PART] = 0.0
    await handler(request)
    return _dropped(request)


def _dropped(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    # It is not sent: the connection is gone.
    return web.Response()


async def _status(fault: Fault, request: web.Request, _handler: Handler) -> web.StreamResponse:
    # Clients that are still sending would take an early answer for a broken connection.
    await skip_body(request)
    status = fault.status or 500
    answer = web.Response(
        status=status,
        body=orjson.dumps({"message": f"Injected fault: status {status}"}),
        content_type="application/json",
    )
    if fault.retry_after is not None:
        answer.headers[hdrs.RETRY_AFTER] = str(fault.retry_after)
    return answer


async def _truncate(_fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    request[SENT_PART] = _HALF
    whole = await handler(request)
    if not isinstance(whole, web.Response) and whole.prepared:
        return whole
    body = whole.body if isinstance(whole, web.Response) else None
    if not isinstance(body, bytes) or not body:
        return _dropped(request)
    headers = {hdrs.CONTENT_TYPE: whole.headers[hdrs.CONTENT_TYPE]}
    answer = web.StreamResponse(status=whole.status, headers=headers)
    answer.content_length = len(body)
    await answer.prepare(request)
    await answer.write(body[: len(body) // 2])
    if request.transport is not None:
        # Unlike abort() this sends the bytes that were written.
        request.transport.close()
    return answer


async def _conflict(_fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    request[SAVES_NOTHING] = True
    return await handler(request)


_STRIKES: dict[str, _Strike] = {
    "delay": _delay,
    "drop-before": _drop_before,
    "drop-after": _drop_after,
    "status": _status,
    "truncate": _truncate,
    "conflict": _conflict,
}
