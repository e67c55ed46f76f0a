"""Foreign text in messages and log lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.foreign_text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4711", "4711"),
        ("Zoë Łukasz 李", "Zoë Łukasz 李"),
        ("x\nERROR root: forged", r"x\nERROR root: forged"),
        ("\x1b[2J\r\x00", r"\x1b[2J\r\x00"),
        ("a\u2028b\u202ec\u200b", r"a\u2028b\u202ec\u200b"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        (None, "None"),
        (5, "5"),
    ],
)
def test_what_could_forge_a_line_becomes_visible(text: object, shown: str) -> None:
    assert printable(text) == shown


def test_what_is_too_long_is_cut() -> None:
    assert printable("x" * 20_000) == "x" * 200 + "…"
    assert printable("x" * 200) == "x" * 200
    assert printable("x" * 20_000, 10) == "x" * 10 + "…"


@given(st.text(st.characters()))
def test_every_text_is_on_one_line_and_can_be_printed(text: str) -> None:
    shown = printable(text)

    assert shown.isprintable()
    shown.encode("utf-8")
    assert printable(shown[:199]) == shown[:199]
