"""The folder of the key pairs on this device, encrypted or not."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import platformdirs

from icure_async import environment
from icure_async.cli.choices import chosen
from icure_async.cli.questions import ask
from icure_async.errors import ConfigurationError, StorageError
from icure_async.storage._master_key import KEY
from icure_async.storage.encrypted import EncryptedKeyStorage, protection_of
from icure_async.storage.files import FileStorage
from icure_async.storage.key_storage import FileKeyStorage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.storage.key_storage import StoredKey

__all__ = [
    "DiskKeyStorage",
    "Protection",
    "chosen_folder",
    "data_folder",
    "key_directory",
    "key_storage",
    "state_of",
    "stored_in",
]

DiskKeyStorage: TypeAlias = FileKeyStorage | EncryptedKeyStorage


class Protection(StrEnum):
    """The encryption of a folder of key files."""

    passphrase = "passphrase"  # noqa: S105
    keyring = "keyring"


def data_folder(name: str = "icure-async") -> Path:
    """Return a folder among the application data of this user.

    Raises:
        ConfigurationError: it is not known.
    """
    try:
        return platformdirs.user_data_path(name, appauthor=False)
    except RuntimeError:
        raise _no_home() from None


def key_directory(folder: Path | None) -> Path:
    """Return the folder of the key files: the one given may be that of the builders.

    Raises:
        ConfigurationError: the home folder of this user is needed, and not known.
    """
    if folder is None:
        # Earlier versions keep keys under this name: never rename it.
        return data_folder("icure-sdk") / "keys"
    try:
        folder = folder.expanduser()
    except RuntimeError:
        raise _no_home() from None
    is_parent = any((folder / name).is_dir() for name in ("keys", "state"))
    return folder / "keys" if is_parent else folder


def chosen_folder(folder: Path | None, profile: str | None) -> Path | None:
    """Return the folder that a command was given, else that of the profile; None for the default.

    Raises:
        ConfigurationError: there is no such profile.
    """
    if folder is not None:
        return folder
    # Its advice is that of this command.
    data_folder()
    return chosen(profile).folder


def key_storage(folder: Path | None, encrypt: Protection | None = None) -> DiskKeyStorage:
    """Return the key storage in a folder, which may be that of ``with_storage_directory()``."""
    directory = key_directory(folder)
    found = asyncio.run(protection_of(FileStorage(directory)))
    if encrypt is not None and found is None:
        if asyncio.run(stored_in(FileKeyStorage(directory))):
            raise StorageError(
                f"{directory} has key pairs that are not encrypted: import into another folder, "
                "and delete this one afterwards."
            )
    elif encrypt is not None and found != encrypt.value:
        raise StorageError(
            f"{directory} is encrypted already, with a {found}: leave --encrypt out."
        )
    protection = found if encrypt is None else encrypt.value
    if protection == KEY:
        raise StorageError(
            f"{directory} is encrypted with the key of a service, which this command does not "
            "have: open it with EncryptedKeyStorage.over()."
        )
    if protection is None:
        return FileKeyStorage(directory)
    if protection == Protection.keyring.value:
        return EncryptedKeyStorage(directory, use_keyring=True)
    given = ask(f"Passphrase of {directory}", environment.STORAGE_PASSPHRASE, twice=found is None)
    return EncryptedKeyStorage(directory, passphrase=given)


def state_of(key_storage: DiskKeyStorage) -> FileStorage:
    """Return the storage for state next to that of key pairs."""
    return FileStorage(key_storage.directory.with_name("state"))


async def stored_in(key_storage: DiskKeyStorage) -> Sequence[StoredKey]:
    """Return all that is in a key storage, what cannot be read included."""
    return await key_storage.list_stored_keys()


def _no_home() -> ConfigurationError:
    return ConfigurationError(
        "The home folder of this user is not known: set HOME, or name the folder of the keys in "
        "full, with --keys or ICURE_KEYS."
    )
