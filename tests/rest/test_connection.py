from __future__ import annotations

import aiohttp
from aiohttp import web

from icure_async.rest.connection import Connection
from icure_async.rest.transport import Request, Transport
from tests.support.loopback import Backend, Clock


async def test_the_last_user_closes_the_session() -> None:
    connection = Connection()
    first, second = connection.acquire(), connection.acquire()

    await first.release()
    assert not connection.client_session.closed

    await second.release()
    assert connection.client_session.closed


async def test_a_session_of_the_callers_is_never_closed() -> None:
    async with aiohttp.ClientSession() as session:
        connection = Connection(session).acquire()
        assert connection.client_session is session

        await connection.release()

        assert not session.closed


async def test_sessions_of_our_own_are_not_shared() -> None:
    one, other = Connection().acquire(), Connection().acquire()

    await one.release()
    assert not other.client_session.closed
    await other.release()


COOKIES = [("Set-Cookie", "JSESSIONID=4711; Path=/"), ("Set-Cookie", "b@d name=1")]


async def test_cookies_are_neither_kept_nor_sent(backend: Backend) -> None:
    async def answer(request: web.Request) -> web.Response:
        response = web.Response()
        for name, value in COOKIES:
            response.headers.add(name, value)
        return response

    backend.on("GET /one", answer)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        for given_session in (None, session):
            connection = Connection(given_session).acquire()
            transport = Transport(connection, clock=Clock())
            request = Request(action="read", method="GET", url=backend.base_url + "/one")
            for _ in range(2):
                assert (await transport.send(request)).status == 200
            assert len(list(connection.client_session.cookie_jar)) == 0
            await connection.release()

        # The cookie jar of the caller's own session is the caller's affair.
        session.cookie_jar.update_cookies({"sso": "mine"})
        connection = Connection(session).acquire()
        await Transport(connection, clock=Clock()).send(request)
        await connection.release()

    assert [seen.headers.get("Cookie") for seen in backend.seen] == [None] * 4 + ["sso=mine"]
