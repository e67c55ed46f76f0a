"""The page about the command line has every command."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from icure_async.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def commands() -> set[str]:
    """Return what follows ``icure`` in each command that can be run."""
    found: set[str] = set()
    for name, command in vars(typer.main.get_command(app))["commands"].items():
        below = getattr(command, "commands", None)
        found |= {f"{name} {each}" for each in below} if below else {name}
    return found


def commands_of_page() -> set[str]:
    """Return those of the first column of its tables, where ``icure keys`` is said once a row."""
    found: set[str] = set()
    for cell in re.findall(r"^\| (`icure [^|]*) \|", PAGE.read_text("utf-8"), re.MULTILINE):
        names: list[str] = re.findall(r"`([^`]+)`", cell)
        *group, first = names[0].removeprefix("icure ").split()
        found |= {" ".join([*group, first])}
        found |= {
            name.removeprefix("icure ") if name.startswith("icure ") else " ".join([*group, name])
            for name in names[1:]
        }
    return found


def test_every_command_is_on_the_page() -> None:
    assert commands_of_page() == commands()
