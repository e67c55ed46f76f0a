"""``icure config``: profiles, which are named sets of settings."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from icure_async.cli.choices import AsJson, complete_profile
from icure_async.cli.logins import login_path
from icure_async.cli.options import Yes  # noqa: TC001 - typer reads it
from icure_async.cli.output import note, print_json, print_members, print_rows
from icure_async.cli.profiles import (
    DEFAULT_PROFILE,
    SETTINGS,
    change_profiles,
    check_name,
    profiles_path,
    read_profiles,
)
from icure_async.cli.questions import confirm
from icure_async.environment import value_of
from icure_async.errors import ConfigurationError

if TYPE_CHECKING:
    from icure_async.cli.profiles import Profiles

__all__ = ["config"]

config: typer.Typer = typer.Typer(
    no_args_is_help=True,
    help=(
        "Profiles: named sets of a URL, a gateway, ids, a user name and a folder. The environment "
        "has precedence over them. They hold no password: see 'icure login'."
    ),
)

_Name = Annotated[
    str, typer.Argument(metavar="PROFILE", autocompletion=complete_profile, help="Its name.")
]


@config.command("list")
def list_profiles(as_json: AsJson = False) -> None:
    """List the profiles."""
    profiles = asyncio.run(read_profiles())
    rows = [
        {
            "profile": name,
            "in_use": name == profiles.current,
            "url": profiles.settings_of(name).get("url"),
            "user_name": profiles.settings_of(name).get("user_name"),
            "logged_in": login_path(name).exists(),
        }
        for name in sorted({*profiles.names, profiles.current})
    ]
    if as_json:
        print_json(rows)
    else:
        titles = [title.replace("_", " ") for title in rows[0]]
        print_rows(titles, [list(row.values()) for row in rows])


@config.command()
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="PROFILE",
            autocompletion=complete_profile,
            help="Its name; the one in use by default.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the settings of a profile, and which of them the environment overrides."""
    profiles = asyncio.run(read_profiles())
    name = name or profiles.current
    settings = profiles.settings_of(name)
    overrides = [item.variable for item in SETTINGS.values() if value_of(item.variable)]
    if as_json:
        print_json({"profile": name, "settings": settings, "overridden_by": overrides})
        return
    print_members({"profile": name, **{key: settings.get(key) for key in SETTINGS}})
    note(f"The file is {profiles_path()}.")
    if overrides:
        note(f"The environment has precedence: {', '.join(overrides)}.", style="yellow")


@config.command("set")
def set_profile(
    name: _Name,
    url: Annotated[str | None, typer.Option(help="URL of the backend.")] = None,
    flavour: Annotated[
        str | None, typer.Option(help="iCure to speak with: medtech or cardinal.")
    ] = None,
    project_id: Annotated[
        str | None, typer.Option(help="Project that users log in to, in the cardinal flavour.")
    ] = None,
    group_id: Annotated[
        str | None, typer.Option(help="Group to work in, in the cardinal flavour.")
    ] = None,
    gateway_url: Annotated[str | None, typer.Option(help="URL of the message gateway.")] = None,
    spec_id: Annotated[
        str | None, typer.Option(help="Id of the application at the gateway.")
    ] = None,
    hcp_email_process_id: Annotated[
        str | None, typer.Option(help="Process for codes by email to professionals.")
    ] = None,
    hcp_sms_process_id: Annotated[
        str | None, typer.Option(help="Process for codes by SMS to professionals.")
    ] = None,
    patient_email_process_id: Annotated[
        str | None, typer.Option(help="Process for codes by email to patients.")
    ] = None,
    patient_sms_process_id: Annotated[
        str | None, typer.Option(help="Process for codes by SMS to patients.")
    ] = None,
    user_name: Annotated[
        str | None, typer.Option(help="Login, email address or phone number of the user.")
    ] = None,
    storage: Annotated[str | None, typer.Option(help="Folder of the private keys.")] = None,
    from_env: Annotated[
        bool, typer.Option("--from-env", help="Take all settings that the environment has.")
    ] = False,
) -> None:
    """Make a profile, or change settings of one; an empty text unsets a setting.

    In a shell that has sourced the output of 'icure sandbox', --from-env makes a profile of it.
    """
    given = {
        "url": url,
        "flavour": flavour,
        "project_id": project_id,
        "group_id": group_id,
        "gateway_url": gateway_url,
        "spec_id": spec_id,
        "hcp_email_process_id": hcp_email_process_id,
        "hcp_sms_process_id": hcp_sms_process_id,
        "patient_email_process_id": patient_email_process_id,
        "patient_sms_process_id": patient_sms_process_id,
        "user_name": user_name,
        "storage": storage,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if from_env:
        changes = _environment() | changes

    def change(profiles: Profiles) -> None:
        is_first = not profiles.names
        profiles.change(name, changes)
        if is_first and profiles.current == DEFAULT_PROFILE:
            profiles.use(name)

    profiles = asyncio.run(change_profiles(change))
    in_use = " It is in use." if profiles.current == name else ""
    note(f"The profile {name!r} is in {profiles_path()}.{in_use}")


@config.command()
def use(name: _Name) -> None:
    """Have a profile in use where none is named with --profile or ICURE_PROFILE."""
    asyncio.run(change_profiles(lambda profiles: profiles.use(name)))
    note(f"The profile {name!r} is in use.")


@config.command()
def delete(name: _Name, yes: Yes = False) -> None:
    """Remove a profile. Key pairs stay where they are."""
    asyncio.run(read_profiles()).settings_of(check_name(name))
    if login_path(name).exists():
        raise ConfigurationError(
            f"The profile {name!r} is logged in: run 'icure logout --profile {name}' first."
        )
    if not yes:
        confirm(f"Remove the profile {name!r}?", option="--yes")
    asyncio.run(change_profiles(lambda profiles: profiles.delete(name)))
    note(f"The profile {name!r} is removed.")


def _environment() -> dict[str, str]:
    return {
        setting.name: value_of(setting.variable)
        for setting in SETTINGS.values()
        if value_of(setting.variable)
    }
