"""The ``icure`` command: its options, its groups and its errors.

Exit codes: 0 all is well; 1 an error with a message, a no to a question, or something that is
wrong where the command is for finding that out; 2 the command was not understood; 130 Ctrl-C.
"""

from __future__ import annotations

import functools
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from icure_async._version import __version__
from icure_async.cli.choices import chosen_before, complete_profile
from icure_async.cli.code import code
from icure_async.cli.conditions import condition
from icure_async.cli.config import config
from icure_async.cli.doctor import doctor
from icure_async.cli.keys import keys
from icure_async.cli.login import login, logout, register, whoami
from icure_async.cli.notifications import notification
from icure_async.cli.options import FlavourName  # noqa: TC001 - typer reads it
from icure_async.cli.output import note
from icure_async.cli.patients import patient
from icure_async.cli.profiles import SETTINGS
from icure_async.cli.samples import sample
from icure_async.cli.sandbox import sandbox
from icure_async.cli.storage import storage
from icure_async.cli.tokens import token
from icure_async.environment import FLAVOUR, PROFILE, value_of
from icure_async.errors import (
    AuthenticationError,
    AuthenticationProcessError,
    ICureError,
    InvalidCodeError,
    KeyPairNotFoundError,
    NetworkError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from icure_async.models.flavour import Flavour

__all__ = ["app", "main"]

app: typer.Typer = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "iCure from the shell: register, log in, patients, their conditions and data samples, "
        "notifications, your keys, a local sandbox, and a demonstration of the SDK on it."
    ),
    epilog=(
        "Exit codes: 0 all is well; 1 an error, with a message on standard error; 2 the command "
        "was not understood; 130 Ctrl-C."
    ),
)
for _function in (register, login, logout, whoami, code, doctor, sandbox):
    app.command()(_function)
for _name, _group in (
    ("patient", patient),
    ("condition", condition),
    ("sample", sample),
    ("notification", notification),
    ("keys", keys),
    ("storage", storage),
    ("token", token),
    ("config", config),
):
    app.add_typer(_group, name=_name)

_NEXT_STEPS: Final[Mapping[type[ICureError], str]] = {
    KeyPairNotFoundError: (
        "With this command: 'icure keys import' with a backup, 'icure keys recover' with the "
        "shares of notaries, or, to go on with a new key pair, 'icure login --new-key'."
    ),
    InvalidCodeError: "With this command: go on with the right code and 'icure login --resume'.",
    AuthenticationProcessError: "With this command: begin again with 'icure login'.",
    AuthenticationError: "With this command: log in again with 'icure login'.",
    NetworkError: "With this command: 'icure doctor' says what can be reached.",
}
"""The next steps that the messages of the SDK, which name methods, leave to say."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"icure-async {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            envvar=PROFILE,
            autocompletion=complete_profile,
            help="Profile to use, see 'icure config'.",
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options of the command itself."""
    chosen_before.set(profile)


@app.command()
def demo(flavour: FlavourName = None) -> None:
    """Register by SMS, write an encrypted patient, log in again, read it: on a fresh sandbox."""
    import asyncio

    from rich.console import Console

    from icure_async.cli.demo import Demo

    # Without a profile: the demonstration has a backend of its own.
    chosen = flavour or value_of(FLAVOUR) or "medtech"
    chosen = SETTINGS["flavour"].checked(chosen, "The flavour")
    asyncio.run(Demo(Console(), cast("Flavour", chosen)).run())


@functools.cache
def _command() -> Callable[..., object]:
    """Return the whole command, made once."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command; a known error is a message and exit code 1, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal has no letters for is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if sys.stdin is None:
        # A service may be started without one: then nobody answers.
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    try:
        _command()(prog_name="icure")
    except (ICureError, ValueError, OSError) as error:
        note(str(error), style="red")
        step = next((step for kind, step in _NEXT_STEPS.items() if isinstance(error, kind)), None)
        if step is not None:
            note(step)
        raise SystemExit(1) from None
