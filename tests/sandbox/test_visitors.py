"""Host names that the sandbox answers to, and web pages that may call it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Answer, Client, World, encoded

PHONE = "+32588235595"
APP = "https://app.example"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


async def called_as(world: World, host: str, path: str = "/icure/ok") -> Answer:
    return await world.anonymous.get(path, headers={"Host": host})


@pytest.fixture
async def welcoming(session: aiohttp.ClientSession, fresh: Path) -> AsyncIterator[World]:
    """A sandbox that was told of a host name and of two origins."""
    async with Sandbox(
        database=fresh,
        allow_hosts=["sandbox.internal", "192.0.2.7"],
        allow_origins=[f"{APP.upper()}/", "null"],
    ) as sandbox:
        yield World(sandbox, session)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:16044", "localhost.", "app.localhost:80", "127.0.0.1", "127.1.2.3:5",
     "[::1]", "[::1]:16044", "[::ffff:127.0.0.1]:1"],
)  # fmt: skip
async def test_the_names_of_loopback_are_answered(world: World, host: str) -> None:
    assert (await called_as(world, host)).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:16044", "localhost.evil.example", "127.0.0.1.evil.example",
     "192.0.2.7", "[2001:db8::1]", "0.0.0.0", "sandbox.internal", "notlocalhost"],
)  # fmt: skip
async def test_a_name_that_is_not_the_sandboxs_is_refused(world: World, host: str) -> None:
    for path in ("/icure/ok", "/user/current", "/no/such/path"):
        answer = await called_as(world, host, path)
        assert answer.status == 421
        assert "allow_hosts" in answer.body["message"]
        assert "--allow-host" in answer.body["message"]
    await world.start(PHONE)
    mailbox = await world.gateway.get(f"/lastSMS/{encoded(PHONE)}", headers={"Host": host})
    assert mailbox.status == 421


@pytest.mark.parametrize("host", ["", " ", "a b", "a/b", "a@b", "[::1", "::1", "x:y", "a,b"])
async def test_a_malformed_name_is_refused(world: World, host: str) -> None:
    answer = await called_as(world, host)
    assert answer.status == 400
    assert "Host" in answer.body["message"]


async def test_a_request_names_one_host(world: World) -> None:
    url = urlsplit(world.sandbox.icure_url)
    for rest in (
        b"HTTP/1.0\r\n\r\n",
        b"HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(b"GET /rest/v1/icure/ok " + rest)
        first = await asyncio.wait_for(reader.readline(), timeout=5)
        writer.close()
        await writer.wait_closed()
        assert b" 400 " in first


async def test_the_address_it_listens_on_is_answered_and_no_other(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    async with Sandbox(database=fresh, host="0.0.0.0") as sandbox:
        world = World(sandbox, session)
        assert sandbox.icure_url.startswith("http://127.0.0.1:")
        assert (await world.anonymous.get("/icure/ok")).status == 200
        assert (await called_as(world, "192.0.2.7")).status == 421
        assert (await called_as(world, "evil.example")).status == 421


@needs_ipv6
@pytest.mark.parametrize("host", ["::1", "::"])
async def test_ipv6_has_urls_that_work(
    session: aiohttp.ClientSession, fresh: Path, host: str
) -> None:
    async with Sandbox(database=fresh, host=host) as sandbox:
        assert sandbox.icure_url.startswith("http://[::1]:")
        assert sandbox.msg_gw_url.startswith("http://[::1]:")
        assert (await World(sandbox, session).anonymous.get("/icure/ok")).status == 200


async def test_further_names_are_answered_when_asked_for(welcoming: World) -> None:
    for host in ("sandbox.internal", "Sandbox.Internal.:16044", "192.0.2.7:1", "localhost"):
        assert (await called_as(welcoming, host)).status == 200
    assert (await called_as(welcoming, "evil.example")).status == 421


def from_page(origin: str) -> dict[str, str]:
    return {"Origin": origin}


@pytest.mark.parametrize(
    "origin",
    [APP, "null", "http://localhost:3000", "http://127.0.0.1", "https://127.0.0.1", "chrome://x"],
)
async def test_no_other_origin_reads_or_does_anything_by_default(world: World, origin: str) -> None:
    await world.start(PHONE)
    gateway = world.gateway
    process = "/process/patient-sms/00000000-0000-4000-8000-000000000000"
    body = {"g-recaptcha-response": "solved", "mobilePhone": PHONE}
    answers = [
        await gateway.get(f"/lastSMS/{encoded(PHONE)}", headers=from_page(origin)),
        await gateway.post(process, body, headers=from_page(origin)),
        await gateway.send("OPTIONS", process, headers=from_page(origin)),
        await world.anonymous.get("/no/such/path", headers=from_page(origin)),
        await (await world.master()).get("/user/current", headers=from_page(origin)),
    ]
    for answer in answers:
        assert answer.status == 403
        assert "--allow-origin" in answer.body["message"]
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]


async def test_answers_can_not_be_embedded_by_other_pages(world: World) -> None:
    answer = await world.anonymous.get("/icure/ok")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name in answer.headers if name.startswith("Access-Control-")]


async def test_pages_of_the_sandbox_itself_may_call_it(world: World) -> None:
    own = world.sandbox.icure_url.removesuffix("/rest/v1")
    assert (await world.anonymous.get("/icure/ok", headers=from_page(own))).status == 200


async def test_an_origin_that_was_asked_for_may_call_and_read(welcoming: World) -> None:
    asked = from_page(APP) | {"Access-Control-Request-Headers": "authorization,content-type"}
    preflight = await welcoming.anonymous.send("OPTIONS", "/patient", headers=asked)
    assert preflight.status == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == APP
    assert preflight.headers["Access-Control-Allow-Credentials"] == "true"
    assert "PUT" in preflight.headers["Access-Control-Allow-Methods"]
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    for path, status in (("/icure/ok", 200), ("/user/current", 401), ("/nowhere", 404)):
        answer = await welcoming.anonymous.get(path, headers=from_page(APP))
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert answer.headers["Access-Control-Expose-Headers"] == "X-Request-Id"
        assert answer.headers["Vary"] == "Origin"
    local = await welcoming.anonymous.get("/icure/ok", headers=from_page("null"))
    assert local.headers["Access-Control-Allow-Origin"] == "null"
    for other in (
        "https://other.example",
        f"{APP}:444",
        f"{APP}.evil.example",
        "http://app.example",
    ):
        refused = await welcoming.anonymous.get("/icure/ok", headers=from_page(other))
        assert refused.status == 403


@pytest.mark.parametrize(
    "wrong",
    [{"allow_origins": ["*"]}, {"allow_origins": ["app.example"]}, {"allow_hosts": ["a:80"]},
     {"allow_origins": ["https://app.example/path"]}, {"allow_origins": [""]},
     {"allow_hosts": ["http://a"]}, {"allow_hosts": [""]}, {"allow_hosts": ["a b"]}],
    ids=json.dumps,
)  # fmt: skip
def test_what_is_no_origin_or_name_is_a_mistake(wrong: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sandbox(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["allow_hosts", "allow_origins"])
def test_one_text_is_no_list_of_texts(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        Sandbox(**{name: "localhost"})  # type: ignore[arg-type]


async def test_a_client_that_is_no_browser_needs_nothing(world: World) -> None:
    client = Client(world.session, world.sandbox.icure_url, {"User-Agent": "curl/8"})
    assert (await client.get("/icure/ok")).status == 200
