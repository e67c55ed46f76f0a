"""Access to conditions, contacts, data samples, documents and attachments.

Source: server-behaviour.md §7.
"""

from __future__ import annotations

import uuid

import pytest

from tests.support.bare_client import Json, shared_with
from tests.support.today import Today

KINDS = ("helement", "contact", "document")
FILTERS = {
    "helement": "HealthElementByIdsFilter",
    "contact": "ContactByIdsFilter",
    "document": "DocumentByIdsFilter",
    "contact/service": "ServiceByIdsFilter",
}
OWNED = {
    "helement": "HealthElementByHcPartyFilter",
    "contact": "ContactByHcPartyFilter",
    "contact/service": "ServiceByHcPartyFilter",
}
BYTES = {"Content-Type": "application/octet-stream"}
READERS = ("doc", "pat", "machine")
STRANGERS = ("other", "colleague")


async def one_of_each(people: Today, *owners: str) -> Json:
    """The id of one record of each kind, created by the doctor."""
    doctor = people.v1("doc")
    ids: Json = {}
    shared = {**shared_with(*owners), "secretForeignKeys": ["secret"]}
    for kind in KINDS:
        ids[kind] = str(uuid.uuid4())
        more = {"services": [{"id": f"s-{ids[kind]}"}]} if kind == "contact" else {}
        await doctor.created(f"/{kind}", {"id": ids[kind], **more, **shared})
    ids["contact/service"] = f"s-{ids['contact']}"
    path = f"/document/{ids['document']}/attachment"
    assert (await doctor.put(path, data=b"bytes", headers=BYTES)).status == 200
    return ids


async def test_who_is_a_delegate_reads_and_finds_all(guarded: Today) -> None:
    ids = await one_of_each(guarded, *READERS)
    # The assistant reads what was shared with its parent.
    for name in (*READERS, "assistant"):
        client = guarded.v1(name)
        for kind, entity_id in ids.items():
            assert (await client.get(f"/{kind}/{entity_id}")).body["id"] == entity_id
            (found,) = (await client.post(f"/{kind}/byIds", {"ids": [entity_id]})).body
            assert found["id"] == entity_id
            query = {"$type": FILTERS[kind], "ids": [entity_id]}
            assert await client.filtered(f"/{kind}", query) == [entity_id]
            if name in READERS and kind in OWNED:
                assert entity_id in await client.filtered(f"/{kind}", {"$type": OWNED[kind]})
        content = await client.get(f"/document/{ids['document']}/attachment")
        assert (content.status, content.body) == (200, "bytes")


@pytest.mark.parametrize("name", STRANGERS)
async def test_others_neither_read_nor_find_nor_change(guarded: Today, name: str) -> None:
    ids = await one_of_each(guarded, *READERS)
    client = guarded.v1(name)
    for kind, entity_id in ids.items():
        assert (await client.get(f"/{kind}/{entity_id}")).status == 403
        assert (await client.post(f"/{kind}/byIds", {"ids": [entity_id]})).body == []
        query = {"$type": FILTERS[kind], "ids": [entity_id]}
        assert await client.filtered(f"/{kind}", query) == []
        assert (await client.post(f"/{kind}/match", query)).body == []
        if kind in OWNED:
            foreign = {"$type": OWNED[kind], "healthcarePartyId": "doc", "hcpId": "doc"}
            assert await client.filtered(f"/{kind}", foreign) == []
    for kind in KINDS:
        stored = (await guarded.v1("doc").get(f"/{kind}/{ids[kind]}")).body
        assert (await client.put(f"/{kind}", stored)).status == 403
        assert (await client.delete(f"/{kind}/{ids[kind]}")).status == 403
        stub = {"id": ids[kind], "delegations": {name: [{"delegatedTo": name, "key": "0"}]}}
        assert (await client.post(f"/{kind}/delegations", [stub])).body == []
        by_patient = f"/{kind}/byHcPartySecretForeignKeys?hcPartyId=doc&secretFKeys=secret"
        assert (await client.get(by_patient)).body == []
    path = f"/document/{ids['document']}/attachment"
    assert (await client.get(path)).status == 403
    assert (await client.put(path, data=b"theirs", headers=BYTES)).status == 403
    assert (await client.delete(path)).status == 403
    assert (await guarded.v1("doc").get(path)).body == "bytes"


async def test_patients_and_devices_write_and_share_their_own(guarded: Today) -> None:
    for name in ("pat", "machine"):
        client = guarded.v1(name)
        sample = f"sample-of-{name}"
        body = {"id": f"of-{name}", "services": [{"id": sample}], **shared_with(name)}
        created = await client.created("/contact", body)
        assert created["responsible"] == name
        stored = await client.created("/document", {"id": f"d-{name}", **shared_with(name)})
        path = f"/document/{stored['id']}/attachment"
        assert (await client.put(path, data=b"mine", headers=BYTES)).status == 200
        assert (await client.get(path)).body == "mine"
        assert (await guarded.v1("doc").get(path)).status == 403
        assert (await guarded.v1("doc").get(f"/contact/service/{sample}")).status == 403
        stub = {"id": created["id"], **shared_with("doc")}
        assert len((await client.post("/contact/delegations", [stub])).body) == 1
        assert (await guarded.v1("doc").get(f"/contact/service/{sample}")).status == 200
        foreign = {"id": str(uuid.uuid4()), "responsible": "doc", **shared_with(name)}
        assert (await client.post("/contact", foreign)).status == 403


async def test_a_tombstone_that_is_not_shared_hides_the_sample(guarded: Today) -> None:
    ids = await one_of_each(guarded, *READERS)
    doctor, patient = guarded.v1("doc"), guarded.v1("pat")
    sample = ids["contact/service"]
    dead = {"id": sample, "created": 1, "modified": 2**50, "endOfLife": 2**50}
    tombstone = {"id": "tombstone", "services": [dead], **shared_with("doc")}
    await doctor.created("/contact", tombstone)
    assert (await doctor.get(f"/contact/service/{sample}")).body["endOfLife"] == 2**50
    assert (await patient.get(f"/contact/service/{sample}")).status == 403
    assert await patient.filtered("/contact/service", {"$type": "ServiceByHcPartyFilter"}) == []
    await doctor.post("/contact/delegations", [{"id": "tombstone", **shared_with("doc", "pat")}])
    assert (await patient.get(f"/contact/service/{sample}")).body["contactId"] == "tombstone"


async def test_professionals_of_2023_read_and_change_everything(today: Today) -> None:
    ids = await one_of_each(today, "doc")
    colleague = today.v1("colleague")
    for kind, entity_id in ids.items():
        assert (await colleague.get(f"/{kind}/{entity_id}")).status == 200
        query = {"$type": FILTERS[kind], "ids": [entity_id]}
        assert await colleague.filtered(f"/{kind}", query) == [entity_id]
        if kind in OWNED:
            assert await colleague.filtered(f"/{kind}", {"$type": OWNED[kind]}) == []
    path = f"/document/{ids['document']}/attachment"
    assert (await colleague.put(path, data=b"changed", headers=BYTES)).status == 200


async def test_what_is_shared_by_secure_delegations_is_read_with_its_samples(
    guarded: Today,
) -> None:
    key = "ab" * 32
    delegation = {
        "delegator": "doc", "delegate": "pat", "permissions": "WRITE", "exchangeDataId": "x",
        "encryptionKeys": ["AA=="], "owningEntityIds": ["AA=="],
    }  # fmt: skip
    body = {
        "id": "c", "services": [{"id": "s", "modified": 1}], "secretForeignKeys": ["secret"],
        "securityMetadata": {"secureDelegations": {key: delegation}},
    }  # fmt: skip
    doctor = guarded["doc"].standard
    assert (await doctor.post("/contact", body)).status == 200
    for name in ("doc", "pat"):
        client = guarded[name].standard
        service = (await client.get("/contact/service/s")).body
        assert service["securityMetadata"]["secureDelegations"].keys() == {key}
        assert (service["contactId"], service["secretForeignKeys"]) == ("c", ["secret"])
        assert "delegations" not in service
        page = await client.post(
            "/contact/service/filter",
            {"filter": {"$type": "ServiceBySecretForeignKeys",
                        "patientSecretForeignKeys": ["secret"]}},
        )  # fmt: skip
        assert page.body == {"rows": [service]}
    assert (await guarded["other"].get("/contact/service/s")).status == 403
    gone = await doctor.delete("/contact/c")
    assert gone.status == 200
    assert (await doctor.get("/contact/service/s")).status == 404
    assert (await doctor.post("/contact/undelete/c")).status == 200
    assert (await doctor.get("/contact/service/s")).status == 200
    assert (await doctor.delete("/contact/purge/c")).status == 200
    assert (await doctor.get("/contact/service/s")).status == 404
