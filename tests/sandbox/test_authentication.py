from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Client, Json, World, basic, bearer, encoded, me

PHONE = "+32588235595"


def claims_of(token: str) -> Json:
    payload = token.split(".")[1]
    claims: Json = json.loads(base64.b64decode(payload, validate=True))
    return claims


async def tokens_of(world: World) -> Json:
    master = world.sandbox.master_hcp
    body = {"username": master.login, "password": master.password}
    tokens: Json = (await world.anonymous.post("/auth/login", body)).body
    return tokens


async def refresh(world: World, token: str) -> Any:
    return await world.anonymous.post("/auth/refresh", headers={"Refresh-Token": token})


async def test_a_login_says_who_logged_in(world: World) -> None:
    master = world.sandbox.master_hcp
    answer = await tokens_of(world)
    assert answer["successful"] is True
    assert answer["username"] == master.login
    assert answer["userId"] == master.user_id
    assert answer["dataOwnerId"] == answer["healthcarePartyId"] == master.data_owner_id
    assert answer["groupId"] == "sandbox"


@pytest.mark.parametrize(
    "credentials",
    [
        {"username": "sandbox-master", "password": "wrong"},
        {"username": "nobody", "password": "something"},
        {"username": "sandbox-master", "password": ""},
        {"username": "sandbox-master"},
        {},
    ],
)
async def test_a_failed_login_is_told_as_the_backend_does(world: World, credentials: Json) -> None:
    for path in ("/auth/login", "/auth/check"):
        answer = await world.anonymous.post(path, credentials)
        assert (answer.status, answer.body) == (401, {"successful": False})


async def test_check_and_logout_succeed(world: World) -> None:
    master = world.sandbox.master_hcp
    body = {"username": master.login, "password": master.password}
    assert (await world.anonymous.post("/auth/check", body)).body == {"successful": True}
    assert (await world.anonymous.get("/auth/logout")).body == {"successful": True}


async def test_tokens_decode_as_plain_base64_and_carry_the_claims(world: World) -> None:
    master = world.sandbox.master_hcp
    answer = await tokens_of(world)
    access, refreshing = claims_of(answer["token"]), claims_of(answer["refreshToken"])
    assert access["u"] == refreshing["u"] == master.user_id
    assert (access["doId"], access["doTp"], access["hh"]) == (master.data_owner_id, "hcp", [])
    assert "ROLE_HCP" in access["a"]
    assert refreshing["jwtD"] == 3600
    assert refreshing["exp"] - access["exp"] == 86400 - 3600
    header = json.loads(base64.urlsafe_b64decode(answer["token"].split(".")[0] + "=="))
    assert header["alg"] == "RS256"
    assert header["kid"]


async def test_odd_ids_do_not_make_tokens_that_clients_cannot_decode(world: World) -> None:
    master = await world.master()
    user_id = "~~~>>>é~ÿ\U0001f43a"
    await master.created("/user", {"id": user_id, "login": "wolf", "passwordHash": "winterfell"})
    body = {"username": "wolf", "password": "winterfell"}
    token = (await world.anonymous.post("/auth/login", body)).body["token"]
    assert claims_of(token)["u"] == user_id
    assert (await me(world.with_headers(bearer(token))))["id"] == user_id


async def test_an_access_token_expires_and_can_be_refreshed(world: World) -> None:
    answer = await tokens_of(world)
    client = world.with_headers(bearer(answer["token"]))
    world.sandbox.advance_clock(3605)
    assert (await client.get("/user/current")).status == 200  # within the clock skew
    world.sandbox.advance_clock(10)
    expired = await client.get("/user/current")
    assert expired.status == 401
    assert expired.body["message"]

    refreshed = await refresh(world, answer["refreshToken"])
    assert refreshed.status == 200
    assert set(refreshed.body) == {"successful", "token"}
    client = world.with_headers(bearer(refreshed.body["token"]))
    assert (await client.get("/user/current")).status == 200
    assert (await refresh(world, f"Bearer {answer['refreshToken']}")).status == 200

    world.sandbox.advance_clock(86400)
    assert (await refresh(world, answer["refreshToken"])).status == 401


async def test_a_login_may_ask_for_a_shorter_token_only(world: World) -> None:
    master = world.sandbox.master_hcp
    body = {"username": master.login, "password": master.password}
    long = (await world.anonymous.post("/auth/login?duration=999999", body)).body
    short = (await world.anonymous.post("/auth/login?duration=60", body)).body
    assert claims_of(long["refreshToken"])["jwtD"] == 3600
    assert claims_of(long["token"])["exp"] - claims_of(short["token"])["exp"] in (3539, 3540)
    world.sandbox.advance_clock(71)
    assert (await world.with_headers(bearer(short["token"])).get("/user/current")).status == 401


async def test_access_and_refresh_tokens_are_not_interchangeable(world: World) -> None:
    answer = await tokens_of(world)
    client = world.with_headers(bearer(answer["refreshToken"]))
    assert (await client.get("/user/current")).status == 401
    assert (await refresh(world, answer["token"])).status == 401


async def test_forged_tokens_are_refused(world: World) -> None:
    token: str = (await tokens_of(world))["token"]
    header, payload, signature = token.split(".")
    claims = claims_of(token)

    def part(content: Json) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    later = part({**claims, "exp": claims["exp"] + 1_000_000})
    forged = [
        f"{header}.{later}.{signature}",
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{payload}.{signature}",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload}",
        f"{header}.{payload}.",
        "a.b.c",
        "..",
        "nonsense",
        "é.é.é",
    ]
    for candidate in forged:
        answer = await world.with_headers(bearer(candidate)).get("/user/current")
        assert answer.status == 401, candidate
        assert (await refresh(world, candidate)).status == 401, candidate


async def test_a_token_of_another_sandbox_is_refused(
    world: World, session: aiohttp.ClientSession
) -> None:
    seed = await world.sandbox.export()
    async with Sandbox(seed=seed) as other:
        foreign = await tokens_of(World(other, session))
    client = world.with_headers(bearer(foreign["token"]))
    assert (await client.get("/user/current")).status == 401


async def test_basic_works_everywhere_with_every_name_of_a_user(world: World) -> None:
    ned = await world.register(PHONE)
    user = await me(ned)
    secret = (await ned.post(f"/user/token/{user['id']}/key?tokenValidity=60")).body
    for name in (user["id"], PHONE, "+32 588 23 55 95", "0588235595", "588235595"):
        client = world.with_headers(basic(name, secret))
        assert (await me(client))["id"] == user["id"], name
    for header in (basic(PHONE, "wrong"), {"Authorization": "Basic !"}, {"Authorization": "Basic"}):
        assert (await world.with_headers(header).get("/user/current")).status == 401


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
async def test_basic_credentials_may_be_latin_1_or_utf_8(world: World, encoding: str) -> None:
    await (await world.master()).created("/user", {"login": "zoë", "passwordHash": "ångström-é"})
    credentials = base64.b64encode("zoë:ångström-é".encode(encoding)).decode()
    client = world.with_headers({"Authorization": f"Basic {credentials}"})
    assert (await me(client))["login"] == "zoë"


async def test_the_secret_decides_between_users_of_the_same_name(world: World) -> None:
    master = await world.master()
    first = {"login": "arya@x.example", "passwordHash": "needle-1"}
    await master.created("/user", first)
    await master.created(
        "/user", {"login": "arya", "email": "arya@x.example", "passwordHash": "needle-2"}
    )
    for secret, login in (("needle-1", "arya@x.example"), ("needle-2", "arya")):
        assert (await me(await world.login("arya@x.example", secret)))["login"] == login


async def test_without_jwt_basic_is_what_remains(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    async with Sandbox(database=fresh) as sandbox:
        token = (await tokens_of(World(sandbox, session)))["token"]
    async with Sandbox(database=fresh, jwt=False) as sandbox:
        world = World(sandbox, session)
        answer = await tokens_of(world)
        assert answer["successful"] is True
        assert "token" not in answer
        assert "refreshToken" not in answer
        master = sandbox.master_hcp
        client = world.with_headers(basic(master.login, master.password))
        assert (await me(client))["id"] == master.user_id
        assert (await world.with_headers(bearer(token)).get("/user/current")).status == 401


@pytest.mark.parametrize("how", ["deleted", "disabled"])
async def test_who_was_put_out_can_neither_log_in_nor_refresh(world: World, how: str) -> None:
    master = await world.master()
    user = await master.created("/user", {"login": "theon", "passwordHash": "ironborn-1"})
    body = {"username": "theon", "password": "ironborn-1"}
    tokens = (await world.anonymous.post("/auth/login", body)).body
    if how == "deleted":
        await master.delete(f"/user/{user['id']}")
    else:
        await master.put("/user", {**user, "status": "DISABLED"})
    assert (await world.anonymous.post("/auth/login", body)).status == 401
    assert (await refresh(world, tokens["refreshToken"])).status == 401
    client = world.with_headers(basic("theon", "ironborn-1"))
    assert (await client.get("/user/current")).status == 401


async def long_lived(client: Client, name: str, parameters: str = "") -> str:
    answer = await client.post(f"/user/token/{encoded(name)}/a-key{parameters}")
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"].startswith("text/plain")
    secret: str = answer.body
    return secret


async def test_tokens_live_as_long_as_asked_and_one_per_key(world: World) -> None:
    ned = await world.register(PHONE)
    first = await long_lived(ned, PHONE, "?tokenValidity=315360000")
    second = await long_lived(ned, (await me(ned))["id"])
    body = {"username": PHONE, "password": first}
    assert (await world.anonymous.post("/auth/login", body)).status == 401  # was replaced
    await world.login(PHONE, second)
    world.sandbox.advance_clock(3601)
    body = {"username": PHONE, "password": second}
    assert (await world.anonymous.post("/auth/login", body)).status == 401


async def test_a_token_without_end_never_expires(world: World) -> None:
    ned = await world.register(PHONE)
    secret = await long_lived(ned, PHONE, "?tokenValidity=-1")
    world.sandbox.advance_clock(10 * 365 * 86400)
    await world.login(PHONE, secret)


async def test_a_token_may_be_chosen_and_checked(world: World) -> None:
    ned = await world.register(PHONE)
    path = f"/user/token/{encoded(PHONE)}"
    answer = await ned.post(f"{path}/key", headers={"token": "winter-is-coming"})
    assert answer.body == "winter-is-coming"
    await world.login(PHONE, "winter-is-coming")
    for token, expected in (("winter-is-coming", True), ("summer", False)):
        checked = await ned.get(path, headers={"token": token})
        assert checked.body is expected
    for validity in ("0", "-2", "soon"):
        assert (await ned.post(f"{path}/key?tokenValidity={validity}")).status == 400
