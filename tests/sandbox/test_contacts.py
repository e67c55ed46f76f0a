"""Spellings of the same person and the same mailbox."""

from __future__ import annotations

import sqlite3
import unicodedata
from pathlib import Path

import aiohttp
import pytest

from icure_async.sandbox import Sandbox
from icure_async.sandbox.contacts import contact_key
from tests.support.bare_client import World, encoded, me

PHONE = "+32588235595"

PHONES = [
    "+32588235595",
    "+32 588 23 55 95",
    "+32 (0)588 23 55 95",
    "+32 (0) 588/23.55.95",
    "+320588235595",
    "\u202a+32588235595\u202c",
    "\u200e+32 588 23 55 95",
    "+32\u202f588\u202f23\u202f55\u202f95",
    "+32\u00a0588\u200723\t55 95",
    "+32\u2011588\u201323\u201455-95",
    "\uff0b\uff13\uff12\uff15\uff18\uff18\uff12\uff13\uff15\uff15\uff19\uff15",
    "+\u0663\u0662\u0665\u0668\u0668\u0662\u0663\u0665\u0665\u0669\u0665",
    "  +32588235595\n",
]

EMAILS = [
    ("Ned@Winterfell.Example", "ned@winterfell.example"),
    ("NED@WINTERFELL.EXAMPLE", "ned@winterfell.example"),
    ("\ufeffned@winterfell.example\u200b", "ned@winterfell.example"),
    (" ned@winterfell.example ", "ned@winterfell.example"),
    ("bran@b\u00fccher.example", "bran@xn--bcher-kva.example"),
    ("bran@B\u00dcCHER.example", "bran@xn--bcher-kva.example"),
    ("bran@bu\u0308cher.example", "bran@b\u00fccher.example"),
    ("zoe\u0308@winterfell.example", "zo\u00eb@winterfell.example"),
    ("ZOE\u0308@winterfell.example", "zo\u00eb@winterfell.example"),
    ('"ned"@winterfell.example', "ned@winterfell.example"),
]

DIFFERENT = [
    ("ned+1@winterfell.example", "ned@winterfell.example"),
    ("ned+1@winterfell.example", "ned+2@winterfell.example"),
    ("n.ed@winterfell.example", "ned@winterfell.example"),
    ("zoe@winterfell.example", "zo\u00eb@winterfell.example"),
    ('"n ed"@winterfell.example', "ned@winterfell.example"),
    ("ned@winterfell.example", "ned@winterfell.example.org"),
    ("ned@[127.0.0.1]", "ned@[127.0.0.2]"),
    ("+32588235595", "+33588235595"),
    ("+32588235595", "+32588235596"),
    ("+5215512345678", "+525512345678"),
    ("+390612345678", "+39612345678"),
]


@pytest.mark.parametrize("spelling", PHONES, ids=ascii)
async def test_a_code_is_found_under_every_spelling_of_a_number(
    world: World, spelling: str
) -> None:
    await world.start(PHONE)
    assert len(await world.sandbox.wait_for_code(spelling, timeout=1)) == 6
    assert (await world.gateway.get(f"/lastSMS/{encoded(spelling)}")).status == 200


@pytest.mark.parametrize("spelling", PHONES[1:], ids=ascii)
async def test_a_number_typed_otherwise_is_the_same_person(world: World, spelling: str) -> None:
    first = await me(await world.register(PHONE))
    request_id = await world.start(spelling)
    assert (
        await world.validate(request_id, await world.sandbox.wait_for_code(PHONE))
    ).status == 200
    master = await world.master()
    assert (await master.get(f"/user/byPhoneNumber/{encoded(spelling)}")).body["id"] == first["id"]
    body = {"id": "other", "login": "other", "mobilePhone": spelling}
    assert "already exists" in (await master.post("/user", body)).body["message"]


@pytest.mark.parametrize(("spelling", "plain"), EMAILS, ids=ascii)
async def test_a_code_is_found_under_every_spelling_of_an_address(
    world: World, spelling: str, plain: str
) -> None:
    await world.start(plain)
    assert len(await world.sandbox.wait_for_code(spelling, timeout=1)) == 6
    await world.start(spelling)
    assert len(await world.sandbox.wait_for_code(plain, timeout=1)) == 6
    assert (await world.gateway.get(f"/lastEmail/{encoded(spelling)}")).status == 200


@pytest.mark.parametrize(("spelling", "plain"), EMAILS[:2] + EMAILS[4:-1], ids=ascii)
async def test_an_address_typed_otherwise_is_the_same_person(
    world: World, spelling: str, plain: str
) -> None:
    for first, second in ((spelling, plain), (plain, spelling)):
        mine = await me(await world.register(first))
        again = await me(await world.register(second, hcpId=""))
        assert again["id"] == mine["id"]
        assert again["patientId"] == mine["patientId"]
        assert again["login"] == mine["login"]
    master = await world.master()
    for typed in (spelling, plain):
        assert (await master.get(f"/user/byEmail/{encoded(typed)}")).body["id"] == mine["id"]
        for body in ({"login": typed}, {"login": "other", "email": typed}):
            refused = await master.post("/user", {"id": "other", **body})
            assert refused.status == 400
            assert "already exists" in refused.body["message"]


async def test_a_password_is_good_with_every_spelling_of_the_login(world: World) -> None:
    master = await world.master()
    user = {"login": "Ned@Winterfell.Example", "passwordHash": "winter-is-coming"}
    created = await master.created("/user", user)
    for login in ("ned@winterfell.example", "NED@winterfell.example", "Ned@Winterfell.Example"):
        assert (await me(await world.login(login, "winter-is-coming")))["id"] == created["id"]
    secret = (await master.post(f"/user/token/{encoded('NED@winterfell.example')}/key")).body
    assert (await me(await world.login("ned@winterfell.example", secret)))["id"] == created["id"]


async def test_a_login_that_is_no_address_is_as_it_is(world: World) -> None:
    master = await world.master()
    await master.created("/user", {"login": "Ned", "passwordHash": "winter-is-coming"})
    await master.created("/user", {"login": "ned", "passwordHash": "summer-is-gone"})
    assert (await me(await world.login("Ned", "winter-is-coming")))["login"] == "Ned"
    assert (await me(await world.login("ned", "summer-is-gone")))["login"] == "ned"


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=ascii)
def test_different_contacts_stay_different(one: str, other: str) -> None:
    assert contact_key(one) != contact_key(other)


async def test_an_address_with_a_plus_is_a_person_of_its_own(world: World) -> None:
    ned = await me(await world.register("ned@winterfell.example"))
    other = await me(await world.register("ned+1@winterfell.example"))
    assert other["id"] != ned["id"]


@pytest.mark.parametrize(
    "contact",
    ["ned@hospital.local", "ned@localhost", "ned@[127.0.0.1]", '"ned stark"@x.example',
     "+5215512345678", "+22997979797", "+22507070707"],
)  # fmt: skip
async def test_what_the_reference_accepts_can_register(world: World, contact: str) -> None:
    request_id = await world.start(contact)
    code = await world.sandbox.wait_for_code(contact)
    assert (await world.validate(request_id, code)).status == 200
    assert (await me(await world.login(contact, code)))["login"] == contact


async def test_a_database_of_before_is_searched_in_the_same_way(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    async with Sandbox(database=fresh) as sandbox:
        ned = await me(await World(sandbox, session).register("Ned@Winterfell.Example"))
    with sqlite3.connect(fresh) as database:
        database.execute("DELETE FROM meta WHERE key = 'links'")
        database.execute(
            "UPDATE links SET target = 'Ned@Winterfell.Example'"
            " WHERE relation IN ('login', 'email') AND target LIKE 'ned@%'"
        )
    database.close()
    async with Sandbox(database=fresh) as sandbox:
        again = await me(await World(sandbox, session).register("ned@winterfell.example"))
    assert again["id"] == ned["id"]


def test_a_key_has_one_form() -> None:
    for contact in (*PHONES, *(email for pair in EMAILS for email in pair)):
        key = contact_key(contact)
        assert contact_key(key) == key
        assert unicodedata.normalize("NFC", key) == key
