from __future__ import annotations

import pytest

from tests.support.bare_client import World, me

NED = "+32588235595"
OLD, NEW, HIS = "a" * 556 + "0" * 32, "b" * 556 + "1" * 32, "c" * 556 + "2" * 32


async def test_a_data_owner_is_found_whatever_its_type(world: World) -> None:
    ned, master = await world.register(NED), await world.master()
    user = await me(ned)
    current = (await ned.get("/dataowner/current")).body
    assert current["type"] == "patient"
    assert current["dataOwner"] == (await ned.get(f"/patient/{user['patientId']}")).body
    hcp_id = world.sandbox.master_hcp.data_owner_id
    found = (await ned.get(f"/dataowner/{hcp_id}")).body
    assert (found["type"], found["dataOwner"]["id"]) == ("hcp", hcp_id)
    device = await master.created("/device", {"name": "scale"})
    assert (await ned.get(f"/dataowner/{device['id']}")).body["type"] == "device"
    missing = await ned.get("/dataowner/unknown")
    assert missing.status == 404
    assert missing.body["message"] == "Data owner with id unknown not found"


async def test_a_stub_is_the_keys_alone_and_its_put_changes_nothing_else(world: World) -> None:
    ned = await world.register(NED)
    own = (await me(ned))["patientId"]
    answer = (await ned.get(f"/dataowner/stub/{own}")).body
    assert answer["type"] == "patient"
    assert set(answer["stub"]) == {
        "id", "rev", "hcPartyKeys", "aesExchangeKeys", "transferKeys",
        "privateKeyShamirPartitions", "publicKeysForOaepWithSha256",
    }  # fmt: skip
    stub = {**answer["stub"], "publicKey": OLD}
    changed = await ned.put("/dataowner/stub", {"type": "patient", "stub": stub})
    assert changed.body["stub"]["publicKey"] == OLD
    patient = (await ned.get(f"/patient/{own}")).body
    assert (patient["publicKey"], patient["firstName"]) == (OLD, "Ned")
    assert patient["rev"] == changed.body["stub"]["rev"] != stub["rev"]

    stale = await ned.put("/dataowner/stub", {"type": "patient", "stub": stub})
    assert stale.status == 409
    adopted = {**changed.body["stub"], "parentId": "x"}
    refused = await ned.put("/dataowner/stub", {"type": "patient", "stub": adopted})
    assert refused.status == 400


async def test_exchange_keys_towards_a_delegate(world: World) -> None:
    master = await world.master()
    await master.created(
        "/patient",
        {"id": "new-style", "firstName": "R", "publicKey": OLD,
         "hcPartyKeys": {"ned": ["own", "his"]},
         "aesExchangeKeys": {OLD: {"ned": {HIS: "x1", OLD[-32:]: "x2"}, "arya": {"f": "no"}},
                             NEW: {"ned": {HIS[-32:]: "x3"}}}},
    )  # fmt: skip
    await master.created(
        "/patient",
        {"id": "legacy", "firstName": "R", "publicKey": OLD,
         "hcPartyKeys": {"ned": ["own", "his"], "arya": ["own", "hers"]}},
    )  # fmt: skip
    await master.created(
        "/patient",
        {"id": "both", "firstName": "R", "publicKey": OLD, "hcPartyKeys": {"ned": ["own", "his"]},
         "aesExchangeKeys": {NEW: {"ned": {HIS[-32:]: "x4"}}}},
    )  # fmt: skip
    await master.created(
        "/hcparty",
        {"id": "hcp", "lastName": "L", "aesExchangeKeys": {OLD: {"ned": {HIS[-32:]: "x5"}}}},
    )
    ned = await world.register(NED)
    assert (await ned.get("/patient/ned/aesExchangeKeys")).body == {
        "new-style": {
            "0" * 32: {"2" * 32: "x1", "0" * 32: "x2"},
            "1" * 32: {"2" * 32: "x3"},
        },
        "legacy": {"0" * 32: {"": "his"}},
        "both": {"1" * 32: {"2" * 32: "x4"}, "0" * 32: {"": "his"}},
    }
    assert (await ned.get("/hcparty/ned/aesExchangeKeys")).body == {
        "hcp": {"0" * 32: {"2" * 32: "x5"}}
    }
    assert (await ned.get("/device/ned/aesExchangeKeys")).body == {}
    assert (await ned.get("/patient/arya/keys")).body == {"legacy": "hers"}
    assert (await ned.get("/patient/unknown/aesExchangeKeys")).body == {}
    await master.delete("/patient/legacy,new-style")
    assert set((await ned.get("/patient/ned/aesExchangeKeys")).body) == {"both"}


async def test_the_public_key_of_an_hcp(world: World) -> None:
    master = await world.master()
    hcp = world.sandbox.master_hcp
    answer = (await master.get(f"/hcparty/{hcp.data_owner_id}/publicKey")).body
    assert answer == {"hcPartyId": hcp.data_owner_id, "hexString": hcp.key_pair.public_key}
    keyless = await master.created("/hcparty", {"lastName": "Luwin"})
    assert (await master.get(f"/hcparty/{keyless['id']}/publicKey")).status == 404


async def test_the_master_is_complete(world: World) -> None:
    master = await world.master()
    hcp = (await master.get("/hcparty/current")).body
    assert hcp["name"] == f"{hcp['lastName']} {hcp['firstName']}"
    assert [name["text"] for name in hcp["names"] if name["use"] == "official"] == [hcp["name"]]
    assert hcp["publicKey"] == world.sandbox.master_hcp.key_pair.public_key
    assert len(hcp["publicKey"]) == 588
    assert hcp["userId"] == world.sandbox.master_hcp.user_id


async def test_delegations_are_merged_into_a_patient(world: World) -> None:
    master = await world.master()
    patient = await master.created("/patient", {"id": "p", "firstName": "R"})
    entry = {"owner": "a", "delegatedTo": "b", "key": "00", "tags": []}
    path = f"/patient/{patient['id']}/delegate"
    for _ in range(2):
        answer = await master.post(path, [entry])
        assert answer.body["delegations"] == {"b": [entry]}
    assert (await master.post(path, [{"owner": "a"}])).status == 400
    assert (await master.post("/patient/unknown/delegate", [entry])).status == 404


@pytest.mark.parametrize("ids", ["{0}", "{0},{1}", "{1},unknown,{0}"])
async def test_hcps_by_ids_in_the_path(world: World, ids: str) -> None:
    master = await world.master()
    for name in ("first", "second"):
        await master.created("/hcparty", {"id": name, "lastName": "L"})
    wanted = ids.format("first", "second")
    answer = (await master.get(f"/hcparty/byIds/{wanted.replace(',', '%2C')}")).body
    assert [hcp["id"] for hcp in answer] == [i for i in wanted.split(",") if i != "unknown"]


async def test_devices_are_deleted_one_by_one_or_in_a_batch(world: World) -> None:
    master = await world.master()
    for name in ("a", "b", "c"):
        await master.created("/device", {"id": name})
    one = (await master.delete("/device/a")).body
    assert (one["id"], one["rev"][:2]) == ("a", "2-")
    many = (await master.post("/device/delete/batch", {"ids": ["b", "unknown", "c"]})).body
    assert [item["id"] for item in many] == ["b", "c"]
    assert (await master.post("/device/match", {"$type": "AllDevicesFilter"})).body == []
