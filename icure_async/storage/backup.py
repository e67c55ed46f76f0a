"""Backups: all key pairs of a data owner in one file, protected by a passphrase.

A backup is a JSON object (UTF-8)::

    {"format":"icure-key-backup","version":1,"minimumSdkVersion":"0.1.0",
     "dataOwnerId":…,
     "kdf":{"name":"scrypt","n":131072,"r":8,"p":1,"salt":…},
     "cipher":{"name":"AES-256-GCM","nonce":…},
     "ciphertext":…}

The version fixes the cost of scrypt. The bytes are in standard base64. The plaintext is
``{"keyPairs":[…]}``, each in the form of a key item on the device (cryptography.md §2), so that any
program that knows the passphrase can make key items of it. The associated data is the object
without ``ciphertext``, compact, in this order.

The data owner's id is in clear, so that people can tell whose file it is. It is the random id under
which the backend knows the data owner: it says nothing about the person to anybody who has no
access to the backend, and nothing about the keys. How many key pairs there are, and their
fingerprints, are encrypted.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson

from icure_async.errors import BackupError, ValidationError
from icure_async.json_shapes import as_list, is_object, parse_json_object
from icure_async.storage._sealing import (
    DEFAULT_COST,
    Format,
    ScryptCost,
    SealError,
    check_new_passphrase,
    check_passphrase,
)
from icure_async.threads import OTHERS

if TYPE_CHECKING:
    from icure_async.models.key_pair import KeyPair
    from icure_async.storage.protocols import KeyStorage

__all__ = [
    "MAX_BACKUP_BYTES",
    "KeyBackup",
    "check_new_passphrase",
    "export_key_pairs",
    "import_key_pairs",
    "read_backup",
    "restore_backup",
    "write_backup",
]

MAX_BACKUP_BYTES: Final = 4 * 2**20
"""Larger files are no backups."""

_OWNER: Final = "dataOwnerId"
_MAX_OWNER: Final = 256
_FORMAT: Final = Format(name="icure-key-backup", members=(_OWNER,), max_bytes=MAX_BACKUP_BYTES)


@attrs.frozen
class KeyBackup:
    """The content of a backup.

    Attributes:
        data_owner_id: whose key pairs they are.
        key_pairs: all valid. Never in a repr.
    """

    data_owner_id: str
    key_pairs: tuple[KeyPair, ...] = attrs.field(repr=False)


async def export_key_pairs(
    key_storage: KeyStorage,
    data_owner_id: str,
    passphrase: str,
    *,
    _cost: ScryptCost = DEFAULT_COST,
) -> bytes:
    """Return a backup of all key pairs of a data owner that are in a key storage.

    Args:
        key_storage: where the key pairs are.
        data_owner_id: id of the patient, healthcare party or device.
        passphrase: at least 12 characters. Nobody can open the backup without it.

    Raises:
        ValidationError: an argument is malformed.
        StorageError: the key pairs cannot be read.
        BackupError: there are none, or one of them is not valid.
    """
    check_new_passphrase(passphrase)
    key_pairs = await key_storage.list_key_pairs(data_owner_id)
    return await write_backup(KeyBackup(data_owner_id, tuple(key_pairs)), passphrase, _cost=_cost)


async def import_key_pairs(
    key_storage: KeyStorage,
    data: bytes | str,
    passphrase: str,
    *,
    data_owner_id: str | None = None,
    _cost: ScryptCost = DEFAULT_COST,
) -> KeyBackup:
    """Write the key pairs of a backup to a key storage, and return what was in it.

    Args:
        key_storage: where to write them; what is there already stays as it is.
        data: the content of the file.
        passphrase: the one it was exported with.
        data_owner_id: whose backup it must be; None takes anybody's.

    Raises:
        ValidationError: an argument is malformed.
        BackupError: see :func:`read_backup` and :func:`restore_backup`. Nothing was written.
        StorageError: a key pair could not be written. Repeat the call.
    """
    backup = await read_backup(data, passphrase, _cost=_cost)
    await restore_backup(key_storage, backup, data_owner_id=data_owner_id)
    return backup


async def write_backup(
    backup: KeyBackup, passphrase: str, *, _cost: ScryptCost = DEFAULT_COST
) -> bytes:
    """Return the content of a backup's file.

    Raises:
        ValidationError: the passphrase or the data owner id is malformed.
        BackupError: there is no key pair to write, or one of them is not valid.
    """
    checked = check_new_passphrase(passphrase)
    if not _is_owner_id(backup.data_owner_id):
        raise ValidationError("The data owner id must be a text of 1 to 256 printable characters.")
    if not backup.key_pairs:
        raise BackupError(
            f"No key pair of data owner {backup.data_owner_id} is on this device, so there is "
            "nothing to export. Use the device that has them."
        )
    return await OTHERS.run(_write, backup, checked, attrs.evolve(_FORMAT, cost=_cost))


async def read_backup(
    data: bytes | str, passphrase: str, *, _cost: ScryptCost = DEFAULT_COST
) -> KeyBackup:
    """Return the content of a backup, all of it authentic and valid.

    Args:
        data: the content of the file.
        passphrase: the one it was exported with.

    Raises:
        ValidationError: an argument is malformed.
        BackupError: it is something else, cut off or changed in any way, of a newer version, or the
            passphrase is wrong; which of the two it is, a wrong passphrase or a change, cannot be
            told.
    """
    checked = check_passphrase(passphrase)
    if isinstance(data, str):
        # A lone surrogate becomes bytes that are not UTF-8.
        data = data.encode("utf-8", "surrogatepass")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ValidationError("The backup must be the content of a file, as bytes.")
    return await OTHERS.run(_read, bytes(data), checked, attrs.evolve(_FORMAT, cost=_cost))


async def restore_backup(
    key_storage: KeyStorage, backup: KeyBackup, *, data_owner_id: str | None = None
) -> None:
    """Write the key pairs of a backup to a key storage. Repeating it changes nothing.

    Args:
        key_storage: where to write them; what is there already stays as it is.
        backup: what :func:`read_backup` returned.
        data_owner_id: whose backup it must be; None takes anybody's.

    Raises:
        BackupError: it is somebody else's, or another key pair with the fingerprint of one of it is
            in the key storage. Nothing was written.
        StorageError: the key storage cannot be read or written. Repeat the call.
    """
    owner_id = backup.data_owner_id
    if data_owner_id is not None and data_owner_id != owner_id:
        raise BackupError(
            f"This is a backup of data owner {owner_id}, and not of {data_owner_id}: import that "
            "one, or log in as the other user. Nothing was written."
        )
    missing: list[KeyPair] = []
    for key_pair in backup.key_pairs:
        present = await key_storage.get_key_pair(owner_id, key_pair.fingerprint)
        if present is None:
            missing.append(key_pair)
        elif present.public_key.lower() != key_pair.public_key:
            raise BackupError(
                f"On this device is another key pair of data owner {owner_id} with the fingerprint "
                f"{key_pair.fingerprint}. Import the backup into another key storage. Nothing was "
                "written."
            )
    for key_pair in missing:
        await key_storage.store_key_pair(owner_id, key_pair)


def _write(backup: KeyBackup, passphrase: str, kind: Format) -> bytes:
    plaintext = orjson.dumps({"keyPairs": [_item(key_pair) for key_pair in backup.key_pairs]})
    try:
        data = kind.seal(plaintext, passphrase, {_OWNER: backup.data_owner_id})
    except SealError as error:
        raise BackupError(f"The backup cannot be written: {error}.") from None
    if len(data) > MAX_BACKUP_BYTES:
        raise BackupError(
            f"There are {len(backup.key_pairs)} key pairs, too many for one backup. Remove those "
            "that are not needed any more from this device."
        )
    return data


def _item(key_pair: KeyPair) -> Any:
    from icure_async.storage import jwk

    try:
        return orjson.loads(jwk.key_pair_to_jwk_json(key_pair))
    except ValidationError as error:
        raise BackupError(
            f"The key pair {key_pair!r} on this device is not valid: {error} Nothing was exported. "
            "Remove it from the key storage, keep it, and try again."
        ) from None


def _read(data: bytes, passphrase: str, kind: Format) -> KeyBackup:
    try:
        envelope = kind.load(data)
        owner_id = envelope.members[_OWNER]
        if not _is_owner_id(owner_id):
            raise SealError("it is damaged: its data owner id is malformed")
    except SealError as error:
        raise BackupError(
            f"This backup cannot be used: {error}. Nothing was written. Try another copy of it."
        ) from None
    try:
        plaintext = envelope.open(passphrase)
    except SealError as error:
        raise BackupError(
            f"This backup, which says it is of data owner {owner_id}, cannot be opened: {error}. "
            "Nothing was written. Try the passphrase again, or another copy of the backup."
        ) from None
    return KeyBackup(owner_id, _key_pairs_in(plaintext, owner_id))


def _key_pairs_in(plaintext: bytes, owner_id: str) -> tuple[KeyPair, ...]:
    """Return the key pairs of a plaintext; its writer knew the passphrase, and may have erred."""
    from icure_async.storage import jwk

    problem = "it holds no list of key pairs"
    items = as_list((parse_json_object(plaintext) or {}).get("keyPairs"))
    if items and all(map(is_object, items)):
        try:
            pairs = [jwk.key_pair_from_document(item) for item in items]
        except ValidationError as error:
            problem = f"it holds a key pair that is not valid: {error}"
        else:
            return tuple({pair.public_key: pair for pair in pairs}.values())
    raise BackupError(
        f"The backup of data owner {owner_id} was written by a faulty program: {problem}. Nothing "
        "was written. Export the key pairs again from a device that has them."
    )


def _is_owner_id(owner_id: object) -> bool:
    return (
        isinstance(owner_id, str)
        and 0 < len(owner_id) <= _MAX_OWNER
        and not any(unicodedata.category(character)[0] in "CZ" for character in owner_id)
    )
