"""Conditions, contacts, data samples and documents, as a bare client stores and finds them.

Source: server-behaviour.md §6.1, §9.3, §9.4, §10.7-10.9.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Client, Json, World, me, shared_with

FUZZY = re.compile(r"20\d{12}")
SERVICES = "/contact/service"


async def owner_of(client: Client) -> str:
    owner: str = (await me(client))["healthcarePartyId"]
    return owner


async def contact_with(
    client: Client, contact_id: str, *samples: Json, secret: str = "secret", **more: Any
) -> Json:
    owner = await owner_of(client)
    body = {
        "id": contact_id,
        "services": list(samples),
        "secretForeignKeys": [secret],
        **shared_with(owner),
        **more,
    }
    return await client.created("/contact", body)


async def test_a_condition_is_completed_as_the_backend_does(world: World) -> None:
    master = await world.master()
    user = await me(master)
    created = await master.created("/helement", {"id": "fever", "encryptedSelf": "AA=="})
    assert created["rev"].startswith("1-")
    assert created["author"] == user["id"]
    assert created["responsible"] == user["healthcarePartyId"]
    assert created["healthElementId"]
    assert created["created"] == created["modified"]
    assert FUZZY.fullmatch(str(created["valueDate"]))
    assert created["valueDate"] == created["openingDate"]
    assert created["relevant"] is True
    assert created["status"] == 0
    assert created["episodes"] == created["careTeam"] == created["plansOfAction"] == []
    assert (await master.get("/helement/fever")).body == created
    assert (await master.post("/helement/byIds", {"ids": ["?", "fever"]})).body == [created]


async def test_a_condition_is_modified_deleted_and_still_read_by_id(world: World) -> None:
    master = await world.master()
    created = await master.created("/helement", {"id": "fever", "modified": 5})
    changed = (await master.put("/helement", {**created, "note": "n"})).body
    assert changed["rev"].startswith("2-")
    assert changed["modified"] == 5
    assert (await master.put("/helement", {**created, "note": "m"})).status == 409
    assert (await master.put("/helement", {**created, "id": "?"})).status == 404
    (gone,) = (await master.delete("/helement/fever,unknown")).body
    assert gone["id"] == "fever"
    assert (await master.get("/helement/fever")).body["deletionDate"]
    assert (
        await master.post("/helement/match", {"$type": "HealthElementByHcPartyFilter"})
    ).body == []


async def test_a_malformed_condition_refuses_its_batch_and_conflicts_are_left_out(
    world: World,
) -> None:
    master = await world.master()
    answer = await master.post("/helement/batch", [{"id": "a", "descr": "d"}, {"id": "b"}])
    assert [one["id"] for one in answer.body] == ["a", "b"]
    assert answer.body[0]["descr"] == "d"
    again = await master.post("/helement/batch", [{"id": "a"}, {"id": "d"}])
    assert [one["id"] for one in again.body] == ["d"]
    changed = [*answer.body, {**answer.body[0], "id": "unknown"}]
    assert [one["id"] for one in (await master.put("/helement/batch", changed)).body] == ["a", "b"]
    assert (await master.put("/helement/batch", answer.body)).body == []
    refused = await master.post("/helement/batch", [{"id": "c"}, {"id": "e", "rev": "1-0"}])
    assert refused.status == 400
    refused = await master.post("/helement/batch", [{"id": "c"}, {"descr": "no id"}])
    assert refused.status == 400
    assert (await master.get("/helement/c")).status == 404


async def test_the_services_of_a_contact_are_completed_and_numbered(world: World) -> None:
    master = await world.master()
    user = await me(master)
    created = await contact_with(
        master, "c", {"id": "one"}, {"id": "two", "index": 7, "created": 1}, {"id": "three"},
        subContacts=[{"healthElementId": "fever", "services": [{"serviceId": "two"}]}],
    )  # fmt: skip
    assert [one["index"] for one in created["services"]] == [0, 7, 2]
    assert created["groupId"]
    assert FUZZY.fullmatch(str(created["openingDate"]))
    assert created["services"][1]["created"] == 1
    for service in created["services"]:
        assert service["author"] == user["id"]
        assert service["responsible"] == user["healthcarePartyId"]
        assert service["modified"] >= created["modified"]
        assert FUZZY.fullmatch(str(service["valueDate"]))
        assert service["delegations"] == {}
    assert created["subContacts"][0]["modified"] >= created["modified"]


async def test_a_service_is_answered_with_the_keys_and_the_links_of_its_contact(
    world: World,
) -> None:
    master = await world.master()
    owner = await owner_of(master)
    await contact_with(
        master, "c", {"id": "one"}, {"id": "two"},
        encryptionKeys={owner: [{"owner": owner, "delegatedTo": owner, "key": "11"}]},
        cryptedForeignKeys={owner: [{"owner": owner, "delegatedTo": owner, "key": "22"}]},
        subContacts=[
            {"id": "s1", "healthElementId": "fever", "services": [{"serviceId": "two"}]},
            {"id": "s2", "formId": "form", "planOfActionId": "plan",
             "services": [{"serviceId": "two"}]},
        ],
    )  # fmt: skip
    one, two = (await master.post(f"{SERVICES}/byIds", {"ids": ["one", "two", "?"]})).body
    for service in (one, two):
        assert service["contactId"] == "c"
        assert service["secretForeignKeys"] == ["secret"]
        assert service["delegations"].keys() == service["encryptionKeys"].keys() == {owner}
        assert service["cryptedForeignKeys"][owner][0]["key"] == "22"
    assert "healthElementsIds" not in one
    assert two["healthElementsIds"] == ["fever"]
    assert two["subContactIds"] == ["s1", "s2"]
    assert two["formIds"] == ["form"]
    assert two["plansOfActionIds"] == ["plan"]
    assert (await master.get(f"{SERVICES}/two")).body == two
    assert (await master.get(f"{SERVICES}/unknown")).status == 404


async def test_the_latest_version_of_a_service_wins_wherever_it_is(world: World) -> None:
    master = await world.master()
    tag = [{"id": "T|x|1", "type": "T", "code": "x", "version": "1"}]
    await contact_with(
        master, "zz", {"id": "one", "created": 1, "modified": 10, "comment": "old", "tags": tag}
    )
    await contact_with(master, "aa", {"id": "one", "created": 1, "modified": 20, "comment": "new"})
    await contact_with(
        master, "mm", {"id": "one", "created": 1, "modified": 15, "comment": "between"}
    )
    (found,) = (await master.post(f"{SERVICES}/byIds", {"ids": ["one"]})).body
    assert (found["comment"], found["contactId"]) == ("new", "aa")
    query = {"$type": "ServiceByHcPartyTagCodeDateFilter", "tagType": "T"}
    page = (await master.post(f"{SERVICES}/filter", {"filter": query})).body
    assert [row["comment"] for row in page["rows"]] == ["new"]
    await contact_with(master, "bb", {"id": "one", "created": 1, "modified": 5, "endOfLife": 30})
    (found,) = (await master.post(f"{SERVICES}/filter", {"filter": query})).body["rows"]
    assert (found["endOfLife"], found["contactId"]) == (30, "bb")
    await master.delete("/contact/bb,aa")
    (found,) = (await master.post(f"{SERVICES}/byIds", {"ids": ["one"]})).body
    assert found["comment"] == "between"


async def test_a_service_that_a_contact_lost_is_gone(world: World) -> None:
    master = await world.master()
    created = await contact_with(master, "c", {"id": "one"}, {"id": "two"})
    await master.put("/contact", {**created, "services": [created["services"][1]]})
    found = (await master.post(f"{SERVICES}/byIds", {"ids": ["one", "two"]})).body
    assert [one["id"] for one in found] == ["two"]
    assert await master.filtered(SERVICES, {"$type": "ServiceByHcPartyFilter"}) == ["two"]


def _tag(code: str) -> Json:
    return {"id": f"T|{code}|1", "type": "T", "code": code, "version": "1"}


SAMPLES: dict[str, Json] = {
    "day": {"valueDate": 20220101, "tags": [_tag("a")], "codes": [{"type": "C", "code": "1"}]},
    "noon": {"valueDate": 20220101120000, "tags": [_tag("a")],
             "identifier": [{"system": "s", "value": "v"}]},
    "next": {"valueDate": 20220102000000, "tags": [_tag("b")],
             "qualifiedLinks": {"parent": {"x": "day"}}},
}  # fmt: skip


SEARCHES: list[tuple[Json, list[str]]] = [
        ({"$type": "ServiceByHcPartyFilter"}, ["day", "next", "noon"]),
        ({"$type": "ServiceByHcPartyFilter", "hcpId": "somebody"}, []),
        ({"$type": "ServiceByIdsFilter", "ids": ["noon", "?", "day"]}, ["noon", "day"]),
        ({"$type": "ServiceByHcPartyIdentifiersFilter",
          "identifiers": [{"system": "s", "value": "v"}]}, ["noon"]),
        ({"$type": "ServiceByHcPartyTagCodeDateFilter", "tagType": "T", "tagCode": "a"},
         ["day", "noon"]),
        ({"$type": "ServiceByHcPartyTagCodeDateFilter", "tagType": "T", "descending": True},
         ["next", "noon", "day"]),
        ({"$type": "ServiceByHcPartyTagCodeDateFilter", "tagType": "T", "tagCode": "a",
          "codeType": "C", "codeCode": "1"}, ["day"]),
        ({"$type": "ServiceByHcPartyTagCodeDateFilter", "tagType": "T",
          "startValueDate": 20220101, "endValueDate": 20220101120000}, ["day", "noon"]),
        ({"$type": "ServiceByHcPartyTagCodeDateFilter", "startValueDate": 20220101000001},
         ["noon", "next"]),
        ({"$type": "ServiceByHcPartyTagCodeDateFilter", "tagType": "T",
          "patientSecretForeignKeys": ["other"]}, []),
        ({"$type": "ServiceByHcPartyTagCodeDateFilter", "patientSecretForeignKey": "secret"},
         ["day", "noon", "next"]),
        ({"$type": "ServiceByHcPartyHealthElementIdsFilter", "healthElementIds": ["fever", "?"]},
         ["next"]),
        ({"$type": "ServiceBySecretForeignKeys", "patientSecretForeignKeys": ["secret", "?"]},
         ["day", "next", "noon"]),
        ({"$type": "ServiceBySecretForeignKeys", "patientSecretForeignKeys": []}, []),
        ({"$type": "ServiceByContactsAndSubcontactsFilter", "contacts": ["c"]},
         ["day", "next", "noon"]),
        ({"$type": "ServiceByContactsAndSubcontactsFilter", "contacts": ["c"],
          "subContacts": ["s"]}, ["next"]),
        ({"$type": "UnionFilter", "filters": [
            {"$type": "ServiceByIdsFilter", "ids": ["noon"]},
            {"$type": "ServiceByIdsFilter", "ids": ["day"]}]}, ["noon", "day"]),
        ({"$type": "ComplementFilter", "superSet": {"$type": "ServiceByHcPartyFilter"},
          "subSet": {"$type": "ServiceByIdsFilter", "ids": ["noon"]}}, ["day", "next"]),
    ]  # fmt: skip


async def test_services_are_found_by_their_filters(world: World) -> None:
    master = await world.master()
    await contact_with(
        master, "c", *({"id": key, **sample} for key, sample in SAMPLES.items()),
        subContacts=[{"id": "s", "healthElementId": "fever", "services": [{"serviceId": "next"}]}],
    )  # fmt: skip
    for query, found in SEARCHES:
        assert await master.filtered(SERVICES, query) == found, query
        assert (await master.post(f"{SERVICES}/match", query)).body == found, query


async def test_a_page_of_services_names_the_next_one_by_its_id_only(world: World) -> None:
    master = await world.master()
    await contact_with(master, "c", *({"id": f"s{number}"} for number in range(5)))
    query = {"filter": {"$type": "ServiceByHcPartyFilter"}}
    page = (await master.post(f"{SERVICES}/filter?limit=3", query)).body
    assert [row["id"] for row in page["rows"]] == ["s0", "s1", "s2"]
    assert page["nextKeyPair"] == {"startKeyDocId": "s3"}
    rest = await master.post(f"{SERVICES}/filter?limit=3&startDocumentId=s3", query)
    assert [row["id"] for row in rest.body["rows"]] == ["s3", "s4"]
    assert "nextKeyPair" not in rest.body


async def test_linked_services_are_found(world: World) -> None:
    master = await world.master()
    await contact_with(master, "c", *({"id": key, **sample} for key, sample in SAMPLES.items()))
    linked = await master.post(f"{SERVICES}/linkedTo?linkType=parent", {"ids": ["x"]})
    assert [one["id"] for one in linked.body] == ["next"]
    other = await master.post(f"{SERVICES}/linkedTo?linkType=child", {"ids": ["x"]})
    assert other.body == []


async def test_compounds_that_lie_too_deep_are_refused(world: World) -> None:
    master = await world.master()
    innermost: Json = {"id": "s"}
    for _ in range(200):
        innermost = {"id": "s", "content": {"en": {"compoundValue": [innermost]}}}
    answer = await master.post("/contact", {"id": "deep", "services": [innermost]})
    assert answer.status == 400
    assert answer.body["message"]


async def test_a_document_takes_an_empty_object_for_its_hash(world: World) -> None:
    master = await world.master()
    created = await master.created("/document", {"id": "d", "name": "a.txt", "hash": {}})
    assert "hash" not in created
    assert (await master.post("/document/batch", {"ids": ["d", "?"]})).body == [created]
    missing = await master.get("/document/unknown")
    assert (missing.status, missing.body) == (404, {"message": "Document not found"})
    put = await master.put("/document", {"id": "new", "name": "b"})
    assert put.body["rev"].startswith("1-")
    renamed = await master.put("/document", {**created, "name": "c"})
    assert renamed.body["rev"].startswith("2-")


async def test_samples_in_a_database_of_an_earlier_version_are_found(
    world: World, fresh: Path, session: aiohttp.ClientSession
) -> None:
    await contact_with(await world.master(), "c", {"id": "one", "comment": "kept"})
    await world.sandbox.aclose()
    with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
        connection.execute("DELETE FROM entities WHERE kind = 'service'")
        connection.execute("DELETE FROM links WHERE kind IN ('service', 'serviceversion')")
        connection.execute("UPDATE meta SET value = '6' WHERE key = 'links'")
    async with Sandbox(database=fresh) as restarted:
        master = await World(restarted, session).master()
        query = {"$type": "ServiceBySecretForeignKeys", "patientSecretForeignKeys": ["secret"]}
        assert await master.filtered(SERVICES, query) == ["one"]
        assert (await master.get(f"{SERVICES}/one")).body["comment"] == "kept"
