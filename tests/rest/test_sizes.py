"""Limits to the size of answers, and their decompression."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
import tracemalloc
import zlib
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from icure_async.errors import InvalidResponseError, NetworkError, ResponseTooLargeError
from icure_async.rest.connection import Connection
from icure_async.rest.entities import EntityResource
from icure_async.rest.json_body import INLINE_BYTES, load_json, load_large_json
from icure_async.rest.transport import DEFAULT_MAX_RESPONSE_SIZE, Request, Transport
from tests.support.loopback import Backend, login_answer, open_session, open_transport, raw_server

MIB = 1 << 20
BODY = json.dumps([{"id": str(number), "text": "x" * 300} for number in range(2000)]).encode()


def get(url: str) -> Request:
    return Request(action="read it", method="GET", url=url + "/thing", repeatable=True)


def answer(body: bytes, *, encoding: str = "", chunked: bool = False) -> bytes:
    """An answer as it goes over the wire; the connection is closed after it."""
    head = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
    if encoding:
        head += f"Content-Encoding: {encoding}\r\n"
    if chunked:
        head += "Transfer-Encoding: chunked\r\n\r\n"
        return head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def raw_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


class StandInBrotli:
    """The interface of the brotli package, on zlib: what aiohttp asks for where it is installed."""

    def __init__(self) -> None:
        self._inflating = zlib.decompressobj()

    def process(self, data: bytes, output_buffer_limit: int) -> bytes:
        return self._inflating.decompress(
            self._inflating.unconsumed_tail + data, output_buffer_limit
        )

    def is_finished(self) -> bool:
        return self._inflating.eof


class StandInZstd:
    """The interface of Python 3.14's zstd, on zlib."""

    def __init__(self) -> None:
        self._inflating = zlib.decompressobj()

    @property
    def eof(self) -> bool:
        return self._inflating.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflating.unused_data

    def decompress(self, data: bytes, length: int) -> bytes:
        return self._inflating.decompress(self._inflating.unconsumed_tail + data, length)


@pytest.fixture
def other_encodings(monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = {
        "brotlicffi": SimpleNamespace(Decompressor=StandInBrotli),
        "compression.zstd": SimpleNamespace(ZstdDecompressor=StandInZstd),
    }
    monkeypatch.setattr("icure_async.rest.decoding.importlib.import_module", libraries.__getitem__)


ENCODED = {
    "gzip": gzip.compress(BODY, mtime=0),
    "x-gzip": gzip.compress(BODY, mtime=0),
    "GZIP": gzip.compress(BODY, mtime=0),
    "deflate": zlib.compress(BODY),
    "br": zlib.compress(BODY),
    "zstd": zlib.compress(BODY),
}


def test_the_limit_is_64_mib_unless_told_otherwise() -> None:
    assert DEFAULT_MAX_RESPONSE_SIZE == 64 * MIB


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.usefixtures("other_encodings")
async def test_a_compressed_answer_is_read(
    transport: Transport, encoding: str, chunked: bool
) -> None:
    data = answer(ENCODED[encoding], encoding=encoding, chunked=chunked)
    async with raw_server(data) as (url, _):
        response = await transport.send(get(url))
    assert response.body == BODY


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("deflate", raw_deflate(BODY)),
        ("gzip", b"".join(gzip.compress(part, mtime=0) for part in (BODY[:100], b"", BODY[100:]))),
        ("gzip", gzip.compress(BODY, mtime=0) + b"\0" * 512),
        ("zstd", zlib.compress(BODY[:100]) + zlib.compress(BODY[100:])),
        ("identity", BODY),
        ("", BODY),
    ],
    ids=["raw-deflate", "three-members", "padding", "two-frames", "identity", "plain"],
)
@pytest.mark.usefixtures("other_encodings")
async def test_the_less_usual_forms_are_read(
    transport: Transport, encoding: str, body: bytes
) -> None:
    async with raw_server(answer(body, encoding=encoding)) as (url, _):
        assert (await transport.send(get(url))).body == BODY


@pytest.mark.parametrize("kept", [1, 10, 600, -1])
@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.usefixtures("other_encodings", "no_pauses")
async def test_a_cut_compressed_answer_is_a_broken_connection_and_is_asked_for_again(
    transport: Transport, encoding: str, kept: int
) -> None:
    cut = answer(ENCODED[encoding][:kept], encoding=encoding)
    whole = answer(ENCODED[encoding], encoding=encoding)
    async with raw_server(cut, whole) as (url, heads):
        assert (await transport.send(get(url))).body == BODY
        assert len(heads) == 2

    post = Request(action="create it", method="POST", url="", body={})
    async with raw_server(cut, whole) as (url, heads):
        request = Request(action=post.action, method="POST", url=url + "/thing", body={})
        with pytest.raises(NetworkError, match="cut or damaged") as caught:
            await transport.send(request)
        assert caught.value.maybe_processed
        assert len(heads) == 1


@pytest.mark.usefixtures("no_pauses")
async def test_a_compression_nobody_asked_for_is_said_to_be_the_trouble(
    transport: Transport,
) -> None:
    async with raw_server(answer(BODY, encoding="compress")) as (url, _):
        with pytest.raises(InvalidResponseError, match="does not understand"):
            await transport.send(get(url))


@pytest.mark.usefixtures("no_pauses")
async def test_ten_thousand_empty_members_are_no_answer(transport: Transport) -> None:
    async with raw_server(*[answer(gzip.compress(b"", mtime=0) * 10_000, encoding="gzip")] * 3) as (
        url,
        _,
    ):
        with pytest.raises(NetworkError, match="cut or damaged"):
            await transport.send(get(url))


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.usefixtures("other_encodings")
async def test_what_is_larger_than_the_limit_is_refused_and_the_option_is_named(
    encoding: str, chunked: bool
) -> None:
    limit = len(BODY)
    for body in (BODY, BODY + b" "):
        encoded = gzip.compress(body, mtime=0) if encoding == "gzip" else zlib.compress(body)
        data = answer(encoded if encoding else body, encoding=encoding, chunked=chunked)
        async with (
            raw_server(data) as (url, heads),
            open_transport(max_response_size=limit) as transport,
        ):
            if body is BODY:
                assert (await transport.send(get(url))).body == BODY
                continue
            with pytest.raises(ResponseTooLargeError, match=r"with_max_response_size\(\)"):
                await transport.send(get(url))
            assert len(heads) == 1


@pytest.mark.parametrize("theirs", [False, True], ids=["ours", "with-middlewares"])
async def test_a_bomb_is_never_inflated_as_a_whole(theirs: bool) -> None:
    """200 MiB in 200 kB."""
    compressor = zlib.compressobj(9, wbits=31)
    zeros = bytes(MIB)
    bomb = b"".join(compressor.compress(zeros) for _ in range(200)) + compressor.flush()

    async def pass_on(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        return await handler(request)

    middlewares = (pass_on,) if theirs else ()
    async with (
        raw_server(answer(bomb, encoding="gzip")) as (url, _),
        aiohttp.ClientSession(middlewares=middlewares) as session,
    ):
        transport = Transport(Connection(session), max_response_size=8 * MIB)
        tracemalloc.start()
        try:
            with pytest.raises(ResponseTooLargeError):
                await transport.send(get(url))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 32 * MIB


async def test_an_endless_answer_is_not_waited_for() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(MIB // 4))
            sent += MIB // 4

    app = web.Application()
    app.router.add_get("/thing", endless)
    async with (
        TestServer(app) as server,
        open_transport(max_response_size=MIB) as transport,
    ):
        with pytest.raises(ResponseTooLargeError):
            await transport.send(get(f"http://127.0.0.1:{server.port}"))
    assert sent < 32 * MIB


async def test_a_large_body_is_parsed_in_a_thread_that_lets_the_event_loop_work(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed_in: list[int] = []

    def parse(body: bytes) -> Any:
        parsed_in.append(threading.get_ident())
        return load_large_json(body)

    monkeypatch.setattr("icure_async.rest.responses.load_large_json", parse)
    small, large = b'{"a":"' + b"x" * 1000 + b'"}', b'{"a":"' + b"x" * INLINE_BYTES + b'"}'
    async with raw_server(answer(small), answer(large), answer(large[:-1])) as (url, _):
        await transport.send(get(url))
        assert parsed_in == []
        response = await transport.send(get(url))
        broken = await transport.send(get(url))

    assert len(parsed_in) == 2
    assert threading.get_ident() not in parsed_in
    # The result of the thread counts.
    monkeypatch.setattr("icure_async.rest.responses.load_json", lambda body: pytest.fail("again"))
    assert response.json_object() == {"a": "x" * INLINE_BYTES}
    with pytest.raises(InvalidResponseError, match="truncated or malformed"):
        broken.json_object()


async def test_the_event_loop_goes_on_while_a_large_body_is_parsed(transport: Transport) -> None:
    rows = [{"id": str(number), "n": [1, 2.5, None, {"b": "ö"}]} for number in range(30_000)]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    async with raw_server(answer(orjson.dumps(rows))) as (url, _):
        counting = asyncio.create_task(count())
        started = time.perf_counter()
        response = await transport.send(get(url))
        seconds = time.perf_counter() - started
        counting.cancel()
    assert response.json_list() == rows
    # It gets a turn every five milliseconds, where the machine is not busy with something else.
    assert turns > 2, seconds


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": [1, -0, 1.5e3, true, null, {"b": "\\u00e9\\ud83d\\ude00"}], "a2": {}}',
        b'{"a": 1, "a": 2}',
        b'"text"',
        b"[]",
        b"1e400",
        b'"\\ud800"',
        b"123456789012345678901234567890",
    ],
)
def test_large_json_is_read_as_small_json_is(body: bytes) -> None:
    assert load_large_json(body) == load_json(body)


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"Infinity", b"[" * 100_000, b"\xff", b"01"])
def test_what_is_no_json_is_none_for_both(body: bytes) -> None:
    for load in (load_json, load_large_json):
        with pytest.raises(ValueError):  # noqa: PT011
            load(body)


async def test_many_patients_are_read_in_parts_where_an_answer_is_too_large(
    backend: Backend,
) -> None:
    asked: list[int] = []

    async def by_ids(request: web.Request) -> web.Response:
        ids = (await request.json())["ids"]
        asked.append(len(ids))
        return web.json_response(
            [{"id": i, "rev": "1-a", "text": "x" * 1000} for i in ids if i != "unknown"]
        )

    backend.on("POST /auth/login", login_answer()).on("POST /patient/byIds", by_ids)
    ids = ["a", "b", "unknown", *(str(number) for number in range(8))]
    async with open_transport(max_response_size=3500) as transport:
        patients = EntityResource(open_session(transport, backend.base_url), "patient", "patient")
        read = await patients.get_many(ids)

    assert [patient["id"] for patient in read] == [i for i in ids if i != "unknown"]
    assert max(asked[1:]) < len(ids)


async def test_one_patient_that_is_too_large_is_an_error_after_few_requests(
    backend: Backend,
) -> None:
    async def too_large(request: web.Request) -> web.Response:
        return web.json_response([{"id": "x" * 5000}])

    backend.on("POST /auth/login", login_answer()).on("POST /patient/byIds", too_large)
    async with open_transport(max_response_size=3500) as transport:
        patients = EntityResource(open_session(transport, backend.base_url), "patient", "patient")
        with pytest.raises(ResponseTooLargeError, match="Could not read 1 patients"):
            await patients.get_many([str(number) for number in range(1000)])

    assert backend.count("POST /patient/byIds") == 10


async def test_a_page_that_is_too_large_gets_shorter(backend: Backend) -> None:
    async def page(request: web.Request) -> web.Response:
        limit = int(request.query["limit"])
        row = {"id": "t", "rev": "1-a", "text": "x" * 1000}
        return web.json_response({"rows": [row] * limit, "pageSize": limit})

    backend.on("POST /auth/login", login_answer()).on("POST /maintenancetask/filter", page)
    async with open_transport(max_response_size=30_000) as transport:
        tasks = EntityResource(
            open_session(transport, backend.base_url), "maintenancetask", "notification"
        )
        assert (await tasks.filter({}, limit=100))["pageSize"] == 25
    async with open_transport(max_response_size=500) as transport:
        tasks = EntityResource(
            open_session(transport, backend.base_url), "maintenancetask", "notification"
        )
        with pytest.raises(ResponseTooLargeError):
            await tasks.filter({}, limit=100)
