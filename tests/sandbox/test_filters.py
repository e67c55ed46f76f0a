from __future__ import annotations

from typing import Any

import pytest

from tests.support.bare_client import Client, Json, World, me, shared_with

PATIENTS: dict[str, Json] = {
    "robb": {
        "firstName": "Robb", "lastName": "Stärk", "gender": "male", "dateOfBirth": 19870618,
        "ssin": "870618", "externalId": "north-1", "education": "sword",
        "identifier": [{"system": "ravens", "value": "1"}],
        "tags": [{"type": "house", "code": "wolf", "version": "1", "id": "house|wolf|1"}],
        "addresses": [{"street": "Great Hall", "city": "Winterfell", "postalCode": "1000",
                       "houseNumber": "1",
                       "telecoms": [{"telecomType": "mobile", "telecomNumber": "+32 470 11"}]}],
    },
    "sansa": {
        "firstName": "Sansa", "lastName": "Stark", "maidenName": "Tully", "gender": "female",
        "dateOfBirth": 19960221, "ssin": "960221", "active": False, "profession": "lady",
        "identifier": [{"system": "ravens", "value": "2"}],
    },
    "jon": {"firstName": "Jon", "lastName": "Snow", "gender": "male", "externalId": "wall-1"},
}  # fmt: skip


async def with_patients(world: World) -> Client:
    master = await world.master()
    owner = (await me(master))["healthcarePartyId"]
    for patient_id, fields in PATIENTS.items():
        await master.created("/patient", {"id": patient_id, **fields, **shared_with(owner)})
    await master.created("/patient", {"id": "not-shared", **PATIENTS["robb"]})
    return master


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"$type": "PatientByHcPartyFilter"}, ["jon", "robb", "sansa"]),
        ({"$type": "PatientByHcPartyFilter", "healthcarePartyId": "somebody"}, []),
        ({"$type": "PatientByIdsFilter", "ids": ["sansa", "?", "not-shared"]},
         ["not-shared", "sansa"]),
        ({"$type": "PatientByHcPartyAndActiveFilter", "active": False}, ["sansa"]),
        ({"$type": "PatientByHcPartyAndActiveFilter", "active": True}, ["jon", "robb"]),
        ({"$type": "PatientByHcPartyAndSsinFilter", "ssin": "87"}, ["robb"]),
        ({"$type": "PatientByHcPartyAndSsinsFilter", "ssins": ["960221", "87"]}, ["sansa"]),
        ({"$type": "PatientByHcPartyAndExternalIdFilter", "externalId": "wall"}, ["jon"]),
        ({"$type": "PatientByHcPartyAndTelecomFilter", "searchString": "+3247011"}, ["robb"]),
        ({"$type": "PatientByHcPartyAndIdentifiersFilter",
          "identifiers": [{"system": "ravens", "value": "2"}]}, ["sansa"]),
        ({"$type": "PatientByHcPartyAndIdentifiersFilter", "identifiers": [{"system": "ravens"}]},
         ["robb", "sansa"]),
        ({"$type": "PatientByHcPartyAndAddressFilter", "searchString": "winter"}, ["robb"]),
        ({"$type": "PatientByHcPartyAndAddressFilter", "searchString": "great",
          "postalCode": "2000"}, []),
        ({"$type": "PatientByHcPartyDateOfBirthFilter", "dateOfBirth": 19870618}, ["robb"]),
        ({"$type": "PatientByHcPartyDateOfBirthBetweenFilter", "minDateOfBirth": 19870619},
         ["sansa"]),
        ({"$type": "PatientByHcPartyDateOfBirthBetweenFilter", "maxDateOfBirth": 19960221},
         ["robb", "sansa"]),
        ({"$type": "PatientByHcPartyNameContainsFuzzyFilter", "searchString": "STÀRK"},
         ["robb", "sansa"]),
        ({"$type": "PatientByHcPartyNameContainsFuzzyFilter", "searchString": "tarkro"}, ["robb"]),
        ({"$type": "PatientByHcPartyNameFilter", "name": "tully"}, ["sansa"]),
        ({"$type": "PatientByHcPartyNameFilter", "name": "on"}, []),
        ({"$type": "PatientByHcPartyNameFilter", "name": ""}, ["jon", "robb", "sansa"]),
        ({"$type": "PatientByHcPartyGenderEducationProfession", "gender": "male"},
         ["jon", "robb"]),
        ({"$type": "PatientByHcPartyGenderEducationProfession", "gender": "male",
          "education": "sword"}, ["robb"]),
        ({"$type": "PatientByHcPartyGenderEducationProfession", "gender": "male",
          "profession": "lady"}, ["jon", "robb"]),
        ({"$type": "UnionFilter", "filters": [
            {"$type": "PatientByIdsFilter", "ids": ["sansa"]},
            {"$type": "PatientByHcPartyNameFilter", "name": "snow"}]}, ["jon", "sansa"]),
        ({"$type": "UnionFilter", "filters": []}, []),
        ({"$type": "IntersectionFilter", "filters": [
            {"$type": "PatientByHcPartyFilter"},
            {"$type": "PatientByHcPartyNameFilter", "name": "stark"},
            {"$type": "PatientByHcPartyAndActiveFilter", "active": True}]}, ["robb"]),
        ({"$type": "ComplementFilter",
          "superSet": {"$type": "PatientByHcPartyFilter"},
          "subSet": {"$type": "PatientByIdsFilter", "ids": ["jon"]}}, ["robb", "sansa"]),
    ],
)  # fmt: skip
async def test_patients_are_found_by_id_order(world: World, query: Json, found: list[str]) -> None:
    master = await with_patients(world)
    assert await master.filtered("/patient", {"desc": "ignored", **query}) == found
    assert (await master.post("/patient/match", query)).body == found


async def test_patients_are_found_by_tag(world: World) -> None:
    master = await with_patients(world)
    query = {"$type": "PatientByDataOwnerTagFilter", "tagType": "house",
             "dataOwnerId": world.sandbox.master_hcp.data_owner_id}  # fmt: skip
    assert await master.filtered("/patient", query) == ["robb"]
    assert await master.filtered("/patient", {**query, "tagCode": "lion"}) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filter": {}},
        {"filter": {"$type": "Nonsense"}},
        {"filter": {"$type": "AllUsersFilter"}},
        {"filter": {"$type": "PatientByHcPartyAndSsinFilter"}},
        {"filter": {"$type": "PatientByHcPartyDateOfBirthFilter", "dateOfBirth": "1987"}},
        {"filter": {"$type": "PatientByIdsFilter"}},
        {"filter": {"$type": "PatientByIdsFilter", "ids": "x"}},
        {"filter": {"$type": "UnionFilter", "filters": ["x"]}},
        {"filter": {"$type": ["PatientByHcPartyFilter"]}},
        {"filter": {"$type": {}}},
        {"filter": {"$type": "ComplementFilter"}},
        {"filter": {"$type": "PatientByHcPartyGenderEducationProfession", "gender": "wolf"}},
        {"filter": {"$type": "PatientByHcPartyFilter"}, "predicate": {"$type": "Nonsense"}},
        {"filter": "PatientByHcPartyFilter"},
    ],
)
async def test_filters_that_make_no_sense_are_refused(world: World, body: Json) -> None:
    answer = await (await world.master()).post("/patient/filter", body)
    assert answer.status == 400
    assert answer.body["message"]


async def test_filters_that_lie_too_deep_are_refused(world: World) -> None:
    innermost: Json = {"$type": "PatientByHcPartyFilter"}
    for _ in range(400):
        innermost = {"$type": "UnionFilter", "filters": [innermost]}
    doctor = await world.register_hcp("deep@winterfell.example")
    answer = await doctor.post("/patient/match", innermost)
    assert answer.status == 400
    assert answer.body["message"]


def key_value(key: str, operator: str, value: Any) -> Json:
    return {"$type": "KeyValuePredicate", "key": key, "operator": operator, "value": value}


@pytest.mark.parametrize(
    ("predicate", "found"),
    [
        ({"$type": "AlwaysPredicate"}, ["jon", "robb", "sansa"]),
        (key_value("firstName", "EQUAL", "Jon"), ["jon"]),
        (key_value("firstName", "ILIKE", "N"), ["jon", "sansa"]),
        (key_value("dateOfBirth", "GREATERTHAN", 19870618), ["sansa"]),
        ({"$type": "NotPredicate", "predicate": key_value("gender", "EQUAL", "male")}, ["sansa"]),
        (
            {
                "$type": "AndPredicate",
                "predicates": [
                    key_value("gender", "EQUAL", "male"),
                    key_value("lastName", "NOTEQUAL", "Snow"),
                ],
            },
            ["robb"],
        ),
    ],
)
async def test_predicates_choose_among_what_was_found(
    world: World, predicate: Json, found: list[str]
) -> None:
    master = await with_patients(world)
    body = {"filter": {"$type": "PatientByHcPartyFilter"}, "predicate": predicate}
    page = (await master.post("/patient/filter", body)).body
    assert [patient["id"] for patient in page["rows"]] == found
    assert page["totalSize"] == 3


@pytest.mark.parametrize("key", ["passwordHash", "secret", "authenticationTokens"])
async def test_predicates_tell_nothing_of_secrets(world: World, key: str) -> None:
    patient = await world.register("bran@winterfell.example")
    user = await me(patient)
    secrets = {"passwordHash": "three eyed raven", "use2fa": True, "secret": "JBSWY3DPEHPK3PXP"}
    assert (await patient.put("/user", {**user, **secrets})).status == 200
    stored = await world.sandbox.stored("user", user["id"])
    assert stored is not None
    doctor = await world.register_hcp("luwin@winterfell.example")
    chain = {
        "filter": {"$type": "UserByIdsFilter", "ids": [user["id"]]},
        "predicate": key_value(key, "EQUAL", stored[key]),
    }
    answer = await doctor.post("/user/filter", chain)
    assert answer.body["rows"] == []


async def test_pages_join_without_gap_or_repetition(world: World) -> None:
    master = await world.master()
    owner = (await me(master))["healthcarePartyId"]
    ids = [f"p{number}" for number in range(7)]
    for patient_id in reversed(ids):
        await master.created("/patient", {"id": patient_id, "firstName": "x", **shared_with(owner)})
    seen: list[str] = []
    parameters = "?limit=3"
    sizes = []
    while parameters:
        body = {"filter": {"$type": "PatientByHcPartyFilter"}}
        page = (await master.post(f"/patient/filter{parameters}", body)).body
        seen += [patient["id"] for patient in page["rows"]]
        sizes.append((len(page["rows"]), page["pageSize"], page["totalSize"]))
        following = page.get("nextKeyPair")
        if following is not None:
            assert following["startKey"] == following["startKeyDocId"]
        parameters = f"?limit=3&startDocumentId={following['startKeyDocId']}" if following else ""
    assert seen == ids
    assert sizes == [(3, 3, 7), (3, 3, 7), (1, 3, 7)]
    exact = (await master.post("/patient/filter?limit=7", body)).body
    assert "nextKeyPair" not in exact
    from_the_middle = await master.filtered("/patient", body["filter"], "?startDocumentId=p31")
    assert from_the_middle == ["p4", "p5", "p6"]


async def test_hcps_devices_and_users_have_their_filters(world: World) -> None:
    master = await world.master()
    hcp_id = world.sandbox.master_hcp.data_owner_id
    luwin = await master.created(
        "/hcparty",
        {"id": "luwin", "lastName": "Luwin", "firstName": "Maester", "speciality": "ravens",
         "identifier": [{"system": "s", "value": "v"}], "codes": [{"id": "t|c|1"}]},
    )  # fmt: skip
    for query, found in (
        ({"$type": "AllHealthcarePartiesFilter"}, {hcp_id, "luwin"}),
        ({"$type": "HealthcarePartyByNameFilter", "name": "WINMAE"}, {"luwin"}),
        ({"$type": "HealthcarePartyByNameFilter", "name": "rave"}, {"luwin"}),
        ({"$type": "HealthcarePartyByTagCodeFilter", "codeType": "t"}, {"luwin"}),
        ({"$type": "HealthcarePartyByTagCodeFilter", "codeType": "t", "codeCode": "x"}, set()),
        (
            {"$type": "HealthcarePartyByIdentifiersFilter", "identifiers": [{"system": "s"}]},
            {"luwin"},
        ),
    ):
        assert set(await master.filtered("/hcparty", query)) == found
    by_ids = {"$type": "HealthcarePartyByIdsFilter", "ids": ["luwin", hcp_id]}
    assert await master.filtered("/hcparty", by_ids) == ["luwin", hcp_id]

    await master.created("/device", {"id": "scale", "name": "Scale", "responsible": luwin["id"]})
    await master.created("/device", {"id": "clock", "name": "Clock"})
    of_luwin = {"$type": "DeviceByHcPartyFilter", "responsibleId": "luwin"}
    assert await master.filtered("/device", of_luwin) == ["scale"]
    assert (await master.post("/device/match", {"$type": "AllDevicesFilter"})).body == [
        "clock",
        "scale",
    ]

    await master.created("/user", {"id": "u", "login": "tywin", "name": "Tywin of the Rock"})
    for text, expected in (("rock", ["u"]), ("TYW", ["u"]), ("win", [])):
        query = {"$type": "UserByNameEmailPhoneFilter", "searchString": text}
        assert await master.filtered("/user", query) == expected


async def test_notifications_come_newest_first(world: World) -> None:
    ned = await world.register("+32588235595")
    own = (await me(ned))["patientId"]
    for number in range(4):
        await ned.created(
            "/maintenancetask",
            {"id": f"t{number}", "created": 1000 + number, "taskType": f"type{number % 2}",
             "identifier": [{"system": "s", "value": str(number)}], **shared_with(own)},
        )  # fmt: skip
    after = {"$type": "MaintenanceTaskAfterDateFilter", "date": 1001}
    assert await ned.filtered("/maintenancetask", after) == ["t3", "t2", "t1"]
    assert await ned.filtered("/maintenancetask", {**after, "healthcarePartyId": "other"}) == []
    spelled = {**after, "healthCarePartyId": own}
    assert await ned.filtered("/maintenancetask", spelled, "?limit=1") == ["t3"]
    next_page = await ned.filtered("/maintenancetask", after, "?limit=1&startDocumentId=t2")
    assert next_page == ["t2"]
    by_type = {"$type": "MaintenanceTaskByHcPartyAndTypeFilter", "type": "type0"}
    assert await ned.filtered("/maintenancetask", by_type) == ["t2", "t0"]
    by_identifier = {"$type": "MaintenanceTaskByHcPartyAndIdentifiersFilter",
                     "identifiers": [{"system": "s", "value": "3"}]}  # fmt: skip
    assert await ned.filtered("/maintenancetask", by_identifier) == ["t3"]
    by_ids = {"$type": "MaintenanceTaskByIdsFilter", "ids": ["t0", "t1"]}
    assert await ned.filtered("/maintenancetask", by_ids) == ["t1", "t0"]
