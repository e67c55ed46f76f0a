"""Secrets that are sent, and show in no error, none of its causes and no log."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from collections.abc import Iterator
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp import web
from aioresponses import aioresponses
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from icure_async.errors import ICureError
from icure_async.rest.message_gateway import MessageGateway
from icure_async.rest.session import Session
from icure_async.rest.transport import Transport
from tests.support.leaks import logged, printed
from tests.support.loopback import (
    PASSWORD,
    USER,
    Backend,
    Clock,
    Handler,
    basic,
    login_answer,
    open_session,
    open_transport,
    raw_server,
    token,
)

NOTE = "likes-wolves"
CODE = "296208"
GATEWAY = "https://gateway.example"
REQUEST_ID = "d11f0465-8697-4d6d-b997-bf32ff2c4101"
VALIDATE = f"{GATEWAY}/ic/process/validate/{REQUEST_ID}-{CODE}"
ACCESS, REFRESH = token(), token(86400, name="refresh")
SECRETS = [
    PASSWORD,
    NOTE,
    CODE,
    ACCESS,
    REFRESH,
    basic(USER, PASSWORD).partition(" ")[2],
]


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert_clean(logged(caplog.get_records("call")))


@pytest.fixture(autouse=True)
async def _debugging() -> None:
    asyncio.get_running_loop().set_debug(True)


def assert_clean(text: str) -> None:
    assert [secret for secret in SECRETS if secret in text] == []


def echo(status: int, form: str) -> Handler:
    """Answer with all that was sent, headers and body, in some form."""

    async def handle(request: web.Request) -> web.Response:
        said = f"{dict(request.headers)} {request.path_qs} {await request.text()} {PASSWORD}"
        body = {
            "json": json.dumps({"message": said}),
            "text": said,
            "html": f"<html>{said}",
            "truncated": json.dumps({"message": said})[:-1],
            "array": json.dumps([said]),
        }[form]
        return web.Response(
            status=status, reason=PASSWORD, body=body, headers={"X-Request-Id": f"{said}"}
        )

    return handle


FORMS = ["json", "text", "html", "truncated", "array"]
STATUSES = [302, 400, 401, 403, 404, 409, 418, 429, 500, 503]
ECHOES = [(status, "json") for status in STATUSES] + [
    (status, form) for status in (200, 500) for form in FORMS if (status, form) != (200, "json")
]


@pytest.mark.parametrize(("status", "form"), ECHOES)
@pytest.mark.parametrize(
    ("route", "basic_only"),
    [
        ("PUT /patient", False),
        ("PUT /patient", True),
        ("POST /auth/login", False),
        ("POST /auth/refresh", False),
    ],
)
@pytest.mark.usefixtures("no_pauses")
async def test_a_server_may_repeat_what_it_was_sent(
    backend: Backend, clock: Clock, status: int, form: str, route: str, basic_only: bool
) -> None:
    backend.on("POST /auth/login", login_answer(ACCESS, REFRESH)).on("PUT /patient", 500)
    async with open_transport(clock=clock) as transport:
        session = open_session(transport, backend.base_url, basic_only=basic_only)
        if route.endswith("/refresh"):
            await session.sign_in()
            clock.now += 3600
        backend.on(route, echo(status, form))

        with pytest.raises(ICureError) as caught:
            await modify(session)

    assert_clean(printed(caught.value))
    assert any(secret in str(backend.seen) for secret in SECRETS)


async def modify(session: Session) -> None:
    # Said to be repeatable, so that the log of the retries is seen as well.
    response = await session.request(
        "PUT", "/patient", action="modify patient 4711", body={"note": NOTE}, repeatable=True
    )
    response.json_object()


BROKEN = [None, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + NOTE.encode(), NOTE.encode()]


@pytest.mark.parametrize("answer", BROKEN)
@pytest.mark.usefixtures("no_pauses")
async def test_a_connection_may_break(transport: Transport, answer: bytes | None) -> None:
    async with raw_server(*[answer] * 9) as (url, heads):
        with pytest.raises(ICureError) as caught:
            await modify(open_session(transport, url, basic_only=True))

    assert heads
    assert_clean(printed(caught.value))


@pytest.mark.parametrize("text", [PASSWORD + "\ud800", PASSWORD + "€", PASSWORD + "\r\n"])
@pytest.mark.parametrize("basic_only", [False, True])
async def test_a_password_may_be_odd(
    backend: Backend, transport: Transport, text: str, basic_only: bool
) -> None:
    backend.on("POST /auth/login", 401).on("PUT /patient", 401)

    with pytest.raises(ICureError) as caught:
        await modify(
            open_session(transport, backend.base_url, password=text, basic_only=basic_only)
        )

    assert_clean(printed(caught.value))


@pytest.mark.parametrize("note", [object(), 10**5000, "\ud800"], ids=["object", "digits", "text"])
async def test_a_body_may_be_odd(backend: Backend, transport: Transport, note: object) -> None:
    backend.on("PUT /patient", 500)

    with pytest.raises(ICureError) as caught:
        await open_session(transport, backend.base_url, basic_only=True).request(
            "PUT", "/patient", action="modify patient 4711", body={"note": note, "text": NOTE}
        )

    assert_clean(printed(caught.value))


@pytest.mark.parametrize("path", ["/%zz", "/[", "/\ud800", "/\n", "/" + "x" * 70_000])
async def test_a_path_may_be_odd(backend: Backend, transport: Transport, path: str) -> None:
    with pytest.raises(ICureError) as caught:
        await open_session(transport, backend.base_url, basic_only=True).request(
            "GET", f"{path}{CODE}", action="read it"
        )
    assert_clean(printed(caught.value))


# The gateway's URL has the validation code in it.
REQUEST_INFO = aiohttp.RequestInfo(
    URL(VALIDATE), "GET", CIMultiDictProxy(CIMultiDict({"Authorization": ACCESS})), URL(VALIDATE)
)
KEY = Mock(host="gateway.example", port=443)
QUOTING = [
    aiohttp.ClientConnectionError(f"Connection refused: GET {VALIDATE}"),
    aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, VALIDATE)),
    aiohttp.ClientConnectorDNSError(KEY, OSError(-2, f"unknown: {VALIDATE}")),
    aiohttp.ClientConnectorSSLError(KEY, OSError(1, VALIDATE)),
    aiohttp.ConnectionTimeoutError(f"Connection timeout to host {VALIDATE}"),
    aiohttp.ServerTimeoutError(VALIDATE),
    aiohttp.ServerDisconnectedError(VALIDATE),
    aiohttp.TooManyRedirects(REQUEST_INFO, (), status=302, message=VALIDATE),
    aiohttp.ClientResponseError(REQUEST_INFO, (), status=400, message=VALIDATE),
    aiohttp.ClientHttpProxyError(REQUEST_INFO, (), status=407),
    aiohttp.ClientPayloadError(VALIDATE),
    aiohttp.InvalidURL(VALIDATE, "odd"),
    aiohttp.NonHttpUrlClientError(VALIDATE),
    TimeoutError(VALIDATE),
    OSError(errno.EPIPE, VALIDATE),
    ValueError(f"Newline in header: {VALIDATE}"),
    UnicodeEncodeError("idna", VALIDATE, 0, 1, "label too long"),
]


@pytest.mark.parametrize("failure", QUOTING, ids=lambda failure: type(failure).__name__)
@pytest.mark.usefixtures("no_pauses")
async def test_a_failure_of_the_client_may_quote_the_url(
    responses: aioresponses, transport: Transport, failure: Exception
) -> None:
    responses.get(VALIDATE, exception=failure, repeat=True)
    assert CODE in repr(failure) or CODE in str(failure) or CODE in repr(vars(failure))

    with pytest.raises(ICureError) as caught:
        await MessageGateway(transport, url=GATEWAY, spec_id="ic").validate_code(REQUEST_ID, CODE)

    assert str(caught.value).startswith("Could not validate the code: ")
    assert_clean(printed(caught.value))


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.usefixtures("no_pauses")
async def test_the_gateway_may_repeat_the_code(
    backend: Backend, transport: Transport, status: int
) -> None:
    backend.on(f"GET /ic/process/validate/{REQUEST_ID}-{CODE}", echo(status, "json"))
    gateway = MessageGateway(transport, url=backend.root_url, spec_id="ic")

    with pytest.raises(ICureError) as caught:
        await gateway.validate_code(REQUEST_ID, CODE)

    assert_clean(printed(caught.value))


@pytest.mark.usefixtures("no_pauses")
async def test_the_gateway_may_be_out_of_reach(transport: Transport) -> None:
    async with raw_server() as (closed, _):
        pass
    for url in (closed, "http://a..b", "http://" + "x" * 64):
        with pytest.raises(ICureError) as caught:
            await MessageGateway(transport, url=url, spec_id="ic").validate_code(REQUEST_ID, CODE)
        assert_clean(printed(caught.value))


async def test_the_gateway_may_be_slow(backend: Backend) -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    backend.on(f"GET /ic/process/validate/{REQUEST_ID}-{CODE}", slow)
    async with open_transport(timeout=0.1) as transport:
        gateway = MessageGateway(transport, url=backend.root_url, spec_id="ic")
        with pytest.raises(ICureError) as caught:
            await gateway.validate_code(REQUEST_ID, CODE)

    assert_clean(printed(caught.value))


def test_the_search_for_secrets_finds_them() -> None:
    """Through causes, contexts, arguments, notes and extra members of log records."""

    def raised(*, chained: bool) -> BaseException:
        try:
            try:
                raise ValueError("x", PASSWORD)
            except ValueError as inner:
                if chained:
                    raise KeyError(1) from inner
                raise KeyError(1) from None
        except KeyError as error:
            return error

    noted = KeyError(1)
    noted.add_note(PASSWORD)
    record = logging.makeLogRecord({"msg": "x", "caused_by": PASSWORD})

    assert PASSWORD in printed(raised(chained=True))
    assert PASSWORD in printed(raised(chained=False))
    assert PASSWORD in printed(noted)
    assert PASSWORD in logged([record])
