"""``icure keys delete``, ``split``, ``share`` and ``recover``: keys that are, or may get, lost."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from icure_async import environment
from icure_async.cli.choices import AsJson, ProfileName  # noqa: TC001 - typer reads it
from icure_async.cli.connections import opening
from icure_async.cli.folders import chosen_folder, key_storage, stored_in
from icure_async.cli.options import Folder, Yes  # noqa: TC001 - typer reads it
from icure_async.cli.output import note, print_json, say, working
from icure_async.cli.questions import ask, confirm, read_text
from icure_async.errors import ConfigurationError, StorageError, ValidationError
from icure_async.models.key_share import KeyShare
from icure_async.storage.backup import export_key_pairs, read_backup
from icure_async.storage.files import write_private_file

if TYPE_CHECKING:
    from icure_async.cli.folders import DiskKeyStorage
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.key_share import KeySplit
    from icure_async.storage.key_storage import StoredKey

__all__ = ["delete", "recover", "share", "split"]

_FINGERPRINT_LENGTH = 32


def delete(
    fingerprint: Annotated[
        str, typer.Argument(help="All of the fingerprint, from 'icure keys list'.")
    ],
    owner: Annotated[
        str | None, typer.Option("--owner", help="Id of the data owner whose key pair is meant.")
    ] = None,
    backup: Annotated[
        Path | None,
        typer.Option(
            help=(
                "New file for a backup of all key pairs of the data owner, encrypted with a "
                "passphrase, which is written and read again first."
            )
        ),
    ] = None,
    folder: Folder = None,
    yes: Yes = False,
    profile: ProfileName = None,
) -> None:
    """Delete a key pair from this device: what only it opens cannot be read here any more.

    Where there is no other copy, those records are lost for good. So make a backup with --backup,
    whose passphrase is asked for or taken from ICURE_PASSPHRASE.
    """
    storage = key_storage(chosen_folder(folder, profile))
    key = _the_key(storage, fingerprint, owner)
    if backup is not None and os.path.lexists(backup):
        raise ConfigurationError(f"{backup} exists: choose another name. Nothing was deleted.")
    if not yes:
        copy = f"after a backup to {backup}" if backup else "WITHOUT a backup"
        confirm(
            f"Delete key pair {key.fingerprint} of data owner {key.data_owner_id} from "
            f"{storage.directory}, {copy}?",
            option="--yes",
        )
    if backup is not None:
        _back_up(storage, key, backup)
    asyncio.run(storage.remove_key_pair(key.data_owner_id, str(key.fingerprint)))
    note(f"Key pair {key.fingerprint} of data owner {key.data_owner_id} is deleted.")


def split(
    notaries: Annotated[
        list[str],
        typer.Argument(metavar="NOTARY...", help="Ids of data owners, each of whom gets a share."),
    ],
    threshold: Annotated[
        int | None,
        typer.Option(min=1, max=255, help="How many shares make up the key; all by default."),
    ] = None,
    fingerprint: Annotated[
        str | None, typer.Option(help="Of the key pair to split; the first one by default.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace shares of another key that are there.")
    ] = False,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Split your private key among people whom you trust, for the day it is lost.

    As many of them as the threshold says have the key together, and fewer know nothing about it.
    """
    ready = opening(profile)

    async def run() -> KeySplit:
        async with ready.api() as api:
            return await api.data_owner_api.split_private_key_among(
                notaries, threshold=threshold, fingerprint=fingerprint, replace=replace
            )

    with working("Splitting the key"):
        done = asyncio.run(run())
    if as_json:
        print_json(attrs.asdict(done))
        return
    say(
        f"Key pair {done.fingerprint} is split: {done.threshold} of these {len(done.notary_ids)} "
        "notaries together can recover it."
    )
    for notary_id in done.notary_ids:
        say(f"  {notary_id}")


def share(
    owner: Annotated[str, typer.Argument(help="Id of the data owner who has lost the key.")],
    file: Annotated[Path, typer.Argument(help="File to write, with mode 0600.")],
    profile: ProfileName = None,
) -> None:
    """Write your share of somebody's private key to a file, to be handed to that person.

    Make sure that it is the person who asks, and let nobody else have the file: enough shares are
    the key.
    """
    if os.path.lexists(file):
        raise ConfigurationError(f"{file} exists: choose another name.")
    ready = opening(profile)

    async def run() -> KeyShare:
        async with ready.api() as api:
            return await api.data_owner_api.get_key_share_of(owner)

    with working("Reading the share"):
        found = asyncio.run(run())
    write_private_file(file, found.to_json().encode())
    note(f"Your share of the key of {owner} is in {file}. Delete it once it is handed over.")


def recover(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Files of notaries, from 'icure keys share'."),
    ],
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Put your lost private key together again from the shares of notaries, on this device."""
    shares = [_share_in(file) for file in files]
    ready = opening(profile)

    async def run() -> KeyPair:
        async with ready.api(with_keys=False) as api:
            return await api.data_owner_api.recover_private_key_from(shares)

    with working("Recovering the key"):
        key_pair = asyncio.run(run())
    if as_json:
        print_json({"fingerprint": key_pair.fingerprint})
    else:
        say(f"Key pair {key_pair.fingerprint} is on this device again. Delete the files of shares.")


def _the_key(storage: DiskKeyStorage, fingerprint: str, owner: str | None) -> StoredKey:
    """Return the only key pair of this fingerprint.

    Raises:
        ValidationError: there is none, or there are several.
    """
    wanted = fingerprint.strip().lower()
    if len(wanted) != _FINGERPRINT_LENGTH:
        raise ValidationError(
            f"A fingerprint has {_FINGERPRINT_LENGTH} characters: copy all of it from 'icure keys "
            "list'. Nothing was deleted."
        )
    found = {
        key.data_owner_id: key
        for key in asyncio.run(stored_in(storage))
        if key.fingerprint == wanted and owner in (None, key.data_owner_id)
    }
    if len(found) == 1:
        return found.popitem()[1]
    if found:
        raise ValidationError(
            "Several data owners have this key pair: name one of them with --owner: "
            f"{', '.join(sorted(found))}. Nothing was deleted."
        )
    raise ValidationError(
        f"There is no key pair {wanted} in {storage.directory}: look for it with 'icure keys "
        "list'. Nothing was deleted."
    )


def _back_up(storage: DiskKeyStorage, key: StoredKey, file: Path) -> None:
    """Write a backup, and see that the key pair is in it.

    Raises:
        StorageError: it is not. Nothing was deleted.
    """
    passphrase = ask("Passphrase of the backup", environment.PASSPHRASE, twice=True)
    data = asyncio.run(export_key_pairs(storage, key.data_owner_id, passphrase))
    try:
        write_private_file(file, data)
        kept = asyncio.run(read_backup(file.read_bytes(), passphrase))
    except OSError as error:
        raise OSError(
            f"Could not write {file}: {error.strerror or error}. Nothing was deleted."
        ) from None
    if key.fingerprint not in {pair.fingerprint for pair in kept.key_pairs}:
        raise StorageError(
            f"The backup in {file} does not have the key pair {key.fingerprint}, whose file cannot "
            "be read. Nothing was deleted."
        )
    note(f"All key pairs of data owner {key.data_owner_id} are in {file}.")


def _share_in(file: Path) -> KeyShare:
    try:
        return KeyShare.from_json(read_text(file))
    except ValidationError as error:
        problem = str(error)
    raise ValidationError(f"{file}: {problem}")
