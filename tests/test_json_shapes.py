"""JSON of unknown shape."""

from __future__ import annotations

import pytest

from icure_async.json_shapes import parse_json_object


@pytest.mark.parametrize("text", ['{"a": [1]}', b'{"a": [1]}'])
def test_an_object_is_parsed_from_text_and_from_bytes(text: str | bytes) -> None:
    assert parse_json_object(text) == {"a": [1]}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"{}"', b"\xff\xfe{", "[" * 100_000, '{"a":' * 100_000, None, 4711, {}],
    ids=lambda text: repr(text)[:20],
)
def test_anything_else_is_none_and_no_exception_carries_the_text(text: object) -> None:
    assert parse_json_object(text) is None
