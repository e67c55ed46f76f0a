"""Key files of Cardinal: the entries of its ``FileSystemStorage``, each in a file of its name.

The file of an entry holds ``{"privateKey":"<base64 of the PKCS#8>"}`` (today.md §3). Cardinal
writes it for everybody to read; here it gets mode 0600, in a folder that nobody else may enter.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs

from icure_async.crypto.encoding import decode_base64, encode_base64
from icure_async.errors import BackupError, ValidationError
from icure_async.json_shapes import parse_json_object
from icure_async.storage._disk import GROUP_AND_OTHERS, POSIX, advice_for, open_to_read
from icure_async.storage._folders import prepare_folder
from icure_async.storage.files import write_private_file
from icure_async.threads import OTHERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from icure_async.models.key_pair import KeyPair

__all__ = ["CardinalFolder", "read_cardinal_folder", "write_cardinal_folder"]

_PREFIX: Final = "org.taktik.icure.rsa."
_KEY_NAME: Final = re.compile(
    re.escape(_PREFIX)
    + r"(?P<origin>device|recovered)\.(?P<owner>.+)\.(?P<fingerprint>[0-9a-f]{32})"
)
_VERIFIED_NAME: Final = re.compile(re.escape(_PREFIX) + r"(?P<owner>.+)\.verification\.self")
# A pair of 16384 bits takes 12,500 characters; the results of verifications some 40 each.
_MAX_BYTES: Final = 65_536


@attrs.frozen
class CardinalFolder:
    """The key pairs in a folder of Cardinal's.

    Attributes:
        key_pairs: by data owner: those that were made or verified on that device.
        unverified: by data owner: those that came through the backend, and that nobody verified.
        exposed: files with private keys that other users of this machine can open.
    """

    key_pairs: Mapping[str, Sequence[KeyPair]] = attrs.field(repr=False)
    unverified: Mapping[str, Sequence[KeyPair]] = attrs.field(repr=False)
    exposed: Sequence[Path]


async def read_cardinal_folder(folder: Path) -> CardinalFolder:
    """Return the key pairs in a folder, all of them valid, and each the one that its name says.

    Raises:
        BackupError: the folder, or a file of a key in it, can't be read, or holds something else.
    """
    return await OTHERS.run(_read, folder)


async def write_cardinal_folder(
    folder: Path, data_owner_id: str, key_pairs: Sequence[KeyPair]
) -> list[Path]:
    """Write key pairs of a data owner for Cardinal, which takes them for keys of the device.

    A file that holds the same key stays as it is, and no other is ever replaced.

    Args:
        folder: to be given to Cardinal's ``FileSystemStorage``; made where there is none.
        data_owner_id: whose key pairs they are.
        key_pairs: those to write.

    Returns:
        The files of the key pairs, in the same order.

    Raises:
        ValidationError: the id can't be part of a file name, or a key pair is not valid.
        BackupError: there is no key pair, a file exists that holds something else, or can't be
            written.
    """
    if not key_pairs:
        raise BackupError(
            f"No key pair of data owner {data_owner_id} is on this device, so there is nothing to "
            "export. Use the device that has them."
        )
    return await OTHERS.run(partial(_write, folder, data_owner_id, key_pairs))


def _write(folder: Path, data_owner_id: str, key_pairs: Sequence[KeyPair]) -> list[Path]:
    # Here, since the library below takes long to import.
    from icure_async.storage import jwk

    folder = folder.absolute()
    files: dict[Path, KeyPair] = {}
    for key_pair in key_pairs:
        _, valid = jwk.validate(key_pair)
        name = f"{_PREFIX}device.{data_owner_id}.{valid.fingerprint}"
        if not _KEY_NAME.fullmatch(name) or "/" in name or "\\" in name or not name.isprintable():
            raise ValidationError(
                "The data owner id must be a text that can be part of a file name: without slashes "
                "and control characters."
            )
        files[folder / name] = valid
    try:
        prepare_folder(folder)
        # All of them first, so that nothing is written where something is in the way.
        missing = [path for path, key_pair in files.items() if not _is_there(path, key_pair)]
        for path in missing:
            _write_one(path, files[path])
    except OSError as error:
        raise BackupError(
            f"Could not write the key files in {folder}: {advice_for(error)}."
        ) from None
    return list(files)


def _write_one(path: Path, key_pair: KeyPair) -> None:
    try:
        write_private_file(path, _content_of(key_pair))
    except FileExistsError:
        # Another program was faster, perhaps with the same key pair.
        if not _is_there(path, key_pair):
            raise


def _is_there(path: Path, key_pair: KeyPair) -> bool:
    """Return whether a file holds a key pair; False where there is none.

    Raises:
        BackupError: it holds something else.
    """
    if not os.path.lexists(path):
        return False
    try:
        present, _ = _key_pair_in(path)
    except BackupError:
        present = None
    if present != key_pair:
        raise BackupError(_in_the_way(str(path)))
    return True


def _in_the_way(path: str) -> str:
    return (
        f"{path} exists and may hold another private key, which is never overwritten. Nothing was "
        "replaced: choose another folder."
    )


def _content_of(key_pair: KeyPair) -> bytes:
    private_key = encode_base64(bytes.fromhex(key_pair.private_key))
    return json.dumps({"privateKey": private_key}, separators=(",", ":")).encode("ascii")


def _read(folder: Path) -> CardinalFolder:
    found: dict[tuple[str, str], KeyPair] = {}
    trusted: set[tuple[str, str]] = set()
    exposed: list[Path] = []
    verified = dict(_verified_in(folder))
    for path, origin, owner_id, fingerprint in _key_files_in(folder):
        key_pair, mode = _key_pair_in(path)
        if key_pair.fingerprint != fingerprint:
            raise _unusable(path, "it holds another key than its name says")
        key = owner_id, fingerprint
        if found.setdefault(key, key_pair) != key_pair:
            raise _unusable(path, "another file has another key with the same fingerprint")
        if origin == "device" or verified.get(owner_id, {}).get(fingerprint) is True:
            trusted.add(key)
        if POSIX and mode & GROUP_AND_OTHERS:
            exposed.append(path)
    key_pairs: defaultdict[str, list[KeyPair]] = defaultdict(list)
    unverified: defaultdict[str, list[KeyPair]] = defaultdict(list)
    for key, key_pair in found.items():
        (key_pairs if key in trusted else unverified)[key[0]].append(key_pair)
    return CardinalFolder(dict(key_pairs), dict(unverified), exposed)


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        reason = "there is no such folder"
    except OSError as error:
        reason = advice_for(error)
    raise BackupError(
        f"Could not read {folder}: {reason}. Name the folder that was given to Cardinal's "
        "FileSystemStorage. Nothing was imported."
    )


def _key_files_in(folder: Path) -> Iterator[tuple[Path, str, str, str]]:
    for name in _names_in(folder):
        match = _KEY_NAME.fullmatch(name)
        if match:
            yield folder / name, match["origin"], match["owner"], match["fingerprint"]


def _verified_in(folder: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield for each data owner which of its keys somebody has verified on that device."""
    for name in _names_in(folder):
        match = _VERIFIED_NAME.fullmatch(name)
        if match:
            content, _ = _content_and_mode(folder / name)
            yield match["owner"], parse_json_object(content) or {}


def _key_pair_in(path: Path) -> tuple[KeyPair, int]:
    """Return the key pair in a file, and the permissions of that."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    from icure_async.crypto.rsa_der import key_pair_of
    from icure_async.storage import jwk

    content, mode = _content_and_mode(path)
    text = (parse_json_object(content) or {}).get("privateKey")
    if not isinstance(text, str):
        raise _unusable(path, 'it is no JSON object with a text as "privateKey"')
    try:
        private_key = load_der_private_key(decode_base64(text), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private_key = None
    if not isinstance(private_key, rsa.RSAPrivateKey):
        raise _unusable(path, "its privateKey is not the base64 of an RSA key in PKCS#8")
    try:
        return jwk.validate(key_pair_of(private_key))[1], mode
    except ValidationError as error:
        raise _unusable(path, str(error).rstrip(".")) from None


def _content_and_mode(path: Path) -> tuple[bytes, int]:
    try:
        descriptor = open_to_read(path)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(_MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BackupError(
            f"Could not read {path}: {advice_for(error)}. Nothing was imported."
        ) from None
    if len(content) > _MAX_BYTES:
        raise _unusable(path, "it is too large")
    return content, mode


def _unusable(path: Path, reason: str) -> BackupError:
    return BackupError(
        f"The key file {path} can't be used: {reason}. Nothing was imported. Restore it, or move "
        "it out of the folder."
    )
