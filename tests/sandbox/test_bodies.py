"""Limits to the bodies of requests, before and after the caller is known."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from icure_async.sandbox.bodies import LARGEST, LARGEST_OF_ANYBODY
from tests.support.bare_client import Client, World

MIB = 2**20
LARGE = b" " * (2 * MIB) + b'{"id": "robb", "firstName": "Robb"}'
JSON = {"Content-Type": "application/json"}


def bomb(mebibytes: int) -> bytes:
    compressor = zlib.compressobj(9, wbits=31)
    block = b" " * MIB
    return b"".join([*(compressor.compress(block) for _ in range(mebibytes)), compressor.flush()])


async def in_chunks(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), MIB):
        yield data[start : start + MIB]


def encoded_as(encoding: str) -> dict[str, str]:
    return {**JSON, "Content-Encoding": encoding}


async def test_a_picture_of_20_mebibytes_can_be_stored_and_read(world: World) -> None:
    master = await world.master()
    picture = "A" * (20 * MIB * 4 // 3)
    body = json.dumps({"id": "robb", "firstName": "Robb", "picture": picture}).encode()
    answer = await master.post("/patient", data=io.BytesIO(body), headers=JSON)
    assert answer.status == 200
    assert (await master.get("/patient/robb")).body["picture"] == picture


@pytest.mark.parametrize("path", ["/auth/login", "/auth/check", "/auth/refresh"])
async def test_nobody_sends_much_to_what_needs_no_credentials(world: World, path: str) -> None:
    for data in (io.BytesIO(LARGE), in_chunks(LARGE)):
        answer = await world.anonymous.post(path, data=data, headers=JSON)
        assert answer.status == 413
        assert "1 MiB" in answer.body["message"]


async def test_strangers_are_refused_before_their_body_is_read(world: World) -> None:
    url = urlsplit(world.sandbox.icure_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(
        b"PUT /rest/v1/patient HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % (50 * MIB)
    )
    first = await asyncio.wait_for(reader.readline(), timeout=5)
    writer.close()
    assert b" 401 " in first


async def test_more_than_anybody_may_send_is_refused_by_its_length(world: World) -> None:
    master = await world.master()
    url = urlsplit(world.sandbox.icure_url)
    for authorization, status in ((master.headers["Authorization"], 413), ("Bearer x", 413)):
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(
            f"PUT /rest/v1/patient HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}"
            f"\r\nContent-Length: {LARGEST + 1}\r\n\r\n".encode()
        )
        first = await asyncio.wait_for(reader.readline(), timeout=5)
        writer.close()
        assert f" {status} ".encode() in first


async def test_more_than_anybody_may_send_is_refused_while_it_comes(world: World) -> None:
    master = await world.master()
    answer = await master.post("/patient", data=in_chunks(b" " * (LARGEST + MIB)), headers=JSON)
    assert answer.status == 413
    assert "64 MiB" in answer.body["message"]


async def test_a_known_caller_may_send_more_in_whatever_way(world: World) -> None:
    master = await world.master()
    ways: list[tuple[Any, dict[str, str]]] = [
        (io.BytesIO(LARGE), JSON),
        (in_chunks(LARGE), JSON),
        (gzip.compress(LARGE, mtime=0), encoded_as("gzip")),
    ]
    assert len(LARGE) > LARGEST_OF_ANYBODY
    answers = [await master.post("/patient", data=data, headers=headers) for data, headers in ways]
    assert [answer.status for answer in answers] == [200, 409, 409]
    wrong = world.with_headers({"Authorization": "Bearer a.b.c"})
    answer = await wrong.post(
        "/patient", data=gzip.compress(LARGE, mtime=0), headers=encoded_as("gzip")
    )
    assert answer.status == 401


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_what_would_inflate_to_much_is_never_inflated(world: World, known: bool) -> None:
    caller: Client = await world.master() if known else world.anonymous
    body = bomb(300)
    assert len(body) < 400 * 1024
    tracemalloc.start()
    try:
        answer = await caller.post(
            "/patient" if known else "/auth/login", data=body, headers=encoded_as("gzip")
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 413
    assert peak < (3 * LARGEST if known else 10 * MIB)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "deflate", "identity"])
async def test_bodies_may_be_compressed(world: World, encoding: str) -> None:
    master = world.sandbox.master_hcp
    body = json.dumps({"username": master.login, "password": master.password}).encode()
    others: dict[str, Callable[[bytes], bytes]] = {"deflate": zlib.compress, "identity": bytes}
    compress = others.get(encoding, gzip.compress)
    answer = await world.anonymous.post(
        "/auth/login", data=compress(body), headers=encoded_as(encoding)
    )
    assert answer.status == 200


GZIPPED = gzip.compress(b'{"username": "a", "password": "b"}', mtime=0)


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", b"no gzip at all"),
        ("gzip", b'{"username": "a"}'),
        ("gzip", GZIPPED[:-4]),
        ("gzip", GZIPPED[:12]),
        ("gzip", GZIPPED + b"x"),
        ("gzip", GZIPPED[:20] + b"\xff\xff" + GZIPPED[22:]),
        ("deflate", GZIPPED),
        ("br", b"\x0b\x02\x80"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("gzip, gzip", gzip.compress(GZIPPED, mtime=0)),
        ("nonsense", b"{}"),
    ],
)
async def test_a_body_that_is_not_what_its_encoding_says_is_refused(
    world: World, encoding: str, data: bytes
) -> None:
    answer = await world.anonymous.post("/auth/login", data=data, headers=encoded_as(encoding))
    assert answer.status == 400
    assert answer.body["message"]


async def test_broken_chunks_are_refused(world: World) -> None:
    url = urlsplit(world.sandbox.icure_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(
        b"POST /rest/v1/auth/login HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'5\r\n{"a":\r\nzz\r\n'
    )
    first = await asyncio.wait_for(reader.readline(), timeout=5)
    writer.close()
    assert b" 400 " in first


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application", "; a=b", ""]
)
async def test_what_is_not_said_to_be_json_is_refused(world: World, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    answer = await world.anonymous.post("/auth/login", data=b'{"username": "a"}', headers=headers)
    assert answer.status == 400
    assert "application/json" in answer.body["message"]


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json"],
)
async def test_what_is_said_to_be_json_is_read(world: World, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    answer = await world.anonymous.post("/auth/login", data=b'{"username": "a"}', headers=headers)
    assert answer.status == 401


@pytest.mark.parametrize(
    "data",
    [b"{", b"\xff", b"\xef\xbb\xbf{}", b"{}{}", b"NaN", b'{"a": 1e999}', b'"\\ud800"',
     b"[" * 100_000, '{"a": 1}'.encode("utf-16"), b"{'a': 1}"],
)  # fmt: skip
async def test_malformed_json_is_refused(world: World, data: bytes) -> None:
    for caller, path in ((world.anonymous, "/auth/login"), (await world.master(), "/patient")):
        answer = await caller.post(path, data=data, headers=JSON)
        assert answer.status == 400
        assert answer.body["message"]


@pytest.mark.parametrize(
    "path", ["/user/%ff", "/user/%00", "/user/%ed%a0%80", "/user/%F0%9F%98%80"]
)
async def test_odd_paths_are_answered_without_an_error_of_the_sandbox(
    world: World, path: str
) -> None:
    assert (await (await world.master()).get(path)).status in (400, 404)
