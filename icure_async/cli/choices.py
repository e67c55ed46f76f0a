"""The settings that a command runs with: options first, then the environment, then a profile."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Final, TypeVar

import attrs
import typer

from icure_async.builders import AnonymousMedTechApiBuilder, MedTechApiBuilder
from icure_async.cli.profiles import SETTINGS, check_name, read_profiles
from icure_async.environment import value_of
from icure_async.errors import ConfigurationError
from icure_async.models.flavour import FLAVOURS, Flavour

__all__ = ["AsJson", "Choices", "ProfileName", "chosen", "chosen_before", "complete_profile"]

Builder = TypeVar("Builder", AnonymousMedTechApiBuilder, MedTechApiBuilder)

chosen_before: Final[ContextVar[str | None]] = ContextVar("chosen_before", default=None)
"""The profile that was named before the command: ``icure --profile work whoami``."""


def complete_profile(incomplete: str) -> list[str]:
    """Return the names of profiles that begin like this, for the completion of shells."""
    try:
        names = asyncio.run(read_profiles()).names
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        autocompletion=complete_profile,
        help="Profile to use, see 'icure config'; also ICURE_PROFILE.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@attrs.frozen
class Choices:
    """Settings of one command.

    Attributes:
        profile: name of the profile.
        settings: values by name, see :data:`~icure_async.cli.profiles.SETTINGS`.
    """

    profile: str
    settings: dict[str, str]

    def get(self, name: str) -> str | None:
        """Return a setting, or None."""
        return self.settings.get(name)

    def need(self, name: str) -> str:
        """Return a setting.

        Raises:
            ConfigurationError: it is missing.
        """
        value = self.settings.get(name)
        if value:
            return value
        setting = SETTINGS[name]
        raise ConfigurationError(
            f"The {setting.meaning} is missing: set {setting.variable}, or run 'icure config set "
            f"{self.profile} {setting.option} …'."
        )

    @property
    def flavour(self) -> Flavour | None:
        """The flavour, or None where nothing says it."""
        name = self.settings.get("flavour")
        return next((flavour for flavour in FLAVOURS if flavour == name), None)

    @property
    def folder(self) -> Path | None:
        """The folder of the private keys, where it is not the default one."""
        storage = self.settings.get("storage")
        return Path(storage) if storage else None

    def anonymous_builder(self, user_type: str | None) -> AnonymousMedTechApiBuilder:
        """Return a builder for registering and logging in by a code.

        Args:
            user_type: "hcp" or "patient", whose processes are meant; None takes those there are.

        Raises:
            ConfigurationError: a setting is missing or malformed.
        """
        self.need("url")
        self.need("spec_id")
        builder = self._tell(AnonymousMedTechApiBuilder()).with_msg_gw_spec_id(self.need("spec_id"))
        by_email, by_sms = self._processes(user_type)
        if by_email:
            builder.with_auth_process_by_email_id(by_email)
        if by_sms:
            builder.with_auth_process_by_sms_id(by_sms)
        return builder

    def builder(self, url: str, flavour: Flavour | None = None) -> MedTechApiBuilder:
        """Return a builder for a user of a backend.

        Args:
            url: of the backend.
            flavour: of the user's login; None takes the chosen one.
        """
        builder = self._tell(MedTechApiBuilder()).with_icure_base_url(url)
        if flavour:
            builder.with_flavour(flavour)
        spec_id = self.get("spec_id")
        if spec_id:
            builder.with_msg_gw_spec_id(spec_id)
        return builder

    def user_types(self) -> list[str]:
        """Return the kinds of users for which there are processes."""
        return [
            user_type
            for user_type in ("hcp", "patient")
            if any(self.get(f"{user_type}_{channel}_process_id") for channel in ("email", "sms"))
        ]

    def _processes(self, user_type: str | None) -> tuple[str | None, str | None]:
        # Everybody logs in by any process: the kind matters for those who are new.
        kinds = self.user_types() if user_type is None else [user_type]
        by_email, by_sms = (
            next(filter(None, (self.get(f"{kind}_{channel}_process_id") for kind in kinds)), None)
            for channel in ("email", "sms")
        )
        if not by_email and not by_sms:
            wanted = SETTINGS[f"{user_type or 'patient'}_sms_process_id"]
            raise ConfigurationError(
                f"The {wanted.meaning}, or by email, is missing: set {wanted.variable}, or run "
                f"'icure config set {self.profile} {wanted.option} …'."
            )
        return by_email, by_sms

    def _tell(self, builder: Builder) -> Builder:
        url, gateway_url = self.get("url"), self.get("gateway_url")
        if url:
            builder.with_icure_base_url(url)
        if gateway_url:
            builder.with_msg_gw_url(gateway_url)
        if self.flavour:
            builder.with_flavour(self.flavour)
        project_id, group_id = self.get("project_id"), self.get("group_id")
        if project_id:
            builder.with_project_id(project_id)
        if group_id:
            builder.with_group_id(group_id)
        return builder


def chosen(profile: str | None = None, **options: str | None) -> Choices:
    """Return the settings for a command.

    Args:
        profile: name of the profile; None takes the one in use.
        options: settings that the person gave as options of the command, by name.

    Raises:
        ConfigurationError: there is no such profile, or the file of profiles is malformed.
    """
    profiles = asyncio.run(read_profiles())
    name = check_name(profile or chosen_before.get() or profiles.current)
    settings = profiles.settings_of(name)
    for setting in SETTINGS.values():
        option, variable = options.get(setting.name), value_of(setting.variable)
        if option:
            settings[setting.name] = setting.checked(option, setting.option)
        elif variable:
            settings[setting.name] = setting.checked(variable, setting.variable)
    return Choices(name, settings)
