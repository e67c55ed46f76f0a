"""The sandbox's own API: who may call it, and what it shows and changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from icure_async.sandbox import Fault, Sandbox
from tests.support.bare_client import Client, Json, World, basic
from tests.support.sandbox_control import page_of

PHONE = "+32588235595"
READ_ONLY = (
    "/state", "/messages", "/requests", "/events", "/faults", "/clock", "/export", "/codes",
    "/people", "/records", "/records/user/x",
)  # fmt: skip


def control_as(world: World, headers: dict[str, str]) -> Client:
    return Client(world.session, world.sandbox.control_url, headers)


# --- Who --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", READ_ONLY)
async def test_nobody_but_an_administrator_or_the_page_is_answered(world: World, path: str) -> None:
    patient = await world.register(PHONE)
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Sandbox "}, 401),
        ({"Authorization": "Sandbox wrong"}, 401),
        ({"Authorization": "Sandbox gefälscht"}, 401),
        (patient.headers, 403),
    ):
        answer = await control_as(world, headers).get(path)
        assert answer.status == status
        assert answer.headers["Cache-Control"] == "no-store"


async def test_an_administrator_calls_it_with_basic_credentials(world: World) -> None:
    master = world.sandbox.master_hcp
    client = control_as(world, basic(master.login, master.password))
    assert (await client.get("/state")).status == 200


async def test_an_administrator_of_another_group_may_not(world: World) -> None:
    other = await world.sandbox.create_group("clinic")
    client = control_as(world, basic(other.login, other.password))
    assert (await client.get("/state")).status == 403
    assert (await client.post("/reset")).status == 403


async def test_a_page_of_another_origin_may_not_even_with_the_token(world: World) -> None:
    page = page_of(world)
    answer = await page.get("/state", headers={"Origin": "https://evil.example"})
    assert answer.status == 403
    assert (await page.get("/state", headers={"Host": "evil.example"})).status == 421


async def test_the_token_opens_nothing_but_the_own_api(world: World) -> None:
    client = world.with_headers(page_of(world).headers)
    assert (await client.get("/user/current")).status == 401


async def test_each_start_has_another_token(world: World) -> None:
    first = world.sandbox.page_url
    await world.sandbox.aclose()
    await world.sandbox.start()
    assert world.sandbox.page_url.partition("#")[2] != first.partition("#")[2]


# --- State, messages, requests ----------------------------------------------------------------


async def test_the_state_has_addresses_processes_and_no_secret(world: World) -> None:
    sandbox = world.sandbox
    answer = await page_of(world).get("/state")
    state = answer.body
    assert state["icureUrl"] == sandbox.icure_url
    assert state["msgGwUrl"] == sandbox.msg_gw_url
    assert state["specId"] == sandbox.spec_id
    assert state["processIds"]["patientSms"] == sandbox.patient_process_by_sms_id
    assert state["processIds"]["professionalEmail"] == sandbox.hcp_process_by_email_id
    assert state["master"]["dataOwnerId"] == sandbox.master_hcp.data_owner_id
    assert state["groups"][0]["records"]["user"] == 1
    text = str(state)
    assert sandbox.master_hcp.password not in text
    assert sandbox.master_hcp.key_pair.private_key not in text


async def test_messages_and_requests_are_those_of_python(world: World) -> None:
    await world.start(PHONE)
    page, sandbox = page_of(world), world.sandbox
    messages = (await page.get("/messages")).body
    assert messages == [message.to_json() for message in sandbox.messages()]
    assert (await page.get("/messages?contact=%2B32588235595")).body == messages
    assert (await page.get("/messages?contact=%2B32588235596")).body == []
    requests = (await page.get("/requests")).body
    assert requests == [request.to_json() for request in sandbox.requests()]


# --- Clock ------------------------------------------------------------------------------------


async def test_the_clock_moves_forward_by_seconds_and_to_a_moment(world: World) -> None:
    page = page_of(world)
    before = (await page.get("/clock")).body
    assert before["offset"] == 0
    assert (await page.post("/clock", {"advance": 60})).body["offset"] == 60_000
    moment = before["now"] + 7_200_000
    assert (await page.post("/clock", {"set": moment})).body["now"] - moment < 5000


async def test_the_clock_is_set_to_a_datetime_with_a_time_zone(world: World) -> None:
    world.sandbox.set_clock(datetime(2040, 1, 31, tzinfo=UTC))
    now = (await page_of(world).get("/clock")).body["now"]
    assert datetime.fromtimestamp(now / 1000, UTC).year == 2040


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (0, "forward"),
        (datetime(2000, 1, 1, tzinfo=UTC), "forward"),
        (datetime(2040, 1, 1), "time zone"),  # noqa: DTZ001
        (1e300, "9999"),
        (10**400, "9999"),
        (float("nan"), "forward"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_clock_never_goes_back_nor_beyond_dates(
    world: World, moment: float | datetime, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        world.sandbox.set_clock(moment)


def test_the_clock_is_not_advanced_beyond_any_float(world: World) -> None:
    with pytest.raises(ValueError, match="9999"):
        world.sandbox.advance_clock(10**400)


# --- Bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "/clock", {}, "advance"),
        ("POST", "/clock", [], "JSON object"),
        ("POST", "/clock", {"advance": 1, "set": 2}, "advance"),
        ("POST", "/clock", {"advance": -1}, "advance"),
        ("POST", "/clock", {"advance": "1"}, "advance"),
        ("POST", "/clock", {"advance": True}, "advance"),
        ("POST", "/clock", {"advance": 10**300}, "advance"),
        ("POST", "/clock", {"set": 1.5}, "set"),
        ("POST", "/clock", {"set": 5}, "set"),
        ("POST", "/clock", {"set": 10**17}, "set"),
        ("POST", "/clock", {"tick": 1}, "tick"),
        ("PUT", "/codes", [], "JSON object"),
        ("PUT", "/codes", {PHONE: 123456}, PHONE),
        ("PUT", "/codes", {PHONE: "12"}, PHONE),
        ("PUT", "/codes", {"nobody": "123456"}, "nobody"),
        ("POST", "/people", {}, "kind"),
        ("POST", "/people", {"kind": ["patient"]}, "kind"),
        ("POST", "/people", {"kind": "ghost"}, "kind"),
        ("POST", "/people", {"kind": "patient", "flavour": "x"}, "flavour"),
        ("POST", "/people", {"kind": "patient", "firstName": 1}, "firstName"),
        ("POST", "/people", {"kind": "patient", "email": "nobody"}, "email"),
        ("POST", "/people", {"kind": "patient", "phoneNumber": "x"}, "phoneNumber"),
        ("POST", "/people", {"kind": "patient", "groupId": "nowhere"}, "groupId"),
        ("POST", "/people", {"kind": "patient", "sharesWith": "x"}, "sharesWith"),
        ("POST", "/people", {"kind": "patient", "sharesWith": ["x"]}, "sharesWith"),
        ("POST", "/people", {"kind": "patient", "keyPair": 1}, "keyPair"),
        ("POST", "/people", {"kind": "patient", "keyPair": {"kty": "RSA"}}, "keyPair"),
        ("POST", "/people", {"kind": "patient", "surname": "x"}, "surname"),
        ("GET", "/records?kind=ghost", None, "kind"),
        ("GET", "/records?kind=user&limit=0", None, "limit"),
        ("GET", "/records?kind=user&limit=x", None, "limit"),
        ("GET", "/events?after=x", None, "after"),
        ("POST", "/import", [], "JSON object"),
        ("POST", "/import", {"entities": 1}, "entities"),
    ],
    ids=str,
)
async def test_nonsense_is_a_bad_request_that_names_the_member(
    world: World, method: str, path: str, body: Any, named: str
) -> None:
    before = await world.sandbox.export()
    answer = await page_of(world).send(method, path, body)
    assert answer.status == 400
    assert named in answer.body["message"]
    assert await world.sandbox.export() == before


async def test_no_error_about_codes_has_one(world: World) -> None:
    answer = await page_of(world).put("/codes", {PHONE: "90817263544536271809"})
    assert answer.status == 400
    assert "9081726354" not in answer.body["message"]


# --- Codes, faults, records -------------------------------------------------------------------


async def test_codes_are_fixed_over_http(world: World) -> None:
    page = page_of(world)
    assert (await page.get("/codes")).body == {}
    codes = {"+32 588 23 55 95": "424242"}
    assert (await page.put("/codes", codes)).body == codes
    await world.start(PHONE)
    assert world.sandbox.messages()[0].code == "424242"
    assert (await page.put("/codes", {})).body == {}


async def test_only_the_fault_of_a_with_statement_ends_with_it(world: World) -> None:
    other = world.sandbox.inject_fault(Fault("status", status=500, path="/rest/v1/nowhere"))
    with world.sandbox.fault(Fault("status", status=503, times=1)) as injected:
        assert (await world.anonymous.get("/icure/ok")).status == 503
        assert (await world.anonymous.get("/icure/ok")).status == 200
        assert injected.struck == 1
    (left,) = (await page_of(world).get("/faults")).body
    assert left["id"] == other.id


async def test_a_fault_that_was_cleared_inside_is_not_missed(world: World) -> None:
    with world.sandbox.fault(Fault("status", status=503)):
        world.sandbox.clear_faults()
    assert (await page_of(world).get("/faults")).body == []


async def test_records_are_shown_as_stored_page_by_page(world: World) -> None:
    master = await world.master()
    for name in ("arya", "bran", "robb"):
        await master.created("/patient", {"id": name, "firstName": name, "lastName": "Stark"})
    await master.delete("/patient/bran")
    page = page_of(world)
    assert (await page.get("/records")).body["kinds"]["patient"] == 3
    first = (await page.get("/records?kind=patient&limit=2")).body
    assert [record["id"] for record in first["records"]] == ["arya", "bran"]
    assert first["records"][0] == await world.sandbox.stored("patient", "arya")
    assert first["records"][1]["deletionDate"]
    rest = (await page.get(f"/records?kind=patient&after={first['next']}")).body
    assert ([record["id"] for record in rest["records"]], rest["next"]) == (["robb"], None)
    assert (await page.get("/records/patient/robb")).body == rest["records"][0]
    assert (await page.get("/records/patient/nobody")).status == 404


async def test_records_of_users_have_no_secrets(world: World) -> None:
    await world.register(PHONE)
    text = str((await page_of(world).get("/records?kind=user")).body)
    assert "sha256$" not in text
    assert "scrypt$" not in text


async def test_records_of_a_group_are_those_of_no_other(world: World) -> None:
    other = await world.sandbox.create_group("clinic")
    page = page_of(world)
    (user,) = (await page.get("/records?kind=user&group=clinic")).body["records"]
    assert user["id"] == other.user_id
    assert (await page.get("/records?group=nowhere")).status == 404


# --- Export and import ------------------------------------------------------------------------


async def test_an_export_is_imported_into_another_sandbox(world: World, people: Json) -> None:
    async with Sandbox(seed=people, jwt=False) as other:
        exported = await other.export()
    page = page_of(world)
    before = (await page.get("/export")).body
    assert (await page.post("/import", exported)).status == 200
    assert await world.sandbox.export() == exported
    assert (await page.post("/import", before)).status == 200
    assert (await page.get("/export")).body == before


async def test_a_corrupt_import_changes_nothing(world: World) -> None:
    await world.register(PHONE)
    before = await world.sandbox.export()
    corrupt = {**before, "entities": {**before["entities"], "patient": {"x": {"id": "y"}}}}
    answer = await page_of(world).post("/import", corrupt)
    assert answer.status == 400
    assert "Nothing was changed" in answer.body["message"]
    assert await world.sandbox.export() == before


async def test_the_master_stays_where_a_seed_has_none(world: World) -> None:
    master = world.sandbox.master_hcp
    await world.sandbox.create_group("clinic", name="Clinic")
    await world.register(PHONE)
    await world.sandbox.load({"entities": {}})
    assert world.sandbox.master_hcp == master
    client = await world.login(master.login, master.password)
    assert (await client.get(f"/hcparty/{master.data_owner_id}")).status == 200
    exported = await world.sandbox.export()
    assert list(exported["entities"]["user"]) == [master.user_id]
    assert "groups" not in exported
