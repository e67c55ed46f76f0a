"""Events of conditions, contacts and data samples.

Source: server-behaviour.md §12, §15.1.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.test_events import nothing_comes, received, send, subscribed
from tests.support.bare_client import World, me, shared_with

CONDITION = "org.taktik.icure.entities.HealthElement"
SAMPLE = "org.taktik.icure.entities.embed.Service"


def tag(code: str) -> dict[str, Any]:
    return {"id": f"T|{code}|1", "type": "T", "code": code, "version": "1"}


async def test_a_condition_is_told_of_when_it_is_created_changed_and_deleted(
    world: World,
) -> None:
    owner = world.sandbox.master_hcp.data_owner_id
    chain = {"filter": {"$type": "HealthElementByHcPartyFilter", "hcpId": owner}}
    async with subscribed(world, CONDITION, filter=chain) as socket:
        await send(world, "POST", "/helement", {"id": "other"})
        body = {"id": "fever", **shared_with(owner)}
        created = await send(world, "POST", "/helement", body)
        assert await received(socket) == created
        changed = await send(world, "PUT", "/helement", {**created, "note": "n"})
        assert await received(socket) == changed
        await send(world, "DELETE", "/helement/fever")
        assert (await received(socket))["deletionDate"]


async def test_tags_of_a_condition_do_not_count_without_a_code(world: World) -> None:
    owner = world.sandbox.master_hcp.data_owner_id
    leaf = {"$type": "HealthElementByHcPartyTagCodeFilter", "tagType": "T", "tagCode": "x",
            "healthcarePartyId": owner, "status": 5}  # fmt: skip
    chain = {"filter": {"$type": "UnionFilter", "filters": [leaf]}}
    assert await send(world, "POST", "/helement/match", chain["filter"]) == []
    async with subscribed(world, CONDITION, filter=chain) as socket:
        await send(world, "POST", "/helement", {"id": "untagged", **shared_with(owner)})
        assert (await received(socket))["id"] == "untagged"
    assert await send(world, "POST", "/helement/match", chain["filter"]) == []
    with_code = {"filter": {**leaf, "codeType": "C"}}
    async with subscribed(world, CONDITION, filter=with_code) as socket:
        await send(world, "POST", "/helement", {"id": "second", **shared_with(owner)})
        await nothing_comes(socket)


async def test_a_sample_is_told_of_with_the_keys_of_its_contact(world: World) -> None:
    owner = world.sandbox.master_hcp.data_owner_id
    leaf = {"$type": "ServiceByHcPartyTagCodeDateFilter", "tagType": "T", "tagCode": "x",
            "healthcarePartyId": owner}  # fmt: skip
    samples: list[dict[str, Any]] = [
        {"id": "s", "tags": [tag("x")], "created": 1},
        {"id": "other", "tags": [tag("y")]},
    ]
    contact = {"id": "c", "services": samples, "secretForeignKeys": ["k"], **shared_with(owner)}
    async with subscribed(world, SAMPLE, filter={"filter": leaf}) as socket:
        created = await send(world, "POST", "/contact", contact)
        told = await received(socket)
        (stored,) = await send(world, "POST", "/contact/service/byIds", {"ids": ["s"]})
        assert told == stored
        assert told["contactId"] == "c"
        assert told["secretForeignKeys"] == ["k"]
        assert told["delegations"].keys() == {owner}
        await send(world, "PUT", "/contact", created)
        assert (await received(socket))["id"] == "s"
        older = {"id": "old", "services": [{**samples[0], "modified": 2}], **shared_with(owner)}
        await send(world, "POST", "/contact", older)
        await nothing_comes(socket)


async def test_nobody_is_told_of_samples_that_he_may_not_read(world: World) -> None:
    patient = await world.register("ned@winterfell.example")
    ned = (await me(patient))["patientId"]
    owner = world.sandbox.master_hcp.data_owner_id
    async with subscribed(world, SAMPLE, "CREATE", headers=patient.headers) as socket:
        await send(
            world, "POST", "/contact", {"id": "a", "services": [{"id": "x"}], **shared_with(owner)}
        )
        await send(
            world, "POST", "/contact",
            {"id": "b", "services": [{"id": "y"}], **shared_with(owner, ned)},
        )  # fmt: skip
        assert (await received(socket))["id"] == "y"
        await nothing_comes(socket)


@pytest.mark.parametrize("leaf", [{"$type": "PatientByHcPartyFilter"}, {"$type": "Nonsense"}, 1])
async def test_a_filter_of_another_kind_is_refused(world: World, leaf: Any) -> None:
    async with subscribed(world, SAMPLE, filter={"filter": leaf}) as socket:
        await socket.receive(timeout=5)
        assert socket.close_code == 1008
