"""The requests that the backend and the gateway answered, without secrets."""

from __future__ import annotations

import itertools
import re
import time
from typing import TYPE_CHECKING, Final

import attrs
from aiohttp import web

from icure_async.sandbox.control.rings import Ring

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler, Middleware

    from icure_async.sandbox.clock import Clock
    from icure_async.sandbox.store import Json

__all__ = ["STRUCK_BY", "Request", "RequestLog", "request_middleware"]

STRUCK_BY = web.RequestKey("struck_by", str)
"""The kind of the fault that struck a request."""

_MOST_REQUESTS: Final = 1000
_LONGEST_VALUE: Final = 40
_ELLIPSIS: Final = "…"
_UUID: Final = re.compile(r"([0-9a-fA-F]{8})(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_PLAIN_SEGMENT: Final = re.compile(r"[A-Za-z_.-]{1,32}|v[0-9]|rest|msggtw")


@attrs.frozen(kw_only=True)
class Request:
    """A request that was answered, or that a fault left without an answer.

    Attributes:
        number: its number: 1 is the first request since the start, or since the last reset.
        method: its HTTP method.
        path: its path without the query; ids are shortened, codes and tokens left out.
        status: the status of the answer; None where the connection was closed without one.
        started_at: the sandbox's time at its beginning, in milliseconds since the epoch.
        milliseconds: how long it took until the answer was ready.
        fault: the kind of the fault that struck it, if one did.
    """

    number: int
    method: str
    path: str
    status: int | None
    started_at: int
    milliseconds: float
    fault: str | None = None

    def to_json(self) -> Json:
        """Return the request as ``/sandbox/requests`` answers."""
        return {
            "number": self.number,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "startedAt": self.started_at,
            "milliseconds": self.milliseconds,
            "fault": self.fault,
        }


class RequestLog:
    """The newest requests.

    Args:
        on_request: called with each of them.
    """

    def __init__(self, on_request: Callable[[Request], None] = lambda _request: None) -> None:
        self._ring: Ring[Request] = Ring(_MOST_REQUESTS)
        self._numbers = itertools.count(1)
        self._on_request = on_request

    @property
    def requests(self) -> list[Request]:
        """The requests, the oldest first."""
        return self._ring.items

    def note(
        self,
        request: web.Request,
        status: int | None,
        started_at: float,
        seconds: float,
    ) -> None:
        """Remember a request."""
        noted = Request(
            number=next(self._numbers),
            method=request.method,
            path=_shown_path(request),
            status=status,
            started_at=int(started_at * 1000),
            milliseconds=round(seconds * 1000, 3),
            fault=request.get(STRUCK_BY),
        )
        self._ring.append(noted)
        self._on_request(noted)

    def clear(self) -> None:
        """Forget all."""
        self._ring.clear()
        self._numbers = itertools.count(1)


def _shown_path(request: web.Request) -> str:
    """Return the path of a request, of which nothing is secret."""
    resource = request.match_info.route.resource
    if resource is None:
        return "/".join(map(_shown_segment, request.path.split("/")))
    values = request.match_info

    def shown(match: re.Match[str]) -> str:
        return _shown_value(match[1], values.get(match[1], ""))

    return _PARAMETER.sub(shown, resource.canonical)


def _shown_segment(segment: str) -> str:
    """Return a part of a path that no route knows: anything but plain words may be a secret."""
    return segment if not segment or _PLAIN_SEGMENT.fullmatch(segment) else _ELLIPSIS


def _shown_value(name: str, value: str) -> str:
    if name == "validation":
        request_id = _UUID.match(value)
        return f"{request_id[1] if request_id else ''}{_ELLIPSIS}-(the code)"
    if name == "subscribe":
        return "subscribe"
    short = _UUID.sub(rf"\1{_ELLIPSIS}", value)
    return short if len(short) <= _LONGEST_VALUE else short[:_LONGEST_VALUE] + _ELLIPSIS


def request_middleware(
    log: RequestLog, clock: Clock, *, spared: Callable[[str], bool]
) -> Middleware:
    """Return the middleware that notes requests; it goes around everything else.

    Args:
        log: takes them.
        clock: the sandbox's time.
        spared: tells the paths of requests that are not noted.
    """

    @web.middleware
    async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
        if spared(request.path):
            return await handler(request)
        started_at, begin = clock.now(), time.perf_counter()
        status: int | None = None
        try:
            response = await handler(request)
            if not _is_dropped(request):
                status = response.status
            return response
        finally:
            log.note(request, status, started_at, time.perf_counter() - begin)

    return note


def _is_dropped(request: web.Request) -> bool:
    return request.get(STRUCK_BY, "").startswith("drop-") or request.transport is None
