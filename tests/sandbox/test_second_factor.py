"""Users with a second factor: their codes, and how a login tells that one is missing."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from icure_async.sandbox import totp
from tests.support.bare_client import Json, World, basic, me

# RFC 6238, appendix B, with six digits instead of eight.
SECRET = base64.b32encode(b"12345678901234567890").decode()
VECTORS = {
    59: "287082",
    1111111109: "081804",
    1111111111: "050471",
    1234567890: "005924",
    2000000000: "279037",
    20000000000: "353130",
}
PASSWORD = "three eyed raven"


@pytest.mark.parametrize(("seconds", "code"), VECTORS.items())
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert totp.code_at(SECRET, seconds) == code
    assert totp.code_at(SECRET.lower().rstrip("="), seconds) == code
    for moment in (seconds - 29, seconds, seconds + 30):
        assert totp.is_valid(SECRET, code, moment)
    assert not totp.is_valid(SECRET, code, seconds + 61)


@pytest.mark.parametrize("secret", ["", "no base32!", "MFRGG", "é"])
def test_what_is_no_secret(secret: str) -> None:
    assert not totp.is_secret(secret)


async def set_up(world: World, **members: Any) -> Json:
    master = await world.master()
    answer = await master.put(
        "/user",
        {**await me(master), "passwordHash": PASSWORD, "use2fa": True, "secret": SECRET, **members},
    )
    body: Json = answer.body
    return body if answer.status == 200 else {"status": answer.status}


async def login(world: World, secret: str) -> Any:
    body = {"username": world.sandbox.master_hcp.login, "password": secret}
    return await world.anonymous.post("/auth/login", body)


async def test_a_login_with_a_password_needs_a_code(world: World) -> None:
    user = await set_up(world)
    assert user["use2fa"] is True
    assert "secret" not in user
    name = world.sandbox.master_hcp.login
    code = await world.sandbox.second_factor_code(name)
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    assert (await login(world, PASSWORD)).status == 417
    assert (await login(world, f"{PASSWORD}|{wrong}")).status == 406
    assert (await login(world, f"another password|{code}")).status == 401
    assert (await login(world, "another password")).status == 401
    assert (await login(world, f"{PASSWORD}|{code}")).status == 200
    # Tokens need none: the master's password is a token of the seed.
    assert (await login(world, world.sandbox.master_hcp.password)).status == 200


async def test_basic_credentials_without_a_code_are_refused_as_all_others(world: World) -> None:
    await set_up(world)
    name = world.sandbox.master_hcp.login
    code = await world.sandbox.second_factor_code(name)
    for secret, status in ((PASSWORD, 401), (f"{PASSWORD}|{code}", 200)):
        answer = await world.anonymous.get("/user/current", headers=basic(name, secret))
        assert answer.status == status


async def test_it_survives_a_modification_and_ends_when_it_is_switched_off(world: World) -> None:
    user = await set_up(world)
    del user["use2fa"]
    master = await world.master()
    kept = (await master.put("/user", user)).body
    assert (await login(world, PASSWORD)).status == 417
    off = (await master.put("/user", {**kept, "use2fa": False})).body
    assert (await login(world, PASSWORD)).status == 200
    assert "secret" not in (await world.sandbox.stored("user", off["id"]) or {})
    # Without a secret it is not switched on again.
    assert (await master.put("/user", {**off, "use2fa": True})).status == 400


@pytest.mark.parametrize("secret", ["", "short", "no base32!"])
async def test_a_secret_that_makes_no_sense(secret: str, world: World) -> None:
    assert await set_up(world, secret=secret) == {"status": 400}


async def test_a_code_of_somebody_without_a_second_factor(world: World) -> None:
    with pytest.raises(ValueError, match="second factor"):
        await world.sandbox.second_factor_code(world.sandbox.master_hcp.login)
