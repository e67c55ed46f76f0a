"""The lists that a client asks for before it shares all data of a patient.

Source: server-behaviour.md §15.1.
"""

from __future__ import annotations

import aiohttp
import pytest

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Client, Json, World, me, shared_with
from tests.support.golden import WORLD2

STAGE = WORLD2["stages"]["13-invite"]
HCP_A = WORLD2["users"]["hcpA"]


@pytest.fixture(name="patient")
def _patient() -> Json:
    """The patient with the most conditions and contacts of the professional."""
    owner = HCP_A["dataOwnerId"]
    secrets = [s for c in STAGE["entities"]["contact"].values() for s in c["secretForeignKeys"]]
    chosen = max(set(secrets), key=secrets.count)
    return {"hcPartyId": owner, "secretFKeys": chosen}


async def as_hcp_a(sandbox: Sandbox, session: aiohttp.ClientSession) -> Client:
    return await World(sandbox, session).login(HCP_A["login"], HCP_A["token"])


def query(patient: Json) -> str:
    return "?" + "&".join(f"{name}={value}" for name, value in patient.items())


async def test_conditions_and_contacts_of_a_patient_are_listed(
    session: aiohttp.ClientSession, patient: Json
) -> None:
    async with Sandbox(seed=STAGE) as sandbox:
        client = await as_hcp_a(sandbox, session)
        listed = (await client.get(f"/contact/byHcPartySecretForeignKeys{query(patient)}")).body
        stubs = await client.get(
            f"/helement/byHcPartySecretForeignKeys/delegations{query(patient)}"
        )
    wanted = {
        kind: {
            entity["id"]
            for entity in STAGE["entities"][kind].values()
            if patient["secretFKeys"] in entity["secretForeignKeys"]
            and patient["hcPartyId"] in entity["delegations"]
            and not entity.get("deletionDate")
        }
        for kind in ("contact", "helement")
    }
    assert {contact["id"] for contact in listed} == wanted["contact"] != set()
    assert {stub["id"] for stub in stubs.body} == wanted["helement"]
    assert all(stub["encryptionKeys"] and "encryptedSelf" not in stub for stub in stubs.body)


@pytest.mark.parametrize(
    "path",
    ["form/{}/delegations", "invoice/{}/delegations", "classification/{}", "calendarItem/{}"],
)
async def test_kinds_that_do_not_exist_are_empty_lists(world: World, path: str) -> None:
    client = await world.master()
    path = path.format("byHcPartySecretForeignKeys")
    assert (await client.get(f"/{path}?hcPartyId=x&secretFKeys=y")).body == []
    assert (await client.post("/document/batch", {"ids": []})).body == []


async def test_a_list_without_an_owner_is_refused(world: World) -> None:
    client = await world.master()
    assert (await client.get("/contact/byHcPartySecretForeignKeys")).status == 400


async def test_entries_of_a_stub_are_added_to_what_is_there(
    session: aiohttp.ClientSession, patient: Json
) -> None:
    path = "/contact/byHcPartySecretForeignKeys"
    entry = {"owner": patient["hcPartyId"], "delegatedTo": "somebody", "key": "00", "tags": []}
    async with Sandbox(seed=STAGE) as sandbox:
        client = await as_hcp_a(sandbox, session)
        stub = (await client.get(f"{path}/delegations{query(patient)}")).body[0]
        given = {**stub, "delegations": {"somebody": [entry]}}
        (changed,) = (await client.post("/contact/delegations", [given])).body
        again = (await client.post("/contact/delegations", [{"id": "unknown"}])).body
    assert changed["delegations"] == stub["delegations"] | {"somebody": [entry]}
    assert changed["encryptionKeys"] == stub["encryptionKeys"]
    assert changed["rev"] != stub["rev"]
    assert again == []


async def test_lists_of_a_patient_are_asked_for_by_post_too(
    session: aiohttp.ClientSession, patient: Json
) -> None:
    owner, secret = patient["hcPartyId"], patient["secretFKeys"]
    async with Sandbox(seed=STAGE) as sandbox:
        client = await as_hcp_a(sandbox, session)
        for kind in ("contact", "helement", "document"):
            path = f"/{kind}/byHcPartySecretForeignKeys"
            by_get = (await client.get(f"{path}{query(patient)}")).body
            by_post = await client.post(f"{path}?hcPartyId={owner}", [secret, "unknown"])
            assert by_post.body == by_get
            stubs = await client.post(f"{path}/delegations?hcPartyId={owner}", [secret])
            assert [stub["id"] for stub in stubs.body] == [one["id"] for one in by_get]
        refused = await client.post(f"/contact/byHcPartySecretForeignKeys?hcPartyId={owner}", [1])
    assert refused.status == 400


async def test_closed_contacts_and_other_plans_are_left_out(world: World) -> None:
    master = await world.master()
    owner = (await me(master))["healthcarePartyId"]
    common = {"secretForeignKeys": ["s"], **shared_with(owner)}
    await master.created("/contact", {"id": "closed", "closingDate": 20220101000000, **common})
    plan = {"planOfActionId": "plan", "services": []}
    await master.created("/contact", {"id": "open", "subContacts": [plan], **common})
    path = f"/contact/byHcPartySecretForeignKeys?hcPartyId={owner}&secretFKeys=s"
    for parameters, wanted in (
        ("", ["closed", "open"]),
        ("&skipClosedContacts=true", ["open"]),
        ("&planOfActionsIds=plan,other", ["open"]),
        ("&planOfActionsIds=other", []),
    ):
        assert [one["id"] for one in (await master.get(path + parameters)).body] == wanted


@pytest.mark.parametrize("kind", ["helement", "contact", "document"])
async def test_a_delegation_is_added_to_one_record(world: World, kind: str) -> None:
    master = await world.master()
    owner = (await me(master))["healthcarePartyId"]
    created = await master.created(f"/{kind}", {"id": "x", **shared_with(owner)})
    entry = {"owner": owner, "delegatedTo": "friend", "key": "01"}
    changed = (await master.post(f"/{kind}/x/delegate", [entry])).body
    assert changed["delegations"].keys() == {owner, "friend"}
    assert changed["rev"] != created["rev"]
    again = (await master.post(f"/{kind}/x/delegate", [entry])).body
    assert again["delegations"] == changed["delegations"]
    assert (await master.post(f"/{kind}/unknown/delegate", [entry])).status == 404
    assert (await master.post(f"/{kind}/x/delegate", [{"owner": owner}])).status == 400
    patient = await world.register("ned@winterfell.example")
    assert (await patient.post(f"/{kind}/x/delegate", [entry])).status == 403
    assert (await patient.post(f"/{kind}/delegations", [{"id": "x"}])).body == []


async def test_shared_contacts_share_their_samples(strict: World) -> None:
    master = await strict.master()
    patient = await strict.register("ned@winterfell.example")
    owner, ned = (await me(master))["healthcarePartyId"], (await me(patient))["patientId"]
    contact = {"id": "c", "services": [{"id": "s"}], **shared_with(owner)}
    await master.created("/contact", contact)
    query = {"$type": "ServiceByIdsFilter", "ids": ["s"]}
    assert await patient.filtered("/contact/service", query) == []
    entry = {"owner": owner, "delegatedTo": ned, "key": "01"}
    await master.post("/contact/delegations", [{"id": "c", "delegations": {ned: [entry]}}])
    assert await patient.filtered("/contact/service", query) == ["s"]
    assert await patient.filtered("/contact/service", {"$type": "ServiceByHcPartyFilter"}) == ["s"]
    service = (await patient.get("/contact/service/s")).body
    assert service["delegations"].keys() == {owner, ned}
