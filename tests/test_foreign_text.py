"""Text from elsewhere in lines of our own."""

from __future__ import annotations

import pytest

from icure_async.foreign_text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("3556f2a0-c874-4271-b8ea-b2674947ca27", "3556f2a0-c874-4271-b8ea-b2674947ca27"),
        ("x\nERROR root: forged", "x\\nERROR root: forged"),
        ("\x1b[2J\x07\x00\x7f\x9b", "\\x1b[2J\\x07\\x00\\x7f\\x9b"),
        ("Zoë \u202e \U0001f40d", "Zo\\xeb \\u202e \\U0001f40d"),
        ("\ud800", "\\ud800"),
        (7, "7"),
    ],
)
def test_what_is_not_visible_ascii_is_spelled_out(text: object, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_is_shortened() -> None:
    assert printable("A" * 20_000) == "A" * 200 + "..."
