"""The logins that are kept on this device: one for each profile, each with a token.

The token is in the keyring of the operating system, or in the file of the login, which has mode
0600. It is sent to no other backend than the one that it was made by.
"""

from __future__ import annotations

import contextlib
import json
import shlex
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.cli.folders import data_folder
from icure_async.errors import ConfigurationError, StorageError
from icure_async.json_shapes import parse_json_object
from icure_async.models.flavour import FLAVOURS, Flavour
from icure_async.storage._keyring import forget, keep, look_up
from icure_async.storage.files import FileStorage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

__all__ = [
    "KeptLogin",
    "Place",
    "forget_login",
    "keep_token",
    "login_lock",
    "login_path",
    "read_login",
    "write_login",
]

_VERSION: Final = 1
_SERVICE: Final = "icure-async"
_OPEN_TO_OTHERS: Final = 0o077


class Place(StrEnum):
    """The place of a token."""

    keyring = "keyring"
    file = "file"


@attrs.frozen(kw_only=True)
class KeptLogin:
    """A login that is kept.

    Attributes:
        url: of the backend, with its path.
        user_name: logs in with the token.
        user_id: id of the user.
        data_owner_id: id of the user's data owner; None for a user who is none.
        token: never in a repr.
        place: where the token is.
        flavour: in which the user works: keys and records are written in its form.
    """

    url: str
    user_name: str
    user_id: str
    data_owner_id: str | None
    token: str = attrs.field(repr=False)
    place: Place = Place.file
    # Earlier versions knew this one alone, and did not write it down.
    flavour: Flavour = "medtech"


def login_path(profile: str) -> Path:
    """Return where the file of a profile's login is, or would be."""
    return _storage().path_of(_item(profile))


def login_lock(profile: str) -> AbstractAsyncContextManager[object]:
    """Return the lock under which the login of a profile is exchanged, by one program at a time."""
    return _storage().lock(_item(profile))


async def keep_token(profile: str, login: KeptLogin, wanted: Place | None) -> KeptLogin:
    """Put the token of a profile's login into the keyring, unless it is to be in the file.

    Args:
        profile: its name.
        login: to be written with :func:`write_login` then.
        wanted: where its token goes; None takes the keyring where there is one, else the file.

    Returns:
        The login, with the place of its token.

    Raises:
        ConfigurationError: the keyring is wanted, and its extra is not installed.
        StorageError: the keyring is wanted, and cannot be used.
    """
    place = Place.file
    if wanted is not Place.file:
        try:
            await keep(_SERVICE, _account(profile, attrs.asdict(login)), login.token.encode())
            place = Place.keyring
        except (ConfigurationError, StorageError):
            if wanted is Place.keyring:
                raise
    return attrs.evolve(login, place=place)


async def write_login(profile: str, login: KeptLogin) -> None:
    """Write the file of a profile's login; the former one is replaced.

    Raises:
        StorageError: it cannot be written.
    """
    members = attrs.asdict(login) | {"version": _VERSION, "place": login.place.value}
    if login.place is Place.keyring:
        del members["token"]
    former = parse_json_object(await _storage().get_item(_item(profile))) or {}
    await _storage().set_item(_item(profile), json.dumps(members, indent=2) + "\n")
    is_same = login.place is Place.keyring and _account(profile, former) == _account(
        profile, members
    )
    if _place(former) is Place.keyring and not is_same:
        # Its token is about to be revoked: to leave it there does no harm.
        with contextlib.suppress(ConfigurationError, StorageError):
            await forget(_SERVICE, _account(profile, former))


async def read_login(profile: str) -> KeptLogin | None:
    """Return the login of a profile with its token; None where there is none.

    Raises:
        StorageError: it cannot be read, is open to others, or its token is gone.
    """
    members = await _members(profile)
    if members is None:
        return None
    token = members.get("token")
    if _place(members) is Place.keyring:
        found = await look_up(_SERVICE, _account(profile, members))
        token = None if found is None else found.decode("utf-8", "replace")
    texts = {name: members.get(name) for name in ("url", "user_name", "user_id")} | {"token": token}
    owner_id, flavour = members.get("data_owner_id"), members.get("flavour", "medtech")
    is_whole = all(isinstance(text, str) and text for text in texts.values())
    is_known = flavour in FLAVOURS and (owner_id is None or isinstance(owner_id, str))
    if not is_whole or not is_known:
        raise StorageError(
            f"The login in {login_path(profile)} is damaged, or its token has gone from the "
            "keyring: log in again with 'icure login'."
        )
    named = {name: str(text) for name, text in texts.items()}
    return KeptLogin(**named, data_owner_id=owner_id, place=_place(members), flavour=flavour)


async def forget_login(profile: str) -> None:
    """Remove the login of a profile from this device; removing an absent one is no error."""
    storage = _storage()
    members = parse_json_object(await storage.get_item(_item(profile))) or {}
    try:
        if _place(members) is Place.keyring:
            await forget(_SERVICE, _account(profile, members))
    finally:
        await storage.remove_item(_item(profile))


async def _members(profile: str) -> Mapping[str, Any] | None:
    storage = _storage()
    found = await storage.get_item_and_mode(_item(profile))
    if found is None:
        return None
    text, mode = found
    path = storage.path_of(_item(profile))
    if mode & _OPEN_TO_OTHERS:
        raise StorageError(
            f"The login in {path} is open to other users of this machine (mode {mode:04o}), and "
            "its token may have leaked: close the file with 'chmod 600 "
            f"{shlex.quote(str(path))}', then run 'icure logout', and log in again."
        )
    members = parse_json_object(text)
    if members is None or members.get("version") != _VERSION:
        raise StorageError(
            f"The login in {path} is damaged, or was written by a newer version: log in again with "
            "'icure login', or update the SDK."
        )
    return members


def _place(members: Mapping[str, Any]) -> Place:
    return Place.keyring if members.get("place") == Place.keyring.value else Place.file


def _storage() -> FileStorage:
    return FileStorage(data_folder() / "logins")


def _item(profile: str) -> str:
    return f"{profile}.json"


def _account(profile: str, members: Mapping[str, Any]) -> str:
    """Return the name of a token in the keyring.

    It has the URL: where the program dies between the keyring and the file, no token is found for
    the address in a file that it does not belong to.
    """
    return f"login {profile}: {members.get('user_name')} at {members.get('url')}"
