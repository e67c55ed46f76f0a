"""Answers that say what was sent, in other words, and those that say something else."""

from __future__ import annotations

import time
from typing import Any

import pytest

from icure_async.entities.answers import difference

Json = dict[str, Any]

CODE = {"code": "c", "type": "t"}
KNOWN = frozenset({"a", "b", "rev"})


def found(sent: Json, stored: Json) -> str | None:
    return difference(sent, stored, known=KNOWN, filled={"created"}, ignored={"rev"})


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"a": 1}, {"a": 1}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1}, {"a": 1, "rev": "2-x", "created": 5}),
        ({"a": 1, "rev": "1-x"}, {"a": 1, "rev": "2-x"}),
        ({"a": []}, {}),
        ({"a": {}, "b": None}, {}),
        ({}, {"a": [], "b": {}}),
        ({"a": 1}, {"a": 1, "new": 5}),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": []}}),
        ({"a": {"x": 1, "y": None}}, {"a": {"x": 1}}),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}),
        ({"a": ["x", "x"]}, {"a": ["x"]}),
        ({"a": [{"code": "c", "type": "t"}]}, {"a": [CODE | {"id": "t|c|null"}]}),
        ({"a": [{"id": "t|c|1"}]}, {"a": [CODE | {"id": "t|c|1", "version": "1"}]}),
        ({"a": [{"x": 1}, {"x": 2}]}, {"a": [{"x": 2}, {"x": 1}]}),
        ({"a": False, "b": 0}, {"a": False, "b": 0}),
        ({"created": 3}, {"created": 3}),
    ],
)  # fmt: skip
def test_the_same_in_other_words(sent: Json, stored: Json) -> None:
    assert found(sent, stored) is None


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {}),
        ({"a": 1}, {"a": None}),
        ({"a": 1}, {"a": True}),
        ({"a": 0}, {"a": False}),
        ({"a": False}, {}),
        ({"a": 0}, {}),
        ({"a": "x"}, {"a": ["x"]}),
        ({"a": ["x"]}, {"a": "x"}),
        ({"a": []}, {"a": ["x"]}),
        ({}, {"a": "left from before"}),
        ({"a": ["x"]}, {"a": ["x", "y"]}),
        ({"a": ["x", "y"]}, {"a": ["x"]}),
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}),
        ({"a": [{"x": 1}, {"x": 2}]}, {"a": [{"x": 1}, {"x": 1}]}),
        ({"a": [{"id": "t|c|1"}]}, {"a": [{"id": "t|c|2"}]}),
        ({"created": 3}, {"created": 4}),
        ({"created": 3}, {}),
    ],
)
def test_something_else(sent: Json, stored: Json) -> None:
    assert found(sent, stored) in {"a", "created"}


def test_a_long_answer_is_not_compared_for_long() -> None:
    sent: Json = {"a": [{"x": index} for index in range(100)]}
    began = time.monotonic()
    assert found(sent, {"a": [{"x": -1}] * 1_000_000}) == "a"
    assert time.monotonic() - began < 1
