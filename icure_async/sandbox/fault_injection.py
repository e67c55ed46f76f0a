"""Faults over HTTP: their effects, and the endpoints under ``/sandbox`` to ask for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import hdrs, web

from icure_async.sandbox.bodies import read_along
from icure_async.sandbox.calls import Call, Route
from icure_async.sandbox.errors import bad_request, forbidden
from icure_async.sandbox.faults import Fault, Faults, InjectedFault
from icure_async.sandbox.shapes import is_list

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from icure_async.sandbox.store import Json, Transaction

__all__ = ["HANDLED_ANYWAY", "SAVES_NOTHING", "FaultEndpoints", "fault_middleware"]

HANDLED_ANYWAY = web.RequestKey("handled_anyway", bool)
"""Set for a request that a slow network seems to deliver after its sender lost patience."""

SAVES_NOTHING = web.RequestKey("saves_nothing", bool)
"""Set for a request that meets with a conflict when it comes to saving."""

_Strike = Callable[[Fault, web.Request, "Handler"], Awaitable[web.StreamResponse]]


def fault_middleware(faults: Faults, *, is_spared: Callable[[str], bool]) -> Middleware:
    """Return the middleware that lets faults strike; it goes around everything else.

    Args:
        faults: those in force.
        is_spared: returns whether no fault strikes the requests with a path.
    """

    @web.middleware
    async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_spared(request.path):
            return await handler(request)
        fault = faults.strike(request.method, request.path)
        if fault is None:
            return await handler(request)
        return await _STRIKES[fault.kind](fault, request, handler)

    return strike


async def _delay(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    # Read now: the rest of the body is lost when the sender loses patience.
    await read_along(request)
    request[HANDLED_ANYWAY] = True
    await asyncio.sleep(fault.seconds or 0)
    return await handler(request)


async def _drop_before(
    _fault: Fault, request: web.Request, _handler: Handler
) -> web.StreamResponse:
    return _dropped(request)


async def _drop_after(_fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    await handler(request)
    return _dropped(request)


def _dropped(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    # It is not sent: the connection is gone.
    return web.Response()


async def _status(fault: Fault, request: web.Request, _handler: Handler) -> web.StreamResponse:
    # Clients that are still sending would take an early answer for a broken connection.
    await read_along(request)
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
    whole = await handler(request)
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


class FaultEndpoints:
    """``/sandbox/faults``, for administrators of the sandbox; a backend has nothing like it."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.routes: list[Route] = [
            Route("POST", "/faults", self._inject),
            Route("GET", "/faults", self._list),
            Route("DELETE", "/faults", self._clear),
        ]

    def _inject(self, _tx: Transaction, call: Call) -> list[Json]:
        """Inject one fault or a list of them, all or none; answer with these."""
        _require_admin(call)
        described: list[Any] = call.body if is_list(call.body) else [call.body]
        try:
            faults = [Fault.from_json(members) for members in described]
        except ValueError as error:
            raise bad_request(str(error)) from None
        return _shown(self._faults.inject(fault) for fault in faults)

    def _list(self, _tx: Transaction, call: Call) -> list[Json]:
        """Answer with the faults since the last clearing, and their counters."""
        _require_admin(call)
        return _shown(self._faults.injected)

    def _clear(self, _tx: Transaction, call: Call) -> list[Json]:
        """Clear all faults, and answer with what had become of them."""
        _require_admin(call)
        injected = self._faults.injected
        self._faults.clear()
        return _shown(injected)


def _shown(injected: Iterable[InjectedFault]) -> list[Json]:
    return [fault.to_json() for fault in injected]


def _require_admin(call: Call) -> None:
    if not call.caller.is_admin:
        raise forbidden("Only an administrator of the sandbox may do this: its master is one")
