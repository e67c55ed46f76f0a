"""Data owners of rest/v2: who they are, their keys, and their other properties."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.bare_client import Client, Json
from tests.support.today import Today

OLD, NEW = "a" * 556 + "0" * 32, "b" * 556 + "1" * 32
KINDS = {"doc": "hcp", "pat": "patient", "machine": "device"}
KEY_MEMBERS = {
    "hcPartyKeys",
    "aesExchangeKeys",
    "transferKeys",
    "privateKeyShamirPartitions",
    "publicKeysForOaepWithSha256",
}


async def stub_of(client: Client, owner_id: str) -> Json:
    answer = await client.get(f"/dataowner/stub/{owner_id}")
    assert answer.status == 200, answer.body
    stub: Json = answer.body["stub"]
    return stub


async def put_stub(client: Client, owner_type: str, stub: Json) -> Any:
    return await client.put("/dataowner/stub", {"type": owner_type, "stub": stub})


@pytest.mark.parametrize(("name", "owner_type"), KINDS.items())
async def test_somebody_is_told_who_it_is(guarded: Today, name: str, owner_type: str) -> None:
    whole = (await guarded[name].get("/dataowner/current")).body
    assert (whole["type"], whole["dataOwner"]["id"]) == (owner_type, name)
    stub = (await guarded[name].get("/dataowner/current/stub")).body
    assert (stub["type"], stub["stub"]["id"]) == (owner_type, name)
    assert (await guarded[name].get(f"/dataowner/{name}")).body == whole
    assert (await guarded[name].get(f"/dataowner/stub/{name}")).body == stub


async def test_everybody_reads_stubs_but_not_patients(guarded: Today) -> None:
    full = await stub_of(guarded.undeclared("colleague"), "pat")
    assert set(full) == {"id", "rev", *KEY_MEMBERS}
    assert set(await stub_of(guarded["colleague"], "pat")) == {"id", "rev"}
    assert (await guarded["colleague"].get("/dataowner/pat")).status == 403
    ids = {"ids": ["pat", "doc", "unknown", "machine"]}
    stubs = (await guarded["colleague"].post("/dataowner/stub/byIds", ids)).body
    assert [one["stub"]["id"] for one in stubs] == ["pat", "doc", "machine"]
    owners = (await guarded["colleague"].post("/dataowner/byIds", ids)).body
    assert [one["dataOwner"]["id"] for one in owners] == ["doc", "machine"]
    for path in ("/dataowner/unknown", "/dataowner/stub/unknown"):
        missing = await guarded["doc"].get(path)
        assert missing.status == 404
        assert missing.body["message"] == "Data owner with id unknown not found"


async def test_a_hierarchy_begins_at_the_top(guarded: Today) -> None:
    whole = (await guarded["assistant"].get("/dataowner/current/hierarchy")).body
    assert [one["dataOwner"]["id"] for one in whole] == ["doc", "assistant"]
    stubs = (await guarded["assistant"].get("/dataowner/current/hierarchy/stub")).body
    assert [one["stub"]["id"] for one in stubs] == ["doc", "assistant"]
    assert stubs[1]["stub"]["parentId"] == "doc"
    alone = (await guarded["pat"].get("/dataowner/current/hierarchy")).body
    assert [one["dataOwner"]["id"] for one in alone] == ["pat"]


@pytest.mark.parametrize(("name", "owner_type"), KINDS.items())
async def test_a_stub_changes_keys_and_nothing_else(
    guarded: Today, name: str, owner_type: str
) -> None:
    before = await guarded.sandbox.stored(owner_kind(owner_type), name) or {}
    stub = await stub_of(guarded[name], name)
    changed = await put_stub(
        guarded[name], owner_type, {**stub, "publicKeysForOaepWithSha256": [NEW]}
    )
    assert changed.status == 200, changed.body
    assert changed.body["stub"]["publicKeysForOaepWithSha256"] == [NEW]
    assert changed.body["stub"]["rev"].startswith("2-")
    after = await guarded.sandbox.stored(owner_kind(owner_type), name) or {}
    assert after["publicKeysForOaepWithSha256"] == [NEW]
    # Nothing is filled in either: today's clients encrypt when a record was created.
    without_keys = {
        prop: value for prop, value in after.items() if prop not in KEY_MEMBERS | {"rev"}
    }
    assert without_keys == {prop: value for prop, value in before.items() if prop != "rev"}
    outdated = await put_stub(guarded[name], owner_type, stub)
    assert outdated.status == 409


def owner_kind(owner_type: str) -> str:
    return {"hcp": "hcparty"}.get(owner_type, owner_type)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"firstName": "Robb"}, 400),
        ({"_type": "Stub"}, 400),
        ({"rev": None}, 400),
        ({"publicKeysForOaepWithSha256": "x"}, 400),
        ({"parentId": "colleague"}, 400),
        ({"id": "unknown"}, 404),
        ({"rev": "1-0"}, 409),
    ],
)
async def test_a_stub_has_its_members_only(guarded: Today, change: Json, status: int) -> None:
    stub = {**await stub_of(guarded["doc"], "doc"), **change}
    answer = await put_stub(guarded["doc"], "hcp", stub)
    assert (answer.status, bool(answer.body["message"])) == (status, True)


async def test_a_stub_comes_with_the_type_of_its_owner_and_nothing_more(guarded: Today) -> None:
    stub = await stub_of(guarded["doc"], "doc")
    assert (await put_stub(guarded["doc"], "patient", stub)).status == 400
    body = {"type": "hcp", "stub": stub}
    malformed: list[Any] = [{**body, "more": 1}, {"stub": stub}, {**body, "stub": None}, []]
    for wrong in malformed:
        assert (await guarded["doc"].put("/dataowner/stub", wrong)).status == 400


async def test_others_may_add_exchange_keys_but_no_public_keys(guarded: Today) -> None:
    stub = await stub_of(guarded["colleague"], "doc")
    keys = {"aesExchangeKeys": {OLD: {"colleague": {"f" * 32: "00"}}}}
    assert (await put_stub(guarded["colleague"], "hcp", {**stub, **keys})).status == 200
    stub = await stub_of(guarded["colleague"], "doc")
    with_key = {**stub, "publicKeysForOaepWithSha256": [NEW]}
    assert (await put_stub(guarded["colleague"], "hcp", with_key)).status == 403


async def test_legacy_exchange_keys_are_found_for_every_kind(guarded: Today) -> None:
    stub = await stub_of(guarded["doc"], "doc")
    keys = {"publicKey": OLD, "aesExchangeKeys": {OLD: {"pat": {NEW[-32:]: "0f"}}}}
    assert (await put_stub(guarded["doc"], "hcp", {**stub, **keys})).status == 200
    found = (await guarded["pat"].get("/hcparty/pat/aesExchangeKeys")).body
    assert found == {"doc": {OLD[-32:]: {NEW[-32:]: "0f"}}}
    for kind in ("patient", "device"):
        assert (await guarded["pat"].get(f"/{kind}/pat/aesExchangeKeys")).body == {}


async def test_a_user_who_is_no_data_owner_has_none(guarded: Today) -> None:
    user = {"id": "clerk", "login": "clerk", "passwordHash": "secretary-1"}
    assert (await guarded.master.post("/user", user)).status == 200
    clerk = guarded.somebody("clerk", "secretary-1")
    for path in ("", "/stub", "/hierarchy", "/hierarchy/stub"):
        assert (await clerk.get(f"/dataowner/current{path}")).status == 404


# Healthcare parties and devices as documents.


async def test_today_s_model_of_a_professional_has_no_user_id(guarded: Today) -> None:
    given = {
        "id": "new",
        "lastName": "Seaworth",
        "userId": "u",
        "nihii": "123",
        "publicProperties": [{"id": "p", "deletionDate": 1}],
        "notes": "",
        "codes": [{"id": "T|c|1", "type": "T", "code": "c", "label": {"en": "l"}}],
    }
    created = (await guarded.master.post("/hcparty", given)).body
    assert "userId" not in created
    assert (created["nihii"], created["languages"]) == ("123", [])
    standard = (await guarded["doc"].standard.get("/hcparty/new")).body
    assert set(standard) == {
        "id", "rev", "created", "modified", "lastName", "notes", "codes", "publicProperties",
    }  # fmt: skip
    assert "label" not in standard["codes"][0]
    assert standard["publicProperties"] == [{"id": "p"}]


async def test_what_a_caller_does_not_know_survives_its_change(guarded: Today) -> None:
    master, older = guarded.master, guarded.v1_master
    professional = {"id": "new", "lastName": "Seaworth", "userId": "u", "nihii": "123"}
    assert (await older.post("/hcparty", professional)).status == 200
    seen = (await master.standard.get("/hcparty/new")).body
    changed = await master.standard.put("/hcparty", {**seen, "lastName": "Lannister"})
    assert changed.body["lastName"] == "Lannister"
    stored = await guarded.sandbox.stored("hcparty", "new") or {}
    assert (stored["userId"], stored["nihii"]) == ("u", "123")
    # A client that knows it and leaves it out has removed it.
    full = {name: value for name, value in changed.body.items() if name != "nihii"}
    assert "nihii" not in (await master.put("/hcparty", full)).body


@pytest.mark.parametrize("kind", ["hcparty", "device"])
async def test_professionals_and_devices_are_documents(guarded: Today, kind: str) -> None:
    master = guarded.master
    named = {"lastName": "A"} if kind == "hcparty" else {"name": "A"}
    one = (await master.post(f"/{kind}", {"id": "one", **named})).body
    two, three = (
        await master.post(f"/{kind}/batch", [{"id": "two", **named}, {"id": "three", **named}])
    ).body
    ids = {"ids": ["three", "unknown", "one"]}
    found = (await guarded["pat"].post(f"/{kind}/byIds", ids)).body
    assert [each["id"] for each in found] == ["three", "one"]
    assert (await guarded["pat"].put(f"/{kind}", {**one, "picture": "00"})).status == 403
    assert (await guarded["pat"].post(f"/{kind}", {"id": "four", **named})).status == 403
    deleted = (await master.delete(f"/{kind}/one?rev={one['rev']}")).body
    assert (await master.delete(f"/{kind}/two?rev=1-0")).status == 409
    restored = await master.post(f"/{kind}/undelete/one?rev={deleted['rev']}")
    assert restored.body["id"] == "one"
    pairs = {"ids": [{"id": each["id"], "rev": each["rev"]} for each in (two, three)]}
    gone = (await master.post(f"/{kind}/delete/batch/withrev", pairs)).body
    assert [each["id"] for each in gone] == ["two", "three"]
    purged = await master.delete(f"/{kind}/purge/two?rev={gone[0]['rev']}")
    assert purged.status == 200
    assert (await master.get(f"/{kind}/two")).status == 404
    everything = {"filter": {"$type": "unknown"}}
    assert (await master.post(f"/{kind}/filter", everything)).status == 400


async def test_the_professional_of_the_caller_is_current(guarded: Today) -> None:
    assert (await guarded["doc"].get("/hcparty/current")).body["id"] == "doc"
    assert (await guarded["pat"].get("/hcparty/current")).status == 404
