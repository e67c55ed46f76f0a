"""Names, commands, files and links on the pages: all of them exist."""

from __future__ import annotations

import re
import warnings
from typing import Any

import attrs
import pytest
import typer.main

import icure_async
from icure_async import errors, services, storage
from icure_async.cli import command
from tests.support.page_parts import DOCS, code_in, links_of, page, sections_of, tables_of

ROOT = DOCS.parent
PAGES = [
    "coming-from-cardinal.md",
    "coming-from-typescript.md",
    "diagrams.md",
    "errors.md",
    "keys-and-backups.md",
    "threat-model.md",
    "what-is-encrypted.md",
]
CALL = re.compile(r"(\w+)\(.*\)", re.DOTALL)
OF_PYTHON = {"hasattr", "getattr", "isinstance", "repr", "str"}
OF_TYPESCRIPT = {"emptyHcpCache", "forceReload", "marshal"}
OF_CARDINAL = {
    "CardinalSdk",
    "FileSystemStorage",
    "by_fuzzy_name_for_data_owner",
    "create_patient_async",
    "create_patient_blocking",
    "force_reload",
    "has_next",
    "intersection",
    "next",
    "with_encryption_metadata",
}
PROMISES = ("Never", "By default", "Stops it", "Nothing stops", "Tests")


def public_names() -> set[str]:
    """Return the names of all public functions, classes, and their members."""
    found: set[str] = set()
    for module in (icure_async, errors, services, storage):
        for name in module.__all__:
            thing = getattr(module, name)
            found |= {name, *(member for member in dir(thing) if not member.startswith("_"))}
            if isinstance(thing, type) and attrs.has(thing):
                found |= {attribute.name for attribute in attrs.fields(thing)}
    return found


@pytest.mark.parametrize("name", PAGES)
def test_each_call_on_a_page_exists(name: str) -> None:
    calls = {found[1] for code in code_in(page(name)) if (found := CALL.fullmatch(code))}
    with warnings.catch_warnings(action="ignore"):
        known = public_names() | OF_PYTHON | OF_TYPESCRIPT | OF_CARDINAL
    assert sorted(calls - known) == []


@pytest.mark.parametrize("name", PAGES)
def test_each_command_on_a_page_exists(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    group: Any = typer.main.get_command(command.app)
    for words in re.findall(r"(?:^|`)icure ([a-z]+)(?: ([a-z]+))?", text, re.MULTILINE):
        found = group.commands[words[0]]
        if words[1] and hasattr(found, "commands"):
            assert words[1] in found.commands


@pytest.mark.parametrize("name", PAGES)
def test_no_link_leads_nowhere(name: str) -> None:
    for link in links_of(page(name)):
        target = link.partition("#")[0]
        assert not target or (DOCS / target).is_file(), link


def test_each_attacker_has_promises_and_tests_that_exist() -> None:
    attackers = sections_of(sections_of(page("threat-model.md"), 2)["Attackers"], 3)

    assert len(attackers) >= 8
    for attacker, section in attackers.items():
        said = re.findall(r"^\* \*\*(.+?):\*\*", section, re.MULTILINE)
        assert [promise for promise in PROMISES if promise in said] == said, attacker
        assert {"Never", "By default", "Stops it", "Tests"} <= set(said), attacker
        files = code_in(section.split("**Tests:**")[1])
        assert files
        assert [file for file in files if not (ROOT / file).is_file()] == []


def test_the_options_about_keys_are_methods_of_the_builders() -> None:
    rows = next(
        iter(tables_of(sections_of(page("threat-model.md"), 2)["Which option promises what"]))
    )
    methods = [code.partition("(")[0] for row in rows for code in code_in(row[0])]

    assert len(methods) == 4
    assert all(hasattr(icure_async.MedTechApiBuilder, method) for method in methods)


def test_the_threat_model_quotes_the_promises_of_security_md_and_repeats_none() -> None:
    security = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    text = (DOCS / "threat-model.md").read_text(encoding="utf-8")
    begin, end = (f"<!-- {words} -->" for words in ("the threat model quotes from here", "to here"))
    quoted = security.split(begin)[1].split(end)[0]

    assert "{include} ../SECURITY.md" in text
    assert begin in text
    assert end in text
    assert "docs/threat-model.md" in security
    titles = re.findall(r"^## .+\n", quoted, re.MULTILINE)
    assert len(titles) == 3
    assert [title for title in titles if title in text] == []
