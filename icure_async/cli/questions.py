"""Questions to a person: each has an environment variable, or an option, that answers it.

Passphrases, passwords and codes are never arguments, which other users of the machine can see.
"""

from __future__ import annotations

import getpass
import os
import sys
import warnings
from typing import TYPE_CHECKING, Final

import typer

from icure_async.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ask", "confirm", "is_answerable", "read_text"]

_MOST_CHARACTERS: Final = 8 << 20


def ask(what: str, variable: str, *, hidden: bool = True, twice: bool = False) -> str:
    """Return the value of an environment variable, else what a person enters.

    Raises:
        ConfigurationError: neither is there; it names the variable.
    """
    given = os.environ.get(variable)
    if given:
        return given
    try:
        with warnings.catch_warnings():
            # Without a terminal everybody could see the answer, or nobody could give one.
            warnings.simplefilter("error", getpass.GetPassWarning)
            if hidden:
                return str(typer.prompt(what, hide_input=True, confirmation_prompt=twice, err=True))
            return _line(what)
    except getpass.GetPassWarning:
        pass
    except typer.Abort as abort:
        # A hidden answer is read from the terminal even where standard input is a pipe.
        if is_answerable() or isinstance(abort.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
    typer.echo(err=True)
    raise ConfigurationError(f"There is no terminal to ask for it: set {variable}.")


def confirm(question: str, *, option: str) -> None:
    """Return if a person says yes.

    Args:
        question: what is going to happen.
        option: stands for a yes where there is no terminal.

    Raises:
        ConfigurationError: there is no terminal.
        Exit: the person says no.
    """
    if not is_answerable():
        raise ConfigurationError(f"{question} There is no terminal to ask: add {option} for a yes.")
    try:
        answer = _line(f"{question} [y/N]", may_be_empty=True)
    except typer.Abort:
        raise KeyboardInterrupt from None
    if answer.lower() not in ("y", "yes"):
        typer.echo("Nothing was changed.", err=True)
        raise typer.Exit(1)


def _line(question: str, *, may_be_empty: bool = False) -> str:
    """Ask on standard error alone: a program may read standard output, where typer asks, too.

    Raises:
        Abort: there is no answer.
    """
    while True:
        typer.echo(f"{question}: ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            raise typer.Abort
        if line.strip() or may_be_empty:
            return line.strip()


def is_answerable() -> bool:
    """Return whether a person can be asked."""
    return sys.stdin.isatty()


def read_text(file: Path) -> str:
    """Return the text of a file, or of standard input for ``-``.

    Raises:
        ConfigurationError: it cannot be read, is no UTF-8 text, or is far too large.
    """
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(_MOST_CHARACTERS + 1)
        else:
            with file.open("rb") as source:
                content = source.read(_MOST_CHARACTERS + 1)
        text = content.decode("utf-8") if len(content) <= _MOST_CHARACTERS else None
    except UnicodeDecodeError:
        text = None
    except OSError as error:
        raise ConfigurationError(
            f"Could not read {file}: {error.strerror or type(error).__name__}. Name another file."
        ) from None
    if text is None:
        raise ConfigurationError(
            f"{file} is not a text in UTF-8, or is larger than 8 MiB: name another file."
        )
    return text
