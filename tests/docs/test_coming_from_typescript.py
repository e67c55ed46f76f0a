"""The table of TypeScript's names, compared with ``docs/spec/surface.md`` and the package."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs
import pytest

from tests.support.page_parts import DOCS, code_in, page, sections_of, tables_of
from tests.support.public_names import call_of, looked_up, open_apis

PAGE = "coming-from-typescript.md"
METHODS = 125
NEVER = "—"
RENAMED = {"initCryptoFor": "init_user_crypto"}


@attrs.frozen
class Row:
    """A row of the page's tables."""

    api: str
    theirs: str
    ours: str
    call: str
    note: str


def rows() -> list[Row]:
    found = [
        Row(title.split()[0], theirs.strip("`"), ours.strip("`"), call.strip("`"), note)
        for title, section in sections_of(page(PAGE).split("## All names")[1], 3).items()
        for table in tables_of(section)
        for theirs, ours, call, note in table
    ]
    assert len(found) == METHODS
    return found


def surface() -> Iterator[tuple[str, str]]:
    text = (DOCS / "spec" / "surface.md").read_text(encoding="utf-8")
    for title, section in sections_of(text, 2).items():
        for table in tables_of(section):
            for row in table:
                yield title.split()[0], code_in(row[0])[0]


def in_snake_case(name: str) -> str:
    for word, spelt in {"ICure": "Icure", "iCure": "icure", "SMS": "Sms", "RSA": "Rsa"}.items():
        name = name.replace(word, spelt)
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def test_the_page_has_every_name_of_the_reference_in_its_order() -> None:
    assert [(row.api, row.theirs) for row in rows()] == list(surface())


async def test_each_name_exists() -> None:
    async with open_apis() as apis:
        ours = {row.ours for row in rows() if row.ours != NEVER}
        assert sorted(name for name in ours if looked_up(name, apis) is None) == []


async def test_a_name_is_called_as_the_page_says() -> None:
    async with open_apis() as apis:
        calls = {row.ours: call_of(looked_up(row.ours, apis)) for row in rows()}

    for row in rows():
        if row.ours != NEVER:
            assert (row.ours, row.call) == (row.ours, calls[row.ours])
            assert row.ours.endswith("()") == bool(row.call)


def test_our_name_is_theirs_in_snake_case() -> None:
    for row in rows():
        if row.ours != NEVER:
            expected = RENAMED.get(row.theirs) or in_snake_case(row.theirs)
            assert row.ours.split(".")[1].removesuffix("()") == expected


async def test_a_name_that_will_not_come_is_explained_and_is_not_there() -> None:
    never = [row for row in rows() if row.ours == NEVER]
    async with open_apis() as apis:
        for row in never:
            assert row.note
            assert looked_up(f"{row.api}.{in_snake_case(row.theirs)}", apis) is None

    assert len(never) <= 7


async def test_names_in_the_notes_exist() -> None:
    async with open_apis() as apis:
        for row in rows():
            for name in code_in(row.note):
                if re.fullmatch(r"[A-Z]\w+(\.\w+(\(\))?)?", name):
                    assert looked_up(name, apis) is not None, name


@pytest.mark.parametrize(
    ("name", "ours"),
    [("generateRSAKeypair", "generate_rsa_keypair"), ("iCureBaseUrl", "icure_base_url")],
)
def test_abbreviations_are_one_word(name: str, ours: str) -> None:
    assert in_snake_case(name) == ours
