"""Parts of the pages of ``docs``: sections, tables and links, to compare with the code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

__all__ = ["DOCS", "code_in", "links_of", "page", "sections_of", "tables_of"]

DOCS: Final = Path(__file__).parents[2] / "docs"

_HEADING: Final = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
_FENCE: Final = re.compile(r"^(```|~~~).*?^\1$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"`([^`]+)`")
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_RULE: Final = re.compile(r"\|(?: *:?-+:? *\|)+")
_BETWEEN: Final = re.compile(r"(?<!\\)\|")


def page(name: str) -> str:
    """Return the text of a page, without its code blocks."""
    return _FENCE.sub("", (DOCS / name).read_text(encoding="utf-8"))


def sections_of(text: str, level: int) -> dict[str, str]:
    """Return the content of each section of a level, by its title."""
    found: dict[str, str] = {}
    headings = list(_HEADING.finditer(text))
    for number, heading in enumerate(headings):
        if len(heading[1]) != level:
            continue
        ends = [other.start() for other in headings[number + 1 :] if len(other[1]) <= level]
        title = heading[2].replace("`", "")
        assert title not in found, f"two sections are called {title}"
        found[title] = text[heading.end() : ends[0] if ends else len(text)].strip()
    return found


def tables_of(text: str) -> Iterator[Sequence[Sequence[str]]]:
    """Yield the rows of each table, without its head."""
    rows: list[list[str]] | None = None
    for line in [*text.splitlines(), ""]:
        if not line.startswith("|"):
            if rows:
                yield rows
            rows = None
        elif _RULE.fullmatch(line.strip()):
            rows = []
        elif rows is not None:
            cells = _BETWEEN.split(line.strip().strip("|"))
            rows.append([cell.replace("\\|", "|").strip() for cell in cells])


def code_in(text: str) -> list[str]:
    """Return all that stands between backticks."""
    return _CODE.findall(text)


def links_of(text: str) -> list[str]:
    """Return the targets of the links of a page, but for those to other sites."""
    return [link for link in _LINK.findall(text) if "://" not in link]
