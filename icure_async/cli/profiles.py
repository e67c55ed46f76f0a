"""Profiles: named sets of addresses, ids and a folder, in a file of the user's configuration.

They hold no secret. The file is written with mode 0600, and not read where others may write to it:
somebody who changes the URL of a backend is sent the next password.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import platformdirs

from icure_async import environment
from icure_async.builders import AnonymousMedTechApiBuilder, MedTechApiBuilder
from icure_async.errors import ConfigurationError, ICureError
from icure_async.json_shapes import is_object, parse_json_object
from icure_async.models.flavour import FLAVOURS
from icure_async.storage.files import FileStorage

__all__ = [
    "DEFAULT_PROFILE",
    "SETTINGS",
    "Profiles",
    "Setting",
    "change_profiles",
    "check_name",
    "profiles_path",
    "read_profiles",
]

DEFAULT_PROFILE: Final = "default"

_ITEM: Final = "config.json"
_VERSION: Final = 1
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WRITABLE_BY_OTHERS: Final = 0o022


@attrs.frozen
class Setting:
    """One setting of a profile.

    Attributes:
        name: in the file, and with dashes as an option.
        variable: the environment variable that has precedence over profiles.
        meaning: in a few words.
        check: raises a ``ConfigurationError`` for a malformed value, and returns what to keep.
    """

    name: str
    variable: str
    meaning: str
    check: Callable[[str], str]

    @property
    def option(self) -> str:
        """The option of ``icure config set``."""
        return "--" + self.name.replace("_", "-")

    def checked(self, value: str, source: str) -> str:
        """Return a value as it is to be kept.

        Raises:
            ConfigurationError: it is malformed; the message names its source.
        """
        try:
            return self.check(value)
        except ICureError as error:
            problem = str(error)
        raise ConfigurationError(f"{source} is malformed, {self.meaning}: {problem}")


def _by(method: Callable[[AnonymousMedTechApiBuilder, str], object]) -> Callable[[str], str]:
    def check(value: str) -> str:
        method(AnonymousMedTechApiBuilder(), value)
        return value

    return check


def _folder(value: str) -> str:
    MedTechApiBuilder().with_storage_directory(value)
    return str(Path(value).expanduser().absolute())


def _user_name(value: str) -> str:
    MedTechApiBuilder().with_user_name(value)
    return value


def _flavour(value: str) -> str:
    value = value.lower()
    if value not in FLAVOURS:
        raise ConfigurationError(f"it must be {' or '.join(FLAVOURS)}.")
    return value


def _process(channel: str, user_type: str, people: str) -> Setting:
    way = {"email": "email", "sms": "SMS"}[channel]
    return Setting(
        f"{user_type}_{channel}_process_id",
        environment.process_variable(channel, user_type),
        f"process of the gateway that sends {people} codes by {way}",
        _by(AnonymousMedTechApiBuilder.with_auth_process_by_sms_id),
    )


SETTINGS: Final[Mapping[str, Setting]] = {
    setting.name: setting
    for setting in (
        Setting(
            "url",
            environment.URL,
            "URL of the backend",
            _by(AnonymousMedTechApiBuilder.with_icure_base_url),
        ),
        Setting(
            "flavour",
            environment.FLAVOUR,
            "medtech for the iCure of 2023, or cardinal for today's",
            _flavour,
        ),
        Setting(
            "project_id",
            environment.PROJECT_ID,
            "project that users log in to, in the cardinal flavour",
            _by(AnonymousMedTechApiBuilder.with_project_id),
        ),
        Setting(
            "group_id",
            environment.GROUP_ID,
            "group to work in, in the cardinal flavour",
            _by(AnonymousMedTechApiBuilder.with_group_id),
        ),
        Setting(
            "gateway_url",
            environment.GATEWAY_URL,
            "URL of the message gateway",
            _by(AnonymousMedTechApiBuilder.with_msg_gw_url),
        ),
        Setting(
            "spec_id",
            environment.SPEC_ID,
            "id of the application at the gateway",
            _by(AnonymousMedTechApiBuilder.with_msg_gw_spec_id),
        ),
        _process("email", "hcp", "professionals"),
        _process("sms", "hcp", "professionals"),
        _process("email", "patient", "patients"),
        _process("sms", "patient", "patients"),
        Setting(
            "user_name",
            environment.LOGIN,
            "login, email address or phone number of the user",
            _user_name,
        ),
        Setting("storage", environment.KEYS, "folder of the private keys", _folder),
    )
}
"""The settings by name, with the environment variable that overrides each: the one table."""


@attrs.define
class Profiles:
    """The content of the file. Members that this version does not know stay as they are.

    Attributes:
        content: the JSON of the file.
    """

    content: dict[str, Any] = attrs.field(factory=lambda: {"version": _VERSION, "profiles": {}})

    @property
    def current(self) -> str:
        """The name of the profile that is in use where none is named."""
        return str(self.content.get("current") or DEFAULT_PROFILE)

    @property
    def names(self) -> list[str]:
        """The names of all profiles, sorted."""
        return sorted(self.content["profiles"])

    def settings_of(self, name: str) -> dict[str, str]:
        """Return the settings of a profile, by name.

        Raises:
            ConfigurationError: there is no such profile.
        """
        profile = self.content["profiles"].get(name)
        if profile is None and name == DEFAULT_PROFILE:
            return {}
        if profile is None:
            known = ", ".join(self.names) or "none yet"
            raise ConfigurationError(
                f"There is no profile {name!r} (known: {known}): make it with "
                f"'icure config set {name}', or name another one."
            )
        return {key: value for key, value in profile.items() if key in SETTINGS}

    def use(self, name: str) -> None:
        """Have a profile in use where none is named."""
        self.settings_of(name)
        self.content["current"] = name

    def change(self, name: str, changes: Mapping[str, str]) -> None:
        """Set settings of a profile, which is made where it is missing; an empty text unsets."""
        profile = self.content["profiles"].setdefault(check_name(name), {})
        for key, value in changes.items():
            profile.pop(key, None)
            if value:
                profile[key] = SETTINGS[key].checked(value, SETTINGS[key].option)

    def delete(self, name: str) -> None:
        """Remove a profile."""
        self.settings_of(name)
        self.content["profiles"].pop(name, None)
        if self.content.get("current") == name:
            del self.content["current"]


def check_name(name: str) -> str:
    """Return the name of a profile.

    Raises:
        ConfigurationError: no profile can have it.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            "The name of a profile has up to 64 letters, digits, dots, dashes and underscores, "
            "and begins with a letter or a digit."
        )
    return name


def _storage() -> FileStorage:
    try:
        return FileStorage(platformdirs.user_config_path("icure-async", appauthor=False))
    except RuntimeError:
        raise ConfigurationError(
            "The home folder of this user is not known: set HOME, or XDG_CONFIG_HOME."
        ) from None


def profiles_path() -> Path:
    """Return where the file is, or would be."""
    return _storage().path_of(_ITEM)


async def read_profiles() -> Profiles:
    """Return the content of the file, or nothing where there is none.

    Raises:
        ConfigurationError: it is malformed, or others may write to it.
        StorageError: it cannot be read.
    """
    storage = _storage()
    found = await storage.get_item_and_mode(_ITEM)
    if found is None:
        return Profiles()
    text, mode = found
    path = storage.path_of(_ITEM)
    if mode & _WRITABLE_BY_OTHERS:
        raise ConfigurationError(
            f"Other users of this machine may write to {path} (mode {mode:04o}), and so send your "
            "password to another server. Look through it, then run: chmod 600 "
            + shlex.quote(str(path))
        )
    content = parse_json_object(text)
    problem = "it is no JSON object" if content is None else _problem_in(content)
    if content is None or problem:
        raise ConfigurationError(
            f"The profiles in {path} cannot be used: {problem}. Repair the file, or move it away "
            "and make the profiles again with 'icure config set'."
        )
    return Profiles(content)


async def change_profiles(change: Callable[[Profiles], None]) -> Profiles:
    """Read the file, change it and write it. Programs that do so at once take turns."""
    storage = _storage()
    async with storage.lock(_ITEM):
        profiles = await read_profiles()
        change(profiles)
        await storage.set_item(_ITEM, json.dumps(profiles.content, indent=2) + "\n")
    return profiles


def _problem_in(content: Mapping[str, Any]) -> str | None:
    version = content.get("version")
    if type(version) is not int:
        return "it has no version"
    if version > _VERSION:
        return "a newer version of this SDK wrote it; update the SDK"
    profiles = content.get("profiles")
    if not is_object(profiles):
        return "'profiles' is missing, or is no object"
    if not isinstance(content.get("current", ""), str):
        return "'current' is no text"
    for name, profile in profiles.items():
        if not is_object(profile) or not _NAME.fullmatch(name):
            return "a profile in it is malformed"
        for key in profile.keys() & SETTINGS.keys():
            if not isinstance(profile[key], str):
                return f"{key!r} of the profile {name!r} is no text"
    return None
