"""Lines, tables and JSON on standard output; messages and progress on standard error.

A line is never broken and nothing in it cut, so that ids can be copied and lines be searched. Texts
that come from a server are made printable: nothing in them steers a terminal.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from icure_async.foreign_text import printable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

__all__ = [
    "Advance",
    "note",
    "print_json",
    "print_members",
    "print_rows",
    "say",
    "steps",
    "transferring",
    "when",
    "working",
]

Advance = Callable[[int, int | None], None]
"""Is told how many bytes are done, and of how many where that is known."""

_LONGEST_CELL: Final = 10_000
_EMPTY: Final = "—"


def say(text: str, *, style: str | None = None, error: bool = False) -> None:
    """Print a text, whose lines are never broken."""
    console = Console(stderr=error)
    text = "\n".join(printable(line, len(line)) for line in text.split("\n"))
    console.print(text, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)


def note(text: str, *, style: str | None = None) -> None:
    """Print a line for the person, on standard error."""
    say(text, style=style, error=True)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, indent=2))


def print_rows(
    titles: Sequence[str], rows: Iterable[Sequence[object]], *, indent: str = ""
) -> None:
    """Print a table with two blanks between its columns, as wide as it has to be."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title, no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*(Text(_shown(cell)) for cell in row))
    _print_whole(table, indent)


def print_members(members: Mapping[str, object]) -> None:
    """Print the members of one thing, a line each."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for _ in range(2):
        table.add_column(no_wrap=True, overflow="ignore")
    for name, value in members.items():
        table.add_row(Text(printable(name, _LONGEST_CELL), style="bold"), Text(_shown(value)))
    _print_whole(table)


def when(milliseconds: int | None) -> str | None:
    """Return a moment in local time, to the minute; None for None."""
    if milliseconds is None:
        return None
    try:
        moment = dt.datetime.fromtimestamp(milliseconds / 1000, tz=dt.UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
    return f"{moment:%Y-%m-%d %H:%M}"


@contextmanager
def working(text: str) -> Generator[None, None, None]:
    """Show that something takes long, where a person looks on."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(Text(text)):
        yield


@contextmanager
def steps(text: str, total: int | None = None) -> Generator[Callable[[int], None], None, None]:
    """Yield a function to be told how much is done, which is shown where a person looks on."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(text, total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def transferring(text: str) -> Generator[Advance, None, None]:
    """Yield a function to be told of bytes, done and in all, shown where a person looks on."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _done, _total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _shown(value: object) -> str:
    if value is None or value == "":
        return _EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    return printable(value, _LONGEST_CELL)


def _print_whole(table: Table, indent: str = "") -> None:
    console = Console()
    unlimited = console.options.update(max_width=1_000_000)
    width = console.measure(table, options=unlimited).maximum
    lines = Console(width=max(width, 1))
    with lines.capture() as capture:
        lines.print(table, crop=False, no_wrap=True, overflow="ignore")
    for line in capture.get().splitlines():
        typer.echo(f"{indent}{line}".rstrip())
