"""Requests with streams: retries, tokens, patience, and bodies that are cut."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from icure_async.errors import (
    AuthenticationError,
    NetworkError,
    NotFoundError,
    RequestTimeoutError,
)
from icure_async.rest.session import Session
from icure_async.rest.transport import Request, Transport
from tests.support.loopback import (
    Backend,
    Clock,
    Handler,
    login_answer,
    open_session,
    open_transport,
    raw_server,
    token,
)

BODY = [b"a" * 70_000, b"b" * 10, b"c" * 70_000]
WHOLE = b"".join(BODY)
LOGIN = "POST /auth/login"
PUT, GET = "PUT /thing", "GET /thing"


@attrs.define
class Body:
    """An upload that counts how often it was begun."""

    chunks_of_it: list[bytes] = attrs.field(factory=lambda: list(BODY))
    size: int | None = len(WHOLE)
    is_once: bool = False
    begun: int = 0
    closed: int = 0
    error: Exception | None = None
    pause: float = 0
    is_begun: asyncio.Event = attrs.field(factory=asyncio.Event)

    @property
    def is_spent(self) -> bool:
        return self.is_once and self.begun > 0

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        self.begun += 1
        self.is_begun.set()
        try:
            for chunk in self.chunks_of_it:
                await asyncio.sleep(self.pause)
                yield chunk
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1


@attrs.define
class Taken:
    """A download into memory."""

    data: bytes = b""
    sizes: list[int | None] = attrs.field(factory=list[int | None])
    is_framed: bool | None = None
    error: Exception | None = None
    pause: float = 0

    async def begin(self, size: int | None, /) -> None:
        self.data = b""
        self.sizes.append(size)

    async def take(self, chunk: bytes, /) -> None:
        await asyncio.sleep(self.pause)
        if self.error is not None:
            raise self.error
        self.data += chunk

    async def end(self, *, is_framed: bool) -> None:
        self.is_framed = is_framed


def at(url: str, **members: Any) -> Request:
    method = "PUT" if "upload" in members else "GET"
    members = {"repeatable": True} | members
    return Request(action="move it", method=method, url=f"{url}/thing", **members)


@contextlib.asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """Yield the URL of a server that hands each request over before its body is read."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", handler)
    async with TestServer(app) as running:
        yield f"http://127.0.0.1:{running.port}"


async def signed_in(transport: Transport, backend: Backend) -> Session:
    backend.on(LOGIN, *(login_answer(token(name=name)) for name in ("first", "second")))
    return open_session(transport, backend.base_url)


async def test_an_upload_arrives_with_its_length_and_is_closed() -> None:
    body = Body()
    async with Backend(Clock()) as backend, open_transport() as transport:
        backend.on(PUT, {"id": "1"})
        response = await transport.send(at(backend.base_url, upload=body))

    assert response.json() == {"id": "1"}
    assert backend.seen[0].body == WHOLE
    assert backend.seen[0].headers["Content-Length"] == str(len(WHOLE))
    assert backend.seen[0].headers["Content-Type"] == "application/octet-stream"
    assert (body.begun, body.closed) == (1, 1)


async def test_an_upload_of_unknown_size_is_sent_in_chunks() -> None:
    async with Backend(Clock()) as backend, open_transport() as transport:
        backend.on(PUT, 200)
        await transport.send(at(backend.base_url, upload=Body(size=None)))

    assert backend.seen[0].body == WHOLE
    assert "Content-Length" not in backend.seen[0].headers


async def test_an_upload_that_can_be_made_again_is_repeated() -> None:
    body = Body()
    async with Backend(Clock()) as backend, open_transport() as transport:
        backend.on(PUT, 503, 429, 200)
        response = await transport.send(at(backend.base_url, upload=body))

    assert response.status == 200
    assert [seen.body for seen in backend.seen] == [WHOLE] * 3
    assert (body.begun, body.closed) == (3, 3)


@pytest.mark.parametrize("status", [429, 503])
async def test_an_upload_that_can_be_read_once_is_sent_once(status: int) -> None:
    async with Backend(Clock()) as backend, open_transport() as transport:
        backend.on(PUT, status, 200)
        response = await transport.send(at(backend.base_url, upload=Body(is_once=True)))

    assert response.status == status
    assert len(backend.seen) == 1


async def test_a_once_only_body_is_not_lost_to_a_refused_connection() -> None:
    body = Body(is_once=True)
    async with open_transport() as transport:
        with pytest.raises(NetworkError) as caught:
            await transport.send(at("http://127.0.0.1:9/rest/v1", upload=body))
    assert not caught.value.maybe_processed
    assert body.begun == 0


async def test_an_error_of_the_upload_reaches_the_caller_and_the_server_gets_no_whole_body() -> (
    None
):
    complete: list[bool] = []

    async def read(request: web.Request) -> web.Response:
        try:
            await request.read()
        except Exception:
            complete.append(False)
            raise
        complete.append(True)
        return web.Response()

    body = Body(error=ZeroDivisionError("of the application's"), size=len(WHOLE) + 1)
    async with server(read) as url, open_transport() as transport:
        with pytest.raises(ZeroDivisionError) as caught:
            await transport.send(at(url, upload=body))
    assert caught.value is body.error
    assert caught.value.__context__ is None
    assert True not in complete


async def test_a_token_that_ended_is_renewed_and_the_body_is_sent_again() -> None:
    body = Body()
    async with Backend(Clock()) as backend, open_transport() as transport:
        session = await signed_in(transport, backend)
        backend.on(PUT, 401, 200)
        await session.request("PUT", "/thing", action="move it", upload=body, repeatable=True)

    bodies = [(seen.authorization, seen.body) for seen in backend.seen if seen.method == "PUT"]
    assert [body for _, body in bodies] == [WHOLE, WHOLE]
    assert bodies[0][0] != bodies[1][0]


async def test_a_token_that_ended_under_a_body_read_once_is_renewed_for_the_next_call() -> None:
    async with Backend(Clock()) as backend, open_transport() as transport:
        session = await signed_in(transport, backend)
        backend.on(PUT, 401, 200)
        with pytest.raises(AuthenticationError, match="from its beginning") as caught:
            await session.request("PUT", "/thing", action="move it", upload=Body(is_once=True))
        assert caught.value.retryable
        await session.request("PUT", "/thing", action="move it", upload=Body(is_once=True))

    assert backend.count(PUT) == 2
    assert backend.count(LOGIN) == 2


async def test_time_that_the_upload_takes_is_not_the_servers() -> None:
    body = Body(pause=0.4)
    # The backend has all of it to answer: a busy machine takes its time, too.
    async with Backend(Clock()) as backend, open_transport(timeout=1) as transport:
        backend.on(PUT, 200)
        response = await transport.send(at(backend.base_url, upload=body))
    assert response.status == 200


@pytest.mark.parametrize("reads", [True, False])
async def test_a_server_that_is_silent_for_too_long_ends_an_upload(reads: bool) -> None:
    async def silent(request: web.Request) -> web.Response:
        if reads:
            await request.read()
        await asyncio.sleep(0.5)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    body = Body(chunks_of_it=[bytes(1 << 20)] * 16, size=16 << 20)
    async with server(silent) as url, open_transport(timeout=0.2) as transport:
        with pytest.raises(RequestTimeoutError, match="no answer within"):
            await transport.send(at(url, upload=body))
    assert body.closed == 1


async def test_a_download_is_handed_on_and_may_take_longer_than_the_time_limit() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for chunk in BODY:
            await asyncio.sleep(0.4)
            await answer.write(chunk)
        return answer

    taken = Taken(pause=0.01)
    async with Backend(Clock()) as backend, open_transport(timeout=1) as transport:
        backend.on(GET, slow)
        response = await transport.send(at(backend.base_url, download=taken))

    assert (response.body, taken.data) == (b"", WHOLE)
    assert (taken.sizes, taken.is_framed) == ([None], True)
    assert backend.seen[0].headers["Accept-Encoding"] == "identity"


async def test_a_server_that_falls_silent_ends_a_download() -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "10"})
        await answer.prepare(request)
        await answer.write(b"abc")
        await asyncio.sleep(0.5)
        return answer

    taken = Taken()
    async with Backend(Clock()) as backend, open_transport(timeout=0.2) as transport:
        backend.on(GET, silent)
        with pytest.raises(RequestTimeoutError):
            await transport.send(at(backend.base_url, download=taken))
    assert (taken.data, len(backend.seen)) == (b"abc", 1)


async def test_a_download_that_is_cut_is_asked_for_again_and_begins_anew() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef"
    taken = Taken()
    async with raw_server(cut, chunked, whole) as (url, heads), open_transport() as transport:
        await transport.send(at(url, download=taken))
    assert (taken.data, taken.sizes) == (b"abcdef", [6, None, 6])
    assert len(heads) == 3


async def test_a_part_of_a_download_is_not_taken_for_all_of_it() -> None:
    part = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n\r\nabc"
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef"
    taken = Taken()
    async with raw_server(part, whole) as (url, heads), open_transport() as transport:
        await transport.send(at(url, download=taken))
    assert (taken.data, len(heads)) == (b"abcdef", 2)
    async with raw_server(part, part, part) as (url, _), open_transport() as transport:
        with pytest.raises(NetworkError):
            await transport.send(at(url, download=Taken()))


async def test_a_download_whose_end_is_not_marked_says_so() -> None:
    taken = Taken()
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\nabc") as (url, _), open_transport() as transport:
        await transport.send(at(url, download=taken))
    assert (taken.data, taken.is_framed) == (b"abc", False)


async def test_the_body_of_a_failure_is_not_handed_on() -> None:
    taken = Taken()
    async with Backend(Clock()) as backend, open_transport() as transport:
        session = await signed_in(transport, backend)
        backend.on(GET, web.json_response({"message": "no such thing"}, status=404))
        with pytest.raises(NotFoundError) as caught:
            await session.request("GET", "/thing", action="move it", download=taken)
    assert caught.value.server_message == "no such thing"
    assert taken.sizes == []


async def test_an_error_of_the_download_reaches_the_caller_and_nothing_is_repeated() -> None:
    error = OSError(28, "the disk is full")
    async with Backend(Clock()) as backend, open_transport() as transport:
        backend.on(GET, web.Response(body=WHOLE))
        with pytest.raises(OSError, match="disk") as caught:
            await transport.send(at(backend.base_url, download=Taken(error=error)))
    assert caught.value is error
    assert len(backend.seen) == 1


async def test_a_download_may_be_larger_than_an_answer_may_be() -> None:
    taken = Taken()
    async with Backend(Clock()) as backend, open_transport(max_response_size=1000) as transport:
        backend.on(GET, web.Response(body=WHOLE))
        await transport.send(at(backend.base_url, download=taken))
    assert taken.data == WHOLE
    assert taken.sizes == [len(WHOLE)]


@pytest.mark.parametrize("damage", [0, 5])
async def test_a_compressed_download_is_decoded_and_a_cut_one_noticed(damage: int) -> None:
    data = zlib.compress(WHOLE)
    answer = web.Response(body=data[: len(data) - damage], headers={"Content-Encoding": "deflate"})
    taken = Taken()
    async with Backend(Clock()) as backend, open_transport() as transport:
        backend.on(GET, answer)
        request = at(backend.base_url, download=taken, repeatable=False)
        if damage:
            with pytest.raises(NetworkError, match="cut or damaged"):
                await transport.send(request)
        else:
            await transport.send(request)
            assert taken.data == WHOLE
    assert taken.sizes == [None]


async def test_a_cancelled_upload_closes_its_body() -> None:
    body = Body(pause=10)
    async with Backend(Clock()) as backend, open_transport() as transport:
        backend.on(PUT, 200)
        sending = asyncio.create_task(transport.send(at(backend.base_url, upload=body)))
        await body.is_begun.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert body.closed == 1
