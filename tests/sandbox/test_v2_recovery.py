from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.support.bare_client import Client, Json
from tests.support.today import (
    Today,
    delegation,
    delegation_key,
    keys_header,
    metadata,
    result_of,
    share,
    some_bytes,
)


def recovery_data(recipient: str, entity_id: str = "r", **members: Any) -> Json:
    return {
        "id": entity_id,
        "recipient": recipient,
        "encryptedSelf": some_bytes(),
        "type": "KEYPAIR_RECOVERY",
        **members,
    }


async def created(client: Client, **members: Any) -> Json:
    answer = await client.post("/recoverydata", recovery_data("doc", **members))
    assert answer.status == 200, answer.body
    stored: Json = answer.body
    return stored


async def test_recovery_data_are_read_and_deleted_by_their_recipient(today: Today) -> None:
    body = recovery_data("doc")
    stored = (await today["doc"].post("/recoverydata", body)).body
    assert stored == {**body, "rev": stored["rev"]}
    assert (await today["doc"].get("/recoverydata/r")).body == stored
    assert (await today["colleague"].get("/recoverydata/r")).status == 403
    assert (await today["colleague"].delete("/recoverydata/r")).status == 403
    deleted = await today["doc"].delete("/recoverydata/r")
    assert deleted.body == {"id": "r", "rev": stored["rev"]}
    assert (await today["doc"].get("/recoverydata/r")).status == 404
    assert (await today["doc"].delete("/recoverydata/r")).status == 404


async def test_somebody_else_may_leave_recovery_data_for_a_recipient(today: Today) -> None:
    stored = await created(today["pat"], type="EXCHANGE_KEY_RECOVERY")
    assert (await today["doc"].get("/recoverydata/r")).body == stored
    assert (await today["pat"].get("/recoverydata/r")).status == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"recipient": None},
        {"encryptedSelf": None},
        {"type": "ANY"},
        {"expirationInstant": 1},
        {"rev": "1-0"},
        {"id": ""},
    ],
)
async def test_malformed_recovery_data_are_refused(today: Today, wrong: Json) -> None:
    answer = await today["doc"].post("/recoverydata", {**recovery_data("doc"), **wrong})
    assert answer.status == 400


async def test_an_id_of_recovery_data_is_taken_once(today: Today) -> None:
    await created(today["doc"])
    assert (await today["doc"].post("/recoverydata", recovery_data("doc"))).status == 409


async def test_recovery_data_expire_and_are_gone(today: Today) -> None:
    await created(today["doc"], expirationInstant=int((time.time() + 60) * 1000))
    assert (await today["doc"].get("/recoverydata/r")).status == 200
    today.sandbox.advance_clock(61)
    answer = await today["doc"].get("/recoverydata/r")
    assert answer.status == 404
    assert answer.body["message"]
    assert await today.sandbox.stored("recoverydata", "r") is None


async def test_all_recovery_data_of_a_recipient_are_deleted_by_their_type(today: Today) -> None:
    doc = today["doc"]
    for entity_id, kind in (("a", "KEYPAIR"), ("b", "KEYPAIR"), ("c", "EXCHANGE_KEY")):
        await created(doc, entity_id=entity_id, type=f"{kind}_RECOVERY")
    path = "/recoverydata/forRecipient/doc"
    assert (await today["colleague"].delete(path)).body == {"numberValue": 0}
    assert (await doc.delete(f"{path}/ofType/ANY")).status == 400
    assert (await doc.delete(f"{path}/ofType/KEYPAIR_RECOVERY")).body == {"numberValue": 2}
    assert (await doc.delete(path)).body == {"numberValue": 1}
    assert (await doc.delete(path)).body == {"numberValue": 0}


async def test_one_waits_for_recovery_data_to_come(today: Today) -> None:
    waiting = asyncio.create_task(today["doc"].get("/recoverydata/waiting/r?timeoutSeconds=20"))
    await asyncio.sleep(0.2)
    stored = await created(today["pat"])
    begin = time.monotonic()
    assert (await waiting).body == stored
    assert time.monotonic() - begin < 5


async def test_one_waits_no_longer_than_one_wants(today: Today) -> None:
    answer = await today["doc"].get("/recoverydata/waiting/r?timeoutSeconds=1")
    assert answer.status == 404
    for seconds in ("31", "-1"):
        path = f"/recoverydata/waiting/r?timeoutSeconds={seconds}"
        assert (await today["doc"].get(path)).status == 400


# Secure delegation key maps.


def key_map(**members: Any) -> Json:
    return {
        "id": "map",
        "delegationKey": delegation_key("k"),
        "encryptedSelf": some_bytes(),
        **metadata(mine=delegation(None, None)),
        **members,
    }


async def test_a_key_map_is_found_by_those_who_may_read_it(guarded: Today) -> None:
    body = key_map()
    stored = (await guarded["pat"].post("/securedelegationkeymap", body)).body
    assert stored == {**body, "rev": stored["rev"]}
    asked = {"ids": [delegation_key("k"), delegation_key("unknown")]}
    path = "/securedelegationkeymap/bydelegationkeys"
    assert (await guarded["pat"].post(path, asked)).body == []
    found = await guarded["pat"].post(path, asked, headers=keys_header("mine"))
    assert found.body == [stored]
    assert (await guarded["doc"].post(path, asked)).body == []
    request = share(None, "doc", "s", permissions="MAX_READ")
    await result_of(
        guarded["pat"], "map", request,
        parents=["mine"], kind="securedelegationkeymap", headers=keys_header("mine"),
    )  # fmt: skip
    (found_by_doc,) = (await guarded["doc"].post(path, asked)).body
    assert found_by_doc["encryptedSelf"] == body["encryptedSelf"]


@pytest.mark.parametrize(
    "wrong",
    [{"delegator": "doc"}, {"delegate": "doc"}, {"delegationKey": None}, {"securityMetadata": {}}],
)
async def test_key_maps_that_tell_their_secret_are_refused(guarded: Today, wrong: Json) -> None:
    answer = await guarded["pat"].post("/securedelegationkeymap", key_map(**wrong))
    assert answer.status == 400
