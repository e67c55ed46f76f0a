from __future__ import annotations

from typing import Any

import pytest

from icure_async.sandbox import Fault, secure_delegations
from tests.support.bare_client import Client, Json
from tests.support.today import (
    Today,
    ask,
    delegation,
    delegation_key,
    delegations_of,
    fingerprint,
    keys_header,
    metadata,
    result_of,
    share,
    some_bytes,
)


async def created(client: Client, kind: str = "patient", **members: Any) -> Json:
    return await client.created(f"/{kind}", {"firstName": "Robb", **members})


async def of_doc(today: Today, **delegations: Json) -> str:
    """The id of a patient that the doctor created, with a root delegation to itself."""
    root = metadata(root=delegation("doc", "doc"), **delegations)
    return str((await created(today["doc"], **root))["id"])


async def test_sharing_adds_a_delegation_below_those_of_the_sharer(guarded: Today) -> None:
    patient_id = await of_doc(guarded)
    before = (await guarded["doc"].get(f"/patient/{patient_id}")).body
    assert (await guarded["colleague"].get(f"/patient/{patient_id}")).status == 403
    request = share("doc", "colleague", "k")
    result = await result_of(guarded["doc"], patient_id, request, parents=["root"])
    stored = (await guarded["colleague"].get(f"/patient/{patient_id}")).body
    # The revision is that of before: the new one is in the updated entity.
    assert result == {
        "entityId": patient_id, "entityRev": before["rev"], "updatedEntity": stored,
    }  # fmt: skip
    assert stored["rev"] != before["rev"]
    assert delegations_of(stored)[delegation_key("k")] == {
        "delegator": "doc",
        "delegate": "colleague",
        "secretIds": request["share"]["secretIds"],
        "encryptionKeys": request["share"]["encryptionKeys"],
        "parentDelegations": [delegation_key("root")],
        "exchangeDataId": request["share"]["exchangeDataId"],
        "permissions": "WRITE",
    }
    assert delegations_of(stored).keys() == {delegation_key("root"), delegation_key("k")}


async def test_the_minimal_form_answers_without_the_entity(guarded: Today) -> None:
    patient_id = await of_doc(guarded)
    request = share("doc", "colleague", "k")
    result = await result_of(guarded["doc"], patient_id, request, parents=["root"], minimal=True)
    assert result.keys() == {"entityId", "entityRev"}
    assert (await guarded["colleague"].get(f"/patient/{patient_id}")).status == 200


async def test_nothing_to_share_is_answered_with_nothing(guarded: Today) -> None:
    answer = await guarded["doc"].put(
        "/patient/bulkSharedMetadataUpdate", {"requestsByEntityId": {}}
    )
    assert (answer.status, answer.body) == (200, [])


async def test_many_entities_are_shared_in_one_call_and_some_of_them_rejected(
    guarded: Today,
) -> None:
    ids = [await of_doc(guarded), await of_doc(guarded), "unknown"]
    foreign = (await created(guarded["colleague"], **metadata(x=delegation("colleague", None))))[
        "id"
    ]
    asked = {
        "requests": {"0": share("doc", "colleague", "k")},
        "potentialParentDelegations": [delegation_key("root")],
    }
    answer = await guarded["doc"].put(
        "/patient/bulkSharedMetadataUpdate",
        {"requestsByEntityId": dict.fromkeys([*ids, foreign], asked)},
    )
    results = {one["entityId"]: one for one in answer.body}
    assert results.keys() == {*ids, foreign}
    assert all("rejectedRequests" not in results[one] for one in ids[:2])
    for entity_id, code in (("unknown", 404), (foreign, 403)):
        (rejected,) = results[entity_id]["rejectedRequests"].values()
        assert rejected["code"] == code
        assert rejected["reason"]
        assert "shouldRetry" not in rejected
        assert "updatedEntity" not in results[entity_id]
        assert "entityRev" not in results[entity_id]


@pytest.mark.parametrize(
    ("asked", "sharer", "given"),
    [
        ("MAX_WRITE", "doc", "WRITE"),
        ("MAX_WRITE", "colleague", "READ"),
        (None, "doc", "WRITE"),
        ("FULL_WRITE", "doc", "WRITE"),
        ("FULL_WRITE", "colleague", None),
        ("MAX_READ", "doc", "READ"),
        ("FULL_READ", "doc", "READ"),
        ("FULL_READ", "colleague", "READ"),
    ],
)
async def test_nobody_gives_more_than_it_has(
    guarded: Today, asked: str | None, sharer: str, given: str | None
) -> None:
    reads = delegation("doc", "colleague", "root", permissions="READ")
    patient_id = await of_doc(guarded, reads=reads)
    request = share(sharer, None, "k", permissions=asked)
    parents = ["root"] if sharer == "doc" else ["reads"]
    result = await result_of(guarded[sharer], patient_id, request, parents=parents)
    if given is None:
        assert result["rejectedRequests"]["0"]["code"] == 403
    else:
        made = delegations_of(result["updatedEntity"])[delegation_key("k")]
        assert made["permissions"] == given


async def test_in_the_legacy_profile_professionals_share_everything(today: Today) -> None:
    patient_id = await of_doc(today)
    requests = [share("colleague", "other", "k", permissions="ROOT"), share("doc", "pat", "l")]
    result = await result_of(today["colleague"], patient_id, *requests)
    assert "rejectedRequests" not in result


async def test_parents_are_reduced_to_those_nearest_to_the_root(guarded: Today) -> None:
    patient_id = await of_doc(
        guarded,
        child=delegation("doc", "colleague", "root"),
        grandchild=delegation("doc", "pat", "child"),
        second=delegation("doc", "machine"),
    )
    parents = ["grandchild", "child", "root", "second", "unknown"]
    request = share("doc", "other", "k")
    result = await result_of(guarded["doc"], patient_id, request, parents=parents)
    made = delegations_of(result["updatedEntity"])[delegation_key("k")]
    assert set(made["parentDelegations"]) == {delegation_key("root"), delegation_key("second")}


async def test_a_share_needs_a_parent_that_exists_and_is_the_sharers(guarded: Today) -> None:
    patient_id = await of_doc(guarded, c=delegation("doc", "colleague", "root"))
    request = share("colleague", "pat", "k")
    for parents in ([], ["unknown"], ["root"]):
        result = await result_of(guarded["colleague"], patient_id, request, parents=parents)
        assert result["rejectedRequests"]["0"]["code"] == 400
        assert "updatedEntity" not in result


async def test_the_smallest_key_names_a_delegation_and_none_may_be_there_yet(
    guarded: Today,
) -> None:
    patient_id = await of_doc(guarded)
    names = sorted("abc", key=delegation_key)
    request = share("doc", "colleague", *reversed(names))
    result = await result_of(guarded["doc"], patient_id, request, parents=["root"])
    keys = delegations_of(result["updatedEntity"]).keys() - {delegation_key("root")}
    assert keys == {delegation_key(names[0])}
    again = share("doc", "pat", "z", names[0])
    result = await result_of(guarded["doc"], patient_id, again, parents=["root"])
    assert result["rejectedRequests"]["0"]["code"] == 400
    twice = [share("doc", "pat", "z"), share("doc", "pat", "z")]
    result = await result_of(guarded["doc"], patient_id, *twice, parents=["root"])
    assert result["rejectedRequests"].keys() == {"1"}


# ROOT.


async def test_a_root_is_the_parent_of_what_is_shared_with_it(guarded: Today) -> None:
    legacy: Json = {"delegations": {"doc": [{"owner": "doc", "delegatedTo": "doc", "key": "00"}]}}
    patient_id = (await created(guarded.v1("doc"), **legacy))["id"]
    requests = [share("doc", "colleague", "k"), share("doc", "doc", "r", permissions="ROOT")]
    result = await result_of(guarded["doc"], patient_id, *requests)
    made = delegations_of(result["updatedEntity"])
    assert "parentDelegations" not in made[delegation_key("r")]
    assert made[delegation_key("r")]["permissions"] == "WRITE"
    assert made[delegation_key("k")]["parentDelegations"] == [delegation_key("r")]
    assert made[delegation_key("k")]["permissions"] == "WRITE"
    assert result["updatedEntity"]["delegations"]["doc"]


async def test_only_legacy_delegates_and_the_patient_himself_may_ask_for_root(
    guarded: Today,
) -> None:
    root = share(None, None, "r", permissions="ROOT")
    result = await result_of(guarded["pat"], "pat", root)
    assert delegations_of(result["updatedEntity"]).keys() == {delegation_key("r")}
    patient_id = await of_doc(guarded, c=delegation("doc", "colleague", "root"))
    for name in ("doc", "colleague"):
        result = await result_of(guarded[name], patient_id, root, parents=["root"])
        assert result["rejectedRequests"]["0"]["code"] == 403


async def test_two_roots_in_one_call_make_it_fail(guarded: Today) -> None:
    patient_id = await of_doc(guarded)
    roots = [share("doc", "doc", key, permissions="ROOT") for key in "ab"]
    assert (await ask(guarded["doc"], patient_id, *roots)).status == 500


# Updates.


async def test_an_update_adds_and_removes_entries(guarded: Today) -> None:
    kept, old = some_bytes(), some_bytes()
    root = delegation("doc", "doc", secretIds=[kept, old])
    patient_id = (await created(guarded["doc"], **metadata(root=root)))["id"]
    update = {
        "metadataAccessControlHash": delegation_key("root"),
        "secretIds": {old: "DELETE", "new": "CREATE"},
        "owningEntityIds": {"owner": "CREATE"},
        "encryptionKeys": {root["encryptionKeys"][0]: "DELETE"},
    }
    result = await result_of(guarded["doc"], patient_id, {"update": update})
    changed = delegations_of(result["updatedEntity"])[delegation_key("root")]
    assert changed["secretIds"] == [kept, "new"]
    assert changed["owningEntityIds"] == ["owner"]
    assert "encryptionKeys" not in changed


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"metadataAccessControlHash": "unknown"}, 404),
        ({"secretIds": {"missing": "DELETE"}}, 400),
        ({"secretIds": {"there": "CREATE"}}, 400),
    ],
)
async def test_updates_of_what_is_not_so_are_rejected(
    guarded: Today, members: Json, code: int
) -> None:
    root = delegation("doc", "doc", secretIds=["there"])
    patient_id = (await created(guarded["doc"], **metadata(root=root)))["id"]
    update = {"metadataAccessControlHash": delegation_key("root"), **members}
    result = await result_of(guarded["doc"], patient_id, {"update": update})
    assert result["rejectedRequests"]["0"]["code"] == code


async def test_the_delegations_of_others_are_not_updated(guarded: Today) -> None:
    patient_id = await of_doc(guarded, c=delegation("doc", "colleague", "root"))
    update = {
        "metadataAccessControlHash": delegation_key("root"),
        "secretIds": {"new": "CREATE"},
    }
    result = await result_of(guarded["colleague"], patient_id, {"update": update})
    assert result["rejectedRequests"]["0"]["code"] == 403


# Conflicts.


async def test_a_conflict_rejects_what_would_be_accepted_to_be_sent_again(guarded: Today) -> None:
    patient_id = await of_doc(guarded)
    before = (await guarded["doc"].get(f"/patient/{patient_id}")).body
    path = "/rest/v2/patient/bulkSharedMetadataUpdate"
    guarded.sandbox.inject_fault(Fault("conflict", method="PUT", path=path, times=1))
    update = {"update": {"metadataAccessControlHash": "unknown"}}
    requests = [share("doc", None, "k"), update]
    result = await result_of(guarded["doc"], patient_id, *requests, parents=["root"])
    assert result["entityRev"] == before["rev"]
    assert "updatedEntity" not in result
    rejected = result["rejectedRequests"]
    assert (rejected["0"]["code"], rejected["0"]["shouldRetry"]) == (409, True)
    assert rejected["1"]["code"] == 404
    maps = await guarded["doc"].post("/exchangedatamap/batch", {"ids": [delegation_key("k")]})
    assert maps.body == []
    after = (await guarded["doc"].get(f"/patient/{patient_id}")).body
    assert after == {**before, "rev": after["rev"]}
    assert after["rev"] != before["rev"]
    again = await result_of(guarded["doc"], patient_id, requests[0], parents=["root"])
    assert "updatedEntity" in again


async def test_a_conflict_of_other_requests_is_a_status(guarded: Today) -> None:
    stored = await created(guarded["doc"], **metadata(root=delegation("doc", "doc")))
    guarded.sandbox.inject_fault(Fault("conflict", method="PUT", path="/rest/v2/patient", times=1))
    changed = {**stored, "note": "n"}
    assert (await guarded["doc"].put("/patient", changed)).status == 409
    assert (await guarded["doc"].put("/patient", changed)).status == 200


async def test_faults_strike_requests_of_today_and_are_asked_for_over_http(
    guarded: Today,
) -> None:
    control = Client(guarded.session, guarded.sandbox.control_url, guarded.master.headers)
    fault = {"kind": "status", "status": 503, "path": "/rest/v2/exchangedata/*", "times": 1}
    assert (await control.post("/faults", fault)).status == 200
    path = "/exchangedata/byParticipant/doc"
    assert (await guarded["doc"].get(path)).status == 503
    assert (await guarded["doc"].get(path)).status == 200


# Hidden members.


async def test_the_map_of_a_hidden_member_is_written_with_the_share(guarded: Today) -> None:
    patient_id = await of_doc(guarded)
    request = share("doc", None, "k")
    await result_of(guarded["doc"], patient_id, request, parents=["root"])
    asked = {"ids": [delegation_key("k")]}
    (found,) = (await guarded["doc"].post("/exchangedatamap/batch", asked)).body
    encrypted_ids = request["share"]["encryptedExchangeDataId"]
    assert found["encryptedExchangeDataIds"] == encrypted_ids
    rejected = share("doc", None, "l", encryptedExchangeDataId={fingerprint("x"): "y"})
    await result_of(guarded["doc"], patient_id, rejected)
    asked = {"ids": [delegation_key("l")]}
    assert (await guarded["doc"].post("/exchangedatamap/batch", asked)).body == []


async def test_a_patient_shares_by_the_key_of_its_delegation(guarded: Today) -> None:
    patient_id = (await created(guarded["pat"], **metadata(mine=delegation(None, None))))["id"]
    request = share(None, "doc", "k")
    answer = await ask(guarded["pat"], patient_id, request, parents=["mine"])
    assert answer.body[0]["rejectedRequests"]["0"]["code"] == 403
    assert (await guarded["doc"].get(f"/patient/{patient_id}")).status == 403
    result = await result_of(
        guarded["pat"], patient_id, request, parents=["mine"], headers=keys_header("mine")
    )
    assert "updatedEntity" in result
    assert (await guarded["doc"].get(f"/patient/{patient_id}")).status == 200


# Malformed calls.


@pytest.mark.parametrize(
    "change",
    [
        {"accessControlKeys": []},
        {"accessControlKeys": None},
        {"accessControlKeys": ["00"]},
        {"accessControlKeys": ["AB" * 16]},
        {"explicitDelegate": None},
        {"exchangeDataId": None},
        {"encryptedExchangeDataId": {"f" * 22: "x"}},
        {"requestedPermissions": "EVERYTHING"},
        {"secretIds": "x"},
        {"crest": "wolf"},
    ],
)
async def test_malformed_shares_make_the_whole_call_fail(guarded: Today, change: Json) -> None:
    patient_id = await of_doc(guarded)
    good = share("doc", "colleague", "k")
    wrong = {"share": {**share("doc", "pat", "l")["share"], **change}}
    answer = await ask(guarded["doc"], patient_id, good, wrong, parents=["root"])
    assert answer.status == 400
    assert answer.body["message"]
    assert (await guarded["colleague"].get(f"/patient/{patient_id}")).status == 403


@pytest.mark.parametrize(
    "change",
    [
        {"exchangeDataId": "x"},
        {"encryptedExchangeDataId": {}},
        {"encryptedExchangeDataId": {"f": "x"}},
        {"explicitDelegator": None},
    ],
)
async def test_what_a_hidden_member_needs_is_checked(guarded: Today, change: Json) -> None:
    patient_id = await of_doc(guarded)
    wrong = {"share": {**share("doc", None, "k")["share"], **change}}
    assert (await ask(guarded["doc"], patient_id, wrong, parents=["root"])).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"requestsByEntityId": []},
        {"requestsByEntityId": {}, "more": 1},
        {"requestsByEntityId": {"x": []}},
        {"requestsByEntityId": {"x": {"requests": {}, "potentialParentDelegations": [3]}}},
        {"requestsByEntityId": {"x": {"requests": {"0": {}}, "potentialParentDelegations": []}}},
        {"requestsByEntityId": {"x": {"requests": {"0": {"give": {}}}}}},
        {"requestsByEntityId": {"x": {"requests": {}, "parents": []}}},
        {"requestsByEntityId": {"x": {"requests": {"0": {"update": {"secretIds": {}}}}}}},
        {
            "requestsByEntityId": {
                "x": {
                    "requests": {
                        "0": {"update": {"metadataAccessControlHash": "y", "secretIds": {"z": "?"}}}
                    }
                }
            }
        },
    ],
)
async def test_malformed_calls_are_refused(guarded: Today, body: Json) -> None:
    answer = await guarded["doc"].put("/patient/bulkSharedMetadataUpdate", body)
    assert answer.status == 400


@pytest.mark.parametrize("kind", ["maintenancetask", "helement", "contact", "document"])
async def test_other_kinds_are_shared_in_the_same_way(guarded: Today, kind: str) -> None:
    body = metadata(root=delegation("doc", "doc"))
    entity_id = (await guarded["doc"].created(f"/{kind}", body))["id"]
    assert (await guarded["colleague"].get(f"/{kind}/{entity_id}")).status == 403
    request = share("doc", "colleague", "k", permissions="MAX_READ")
    await result_of(guarded["doc"], entity_id, request, parents=["root"], kind=kind)
    found = await guarded["colleague"].get(f"/{kind}/{entity_id}")
    assert found.status == 200
    assert (await guarded["colleague"].put(f"/{kind}", found.body)).status == 403


def test_a_delegation_key_is_the_hash_of_an_access_control_key() -> None:
    # docs/spec/today.md §13
    key = bytes.fromhex("53214c8feba88106e159fd554251f806")
    expected = "8ec429e6c97fadd8f4ebc5c1c85d8e647df2a6c16dc73d7656881ce040087a1c"
    assert secure_delegations.delegation_key(key) == expected
