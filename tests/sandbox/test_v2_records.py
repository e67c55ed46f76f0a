from __future__ import annotations

import base64
import uuid
from typing import Any

import pytest

from tests.support.bare_client import Client, Json, shared_with
from tests.support.today import (
    Today,
    access_key,
    delegation,
    delegation_key,
    delegations_of,
    keys_header,
    metadata,
    some_bytes,
)

KINDS = ["patient", "maintenancetask", "helement", "contact", "document"]


def body_of(kind: str, **members: Any) -> Json:
    names = {"firstName": "Robb"} if kind == "patient" else {}
    return {"id": str(uuid.uuid4()), **names, **metadata(root=delegation("doc", "doc")), **members}


async def created(client: Client, kind: str = "patient", **members: Any) -> Json:
    answer = await client.post(f"/{kind}", body_of(kind, **members))
    assert answer.status == 200, answer.body
    stored: Json = answer.body
    return stored


@pytest.mark.parametrize("kind", KINDS)
async def test_an_entity_is_answered_as_it_was_sent_and_nothing_is_filled_in(
    guarded: Today, kind: str
) -> None:
    body = body_of(kind, encryptedSelf=some_bytes(), tags=[], secretForeignKeys=["s"], author=None)
    answer = await guarded["doc"].post(f"/{kind}", {**body, "crest": "wolf", "_type": "x"})
    stored = answer.body
    sent = {name: value for name, value in body.items() if value not in (None, [])}
    assert stored == {**sent, "rev": stored["rev"]}
    assert await guarded.sandbox.stored(kind, body["id"]) == stored
    assert (await guarded["doc"].get(f"/{kind}/{body['id']}")).body == stored


async def test_nothing_is_filled_into_what_lies_inside_of_an_entity(guarded: Today) -> None:
    inside = {
        "addresses": [{"street": "s", "notes": [{"encryptedSelf": "x"}], "telecoms": []}],
        "tags": [{"type": "t", "code": "c", "crest": "wolf"}],
        "properties": [{"id": "p", "typedValue": {}}],
        "gender": "unknown",
    }
    stored = (await guarded["doc"].post("/patient", body_of("patient", **inside))).body
    assert stored["addresses"] == [{"street": "s", "notes": [{"encryptedSelf": "x"}]}]
    assert stored["tags"] == [{"type": "t", "code": "c", "id": "t|c|null"}]
    assert stored["properties"] == [{"id": "p"}]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_entity_is_changed_at_its_latest_revision(guarded: Today, kind: str) -> None:
    stored = await created(guarded["doc"], kind)
    changed = {**stored, "encryptedSelf": some_bytes()}
    answer = await guarded["doc"].put(f"/{kind}", changed)
    assert answer.body == {**changed, "rev": answer.body["rev"]}
    assert answer.body["rev"].startswith("2-")
    assert (await guarded["doc"].put(f"/{kind}", stored)).status == 409
    assert (await guarded["doc"].put(f"/{kind}", {**stored, "id": "none"})).status == 404
    assert (await guarded["doc"].put(f"/{kind}", {**stored, "rev": None})).status == 400
    foreign = {**answer.body, "encryptedSelf": some_bytes()}
    assert (await guarded["colleague"].put(f"/{kind}", foreign)).status == 403


@pytest.mark.parametrize("kind", KINDS)
async def test_many_are_created_changed_and_read_at_once(guarded: Today, kind: str) -> None:
    doc = guarded["doc"]
    bodies = [body_of(kind) for _ in range(3)]
    full = (await doc.post(f"/{kind}/batch/full", [bodies[0]])).body
    plain = (await doc.post(f"/{kind}/batch", [bodies[1], bodies[0]])).body
    minimal = (await doc.post(f"/{kind}/batch/minimal", [bodies[2]])).body
    assert [one["id"] for one in (*full, *plain, *minimal)] == [body["id"] for body in bodies]
    assert full[0]["securityMetadata"] == bodies[0]["securityMetadata"]
    assert minimal[0].keys() == {"id", "rev"}
    again = (await doc.put(f"/{kind}/batch/full", [*full, *plain, bodies[0]])).status
    assert again == 200
    ids = [bodies[2]["id"], "unknown", bodies[0]["id"]]
    found = (await doc.post(f"/{kind}/byIds", {"ids": ids})).body
    assert [one["id"] for one in found] == [ids[0], ids[2]]
    assert (await guarded["colleague"].post(f"/{kind}/byIds", {"ids": ids})).body == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_deletion_checks_the_revision_and_is_taken_back(guarded: Today, kind: str) -> None:
    doc, stored = guarded["doc"], await created(guarded["doc"], kind)
    path = f"/{kind}/{stored['id']}"
    assert (await doc.delete(f"{path}?rev=1-0")).status == 409
    assert (await guarded["colleague"].delete(f"{path}?rev={stored['rev']}")).status == 403
    deleted = (await doc.delete(f"{path}?rev={stored['rev']}")).body
    assert deleted.keys() == {"id", "rev"}
    assert (await doc.get(path)).body["deletionDate"]
    undelete = f"/{kind}/undelete/{stored['id']}?rev="
    assert (await doc.post(undelete + stored["rev"])).status == 409
    restored = (await doc.post(undelete + deleted["rev"])).body
    assert restored == {**stored, "rev": restored["rev"]}
    purge = f"/{kind}/purge/{stored['id']}?rev="
    assert (await doc.delete(purge + deleted["rev"])).status == 409
    assert (await doc.delete(purge + restored["rev"])).body["id"] == stored["id"]
    assert (await doc.get(path)).status == 404
    assert (await doc.delete(path)).status == 404


@pytest.mark.parametrize("kind", ["patient", "contact"])
async def test_many_are_deleted_restored_and_purged(guarded: Today, kind: str) -> None:
    doc = guarded["doc"]
    one, two = await created(doc, kind), await created(doc, kind)
    foreign = await created(guarded["colleague"], kind, **metadata(x=delegation("colleague", None)))
    pairs = [{"id": each["id"], "rev": each["rev"]} for each in (one, two, foreign)]
    pairs[1]["rev"] = "1-0"
    by_pairs = await doc.post(f"/{kind}/delete/batch/withrev", {"ids": [*pairs, {"id": "x"}]})
    assert [each["id"] for each in by_pairs.body] == [one["id"]]
    ids = {"ids": [two["id"], foreign["id"], "unknown"]}
    by_ids = await doc.post(f"/{kind}/delete/batch", ids)
    assert [each["id"] for each in by_ids.body] == [two["id"]]
    deleted = {"ids": [*by_pairs.body, *by_ids.body]}
    restored = (await doc.post(f"/{kind}/undelete/batch", deleted)).body
    assert all("deletionDate" not in each and "securityMetadata" in each for each in restored)
    assert len(restored) == 2
    purged = (await doc.post(f"/{kind}/purge/batch", {"ids": restored})).body
    assert purged == [{"id": each["id"], "rev": each["rev"]} for each in restored]
    assert (await doc.post(f"/{kind}/byIds", ids)).body == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": ["x"]},
        {"ids": [{"id": 3}]},
        {"ids": [{"id": {}}]},
        {"ids": [{"id": "x", "rev": []}]},
        {"ids": {"a": "b"}},
    ],
)
async def test_malformed_lists_of_revisions_are_refused(guarded: Today, body: Json) -> None:
    assert (await guarded["doc"].post("/patient/delete/batch/withrev", body)).status == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"services": {}},
        {"services": [3]},
        {"services": [{"id": "s", "tags": 3}]},
        {"services": [{"id": {}}]},
        {"subContacts": [{"formId": []}]},
    ],
)
async def test_malformed_services_are_refused(guarded: Today, wrong: Json) -> None:
    assert (await guarded["doc"].post("/contact", body_of("contact", **wrong))).status == 400


# Security metadata.


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        {"secureDelegations": {}},
        {"secureDelegations": {"k": delegation("doc", "doc")}},
        {"secureDelegations": {"a" * 64: []}},
        {"secureDelegations": {"a" * 64: {**delegation("doc", "doc"), "permissions": None}}},
        {"secureDelegations": {"a" * 64: {**delegation("doc", "doc"), "permissions": "READ"}}},
        {"secureDelegations": {"a" * 64: {**delegation("doc", "doc"), "exchangeDataId": None}}},
        {"secureDelegations": {"a" * 64: delegation("doc", None, exchangeDataId="x")}},
        {"secureDelegations": {"a" * 64: delegation("", "doc", exchangeDataId="x")}},
        {"secureDelegations": {"a" * 64: delegation("doc", "doc", "unknown")}},
        {"secureDelegations": {"a" * 64: delegation("doc", "doc", parentDelegations=["a" * 64])}},
        {
            "secureDelegations": {
                "a" * 64: delegation("doc", "doc", parentDelegations=["b" * 64]),
                "b" * 64: delegation("doc", "pat", parentDelegations=["a" * 64]),
                "c" * 64: delegation("doc", "doc"),
            }
        },
    ],
)
async def test_security_metadata_that_break_a_rule_are_refused(guarded: Today, wrong: Any) -> None:
    body = body_of("patient", securityMetadata=wrong)
    answer = await guarded["doc"].post("/patient", body)
    assert answer.status == 400
    assert answer.body["message"]


async def test_a_put_may_bring_the_first_security_metadata(guarded: Today) -> None:
    own = (await guarded["pat"].get("/patient/pat")).body
    first = metadata(mine=delegation(None, None), doc=delegation(None, "doc", "mine"))
    changed = await guarded["pat"].put("/patient", {**own, **first})
    assert changed.status == 200
    assert delegations_of(changed.body).keys() == {delegation_key("mine"), delegation_key("doc")}
    assert (await guarded["doc"].get("/patient/pat")).status == 200


async def test_a_put_changes_no_security_metadata_but_may_reorder_them(guarded: Today) -> None:
    stored = await created(
        guarded["doc"],
        **metadata(
            root=delegation("doc", "doc", secretIds=["a", "b"]),
            second=delegation("doc", "pat"),
            child=delegation("doc", "colleague", "root", "second"),
        ),
    )
    reordered = {
        key: {
            name: value[::-1] if isinstance(value, list) else value
            for name, value in reversed(one.items())
        }
        for key, one in reversed(delegations_of(stored).items())
    }
    child = reordered[delegation_key("child")]
    same = await guarded["doc"].put(
        "/patient", {**stored, "securityMetadata": {"secureDelegations": reordered}}
    )
    assert same.status == 200
    without = {key: one for key, one in reordered.items() if one is not child}
    for changed in (
        without,
        {**reordered, delegation_key("child"): {**child, "permissions": "READ"}},
        {**reordered, delegation_key("child"): {**child, "secretIds": ["x"]}},
        {**reordered, delegation_key("new"): delegation("doc", "doc")},
    ):
        wrong = {**same.body, "securityMetadata": {"secureDelegations": changed}}
        assert (await guarded["doc"].put("/patient", wrong)).status == 400
    wrong = {name: value for name, value in same.body.items() if name != "securityMetadata"}
    assert (await guarded["doc"].put("/patient", wrong)).status == 400


# Both APIs.


async def test_the_older_api_shows_security_metadata_and_keeps_them(guarded: Today) -> None:
    stored = await created(guarded["doc"])
    older = (await guarded.v1("doc").get(f"/patient/{stored['id']}")).body
    assert older["securityMetadata"] == stored["securityMetadata"]
    assert older["gender"] == "unknown"
    kept = await guarded.v1("doc").put("/patient", {**older, "note": "n"})
    assert kept.body["securityMetadata"] == stored["securityMetadata"]
    newer = (await guarded["doc"].get(f"/patient/{stored['id']}")).body
    assert newer["securityMetadata"] == stored["securityMetadata"]
    # Clients that do not say that they read today's model are sent what it filled in.
    assert "gender" not in newer
    undeclared = (await guarded.undeclared("doc").get(f"/patient/{stored['id']}")).body
    assert undeclared["gender"] == "unknown"


async def test_what_only_the_older_api_knows_stays(today: Today) -> None:
    older = await today.v1("doc").created("/patient", {"firstName": "R", **shared_with("doc")})
    newer = (await today["doc"].get(f"/patient/{older['id']}")).body
    changed = await today["doc"].put("/patient", {**newer, "lastName": "Stark"})
    assert changed.status == 200
    again = (await today.v1("doc").get(f"/patient/{older['id']}")).body
    assert again == {**older, "lastName": "Stark", "rev": again["rev"]}


async def test_authors_of_their_own_choice_are_refused(guarded: Today) -> None:
    for kind in KINDS:
        body = body_of(kind, author="user-of-colleague")
        assert (await guarded["doc"].post(f"/{kind}", body)).status == 403
        body = body_of(kind, author="user-of-doc", responsible="doc")
        assert (await guarded["doc"].post(f"/{kind}", body)).status == 200


# Access control keys.


def both_ways(header: dict[str, str], other: dict[str, str]) -> list[dict[str, str]]:
    (name,) = header
    return [{name: f"{header[name]},{other[name]}"}, {name: f" {other[name]} , {header[name]}"}]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_in_the_header_opens_what_hides_its_owner(guarded: Today, kind: str) -> None:
    """Reads, changes, batches, deletions: and only with the key."""
    hidden = metadata(mine=delegation(None, None), r=delegation(None, "doc", "mine"))
    stored = await created(guarded["pat"], kind, **hidden)
    path, ids = f"/{kind}/{stored['id']}", {"ids": [stored["id"]]}
    pat, mine = guarded["pat"], keys_header("mine")
    assert (await pat.get(path)).status == 403
    change = {**stored, "encryptedSelf": some_bytes()}
    assert (await pat.put(f"/{kind}", change)).status == 403
    assert (await pat.post(f"/{kind}/byIds", ids)).body == []
    assert (await pat.get(path, headers=keys_header("another"))).status == 403
    for header in (mine, *both_ways(mine, keys_header("another", "third"))):
        assert (await pat.get(path, headers=header)).status == 200
    assert len((await pat.post(f"/{kind}/byIds", ids, headers=mine)).body) == 1
    changed = await pat.put(f"/{kind}", change, headers=mine)
    assert changed.status == 200
    assert (await pat.post(f"/{kind}/delete/batch", ids)).body == []
    assert (await pat.post(f"/{kind}/delete/batch", ids, headers=mine)).body


async def test_keys_come_in_several_header_lines_too(guarded: Today) -> None:
    stored = await created(guarded["pat"], **metadata(mine=delegation(None, None)))
    lines = [
        (name, value)
        for header in (keys_header("another"), keys_header("mine"))
        for name, value in header.items()
    ]
    pat = guarded["pat"]
    url = f"{pat.base}/patient/{stored['id']}"
    async with guarded.session.get(url, headers=[*pat.headers.items(), *lines]) as response:
        assert response.status == 200


async def test_a_key_does_not_open_a_delegation_with_explicit_members(guarded: Today) -> None:
    stored = await created(guarded["doc"])
    answer = await guarded["pat"].get(f"/patient/{stored['id']}", headers=keys_header("root"))
    assert answer.status == 403


async def test_a_key_of_a_delegation_to_read_does_not_write(guarded: Today) -> None:
    read = metadata(
        mine=delegation(None, None), r=delegation(None, None, "mine", permissions="READ")
    )
    stored = await created(guarded["pat"], **read)
    other = guarded["other"]
    path = f"/patient/{stored['id']}"
    assert (await other.get(path, headers=keys_header("r"))).status == 200
    change = {**stored, "encryptedSelf": some_bytes()}
    assert (await other.put("/patient", change, headers=keys_header("r"))).status == 403
    assert (await other.delete(path)).status == 403


@pytest.mark.parametrize(
    "value",
    [
        "",
        "not base64!",
        base64.b64encode(b"x" * 15).decode(),
        base64.b64encode(b"x" * 16 * 361).decode(),
        base64.b64encode(b"x" * 16).decode() + ",",
        base64.b64encode(b"x" * 16).decode() + "," + base64.b64encode(b"x" * 17).decode(),
    ],
)
async def test_malformed_headers_of_keys_are_refused(guarded: Today, value: str) -> None:
    answer = await guarded["pat"].get("/patient/pat", headers={"Icure-Access-Control-Keys": value})
    assert answer.status == 400


async def test_thousands_of_keys_are_taken_in_values_of_360(guarded: Today) -> None:
    stored = await created(guarded["pat"], **metadata(mine=delegation(None, None)))
    names = [f"key {number}" for number in range(3599)]
    keys = [*map(access_key, names), access_key("mine")]
    values = [
        base64.b64encode(b"".join(keys[start : start + 360])).decode()
        for start in range(0, len(keys), 360)
    ]
    header = {"Icure-Access-Control-Keys": ",".join(values)}
    assert (await guarded["pat"].get(f"/patient/{stored['id']}", headers=header)).status == 200


async def test_a_client_of_the_older_api_is_refused_what_only_a_key_opens(guarded: Today) -> None:
    stored = await created(guarded["pat"], **metadata(mine=delegation(None, None)))
    for name in ("pat", "doc"):
        assert (await guarded.v1(name).get(f"/patient/{stored['id']}")).status == 403


async def test_in_the_legacy_profile_professionals_read_all_and_patients_do_not(
    today: Today,
) -> None:
    stored = await created(today["pat"], **metadata(mine=delegation(None, None)))
    path = f"/patient/{stored['id']}"
    assert (await today["doc"].get(path)).status == 200
    assert (await today.v1("doc").get(path)).status == 200
    assert (await today["pat"].get(path)).status == 403
    assert (await today["pat"].get(path, headers=keys_header("mine"))).status == 200


# Searches.

OF_OWNER = {
    "patient": ("PatientByHcPartyFilter", "healthcarePartyId"),
    "helement": ("HealthElementByHcPartyFilter", "hcpId"),
    "contact": ("ContactByHcPartyFilter", "hcpId"),
}


async def found_by(client: Client, kind: str, **options: Any) -> list[str]:
    filter_type, prop = OF_OWNER[kind]
    owner = options.pop("owner")
    wanted = {"$type": filter_type, prop: owner}
    page = await client.post(f"/{kind}/filter", {"filter": wanted}, **options)
    assert page.status == 200, page.body
    matched = await client.post(f"/{kind}/match", wanted, **options)
    assert [row["id"] for row in page.body["rows"]] == matched.body
    assert page.body.keys() == {"rows"}
    ids: list[str] = matched.body
    return ids


@pytest.mark.parametrize("kind", OF_OWNER)
async def test_filters_find_for_members_and_for_keys_of_the_caller(
    guarded: Today, kind: str
) -> None:
    hidden = metadata(mine=delegation(None, None), d=delegation(None, "doc", "mine"))
    of_pat = (await created(guarded["pat"], kind, **hidden))["id"]
    of_doc = (await created(guarded["doc"], kind))["id"]
    mine = keys_header("mine")
    assert await found_by(guarded["doc"], kind, owner="doc") == sorted([of_pat, of_doc])
    assert await found_by(guarded["pat"], kind, owner="pat") == []
    assert await found_by(guarded["pat"], kind, owner="pat", headers=mine) == [of_pat]
    assert await found_by(guarded["pat"], kind, owner="doc", headers=mine) == []
    assert await found_by(guarded["other"], kind, owner="other") == []


async def test_pages_have_no_sizes_and_go_on(guarded: Today) -> None:
    ids = sorted([(await created(guarded["doc"]))["id"] for _ in range(3)])
    chain = {"filter": {"$type": "PatientByHcPartyFilter", "healthcarePartyId": "doc"}}
    page = (await guarded["doc"].post("/patient/filter?limit=2", chain)).body
    assert page.keys() == {"rows", "nextKeyPair"}
    assert [row["id"] for row in page["rows"]] == ids[:2]
    start = page["nextKeyPair"]["startKeyDocId"]
    page = (await guarded["doc"].post(f"/patient/filter?startDocumentId={start}", chain)).body
    assert [row["id"] for row in page["rows"]] == ids[2:]


@pytest.mark.parametrize("kind", ["helement", "contact"])
async def test_records_are_found_by_the_secret_of_their_patient_and_their_date(
    guarded: Today, kind: str
) -> None:
    early = await created(guarded["doc"], kind, secretForeignKeys=["s"], openingDate=20200101)
    late = await created(guarded["doc"], kind, secretForeignKeys=["s"], openingDate=20240101)
    await created(guarded["doc"], kind, secretForeignKeys=["t"], openingDate=20220101)
    await created(guarded["doc"], kind)
    path = f"/{kind}/byDataOwnerPatientOpeningDate?dataOwnerId=doc"

    async def found(query: str = "", name: str = "doc") -> list[str]:
        answer = await guarded[name].post(path + query, {"ids": ["s"]})
        ids: list[str] = answer.body
        return ids

    assert await found() == [early["id"], late["id"]]
    assert await found("&descending=true") == [late["id"], early["id"]]
    assert await found("&startDate=20210101") == [late["id"]]
    assert await found("&endDate=20210101") == [early["id"]]
    assert await found(name="colleague") == []
