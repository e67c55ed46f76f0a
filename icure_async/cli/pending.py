"""A registration or login that waits for its code, kept so that another command can finish it.

It holds neither a code nor a key. The addresses are kept with it, and the flavour: the code goes to
no other gateway than the one that sent it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import attrs

from icure_async.authentication.process import AuthenticationProcess
from icure_async.cli.folders import data_folder
from icure_async.errors import ConfigurationError
from icure_async.json_shapes import is_object, parse_json_object
from icure_async.storage.files import FileStorage

if TYPE_CHECKING:
    from icure_async.cli.choices import Choices

__all__ = ["Pending", "forget_pending", "keep_pending", "read_pending"]

_ADDRESSES: Final = ("url", "gateway_url", "spec_id", "flavour", "project_id", "group_id")


@attrs.frozen
class Pending:
    """A process that waits for its code.

    Attributes:
        process: the process.
        user_type: "hcp" or "patient" for a registration; None for a login.
        choices: the settings that it was started with.
    """

    process: AuthenticationProcess
    user_type: str | None
    choices: Choices


async def keep_pending(pending: Pending) -> None:
    """Write a process; the former one of the profile is replaced."""
    settings = pending.choices.settings
    members = {
        "process": pending.process.to_json(),
        "user_type": pending.user_type,
        "settings": {name: settings[name] for name in _ADDRESSES if name in settings},
    }
    await _storage().set_item(pending.choices.profile, json.dumps(members))


async def read_pending(choices: Choices) -> Pending | None:
    """Return the process of a profile that waits for its code, or None."""
    text = await _storage().get_item(choices.profile)
    if text is None:
        return None
    members = parse_json_object(text) or {}
    settings, user_type = members.get("settings"), members.get("user_type")
    if not is_object(settings) or user_type not in (None, "hcp", "patient"):
        raise ConfigurationError(
            f"The process that waits for a code, in {_storage().path_of(choices.profile)}, is "
            "damaged: start again with 'icure login' or 'icure register'."
        )
    process = AuthenticationProcess.from_json(str(members.get("process")))
    kept = {name: value for name, value in choices.settings.items() if name not in _ADDRESSES}
    kept |= {name: str(settings[name]) for name in _ADDRESSES if name in settings}
    return Pending(process, user_type, attrs.evolve(choices, settings=kept))


async def forget_pending(profile: str) -> None:
    """Remove the process of a profile; removing an absent one is no error."""
    await _storage().remove_item(profile)


def _storage() -> FileStorage:
    return FileStorage(data_folder() / "pending")
