from __future__ import annotations

import time
from typing import Any

import aiohttp
import pytest

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Json
from tests.support.today import (
    SECRET,
    Today,
    access_key,
    delegation_key,
    exchange_data,
    fingerprint,
    some_bytes,
)


async def test_exchange_data_are_created_read_and_changed_by_both_members(today: Today) -> None:
    body = exchange_data("doc", "pat")
    created = (await today["doc"].post("/exchangedata", body)).body
    assert created == {**body, "rev": created["rev"]}
    assert (await today["pat"].get(f"/exchangedata/{body['id']}")).body == created
    added = {**created["exchangeKey"], fingerprint("a new key"): some_bytes()}
    changed = await today["pat"].put("/exchangedata", {**created, "exchangeKey": added})
    assert changed.body["exchangeKey"] == added
    assert changed.body["rev"].startswith("2-")
    assert (await today["doc"].put("/exchangedata", created)).status == 409


async def test_an_empty_signature_of_the_delegator_is_accepted_and_not_sent(today: Today) -> None:
    body = exchange_data("doc", "doc", delegatorSignature={})
    answer = await today["doc"].post("/exchangedata", body)
    assert answer.status == 200
    assert "delegatorSignature" not in answer.body


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": None},
        {"id": "with/slash"},
        {"rev": "1-0"},
        {"delegator": " "},
        {"delegate": ""},
        {"delegate": None},
        {"exchangeKey": {}},
        {"accessControlSecret": {}},
        {"sharedSignatureKey": {}},
        {"sharedSignature": ""},
        {"sharedSignature": None},
        {"exchangeKey": {"f" * 32: "AAAA"}},
        {"exchangeKey": {"F" * 22: "AAAA"}},
        {"delegatorSignature": {"f": "AAAA"}},
        {"exchangeKey": {"f" * 22: 3}},
    ],
)
async def test_malformed_exchange_data_are_refused(today: Today, wrong: Json) -> None:
    body = {**exchange_data("doc", "pat"), **wrong}
    answer = await today.master.post("/exchangedata", body)
    assert answer.status == 400
    assert answer.body["message"]


async def test_nobody_else_reads_writes_or_finds_exchange_data(today: Today) -> None:
    body = exchange_data("doc", "pat")
    for name in ("colleague", "other", "machine"):
        assert (await today[name].post("/exchangedata", body)).status == 403
    created = (await today["doc"].post("/exchangedata", body)).body
    for name in ("colleague", "other", "machine"):
        stranger = today[name]
        assert (await stranger.get(f"/exchangedata/{body['id']}")).status == 403
        assert (await stranger.put("/exchangedata", created)).status == 403
        assert (await stranger.post("/exchangedata/byIds", {"ids": [body["id"]]})).body == []
        assert (await stranger.get("/exchangedata/byParticipant/doc")).body == {"rows": []}
        assert (await stranger.get("/exchangedata/byDelegatorDelegate/doc/pat")).body == []


async def test_an_assistant_reads_the_exchange_data_of_its_parent(today: Today) -> None:
    created = (await today["doc"].post("/exchangedata", exchange_data("doc", "pat"))).body
    found = await today["assistant"].get("/exchangedata/byParticipant/doc")
    assert found.body["rows"] == [created]


async def test_the_members_of_exchange_data_can_not_be_changed(today: Today) -> None:
    created = (await today["doc"].post("/exchangedata", exchange_data("doc", "pat"))).body
    for change in ({"delegate": "doc"}, {"delegator": "pat"}):
        assert (await today["doc"].put("/exchangedata", {**created, **change})).status == 400
    assert (await today["doc"].put("/exchangedata", {**created, "id": "none"})).status == 404
    assert (await today["doc"].put("/exchangedata", {**created, "rev": None})).status == 400


async def test_an_id_is_taken_once(today: Today) -> None:
    body = exchange_data("doc", "pat")
    assert (await today["doc"].post("/exchangedata", body)).status == 200
    assert (await today["pat"].post("/exchangedata", body)).status == 409


async def test_many_are_created_at_once_and_asked_for_by_their_ids(today: Today) -> None:
    bodies = [exchange_data("doc", name) for name in ("doc", "pat", "colleague")]
    saved = (await today["doc"].post("/exchangedata/bulk", [*bodies, bodies[0]])).body
    assert [one["id"] for one in saved] == [body["id"] for body in bodies]
    asked = [bodies[2]["id"], "unknown", bodies[0]["id"]]
    found = (await today["doc"].post("/exchangedata/byIds", {"ids": asked})).body
    assert [one["id"] for one in found] == [bodies[2]["id"], bodies[0]["id"]]


async def test_those_of_a_pair_are_found_in_their_direction(today: Today) -> None:
    there = (await today["doc"].post("/exchangedata", exchange_data("doc", "pat"))).body
    back = (await today["pat"].post("/exchangedata", exchange_data("pat", "doc"))).body
    doc = today["doc"]
    assert (await doc.get("/exchangedata/byDelegatorDelegate/doc/pat")).body == [there]
    assert (await doc.get("/exchangedata/byDelegatorDelegate/pat/doc")).body == [back]
    by_query = "/exchangedata/byDelegatorDelegate?delegatorId=pat&delegateId=doc"
    assert (await doc.get(by_query)).body == [back]
    assert (await doc.get("/exchangedata/byDelegatorDelegate?delegatorId=pat")).status == 400


async def test_a_participant_gets_pages_in_the_order_of_ids(today: Today) -> None:
    bodies = [exchange_data("doc", name, id=f"x{n}") for n, name in enumerate(("pat", "doc"))]
    bodies.append(exchange_data("colleague", "doc", id="x2"))
    for body in bodies:
        client = today[body["delegator"]]
        assert (await client.post("/exchangedata", body)).status == 200
    first = (await today["doc"].get("/exchangedata/byParticipant/doc?limit=2")).body
    assert [row["id"] for row in first["rows"]] == ["x0", "x1"]
    assert first["nextKeyPair"] == {"startKey": "doc", "startKeyDocId": "x2"}
    last = await today["doc"].get("/exchangedata/byParticipant/doc?limit=2&startDocumentId=x2")
    assert [row["id"] for row in last.body["rows"]] == ["x2"]
    assert "nextKeyPair" not in last.body
    by_query = await today["doc"].get("/exchangedata/byParticipant?dataOwnerId=doc")
    assert len(by_query.body["rows"]) == 3


async def test_a_page_has_a_thousand_rows_and_is_found_quickly(
    session: aiohttp.ClientSession, people: Json
) -> None:
    mine = [exchange_data("doc", "pat", id=f"mine-{n:04}") for n in range(2001)]
    others = [exchange_data("colleague", "other", id=f"m-{n:04}") for n in range(2000)]
    entities = {"exchangedata": {one["id"]: one for one in (*mine, *others)}}
    seed = {**people, "entities": {**people["entities"], **entities}}
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        doc = Today(sandbox, session)["doc"]
        begin = time.perf_counter()
        sizes: list[int] = []
        start: str | None = ""
        while start is not None:
            page = await doc.get(f"/exchangedata/byParticipant/doc?startDocumentId={start}")
            sizes.append(len(page.body["rows"]))
            start = page.body.get("nextKeyPair", {}).get("startKeyDocId")
        assert sizes == [1000, 1000, 1]
        assert time.perf_counter() - begin < 5


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ("hcp", {"colleague"}),
        ("Hcp,Patient", {"colleague", "pat"}),
        ("HCP,%20device,PATIENT", {"colleague", "pat", "machine"}),
    ],
)
async def test_counterparts_are_of_the_types_asked_for(
    today: Today, types: str, expected: set[str]
) -> None:
    for delegator, delegate in (
        ("doc", "doc"), ("doc", "pat"), ("colleague", "doc"), ("doc", "machine"), ("doc", "pat"),
        ("doc", "other-group/pat"),
    ):  # fmt: skip
        body = exchange_data(delegator, delegate)
        assert (await today[delegator].post("/exchangedata", body)).status == 200
    path = "/exchangedata/byParticipant/doc/counterparts"
    found = (await today["doc"].get(f"{path}?counterpartsTypes={types}")).body
    assert sorted(found) == sorted(expected)


async def test_counterparts_whose_data_a_key_opens_are_left_out(today: Today) -> None:
    await today["doc"].post("/exchangedata", exchange_data("doc", "pat"))
    half = exchange_data("doc", "colleague")
    half["exchangeKey"] = {**half["exchangeKey"], fingerprint("pat"): some_bytes()}
    await today["doc"].post("/exchangedata", half)
    path = "/exchangedata/byParticipant/doc/counterparts?counterpartsTypes=Hcp,Patient"
    ignoring = f"{path}&ignoreOnEntryForFingerprint={fingerprint('pat')}"
    assert (await today["doc"].get(ignoring)).body == ["colleague"]
    for query in ("?counterpartsTypes=king", ""):
        assert (await today["doc"].get(path.partition("?")[0] + query)).status == 400


async def test_the_older_api_has_exchange_data_too(today: Today) -> None:
    body = exchange_data("doc", "pat")
    created = await today.v1("doc").post("/exchangedata", body)
    assert created.status == 200
    assert (await today["pat"].get(f"/exchangedata/{body['id']}")).body == created.body
    found = await today.v1("pat").get("/exchangedata/byParticipant/pat")
    assert found.body["rows"] == [created.body]


async def test_exchange_data_and_maps_of_another_group_are_never_found(
    session: aiohttp.ClientSession,
) -> None:
    def group(name: str, delegate: str) -> Json:
        user = {"id": f"u-{name}", "login": name, "healthcarePartyId": "doc", "groupId": name}
        shared = exchange_data("doc", delegate, id="x")
        shown = {"id": delegation_key("k"), "encryptedExchangeDataIds": {fingerprint(name): name}}
        entities = {
            "user": {user["id"]: user},
            "hcparty": {"doc": {"id": "doc", "lastName": name}},
            "exchangedata": {"x": shared},
            "exchangedatamap": {shown["id"]: shown},
        }
        return {"entities": entities, "tokens": {user["id"]: [SECRET]}}

    seed = {**group("north", "ned"), "groups": {"south": group("south", "cersei")}}
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        today = Today(sandbox, session)
        for name, delegate in (("north", "ned"), ("south", "cersei")):
            found = await today[name].get("/exchangedata/byParticipant/doc")
            assert [row["delegate"] for row in found.body["rows"]] == [delegate]
            asked = {"ids": [delegation_key("k")]}
            (found_map,) = (await today[name].post("/exchangedatamap/batch", asked)).body
            assert found_map["encryptedExchangeDataIds"] == {fingerprint(name): name}
        exported = await sandbox.export()
        assert exported["groups"]["south"]["entities"]["exchangedata"]["x"]["delegate"] == "cersei"


# Maps.


async def put_map(today: Today, name: str, entries: Any) -> int:
    body = {"batch": {access_key(name).hex(): entries}}
    return (await today["pat"].put("/exchangedatamap/batch", body)).status


async def test_a_map_is_kept_under_its_delegation_key_and_only_completed(today: Today) -> None:
    one, two = fingerprint("one"), fingerprint("two")
    body = {"batch": {access_key("a").hex(): {one: "first"}}}
    answer = await today["pat"].put("/exchangedatamap/batch", body)
    assert (answer.status, answer.body) == (200, "ok")
    assert await put_map(today, "a", {one: "another", two: "second"}) == 200
    assert await put_map(today, "a", {one: "once more"}) == 200
    asked = {"ids": [delegation_key("a"), delegation_key("unknown")]}
    (found,) = (await today["colleague"].post("/exchangedatamap/batch", asked)).body
    assert found["id"] == delegation_key("a")
    assert found["rev"].startswith("2-")
    assert found["encryptedExchangeDataIds"] == {one: "first", two: "second"}


@pytest.mark.parametrize("entries", [{}, None, [], {"f": "x"}, {"f" * 22: 3}])
async def test_malformed_maps_are_refused(today: Today, entries: Any) -> None:
    assert await put_map(today, "a", entries) == 400


@pytest.mark.parametrize("batch", [None, [], {"zz": {"f" * 22: "x"}}, {"AB" * 16: {"f" * 22: "x"}}])
async def test_malformed_batches_of_maps_are_refused(today: Today, batch: Any) -> None:
    answer = await today["pat"].put("/exchangedatamap/batch", {"batch": batch})
    assert answer.status == 400
