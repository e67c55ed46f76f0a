from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.support.bare_client import Client, Json, World, me, shared_with

NED, ARYA = "+32588235595", "arya@winterfell.example"
LUWIN = "luwin@winterfell.example"


async def owner_id(client: Client) -> str:
    user = await me(client)
    return str(user.get("patientId") or user["healthcarePartyId"])


async def status_of(client: Client, method: str, path: str, body: Any = None) -> int:
    return (await client.send(method, path, body)).status


async def test_a_patient_always_reads_and_changes_itself(strict: World) -> None:
    ned = await strict.register(NED)
    patient = (await ned.get(f"/patient/{await owner_id(ned)}")).body
    answer = await ned.put("/patient", {**patient, "publicKey": "00ff", "lastName": "Snow"})
    assert answer.status == 200
    assert answer.body["publicKey"] == "00ff"


async def test_patients_reach_only_what_is_shared_with_them(either: World) -> None:
    ned, arya = await either.register(NED), await either.register(ARYA)
    ned_id, arya_id = await owner_id(ned), await owner_id(arya)
    own = await ned.created("/patient", {"firstName": "Robb", **shared_with(ned_id)})
    shared = await ned.created("/patient", {"firstName": "Bran", **shared_with(ned_id, arya_id)})

    assert await status_of(arya, "GET", f"/patient/{own['id']}") == 403
    assert await status_of(arya, "PUT", "/patient", {**own, "note": "mine"}) == 403
    assert await status_of(arya, "DELETE", f"/patient/{own['id']}") == 403
    assert await status_of(arya, "GET", f"/patient/{ned_id}") == 403
    assert await status_of(arya, "GET", "/patient/unknown") == 404
    by_ids = await arya.post("/patient/byIds", {"ids": [own["id"], shared["id"], ned_id]})
    assert [patient["id"] for patient in by_ids.body] == [shared["id"]]
    assert await arya.filtered("/patient", {"$type": "PatientByHcPartyFilter"}) == [shared["id"]]
    ids = {"$type": "PatientByIdsFilter", "ids": [own["id"], shared["id"]]}
    assert (await arya.post("/patient/match", ids)).body == [shared["id"]]
    of_ned = {"$type": "PatientByHcPartyFilter", "healthcarePartyId": ned_id}
    assert await arya.filtered("/patient", of_ned) == []

    assert await status_of(arya, "GET", f"/patient/{shared['id']}") == 200
    assert await status_of(arya, "PUT", "/patient", {**shared, "alias": "Broken"}) == 200
    assert await status_of(arya, "DELETE", f"/patient/{shared['id']}") == 200


async def test_in_the_legacy_profile_an_hcp_reads_and_changes_everything(world: World) -> None:
    ned, luwin = await world.register(NED), await world.register_hcp(LUWIN)
    ned_id = await owner_id(ned)
    patient = await ned.created("/patient", {"firstName": "Robb", **shared_with(ned_id)})
    assert await status_of(luwin, "GET", f"/patient/{patient['id']}") == 200
    of_ned = {"$type": "PatientByHcPartyFilter", "healthcarePartyId": ned_id}
    assert await luwin.filtered("/patient", of_ned) == [patient["id"]]
    assert await luwin.filtered("/patient", {"$type": "PatientByHcPartyFilter"}) == []
    assert await status_of(luwin, "PUT", "/patient", {**patient, "alias": "King"}) == 200
    assert await status_of(luwin, "DELETE", f"/patient/{patient['id']}") == 200


async def test_in_the_strict_profile_an_hcp_needs_a_delegation(strict: World) -> None:
    ned, luwin = await strict.register(NED), await strict.register_hcp(LUWIN)
    ned_id, luwin_id = await owner_id(ned), await owner_id(luwin)
    patient = await ned.created("/patient", {"firstName": "Robb", **shared_with(ned_id)})
    shared = await ned.created("/patient", {"firstName": "Bran", **shared_with(ned_id, luwin_id)})
    assert await status_of(luwin, "GET", f"/patient/{patient['id']}") == 403
    assert await status_of(luwin, "PUT", "/patient", {**patient, "alias": "King"}) == 403
    assert await status_of(luwin, "DELETE", f"/patient/{patient['id']}") == 403
    assert await status_of(luwin, "GET", f"/patient/{shared['id']}") == 200
    of_ned = {"$type": "PatientByHcPartyFilter", "healthcarePartyId": ned_id}
    assert await luwin.filtered("/patient", of_ned) == []
    assert await luwin.filtered("/patient", {"$type": "PatientByHcPartyFilter"}) == [shared["id"]]


async def test_the_administrator_may_do_everything(strict: World) -> None:
    ned, master = await strict.register(NED), await strict.master()
    ned_id = await owner_id(ned)
    patient = await ned.created("/patient", {"firstName": "Robb", **shared_with(ned_id)})
    assert await status_of(master, "PUT", "/patient", {**patient, "alias": "King"}) == 200
    assert await status_of(master, "DELETE", f"/patient/{patient['id']}") == 200


async def test_secure_delegations_tell_reading_from_writing(strict: World) -> None:
    ned, arya = await strict.register(NED), await strict.register(ARYA)
    metadata: Json = {
        "secureDelegations": {"k": {"delegate": await owner_id(arya), "permissions": "READ"}}
    }
    body = {"firstName": "R", "securityMetadata": metadata, **shared_with(await owner_id(ned))}
    patient = await ned.created("/patient", body)
    assert await status_of(arya, "GET", f"/patient/{patient['id']}") == 200
    assert await status_of(arya, "PUT", "/patient", {**patient, "alias": "x"}) == 403


async def test_children_see_what_parents_were_given_and_not_the_reverse(strict: World) -> None:
    master, ned = await strict.master(), await strict.register(NED)
    parent, child = await strict.register_hcp("p@x.example"), await strict.register_hcp(LUWIN)
    parent_id, child_id = await owner_id(parent), await owner_id(child)
    hcp = (await child.get("/hcparty/current")).body
    hcp = {**hcp, "lastName": "Luwin"}
    assert await status_of(child, "PUT", "/hcparty", {**hcp, "parentId": parent_id}) == 403
    assert await status_of(master, "PUT", "/hcparty", {**hcp, "parentId": parent_id}) == 200
    ned_id = await owner_id(ned)
    for_parent = await ned.created("/patient", {"firstName": "P", **shared_with(ned_id, parent_id)})
    for_child = await ned.created("/patient", {"firstName": "C", **shared_with(ned_id, child_id)})
    assert await status_of(child, "GET", f"/patient/{for_parent['id']}") == 200
    assert await status_of(parent, "GET", f"/patient/{for_child['id']}") == 403
    asked = {"$type": "PatientByHcPartyFilter", "healthcarePartyId": parent_id}
    assert await child.filtered("/patient", asked) == [for_parent["id"]]


async def test_hcps_and_devices_are_readable_by_all_and_changed_by_themselves(
    strict: World,
) -> None:
    ned, luwin = await strict.register(NED), await strict.register_hcp(LUWIN)
    master = await strict.master()
    device = await master.created("/device", {"name": "scale"})
    hcp = (await ned.get(f"/hcparty/{await owner_id(luwin)}")).body
    assert await status_of(ned, "GET", f"/device/{device['id']}") == 200
    for stranger in (ned, await strict.register_hcp("other@x.example")):
        changed = {**hcp, "lastName": "Pycelle"}
        assert await status_of(stranger, "PUT", "/hcparty", changed) == 403
        assert await status_of(stranger, "DELETE", f"/hcparty/{hcp['id']}") == 403
        assert await status_of(stranger, "DELETE", f"/device/{device['id']}") == 403
        new = {"id": str(uuid.uuid4()), "lastName": "Pycelle", "name": "x"}
        assert await status_of(stranger, "POST", "/hcparty", new) == 403
        assert await status_of(stranger, "POST", "/device", new) == 403
    assert await status_of(luwin, "PUT", "/hcparty", {**hcp, "speciality": "ravens"}) == 200


async def test_legacy_hcps_manage_data_owners(world: World) -> None:
    luwin, other = await world.register_hcp(LUWIN), await world.register_hcp("o@x.example")
    ned = await world.register(NED)
    device = await luwin.created("/device", {"name": "scale"})
    hcp = (await other.get("/hcparty/current")).body
    assert await status_of(luwin, "PUT", "/hcparty", {**hcp, "speciality": "ravens"}) == 200
    assert await status_of(ned, "POST", "/device", {"id": "d", "name": "x"}) == 403
    assert await status_of(ned, "PUT", "/device", {**device, "name": "x"}) == 403


async def test_everybody_may_give_exchange_keys_to_any_data_owner(strict: World) -> None:
    ned, arya = await strict.register(NED), await strict.register(ARYA)
    luwin, ned_id = await strict.register_hcp(LUWIN), await owner_id(ned)
    keys = {
        "aesExchangeKeys": {"k" * 40: {ned_id: {"f" * 32: "00"}}},
        "hcPartyKeys": {ned_id: ["00", "01"]},
        "transferKeys": {"a": {"b": "00"}},
    }
    patient = (await ned.get(f"/patient/{ned_id}")).body
    assert await status_of(arya, "PUT", "/patient", {**patient, **keys, "alias": "x"}) == 403
    assert await status_of(arya, "PUT", "/patient", {**patient, **keys, "publicKey": "0"}) == 403
    answer = await luwin.put("/patient", {**patient, **keys})
    assert (answer.status, answer.body["transferKeys"]) == (200, keys["transferKeys"])
    assert await status_of(arya, "PUT", "/patient", {**patient, **keys}) == 409  # stale by now

    hcp = (await luwin.get("/hcparty/current")).body
    official = {"lastName": "Stark", "firstNames": ["Ned"], "use": "official", "text": "Stark Ned"}
    completed = {**hcp, **keys, "names": [official], "name": "Stark Ned"}
    assert await status_of(ned, "PUT", "/hcparty", completed) == 200
    renamed = {**(await luwin.get("/hcparty/current")).body, "name": "Pycelle"}
    assert await status_of(ned, "PUT", "/hcparty", renamed) == 403


async def test_notifications_are_for_their_author_and_their_delegates(strict: World) -> None:
    ned, arya = await strict.register(NED), await strict.register(ARYA)
    luwin = await strict.register_hcp(LUWIN)
    luwin_id = await owner_id(luwin)
    task = await ned.created("/maintenancetask", {"taskType": "t", **shared_with(luwin_id)})
    assert task["author"] == (await me(ned))["id"]
    assert (task["responsible"], task["status"]) == (await owner_id(ned), "pending")
    path = f"/maintenancetask/{task['id']}"
    assert await status_of(arya, "GET", path) == 403
    assert await status_of(arya, "PUT", "/maintenancetask", task) == 403
    assert await status_of(arya, "DELETE", path) == 403
    changed = await luwin.put("/maintenancetask", {**task, "status": "ongoing"})
    assert changed.status == 200
    assert await status_of(ned, "GET", path) == 200
    assert await status_of(ned, "PUT", "/maintenancetask", changed.body) == 200
    assert await status_of(luwin, "DELETE", path) == 200


async def test_a_deleted_notification_is_read_by_its_id_and_listed_nowhere(either: World) -> None:
    ned, luwin = await either.register(NED), await either.register_hcp(LUWIN)
    ned_id, luwin_id = await owner_id(ned), await owner_id(luwin)
    tasks = [
        await ned.created("/maintenancetask", {"taskType": "t", **shared_with(ned_id, luwin_id)})
        for _ in range(2)
    ]
    gone, kept = (str(task["id"]) for task in tasks)
    answer = await luwin.delete(f"/maintenancetask/{gone}")
    assert (answer.status, [deleted["id"] for deleted in answer.body]) == (200, [gone])
    for reader in (ned, luwin):
        assert (await reader.get(f"/maintenancetask/{gone}")).body["deletionDate"]
        for query in (
            {"$type": "MaintenanceTaskAfterDateFilter", "date": 0},
            {"$type": "MaintenanceTaskByHcPartyAndTypeFilter", "type": "t"},
        ):
            assert await reader.filtered("/maintenancetask", query) == [kept]
        by_ids = {"$type": "MaintenanceTaskByIdsFilter", "ids": [gone, kept, "unknown"]}
        assert set(await reader.filtered("/maintenancetask", by_ids)) == {gone, kept}
    unknown = await luwin.delete("/maintenancetask/unknown")
    assert (unknown.status, unknown.body) == (200, [])


async def test_notifications_of_others_are_not_found_by_patients(either: World) -> None:
    ned, arya = await either.register(NED), await either.register(ARYA)
    ned_id = await owner_id(ned)
    task = await ned.created("/maintenancetask", {"taskType": "t", **shared_with(ned_id)})
    of_ned = {"$type": "MaintenanceTaskAfterDateFilter", "date": 0, "healthcarePartyId": ned_id}
    assert await ned.filtered("/maintenancetask", of_ned) == [task["id"]]
    assert await arya.filtered("/maintenancetask", of_ned) == []
    by_ids = {"$type": "MaintenanceTaskByIdsFilter", "ids": [task["id"]]}
    assert await arya.filtered("/maintenancetask", by_ids) == []


@pytest.mark.parametrize(
    "query",
    [
        {"$type": "MaintenanceTaskAfterDateFilter"},
        {"$type": "MaintenanceTaskAfterDateFilter", "date": "yesterday"},
        {"$type": "MaintenanceTaskByHcPartyAndTypeFilter"},
        {"$type": "MaintenanceTaskByIdsFilter"},
        {"$type": "PatientByHcPartyFilter"},
        {"$type": "NotificationsAfterDateFilter", "date": 0},
    ],
)
async def test_what_is_no_filter_for_notifications_is_refused(world: World, query: Json) -> None:
    ned = await world.register(NED)
    assert await status_of(ned, "POST", "/maintenancetask/filter", {"filter": query}) == 400


@pytest.mark.parametrize("prop", ["author", "responsible"])
async def test_a_patient_names_nobody_else_as_author_or_responsible(
    either: World, prop: str
) -> None:
    ned, luwin = await either.register(NED), await either.register_hcp(LUWIN)
    ned_id, luwin_id = await owner_id(ned), await owner_id(luwin)
    other = luwin_id if prop == "responsible" else (await me(luwin))["id"]
    for path, fields in (("/patient", {"firstName": "R"}), ("/maintenancetask", {"taskType": "t"})):
        body = {"id": str(uuid.uuid4()), **fields, **shared_with(ned_id, luwin_id)}
        for value in ("SOMEONE_ELSE", other):
            assert await status_of(ned, "POST", path, {**body, prop: value}) == 403
        stored = await ned.created(path, body)
        assert await status_of(ned, "PUT", path, {**stored, prop: other}) == 403
        assert await status_of(ned, "PUT", path, stored) == 200


async def test_what_names_somebody_else_already_may_be_changed(either: World) -> None:
    ned, luwin = await either.register(NED), await either.register_hcp(LUWIN)
    ned_id, luwin_id = await owner_id(ned), await owner_id(luwin)
    patient = await luwin.created("/patient", {"firstName": "R", **shared_with(luwin_id, ned_id)})
    assert patient["responsible"] == luwin_id
    changed = {**patient, "alias": "King"}
    assert await status_of(ned, "PUT", "/patient", changed) == 200
    own = {"author": (await me(ned))["id"], "responsible": ned_id}
    await ned.created("/patient", {"firstName": "R", **own, **shared_with(ned_id)})


async def test_professionals_name_others_in_the_legacy_profile_only(either: World) -> None:
    luwin, master = await either.register_hcp(LUWIN), await either.master()
    body = {"id": "robb", "firstName": "Robb", "responsible": "SOMEONE_ELSE"}
    expected = 200 if either.sandbox._settings.profile == "legacy" else 403
    assert await status_of(luwin, "POST", "/patient", body) == expected
    assert await status_of(master, "POST", "/patient", {**body, "id": "bran"}) == 200


async def test_a_professional_is_responsible_in_the_name_of_its_parent(strict: World) -> None:
    master, luwin = await strict.master(), await strict.register_hcp(LUWIN)
    parent = await master.created("/hcparty", {"name": "Citadel"})
    hcp = (await luwin.get("/hcparty/current")).body
    await master.put("/hcparty", {**hcp, "parentId": parent["id"]})
    await luwin.created("/patient", {"firstName": "R", "responsible": parent["id"]})


async def test_a_user_without_data_owner_has_no_data(world: World) -> None:
    master, ned = await world.master(), await world.register(NED)
    await master.created("/user", {"login": "plain", "passwordHash": "plain-password"})
    plain = await world.login("plain", "plain-password")
    body = {"id": str(uuid.uuid4()), "firstName": "R"}
    assert await status_of(plain, "POST", "/patient", body) == 403
    assert await status_of(plain, "GET", f"/patient/{await owner_id(ned)}") == 403
    assert await status_of(plain, "GET", "/dataowner/current") == 404
    assert await status_of(plain, "GET", "/hcparty/current") == 404
    everything = {"filter": {"$type": "PatientByHcPartyFilter"}}
    assert await status_of(plain, "POST", "/patient/filter", everything) == 400
