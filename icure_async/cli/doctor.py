"""``icure doctor``: the settings, the servers, the folders, the login and the keys, examined."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from typing import TYPE_CHECKING, Final

import attrs
import typer

from icure_async.cli.choices import AsJson, ProfileName, chosen
from icure_async.cli.doctor_account import check_account
from icure_async.cli.doctor_servers import check_servers
from icure_async.cli.findings import Finding, bad, good
from icure_async.cli.folders import data_folder, key_directory
from icure_async.cli.logins import read_login
from icure_async.cli.output import print_json, say, working
from icure_async.cli.profiles import profiles_path
from icure_async.errors import ICureError
from icure_async.storage._disk import advice_for
from icure_async.storage._folders import check_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from icure_async.cli.choices import Choices

__all__ = ["doctor"]

_STYLES: Final = {"good": ("✓", "green"), "doubtful": ("!", "yellow"), "bad": ("✗", "red")}


def doctor(profile: ProfileName = None, as_json: AsJson = False) -> None:
    """Examine the settings, the servers, the clock, the folders, the login and the keys.

    Nothing is written, here or on the servers, and no code is sent. The exit code is 1 if something
    is wrong (✗); a hint (!) does not count.
    """
    with working("Examining"):
        findings = _findings(profile)
    is_well = not any(finding.state == "bad" for finding in findings)
    if as_json:
        print_json({"ok": is_well, "checks": [attrs.asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            _print(finding)
    if not is_well:
        raise typer.Exit(1)


def _findings(profile: str | None) -> list[Finding]:
    try:
        choices = chosen(profile)
    except ICureError as error:
        return [bad("Settings", str(error), "repair them with 'icure config'")]
    found = [good("Settings", f"the profile {choices.profile!r} can be read"), _flavour(choices)]
    found += asyncio.run(check_servers(choices))
    found += _check_folders(choices)
    found += check_account(choices)
    return found


def _flavour(choices: Choices) -> Finding:
    meaning = {"medtech": "the iCure of 2023 (rest/v1)", "cardinal": "today's iCure (rest/v2)"}
    login = None
    # A login that can't be read is a finding of its own.
    with contextlib.suppress(ICureError):
        login = asyncio.run(read_login(choices.profile))
    flavour = choices.flavour or (login.flavour if login else "medtech")
    return good("Flavour", f"{flavour}, {meaning[flavour]}")


def _check_folders(choices: Choices) -> Iterator[Finding]:
    try:
        keys = key_directory(choices.folder)
        folders = [keys, keys.with_name("state"), data_folder() / "logins", profiles_path().parent]
    except ICureError as error:
        yield bad("Folders", str(error), "set HOME")
        return
    problems = [finding for folder in folders for finding in _check(folder.absolute())]
    yield from problems or [good("Folders", f"nobody else can reach {keys} and its neighbours")]


def _check(folder: Path) -> Iterator[Finding]:
    try:
        openness = check_folder(folder)
    except OSError as error:
        yield bad("Folders", f"{folder} is not safe", advice_for(error))
        return
    if openness is not None:
        step = f"chmod 700 {shlex.quote(str(folder))}"
        yield bad("Folders", f"{folder} {openness}, so others can reach it", step)


def _print(finding: Finding) -> None:
    mark, style = _STYLES[finding.state]
    line = f"{mark} {finding.name}: {finding.found.rstrip('.')}."
    if finding.next_step:
        line += f" Next: {finding.next_step.rstrip('.')}."
    say(line, style=style)
