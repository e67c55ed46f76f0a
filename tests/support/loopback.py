"""Servers on loopback, with queued answers, and sessions and tokens for them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any, Self

import attrs
from aiohttp import web
from aiohttp.test_utils import TestServer

from icure_async.rest.connection import Connection, ConnectionOptions
from icure_async.rest.session import Session
from icure_async.rest.transport import DEFAULT_MAX_RESPONSE_SIZE, Transport

NOW = 1_800_000_000.0
USER = "ned@winterfell.example"
PASSWORD = "hodor-hodor-hodor"


def token(expires_in: float = 3600, *, name: str = "access", **claims: object) -> str:
    """A JSON Web Token that says when it expires, by the clock of these tests."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part({'exp': NOW + expires_in, 'name': name, **claims})}.sig"


def login_answer(
    access: str | None = None, refresh: str | None = None, **members: object
) -> dict[str, object]:
    return {
        "successful": True,
        "token": access or token(),
        "refreshToken": refresh or token(86400, name="refresh"),
        **members,
    }


def without_date(answer: object) -> web.Response:
    """An answer that loses its ``Date`` header, as behind some proxies."""
    return web.json_response(answer, headers={"X-Without-Date": "yes"})


async def _remove_date(request: web.Request, response: web.StreamResponse) -> None:
    if "X-Without-Date" in response.headers:
        del response.headers["Date"]


def basic(user_name: str, password: str, encoding: str = "latin-1") -> str:
    return "Basic " + base64.b64encode(f"{user_name}:{password}".encode(encoding)).decode()


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@attrs.frozen
class Seen:
    """A request as a server saw it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def authorization(self) -> str:
        return self.headers.get("Authorization", "")


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answer = int | dict[str, object] | list[object] | str | web.Response | Handler


class Backend:
    """A web server whose answers are queued by route; the last answer of a route repeats.

    Where nothing was queued it answers 599.
    Its clock, which the ``Date`` header of each answer tells, is that of the tests.
    """

    def __init__(self, clock: Callable[[], float], prefix: str = "/rest/v1") -> None:
        self._clock = clock
        self._prefix = prefix
        self.seen: list[Seen] = []
        self._answers: dict[str, list[Answer]] = {}
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        app.on_response_prepare.append(_remove_date)
        self._server = TestServer(app)

    async def __aenter__(self) -> Self:
        await self._server.start_server(access_log=None)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.close()

    @property
    def root_url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def base_url(self) -> str:
        return self.root_url + self._prefix

    def on(self, route: str, *answers: Answer) -> Self:
        """Queue answers for a route such as ``"GET /user/current"``."""
        self._answers[route] = list(answers)
        return self

    @property
    def calls(self) -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self.seen]

    def count(self, route: str) -> int:
        return self.calls.count(route)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.removeprefix(self._prefix).partition("?")
        body = await request.read()
        self.seen.append(Seen(request.method, path, query, request.headers, body))
        queue = self._answers.get(f"{request.method} {path}", [599])
        response = await self._respond(queue.pop(0) if len(queue) > 1 else queue[0], request)
        if not response.prepared:
            response.headers.setdefault("Date", formatdate(self._clock(), usegmt=True))
        return response

    async def _respond(self, answer: Answer, request: web.Request) -> web.StreamResponse:
        if isinstance(answer, int):
            return web.Response(status=answer)
        if isinstance(answer, dict | list):
            return web.json_response(answer)
        if isinstance(answer, str):
            return web.Response(text=answer)
        if isinstance(answer, web.Response):
            # A response object can be sent once.
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        return await answer(request)


@contextlib.asynccontextmanager
async def raw_server(*answers: bytes | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Yield the URL of a server, and the list of request heads it gets.

    Each request, on whatever connection, gets the next answer as it is; then, or at once for None,
    the connection is closed, except after an answer that says ``keep-alive``.
    """
    queue = list(answers)
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                answer = queue.pop(0) if queue else None
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
                if answer is None or b"keep-alive" not in answer:
                    break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


@contextlib.asynccontextmanager
async def open_transport(
    *,
    timeout: float = 5.0,
    clock: Callable[[], float] | None = None,
    max_response_size: int = DEFAULT_MAX_RESPONSE_SIZE,
    options: ConnectionOptions | None = None,
) -> AsyncIterator[Transport]:
    connection = Connection(options=options).acquire()
    try:
        yield Transport(
            connection,
            timeout=timeout,
            clock=clock or Clock(),
            max_response_size=max_response_size,
        )
    finally:
        await connection.release()


def open_session(
    transport: Transport,
    base_url: str,
    *,
    user_name: str = USER,
    password: str = PASSWORD,
    basic_only: bool = False,
    token_expires_at: int | None = None,
    **options: Any,
) -> Session:
    return Session(
        transport,
        base_url=base_url,
        user_name=user_name,
        password=password,
        basic_only=basic_only,
        token_expires_at=token_expires_at,
        **options,
    )


def json_of(seen: Seen) -> Any:
    return json.loads(seen.body)
