"""The table of Cardinal's names, compared with the package and with ``docs/spec/surface.md``."""

from __future__ import annotations

import re

from tests.support.cardinal_rows import cardinal_rows
from tests.support.page_parts import DOCS, code_in, sections_of, tables_of
from tests.support.public_names import looked_up, open_apis

NEVER = "—"
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


async def test_each_of_our_names_exists() -> None:
    ours = {row.ours for row in cardinal_rows() if row.ours != NEVER}
    async with open_apis() as apis:
        assert sorted(name for name in ours if looked_up(name, apis) is None) == []

    assert len(ours) > 70


def test_no_name_is_there_twice() -> None:
    names = [row.theirs for row in cardinal_rows()]

    assert len(names) == len(set(names))


def test_the_page_has_the_calls_that_stand_for_methods_of_the_reference() -> None:
    named = {row.theirs.split(".")[-1] for row in cardinal_rows()}
    called = called_in_surface()

    assert sorted(called - named - PARAMETERS) == []
    assert len(called) > 50
