"""The sandbox's websocket: who may connect, and who is told of what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from icure_async.sandbox import Sandbox
from tests.support.bare_client import World

PATIENT = "org.taktik.icure.entities.Patient"
USER = "org.taktik.icure.entities.User"
TICKET = "/auth/token/GET/%2Fws%2Fv1%2Fnotification"


def credentials(sandbox: Sandbox) -> dict[str, str]:
    master = sandbox.master_hcp
    return {"Authorization": aiohttp.encode_basic_auth(master.login, master.password)}


async def ticket(world: World, path: str = TICKET, headers: Any = None) -> str:
    from yarl import URL

    url = URL(world.sandbox.icure_url + path, encoded=True)
    headers = headers or credentials(world.sandbox)
    async with world.session.get(url, headers=headers) as answer:
        assert answer.status == 200
        return await answer.text()


def url_with(world: World, token: str | None) -> str:
    root = world.sandbox.icure_url.replace("/rest/v1", "/ws/v1/notification/subscribe")
    return root if token is None else f"{root};tokenid={token}"


@asynccontextmanager
async def subscribed(
    world: World, entity_class: str = PATIENT, *types: str, headers: Any = None, **more: Any
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    token = await ticket(world, headers=headers)
    async with world.session.ws_connect(url_with(world, token)) as socket:
        types = types or ("CREATE", "UPDATE")
        await socket.send_json({"eventTypes": list(types), "entityClass": entity_class, **more})
        # The answer comes when the subscription has been taken.
        await socket.ping()
        await asyncio.sleep(0.02)
        yield socket


async def create(world: World, patient_id: str, **members: Any) -> dict[str, Any]:
    patient = {"id": patient_id, "firstName": "Jon", "lastName": "Snow", **members}
    created: dict[str, Any] = await send(world, "POST", "/patient", patient)
    return created


async def send(world: World, method: str, path: str, body: Any = None) -> Any:
    async with world.session.request(
        method, world.sandbox.icure_url + path, json=body, headers=credentials(world.sandbox)
    ) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def received(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.receive_str(timeout=5))
    return message


async def nothing_comes(socket: aiohttp.ClientWebSocketResponse) -> None:
    with pytest.raises(TimeoutError):
        await socket.receive(timeout=0.1)


async def refused(world: World, token: str | None) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await world.session.ws_connect(url_with(world, token))
    assert caught.value.status == 401


async def test_a_token_opens_one_connection(world: World) -> None:
    token = await ticket(world)
    async with world.session.ws_connect(url_with(world, token)):
        await refused(world, token)
    await refused(world, token)


@pytest.mark.parametrize("token", [None, "", "7d3e647a-8ff2-4ce5-b9c6-e129be2c76cc"])
async def test_nobody_gets_in_without_a_token(world: World, token: str | None) -> None:
    await refused(world, token)


@pytest.mark.parametrize("path", ["/auth/token/POST/%2Fws%2Fv1", "/auth/token/GET/%2Frest"])
async def test_a_token_is_for_its_method_and_path(world: World, path: str) -> None:
    await refused(world, await ticket(world, path))


async def test_a_token_ends(world: World) -> None:
    token = await ticket(world)
    world.sandbox.advance_clock(301)
    await refused(world, token)


async def test_each_save_is_one_message_without_an_envelope(world: World) -> None:
    async with subscribed(world) as socket:
        created = await create(world, "p")
        assert await received(socket) == created
        changed = await send(world, "PUT", "/patient", {**created, "firstName": "Jonny"})
        assert await received(socket) == changed
        await send(world, "DELETE", "/patient/p")
        deleted = await received(socket)
        assert deleted["deletionDate"] > 0
        assert "_type" not in created or created["_type"] == PATIENT


@pytest.mark.parametrize(("types", "count"), [(["CREATE"], 1), (["UPDATE"], 2), (["DELETE"], 0)])
async def test_only_events_of_the_types_come(world: World, types: list[str], count: int) -> None:
    async with subscribed(world, PATIENT, *types) as socket:
        created = await create(world, "p")
        await send(world, "PUT", "/patient", {**created, "firstName": "Jonny"})
        await send(world, "DELETE", "/patient/p")
        for _ in range(count):
            await received(socket)
        await nothing_comes(socket)


async def test_a_filter_looks_at_the_new_state_and_at_deletions(world: World) -> None:
    owner = world.sandbox.master_hcp.data_owner_id
    delegations = {owner: [{"owner": owner, "delegatedTo": owner, "key": "00"}]}
    wanted = {
        "healthcarePartyId": owner,
        "gender": "female",
        "$type": "PatientByHcPartyGenderEducationProfession",
    }
    async with subscribed(world, filter={"filter": wanted}) as socket:
        created = await create(world, "p", delegations=delegations, gender="male")
        changed = await send(world, "PUT", "/patient", {**created, "gender": "female"})
        assert await received(socket) == changed
        await send(world, "DELETE", "/patient/p")
        assert (await received(socket))["deletionDate"]
        await nothing_comes(socket)


async def test_what_is_not_stored_is_told_nobody(world: World) -> None:
    async with subscribed(world) as socket:
        await create(world, "p")
        await received(socket)
        async with world.session.post(
            world.sandbox.icure_url + "/patient",
            json={"id": "p", "firstName": "Jon", "lastName": "Snow"},
            headers=credentials(world.sandbox),
        ) as answer:
            assert answer.status == 409
        await nothing_comes(socket)


BROKEN: list[Any] = [
    "no json",
    "[]",
    "{}",
    {"eventTypes": [], "entityClass": PATIENT},
    {"eventTypes": ["SAVE"], "entityClass": PATIENT},
    {"eventTypes": "CREATE", "entityClass": PATIENT},
    {"eventTypes": ["CREATE"], "entityClass": "org.taktik.icure.entities.Nothing"},
    {"eventTypes": ["CREATE"], "entityClass": PATIENT, "filter": {"filter": {"$type": "x"}}},
    {"eventTypes": ["CREATE"], "entityClass": PATIENT, "filter": {"filter": 5}},
    b"binary",
]


@pytest.mark.parametrize("first", BROKEN, ids=repr)
async def test_a_subscription_that_makes_no_sense_is_refused(world: World, first: Any) -> None:
    async with world.session.ws_connect(url_with(world, await ticket(world))) as socket:
        if isinstance(first, bytes):
            await socket.send_bytes(first)
        else:
            await socket.send_str(first if isinstance(first, str) else json.dumps(first))
        message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)


async def test_pings_come_in_their_interval_whatever_else_is_sent(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    async with Sandbox(database=fresh, ping_interval=0.1) as sandbox:
        world = World(sandbox, session)
        async with subscribed(world) as socket:
            texts: list[str] = []
            for number in range(6):
                await create(world, f"p{number}")
                await asyncio.sleep(0.05)
            async with asyncio.timeout(5):
                while texts.count("ping") < 2:
                    texts.append(await socket.receive_str())
            await socket.send_str("pong")
            assert texts.count("ping") == 2


@pytest.mark.parametrize("interval", [0, -1])
def test_an_interval_that_makes_no_sense_is_refused(interval: float) -> None:
    with pytest.raises(ValueError, match="ping_interval"):
        Sandbox(ping_interval=interval)


async def test_closing_the_sandbox_closes_the_websockets(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    sandbox = Sandbox(database=fresh)
    await sandbox.start()
    async with subscribed(World(sandbox, session)) as socket:
        await asyncio.wait_for(sandbox.aclose(), 10)
        assert (await socket.receive(timeout=5)).data == 1001


async def test_who_does_not_read_holds_up_nobody_and_is_disconnected(world: World) -> None:
    async with subscribed(world) as socket:
        transport = socket.get_extra_info("socket")
        assert transport is not None
        # Nothing is read here while all this is written.
        for start in range(0, 4000, 100):
            patients = [
                {"id": f"p{n}", "lastName": "Snow", "encryptedSelf": "x" * 4000}
                for n in range(start, start + 100)
            ]
            async with asyncio.timeout(30):
                await send(world, "POST", "/patient/batch", patients)
        closed = False
        async with asyncio.timeout(20):
            while not closed:
                message = await socket.receive()
                closed = message.type is not aiohttp.WSMsgType.TEXT


async def test_users_of_the_strict_profile_hear_of_themselves_only(strict: World) -> None:
    master = await send(strict, "GET", "/user/current")
    async with subscribed(strict, USER, "UPDATE") as socket:
        await send(strict, "PUT", "/user", {**master, "name": "Master"})
        assert (await received(socket))["name"] == "Master"
        assert "passwordHash" not in master or master["passwordHash"] == "*"
