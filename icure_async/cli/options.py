"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from icure_async import environment
from icure_async.cli.logins import Place

__all__ = [
    "Captcha",
    "CaptchaKind",
    "Days",
    "FlavourName",
    "Folder",
    "NewKey",
    "TokenPlace",
    "Yes",
]

Captcha = Annotated[
    str | None,
    typer.Option(
        "--captcha",
        envvar=environment.CAPTCHA,
        help=(
            "Solution of a captcha; asked for otherwise, or computed where the gateway offers that."
        ),
    ),
]
CaptchaKind = Annotated[
    str | None,
    typer.Option(
        "--captcha-type",
        help=(
            "Kind of the captcha: recaptcha, friendly-captcha, or kerberus, which this program "
            "solves itself, as it does in the cardinal flavour by default."
        ),
    ),
]
Days = Annotated[
    int, typer.Option("--days", min=1, max=3650, help="Days for which the login is kept.")
]
FlavourName = Annotated[
    str | None,
    typer.Option(
        "--flavour",
        help="iCure to speak with: medtech (of 2023) or cardinal (today's); also ICURE_FLAVOUR.",
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        envvar=environment.KEYS,
        help=(
            "Folder of the key files, or the one that was given to with_storage_directory(). By "
            "default that of the profile, else one among the application data of this user: 'icure "
            "keys list' says which."
        ),
    ),
]
NewKey = Annotated[
    bool,
    typer.Option(
        "--new-key",
        help=(
            "Publish a new key pair where none of yours is on this device. Records encrypted for "
            "the others stay closed until somebody gives access back."
        ),
    ),
]
TokenPlace = Annotated[
    Place | None,
    typer.Option(
        "--store", help="Where the token is kept. By default the keyring, else a file of mode 0600."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether it is meant.")]
