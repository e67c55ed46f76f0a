"""A proxy that plays tricks between the SDK and the sandbox."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Awaitable, Callable
from typing import Any, Self

import aiohttp
import attrs
from aiohttp import web

from icure_async.sandbox import Sandbox


@attrs.define
class Exchange:
    """One request through the proxy, and its answer once there is one."""

    method: str
    path: str
    body: Any
    status: int = 0
    answer: Any = None
    query: str = ""


class ConnectionLostError(Exception):
    """Raised by a trick: the proxy drops the connection without an answer."""


Trick = Callable[[Exchange], Awaitable[None]]


class Proxy:
    """Forwards everything to a sandbox, and lets tests look at it and interfere."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._target = sandbox.icure_url.removesuffix("/rest/v1")
        self.exchanges: list[Exchange] = []
        self._before: list[tuple[str, Trick]] = []
        self._after: list[tuple[str, Trick]] = []
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._forward)
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/rest/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    def before(self, line: str, trick: Trick) -> None:
        """Play a trick once, before a request like ``"PUT /patient"`` is forwarded.

        In the line, ``*`` stands for any text. A trick that sets the status answers itself.
        """
        self._before.append((line, trick))

    def after(self, line: str, trick: Trick) -> None:
        """Play a trick once, before the answer to such a request is given."""
        self._after.append((line, trick))

    def lose(self, line: str) -> None:
        """Drop the connection once the server has done what such a request asks."""

        async def drop(_: Exchange) -> None:
            raise ConnectionLostError

        self.after(line, drop)

    def sent(self, line: str) -> list[Any]:
        """The bodies of the requests of this kind, in order."""
        return [done.body for done in self.exchanges if f"{done.method} {done.path}" == line]

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        body = json.loads(data) if data else None
        exchange = Exchange(request.method, _path(request.path), body)
        exchange.query = request.query_string
        self.exchanges.append(exchange)
        try:
            await self._play(self._before, exchange)
            if not exchange.status:
                await self._ask_server(request, data, exchange)
            await self._play(self._after, exchange)
        except ConnectionLostError:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(exchange.answer, str):
            return web.Response(status=exchange.status, text=exchange.answer)
        return web.json_response(exchange.answer, status=exchange.status)

    async def _ask_server(self, request: web.Request, data: bytes, exchange: Exchange) -> None:
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() in _FORWARDED}
        async with self._session.request(
            request.method, self._target + request.path_qs, data=data or None, headers=headers
        ) as answer:
            text = await answer.text()
            exchange.status = answer.status
            is_json = answer.content_type == "application/json"
            exchange.answer = json.loads(text) if is_json and text else text

    async def _play(self, tricks: list[tuple[str, Trick]], exchange: Exchange) -> None:
        for trick in tricks:
            if fnmatch.fnmatchcase(f"{exchange.method} {exchange.path}", trick[0]):
                tricks.remove(trick)
                await trick[1](exchange)
                return


_FORWARDED = {
    "authorization",
    "content-type",
    "token",
    "refresh-token",
    "icure-access-control-keys",
}


def _path(path: str) -> str:
    """Return a path without the version of the API."""
    return path.removeprefix("/rest/v1").removeprefix("/rest/v2")
