from __future__ import annotations

import base64
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Answer, Client, Json, World, basic, bearer, golden_stage, me

BOTH = {"username": "arya", "password": "needle-needle"}
"""A login and a secret that open a user in each of two groups."""


def user(group: str, **members: Any) -> Json:
    return {"id": f"arya-of-{group}", "login": "arya", "groupId": group, **members}


def two_groups() -> Json:
    return {
        "entities": {"user": {"arya-of-north": user("north")}},
        "tokens": {"arya-of-north": ["needle-needle"]},
        "groups": {
            "south": {
                "name": "King's Landing",
                "entities": {"user": {"arya-of-south": user("south", email="arya@x.example")}},
                "tokens": {"arya-of-south": ["needle-needle"]},
            }
        },
    }


def claims_of(token: str) -> Json:
    payload = token.split(".")[1]
    claims: Json = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


async def tokens_of(world: World, body: Json | None = None, parameters: str = "") -> Json:
    master = world.sandbox.master_hcp
    body = body or {"username": master.login, "password": master.password}
    answer = await world.anonymous_v2.post(f"/auth/login{parameters}", body)
    assert answer.status == 200, answer.body
    tokens: Json = answer.body
    return tokens


async def with_refresh_token(world: World, path: str, token: str) -> Answer:
    return await world.anonymous_v2.post(path, headers={"Refresh-Token": token})


def v2(world: World, token: str) -> Client:
    return world.v2(world.with_headers(bearer(token)))


async def test_a_login_answers_tokens_and_nothing_about_the_user(world: World) -> None:
    tokens = await tokens_of(world, parameters="?applicationId=a-project")
    assert set(tokens) == {"token", "refreshToken", "successful"}
    assert tokens["successful"] is True
    claims = claims_of(tokens["token"])
    assert claims["tac"] == 20
    assert isinstance(claims["exp"], int)
    current = await v2(world, tokens["token"]).get("/user/current")
    assert current.body["id"] == world.sandbox.master_hcp.user_id


@pytest.mark.parametrize(
    "credentials",
    [
        {"username": "sandbox-master", "password": "wrong"},
        {"username": "nobody", "password": "something"},
        {"username": "sandbox-master"},
        {},
    ],
)
async def test_a_failed_login_is_a_bare_status(world: World, credentials: Json) -> None:
    for path in ("/auth/login", "/auth/check"):
        answer = await world.anonymous_v2.post(path, credentials)
        assert (answer.status, answer.body) == (401, "")


async def test_a_check_has_no_body(world: World) -> None:
    master = world.sandbox.master_hcp
    body = {"username": master.login, "password": master.password}
    answer = await world.anonymous_v2.post("/auth/check", body)
    assert (answer.status, answer.body) == (204, "")


async def test_a_refreshed_token_has_the_level_and_the_group_of_the_login(world: World) -> None:
    tokens = await tokens_of(world)
    answer = await with_refresh_token(world, "/auth/refresh", tokens["refreshToken"])
    assert set(answer.body) == {"successful", "token"}
    before, after = claims_of(tokens["token"]), claims_of(answer.body["token"])
    assert (after["tac"], after["g"], after["u"]) == (before["tac"], before["g"], before["u"])
    assert (await with_refresh_token(world, "/auth/refresh", tokens["token"])).status == 401


async def test_an_invalidated_refresh_token_buys_nothing(world: World) -> None:
    tokens, others = await tokens_of(world), await tokens_of(world)
    ended = await with_refresh_token(world, "/auth/invalidate", tokens["refreshToken"])
    assert ended.status == 204
    for path in ("/auth/refresh", "/auth/switch/sandbox", "/auth/invalidate"):
        assert (await with_refresh_token(world, path, tokens["refreshToken"])).status == 401
    assert (await with_refresh_token(world, "/auth/refresh", others["refreshToken"])).status == 200


async def test_who_is_in_one_group_matches_one_user(world: World) -> None:
    tokens = await tokens_of(world)
    matches = (await v2(world, tokens["token"]).get("/user/matches")).body
    assert [(match["groupId"], match["userId"]) for match in matches] == [
        ("sandbox", world.sandbox.master_hcp.user_id)
    ]
    assert matches[0]["groupsHierarchy"] == []
    switched = await with_refresh_token(world, "/auth/switch/sandbox", tokens["refreshToken"])
    assert {"token", "refreshToken"} <= switched.body.keys()


async def test_one_secret_may_open_users_of_several_groups(session: aiohttp.ClientSession) -> None:
    async with Sandbox(seed=two_groups()) as sandbox:
        world = World(sandbox, session)
        tokens = await tokens_of(world, BOTH)
        matches = (await v2(world, tokens["token"]).get("/user/matches")).body
        assert [(m["groupId"], m["userId"], m.get("groupName")) for m in matches] == [
            ("north", "arya-of-north", None),
            ("south", "arya-of-south", "King's Landing"),
        ]
        there = await with_refresh_token(world, "/auth/switch/south", tokens["refreshToken"])
        current = (await v2(world, there.body["token"]).get("/user/current")).body
        assert (current["id"], current["groupId"]) == ("arya-of-south", "south")
        back = await with_refresh_token(world, "/auth/switch/north", there.body["refreshToken"])
        assert claims_of(back.body["token"])["u"] == "arya-of-north"
        nowhere = await with_refresh_token(world, "/auth/switch/east", tokens["refreshToken"])
        assert nowhere.status == 403


async def test_a_login_may_name_the_group(session: aiohttp.ClientSession) -> None:
    async with Sandbox(seed=two_groups()) as sandbox:
        world = World(sandbox, session)
        token = (await tokens_of(world, BOTH, "?groupId=south"))["token"]
        assert claims_of(token)["u"] == "arya-of-south"
        assert len((await v2(world, token).get("/user/matches")).body) == 1
        answer = await world.anonymous_v2.post("/auth/login?groupId=east", BOTH)
        assert answer.status == 401


async def test_a_group_sees_nothing_of_another_one(session: aiohttp.ClientSession) -> None:
    async with Sandbox() as sandbox:
        world = World(sandbox, session)
        there = await sandbox.create_group("south", name="King's Landing")
        here = world.with_headers(basic(*credentials(sandbox)))
        south = world.with_headers(basic(there.login, there.password))
        patient = await here.created("/patient", {"lastName": "Stark"})
        other = await south.created("/patient", {"lastName": "Lannister"})
        assert (await south.get(f"/patient/{patient['id']}")).status == 404
        assert (await south.get(f"/hcparty/{sandbox.master_hcp.data_owner_id}")).status == 404
        assert (await here.get(f"/patient/{other['id']}")).status == 404
        everybody = {"$type": "PatientByIdsFilter", "ids": [patient["id"], other["id"]]}
        assert await here.filtered("/patient", everybody) == [patient["id"]]
        assert await south.filtered("/patient", everybody) == [other["id"]]
        assert await sandbox.stored("patient", other["id"]) is None
        stored = await sandbox.stored("patient", other["id"], group_id="south")
        assert (stored or {})["lastName"] == "Lannister"


def credentials(sandbox: Sandbox) -> tuple[str, str]:
    return sandbox.master_hcp.login, sandbox.master_hcp.password


async def test_a_group_is_made_once_and_is_exported(session: aiohttp.ClientSession) -> None:
    async with Sandbox() as sandbox:
        master = await sandbox.create_group("south", name="King's Landing")
        for wrong in ("south", "sandbox", "", "a/b"):
            with pytest.raises(ValueError, match="id of another group"):
                await sandbox.create_group(wrong)
        exported = await sandbox.export()
    async with Sandbox(seed=exported) as sandbox:
        client = await World(sandbox, session).login_v2(master.login, master.password)
        matches = (await client.get("/user/matches")).body
        assert [(match["groupId"], match["groupName"]) for match in matches] == [
            ("south", "King's Landing")
        ]
        assert await sandbox.export() == exported


@pytest.mark.parametrize(
    "groups",
    [
        [],
        {"a/b": {"entities": {}}},
        {"north": {"entities": {}}},
        {"south": []},
        {"south": {"entities": {}, "groups": {}}},
        {"south": {"entities": {"user": {"u": {"id": "u", "groupId": "north"}}}}},
        {"south": {"entities": {}, "name": 7}},
    ],
)
async def test_a_seed_with_malformed_groups_is_refused(groups: Any) -> None:
    with pytest.raises(ValueError, match="group"):
        async with Sandbox(seed={**two_groups(), "groups": groups}):
            pass


async def test_the_golden_people_of_2023_log_in_at_v2(session: aiohttp.ClientSession) -> None:
    stage = golden_stage("1-shared")
    user_id, secrets = next(iter(stage["tokens"].items()))
    async with Sandbox(seed=stage) as sandbox:
        name = stage["entities"]["user"][user_id]["login"]
        client = await World(sandbox, session).login_v2(name, secrets[0])
        assert (await client.get("/user/current")).body["id"] == user_id


async def test_a_database_of_one_group_is_taken_over(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Earlier versions stored no groups."""
    path = tmp_path / "old.sqlite"
    async with Sandbox(database=path, seed=golden_stage("1-shared")) as sandbox:
        before = await sandbox.export()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_AS_BEFORE)
    async with Sandbox(database=path) as sandbox:
        assert await sandbox.export() == before
        there = await sandbox.create_group("south")
        world = World(sandbox, session)
        master = sandbox.master_hcp
        assert (await me(await world.login(master.login, master.password)))["id"] == master.user_id
        assert (await me(await world.login(there.login, there.password)))["groupId"] == "south"
        find = {"$type": "PatientByIdsFilter", "ids": list(before["entities"]["patient"])}
        found = await (await world.master()).filtered("/patient", find)
        assert found == sorted(before["entities"]["patient"])


_AS_BEFORE = """
CREATE TABLE old_entities (
    kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)
);
INSERT INTO old_entities SELECT kind, id, body FROM entities;
CREATE TABLE old_links (
    kind TEXT NOT NULL, relation TEXT NOT NULL, target TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (kind, relation, target, id)
) WITHOUT ROWID;
INSERT INTO old_links SELECT kind, relation, target, id FROM links;
CREATE TABLE old_tokens (
    user_id TEXT NOT NULL, position INTEGER NOT NULL, token TEXT NOT NULL,
    PRIMARY KEY (user_id, position)
) WITHOUT ROWID;
INSERT INTO old_tokens SELECT user_id, position, token FROM seeded_tokens;
DROP TABLE entities;
DROP TABLE links;
DROP TABLE seeded_tokens;
DROP TABLE further_groups;
ALTER TABLE old_entities RENAME TO entities;
ALTER TABLE old_links RENAME TO links;
ALTER TABLE old_tokens RENAME TO seeded_tokens;
CREATE INDEX links_of_entity ON links (kind, id);
PRAGMA application_id = 0;
PRAGMA user_version = 0;
"""


async def test_a_backend_without_tokens_answers_none(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    async with Sandbox(database=fresh, jwt=False) as sandbox:
        world = World(sandbox, session)
        assert await tokens_of(world) == {"successful": True}
        assert (await world.anonymous_v2.get("/auth/publicKey/authJwt")).status == 404
        assert (await with_refresh_token(world, "/auth/refresh", "a.b.c")).status == 401


async def test_tokens_can_be_verified_with_the_published_key(world: World) -> None:
    published = (await world.anonymous_v2.get("/auth/publicKey/authJwt")).body
    key = load_der_public_key(bytes.fromhex(published))
    assert isinstance(key, RSAPublicKey)
    content, _, signature = (await tokens_of(world))["token"].rpartition(".")
    signed = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    key.verify(signed, content.encode(), PKCS1v15(), SHA256())


@pytest.mark.parametrize("how", ["deleted", "disabled"])
async def test_who_was_put_out_of_a_group_is_no_match(
    session: aiohttp.ClientSession, how: str
) -> None:
    async with Sandbox(seed=two_groups()) as sandbox:
        world = World(sandbox, session)
        master = await world.master_v2()
        there = await sandbox.create_group("east")
        east = await world.login_v2(there.login, there.password)
        given = {"login": "arya", "passwordHash": BOTH["password"]}
        third = await east.created("/user", given)
        tokens = await tokens_of(world, BOTH)
        client = v2(world, tokens["token"])
        assert len((await client.get("/user/matches")).body) == 3
        if how == "deleted":
            await east.delete(f"/user/{third['id']}")
        else:
            await east.put("/user", {**third, "status": "DISABLED"})
        assert len((await client.get("/user/matches")).body) == 2
        there_again = await with_refresh_token(world, "/auth/switch/east", tokens["refreshToken"])
        assert there_again.status == 401
        assert (await master.get(f"/user/{third['id']}")).status == 404
