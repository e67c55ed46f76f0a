"""HTTP around the endpoints: routing, authentication, errors, headers (§1, §2)."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import orjson
from aiohttp import WSCloseCode, hdrs, web

from icure_async.sandbox import (
    auth,
    clinical,
    codes,
    data_owners,
    entities,
    maintenance_tasks,
    medical_records,
    service_routes,
    users,
)
from icure_async.sandbox.access_keys import ACCESS_KEYS_HEADER, delegation_keys_in
from icure_async.sandbox.attachments import Attachments
from icure_async.sandbox.auth import authenticate
from icure_async.sandbox.bodies import LARGEST_OF_ANYBODY, read_body
from icure_async.sandbox.calls import Call, Reply, Route, Settings, Text
from icure_async.sandbox.control import stream
from icure_async.sandbox.control.requests import request_middleware
from icure_async.sandbox.errors import (
    ApiError,
    ClosingError,
    NotYetError,
    bad_request,
    conflict,
    too_large,
)
from icure_async.sandbox.events import EVENTS_PATH, EVENTS_V2_PATH
from icure_async.sandbox.fault_injection import (
    HANDLED_ANYWAY,
    SAVES_NOTHING,
    fault_middleware,
)
from icure_async.sandbox.hashing import SlowHashWantedError
from icure_async.sandbox.page_files import add_page
from icure_async.sandbox.v2 import exchange_data, routes
from icure_async.sandbox.v2.documents import show as show_v2

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

    from icure_async.sandbox.auth import Tickets
    from icure_async.sandbox.calls import Caller
    from icure_async.sandbox.clock import Clock
    from icure_async.sandbox.control.desk import Desk
    from icure_async.sandbox.control.endpoints import ControlEndpoints
    from icure_async.sandbox.events import Events
    from icure_async.sandbox.gateway import Gateway
    from icure_async.sandbox.store import Json, Store, Transaction
    from icure_async.sandbox.tokens import TokenSigner
    from icure_async.sandbox.visitors import Visitors
    from icure_async.sandbox.workers import Workers

__all__ = ["GATEWAY_ROOT", "REST_ROOT", "REST_V2_ROOT", "SANDBOX_ROOT", "Backend", "build_app"]

REST_ROOT = "/rest/v1"
REST_V2_ROOT = "/rest/v2"
GATEWAY_ROOT = "/msggtw"
SANDBOX_ROOT = "/sandbox"

_LOGGER = logging.getLogger("icure_async.sandbox")
_JSON = "application/json"
_VERSION = "sandbox"
_PATIENCE = 0.1
_REQUEST_ID = web.RequestKey("request_id", str)

T = TypeVar("T")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@attrs.frozen
class Backend:
    """The parts that the endpoints work with."""

    store: Store
    workers: Workers
    visitors: Visitors
    clock: Clock
    settings: Settings
    signer: TokenSigner | None
    gateway: Gateway
    desk: Desk
    control: ControlEndpoints
    tickets: Tickets
    events: Events
    door: asyncio.Semaphore
    """The limit to unknown callers at one time: known ones do not wait for a crowd of them."""


def build_app(backend: Backend) -> web.Application:
    """Return the REST API, the message gateway and the sandbox's own API as one application."""
    strike = fault_middleware(backend.desk.faults, spared=_is_own)
    note = request_middleware(backend.desk.request_log, backend.clock, spared=_is_own)
    check = _door(backend.visitors)
    app = web.Application(middlewares=[note, _answer_errors, check, strike, _answer_errors])
    app.on_response_prepare.append(partial(_add_headers, backend.visitors))
    rest = [*_ICURE_ROUTES, *auth.ROUTES, *users.ROUTES, *data_owners.ROUTES]
    rest += [*maintenance_tasks.ROUTES, *clinical.ROUTES, *service_routes.ROUTES]
    rest += [*medical_records.ROUTES, *codes.ROUTES, *backend.tickets.routes]
    _add_routes(app, REST_ROOT, [*rest, *exchange_data.ROUTES], backend)
    _add_routes(app, REST_V2_ROOT, routes.ROUTES, backend)
    _add_routes(app, GATEWAY_ROOT, backend.gateway.routes, backend)
    _add_attachments(app, REST_ROOT, Attachments(_shown_in_v1), backend)
    _add_attachments(app, REST_V2_ROOT, Attachments(_shown_in_v2), backend)
    _add_control(app, backend)
    _add_websocket(app, backend)
    add_page(app)
    return app


def _is_own(path: str) -> bool:
    """Return whether a path is not one of the backend, but the sandbox's own."""
    return path.startswith((SANDBOX_ROOT + "/", "/page/")) or path in ("/", "/favicon.ico")


def _add_control(app: web.Application, backend: Backend) -> None:
    """Add the sandbox's own API, which answers in the event loop."""

    async def handle_events(request: web.Request) -> web.StreamResponse:
        call = await _Exchange(_NOBODYS, backend, request, backend.desk.token.admit).admitted()
        after = stream.position_in(call.query, call.headers)
        return await stream.serve(request, backend.desk.feed, after)

    async def shut_down(_: web.Application) -> None:
        backend.desk.feed.close()

    app.router.add_get(f"{SANDBOX_ROOT}/events", handle_events, allow_head=False)
    app.on_shutdown.append(shut_down)
    for route in backend.control.routes:
        app.router.add_route(
            route.method, SANDBOX_ROOT + route.path, _control_handler(route.endpoint, backend)
        )


def _control_handler(endpoint: Callable[[Call], Awaitable[Any]], backend: Backend) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        call = await _Exchange(_NOBODYS, backend, request, backend.desk.token.admit).admitted()
        encoded = _encoded(await endpoint(call))
        return web.Response(
            status=encoded.status, body=encoded.body, content_type=encoded.content_type
        )

    return handle


def _add_websocket(app: web.Application, backend: Backend) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await backend.events.handle(request, backend.store)

    async def handle_v2(request: web.Request) -> web.StreamResponse:
        return await backend.events.handle_v2(request, backend.store, backend.signer)

    async def shut_down(_: web.Application) -> None:
        backend.events.disconnect_all(WSCloseCode.GOING_AWAY, "The sandbox is being closed")

    app.router.add_get(EVENTS_PATH, handle, allow_head=False)
    app.router.add_get(EVENTS_V2_PATH, handle_v2, allow_head=False)
    app.on_shutdown.append(shut_down)


def _add_routes(app: web.Application, root: str, routes: Iterable[Route], backend: Backend) -> None:
    for route in routes:
        app.router.add_route(route.method, root + route.path, _handler(route, backend))


def _shown_in_v1(_call: Call, document: Json) -> Json:
    return entities.show("document", document)


def _shown_in_v2(call: Call, document: Json) -> Json:
    return show_v2(call, "document", document)


def _add_attachments(
    app: web.Application, root: str, attachments: Attachments, backend: Backend
) -> None:
    """Add the endpoints whose bodies are streamed."""

    async def put(request: web.Request) -> web.StreamResponse:
        exchange = _Exchange(_NOBODYS, backend, request)
        return web.Response(
            body=orjson.dumps(await attachments.put(request, exchange)), content_type=_JSON
        )

    async def delete(request: web.Request) -> web.StreamResponse:
        exchange = _Exchange(_NOBODYS, backend, request)
        return web.Response(
            body=orjson.dumps(await attachments.delete(request, exchange)), content_type=_JSON
        )

    async def get(request: web.Request) -> web.StreamResponse:
        return await attachments.get(request, _Exchange(_NOBODYS, backend, request))

    path = f"{root}/document/{{id}}/attachment"
    app.router.add_put(path, put)
    app.router.add_delete(path, delete)
    app.router.add_get(path, get, allow_head=False)
    app.router.add_get(path + "/{attachment}", get, allow_head=False)


def _version(_tx: Transaction, _call: Call) -> Text:
    return Text(_VERSION)


def _ok(_tx: Transaction, _call: Call) -> Text:
    return Text("true")


_NOBODYS = Route("*", "*", _ok)
"""Stands for the routes of the sandbox's own API, which have no endpoint in the store."""

_ICURE_ROUTES = [
    Route("GET", "/icure/v", _version, public=True),
    Route("GET", "/icure/ok", _ok, public=True),
]


def _handler(route: Route, backend: Backend) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        encoded = await _Exchange(route, backend, request).answer()
        return web.Response(
            status=encoded.status,
            body=encoded.body,
            content_type=encoded.content_type,
            charset="utf-8" if encoded.content_type == "text/plain" else None,
        )

    return handle


class _Exchange:
    """One request, from its headers to what is answered."""

    def __init__(
        self,
        route: Route,
        backend: Backend,
        request: web.Request,
        admit: Callable[[Transaction, Call], Caller] = authenticate,
    ) -> None:
        self._route = route
        self._identify = admit
        self._backend = backend
        self._request = request
        self._call = Call(
            method=request.method,
            params=request.match_info,
            query=request.query,
            headers=request.headers,
            clock=backend.clock,
            settings=backend.settings,
            signer=backend.signer,
            saves_nothing=SAVES_NOTHING in request,
        )

    async def answer(self) -> _Encoded:
        self._call.raw = await read_body(self._request, self._backend.workers, self._admit)
        return await self._run(self._work)

    async def admitted(self) -> Call:
        """Return the call of a caller who was admitted, with its whole body."""
        await self._admit()
        self._call.raw = await read_body(self._request, self._backend.workers, self._admit)
        return self._call

    async def _admit(self) -> None:
        """Let a caller send more than anybody may."""
        if self._route.public:
            raise too_large(LARGEST_OF_ANYBODY)
        self._call.known_caller = await self._run(lambda tx: self._identify(tx, self._call))

    async def as_caller(self, job: Callable[[Transaction, Call], T]) -> T:
        """Run a job of the caller's, who is authenticated first."""
        return await self._run(lambda tx: job(self._known(tx), self._call))

    async def of_its_own(self, job: Callable[[Transaction], T]) -> T:
        """Run a job that concerns nobody but the sandbox."""
        return await self._backend.store.run(job, turn=self._turn)

    def _known(self, tx: Transaction) -> Transaction:
        """Return the transaction in the group of the caller, who is authenticated."""
        call = self._call
        call.known_caller = authenticate(tx, call)
        call.delegation_keys = delegation_keys_in(
            self._request.headers.getall(ACCESS_KEYS_HEADER, ())
        )
        return tx.in_group(call.caller.group_id) or tx

    def _work(self, tx: Transaction) -> _Encoded:
        call = self._call
        if not self._route.public:
            tx = self._known(tx)
        if call.saves_nothing and not self._route.answers_conflicts:
            raise conflict("Document update Conflict")
        try:
            return _encoded(self._route.endpoint(tx, call))
        except RecursionError:
            raise bad_request("Too many objects lie one within the other") from None

    async def _run(self, job: Callable[[Transaction], T]) -> T:
        """Run a job in a transaction, again as often as it lacks a slow hash or has to wait."""
        call, backend = self._call, self._backend
        started = time.monotonic()
        while True:
            call.after_commit.clear()
            try:
                async with backend.door if self._route.public else nullcontext():
                    return await backend.store.run(
                        job,
                        turn=self._turn,
                        wanted=self._somebody_waits,
                        committed=self._take_effect,
                    )
            except SlowHashWantedError as wanted:
                await backend.workers.run(partial(call.slow.compute, wanted), self._somebody_waits)
            except NotYetError as not_yet:
                if time.monotonic() - started > not_yet.seconds:
                    raise not_yet.otherwise from None
                await asyncio.sleep(_PATIENCE)

    @property
    def _turn(self) -> int:
        if self._route.public:
            return 2
        return 0 if self._request.method == hdrs.METH_GET else 1

    def _somebody_waits(self) -> bool:
        """Return whether the client is still there; asked in any thread."""
        return self._request.transport is not None or HANDLED_ANYWAY in self._request

    def _take_effect(self) -> None:
        for effect in self._call.after_commit:
            effect()


@attrs.frozen
class _Encoded:
    status: int
    body: bytes
    content_type: str


def _encoded(result: Any) -> _Encoded:
    status = 200
    if isinstance(result, Reply):
        status, result = result.status, result.body
    if isinstance(result, Text):
        return _Encoded(status, result.value.encode("utf-8", "surrogateescape"), "text/plain")
    return _Encoded(status, orjson.dumps(result), _JSON)


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    body = orjson.dumps({"message": message})
    return web.Response(status=status, body=body, content_type=_JSON, headers=headers)


def _door(visitors: Visitors) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        visitors.check(request)
        if request.method == hdrs.METH_OPTIONS:
            return web.Response()
        return await handler(request)

    return check


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return _error(error.status, error.message, error.headers)
    except web.HTTPException as error:
        return _error(error.status, error.reason)
    except ClosingError:
        return _error(503, "The sandbox is being closed")
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        request_id = _request_id(request)
        # Without the path: it may contain a code.
        _LOGGER.exception("Unexpected error in request %s", request_id)
        return _error(500, f"Unexpected error in request {request_id}")


def _request_id(request: web.Request) -> str:
    request_id = request.get(_REQUEST_ID)
    if request_id is None:
        request_id = request[_REQUEST_ID] = str(uuid.uuid4())
    return request_id


async def _add_headers(
    visitors: Visitors, request: web.Request, response: web.StreamResponse
) -> None:
    headers = response.headers
    headers["X-Request-Id"] = _request_id(request)
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Vary"] = hdrs.ORIGIN
    if request.path.startswith(SANDBOX_ROOT + "/"):
        headers["Cache-Control"] = "no-store"
    headers.update(visitors.headers_for(request))
