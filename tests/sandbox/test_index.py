"""The index that filters use: what is found agrees with what is stored, and nothing is scanned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

import orjson
import pytest

from icure_async.sandbox.access import caller_of, can_manage_user, can_read, readers_of, reads_as
from icure_async.sandbox.calls import Call, Settings
from icure_async.sandbox.clock import Clock
from icure_async.sandbox.filters import find, finds
from icure_async.sandbox.links import link_entity
from icure_async.sandbox.pages import filter_page, match_ids
from icure_async.sandbox.queries import exactly
from icure_async.sandbox.store import Store, Transaction
from tests.support.bare_client import Json, shared_with
from tests.support.golden import WORLD2

KINDS = ("user", "patient", "hcparty", "device", "maintenancetask", "helement", "contact")
STAGE = WORLD2["stages"]["14-people"]["entities"]

FILTERS: list[tuple[str, Json]] = [
    ("patient", {"$type": "PatientByHcPartyFilter"}),
    ("patient", {"$type": "PatientByDataOwnerTagFilter", "dataOwnerId": "me", "tagType": "t"}),
    ("patient", {"$type": "PatientByHcPartyAndActiveFilter", "active": True}),
    ("patient", {"$type": "PatientByHcPartyAndAddressFilter", "searchString": "winter"}),
    ("patient", {"$type": "PatientByHcPartyAndExternalIdFilter", "externalId": "7"}),
    ("patient", {"$type": "PatientByHcPartyAndIdentifiersFilter", "identifiers": [{"value": "7"}]}),
    ("patient", {"$type": "PatientByHcPartyAndSsinFilter", "ssin": "7"}),
    ("patient", {"$type": "PatientByHcPartyAndSsinsFilter", "ssins": ["7", "8"]}),
    ("patient", {"$type": "PatientByHcPartyAndTelecomFilter", "searchString": "ned@"}),
    ("patient", {"$type": "PatientByHcPartyDateOfBirthBetweenFilter", "minDateOfBirth": 19990101}),
    ("patient", {"$type": "PatientByHcPartyDateOfBirthFilter", "dateOfBirth": 19990101}),
    ("patient", {"$type": "PatientByHcPartyGenderEducationProfession", "gender": "male"}),
    ("patient", {"$type": "PatientByHcPartyNameContainsFuzzyFilter", "searchString": "sta"}),
    ("user", {"$type": "AllUsersFilter"}),
    ("user", {"$type": "UserByNameEmailPhoneFilter", "searchString": "ned"}),
    ("user", {"$type": "UsersByPatientIdFilter", "patientId": "7"}),
    ("hcparty", {"$type": "HealthcarePartyByNameFilter", "name": "luw"}),
    ("hcparty", {"$type": "HealthcarePartyByTagCodeFilter", "tagType": "t", "tagCode": "c"}),
    ("device", {"$type": "DeviceByHcPartyFilter", "responsibleId": "me"}),
    ("maintenancetask", {"$type": "MaintenanceTaskAfterDateFilter", "date": 7}),
    ("maintenancetask", {"$type": "MaintenanceTaskByHcPartyAndTypeFilter", "type": "OTHER"}),
]


def call_as(
    tx: Transaction,
    user: Json,
    *,
    profile: Literal["legacy", "strict"] = "legacy",
    body: Any = None,
    **query: str,
) -> Call:
    return Call(
        method="POST",
        params={},
        query=query,
        headers={"Content-Type": "application/json"},
        clock=Clock(),
        settings=Settings(
            profile=profile,
            code_validity=1,
            access_token_validity=1,
            refresh_token_validity=1,
            max_code_attempts=1,
            lenient=False,
            captcha=None,
        ),
        signer=None,
        raw=orjson.dumps(body),
        known_caller=caller_of(tx, user),
    )


def plainly_reads(call: Call, kind: str, entity: Json) -> bool:
    """Return whether a caller may read an entity, as server-behaviour.md §7.1 says it."""
    caller = call.caller
    if caller.is_admin or kind in ("hcparty", "device") or (call.legacy and caller.is_hcp):
        return True
    if kind == "maintenancetask" and entity.get("author") == caller.user_id:
        return True
    delegations = entity.get("delegations") or {}
    accessors = {*delegations, *(entry["owner"] for each in delegations.values() for entry in each)}
    if kind == "patient":
        accessors.add(entity["id"])
    return not accessors.isdisjoint(caller.identities)


@pytest.fixture(name="store")
async def _store() -> AsyncIterator[Store]:
    store = Store(":memory:", link_entity)
    await store.open()
    yield store
    await store.close()


@pytest.fixture(name="golden")
async def _golden(store: Store) -> Store:
    def plant(tx: Transaction) -> None:
        for kind, by_id in STAGE.items():
            for entity in by_id.values():
                tx.put(kind, entity)

    await store.run(plant)
    return store


@pytest.mark.parametrize("profile", ["legacy", "strict"])
async def test_the_index_lets_everybody_read_what_the_rules_let_them_read(
    golden: Store, profile: Literal["legacy", "strict"]
) -> None:
    def compare(tx: Transaction) -> list[bool]:
        answers: list[bool] = []
        for user in STAGE["user"].values():
            call = call_as(tx, user, profile=profile)
            for kind in KINDS:
                names = reads_as(call, kind)
                for entity in STAGE.get(kind, {}).values():
                    may = (
                        can_manage_user(call, entity)
                        if kind == "user"
                        else can_read(call, kind, entity)
                    )
                    assert kind == "user" or may == plainly_reads(call, kind, entity)
                    assert may == (names is None or not names.isdisjoint(readers_of(kind, entity)))
                    answers.append(may)
        return answers

    assert set(await golden.run(compare)) == {True, False}


@pytest.mark.parametrize(("kind", "body"), FILTERS)
async def test_no_filter_walks_along_everything(store: Store, kind: str, body: Json) -> None:
    """Look at the plans of SQLite: SEARCH uses an index, SCAN does not."""

    def plans(tx: Transaction) -> list[str]:
        call = call_as(tx, {"id": "u", "patientId": "me"}, profile="strict")
        query = find(tx, call, kind, body).query
        assert query is not None
        sql = (
            f"EXPLAIN QUERY PLAN SELECT DISTINCT l.id FROM {query.tables} WHERE {query.conditions}"
        )
        rows = tx.select(
            f"{sql} AND l.grp = '' AND l.id >= '' ORDER BY l.id LIMIT 9", query.parameters
        )
        return [row[3] for row in rows]

    steps = await store.run(plans)
    assert any("SEARCH l " in step for step in steps)
    assert not [step for step in steps if step.startswith(("SCAN l", "SCAN p"))]


async def test_a_page_reads_no_more_entities_than_it_shows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    get = Transaction.get

    def counted(tx: Transaction, kind: str, entity_id: str) -> Json | None:
        read.append(entity_id)
        return get(tx, kind, entity_id)

    def work(tx: Transaction) -> Json:
        for number in range(500):
            patient_id = f"p{number:03d}"
            tx.put("patient", {"id": patient_id, "rev": "1-a", **shared_with("me")})
        monkeypatch.setattr(Transaction, "get", counted)
        body = {"filter": {"$type": "PatientByHcPartyFilter"}}
        user = {"id": "u", "patientId": "me"}
        call = call_as(tx, user, body=body, limit="100", startDocumentId="p200")
        return filter_page(tx, call, "patient", lambda _kind, patient: patient)

    page = await store.run(work)
    assert [patient["id"] for patient in page["rows"]] == [f"p{n:03d}" for n in range(200, 300)]
    assert (page["totalSize"], page["nextKeyPair"]["startKeyDocId"]) == (500, "p300")
    assert len(read) == 100


async def test_a_deleted_entity_is_found_by_its_id_alone(store: Store) -> None:
    def work(tx: Transaction) -> tuple[list[str], list[str], list[str]]:
        task = {"id": "t", "created": 7, "taskType": "OTHER", **shared_with("me")}
        tx.put("maintenancetask", task)
        user = {"id": "u", "patientId": "me"}
        by_type = {"$type": "MaintenanceTaskByHcPartyAndTypeFilter", "type": "OTHER"}
        by_ids = {"$type": "MaintenanceTaskByIdsFilter", "ids": ["t"]}
        before = match_ids(tx, call_as(tx, user, body=by_type), "maintenancetask")
        tx.put("maintenancetask", {**task, "deletionDate": 8})
        after = match_ids(tx, call_as(tx, user, body=by_type), "maintenancetask")
        return before, after, match_ids(tx, call_as(tx, user, body=by_ids), "maintenancetask")

    assert await store.run(work) == (["t"], [], ["t"])


async def test_what_changes_is_found_by_its_new_values_only(store: Store) -> None:
    def work(tx: Transaction) -> list[list[str]]:
        user = {"id": "u", "patientId": "me"}
        found: list[list[str]] = []
        for name in ("Stark", "Snow"):
            tx.put("patient", {"id": "p", "lastName": name, **shared_with("me")})
            for searched in ("star", "snow"):
                body = {"$type": "PatientByHcPartyNameFilter", "name": searched}
                found.append(match_ids(tx, call_as(tx, user, body=body), "patient"))
        return found

    assert await store.run(work) == [["p"], [], [], ["p"]]


async def test_odd_characters_make_a_difference_in_lists_too(store: Store) -> None:
    odd = ["a", "a\0b", "a\0", "\0", "\ufffe", "\ufffe0", "a\ufffe0b", "1", "null", '"', "\\", "A"]

    def compare(tx: Transaction) -> None:
        for number, text in enumerate(odd):
            tx.put("patient", {"id": str(number), "ssin": text, "delegations": {text: []}})
        for number, text in enumerate(odd):
            alive = exactly("patient", "alive", "")
            for query in (
                exactly("patient", "ssin", text),
                exactly("patient", "ssin", text, "another"),
                alive.also("delegate", [text]),
                alive.also("delegate", [text, "another"]),
            ):
                assert query.ids(tx) == [str(number)]

    await store.run(compare)


async def test_one_entity_is_held_against_a_filter(store: Store) -> None:
    def work(tx: Transaction) -> list[bool]:
        for patient_id, owner in (("a", "me"), ("b", "somebody"), ("c", "me")):
            tx.put("patient", {"id": patient_id, **shared_with(owner)})
        call = call_as(tx, {"id": "u", "patientId": "me"})
        mine = {"$type": "PatientByHcPartyFilter"}
        some = {
            "$type": "UnionFilter",
            "filters": [mine, {"$type": "PatientByIdsFilter", "ids": []}],
        }
        return [finds(tx, call, "patient", body, one) for body in (mine, some) for one in "abcd"]

    assert await store.run(work) == [True, False, True, False] * 2


async def test_long_names_are_found_by_any_part_of_them(store: Store) -> None:
    name = "".join(f"{number:04d}" for number in range(500))

    def work(tx: Transaction) -> list[list[str]]:
        for number in range(50):
            tx.put("patient", {"id": f"p{number:02d}", "lastName": f"x{number:02d}{name}",
                               **shared_with("me")})  # fmt: skip
        user = {"id": "u", "patientId": "me"}
        searched = [name[900:903], name[-60:], f"x07{name}", name[:60] + "x"]
        found: list[list[str]] = []
        for text in searched:
            body = {"$type": "PatientByHcPartyNameFilter", "name": text}
            found.append(match_ids(tx, call_as(tx, user, body=body), "patient"))
        return found

    by_three, by_the_end, by_all, by_none = await store.run(work)
    assert len(by_three) == len(by_the_end) == 50
    assert (by_all, by_none) == (["p07"], [])
