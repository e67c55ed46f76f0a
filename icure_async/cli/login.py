"""``icure register``, ``login``, ``logout`` and ``whoami``: the user whom this device works for."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from icure_async import environment
from icure_async.cli import by_code, by_invitation, by_password
from icure_async.cli.by_code import Completion
from icure_async.cli.choices import AsJson, ProfileName, chosen
from icure_async.cli.connections import builder_for, needed_credentials
from icure_async.cli.folders import key_storage
from icure_async.cli.kept import end_login
from icure_async.cli.logins import Place, forget_login, login_lock, login_path, read_login
from icure_async.cli.options import (  # noqa: TC001 - typer reads it
    Captcha,
    CaptchaKind,
    Days,
    FlavourName,
    NewKey,
    TokenPlace,
)
from icure_async.cli.output import note, print_json, print_members, when, working
from icure_async.cli.pending import read_pending
from icure_async.cli.questions import ask, read_text
from icure_async.errors import (
    AuthenticationError,
    ConfigurationError,
    ICureError,
    StorageError,
)

if TYPE_CHECKING:
    from icure_async.authentication.captcha import CaptchaType
    from icure_async.cli.choices import Choices
    from icure_async.cli.kept import LoggedIn
    from icure_async.cli.logins import KeptLogin
    from icure_async.medtech import MedTechApi

__all__ = ["login", "logout", "register", "whoami"]

_WORKED_NO_MORE: Final = "Its token had ended before."
_NOBODY: Final = "Nobody is logged in."


class Person(StrEnum):
    """The people who register."""

    patient = "patient"
    hcp = "hcp"


def register(
    email: Annotated[str | None, typer.Option(help="Email address, for a code by email.")] = None,
    phone: Annotated[
        str | None, typer.Option(help="Phone number in international form, for a code by SMS.")
    ] = None,
    first_name: Annotated[str | None, typer.Option(help="First name.")] = None,
    last_name: Annotated[str | None, typer.Option(help="Last name.")] = None,
    professional: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help=(
                "Id of the healthcare professional who invites a patient, and with whom the "
                "patient's records are shared."
            ),
        ),
    ] = None,
    person: Annotated[
        Person | None,
        typer.Option("--as", help="Register as this; needed where there are processes for both."),
    ] = None,
    captcha: Captcha = None,
    captcha_type: CaptchaKind = None,
    days: Days = 30,
    store: TokenPlace = None,
    flavour: FlavourName = None,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Register with a code by email or SMS, and stay logged in.

    The code and the captcha are asked for, or taken from ICURE_CODE and ICURE_CAPTCHA. Without a
    terminal the command ends when the code is sent: 'icure login --resume' goes on. The private key
    is made on this device: make a backup with 'icure keys export'.
    """
    choices = chosen(profile, flavour=flavour)
    _need_contact(email or phone)
    pending = by_code.start(
        choices,
        person.value if person is not None else _only_user_type(choices),
        captcha,
        cast("CaptchaType | None", captcha_type),
        email=email,
        phone_number=phone,
        first_name=first_name,
        last_name=last_name,
        healthcare_professional_id=professional,
    )
    done = by_code.finish(pending, Completion(place=store, days=days, new_key=False))
    _show(choices, done, as_json=as_json)


def login(
    user_name: Annotated[
        str | None,
        typer.Argument(
            envvar=environment.LOGIN, help="Email address, phone number or login of the user."
        ),
    ] = None,
    password: Annotated[
        bool,
        typer.Option(
            "--password",
            help="Log in with a password or token, asked for or taken from ICURE_PASSWORD.",
        ),
    ] = False,
    password_file: Annotated[
        Path | None,
        typer.Option(help="File with the password or token; - for standard input."),
    ] = None,
    invited: Annotated[
        bool,
        typer.Option(
            "--invited",
            help=(
                "Log in for the first time, with the token of an invitation, and ask for access to "
                "your data."
            ),
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the code that was sent before.")
    ] = False,
    captcha: Captcha = None,
    captcha_type: CaptchaKind = None,
    new_key: NewKey = False,
    days: Days = 30,
    store: TokenPlace = None,
    flavour: FlavourName = None,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Log in, with a code by email or SMS or with a password, and stay logged in.

    A token is kept, in the keyring or in a file of mode 0600, and never a password. It replaces
    the one of the profile's former login, which is revoked.
    """
    choices = chosen(profile, flavour=flavour)
    completion = Completion(place=store, days=days, new_key=new_key)
    if resume:
        done = _resumed(choices, completion)
        _show(choices, done, as_json=as_json)
        return
    name = user_name or choices.get("user_name")
    name = (
        name or ask("Email address, phone number or login", environment.LOGIN, hidden=False)
    ).strip()
    contact = _contact(name)
    if invited:
        done = by_invitation.log_in(choices, name, _password(password_file), completion)
    elif password or password_file is not None or contact is None:
        secret = _password(password_file)
        done = by_password.log_in(choices, name, secret, place=store, days=days)
    else:
        pending = by_code.start(
            choices, None, captcha, cast("CaptchaType | None", captcha_type), **contact
        )
        done = by_code.finish(pending, completion)
    _show(choices, done, as_json=as_json)


def logout(
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help="Forget the login on this device even where its token cannot be revoked.",
        ),
    ] = False,
    profile: ProfileName = None,
) -> None:
    """Revoke the token of this login at the backend, and forget it on this device.

    Private keys stay where they are. Where the backend cannot be reached the login is kept, so that
    the command can be repeated.
    """
    choices = chosen(profile)

    async def run() -> str | None:
        # A login at the same moment is not forgotten.
        async with login_lock(choices.profile):
            return await _logged_out(choices, forget=forget)

    reason = asyncio.run(run())
    if reason is None:
        note(f"Logged out of the profile {choices.profile!r}: the token works no more.")
    else:
        note(
            f"Logged out of the profile {choices.profile!r} on this device. {reason}",
            style="yellow",
        )


def whoami(profile: ProfileName = None, as_json: AsJson = False) -> None:
    """Show the user who is logged in, the end of the token, and the key pairs on this device."""
    choices = chosen(profile)
    credentials = needed_credentials(choices)
    keys = key_storage(choices.folder)
    builder = builder_for(choices, credentials, keys)

    async def run() -> dict[str, Any]:
        async with builder.build() as api:
            return await _identity(api)

    with working("Asking the backend"):
        identity = asyncio.run(run())
    stored = asyncio.run(keys.list_stored_keys())
    own = [key for key in stored if key.data_owner_id == identity["data_owner_id"]]
    identity |= {
        "profile": choices.profile,
        "url": credentials.url,
        "key_pairs": [key.fingerprint for key in own if key.problem is None],
    }
    if as_json:
        print_json(identity)
        return
    identity["token_expires_at"] = when(identity["token_expires_at"])
    identity["key_pairs"] = ", ".join(identity["key_pairs"])
    print_members({name.replace("_", " "): value for name, value in identity.items()})


async def _identity(api: MedTechApi) -> dict[str, Any]:
    user = await api.user_api.get_logged_user()
    kinds = {
        "hcp": user.healthcare_party_id,
        "patient": user.patient_id,
        "device": user.device_id,
    }
    kind, owner_id = next(((kind, i) for kind, i in kinds.items() if i), (None, None))
    return {
        "user_id": user.id,
        "login": user.login,
        "email": user.email,
        "phone_number": user.mobile_phone,
        "data_owner_id": owner_id,
        "data_owner_type": kind,
        "token_expires_at": api.token_expires_at,
    }


def _resumed(choices: Choices, completion: Completion) -> LoggedIn:
    pending = asyncio.run(read_pending(choices))
    if pending is None:
        raise ConfigurationError(
            f"No code is waited for in the profile {choices.profile!r}: start with 'icure login' "
            "or 'icure register'."
        )
    return by_code.finish(pending, completion)


async def _logged_out(choices: Choices, *, forget: bool) -> str | None:
    """Log out, and return why the token was not revoked, or None."""
    try:
        login = await read_login(choices.profile)
        reason = _NOBODY if login is None else await _ended(choices, login)
    except ICureError as error:
        if not forget:
            raise
        reason = str(error)
    if reason is _NOBODY:
        raise ConfigurationError(f"Nobody is logged in with the profile {choices.profile!r}.")
    if reason is not None and reason is not _WORKED_NO_MORE and not forget:
        raise ConfigurationError(
            f"The token was not revoked, and the login is kept: {reason} Add --forget to forget it "
            "on this device all the same."
        )
    try:
        await forget_login(choices.profile)
    except (ConfigurationError, StorageError) as error:
        if not forget or login_path(choices.profile).exists():
            raise
        reason = f"Its token may still be in the keyring: {error}"
    return reason


async def _ended(choices: Choices, login: KeptLogin) -> str | None:
    """Revoke the token of a login, and return why that failed, or None."""
    builder = choices.builder(login.url).with_user_name(login.user_name)
    try:
        async with builder.with_password(login.token).with_in_memory_keys().build() as api:
            await api.identify()
    except AuthenticationError:
        return _WORKED_NO_MORE
    return await end_login(choices, login)


def _only_user_type(choices: Choices) -> str | None:
    kinds = choices.user_types()
    if len(kinds) > 1:
        raise ConfigurationError(
            "There are processes for patients and for professionals: say who registers, with "
            "--as patient or --as hcp."
        )
    return kinds[0] if kinds else None


def _need_contact(contact: str | None) -> None:
    if not contact:
        raise typer.BadParameter("give --email or --phone, to which the code is sent")


def _contact(name: str) -> dict[str, str] | None:
    """Return the argument for a code to this name, or None where none can be sent to it."""
    if "@" in name:
        return {"email": name}
    return {"phone_number": name} if name.startswith("+") else None


def _password(file: Path | None) -> str:
    if file is None:
        return ask("Password or token", environment.PASSWORD).strip("\r\n")
    text = read_text(file).strip("\r\n")
    if not text:
        raise ConfigurationError(f"There is no password in {file}.")
    return text


def _show(choices: Choices, done: LoggedIn, *, as_json: bool) -> None:
    kept = done.login
    for warning in done.warnings:
        note(f"Warning: {warning}", style="yellow")
    members: dict[str, Any] = {
        "profile": choices.profile,
        "url": kept.url,
        "login": kept.user_name,
        "user_id": kept.user_id,
        "data_owner_id": kept.data_owner_id,
        "token_expires_at": done.expires_at,
        "token_kept_in": kept.place.value,
        "key_pairs": list(done.fingerprints),
    }
    if as_json:
        print_json(members)
        return
    members["token_expires_at"] = when(done.expires_at)
    members["key_pairs"] = ", ".join(done.fingerprints)
    if kept.place is Place.file:
        members["token_kept_in"] = str(login_path(choices.profile))
    print_members({name.replace("_", " "): value for name, value in members.items()})
