"""The requests for codings, in both dialects."""

from __future__ import annotations

from typing import Any, cast

import pytest

from icure_async.errors import (
    BadRequestError,
    ConflictError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    ServerError,
)
from icure_async.rest.codes import CodeResource, CodeResourceV2
from icure_async.rest.entities import EntityResource
from icure_async.rest.session import Session
from tests.support.answering_session import Answers

Json = dict[str, Any]

REFUSED = BadRequestError("Could not do it.", status=400)


def resource(dialect: str, answers: Answers) -> EntityResource:
    made = CodeResource if dialect == "v1" else CodeResourceV2
    return made(cast("Session", answers), "coding")


def code(code_id: str, **members: Any) -> Json:
    return {"id": code_id, "rev": "1-a"} | members


both = pytest.mark.parametrize("dialect", ["v1", "v2"])


@both
@pytest.mark.parametrize(
    ("code_id", "path"),
    [
        ("GOLD|FEVER|1", "/code/GOLD%7CFEVER%7C1"),
        ("ICURE|UNIVERSE THERMAL DEATH|1", "/code/ICURE%7CUNIVERSE%20THERMAL%20DEATH%7C1"),
        ("A|what?#|1", "/code/A%7Cwhat%3F%23%7C1"),
        ("A|b,c|1", "/code/A%7Cb%2Cc%7C1"),
        ("A|é|1", "/code/A%7C%C3%A9%7C1"),
        ("A|..|1", "/code/A%7C..%7C1"),
    ],
)
async def test_an_id_is_escaped_in_the_path(dialect: str, code_id: str, path: str) -> None:
    answers = Answers([code(code_id)])
    assert (await resource(dialect, answers).get(code_id))["id"] == code_id
    assert answers.seen == [f"GET {path}"]


@both
@pytest.mark.parametrize("code_id", ["UCUM|mg/dL|1", "A|50%|1", "A|b\\c|1", "A|b;c|1"])
async def test_an_id_that_servers_refuse_in_a_path_goes_into_a_body(
    dialect: str, code_id: str
) -> None:
    page = {"rows": [code(code_id)], "nextKeyPair": None}
    answers = Answers([page if dialect == "v1" else page["rows"]])
    assert (await resource(dialect, answers).get(code_id))["id"] == code_id
    asked = answers.asked[0]
    if dialect == "v1":
        wanted = {"$type": "CodeByIdsFilter", "ids": [code_id]}
        assert asked.path == "/code/filter"
        assert asked.query == {"limit": "1"}
        assert asked.body == {"$type": "FilterChain", "filter": wanted}
    else:
        assert (asked.path, asked.body) == ("/code/byIds", {"ids": [code_id]})
    with pytest.raises(NotFoundError, match="does not exist"):
        await resource(dialect, Answers([{"rows": []} if dialect == "v1" else []])).get(code_id)
    other = code("A|other|1")
    with pytest.raises(InvalidResponseError):
        await resource(dialect, Answers([{"rows": [other]} if dialect == "v1" else [other]])).get(
            code_id
        )


@both
async def test_a_failure_because_of_an_outdated_revision_is_a_conflict(dialect: str) -> None:
    failure = ServerError("A problem regarding modification of the code", status=500)
    changed = resource(dialect, Answers([failure, code("A|1|1", rev="2-b")]))
    with pytest.raises(ConflictError, match="another rev"):
        await changed.modify(code("A|1|1"))
    broken = resource(dialect, Answers([failure, code("A|1|1")]))
    with pytest.raises(ServerError):
        await broken.modify(code("A|1|1"))
    gone = resource(dialect, Answers([failure, NotFoundError("There is none.", status=404)]))
    with pytest.raises(NotFoundError):
        await gone.modify(code("A|1|1"))


@both
async def test_a_change_that_failed_is_told_where_looking_for_its_reason_fails(
    dialect: str,
) -> None:
    """The change may have been made, of which a failure to read says nothing."""
    failure = ServerError("A problem regarding modification of the code", status=502)
    answers = Answers([failure, NetworkError("Could not read it.")])
    with pytest.raises(ServerError) as caught:
        await resource(dialect, answers).modify(code("A|1|1"))
    assert caught.value is failure


async def test_pages_of_other_codings_without_an_end_are_refused() -> None:
    pages = [
        {"rows": [code(f"A|{number}|1")], "nextKeyPair": {"startKeyDocId": "next"}}
        for number in range(20)
    ]
    answers = Answers(cast("list[Any]", pages))
    with pytest.raises(InvalidResponseError):
        await resource("v1", answers).get_many(["A|0|1", "B|0|1"])
    assert len(answers.asked) == 2


@both
@pytest.mark.parametrize("verb", ["create", "modify"])
async def test_a_batch_that_is_refused_because_of_some_is_sent_without_them(
    dialect: str, verb: str
) -> None:
    """New ones must not exist, and changed ones must."""
    documents = [code(f"A|{number}|1") for number in range(3)]
    there = documents[1:]
    found = {"rows": there} if dialect == "v1" else there
    rest = documents[:1] if verb == "create" else there
    answers = Answers([REFUSED, found, rest])
    codes = resource(dialect, answers)
    write = codes.create_many if verb == "create" else codes.modify_many
    assert await write(documents) == {one["id"]: "1-a" for one in rest}
    assert answers.asked[-1].body == rest
    assert answers.asked[0].path == answers.asked[-1].path == "/code/batch"


@both
@pytest.mark.parametrize("count", [0, 2])
async def test_a_batch_that_is_refused_for_another_reason_is_not_sent_again(
    dialect: str, count: int
) -> None:
    documents = [code("A|1|1"), code("A|2|1")]
    found = documents[:count]
    answers = Answers([REFUSED, {"rows": found} if dialect == "v1" else found])
    with pytest.raises(BadRequestError):
        await resource(dialect, answers).create_many(documents)
    assert len(answers.asked) == 2


@both
@pytest.mark.parametrize(
    "code_id", ["", 5, None, "a\nb", "\x00", "x" * 1001, ".", "\ud800", "a\x9fb"]
)
async def test_an_answer_with_what_is_no_id_is_refused(dialect: str, code_id: Any) -> None:
    row = {"id": code_id, "rev": "1-a"}
    codes = [resource(dialect, Answers([answer])) for answer in ({"rows": [row]}, [code_id])]
    with pytest.raises(InvalidResponseError, match="id"):
        await codes[0].filter({}, limit=1)
    with pytest.raises(InvalidResponseError, match=r"\[0\]"):
        await codes[1].match({})


async def test_other_kinds_have_no_blanks_in_their_ids() -> None:
    answers = cast("Session", Answers([{"rows": [code("a b")]}]))
    with pytest.raises(InvalidResponseError):
        await EntityResource(answers, "device", "device").filter({}, limit=1)
