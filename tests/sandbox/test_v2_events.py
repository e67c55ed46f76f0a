"""The websocket of rest/v2: it takes a JWT, and tells in the form that is asked for."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Client, Json, World, bearer, golden_stage
from tests.support.today import (
    SECRET,
    Today,
    access_key,
    delegation,
    delegation_key,
    keys_header,
    seed_of_people,
)

CLASSES = {
    "patient": "org.taktik.icure.entities.Patient",
    "helement": "org.taktik.icure.entities.HealthElement",
    "contact": "org.taktik.icure.entities.Contact",
    "maintenancetask": "org.taktik.icure.entities.MaintenanceTask",
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


def record(kind: str, record_id: str, delegations: Json) -> Json:
    named = {"firstName": "Robb"} if kind == "patient" else {}
    metadata = {"securityMetadata": {"secureDelegations": delegations}}
    return {"id": record_id, **named, **metadata}


def of_doc() -> Json:
    return {delegation_key("root"): delegation("doc", "doc")}


async def create(client: Client, kind: str, record_id: str, delegations: Json) -> Json:
    answer = await client.post(f"/{kind}", record(kind, record_id, delegations))
    assert answer.status == 200, answer.body
    stored: Json = answer.body
    return stored


@pytest.mark.parametrize("kind", ["patient", "helement", "contact", "maintenancetask"])
async def test_events_come_in_the_form_of_the_subscription(strict_today: Today, kind: str) -> None:
    async with (
        subscribed(strict_today, "doc", kind, useCardinalModelSerialization=True) as standard,
        subscribed(strict_today, "doc", kind) as full,
    ):
        await create(strict_today["doc"], kind, "new", of_doc())
        seen, complete = await received(standard), await received(full)
        assert seen == (await strict_today["doc"].standard.get(f"/{kind}/new")).body
        assert complete == (await strict_today["doc"].get(f"/{kind}/new")).body
        assert complete["tags"] == []


async def test_users_are_told_of_without_their_secrets(strict_today: Today) -> None:
    async with subscribed(strict_today, "doc", "user") as socket:
        user = {"id": "new", "login": "new", "patientId": "pat", "passwordHash": "a-password"}
        assert (await strict_today.master.post("/user", user)).status == 200
        seen = await received(socket)
        assert (seen["id"], seen["passwordHash"]) == ("new", "*")
        assert "applicationTokens" not in seen


async def test_an_anonymous_delegate_shows_its_keys(strict_today: Today) -> None:
    hidden = {
        **of_doc(),
        delegation_key("p"): delegation("doc", None, "root"),
    }
    keys = keys_header("p")["Icure-Access-Control-Keys"]
    async with (
        subscribed(strict_today, "pat", accessControlKeys=[keys]) as known,
        subscribed(strict_today, "pat") as unknown,
        subscribed(strict_today, "other", accessControlKeys=[]) as other,
    ):
        await create(strict_today["doc"], "patient", "new", hidden)
        assert (await received(known))["id"] == "new"
        await nothing_comes(unknown)
        await nothing_comes(other)
    assert base64.b64decode(keys) == access_key("p")


@pytest.mark.parametrize(
    "body",
    [
        {"entityClass": "org.taktik.icure.entities.Unknown"},
        {"accessControlKeys": "text"},
        {"accessControlKeys": ["no base64"]},
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
