from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any

import pytest

from tests.support.bare_client import Json, World, me, shared_with

EMPTY_PATIENT = {
    "identifier": [], "tags": [], "codes": [], "names": [], "languages": [], "addresses": [],
    "gender": "unknown", "birthSex": "unknown", "mergedIds": [], "active": True,
    "deactivationReason": "none", "personalStatus": "unknown", "insurabilities": [],
    "partnerships": [], "patientHealthCareParties": [], "financialInstitutionInformation": [],
    "medicalHouseContracts": [], "patientProfessions": [], "parameters": {}, "properties": [],
    "hcPartyKeys": {}, "aesExchangeKeys": {}, "transferKeys": {}, "privateKeyShamirPartitions": {},
    "secretForeignKeys": [], "cryptedForeignKeys": {}, "delegations": {}, "encryptionKeys": {},
    "nonDuplicateIds": [], "encryptedAdministrativesDocuments": [], "schoolingInfos": [],
    "employementInfos": [], "notes": [], "publicKeysForOaepWithSha256": [],
}  # fmt: skip


async def test_a_new_patient_has_the_defaults_of_the_contract_and_nothing_else(
    world: World,
) -> None:
    master = await world.master()
    user = await me(master)
    patient_id = str(uuid.uuid4())
    answer = await master.post("/patient", {"id": patient_id, "firstName": "Robb", "gender": None})
    patient = answer.body
    assert re.fullmatch(r"1-[0-9a-f]{32}", patient.pop("rev"))
    assert abs(patient.pop("created") - patient.pop("modified")) < 1000
    assert patient == {
        "id": patient_id,
        "firstName": "Robb",
        "author": user["id"],
        "responsible": user["healthcarePartyId"],
        **EMPTY_PATIENT,
    }


async def test_no_name_is_built_by_the_server(world: World) -> None:
    patient = await (await world.master()).created("/patient", {"lastName": "Stark"})
    assert patient["names"] == []


async def test_unknown_properties_are_dropped(world: World) -> None:
    patient = await (await world.master()).created(
        "/patient", {"firstName": "Robb", "_type": "Patient", "crest": "wolf"}
    )
    assert "_type" not in patient
    assert "crest" not in patient


@pytest.mark.parametrize(
    "wrong",
    [
        {"firstName": 3},
        {"active": "yes"},
        {"dateOfBirth": "1987"},
        {"dateOfBirth": True},
        {"dateOfBirth": 10**25},
        {"gender": "wolf"},
        {"addresses": {}},
        {"addresses": ["home"]},
        {"addresses": [{"addressType": "castle"}]},
        {"delegations": []},
        {"delegations": {"x": "y"}},
        {"aesExchangeKeys": {"a": {"b": "c"}}},
        {"id": None},
        {"id": "with blank"},
        {"id": "with/slash"},
        {"id": ""},
    ],
)
async def test_wrong_types_and_unknown_constants_are_refused(world: World, wrong: Json) -> None:
    master = await world.master()
    body = {"id": str(uuid.uuid4()), "firstName": "Robb", **wrong}
    answer = await master.post("/patient", body)
    assert answer.status == 400
    assert answer.body["message"]


async def test_a_patient_needs_a_name_and_an_hcp_something_to_call_it(world: World) -> None:
    master = await world.master()
    assert (await master.post("/patient", {"id": "p"})).status == 400
    assert (await master.post("/hcparty", {"id": "h", "firstName": "Maester"})).status == 400
    assert (await master.post("/hcparty", {"id": "h", "lastName": "Luwin"})).status == 200


async def test_embedded_types_get_their_defaults_too(world: World) -> None:
    patient = await (await world.master()).created(
        "/patient",
        {
            "firstName": "Robb",
            "names": [{"lastName": "Stark", "use": "official", "crest": "wolf"}],
            "addresses": [{"addressType": "home", "telecoms": [{"telecomType": "email"}]}],
        },
    )
    assert patient["names"] == [
        {"lastName": "Stark", "firstNames": [], "prefix": [], "suffix": [], "use": "official"}
    ]
    assert patient["addresses"][0]["telecoms"] == [{"telecomType": "email"}]
    assert patient["addresses"][0]["notes"] == []


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (
            {"id": "LOINC|1-2|3"},
            {"id": "LOINC|1-2|3", "type": "LOINC", "code": "1-2", "version": "3"},
        ),
        (
            {"type": "LOINC", "code": "1-2"},
            {"id": "LOINC|1-2|null", "type": "LOINC", "code": "1-2"},
        ),
        ({"id": "something else"}, {"id": "something else"}),
        (
            {"id": "A|B|C", "type": "own"},
            {"id": "A|B|C", "type": "own", "code": "B", "version": "C"},
        ),
    ],
)
async def test_code_stubs_are_completed(world: World, sent: Json, stored: Json) -> None:
    patient = await (await world.master()).created("/patient", {"firstName": "R", "tags": [sent]})
    assert patient["tags"] == [stored]


async def test_what_the_client_sends_is_not_touched(world: World) -> None:
    patient = await (await world.master()).created(
        "/patient",
        {"firstName": "R", "created": 1, "modified": 2, "author": "a", "responsible": "r"},
    )
    assert [patient[p] for p in ("created", "modified", "author", "responsible")] == [
        1,
        2,
        "a",
        "r",
    ]


async def test_a_change_replaces_everything_and_continues_the_revision(world: World) -> None:
    master = await world.master()
    first = await master.created("/patient", {"firstName": "Robb", "alias": "King in the North"})
    answer = await master.put(
        "/patient", {"id": first["id"], "rev": first["rev"], "firstName": "Robert"}
    )
    assert answer.status == 200
    assert re.fullmatch(r"2-[0-9a-f]{32}", answer.body["rev"])
    assert "alias" not in answer.body
    assert answer.body["modified"] >= first["modified"]
    assert (await master.get(f"/patient/{first['id']}")).body == answer.body


async def test_misuse_of_revisions_is_refused_in_the_words_of_the_backend(world: World) -> None:
    master = await world.master()
    patient = await master.created("/patient", {"firstName": "Robb"})
    again = await master.post("/patient", patient)
    assert (again.status, again.body["message"]) == (
        400,
        "An entity with a non-null revision is not valid for creation",
    )
    without = await master.put("/patient", {**patient, "rev": None})
    assert (without.status, without.body["message"]) == (
        400,
        "An entity with a null revision is not valid for modification",
    )
    unknown = await master.put("/patient", {**patient, "id": "nobody"})
    assert unknown.status == 404
    taken = await master.post("/patient", {"id": patient["id"], "firstName": "Other"})
    assert (taken.status, taken.body["message"]) == (409, "Document update Conflict")


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (
            "/patient",
            {"firstName": "Robb"},
            "Rev of current entity is {new} but rev of updated is {old}.",
        ),
        (
            "/maintenancetask",
            {"taskType": "t"},
            "Rev of current entity is {new} but rev of updated is {old}.",
        ),
        ("/hcparty", {"lastName": "Luwin"}, "Document update Conflict"),
        ("/device", {"name": "scale"}, "Document update Conflict"),
        ("/user", {"login": "robb"}, "Outdated revision for user {id}"),
    ],
)
async def test_a_stale_revision_is_refused(
    world: World, path: str, body: Json, message: str
) -> None:
    master = await world.master()
    old = await master.created(path, body)
    new = (await master.put(path, old)).body
    answer = await master.put(path, old)
    assert answer.status == 409
    assert answer.body["message"] == message.format(id=old["id"], old=old["rev"], new=new["rev"])


async def test_of_concurrent_changes_exactly_one_wins(world: World) -> None:
    master = await world.master()
    patient = await master.created("/patient", {"firstName": "Robb"})
    answers = await asyncio.gather(
        *(master.put("/patient", {**patient, "firstName": f"Robb {i}"}) for i in range(8))
    )
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    winner = next(answer.body for answer in answers if answer.status == 200)
    assert (await master.get(f"/patient/{patient['id']}")).body == winner


async def test_of_concurrent_creations_exactly_one_wins(world: World) -> None:
    master = await world.master()
    body = {"id": str(uuid.uuid4()), "firstName": "Robb"}
    answers = await asyncio.gather(*(master.post("/patient", body) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 4


async def test_deletion_is_soft(world: World) -> None:
    master = await world.master()
    owner = (await me(master))["healthcarePartyId"]
    patient = await master.created("/patient", {"firstName": "Robb", **shared_with(owner)})
    deleted = await master.delete(f"/patient/{patient['id']},unknown")
    assert [item["id"] for item in deleted.body] == [patient["id"]]
    assert deleted.body[0]["rev"].startswith("2-")

    still_there = (await master.get(f"/patient/{patient['id']}")).body
    assert still_there["deletionDate"] > patient["created"] - 1
    assert await master.filtered("/patient", {"$type": "PatientByHcPartyFilter"}) == []
    assert (await master.get(f"/dataowner/{patient['id']}")).status == 404
    assert (await master.post("/patient", {"id": patient["id"], "firstName": "R"})).status == 409

    restored = await master.put(f"/patient/undelete/{patient['id']}")
    assert restored.body[0]["rev"].startswith("3-")
    assert await master.filtered("/patient", {"$type": "PatientByHcPartyFilter"}) == [patient["id"]]
    assert "deletionDate" not in (await master.get(f"/patient/{patient['id']}")).body


async def test_deleting_one_unknown_thing_fails_deleting_a_list_skips_it(world: World) -> None:
    master = await world.master()
    assert (await master.delete("/device/unknown")).status == 404
    assert (await master.delete("/user/unknown")).status == 404
    for path in ("/patient", "/hcparty", "/maintenancetask"):
        answer = await master.delete(f"{path}/unknown")
        assert (answer.status, answer.body) == (200, [])


async def test_batches_answer_only_what_was_saved(world: World) -> None:
    master = await world.master()
    known = await master.created("/patient", {"firstName": "Robb"})
    answer = await master.post(
        "/patient/batch",
        [{"id": "new", "firstName": "Bran"}, {"id": known["id"], "firstName": "R"}],
    )
    assert [item["id"] for item in answer.body] == ["new"]
    changed = await master.put("/patient/bulk", [known, {**known, "rev": "1-" + "0" * 32}])
    assert [set(item) for item in changed.body] == [{"id", "rev"}]
    for method in ("POST", "PUT"):
        empty = await master.send(method, "/device/batch", [])
        assert (empty.status, empty.body) == (200, [])


async def test_many_by_id_keep_the_order_asked_for_and_skip_the_unknown(world: World) -> None:
    master = await world.master()
    ids = [(await master.created("/patient", {"firstName": str(i)}))["id"] for i in range(3)]
    wanted = [ids[2], "unknown", ids[0]]
    answer = await master.post("/patient/byIds", {"ids": wanted})
    assert [patient["id"] for patient in answer.body] == [ids[2], ids[0]]


@pytest.mark.parametrize("path", ["/patient", "/device", "/hcparty", "/maintenancetask", "/user"])
async def test_an_id_of_another_type_is_not_found(world: World, path: str) -> None:
    master = await world.master()
    others: dict[str, Any] = {
        "/hcparty": (await me(master))["healthcarePartyId"],
        "/user": (await me(master))["id"],
        "/patient": (await master.created("/patient", {"firstName": "R"}))["id"],
    }
    for other, entity_id in others.items():
        expected = 200 if other == path else 404
        assert (await master.get(f"{path}/{entity_id}")).status == expected


async def test_an_id_is_unique_among_users_and_healthcare_parties(world: World) -> None:
    master = await world.master()
    user_id = (await me(master))["id"]
    answer = await master.post("/hcparty", {"id": user_id, "lastName": "Luwin"})
    assert answer.status == 409


async def test_security_metadata_is_not_changed_by_a_put(world: World) -> None:
    master = await world.master()
    metadata = {"secureDelegations": {"k": {"delegate": "x", "permissions": "WRITE"}}}
    patient = await master.created("/patient", {"firstName": "R", "securityMetadata": metadata})
    assert (await master.put("/patient", {**patient, "securityMetadata": None})).status == 400
    assert (await master.put("/patient", {**patient, "firstName": "Robb"})).status == 200
