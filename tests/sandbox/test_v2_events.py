"""Events of records of today: told to members, and to those who show a key."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from icure_async.sandbox import Sandbox
from tests.sandbox.test_events import nothing_comes, received
from tests.support.bare_client import Json
from tests.support.today import (
    SECRET,
    Today,
    access_key,
    delegation,
    keys_header,
    metadata,
    result_of,
    share,
)

CLASSES = {
    "patient": "org.taktik.icure.entities.Patient",
    "helement": "org.taktik.icure.entities.HealthElement",
    "contact": "org.taktik.icure.entities.Contact",
    "maintenancetask": "org.taktik.icure.entities.MaintenanceTask",
}


@pytest.fixture
async def guarded(session: aiohttp.ClientSession, people: Json) -> AsyncIterator[Today]:
    """People of today, in the strict profile, of a backend that issues tokens."""
    async with Sandbox(seed=people, profile="strict") as sandbox:
        yield Today(sandbox, session)


@asynccontextmanager
async def subscribed(
    world: Today, name: str, kind: str, *keys: str, **more: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    login = await world[name].post("/auth/login", {"username": name, "password": SECRET})
    headers = {"Authorization": f"Bearer {login.body['token']}"}
    url = world.sandbox.icure_v2_url.replace("/rest/v2", "/ws/v2/notification/subscribe")
    message = {
        "eventTypes": ["CREATE", "UPDATE"],
        "entityClass": CLASSES[kind],
        "accessControlKeys": [access_key(key).hex() for key in keys],
        "useCardinalModelSerialization": True,
        **more,
    }
    async with world.session.ws_connect(url, headers=headers) as socket:
        await socket.send_json(message)
        # The answer comes when the subscription has been taken.
        await socket.ping()
        await world[name].get("/user/current")
        yield socket


def body(kind: str, **delegations: Json) -> Json:
    names = {"firstName": "Robb"} if kind == "patient" else {}
    return {**names, **metadata(**delegations)}


@pytest.mark.parametrize("kind", CLASSES)
async def test_members_are_told_in_todays_model_and_others_are_not(
    guarded: Today, kind: str
) -> None:
    async with (
        subscribed(guarded, "doc", kind) as doc,
        subscribed(guarded, "colleague", kind) as colleague,
    ):
        root = delegation("doc", "doc")
        stored = await guarded["doc"].created(f"/{kind}", body(kind, root=root))
        assert await received(doc) == stored
        await nothing_comes(colleague)
        request = share("doc", "colleague", "k")
        result = await result_of(guarded["doc"], stored["id"], request, parents=["root"], kind=kind)
        assert await received(doc) == result["updatedEntity"]
        assert await received(colleague) == result["updatedEntity"]


async def test_a_hidden_member_is_told_if_his_key_is_in_the_subscription(guarded: Today) -> None:
    kind = "patient"
    chain = {"filter": {"$type": "PatientByHcPartyFilter", "healthcarePartyId": "pat"}}
    async with (
        subscribed(guarded, "pat", kind) as without,
        subscribed(guarded, "pat", kind, "mine", "another") as with_key,
        subscribed(guarded, "pat", kind, "mine", filter=chain) as filtered,
        subscribed(guarded, "other", kind, "another") as other,
    ):
        hidden = body(kind, mine=delegation(None, None))
        stored = await guarded["pat"].created("/patient", {**hidden, "encryptedSelf": "AAAA"})
        path = f"/patient/{stored['id']}"
        assert (await guarded["pat"].get(path, headers=keys_header("mine"))).body == stored
        assert await received(with_key) == stored
        assert await received(filtered) == stored
        await nothing_comes(without)
        await nothing_comes(other)


@pytest.mark.parametrize("keys", ["x", ["zz"], [3], ["AB" * 16]])
async def test_malformed_keys_end_a_subscription(guarded: Today, keys: Any) -> None:
    async with subscribed(guarded, "pat", "patient", accessControlKeys=keys) as socket:
        message = await socket.receive(timeout=5)
        assert message.type == aiohttp.WSMsgType.CLOSE
        assert "key" in json.dumps(message.extra).lower()


async def test_those_who_do_not_say_so_are_told_in_full(guarded: Today) -> None:
    more = {"useCardinalModelSerialization": None}
    async with subscribed(guarded, "doc", "patient", **more) as socket:
        root = delegation("doc", "doc")
        await guarded["doc"].created("/patient", body("patient", root=root))
        told = await received(socket)
        assert told["gender"] == "unknown"
        assert told["securityMetadata"]
