"""Citations of the facts in ``docs/spec``: each names a file and a section that exist.

The rules for writing them stand in ``docs/spec/README.md``.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SPEC = ROOT / "docs" / "spec"
CITING = ("icure_async", "icure_sync", "tests", "benchmarks")
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/spec/README.md")
SIGN = "\N{SECTION SIGN}"

_NUMBER = r"\d+(?:\.\d+)*"
_TOKEN = re.compile(
    rf"(?P<foreign>RFC\s+\d+\s+{SIGN}\s?{_NUMBER})"
    r"|(?<![\w/.-])(?:docs/spec/)?(?P<file>[a-z][a-z0-9-]*\.md)\b"
    rf"|{SIGN}+\s?(?P<section>{_NUMBER})(?:-{SIGN}?(?P<last>{_NUMBER}))?"
    r"(?:\s+(?:step|item)\s+(?P<item>\d+))?"
)
_HEADING = re.compile(rf"^#{{2,6}} ({_NUMBER})\.? ", re.MULTILINE)
_ANY_HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
_ITEM = re.compile(r"^\s*(\d+)\. ", re.MULTILINE)
_CONNECTION = re.compile(r"(?:,|,? and|,? or)?\s*")


class Citation(NamedTuple):
    """A section as somebody cites it, and where."""

    path: Path
    line: int
    document: str | None
    section: str


def sections_of(text: str) -> set[str]:
    """Return the numbers of a document's headings, and of the items of lists below them."""
    found: set[str] = set()
    for heading in _HEADING.finditer(text):
        after = _ANY_HEADING.search(text, heading.end())
        body = text[heading.end() : after.start() if after else len(text)]
        found.add(heading[1])
        found.update(f"{heading[1]}.{item}" for item in _ITEM.findall(body))
    return found


def citations_of(path: Path, documents: Container[str], named: str | None) -> Iterator[Citation]:
    """Yield the citations of a file; bare sections belong to ``named`` until it names a
    document."""
    text = path.read_text(encoding="utf-8")
    current, end = named, 0
    for token in _TOKEN.finditer(text):
        if path.name == named and not _CONNECTION.fullmatch(text, end, token.start()):
            current = named  # in a document, a bare section is one of its own
        end = token.end()
        file = token["file"]
        if file in documents or (file and re.match(rf"[\s#*\"']*{SIGN}", text[end:])):
            current = file
        if token["section"] is None:
            continue
        line = text.count("\n", 0, token.start()) + 1
        item = f".{token['item']}" if token["item"] else ""
        for number in filter(None, (token["section"] + item, token["last"])):
            yield Citation(path, line, current, number)


def faults_of(
    citations: Iterable[Citation], sections: Mapping[str, Container[str]], root: Path = ROOT
) -> list[str]:
    """Say, citation by citation, what does not resolve."""
    return [
        f"{citation.path.relative_to(root)}:{citation.line}: {fault}"
        for citation in citations
        if (fault := _fault_of(citation, sections))
    ]


def _fault_of(citation: Citation, sections: Mapping[str, Container[str]]) -> str | None:
    cited = f"{SIGN}{citation.section}"
    if citation.document is None:
        return f"{cited} of which document? Write it as in `cryptography.md {cited}`"
    if citation.document not in sections:
        return f"docs/spec has no {citation.document}"
    if citation.section not in sections[citation.document]:
        return f"docs/spec/{citation.document} has no {cited}"
    return None


def citing_files(root: Path) -> list[Path]:
    """Return the files that may cite: source, tests, and the pages people read."""
    files = [path for room in CITING for path in (root / room).rglob("*")]
    files = [path for path in files if path.suffix in {".py", ".md", ".mjs", ".js", ".html"}]
    files += [root / name for name in PAGES]
    return sorted(path for path in files if path.is_file() and "node_modules" not in path.parts)


def named_by_package(path: Path, documents: Container[str]) -> str | None:
    """Return the document that a module's package names, or else a package around it."""
    for package in path.parents:
        init = package / "__init__.py"
        if not init.is_file():
            return None
        for token in _TOKEN.finditer(init.read_text(encoding="utf-8")):
            if token["file"] in documents:
                return token["file"]
    return None


def all_citations(root: Path, documents: Container[str]) -> list[Citation]:
    """Return the citations of all files under ``root``."""
    return [
        citation
        for path in citing_files(root)
        for citation in citations_of(path, documents, named_by_package(path, documents))
    ]


@pytest.fixture(scope="module")
def documents() -> list[Path]:
    return sorted(path for path in SPEC.glob("*.md") if path.name != "README.md")


@pytest.fixture(scope="module")
def sections(documents: list[Path]) -> dict[str, set[str]]:
    return {path.name: sections_of(path.read_text(encoding="utf-8")) for path in documents}


def test_every_citation_in_code_and_tests_resolves(sections: dict[str, set[str]]) -> None:
    citations = all_citations(ROOT, sections)

    faults = faults_of(citations, sections)

    assert len(citations) > 100, "the search for citations finds too few to be right"
    assert not faults, "\n".join(["citations that do not resolve:", *faults])


def test_every_citation_between_the_documents_resolves(
    documents: list[Path], sections: dict[str, set[str]]
) -> None:
    for path in documents:
        faults = faults_of(citations_of(path, sections, path.name), sections)

        assert not faults, "\n".join(["citations that do not resolve:", *faults])


def test_every_document_says_at_its_top_how_certain_it_is(documents: list[Path]) -> None:
    for path in documents:
        top = path.read_text(encoding="utf-8")[:1500]

        assert "Certainty:" in top, path.name


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('"""Keys (crypto.md %4)."""', "1: docs/spec has no crypto.md"),
        ('"""Keys.\n\nSource: crypto.md\n%4.\n"""', "4: docs/spec has no crypto.md"),
        ('"""Keys (cryptography.md %99)."""', "1: docs/spec/cryptography.md has no %99"),
        ('"""Keys (cryptography.md %4)."""\n# %4.9', "2: docs/spec/cryptography.md has no %4.9"),
        ('"""Keys (cryptography.md %4.2.77)."""', "1: docs/spec/cryptography.md has no %4.2.77"),
        ('"""cryptography.md %10 step 55."""', "1: docs/spec/cryptography.md has no %10.55"),
        ('"""Keys (cryptography.md %4-%99)."""', "1: docs/spec/cryptography.md has no %99"),
        (
            '"""cryptography.md %8, data-model.md %7."""\n# %9',
            "2: docs/spec/data-model.md has no %9",
        ),
        (
            '"""Keys."""\n\n# As always (%4).',
            "3: %4 of which document? Write it as in `cryptography.md %4`",
        ),
    ],
)
def test_a_citation_that_does_not_resolve_is_named_with_its_line(
    source: str, fault: str, sections: dict[str, set[str]], tmp_path: Path
) -> None:
    module = tmp_path / "icure_async" / "keys.py"
    module.parent.mkdir()
    module.write_text(source.replace("%", SIGN), encoding="utf-8")

    faults = faults_of(all_citations(tmp_path, sections), sections, tmp_path)

    assert faults == [f"icure_async/keys.py:{fault}".replace("%", SIGN)]


@pytest.mark.parametrize(
    "source",
    [
        '"""Keys: docs/spec/cryptography.md %4, %4.2.3 and %10 step 5 (RFC 9110 %5.6.7)."""',
        '"""Keys (data-model.md %8,\nserver-behaviour.md %9)."""\n# Gateway (%13.2.4).',
        '"""Owners (server-behaviour.md %10.3-10.12), as in the README.md."""\n# %2.4',
    ],
)
def test_a_citation_may_be_short_where_the_document_was_named_before(
    source: str, sections: dict[str, set[str]], tmp_path: Path
) -> None:
    module = tmp_path / "tests" / "test_keys.py"
    module.parent.mkdir()
    module.write_text(source.replace("%", SIGN), encoding="utf-8")

    citations = all_citations(tmp_path, sections)

    assert citations
    assert faults_of(citations, sections, tmp_path) == []


def test_the_modules_of_a_package_may_rely_on_the_document_it_names(
    sections: dict[str, set[str]], tmp_path: Path
) -> None:
    package = tmp_path / "icure_async" / "backend"
    kinds = package / "kinds"
    kinds.mkdir(parents=True)
    (package / "__init__.py").write_text('"""A backend (server-behaviour.md)."""', encoding="utf-8")
    (kinds / "__init__.py").write_text('"""One module each."""', encoding="utf-8")
    (package / "users.py").write_text(f'"""Users ({SIGN}10.2)."""', encoding="utf-8")
    (package / "cats.py").write_text(f'"""Cats ({SIGN}10.99)."""', encoding="utf-8")
    (kinds / "dogs.py").write_text(f'"""Dogs ({SIGN}10.98)."""', encoding="utf-8")

    faults = faults_of(all_citations(tmp_path, sections), sections, tmp_path)

    assert faults == [
        f"icure_async/backend/cats.py:1: docs/spec/server-behaviour.md has no {SIGN}10.99",
        f"icure_async/backend/kinds/dogs.py:1: docs/spec/server-behaviour.md has no {SIGN}10.98",
    ]
