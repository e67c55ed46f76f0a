"""HTTP around the endpoints: routing, authentication, errors, headers (§1, §2)."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import attrs
import orjson
from aiohttp import hdrs, web

from icure_async.sandbox import auth, data_owners, maintenance_tasks, users
from icure_async.sandbox.auth import authenticate
from icure_async.sandbox.calls import Call, Reply, Route, Settings, Text
from icure_async.sandbox.errors import ApiError
from icure_async.sandbox.fault_injection import FaultEndpoints, fault_middleware

if TYPE_CHECKING:
    from icure_async.sandbox.clock import Clock
    from icure_async.sandbox.faults import Faults
    from icure_async.sandbox.gateway import Gateway
    from icure_async.sandbox.store import Store, Transaction
    from icure_async.sandbox.tokens import TokenSigner

__all__ = ["GATEWAY_ROOT", "REST_ROOT", "SANDBOX_ROOT", "Backend", "build_app"]

REST_ROOT = "/rest/v1"
GATEWAY_ROOT = "/msggtw"
SANDBOX_ROOT = "/sandbox"

_LOGGER = logging.getLogger("icure_async.sandbox")
_LARGEST_BODY = 128 * 1024 * 1024
_JSON = "application/json"
_VERSION = "sandbox"
_REQUEST_ID = web.RequestKey("request_id", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@attrs.frozen
class Backend:
    """What the endpoints work with."""

    store: Store
    clock: Clock
    settings: Settings
    signer: TokenSigner | None
    gateway: Gateway
    faults: Faults


def build_app(backend: Backend) -> web.Application:
    """Return the REST API, the message gateway and the sandbox's own API as one application."""
    strike = fault_middleware(backend.faults, spared=SANDBOX_ROOT + "/")
    app = web.Application(middlewares=[strike, _answer_errors], client_max_size=_LARGEST_BODY)
    app.on_response_prepare.append(_add_headers)
    rest = [*_ICURE_ROUTES, *auth.ROUTES, *users.ROUTES, *data_owners.ROUTES]
    rest += maintenance_tasks.ROUTES
    _add_routes(app, REST_ROOT, rest, backend)
    _add_routes(app, GATEWAY_ROOT, backend.gateway.routes, backend)
    _add_routes(app, SANDBOX_ROOT, FaultEndpoints(backend.faults).routes, backend)
    return app


def _add_routes(app: web.Application, root: str, routes: Iterable[Route], backend: Backend) -> None:
    for route in routes:
        app.router.add_route(route.method, root + route.path, _handler(route, backend))


def _version(_tx: Transaction, _call: Call) -> Text:
    return Text(_VERSION)


def _ok(_tx: Transaction, _call: Call) -> Text:
    return Text("true")


_ICURE_ROUTES = [
    Route("GET", "/icure/v", _version, public=True),
    Route("GET", "/icure/ok", _ok, public=True),
]


def _handler(route: Route, backend: Backend) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        call = Call(
            method=request.method,
            params=request.match_info,
            query=request.query,
            headers=request.headers,
            raw=await request.read(),
            clock=backend.clock,
            settings=backend.settings,
            signer=backend.signer,
        )

        def work(tx: Transaction) -> _Encoded:
            if not route.public:
                call.known_caller = authenticate(tx, call)
            return _encoded(route.endpoint(tx, call))

        encoded = await backend.store.run(work)
        for effect in call.after_commit:
            effect()
        return web.Response(
            status=encoded.status,
            body=encoded.body,
            content_type=encoded.content_type,
            charset="utf-8" if encoded.content_type == "text/plain" else None,
        )

    return handle


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


def _error(status: int, message: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps({"message": message}), content_type=_JSON)


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method == hdrs.METH_OPTIONS:
        return web.Response()
    try:
        return await handler(request)
    except ApiError as error:
        return _error(error.status, error.message)
    except web.HTTPException as error:
        return _error(error.status, error.reason)
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


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    headers = response.headers
    headers["X-Request-Id"] = _request_id(request)
    headers["Access-Control-Expose-Headers"] = "X-Request-Id"
    headers["Access-Control-Allow-Origin"] = request.headers.get(hdrs.ORIGIN, "*")
    headers["Vary"] = hdrs.ORIGIN
    if hdrs.ORIGIN in request.headers:
        headers["Access-Control-Allow-Credentials"] = "true"
    if request.method == hdrs.METH_OPTIONS:
        headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"
        headers["Access-Control-Allow-Headers"] = request.headers.get(
            hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "*"
        )
