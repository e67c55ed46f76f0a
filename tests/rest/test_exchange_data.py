"""Exchange data and maps: the questions, and answers to other ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from icure_async.errors import InvalidResponseError, ResponseTooLargeError
from icure_async.rest.exchange_data import ExchangeDataMapResource, ExchangeDataResource
from icure_async.rest.responses import Response
from icure_async.rest.session import Session

Json = dict[str, Any]

KEY, OTHER_KEY = "a" * 64, "b" * 64


class Answers:
    """A session that gives answers one after the other; a callable makes one of the request."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str, str, Any]] = []
        self.versions: set[Any] = set()

    async def request(
        self,
        method: str,
        path: str,
        *,
        action: str,
        query: str = "",
        body: object = None,
        repeatable: bool = False,
        version: int | None = None,
    ) -> Response:
        self.asked.append((method, path, query, body))
        self.versions.add(version)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if callable(answer):
            answer = answer(query, body)
        return Response(action, 200, {}, json.dumps(answer).encode(), 0.0)


def session(*answers: Any) -> tuple[Session, Answers]:
    made = Answers(*answers)
    return cast("Session", made), made


def data(number: int = 1, **members: Any) -> Json:
    wrapped = {"ab": "cd"}
    return {
        "id": f"x{number}",
        "rev": "1-a",
        "delegator": "me",
        "delegate": "you",
        "exchangeKey": wrapped,
        "accessControlSecret": wrapped,
        "sharedSignatureKey": wrapped,
        "sharedSignature": "AA==",
        **members,
    }


def too_large(limit: int, answer: Any) -> Callable[[str, Any], Any]:
    """An answer that is larger than allowed where more is asked for."""

    def give(query: str, body: Any) -> Any:
        asked = body["ids"] if body else [None] * int(query.partition("limit=")[2] or limit + 1)
        if len(asked) > limit:
            raise ResponseTooLargeError("too large")
        return answer(asked) if body else answer(query)

    return give


async def pages(resource: ExchangeDataResource) -> list[list[str]]:
    return [[row["id"] for row in page] async for page in resource.by_participant("me")]


# --- Exchange data --------------------------------------------------------------------------------


async def test_pages_follow_each_other_by_the_id_that_the_next_one_starts_with() -> None:
    following = {"startKey": "me", "startKeyDocId": "x3"}
    sent, asked = session(
        {"rows": [data(1), data(2)], "nextKeyPair": following},
        {"rows": [data(3)], "nextKeyPair": None},
    )
    assert await pages(ExchangeDataResource(sent)) == [["x1", "x2"], ["x3"]]
    assert [(path, query) for _, path, query, _ in asked.asked] == [
        ("/exchangedata/byParticipant/me", ""),
        ("/exchangedata/byParticipant/me", "startDocumentId=x3"),
    ]
    assert asked.versions == {2}


async def test_a_row_that_comes_on_two_pages_comes_once() -> None:
    following = {"startKey": "me", "startKeyDocId": "x2"}
    sent, _ = session(
        {"rows": [data(1), data(2)], "nextKeyPair": following}, {"rows": [data(2), data(3)]}
    )
    assert await pages(ExchangeDataResource(sent)) == [["x1", "x2"], ["x3"]]


@pytest.mark.parametrize(
    "answers",
    [
        # The same page again, and again.
        [{"rows": [data(1)], "nextKeyPair": {"startKey": "me", "startKeyDocId": "x1"}}],
        # Empty ones without end.
        [{"rows": [], "nextKeyPair": {"startKey": "me", "startKeyDocId": "x1"}}],
        [{"rows": [data(1)], "nextKeyPair": {"startKey": "you", "startKeyDocId": "x1"}}],
        [{"rows": [data(1)], "nextKeyPair": {"startKeyDocId": "x1"}}],
        [{"rows": [data(1)], "nextKeyPair": {"startKey": "me", "startKeyDocId": "../x"}}],
        [{"rows": [data(1)], "nextKeyPair": []}],
        [{"rows": [data(1), data(1)]}],
        [{"rows": [data(1, delegator="you")]}],
        [{"rows": [data(1, rev=1)]}],
        [{"rows": [None]}],
        [{"rows": "x"}],
        [{}],
    ],
)
async def test_pages_of_something_else_or_without_end_are_refused(answers: list[Any]) -> None:
    sent, _ = session(*answers)
    with pytest.raises(InvalidResponseError):
        await pages(ExchangeDataResource(sent))


async def test_pages_that_are_too_large_get_smaller() -> None:
    sent, asked = session(too_large(64, lambda _: {"rows": [data(1)]}))
    assert await pages(ExchangeDataResource(sent)) == [["x1"]]
    assert [query for _, _, query, _ in asked.asked] == ["", "limit=256", "limit=128", "limit=64"]


async def test_a_single_exchange_data_that_is_too_large_is_an_error() -> None:
    sent, _ = session(too_large(0, lambda _: {}))
    with pytest.raises(ResponseTooLargeError):
        await pages(ExchangeDataResource(sent))
    with pytest.raises(ResponseTooLargeError):
        await ExchangeDataResource(sent).get_many(["x1"])


async def test_many_ids_are_asked_for_in_portions() -> None:
    def give(ids: Sequence[str]) -> list[Json]:
        return [data(int(name[1:])) for name in ids if name != "x7"]

    ids = [f"x{number}" for number in range(1200)]
    sent, asked = session(lambda _, body: give(body["ids"]))
    found = await ExchangeDataResource(sent).get_many(ids)
    assert [one["id"] for one in found] == [name for name in ids if name != "x7"]
    assert len(asked.asked) == 3
    sent, asked = session(too_large(2, give))
    found = await ExchangeDataResource(sent).get_many(ids[:4])
    assert [one["id"] for one in found] == ids[:4]
    assert len(asked.asked) == 3
    assert await ExchangeDataResource(sent).get_many([]) == []


async def test_counterparts_are_those_of_the_types_asked_for_without_oneself() -> None:
    sent, asked = session(["me", "you", "they"])
    resource = ExchangeDataResource(sent)
    assert await resource.counterparts("me", ["hcp", "patient"], known_to="ab") == ["you", "they"]
    ((method, path, query, _),) = asked.asked
    assert (method, path) == ("GET", "/exchangedata/byParticipant/me/counterparts")
    assert query == "counterpartsTypes=hcp%2Cpatient&ignoreOnEntryForFingerprint=ab"
    await resource.counterparts("me", ["hcp"])
    assert asked.asked[-1][2] == "counterpartsTypes=hcp"


@pytest.mark.parametrize("answer", [["you", "you"], [1], [""], ["../x"], {}, None])
async def test_counterparts_that_are_no_ids_are_refused(answer: Any) -> None:
    sent, _ = session(answer)
    with pytest.raises(InvalidResponseError):
        await ExchangeDataResource(sent).counterparts("me", ["hcp"])


async def test_exchange_data_is_replaced_as_a_whole() -> None:
    changed = data(1, unknown=1)
    sent, asked = session(changed | {"rev": "2-a"})
    assert (await ExchangeDataResource(sent).modify(changed))["rev"] == "2-a"
    assert asked.asked == [("PUT", "/exchangedata", "", changed)]
    sent, _ = session(changed | {"exchangeKey": {"ab": "other"}})
    with pytest.raises(InvalidResponseError, match="exchangeKey"):
        await ExchangeDataResource(sent).modify(changed)


# --- Maps -----------------------------------------------------------------------------------------


async def test_maps_are_written_and_read_all_at_once() -> None:
    sent, asked = session("ok", [{"id": KEY, "encryptedExchangeDataIds": {"ab": "cd"}}])
    resource = ExchangeDataMapResource(sent)
    await resource.add({"0" * 32: {"ab": "cd"}})
    found = await resource.get_many([KEY, OTHER_KEY])
    assert [one["id"] for one in found] == [KEY]
    assert asked.asked == [
        ("PUT", "/exchangedatamap/batch", "", {"batch": {"0" * 32: {"ab": "cd"}}}),
        ("POST", "/exchangedatamap/batch", "", {"ids": [KEY, OTHER_KEY]}),
    ]
    assert asked.versions == {2}


@pytest.mark.parametrize(
    "answer",
    [
        [{"id": OTHER_KEY}],
        [{"id": KEY}, {"id": KEY}],
        [{"id": KEY, "encryptedExchangeDataIds": {"ab": None}}],
        [{"id": KEY, "encryptedExchangeDataIds": []}],
        [{"id": KEY, "rev": 1}],
        [{}],
        {},
    ],
)
async def test_maps_of_something_else_are_refused(answer: Any) -> None:
    sent, _ = session(answer)
    with pytest.raises(InvalidResponseError):
        await ExchangeDataMapResource(sent).get_many([KEY])
