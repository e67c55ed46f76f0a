"""The rows of the page for those who come from Cardinal."""

from __future__ import annotations

import attrs

from tests.support.page_parts import page, sections_of, tables_of

__all__ = ["CardinalRow", "cardinal_rows"]


@attrs.frozen
class CardinalRow:
    """A name of Cardinal, ours or a dash, and a note."""

    theirs: str
    ours: str
    note: str


def cardinal_rows() -> list[CardinalRow]:
    """Return all rows of the tables of names."""
    names = page("coming-from-cardinal.md").split("## All names")[1]
    return [
        CardinalRow(theirs.strip("`"), ours.strip("`"), note)
        for section in sections_of(names, 3).values()
        for table in tables_of(section)
        for theirs, ours, note in table
    ]
