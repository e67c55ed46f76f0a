"""The requests for entities of today's backend, next to those that other SDKs were seen to make."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import pytest

from icure_async.errors import (
    ConflictError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
)
from icure_async.rest.entities_v2 import EntityResourceV2
from icure_async.rest.session import Session
from tests.support.answering_session import Answers, Asked

Json = dict[str, Any]

GOLDEN: Final = Path(__file__).parents[1] / "golden"
PROOF: Final = {"Icure-Access-Control-Keys": "AAAA"}
CONFLICT: Final = ConflictError("Could not do it.", status=409)
UNKNOWN: Final = NotFoundError("Could not do it.", status=404)


class Proof:
    """Says of each request which kind of entity it was asked about."""

    def __init__(self, newer: Mapping[str, str] | None = None) -> None:
        self.types: list[str] = []
        self.newer = newer
        self.kept_fresh = 0

    async def access_headers(self, entity_type: str, /) -> Mapping[str, str]:
        self.types.append(entity_type)
        return PROOF

    async def newer_access_headers(
        self, entity_type: str, sent: Mapping[str, str], /
    ) -> Mapping[str, str] | None:
        assert sent == PROOF
        return self.newer

    async def keep_fresh(self) -> None:
        self.kept_fresh += 1


def patients(*answers: Any) -> tuple[EntityResourceV2, Answers]:
    session = Answers(list(answers))
    resource = EntityResourceV2(
        cast("Session", session), "patient", "patient", secure_type="Patient", access=Proof()
    )
    return resource, session


def recorded(step: str, path: str) -> Json:
    transcript = json.loads((GOLDEN / "cardinal-transcript.json").read_text("utf-8"))
    found: list[Json] = [
        request
        for part in transcript["parts"]
        for one in part["steps"]
        if one["step"] == step
        for request in one["requests"]
        if request["path"].startswith(f"/rest/v2{path}")
    ]
    return found[0]


def same_request(ours: Asked, theirs: Json) -> None:
    assert (ours.method, f"/rest/v2{ours.path}") == (theirs["method"], theirs["path"])
    assert ours.query == theirs["query"]
    assert ours.body == theirs["body"]


async def test_requests_are_those_of_the_recordings() -> None:
    created = recorded("p1-create", "/patient")
    document = {**created["body"], "_type": "x", "ssin": None}
    resource, session = patients({**created["body"], "rev": "1-a"})
    await resource.create(document)
    same_request(session.asked[0], created)

    modified = recorded("p1-modify-doc2", "/patient")
    resource, session = patients({**modified["body"], "rev": "3-a"})
    await resource.modify(modified["body"])
    same_request(session.asked[0], modified)

    read = recorded("p1-read-doc1", "/patient")
    resource, session = patients(read["response"])
    assert await resource.get(read["response"]["id"]) == read["response"]
    same_request(session.asked[0], read)

    many = recorded("batch-read", "/patient")
    resource, session = patients(many["response"])
    found = await resource.get_many(many["body"]["ids"])
    assert found == many["response"]
    same_request(session.asked[0], many)

    batch = recorded("batch-create", "/patient")
    stored = [{**one, "rev": "1-a"} for one in batch["body"]]
    resource, session = patients(stored)
    assert await resource.create_many(batch["body"]) == {one["id"]: "1-a" for one in stored}
    same_request(session.asked[0], batch)


async def test_every_request_proves_the_access_of_an_anonymous_owner() -> None:
    stored = {"id": "p", "rev": "1-a"}
    resource, session = patients(
        stored, stored, stored, [stored], {"rows": []}, [], stored, stored, [stored], [stored]
    )
    await resource.create({"id": "p"})
    await resource.modify(stored)
    await resource.get("p")
    await resource.get_many(["p"])
    await resource.filter({}, limit=1)
    await resource.match({})
    await resource.delete("p", "1-a")
    await resource.undelete("p")
    await resource.delete_many(["p"])
    assert len(session.asked) == 10
    assert {tuple(one.headers.items()) for one in session.asked} == {tuple(PROOF.items())}
    proof = cast("Proof", resource._access)
    assert set(proof.types) == {"Patient"}
    assert proof.kept_fresh == 2


@pytest.mark.parametrize("newer", [None, {"Icure-Access-Control-Keys": "BBBB"}])
async def test_after_a_refusal_newer_access_is_tried_once(newer: Mapping[str, str] | None) -> None:
    refusal = PermissionDeniedError("Could not do it.", status=403)
    resource, session = patients(refusal, {"id": "p", "rev": "1-a"})
    resource._access = Proof(newer)
    if newer is None:
        with pytest.raises(PermissionDeniedError):
            await resource.get("p")
        assert len(session.asked) == 1
    else:
        assert (await resource.get("p"))["id"] == "p"
        assert [one.headers for one in session.asked] == [PROOF, newer]


async def test_a_second_refusal_is_told() -> None:
    refusal = PermissionDeniedError("Could not do it.", status=403)
    resource, session = patients(refusal, refusal)
    resource._access = Proof({"Icure-Access-Control-Keys": "BBBB"})
    with pytest.raises(PermissionDeniedError):
        await resource.modify({"id": "p", "rev": "1-a"})
    assert len(session.asked) == 2


async def test_those_that_are_missing_among_many_are_asked_for_with_newer_access() -> None:
    one, two = {"id": "p", "rev": "1-a"}, {"id": "q", "rev": "1-a"}
    resource, session = patients([one], [two])
    resource._access = Proof({"Icure-Access-Control-Keys": "BBBB"})
    assert await resource.get_many(["p", "q"]) == [one, two]
    assert [asked.body for asked in session.asked] == [{"ids": ["p", "q"]}, {"ids": ["q"]}]


async def test_nulls_are_left_out_at_any_depth_and_values_that_are_empty_stay() -> None:
    resource, session = patients({"id": "p", "rev": "1-a"})
    await resource.create(
        {"id": "p", "a": None, "b": [{"c": None, "d": False}, None], "e": "", "f": {"g": None}}
    )
    assert session.asked[0].body == {"id": "p", "b": [{"d": False}, None], "e": "", "f": {}}


async def test_a_deletion_names_the_revision() -> None:
    resource, session = patients({"id": "p", "rev": "2-b"})
    assert await resource.delete("p", "1-a") == [{"id": "p", "rev": "2-b"}]
    assert session.seen == ["DELETE /patient/p"]
    assert session.asked[0].query == {"rev": "1-a"}

    resource, session = patients({"id": "p", "rev": "1-a"}, {"id": "p", "rev": "2-b"})
    assert await resource.delete("p") == [{"id": "p", "rev": "2-b"}]
    assert session.seen == ["GET /patient/p", "DELETE /patient/p"]


async def test_a_deletion_that_meets_a_change_looks_again() -> None:
    resource, session = patients(CONFLICT, {"id": "p", "rev": "3-c"}, {"id": "p", "rev": "4-d"})
    assert await resource.delete("p", "1-a") == [{"id": "p", "rev": "4-d"}]
    assert session.asked[-1].query == {"rev": "3-c"}
    # Or finds that it was carried out, and the answer got lost.
    resource, session = patients(CONFLICT, {"id": "p", "rev": "3-c", "deletionDate": 1})
    assert await resource.delete("p", "1-a") == [{"id": "p", "rev": "3-c"}]
    assert len(session.asked) == 2
    resource, session = patients(*[{"id": "p", "rev": "1-a"}, CONFLICT] * 8)
    with pytest.raises(ConflictError, match="8 times"):
        await resource.delete("p")


async def test_an_unknown_one_is_deleted_and_restored_as_nothing() -> None:
    resource, _ = patients(UNKNOWN)
    assert await resource.delete("p", "1-a") == []
    resource, _ = patients(UNKNOWN)
    assert await resource.undelete("p") == []


async def test_only_what_is_deleted_is_restored() -> None:
    deleted = {"id": "p", "rev": "2-b", "deletionDate": 1}
    resource, session = patients(deleted, {"id": "p", "rev": "3-c"})
    assert await resource.undelete("p") == [{"id": "p", "rev": "3-c"}]
    assert session.seen == ["GET /patient/p", "POST /patient/undelete/p"]
    assert session.asked[1].query == {"rev": "2-b"}
    resource, session = patients({"id": "p", "rev": "1-a"})
    assert await resource.undelete("p") == [{"id": "p", "rev": "1-a"}]
    assert len(session.asked) == 1


async def test_many_are_deleted_with_their_revisions() -> None:
    stored = [
        {"id": "p", "rev": "1-a"},
        {"id": "q", "rev": "2-b", "deletionDate": 1},
    ]
    resource, session = patients(stored, [{"id": "p", "rev": "2-c"}])
    assert await resource.delete_many(["p", "q", "r"]) == {"p": "2-c", "q": "2-b"}
    assert session.seen == ["POST /patient/byIds", "POST /patient/delete/batch/withrev"]
    assert session.asked[1].body == {"ids": [{"id": "p", "rev": "1-a"}]}
    resource, session = patients([])
    assert await resource.delete_many(["r"]) == {}
    assert len(session.asked) == 1


@pytest.mark.parametrize("answer", [[], {}, {"id": "other", "rev": "2-b"}, [{"id": "p"}]])
async def test_an_answer_about_something_else_is_refused(answer: Any) -> None:
    resource, _ = patients(answer)
    with pytest.raises(InvalidResponseError):
        await resource.delete("p", "1-a")
    resource, _ = patients({"id": "p", "rev": "1-a", "deletionDate": 1}, answer)
    with pytest.raises(InvalidResponseError):
        await resource.undelete("p")


async def test_what_is_nested_absurdly_is_sent_as_it_is_so_that_sending_refuses_it() -> None:
    deep: Any = None
    for _ in range(5000):
        deep = {"a": deep}
    resource, session = patients({"id": "p", "rev": "1-a"})
    await resource.create({"id": "p", "deep": deep})
    assert session.asked[0].body["deep"] is deep
