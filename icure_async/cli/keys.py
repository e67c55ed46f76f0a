"""The ``icure keys`` commands: list, back up, restore and examine the key pairs on this device.

Passphrases and passwords are asked for, or taken from the environment, and never arguments, which
other users of the machine can see. A folder that is encrypted is recognised. Long lines are printed
unbroken, so that ids can be copied and lines be searched.
"""

from __future__ import annotations

import asyncio
import shlex
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import attrs
import typer

from icure_async import environment
from icure_async.cli import key_loss
from icure_async.cli.choices import AsJson, ProfileName, chosen
from icure_async.cli.connections import Credentials, builder_for, credentials_of
from icure_async.cli.files import check_target
from icure_async.cli.folders import Protection, chosen_folder, key_storage, stored_in
from icure_async.cli.options import Folder  # noqa: TC001 - typer reads it
from icure_async.cli.output import print_json, print_rows, say
from icure_async.cli.questions import ask
from icure_async.errors import BackupError, ValidationError
from icure_async.storage.backup import (
    MAX_BACKUP_BYTES,
    KeyBackup,
    export_key_pairs,
    import_key_pairs,
    restore_backup,
)
from icure_async.storage.cardinal_keys import read_cardinal_folder, write_cardinal_folder
from icure_async.storage.files import write_private_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from icure_async.builders import MedTechApiBuilder
    from icure_async.cli.choices import Choices
    from icure_async.cli.folders import DiskKeyStorage
    from icure_async.models.key_report import KeyReport, PublishedKey
    from icure_async.storage.key_storage import StoredKey

__all__ = ["keys"]

_STATUS_WORDS: Final = {
    "on_device": "on this device",
    "recoverable": "recoverable: init_user_crypto() does it",
    "missing": "not on this device",
    "malformed": "no public key at all",
}

keys: typer.Typer = typer.Typer(
    no_args_is_help=True,
    help=(
        "The key pairs on this device: list them, back them up, restore them, examine them, delete "
        "them, and split them among people whom you trust."
    ),
)


class OtherSdk(StrEnum):
    """SDKs whose key files can be written and read."""

    cardinal = "cardinal"


_Owner = Annotated[
    str | None, typer.Option("--owner", help="Id of the data owner whose key pairs are meant.")
]


@keys.command("list")
def list_keys(folder: Folder = None, profile: ProfileName = None, as_json: AsJson = False) -> None:
    """List the key pairs on this device: whose they are, their fingerprints, and their files.

    The exit code is 1 if one of them cannot be used.
    """
    storage = key_storage(chosen_folder(folder, profile))
    stored = asyncio.run(stored_in(storage))
    if as_json:
        print_json([_row(storage, key) for key in stored])
    elif stored:
        _print_stored(storage, stored)
    else:
        say(f"There are no key pairs in {storage.directory}.")
    if any(key.problem for key in stored):
        raise typer.Exit(1)


@keys.command("export")
def export_keys(
    file: Annotated[
        Path, typer.Argument(help="File to write, with mode 0600. With --for, a folder.")
    ],
    folder: Folder = None,
    profile: ProfileName = None,
    owner: _Owner = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
    other_sdk: Annotated[
        OtherSdk | None,
        typer.Option(
            "--for",
            help=(
                "Write the files of another SDK instead, which are not encrypted, into the folder "
                "that is given to its FileSystemStorage. No file is replaced."
            ),
        ),
    ] = None,
) -> None:
    """Write all key pairs of a data owner to one file, encrypted with a passphrase.

    The passphrase is asked for, or taken from ICURE_PASSPHRASE. The exit code is 1 if a key pair
    cannot be read, and so is not in the file.
    """
    storage = key_storage(chosen_folder(folder, profile))
    if other_sdk is None:
        check_target(file, overwrite=overwrite)
    elif overwrite:
        raise ValidationError("--overwrite can't be combined with --for: leave it out.")
    stored = asyncio.run(stored_in(storage))
    owner_id = owner or _only_owner(storage, stored)
    left_out = [key for key in stored if key.problem and key.data_owner_id == owner_id]
    if other_sdk is None:
        _write_backup(storage, owner_id, file, overwrite=overwrite)
    else:
        _write_for_cardinal(storage, owner_id, file)
    if left_out:
        say("NOT in it are those that cannot be read:", error=True)
        for key in left_out:
            say(f"  {key.problem}", error=True)
        raise typer.Exit(1)


def _write_backup(storage: DiskKeyStorage, owner_id: str, file: Path, *, overwrite: bool) -> None:
    passphrase = _passphrase(new=True)
    data = asyncio.run(export_key_pairs(storage, owner_id, passphrase))
    try:
        write_private_file(file, data, overwrite=overwrite)
    except FileExistsError:
        check_target(file, overwrite=False)
    except OSError as error:
        raise OSError(f"Could not write {file}: {error.strerror or error}.") from None
    say(
        f"The key pairs of data owner {owner_id} are in {file}. Keep the file and the passphrase "
        "in different places, both away from this device."
    )


def _write_for_cardinal(storage: DiskKeyStorage, owner_id: str, folder: Path) -> None:
    if folder.resolve() == storage.directory.resolve():
        raise ValidationError(
            f"{folder} is the folder of this SDK's own key files, in which Cardinal's would be "
            "broken ones: choose another folder."
        )

    async def write() -> list[Path]:
        key_pairs = await storage.list_key_pairs(owner_id)
        return await write_cardinal_folder(folder, owner_id, key_pairs)

    files = asyncio.run(write())
    say(f"The key pairs of data owner {owner_id} are in {folder}, NOT encrypted:")
    for path in files:
        say(f"  {path.name}")
    say("Give the folder to Cardinal's FileSystemStorage, and nobody else access to it.")


@keys.command("import")
def import_keys(
    file: Annotated[
        Path, typer.Argument(help="File that 'icure keys export' wrote. With --from, a folder.")
    ],
    folder: Folder = None,
    profile: ProfileName = None,
    owner: _Owner = None,
    encrypt: Annotated[
        Protection | None,
        typer.Option(help="Encrypt the folder, which has no keys yet, with one of these."),
    ] = None,
    other_sdk: Annotated[
        OtherSdk | None,
        typer.Option(
            "--from",
            help=(
                "Read the files of another SDK instead, in the folder that was given to its "
                "FileSystemStorage. They stay as they are."
            ),
        ),
    ] = None,
) -> None:
    """Store the key pairs of a backup on this device. Key pairs that are there stay as they are.

    The passphrase is asked for, or taken from ICURE_PASSPHRASE; that of an encrypted folder from
    ICURE_STORAGE_PASSPHRASE.
    """
    if other_sdk is not None:
        _import_from_cardinal(file, owner, partial(_opened, folder, profile, encrypt))
        return
    data = _content_of(file)
    storage = key_storage(chosen_folder(folder, profile), encrypt)
    restore = partial(import_key_pairs, storage, data, _passphrase(new=False))
    backup = asyncio.run(restore(data_owner_id=owner))
    say(f"These key pairs of data owner {backup.data_owner_id} are in {storage.directory} now:")
    for key_pair in backup.key_pairs:
        say(f"  {key_pair.fingerprint}")


def _opened(folder: Path | None, profile: str | None, encrypt: Protection | None) -> DiskKeyStorage:
    return key_storage(chosen_folder(folder, profile), encrypt)


def _import_from_cardinal(
    folder: Path, owner: str | None, open_storage: Callable[[], DiskKeyStorage]
) -> None:
    found = asyncio.run(read_cardinal_folder(folder))
    owner_id = owner or _only_one(sorted({*found.key_pairs, *found.unverified}), folder)
    key_pairs = found.key_pairs.get(owner_id, ())
    unverified = found.unverified.get(owner_id, ())
    if not key_pairs and not unverified:
        raise BackupError(
            f"There is no key pair of data owner {owner_id} in {folder}. Nothing was imported."
        )
    if key_pairs:
        storage = open_storage()
        asyncio.run(restore_backup(storage, KeyBackup(owner_id, tuple(key_pairs))))
        say(f"These key pairs of data owner {owner_id} are in {storage.directory} now:")
        for key_pair in key_pairs:
            say(f"  {key_pair.fingerprint}")
    for path in found.exposed:
        say(
            f"Other users of this machine can read the private key in {path}. Close it with: "
            f"chmod 600 {shlex.quote(str(path))}",
            error=True,
        )
    if unverified:
        say(
            "NOT imported are key pairs that came through the backend and were not verified:",
            error=True,
        )
        for key_pair in unverified:
            say(f"  {key_pair.fingerprint}", error=True)
        say("Where they are the user's, init_user_crypto() obtains them anew.", error=True)
        raise typer.Exit(1)


@keys.command()
def doctor(
    url: Annotated[str | None, typer.Option(help="URL of the backend.")] = None,
    login: Annotated[str | None, typer.Option(help="Login, email address or phone number.")] = None,
    folder: Folder = None,
    profile: ProfileName = None,
    as_json: AsJson = False,
) -> None:
    """Say for a user which published keys are on this device, what leads to them, what is wrong.

    It is for the user who is logged in. For another one, and where nobody is, the login, and the
    password or token, are asked for, or taken from ICURE_LOGIN and ICURE_PASSWORD. Nothing is
    written, here or on the backend. The exit code is 1 if something is wrong.
    """
    choices = chosen(profile, url=url, user_name=login)
    credentials = _credentials(choices, is_other=bool(login))
    storage = key_storage(folder or choices.folder)
    report = asyncio.run(_examine(builder_for(choices, credentials, storage)))
    if as_json:
        keys = [{**attrs.asdict(key), "digest": key.digest} for key in report.keys]
        print_json({**attrs.asdict(report), "keys": keys, "problems": report.problems})
    else:
        _print_report(report)
    if report.problems:
        raise typer.Exit(1)


keys.command("delete")(key_loss.delete)
keys.command("split")(key_loss.split)
keys.command("share")(key_loss.share)
keys.command("recover")(key_loss.recover)


def _credentials(choices: Choices, *, is_other: bool) -> Credentials:
    """Return those of the login that is kept, or ask for others."""
    if not is_other and not environment.value_of(environment.PASSWORD):
        kept = credentials_of(choices)
        if kept is not None:
            return kept
    url = choices.need("url")
    login = choices.get("user_name") or ask("Login", environment.LOGIN, hidden=False)
    password = ask("Password or token", environment.PASSWORD).strip("\r\n")
    return Credentials(url, login.strip(), password, False, choices.flavour)


async def _examine(builder: MedTechApiBuilder) -> KeyReport:
    async with builder.build() as api:
        return await api.data_owner_api.examine_keys()


def _only_owner(storage: DiskKeyStorage, stored: Sequence[StoredKey]) -> str:
    owners = sorted({key.data_owner_id for key in stored})
    if not owners:
        raise BackupError(
            f"There are no key pairs in {storage.directory}: name the right folder with --keys."
        )
    return _only_one(owners, storage.directory)


def _only_one(owners: Sequence[str], folder: Path) -> str:
    if not owners:
        raise BackupError(
            f"There are no key files of Cardinal in {folder}: name the folder that was given to "
            "its FileSystemStorage. Nothing was imported."
        )
    if len(owners) > 1:
        raise BackupError(
            "There are key pairs of several data owners. Name one of them with --owner: "
            + ", ".join(owners)
        )
    return owners[0]


def _content_of(file: Path) -> bytes:
    """Return the content of a backup's file, or the beginning of one that is too large."""
    try:
        with file.open("rb") as source:
            return source.read(MAX_BACKUP_BYTES + 1)
    except FileNotFoundError:
        reason = "there is no such file"
    except IsADirectoryError:
        reason = "it is a folder"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise BackupError(
        f"Could not read {file}: {reason}. Name the file that 'icure keys export' wrote. Nothing "
        "was imported."
    )


def _passphrase(*, new: bool) -> str:
    return ask("Passphrase", environment.PASSPHRASE, twice=new)


def _row(storage: DiskKeyStorage, key: StoredKey) -> dict[str, str | None]:
    return {
        "data_owner_id": key.data_owner_id,
        "fingerprint": key.fingerprint,
        "file": str(storage.path_of(key.name)),
        "problem": key.problem,
    }


def _print_stored(storage: DiskKeyStorage, stored: Sequence[StoredKey]) -> None:
    say(f"Key pairs in {storage.directory}")
    for owner_id in sorted({key.data_owner_id for key in stored}):
        say(f"Data owner {owner_id}:")
        print_rows(
            ("fingerprint", "file"),
            [
                (key.fingerprint or "?", storage.path_of(key.name).name)
                for key in stored
                if key.data_owner_id == owner_id
            ],
            indent="  ",
        )
    _print_problems([key.problem for key in stored if key.problem])


def _print_report(report: KeyReport) -> None:
    owner = f"data owner {report.data_owner_id} ({report.data_owner_type})"
    if report.keys:
        say(f"Published keys of {owner}:")
        print_rows(
            ("fingerprint", "private half", "ways to it"),
            [(key.fingerprint, _STATUS_WORDS[key.status], _ways_to(key)) for key in report.keys],
            indent="  ",
        )
    else:
        say(f"D{owner[1:]} has not published a key yet.")
    if report.notaries:
        say(f"Notaries: {', '.join(report.notaries)}")
    for key in report.keys:
        if key.fingerprint in report.unknown:
            say(
                f"Not known to this device: {key.fingerprint}, SHA-256 {key.digest or '?'}. If it "
                "is not one of your other or lost devices, somebody has put it there to read your "
                "records: tell the administrator of the backend.",
                style="yellow",
            )
    _print_problems(report.problems)
    if not report.problems:
        say(f"Nothing {'else ' if report.unknown else ''}is wrong.", style="green")


def _print_problems(problems: Iterable[str]) -> None:
    for problem in problems:
        say(f"• {problem}", style="red")


def _ways_to(key: PublishedKey) -> str:
    ways: list[str] = []
    if key.led_to_by:
        ways.append("from " + ", ".join(key.led_to_by))
    if key.helpers:
        ways.append("access back from " + ", ".join(key.helpers))
    return "; ".join(ways)
