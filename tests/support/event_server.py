"""A backend on loopback that serves events as a test tells it to, well or badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import attrs
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from icure_async.models.events import ConnectionChange, Reconnection
from icure_async.rest.connection import ConnectionOptions
from icure_async.rest.event_stream import EventStream, Timing
from icure_async.rest.transport import DEFAULT_MAX_RESPONSE_SIZE
from tests.support.certificates import server_context
from tests.support.loopback import open_session, open_transport

TICKET_PATH = "/rest/v1/auth/token/GET/%2Fws%2Fv1%2Fnotification"
SUBSCRIPTION = '{"eventTypes":["CREATE"],"entityClass":"org.taktik.icure.entities.Patient"}'
PATIENT: dict[str, Any] = {"id": "p", "rev": "1-a", "firstName": "Jon", "lastName": "Snow"}

Script = Callable[[web.WebSocketResponse], Awaitable[object]]
Answer = int | Script | Callable[[web.Request], Awaitable[web.StreamResponse]]


async def say_nothing(socket: web.WebSocketResponse) -> None:
    """Answer the protocol's own pings, and nothing else."""
    while (await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
        pass


def say(*messages: str | bytes) -> Script:
    """Send messages, and then nothing more."""

    async def script(socket: web.WebSocketResponse) -> None:
        for message in messages:
            if isinstance(message, str):
                await socket.send_str(message)
            else:
                await socket.send_bytes(message)
        await say_nothing(socket)

    return script


def close(code: int = 1000, *messages: str) -> Script:
    """Send messages once the client has asked for a sign, and close the websocket."""

    async def script(socket: web.WebSocketResponse) -> None:
        for message in messages:
            await socket.send_str(message)
        await socket.close(code=code, message=b"the server's reason")

    return script


class EventServer:
    """Serves tickets, and one script for each websocket; the last script repeats.

    Attributes:
        tickets: answers to requests for a ticket: a status, or a text; the last one repeats.
        seen: the requests, in their order.
        subscriptions: the first text of each websocket.
        texts: the later texts of all.
        closed: the code with which each client has closed.
        open: how many websockets are open.
        root: the path that the backend lies below.
    """

    def __init__(self, *scripts: Answer, tls: bool = False) -> None:
        self.scripts: list[Answer] = list(scripts or [say_nothing])
        self.tickets: list[int | str] = []
        self.seen: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.subscriptions: list[str] = []
        self.texts: list[str] = []
        self.closed: list[int | None] = []
        self.open = 0
        self.root = ""
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._server = TestServer(app, scheme="https" if tls else "http")
        self._tls = server_context() if tls else None

    async def __aenter__(self) -> Self:
        await self._server.start_server(access_log=None, ssl=self._tls)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.close()

    @property
    def port(self) -> int:
        assert self._server.port is not None
        return self._server.port

    @property
    def base_url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}{self.root}/rest/v1"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.raw_path}")
        self.headers.append(dict(request.headers))
        if request.raw_path.endswith(TICKET_PATH):
            ticket = self.tickets.pop(0) if len(self.tickets) > 1 else None
            ticket = ticket or (self.tickets[0] if self.tickets else f"ticket-{len(self.seen)}")
            return (
                web.Response(status=ticket)
                if isinstance(ticket, int)
                else web.Response(text=ticket)
            )
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        if isinstance(script, int):
            return web.Response(status=script, headers={"Location": "http://127.0.0.1:9/"})
        if script.__annotations__.get("request"):
            return await script(request)  # type: ignore[arg-type,return-value]
        return await self._serve(request, script)  # type: ignore[arg-type]

    async def _serve(self, request: web.Request, script: Script) -> web.StreamResponse:
        socket = web.WebSocketResponse(timeout=1.0, compress=False)
        await socket.prepare(request)
        self.open += 1
        receive = socket.receive

        async def listening(timeout: float | None = None) -> Any:
            message = await receive(timeout)
            if message.type is WSMsgType.TEXT:
                self.texts.append(message.data)
            if message.type is WSMsgType.CLOSE:
                self.closed.append(message.data)
            return message

        socket.receive = listening  # type: ignore[method-assign]
        try:
            first = await receive()
            if first.type is WSMsgType.TEXT:
                self.subscriptions.append(first.data)
            await script(socket)
        except ConnectionError:
            pass
        finally:
            self.open -= 1
        return socket


@attrs.define(slots=False)
class Time:
    """Time that passes only when it is told to, but for the waits of the event loop.

    Attributes:
        waits: the pauses that were asked for.
        now: what the clocks say.
        lives: seconds that pass between one look at the monotonic clock and the next.
    """

    waits: list[float] = attrs.field(factory=list[float])
    now: float = 1_800_000_000.0
    lives: float = 0.0

    async def pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    def monotonic(self) -> float:
        self.now += self.lives
        return self.now

    def clock(self) -> float:
        return self.now

    def timing(self, **changes: Any) -> Timing:
        return Timing(pause=self.pause, chance=lambda: 0.0, monotonic=self.monotonic, **changes)


@asynccontextmanager
async def event_stream(
    server: EventServer,
    *,
    time: Time | None = None,
    policy: Reconnection | None = None,
    max_arrivals: int = 1000,
    max_bytes: int = DEFAULT_MAX_RESPONSE_SIZE,
    changes: list[ConnectionChange] | None = None,
    start: bool = True,
    options: ConnectionOptions | None = None,
    **timing: Any,
) -> AsyncIterator[EventStream]:
    """A stream of the server's events, opened unless ``start`` is false."""
    time = time or Time()

    async def subscription() -> str:
        return SUBSCRIPTION

    async with open_transport(
        max_response_size=max_bytes, timeout=5.0, options=options
    ) as transport:
        session = open_session(transport, server.base_url, basic_only=True)
        stream = EventStream(
            lambda: session.open_websocket(
                "/notification/subscribe", action="subscribe to events about patients"
            ),
            subscription,
            policy=policy or Reconnection(),
            timing=time.timing(**timing),
            clock=time.clock,
            max_arrivals=max_arrivals,
            max_bytes=max_bytes,
            changed=([] if changes is None else changes).append,
        )
        try:
            if start:
                await stream.start()
            yield stream
        finally:
            await stream.aclose()


@asynccontextmanager
async def serving(
    *scripts: Answer, **options: Any
) -> AsyncIterator[tuple[EventServer, EventStream]]:
    """A server with these scripts, and a stream of its events."""
    async with EventServer(*scripts) as server, event_stream(server, **options) as stream:
        yield server, stream
