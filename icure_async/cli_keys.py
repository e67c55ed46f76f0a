"""The ``icure keys`` commands: list, back up, restore and examine the key pairs on this device.

Passphrases and passwords are asked for, or taken from the environment, and never arguments, which
other users of the machine can see. A folder that is encrypted is recognised.
"""

from __future__ import annotations

import asyncio
import json
import os
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import attrs
import platformdirs
import typer
from rich.console import Console
from rich.table import Table

from icure_async.builders import MedTechApiBuilder
from icure_async.errors import BackupError, StorageError
from icure_async.storage.backup import MAX_BACKUP_BYTES, export_key_pairs, import_key_pairs
from icure_async.storage.encrypted import EncryptedKeyStorage, protection_of
from icure_async.storage.files import FileStorage, write_private_file
from icure_async.storage.key_storage import FileKeyStorage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.models.key_report import KeyReport, PublishedKey
    from icure_async.storage.key_storage import StoredKey

__all__ = ["keys"]

_KeyStorage: TypeAlias = FileKeyStorage | EncryptedKeyStorage


class Protection(StrEnum):
    """What a folder of key files is encrypted with."""

    passphrase = "passphrase"  # noqa: S105
    keyring = "keyring"


_STATUS_WORDS: Final = {
    "on_device": "on this device",
    "recoverable": "recoverable: init_user_crypto() does it",
    "missing": "not on this device",
    "malformed": "no public key at all",
}

keys: typer.Typer = typer.Typer(
    no_args_is_help=True,
    help="The key pairs on this device: list them, back them up, restore them, examine them.",
)

_Folder = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        envvar="ICURE_KEYS",
        help=(
            "Folder of the key files, or the one that was given to with_storage_directory(). By "
            "default the folder 'icure-sdk' among the application data of this user."
        ),
    ),
]
_Owner = Annotated[
    str | None, typer.Option("--owner", help="Id of the data owner whose key pairs are meant.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@keys.command("list")
def list_keys(folder: _Folder = None, as_json: _Json = False) -> None:
    """List the key pairs on this device: whose they are, their fingerprints, and their files.

    The exit code is 1 if one of them cannot be used.
    """
    key_storage = _key_storage(folder)
    stored = asyncio.run(_stored_in(key_storage))
    if as_json:
        _print_json([_row(key_storage, key) for key in stored])
    elif stored:
        _print_stored(Console(), key_storage, stored)
    else:
        Console().print(f"There are no key pairs in {key_storage.directory}.", markup=False)
    if any(key.problem for key in stored):
        raise typer.Exit(1)


@keys.command("export")
def export_keys(
    file: Annotated[Path, typer.Argument(help="File to write, with mode 0600.")],
    folder: _Folder = None,
    owner: _Owner = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
) -> None:
    """Write all key pairs of a data owner to one file, encrypted with a passphrase.

    The passphrase is asked for, or taken from ICURE_PASSPHRASE. The exit code is 1 if a key pair
    cannot be read, and so is not in the file.
    """
    key_storage = _key_storage(folder)
    _check_target(file, overwrite=overwrite)
    stored = asyncio.run(_stored_in(key_storage))
    owner_id = owner or _only_owner(key_storage, stored)
    left_out = [key for key in stored if key.problem and key.data_owner_id == owner_id]
    passphrase = _passphrase(new=True)
    data = asyncio.run(export_key_pairs(key_storage, owner_id, passphrase))
    try:
        write_private_file(file, data, overwrite=overwrite)
    except FileExistsError:
        _check_target(file, overwrite=False)
    except OSError as error:
        raise OSError(f"Could not write {file}: {error.strerror or error}.") from None
    Console().print(
        f"The key pairs of data owner {owner_id} are in {file}. Keep the file and the passphrase "
        "in different places, both away from this device.",
        markup=False,
        highlight=False,
    )
    if left_out:
        console = Console(stderr=True)
        console.print("NOT in it are those that cannot be read:", markup=False)
        for key in left_out:
            console.print(f"  {key.problem}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


@keys.command("import")
def import_keys(
    file: Annotated[Path, typer.Argument(help="File that 'icure keys export' wrote.")],
    folder: _Folder = None,
    owner: _Owner = None,
    encrypt: Annotated[
        Protection | None,
        typer.Option(help="Encrypt the folder, which has no keys yet, with one of these."),
    ] = None,
) -> None:
    """Store the key pairs of a backup on this device. What is there already stays as it is.

    The passphrase is asked for, or taken from ICURE_PASSPHRASE; that of an encrypted folder from
    ICURE_STORAGE_PASSPHRASE.
    """
    key_storage = _key_storage(folder, encrypt)
    with file.open("rb") as source:
        data = source.read(MAX_BACKUP_BYTES + 1)
    restore = partial(import_key_pairs, key_storage, data, _passphrase(new=False))
    backup = asyncio.run(restore(data_owner_id=owner))
    console = Console()
    console.print(
        f"These key pairs of data owner {backup.data_owner_id} are in {key_storage.directory} now:",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for key_pair in backup.key_pairs:
        console.print(f"  {key_pair.fingerprint}", highlight=False)


@keys.command()
def doctor(
    url: Annotated[str, typer.Option(envvar="ICURE_URL", help="URL of the backend.")],
    login: Annotated[
        str,
        typer.Option(
            envvar="ICURE_LOGIN", prompt="Login", help="Login, email address or phone number."
        ),
    ],
    folder: _Folder = None,
    as_json: _Json = False,
) -> None:
    """Say for a user which published keys are on this device, what leads to them, what is wrong.

    The password or token is asked for, or taken from ICURE_PASSWORD. Nothing is written, here or on
    the backend. The exit code is 1 if something is wrong.
    """
    password = os.environ.get("ICURE_PASSWORD", "").strip("\r\n") or typer.prompt(
        "Password or token", hide_input=True
    )
    key_storage = _key_storage(folder)
    builder = (
        MedTechApiBuilder()
        .with_icure_base_url(url.strip())
        .with_user_name(login.strip())
        .with_password(password)
        .with_storage(FileStorage(key_storage.directory.with_name("state")))
        .with_key_storage(key_storage)
    )
    report = asyncio.run(_examine(builder))
    if as_json:
        _print_json({**attrs.asdict(report), "problems": report.problems})
    else:
        _print_report(Console(), report)
    if report.problems:
        raise typer.Exit(1)


def _key_storage(folder: Path | None, encrypt: Protection | None = None) -> _KeyStorage:
    """Return the key storage in a folder, which may be that of ``with_storage_directory()``."""
    directory = _key_directory(folder)
    found = asyncio.run(protection_of(FileStorage(directory)))
    if encrypt is not None and found is None:
        if asyncio.run(_stored_in(FileKeyStorage(directory))):
            raise StorageError(
                f"{directory} has key pairs that are not encrypted: import into another folder, "
                "and delete this one afterwards."
            )
    elif encrypt is not None and found != encrypt.value:
        raise StorageError(
            f"{directory} is encrypted already, with a {found}: leave --encrypt out."
        )
    protection = found if encrypt is None else encrypt.value
    if protection is None:
        return FileKeyStorage(directory)
    if protection == Protection.keyring.value:
        return EncryptedKeyStorage(directory, use_keyring=True)
    given = os.environ.get("ICURE_STORAGE_PASSPHRASE") or typer.prompt(
        f"Passphrase of {directory}", hide_input=True, confirmation_prompt=found is None
    )
    return EncryptedKeyStorage(directory, passphrase=given)


def _key_directory(folder: Path | None) -> Path:
    if folder is None:
        return platformdirs.user_data_path("icure-sdk", appauthor=False) / "keys"
    folder = folder.expanduser()
    is_parent = any((folder / name).is_dir() for name in ("keys", "state"))
    return folder / "keys" if is_parent else folder


async def _stored_in(key_storage: _KeyStorage) -> Sequence[StoredKey]:
    return await key_storage.list_stored_keys()


async def _examine(builder: MedTechApiBuilder) -> KeyReport:
    async with builder.build() as api:
        return await api.data_owner_api.examine_keys()


def _only_owner(key_storage: _KeyStorage, stored: Sequence[StoredKey]) -> str:
    owners = sorted({key.data_owner_id for key in stored})
    if not owners:
        raise BackupError(
            f"There are no key pairs in {key_storage.directory}: name the right folder with --keys."
        )
    if len(owners) > 1:
        raise BackupError(
            "There are key pairs of several data owners. Name one of them with --owner: "
            + ", ".join(owners)
        )
    return owners[0]


def _check_target(file: Path, *, overwrite: bool) -> None:
    if not file.parent.is_dir():
        raise FileNotFoundError(f"{file.parent} is not a folder: make it, or choose another name.")
    if not overwrite and os.path.lexists(file):
        raise FileExistsError(f"{file} exists: choose another name, or add --overwrite.")


def _passphrase(*, new: bool) -> str:
    given = os.environ.get("ICURE_PASSPHRASE")
    return given or str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=new))


def _row(key_storage: _KeyStorage, key: StoredKey) -> dict[str, str | None]:
    return {
        "data_owner_id": key.data_owner_id,
        "fingerprint": key.fingerprint,
        "file": str(key_storage.path_of(key.name)),
        "problem": key.problem,
    }


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


def _print_stored(console: Console, key_storage: _KeyStorage, stored: Sequence[StoredKey]) -> None:
    console.print(f"Key pairs in {key_storage.directory}", markup=False, highlight=False)
    for owner_id in sorted({key.data_owner_id for key in stored}):
        console.print(f"Data owner {owner_id}:", markup=False, highlight=False)
        table = _table("fingerprint", "file")
        for key in stored:
            if key.data_owner_id == owner_id:
                table.add_row(key.fingerprint or "?", key_storage.path_of(key.name).name)
        console.print(table)
    for key in stored:
        if key.problem:
            console.print(f"• {key.problem}", style="red", markup=False, highlight=False)


def _print_report(console: Console, report: KeyReport) -> None:
    if report.keys:
        console.print(
            f"Published keys of data owner {report.data_owner_id} ({report.data_owner_type}):",
            markup=False,
            highlight=False,
        )
        table = _table("fingerprint", "private half", "ways to it")
        for key in report.keys:
            table.add_row(key.fingerprint, _STATUS_WORDS[key.status], _ways_to(key))
        console.print(table)
    else:
        console.print(
            f"Data owner {report.data_owner_id} ({report.data_owner_type}) has not published a key "
            "yet.",
            markup=False,
            highlight=False,
        )
    if report.notaries:
        console.print(f"Notaries: {', '.join(report.notaries)}", markup=False, highlight=False)
    for problem in report.problems:
        console.print(f"• {problem}", style="red", markup=False, highlight=False)
    if not report.problems:
        console.print("Nothing is wrong.", style="green")


def _ways_to(key: PublishedKey) -> str:
    ways: list[str] = []
    if key.led_to_by:
        ways.append("from " + ", ".join(key.led_to_by))
    if key.helpers:
        ways.append("access back from " + ", ".join(key.helpers))
    return "\n".join(ways)


def _table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
