"""``docs/command-line.md`` says what the command does."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from icure_async import environment
from icure_async.cli import app
from icure_async.cli.profiles import SETTINGS

PAGE = (Path(__file__).parents[2] / "docs/command-line.md").read_text("utf-8")


def _commands(group: typer.Typer, prefix: str = "") -> set[str]:
    names = {
        prefix + str(command.name or getattr(command.callback, "__name__", ""))
        for command in group.registered_commands
    }
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        names |= _commands(inner.typer_instance, f"{prefix}{inner.name} ")
    return names


def test_it_has_all_commands_and_no_other() -> None:
    rows = re.findall(r"^\| (`icure [^|]*) \|", PAGE, re.MULTILINE)
    named: set[str] = set()
    for row in rows:
        first, *others = re.findall(r"`([^`]+)`", row)
        command = first.removeprefix("icure ")
        named.add(command)
        group = command.partition(" ")[0]
        named |= {
            other.removeprefix("icure ") if other.startswith("icure ") else f"{group} {other}"
            for other in others
        }
    assert named == _commands(app)


def test_it_has_all_settings_with_their_variables_options_and_meanings() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(--[\w-]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(item.variable, item.option, item.meaning) for item in SETTINGS.values()]


def test_it_has_all_variables() -> None:
    known = {getattr(environment, name) for name in environment.__all__ if name.isupper()}
    known |= {setting.variable for setting in SETTINGS.values()}
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE)) == known
