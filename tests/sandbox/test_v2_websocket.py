"""The websocket of rest/v2: it takes a JWT, and a group hears nothing of another one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Json, World, bearer, golden_stage
from tests.support.today import SECRET, Today, seed_of_people

CLASSES = {
    "patient": "org.taktik.icure.entities.Patient",
    "user": "org.taktik.icure.entities.User",
}


@pytest.fixture
async def strict_today(session: aiohttp.ClientSession) -> AsyncIterator[Today]:
    """A sandbox of the strict profile that issues tokens."""
    async with Sandbox(seed=seed_of_people(), profile="strict") as sandbox:
        yield Today(sandbox, session)


def url_of(sandbox: Sandbox) -> str:
    return sandbox.backend_url.replace("http", "ws", 1) + "/ws/v2/notification/subscribe"


async def token_of(today: Today, name: str) -> str:
    world = World(today.sandbox, today.session)
    client = await world.login_v2(name, SECRET)
    return client.headers["Authorization"].removeprefix("Bearer ")


@asynccontextmanager
async def subscribed(
    today: Today, name: str, kind: str = "patient", **more: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    headers = bearer(await token_of(today, name))
    async with today.session.ws_connect(url_of(today.sandbox), headers=headers) as socket:
        body = {"eventTypes": ["CREATE", "UPDATE"], "entityClass": CLASSES[kind], **more}
        await socket.send_json(body)
        # The answer comes when the subscription has been taken.
        await socket.ping()
        await asyncio.sleep(0.02)
        yield socket


async def received(socket: aiohttp.ClientWebSocketResponse) -> Json:
    message: Json = json.loads(await socket.receive_str(timeout=5))
    return message


async def nothing_comes(socket: aiohttp.ClientWebSocketResponse) -> None:
    with pytest.raises(TimeoutError):
        await socket.receive(timeout=0.1)


async def test_users_are_told_of_without_their_secrets(strict_today: Today) -> None:
    async with subscribed(strict_today, "doc", "user") as socket:
        user = {"id": "new", "login": "new", "patientId": "pat", "passwordHash": "a-password"}
        assert (await strict_today.master.post("/user", user)).status == 200
        seen = await received(socket)
        assert (seen["id"], seen["passwordHash"]) == ("new", "*")
        assert "applicationTokens" not in seen


@pytest.mark.parametrize(
    "body",
    [
        {"entityClass": "org.taktik.icure.entities.Unknown"},
        {"eventTypes": []},
    ],
)
async def test_a_malformed_subscription_is_closed(strict_today: Today, body: Json) -> None:
    async with subscribed(strict_today, "doc", **body) as socket:
        message = await socket.receive(timeout=5)
        assert message.type == aiohttp.WSMsgType.CLOSE
        assert message.data == aiohttp.WSCloseCode.POLICY_VIOLATION


async def test_the_token_may_be_in_the_query_and_has_to_be_good(strict_today: Today) -> None:
    url, token = url_of(strict_today.sandbox), await token_of(strict_today, "doc")
    async with strict_today.session.ws_connect(f"{url}?jwt={token}") as socket:
        assert not socket.closed
    for headers in ({}, bearer("no"), bearer(token + "x")):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await strict_today.session.ws_connect(url, headers=headers)
        assert caught.value.status == 401
    strict_today.sandbox.advance_clock(3700)
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await strict_today.session.ws_connect(url, headers=bearer(token))


async def test_a_group_hears_nothing_of_another_one(session: aiohttp.ClientSession) -> None:
    async with Sandbox() as sandbox:
        world = World(sandbox, session)
        there = await sandbox.create_group("south")
        south = await world.login_v2(there.login, there.password)
        async with session.ws_connect(url_of(sandbox), headers=south.headers) as socket:
            await socket.send_json({"eventTypes": ["CREATE"], "entityClass": CLASSES["patient"]})
            await socket.ping()
            await asyncio.sleep(0.02)
            await (await world.master()).created("/patient", {"lastName": "Stark"})
            await nothing_comes(socket)
            await south.created("/patient", {"lastName": "Lannister"})
            assert (await received(socket))["lastName"] == "Lannister"


async def test_the_socket_of_v2_takes_no_ticket_of_v1(session: aiohttp.ClientSession) -> None:
    async with Sandbox(seed=golden_stage("1-shared")) as sandbox:
        master = await World(sandbox, session).master()
        ticket = (await master.get("/auth/token/GET/%2Fws%2Fv2%2Fnotification")).body
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{url_of(sandbox)}?jwt={ticket}")
