"""Codes and dates as arguments of commands."""

from __future__ import annotations

import datetime as dt
from typing import Final

import typer

from icure_async.models.codes import CodingReference

__all__ = ["CODE_FORM", "DATE_FORM", "code_of", "date_of", "shown_code"]

CODE_FORM: Final = "TYPE|CODE|VERSION"
DATE_FORM: Final = "YYYY-MM-DD[THH:MM[:SS]]"


def code_of(text: str) -> CodingReference:
    """Return the code that an argument names; its version may be missing."""
    parts = [part.strip() for part in text.split("|")]
    if len(parts) not in (2, 3) or not all(parts):
        raise typer.BadParameter(
            f"a code is written {CODE_FORM}, within quotation marks for the shell."
        )
    kind, code, *version = parts
    if not version:
        return CodingReference(type=kind, code=code)
    return CodingReference(id="|".join(parts), type=kind, code=code, version=version[0])


def date_of(text: str) -> dt.date:
    """Return the day or the moment that an argument names, as clocks showed it there."""
    try:
        if len(text) == len("YYYY-MM-DD"):
            return dt.date.fromisoformat(text)
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is not None or len(text) < len("YYYY-MM-DDTHH:MM"):
        raise typer.BadParameter(f"a date is written {DATE_FORM}, without a time zone.")
    return moment.replace(microsecond=0)


def shown_code(code: CodingReference) -> str:
    """Return a code in one line."""
    return "|".join(filter(None, (code.type, code.code, code.version))) or code.id or ""
