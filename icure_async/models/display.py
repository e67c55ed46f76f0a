"""Texts and HTML of values: nothing in them steers a terminal or a page."""

from __future__ import annotations

import html
from itertools import islice
from typing import TYPE_CHECKING, Final

from icure_async.foreign_text import printable
from icure_async.json_shapes import is_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["MOST_ROWS", "html_of", "html_pairs", "html_table", "text_of"]

MOST_ROWS: Final = 100
"""The number of rows of a table that are shown."""

_LONGEST_IN_TABLE: Final = 200
_LONGEST: Final = 20_000
_STYLE: Final = 'style="text-align:left" dir="auto"'


def text_of(value: object) -> str:
    """Return a value as a text that may have several lines; a very long one is cut."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if is_list(value):
        return ", ".join(map(text_of, value))
    text = str(value)
    lines = (printable(line, _LONGEST) for line in text[:_LONGEST].split("\n"))
    return "\n".join(lines) + ("…" if len(text) > _LONGEST else "")


def html_of(text: str) -> str:
    """Return a text as HTML, with its line breaks."""
    return html.escape(text).replace("\n", "<br>")


def html_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table of values, with the first rows where there are many."""
    every_row = iter(rows)
    shown = "".join(map(_row, islice(every_row, MOST_ROWS)))
    more = sum(1 for _ in every_row)
    heads = "".join(f"<th {_STYLE}>{_cell(name)}</th>" for name in columns)
    head = f"<thead><tr>{heads}</tr></thead>" if columns else ""
    note = f"<p>… and {more:,} more</p>" if more else ""
    return f"<table>{head}<tbody>{shown}</tbody></table>{note}"


def html_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names and texts as a table of two columns."""
    rows = (
        f"<tr><th {_STYLE}>{html_of(name)}</th><td {_STYLE}>{html_of(text)}</td></tr>"
        for name, text in pairs
    )
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def _row(values: Sequence[object]) -> str:
    return f"<tr>{''.join(f'<td {_STYLE}>{_cell(value)}</td>' for value in values)}</tr>"


def _cell(value: object) -> str:
    return html_of(printable(text_of(value), _LONGEST_IN_TABLE))
