from __future__ import annotations

import asyncio
import errno
import json
import logging
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aioresponses import aioresponses
from yarl import URL

from icure_async.errors import (
    BackendError,
    ConfigurationError,
    ICureError,
    InvalidResponseError,
    NetworkError,
    RequestTimeoutError,
    ValidationError,
)
from icure_async.rest import retries
from icure_async.rest.connection import Connection
from icure_async.rest.responses import Response
from icure_async.rest.transport import DEFAULT_TIMEOUT, Request, Transport
from tests.support.loopback import NOW, Backend, Clock, open_transport, raw_server

URL_OF_IT = "https://backend.example/rest/v1/thing"
GET = Request(action="read it", method="GET", url=URL_OF_IT, repeatable=True)
POST = Request(action="create it", method="POST", url=URL_OF_IT, body={"id": "1"})
PUT = Request(action="modify it", method="PUT", url=URL_OF_IT, body={"id": "1"})
ONCE = Request(action="validate it", method="GET", url=URL_OF_IT, once=True)
LOGIN = Request(
    action="log in", method="POST", url=URL_OF_IT, body={"username": "ned"}, repeatable=True
)
KINDS = {"GET": GET, "POST": POST, "PUT": PUT, "once": ONCE, "login": LOGIN}


def at(url: str, request: Request = GET) -> Request:
    return Request(
        action=request.action,
        method=request.method,
        url=url + "/thing",
        body=request.body,
        repeatable=request.repeatable,
        once=request.once,
    )


def sent(responses: aioresponses) -> int:
    return sum(len(calls) for calls in responses.requests.values())


def connector_error(kind: type[aiohttp.ClientConnectorError]) -> aiohttp.ClientConnectorError:
    return kind(Mock(host="backend.example", port=443), OSError(errno.ECONNREFUSED, "refused"))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between the attempts, which are noted and skipped."""
    seen: list[float] = []

    async def pause(seconds: float) -> None:
        seen.append(seconds)

    monkeypatch.setattr(retries, "pause", pause)
    return seen


async def test_a_request_is_sent_as_it_is(responses: aioresponses, transport: Transport) -> None:
    responses.post(
        URL_OF_IT + "?a=1", status=201, body=b"made", headers={"X-Request-Id": "r1", "X-Twice": "x"}
    )

    response = await transport.send(
        Request(
            action="create it",
            method="POST",
            url=URL_OF_IT + "?a=1",
            headers={"Authorization": "Bearer x"},
            body={"é": "\ud800"},
        )
    )

    assert response.status == 201
    assert response.body == b"made"
    assert response.headers["x-request-id"] == "r1"
    assert response.received_at == NOW
    [[call]] = responses.requests.values()
    assert call.kwargs["data"] == '{"é":"\\ud800"}'.encode()
    assert call.kwargs["headers"] == {
        "X-Requested-With": "XMLHttpRequest",
        "Content-Type": "application/json",
        "Authorization": "Bearer x",
    }
    assert call.kwargs["allow_redirects"] is False


async def test_what_goes_over_the_wire(backend: Backend, transport: Transport) -> None:
    backend.on("GET /a%2Fb%7Cc/h1%40x.be", {}).on("POST /token", "t").on("POST /thing", {})

    for method, path, body in (
        ("GET", "/a%2Fb%7Cc/h1%40x.be", None),
        ("POST", "/token", None),
        ("POST", "/thing", {"id": "1"}),
    ):
        await transport.send(
            Request(action="do it", method=method, url=backend.base_url + path, body=body)
        )

    read, token, create = backend.seen
    assert all(seen.headers["X-Requested-With"] == "XMLHttpRequest" for seen in backend.seen)
    assert "Content-Type" not in read.headers
    assert read.body == token.body == b""
    assert create.headers["Content-Type"] == "application/json"
    assert create.body == b'{"id":"1"}'


async def test_a_large_body_is_sent_in_pieces(transport: Transport) -> None:
    # aiohttp warns about a body that holds up the event loop, and warnings are errors here.
    lengths: list[tuple[str | None, int]] = []

    async def take(request: web.Request) -> web.Response:
        lengths.append((request.headers["Content-Length"], len(await request.read())))
        return web.json_response({})

    app = web.Application(client_max_size=1 << 23)
    app.router.add_post("/thing", take)
    async with TestServer(app) as server:
        body = {"picture": "x" * (1 << 21)}
        url = str(server.make_url("/thing"))
        response = await transport.send(
            Request(action="create it", method="POST", url=url, body=body)
        )
    assert response.status == 200
    size = (1 << 21) + len('{"picture":""}')
    assert lengths == [(str(size), size)]


def test_the_time_limit_is_30_seconds_unless_told_otherwise() -> None:
    assert DEFAULT_TIMEOUT == 30.0


async def test_the_time_limit_goes_with_each_request(responses: aioresponses) -> None:
    responses.get(URL_OF_IT, repeat=True)
    connection = Connection().acquire()

    await Transport(connection).send(GET)
    await Transport(connection, timeout=1.5).send(GET)

    await connection.release()
    [calls] = responses.requests.values()
    assert [call.kwargs["timeout"].total for call in calls] == [30.0, 1.5]


# Retries: what is safe to repeat is tried three times.
ANSWERS = [
    # status, kinds that are tried again
    (429, {"GET", "POST", "PUT", "login"}),
    (502, {"GET", "login"}),
    (503, {"GET", "login"}),
    (504, {"GET", "login"}),
    (500, set[str]()),
    (501, set[str]()),
    (400, set[str]()),
    (401, set[str]()),
    (404, set[str]()),
    (408, set[str]()),
    (409, set[str]()),
    (302, set[str]()),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("status", "again"), ANSWERS)
@pytest.mark.usefixtures("no_pauses")
async def test_which_answers_are_tried_again(
    responses: aioresponses, transport: Transport, status: int, again: set[str], kind: str
) -> None:
    request = KINDS[kind]
    responses.add(URL_OF_IT, request.method, status=status, body=b"last", repeat=True)

    response = await transport.send(request)

    assert (response.status, response.body) == (status, b"last")
    assert sent(responses) == (3 if kind in again else 1)


FAILURES: list[tuple[Exception, set[str]]] = [
    # Never connected: nothing was sent.
    (connector_error(aiohttp.ClientConnectorError), set(KINDS)),
    (connector_error(aiohttp.ClientConnectorDNSError), set(KINDS)),
    (connector_error(aiohttp.ClientProxyConnectionError), set(KINDS)),
    (connector_error(aiohttp.ClientConnectorSSLError), set(KINDS)),
    # Broken: who knows.
    (aiohttp.ServerDisconnectedError(), {"GET", "login"}),
    (aiohttp.ClientOSError(errno.EPIPE, "broken"), {"GET", "login"}),
    (aiohttp.ClientPayloadError("incomplete"), {"GET", "login"}),
    (aiohttp.ClientConnectionError("odd"), {"GET", "login"}),
    (ConnectionResetError(errno.ECONNRESET, "reset"), {"GET", "login"}),
    # A time-out has used up the caller's patience.
    (TimeoutError(), set()),
    (aiohttp.ServerTimeoutError(), set()),
    (aiohttp.ConnectionTimeoutError(), set()),
    # Never will be different.
    (aiohttp.InvalidURL("http://host"), set()),
    (UnicodeError("label too long"), set()),
    (ValueError("header"), set()),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("failure", "again"), FAILURES, ids=[type(failure).__name__ for failure, _ in FAILURES]
)
@pytest.mark.usefixtures("no_pauses")
async def test_which_failures_are_tried_again(
    responses: aioresponses, transport: Transport, failure: Exception, again: set[str], kind: str
) -> None:
    request = KINDS[kind]
    responses.add(URL_OF_IT, request.method, exception=failure, repeat=True)

    with pytest.raises((NetworkError, ConfigurationError), match=f"^Could not {request.action}: "):
        await transport.send(request)

    assert sent(responses) == (3 if kind in again else 1)


@pytest.mark.usefixtures("no_pauses")
async def test_a_later_success_is_what_counts(
    responses: aioresponses, transport: Transport
) -> None:
    responses.get(URL_OF_IT, status=503)
    responses.get(URL_OF_IT, exception=aiohttp.ServerDisconnectedError())
    responses.get(URL_OF_IT, body=b"here")

    assert (await transport.send(GET)).body == b"here"


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("30", 30.0),
        (format_datetime(datetime.fromtimestamp(NOW + 12, UTC), usegmt=True), 12.0),
    ],
)
async def test_the_server_is_given_the_time_it_asks_for(
    responses: aioresponses,
    transport: Transport,
    waits: list[float],
    retry_after: str,
    expected: float,
) -> None:
    responses.post(URL_OF_IT, status=429, headers={"Retry-After": retry_after})
    responses.post(URL_OF_IT, body=b"made")

    assert (await transport.send(POST)).body == b"made"
    assert waits == [expected]


@pytest.mark.parametrize(
    "retry_after",
    [
        "31",
        "3600",
        "1000000000000",
        format_datetime(datetime.fromtimestamp(NOW + 3600, UTC), usegmt=True),
    ],
)
async def test_too_long_a_wait_is_left_to_the_caller(
    responses: aioresponses, transport: Transport, waits: list[float], retry_after: str
) -> None:
    responses.get(URL_OF_IT, status=503, headers={"Retry-After": retry_after}, repeat=True)

    response = await transport.send(GET)

    error = response.error()
    assert error is not None
    assert error.retryable
    assert error.retry_after == (float(retry_after) if retry_after.isdigit() else 3600.0)
    assert sent(responses) == 1
    assert waits == []


async def test_the_waits_without_advice_are_short(
    responses: aioresponses,
    transport: Transport,
    waits: list[float],
) -> None:
    responses.get(URL_OF_IT, status=503, repeat=True)

    await transport.send(GET)

    assert len(waits) == 2
    assert all(0 < seconds <= 2 for seconds in waits)


RETRYING = """
import asyncio, sys
from aiohttp import web
from aiohttp.test_utils import TestServer
from icure_async import MedTechApiBuilder
from icure_async.errors import ServerError
from icure_async.rest import retries

async def pause(seconds):
    print("waited")

async def fail(request):
    return web.Response(status=503)

async def main():
    retries.pause = pause
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", fail)
    async with TestServer(app) as server:
        builder = MedTechApiBuilder().with_icure_base_url(f"http://127.0.0.1:{server.port}")
        async with builder.with_user_name("u").with_password("p").build() as api:
            try:
                await api.user_api.get_logged_user()
            except ServerError:
                print("failed")

asyncio.run(main())
"""


def test_retries_print_nothing_where_no_logging_is_set_up() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", RETRYING], check=True, capture_output=True, text=True, timeout=30
    )
    assert ended.stdout.split() == ["waited", "waited", "failed"]
    assert ended.stderr == ""


async def test_retries_are_in_the_log_of_the_sdk_for_those_who_look(
    responses: aioresponses,
    transport: Transport,
    waits: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "icure_async")
    responses.get(URL_OF_IT, status=503, headers={"Retry-After": "7"})
    responses.get(URL_OF_IT, body=b"here")

    await transport.send(GET)

    assert [(record.name.split(".")[0], record.levelname) for record in caplog.records] == [
        ("icure_async", "DEBUG")
    ] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "read it: HTTP 503",
        "read it: trying again in 7.0 s",
        "read it: HTTP 200",
    ]


FORGED = "x\nERROR root: forged line \x1b[2J\u202e"


async def test_an_id_of_the_server_forges_no_line_in_log_or_message(
    responses: aioresponses, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = json.dumps({"message": FORGED}).encode()
    responses.get(URL_OF_IT, status=404, body=body, headers={"X-Request-Id": FORGED[:1] + "\x1b"})
    request = Request(action=f"read data owner {FORGED}", method="GET", url=URL_OF_IT)

    error = (await transport.send(request)).error()

    assert error is not None
    for text in (str(error), error.server_message, *(r.getMessage() for r in caplog.records)):
        assert text
        assert text.isprintable()
    assert r"read data owner x\nERROR root: forged line \x1b[2J\u202e" in str(error)
    assert error.request_id is None


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirection_is_an_error(
    backend: Backend, transport: Transport, status: int
) -> None:
    backend.on(
        "GET /thing", web.Response(status=status, headers={"Location": backend.base_url + "/else"})
    ).on("GET /else", {})

    response = await transport.send(at(backend.base_url))

    with pytest.raises(InvalidResponseError, match="check the URLs given to the builder"):
        response.raise_for_status()
    assert backend.calls == ["GET /thing"]


# The messages.
@pytest.mark.parametrize(
    ("failure", "kind", "text", "maybe_processed"),
    [
        (
            connector_error(aiohttp.ClientConnectorError),
            NetworkError,
            "no connection to backend.example:443. Check the URL and the network, and try again.",
            False,
        ),
        (
            connector_error(aiohttp.ClientConnectorSSLError),
            NetworkError,
            "its certificate is not trusted",
            False,
        ),
        (
            aiohttp.ClientConnectorCertificateError(
                Mock(host="backend.example", port=443), ssl.SSLCertVerificationError("self-signed")
            ),
            NetworkError,
            "its certificate is not trusted",
            False,
        ),
        (aiohttp.ServerDisconnectedError(), NetworkError, "(ServerDisconnectedError)", True),
        (TimeoutError(), RequestTimeoutError, r"within 5 s. Check the connection", True),
    ],
)
@pytest.mark.usefixtures("no_pauses")
async def test_a_failure_says_what_happened_and_what_to_do(
    responses: aioresponses,
    transport: Transport,
    failure: Exception,
    kind: type[NetworkError],
    text: str,
    maybe_processed: bool,
) -> None:
    responses.get(URL_OF_IT, exception=failure, repeat=True)

    with pytest.raises(NetworkError) as caught:
        await transport.send(GET)

    assert type(caught.value) is kind
    assert text in str(caught.value)
    assert caught.value.maybe_processed == maybe_processed


@pytest.mark.parametrize(
    ("request_", "advice"),
    [(GET, "Try again."), (POST, "check before trying again."), (PUT, "check before")],
)
@pytest.mark.usefixtures("no_pauses")
async def test_after_a_broken_connection_the_advice_depends_on_the_request(
    responses: aioresponses, transport: Transport, request_: Request, advice: str
) -> None:
    responses.add(
        URL_OF_IT, request_.method, exception=aiohttp.ServerDisconnectedError(), repeat=True
    )

    with pytest.raises(NetworkError, match=advice):
        await transport.send(request_)


@pytest.mark.parametrize("body", [{"note": object()}, [{1, 2}], {"n": 10**5000}], ids=range(3))
async def test_a_body_that_is_no_json_is_refused(
    responses: aioresponses, transport: Transport, body: Any
) -> None:
    request = Request(action="create it", method="POST", url=URL_OF_IT, body=body)

    with pytest.raises(ValidationError, match="Nothing was sent") as caught:
        await transport.send(request)

    assert caught.value.__context__ is None
    assert sent(responses) == 0


async def test_a_closed_session_says_so(transport: Transport) -> None:
    async with aiohttp.ClientSession() as session:
        closed = Transport(Connection(session), clock=Clock())

    with pytest.raises(ConfigurationError, match=r"with_client_session\(\).* is closed"):
        await closed.send(GET)


def test_nothing_secret_is_in_the_repr_of_a_request() -> None:
    request = Request(
        action="do it",
        method="POST",
        url="https://host/secret",
        headers={"Authorization": "secret"},
        body={"note": "secret"},
    )

    assert "secret" not in repr(request)


# On a real connection.
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}"
TRUNCATED = b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"id":'
TRUNCATED_CHUNK = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"id":'
HEAD_ONLY = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
NO_HTTP = b"SSH-2.0-OpenSSH_9.6\r\n\r\n"
BAD_GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"
BROKEN = {
    "nothing": None,
    "truncated": TRUNCATED,
    "truncated-chunk": TRUNCATED_CHUNK,
    "head-only": HEAD_ONLY,
    "no-http": NO_HTTP,
    "bad-gzip": BAD_GZIP,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
@pytest.mark.usefixtures("no_pauses")
async def test_a_broken_answer_is_repeated_only_where_that_is_safe(
    transport: Transport, answer: bytes | None, kind: str
) -> None:
    async with raw_server(answer, answer, OK) as (url, heads):
        if kind in {"GET", "login"}:
            assert (await transport.send(at(url, KINDS[kind]))).body == b"{}"
        else:
            with pytest.raises(NetworkError, match="the connection broke") as caught:
                await transport.send(at(url, KINDS[kind]))
            assert caught.value.maybe_processed
            assert type(caught.value) is NetworkError

    assert len(heads) == (3 if kind in {"GET", "login"} else 1)


@pytest.mark.parametrize("kind", ["POST", "PUT", "once"])
@pytest.mark.usefixtures("no_pauses")
async def test_a_kept_connection_that_breaks_does_not_repeat_what_is_not_safe(
    transport: Transport, kind: str
) -> None:
    async with raw_server(KEPT, None, OK) as (url, heads):
        await transport.send(at(url))
        with pytest.raises(NetworkError, match=r"\(ServerDisconnectedError\)"):
            await transport.send(at(url, KINDS[kind]))

    assert len(heads) == 2


@pytest.mark.usefixtures("no_pauses")
async def test_a_connection_that_is_refused_was_never_made(transport: Transport) -> None:
    async with raw_server() as (url, _):
        pass
    with pytest.raises(NetworkError, match=r"no connection to 127\.0\.0\.1:\d+") as caught:
        await transport.send(at(url, POST))
    assert not caught.value.maybe_processed


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
async def test_a_host_that_no_resolver_takes_is_a_matter_of_configuration(
    transport: Transport, host: str
) -> None:
    with pytest.raises(ConfigurationError, match="Check the URLs"):
        await transport.send(at(f"http://{host}"))


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\x00b"])
async def test_a_header_that_cannot_be_sent_is_refused(
    backend: Backend, transport: Transport, value: str
) -> None:
    backend.on("GET /thing", {})

    with pytest.raises(ConfigurationError, match="no valid HTTP request"):
        await transport.send(
            Request(
                action="read it",
                method="GET",
                url=backend.base_url + "/thing",
                headers={"Refresh-Token": value},
            )
        )
    assert backend.seen == []


async def test_a_slow_answer_is_a_time_out_and_not_asked_for_again(backend: Backend) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"id":')
        await asyncio.sleep(5)
        return response

    backend.on("GET /thing", slow)
    started = time.monotonic()

    async with open_transport(timeout=0.1) as transport:
        with pytest.raises(RequestTimeoutError, match=r"within 0\.1 s.*with_timeout\(\)"):
            await transport.send(at(backend.base_url))

    assert time.monotonic() - started < 2
    assert backend.calls == ["GET /thing"]


async def test_a_cancelled_request_is_not_repeated(backend: Backend, transport: Transport) -> None:
    arrived = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.sleep(5)
        return web.Response()

    backend.on("GET /thing", never)
    task = asyncio.create_task(transport.send(at(backend.base_url)))
    await arrived.wait()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert backend.calls == ["GET /thing"]


@pytest.mark.usefixtures("no_pauses")
async def test_a_compressed_answer_is_read_whatever_the_callers_session_does(
    backend: Backend,
) -> None:
    async def compressed(request: web.Request) -> web.Response:
        response = web.json_response({"id": "1"})
        response.enable_compression(web.ContentCoding.gzip)
        return response

    backend.on("GET /thing", compressed)
    async with aiohttp.ClientSession(auto_decompress=False, raise_for_status=True) as session:
        response = await Transport(Connection(session)).send(at(backend.base_url))

    assert response.json_object() == {"id": "1"}


async def test_middlewares_of_the_callers_session_go_on_working(backend: Backend) -> None:
    async def add_header(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers["X-Proxy-Key"] = "mine"
        return await handler(request)

    backend.on("GET /thing", {})
    async with aiohttp.ClientSession(middlewares=[add_header]) as session:
        await Transport(Connection(session)).send(at(backend.base_url))

    assert backend.seen[0].headers["X-Proxy-Key"] == "mine"


async def test_a_callers_session_with_credentials_of_its_own_is_an_error_of_ours(
    backend: Backend,
) -> None:
    """aiohttp refuses two Authorization headers; the URL of a proxy may bring one as well."""
    request = Request(
        action="read it",
        method="GET",
        url=str(URL(backend.base_url).with_user("ned").with_password("secret")),
        headers={"Authorization": "Bearer x"},
    )
    async with open_transport() as transport:
        with pytest.raises(ConfigurationError, match=r"with_client_session\(\)"):
            await transport.send(request)


async def test_an_unknown_failure_is_not_hidden(
    responses: aioresponses, transport: Transport
) -> None:
    responses.get(URL_OF_IT, exception=ZeroDivisionError())

    with pytest.raises(ZeroDivisionError):
        await transport.send(GET)
    assert sent(responses) == 1


async def test_the_answer_keeps_what_was_asked(
    responses: aioresponses, transport: Transport
) -> None:
    responses.get(URL_OF_IT, status=404)

    response = await transport.send(GET)

    assert isinstance(response, Response)
    with pytest.raises(BackendError, match="Could not read it: "):
        response.raise_for_status()


def http(first: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + first, *headers, b"", body])


TWO, NONE, CHUNKED = b"Content-Length: 2", b"Content-Length: 0", b"Transfer-Encoding: chunked"
ODD = {
    "status-0": http(b"0 OK"),
    "status-999": http(b"999 Odd", NONE),
    "status-abc": http(b"abc OK", NONE),
    "http-0.9": b"<html></html>",
    "http-3": b"HTTP/3.0 200 OK\r\n\r\n",
    "many-headers": http(b"200 OK", *[b"X-A: b"] * 10_000, NONE),
    "long-header": http(b"200 OK", b"X-A: " + b"x" * (1 << 20), NONE),
    "no-colon": http(b"200 OK", b"X-A"),
    "raw-bytes": http(b"200 \xff\xfe", b"X-A: \xff\x1b[2J", NONE),
    "negative-length": http(b"200 OK", b"Content-Length: -1"),
    "huge-length": http(b"200 OK", b"Content-Length: 1" + b"0" * 30, body=b"{}"),
    "text-length": http(b"200 OK", b"Content-Length: two", body=b"{}"),
    "two-lengths": http(b"200 OK", TWO, b"Content-Length: 3", body=b"{}"),
    "length-and-chunks": http(b"200 OK", TWO, CHUNKED, body=b"2\r\n{}\r\n0\r\n\r\n"),
    "odd-chunk": http(b"200 OK", CHUNKED, body=b"zz\r\n{}\r\n"),
    "odd-encodings": http(b"200 OK", b"Content-Encoding: gzip, \xff", TWO, body=b"{}"),
    "odd-date": http(b"503 No", b"Date: \xff", b"Retry-After: -1e400", NONE),
    "odd-cookies": http(b"200 OK", b"Set-Cookie: \xff=;;=\x01", TWO, body=b"{}"),
    "odd-location": http(b"302 Go", b"Location: http://[::1", NONE),
    "early-hints": http(b"103 Early", b"Link: x") * 3 + OK,
    "switching": http(
        b"101 Switching", b"Upgrade: websocket", b"Connection: upgrade", body=b"\x81"
    ),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
@pytest.mark.parametrize("kind", ["GET", "POST"])
@pytest.mark.usefixtures("no_pauses")
async def test_an_odd_answer_is_an_answer_or_an_error_of_ours(answer: bytes, kind: str) -> None:
    failure: ICureError | None
    async with raw_server(*[answer] * 3) as (url, _), open_transport(timeout=1) as transport:
        try:
            failure = (await transport.send(at(url, KINDS[kind]))).error()
        except ICureError as error:
            failure = error
    assert str(failure).isprintable()
    assert not isinstance(failure, ConfigurationError)
