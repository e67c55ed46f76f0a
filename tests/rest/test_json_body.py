from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.rest.json_body import dump_json, load_json

ANY_TEXT = st.text(st.characters(exclude_categories=()))
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates included.
    | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_what_is_written_is_read_by_others(value: Any) -> None:
    written = dump_json(value)

    written.decode("utf-8")
    assert json.loads(written) == _joined(value)


@given(JSON_VALUES)
def test_what_is_written_is_read_by_ourselves(value: Any) -> None:
    assert load_json(dump_json(value)) == _joined(value)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("text", ["plain", "\ud800"])
def test_what_is_no_number_becomes_null_as_in_javascript(broken: float, text: str) -> None:
    value = {"a": [broken, (broken,)], "b": broken, "text": text}

    assert json.loads(dump_json(value)) == {"a": [None, [None]], "b": None, "text": text}


def test_lone_surrogates_are_escaped() -> None:
    assert dump_json({"no\udc00te": "a\ud800b😀"}) == '{"no\\udc00te":"a\\ud800b😀"}'.encode()


def test_integers_of_any_size_are_written() -> None:
    assert dump_json(2**70) == b"1180591620717411303424"


@pytest.mark.parametrize(
    "value",
    [object(), {"a": {1, 2}}, {"\ud800": b"x"}, 10**5000],
    ids=["object", "set", "bytes", "digits"],
)
def test_what_is_not_json_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        dump_json(value)


def test_a_value_inside_itself_is_a_type_error() -> None:
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(TypeError, match="nested"):
        dump_json(endless)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a":', b"<html>", b"NaN", b"[Infinity]", b"-Infinity", b"\xff", b"[" * 100_000],
)
def test_what_is_not_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 — any kind of it
        load_json(body)


def test_lone_surrogates_are_read() -> None:
    assert load_json(b'"a\\ud800b"') == "a\ud800b"


def _joined(value: Any) -> Any:
    """Two surrogates that happen to follow each other are one character to any reader."""
    return json.loads(json.dumps(value))
