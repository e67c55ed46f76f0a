"""The ``icure`` command: its options, its groups and its errors."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from icure_async._version import __version__
from icure_async.cli.demo import Demo
from icure_async.cli.keys import keys
from icure_async.cli.sandbox import sandbox
from icure_async.errors import ICureError

__all__ = ["app", "main"]

app: typer.Typer = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="iCure from the shell: a local sandbox, a demonstration of the SDK on it, and your keys.",
)
app.add_typer(keys, name="keys")
app.command()(sandbox)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"icure-async {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options of the command itself."""


@app.command()
def demo() -> None:
    """Register by SMS, write an encrypted patient, log in again, read it: on a fresh sandbox."""
    asyncio.run(Demo(Console()).run())


def main() -> None:
    """Run the command; a known error is a message and exit code 1, not a traceback."""
    try:
        app()
    except (ICureError, ValueError, OSError) as error:
        Console(stderr=True).print(
            str(error), style="red", markup=False, highlight=False, soft_wrap=True
        )
        raise SystemExit(1) from None
