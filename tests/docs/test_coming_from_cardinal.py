"""The table of Cardinal's names, compared with the package and with ``docs/spec/surface.md``."""

from __future__ import annotations

import re

from tests.support.cardinal_rows import cardinal_rows
from tests.support.page_parts import DOCS, code_in, sections_of, tables_of
from tests.support.public_names import looked_up, open_apis

TO_COME, NEVER = "to come", "—"
PARAMETERS = {"baseurl", "storage_facade"}


def called_in_surface() -> set[str]:
    """Return the calls that surface.md names for methods of the reference."""
    text = (DOCS / "spec" / "surface.md").read_text(encoding="utf-8")
    cells = [
        row[1]
        for section in sections_of(text, 2).values()
        for table in tables_of(section)
        for row in table
        if not row[1].startswith("—")
    ]
    names = {name for cell in cells for name in code_in(cell.split("(docs")[0])}
    return {name.split(".")[-1] for name in names if re.fullmatch(r"[a-z][a-z0-9_.]+", name)}


async def test_each_of_our_names_exists_unless_it_is_to_come() -> None:
    rows = [row for row in cardinal_rows() if row.ours != NEVER]
    async with open_apis() as apis:
        exist = {row.ours: looked_up(row.ours, apis) is not None for row in rows}

    there = {row.ours for row in rows if not row.note.startswith(TO_COME)}
    to_come = {row.ours for row in rows if row.note.startswith(TO_COME)}

    assert sorted(name for name in there if not exist[name]) == []
    assert sorted(name for name in to_come if exist[name]) == []
    assert len(there) > 50


def test_no_name_is_there_twice() -> None:
    names = [row.theirs for row in cardinal_rows()]

    assert len(names) == len(set(names))


def test_the_page_has_the_calls_that_stand_for_methods_of_the_reference() -> None:
    named = {row.theirs.split(".")[-1] for row in cardinal_rows()}
    called = called_in_surface()

    assert sorted(called - named - PARAMETERS) == []
    assert len(called) > 50
