"""The ``icure keys`` commands: list, back up, restore and examine the key pairs on this device.

Passphrases and passwords are asked for, or taken from the environment, and never arguments, which
other users of the machine can see. A folder that is encrypted is recognised. Long lines are printed
unbroken, so that ids can be copied and lines be searched.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
import warnings
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import attrs
import platformdirs
import typer
from rich.console import Console

from icure_async.builders import MedTechApiBuilder
from icure_async.errors import BackupError, ConfigurationError, StorageError
from icure_async.storage.backup import MAX_BACKUP_BYTES, export_key_pairs, import_key_pairs
from icure_async.storage.encrypted import EncryptedKeyStorage, protection_of
from icure_async.storage.files import FileStorage, write_private_file
from icure_async.storage.key_storage import FileKeyStorage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from icure_async.models.key_report import KeyReport, PublishedKey
    from icure_async.storage.key_storage import StoredKey

__all__ = ["keys"]

_KeyStorage: TypeAlias = FileKeyStorage | EncryptedKeyStorage


class Protection(StrEnum):
    """The encryption of a folder of key files."""

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
_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")]


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
        _print_stored(key_storage, stored)
    else:
        _say(f"There are no key pairs in {key_storage.directory}.")
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
    _say(
        f"The key pairs of data owner {owner_id} are in {file}. Keep the file and the passphrase "
        "in different places, both away from this device."
    )
    if left_out:
        _say("NOT in it are those that cannot be read:", error=True)
        for key in left_out:
            _say(f"  {key.problem}", error=True)
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
    """Store the key pairs of a backup on this device. Key pairs that are there stay as they are.

    The passphrase is asked for, or taken from ICURE_PASSPHRASE; that of an encrypted folder from
    ICURE_STORAGE_PASSPHRASE.
    """
    data = _content_of(file)
    key_storage = _key_storage(folder, encrypt)
    restore = partial(import_key_pairs, key_storage, data, _passphrase(new=False))
    backup = asyncio.run(restore(data_owner_id=owner))
    _say(
        f"These key pairs of data owner {backup.data_owner_id} are in {key_storage.directory} now:"
    )
    for key_pair in backup.key_pairs:
        _say(f"  {key_pair.fingerprint}")


@keys.command()
def doctor(
    url: Annotated[str, typer.Option(envvar="ICURE_URL", help="URL of the backend.")],
    login: Annotated[
        str | None,
        typer.Option(envvar="ICURE_LOGIN", help="Login, email address or phone number."),
    ] = None,
    folder: _Folder = None,
    as_json: _Json = False,
) -> None:
    """Say for a user which published keys are on this device, what leads to them, what is wrong.

    The login, and the password or token, are asked for, or taken from ICURE_LOGIN and
    ICURE_PASSWORD. Nothing is written, here or on the backend. The exit code is 1 if something is
    wrong.
    """
    login = login or _asked("Login", "ICURE_LOGIN", hidden=False)
    password = _asked("Password or token", "ICURE_PASSWORD").strip("\r\n")
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
        keys = [{**attrs.asdict(key), "digest": key.digest} for key in report.keys]
        _print_json({**attrs.asdict(report), "keys": keys, "problems": report.problems})
    else:
        _print_report(report)
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
    given = _asked(f"Passphrase of {directory}", "ICURE_STORAGE_PASSPHRASE", twice=found is None)
    return EncryptedKeyStorage(directory, passphrase=given)


def _key_directory(folder: Path | None) -> Path:
    try:
        if folder is None:
            # Earlier versions keep keys under this name: never rename it.
            return platformdirs.user_data_path("icure-sdk", appauthor=False) / "keys"
        folder = folder.expanduser()
    except RuntimeError:
        raise ConfigurationError(
            "The home folder of this user is not known: set HOME, or name the folder of the keys "
            "in full, with --keys or ICURE_KEYS."
        ) from None
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
    return _asked("Passphrase", "ICURE_PASSPHRASE", twice=new)


def _asked(what: str, variable: str, *, hidden: bool = True, twice: bool = False) -> str:
    """Return the value of an environment variable, else what a person enters."""
    given = os.environ.get(variable)
    if given:
        return given
    try:
        with warnings.catch_warnings():
            # Without a terminal everybody could see the answer, or nobody could give one.
            warnings.simplefilter("error", getpass.GetPassWarning)
            # On standard error: a program may read standard output through a pipe.
            return str(typer.prompt(what, hide_input=hidden, confirmation_prompt=twice, err=True))
    except getpass.GetPassWarning:
        pass
    except typer.Abort:
        if sys.stdin.isatty():
            raise
    typer.echo(err=True)
    raise ConfigurationError(f"There is no terminal to ask for it: set {variable}.")


def _row(key_storage: _KeyStorage, key: StoredKey) -> dict[str, str | None]:
    return {
        "data_owner_id": key.data_owner_id,
        "fingerprint": key.fingerprint,
        "file": str(key_storage.path_of(key.name)),
        "problem": key.problem,
    }


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


def _say(text: str, *, style: str | None = None, error: bool = False) -> None:
    """Print a line, which is never broken."""
    console = Console(stderr=error)
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _print_stored(key_storage: _KeyStorage, stored: Sequence[StoredKey]) -> None:
    _say(f"Key pairs in {key_storage.directory}")
    for owner_id in sorted({key.data_owner_id for key in stored}):
        _say(f"Data owner {owner_id}:")
        _print_rows(
            ("fingerprint", "file"),
            [
                (key.fingerprint or "?", key_storage.path_of(key.name).name)
                for key in stored
                if key.data_owner_id == owner_id
            ],
        )
    _print_problems([key.problem for key in stored if key.problem])


def _print_report(report: KeyReport) -> None:
    owner = f"data owner {report.data_owner_id} ({report.data_owner_type})"
    if report.keys:
        _say(f"Published keys of {owner}:")
        _print_rows(
            ("fingerprint", "private half", "ways to it"),
            [(key.fingerprint, _STATUS_WORDS[key.status], _ways_to(key)) for key in report.keys],
        )
    else:
        _say(f"D{owner[1:]} has not published a key yet.")
    if report.notaries:
        _say(f"Notaries: {', '.join(report.notaries)}")
    for key in report.keys:
        if key.fingerprint in report.unknown:
            _say(
                f"Not known to this device: {key.fingerprint}, SHA-256 {key.digest or '?'}. If it "
                "is not one of your other or lost devices, somebody has put it there to read your "
                "records: tell the administrator of the backend.",
                style="yellow",
            )
    _print_problems(report.problems)
    if not report.problems:
        _say(f"Nothing {'else ' if report.unknown else ''}is wrong.", style="green")


def _print_problems(problems: Iterable[str]) -> None:
    for problem in problems:
        _say(f"• {problem}", style="red")


def _print_rows(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with two blanks between its columns."""
    table = [titles, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        _say(f"  {'  '.join(cells)}".rstrip())


def _ways_to(key: PublishedKey) -> str:
    ways: list[str] = []
    if key.led_to_by:
        ways.append("from " + ", ".join(key.led_to_by))
    if key.helpers:
        ways.append("access back from " + ", ".join(key.helpers))
    return "; ".join(ways)
