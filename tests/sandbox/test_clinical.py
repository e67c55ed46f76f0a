"""The lists that a client asks for before it shares all data of a patient.

Source: server-behaviour.md §15.1.
"""

from __future__ import annotations

import aiohttp
import pytest

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Client, Json, World
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
