"""Users of rest/v2, and operations that need a stronger secret than the caller showed."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from icure_async.sandbox import totp
from tests.support.bare_client import Client, Json, World, encoded, me

SECRET = base64.b32encode(b"12345678901234567890").decode()
PASSWORD = "three eyed raven"
LEVEL = "Icure-Minimum-Required-Auth-Level"
PHONE = "+32588235595"


async def user_with_password(world: World, **members: Any) -> Json:
    master = await world.master_v2()
    return await master.created("/user", {"login": "bran", "passwordHash": PASSWORD, **members})


async def by_long_token(world: World, login: str, secret: str) -> Client:
    """Log in with a token for a year, which is the weakest secret."""
    strong = await world.login_v2(login, secret)
    user = await me(strong)
    answer = await strong.post(f"/user/token/{user['id']}/phone?tokenValidity=31536000")
    assert answer.status == 200, answer.body
    return await world.login_v2(login, answer.body)


def assert_elevation_asked(answer: Any) -> None:
    assert (answer.status, answer.headers.get(LEVEL)) == (401, "20")
    assert answer.body["message"]
    assert answer.headers["X-Request-Id"]


async def test_a_user_is_answered_without_secrets_and_in_today_s_model(world: World) -> None:
    created = await user_with_password(world, type="database", roles=["r"])
    bran = await world.login_v2("bran", PASSWORD)
    full = (await bran.get("/user/current?includeMetadataFromGlobalUser=true")).body
    assert (full["passwordHash"], full["type"], full["properties"]) == ("*", "database", [])
    assert "applicationTokens" not in full
    standard = (await bran.standard.get("/user/current")).body
    assert set(standard) == {
        "id", "rev", "created", "login", "status", "groupId", "passwordHash", "roles",
    }  # fmt: skip
    assert standard["id"] == created["id"]


async def test_users_are_documents(world: World) -> None:
    master = await world.master_v2()
    one = await master.created("/user", {"id": "one", "login": "one"})
    both = (await master.post("/user/batch", [{"id": "two", "login": "two"}, {"id": "x"}])).status
    assert both == 200
    ids = {"ids": ["two", "unknown", "one"]}
    assert [user["id"] for user in (await master.post("/user/byIds", ids)).body] == ["two", "one"]
    changed = await master.put("/user", {**one, "name": "One"})
    assert changed.body["name"] == "One"
    assert (await master.put("/user", one)).status == 409
    deleted = (await master.delete(f"/user/one?rev={changed.body['rev']}")).body
    assert (await master.get("/user/one")).body["deletionDate"]
    restored = await master.post(f"/user/undelete/one?rev={deleted['rev']}")
    assert "deletionDate" not in restored.body
    assert (await master.delete(f"/user/purge/one?rev={restored.body['rev']}")).status == 200
    assert (await master.get("/user/one")).status == 404
    page = (await master.get("/user?limit=1")).body
    assert set(page) == {"rows", "nextKeyPair"}


async def test_users_are_searched_and_found_by_what_is_theirs(world: World) -> None:
    master = await world.master_v2()
    await user_with_password(world, email="bran@x.example", mobilePhone=PHONE)
    assert (await master.get("/user/byEmail/bran@x.example")).body["login"] == "bran"
    assert (await master.get(f"/user/byPhoneNumber/{encoded(PHONE)}")).body["login"] == "bran"
    everybody = {"$type": "AllUsersFilter"}
    assert len((await master.post("/user/match", everybody)).body) == 2
    page = (await master.post("/user/filter", {"filter": everybody})).body
    assert "totalSize" not in page
    assert {user["login"] for user in page["rows"]} == {"bran", world.sandbox.master_hcp.login}
    hcp_id = world.sandbox.master_hcp.data_owner_id
    found = (await master.get(f"/user/byHealthcarePartyId/{hcp_id}")).body
    assert found == [world.sandbox.master_hcp.user_id]
    bran = await world.login_v2("bran", PASSWORD)
    assert (await bran.post("/user/filter", {"filter": everybody})).status == 403
    assert (await bran.get(f"/user/{world.sandbox.master_hcp.user_id}")).status == 403


async def test_the_level_of_a_session_is_that_of_its_secret(world: World) -> None:
    from tests.sandbox.test_v2_sessions import claims_of

    user = await user_with_password(world)

    def level_of(client: Client) -> int:
        level: int = claims_of(client.headers["Authorization"].partition(" ")[2])["tac"]
        return level

    strong = await world.login_v2("bran", PASSWORD)
    assert level_of(strong) == 20
    short = (await strong.post(f"/user/token/{user['id']}/short?tokenValidity=300")).body
    assert level_of(await world.login_v2("bran", short)) == 40
    assert level_of(await by_long_token(world, "bran", PASSWORD)) == 10
    registered = await world.register(PHONE)
    assert level_of(registered) == 40


async def test_a_weak_secret_does_not_change_secrets(world: World) -> None:
    user = await user_with_password(world, email="bran@x.example", mobilePhone=PHONE)
    weak, path = await by_long_token(world, "bran", PASSWORD), f"/user/{user['id']}"
    current = (await weak.get("/user/current")).body
    code = totp.code_at(SECRET, world.sandbox._clock.now())
    factor = {"secret": SECRET, "otp": code, "otpLength": 6}
    for answer in (
        await weak.post(f"/user/token/{user['id']}/short?tokenValidity=300"),
        await weak.put(f"{path}/password", {"newPassword": "another raven"}),
        await weak.put(f"{path}/email?newEmail=b@x.example&previousEmail=bran@x.example"),
        await weak.put(f"{path}/mobilePhone?newMobilePhone=%2B32588235599"),
        await weak.delete(f"{path}/mobilePhone"),
        await weak.post(f"{path}/2fa", factor),
        await weak.delete(f"{path}/2fa"),
        await weak.post(f"{path}/roles/set", {"ids": ["r"]}),
        await weak.put("/user", {**current, "passwordHash": "another raven"}),
        await weak.put("/user", {**current, "use2fa": True, "secret": SECRET}),
        await weak.put("/user", {**current, "roles": ["r"]}),
    ):
        assert_elevation_asked(answer)
    # The rest it may.
    assert (await weak.put("/user", {**current, "name": "Bran"})).status == 200
    again = await weak.post(f"/user/token/{user['id']}/next?tokenValidity=31536000")
    assert again.status == 200
    strong = await world.login_v2("bran", PASSWORD)
    assert (await strong.put(f"{path}/password", {"newPassword": "another raven"})).status == 200
    await world.login_v2("bran", "another raven")


async def test_the_older_api_asks_for_no_level(world: World) -> None:
    user = await user_with_password(world)
    weak = world.with_headers((await by_long_token(world, "bran", PASSWORD)).headers)
    assert (await weak.post(f"/user/token/{user['id']}/short?tokenValidity=300")).status == 200


async def test_a_password_is_set_without_the_rest_of_the_user(world: World) -> None:
    user = await user_with_password(world)
    bran = await world.login_v2("bran", PASSWORD)
    path = f"/user/{user['id']}/password"
    for wrong in ("short", "*", None, 7, "a" * 64):
        assert (await bran.put(path, {"newPassword": wrong})).status == 400
    assert (await bran.put(path, {"newPassword": "another raven"})).body["passwordHash"] == "*"
    body = {"username": "bran", "password": PASSWORD}
    assert (await world.anonymous_v2.post("/auth/login", body)).status == 401
    patient = await world.register(PHONE)
    assert (await world.v2(patient).put(path, {"newPassword": "another raven"})).status == 403


async def test_an_email_and_a_phone_are_changed_by_who_knows_the_old_one(world: World) -> None:
    user = await user_with_password(world, email="bran@x.example")
    bran, path = await world.login_v2("bran", PASSWORD), f"/user/{user['id']}"
    wrong = await bran.put(f"{path}/email?newEmail=b@x.example&previousEmail=x@x.example")
    assert wrong.status == 409
    assert (await bran.put(f"{path}/email?newEmail=no&previousEmail=bran@x.example")).status == 400
    assert (await bran.put(f"{path}/email?previousEmail=bran@x.example")).status == 400
    changed = await bran.put(f"{path}/email?newEmail=b@x.example&previousEmail=bran@x.example")
    assert changed.body["email"] == "b@x.example"
    added = await bran.put(f"{path}/mobilePhone?newMobilePhone={encoded(PHONE)}")
    assert added.body["mobilePhone"] == PHONE
    removed = await bran.delete(f"{path}/mobilePhone")
    assert "mobilePhone" not in removed.body
    await world.login_v2("b@x.example", PASSWORD)


async def test_a_second_factor_is_switched_on_by_a_code_and_asked_for_then(world: World) -> None:
    user = await user_with_password(world)
    bran, path = await world.login_v2("bran", PASSWORD), f"/user/{user['id']}/2fa"
    code = totp.code_at(SECRET, world.sandbox._clock.now())
    factor = {"secret": SECRET, "otp": code, "otpLength": 6, "algorithm": "SHA1"}
    for wrong, status in (
        ({"otp": "000000" if code != "000000" else "000001"}, 406),
        ({"otp": None}, 406),
        ({"secret": "x"}, 400),
        ({"otpLength": 8}, 400),
        ({"algorithm": "SHA512"}, 400),
    ):
        assert (await bran.post(path, {**factor, **wrong})).status == status
    assert (await bran.post(path, factor)).body["use2fa"] is True

    async def login(secret: str) -> Any:
        body = {"username": "bran", "password": secret}
        return await world.anonymous_v2.post("/auth/login", body)

    for secret, status in ((PASSWORD, 417), (f"{PASSWORD}|123", 406)):
        answer = await login(secret)
        assert (answer.status, answer.body) == (status, "")
    now = await world.sandbox.second_factor_code("bran")
    assert (await login(f"{PASSWORD}|{now}")).status == 200
    assert "use2fa" not in (await bran.delete(path)).body
    assert (await login(PASSWORD)).status == 200


async def test_administrators_alone_set_roles(world: World) -> None:
    user = await user_with_password(world)
    bran, master = await world.login_v2("bran", PASSWORD), await world.master_v2()
    path = f"/user/{user['id']}/roles"
    assert (await bran.post(f"{path}/set", {"ids": ["r"]})).status == 403
    assert (await master.post(f"{path}/set", {"ids": "r"})).status == 400
    assert (await master.post(f"{path}/set", {"ids": ["r"]})).body["roles"] == ["r"]
    assert (await master.post(f"{path}/reset")).body["roles"] == []


async def test_a_token_may_be_checked(world: World) -> None:
    user = await user_with_password(world)
    bran = await world.login_v2("bran", PASSWORD)
    token = (await bran.post(f"/user/token/{user['id']}/k")).body
    for secret, expected in ((token, True), ("no", False)):
        checked = await bran.get(f"/user/token/{user['id']}", headers={"token": secret})
        assert checked.body is expected


@pytest.mark.parametrize("path", ["/user/current", "/user/matches", "/dataowner/current", "/user"])
async def test_everything_but_logins_needs_a_caller(world: World, path: str) -> None:
    answer = await world.anonymous_v2.get(path)
    assert answer.status == 401
    assert LEVEL not in answer.headers
    assert answer.headers["X-Request-Id"]
