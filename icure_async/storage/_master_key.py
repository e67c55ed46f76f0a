"""The key under which a storage is encrypted: kept with a passphrase, or in the system keyring.

Either way the storage has one item about it, the record, which is written before anything else and
never changed. With a passphrase, the record is the key itself, sealed. With the system keyring, it
names the entry that holds the key, and is authenticated with it, so that another entry's key is
recognised.
"""

from __future__ import annotations

import secrets
import uuid
from functools import partial
from typing import Any, Final, Protocol, cast

import orjson

from icure_async.errors import StorageError
from icure_async.secret_holders import SecretHolder
from icure_async.storage._keyring import keep, look_up
from icure_async.storage._sealing import (
    LOWEST_COST,
    NONCE_BYTES,
    ScryptCost,
    SealError,
    check_new_passphrase,
    check_passphrase,
    decode_base64,
    encode_base64,
    load_envelope,
    open_envelope,
    seal_envelope,
)
from icure_async.threads import CRYPTO, OTHERS

__all__ = [
    "KEYRING",
    "PASSPHRASE",
    "RECORD_NAME",
    "KeyringProtection",
    "PassphraseProtection",
    "Protection",
    "protection_in",
]

RECORD_NAME: Final = "icure.master-key"
PASSPHRASE: Final = "passphrase"  # noqa: S105
KEYRING: Final = "keyring"

_FORMAT: Final = "icure-encrypted-storage"
_VERSION: Final = 1
_MINIMUM_SDK: Final = "0.1.0"
_KEY_BYTES: Final = 32
_MAX_RECORD: Final = 2**16
# Where the keys of earlier versions are: never to be renamed.
_SERVICE: Final = "icure-sdk"
_KEYRING_MEMBERS: Final = (
    "format",
    "version",
    "minimumSdkVersion",
    "protection",
    "service",
    "account",
)


class Protection(Protocol):
    """How a master key is kept."""

    async def create(self) -> tuple[str, bytes]:
        """Return the record of a new master key, and the key."""
        ...

    async def open(self, record: str) -> bytes:
        """Return the master key of a record."""
        ...


class PassphraseProtection(SecretHolder):
    """A master key that is sealed with a passphrase; deriving its key takes 0.4 s, once."""

    def __init__(self, passphrase: str, cost: ScryptCost) -> None:
        self._passphrase = check_passphrase(passphrase)
        self._cost = cost
        self._refused: tuple[str, str] | None = None

    async def create(self) -> tuple[str, bytes]:
        """Return the record of a new master key, and the key.

        Raises:
            ValidationError: the passphrase is too short to seal something with.
            StorageError: there is not enough memory.
        """
        check_new_passphrase(self._passphrase)
        key = secrets.token_bytes(_KEY_BYTES)
        seal = partial(
            seal_envelope,
            key,
            self._passphrase,
            name=_FORMAT,
            version=_VERSION,
            members={"minimumSdkVersion": _MINIMUM_SDK, "protection": PASSPHRASE},
            cost=self._cost,
        )
        try:
            record = await OTHERS.run(seal)
        except SealError as error:
            raise StorageError(f"The storage cannot be encrypted: {error}.") from None
        return record.decode("utf-8"), key

    async def open(self, record: str) -> bytes:
        """Return the master key of a record.

        Raises:
            StorageError: the passphrase is wrong, or the record is damaged or of another kind.
        """
        if protection_in(record) == KEYRING:
            raise StorageError(
                "The key of this encrypted storage is in the system keyring: use it with "
                "use_keyring=True, and without a passphrase."
            )
        # Trying the same again takes long and ends the same.
        if self._refused is not None and self._refused[0] == record:
            raise StorageError(self._refused[1])
        try:
            key = await OTHERS.run(self._open, record)
        except SealError as error:
            message = (
                f"The encrypted storage cannot be opened: its item {RECORD_NAME!r} is of no use, "
                f"since {error}. Nothing was written. Try the passphrase again, or restore that "
                "item from a copy of the storage."
            )
            self._refused = (record, message)
        else:
            return key
        raise StorageError(message)

    def _open(self, record: str) -> bytes:
        data = record.encode("utf-8", "surrogatepass")
        lowest = self._cost if self._cost.n < LOWEST_COST.n else LOWEST_COST
        envelope = load_envelope(
            data,
            name=_FORMAT,
            version=_VERSION,
            members=("minimumSdkVersion", "protection"),
            max_bytes=_MAX_RECORD,
            lowest=lowest,
        )
        key = open_envelope(envelope, self._passphrase)
        if len(key) != _KEY_BYTES:
            raise SealError("it was written by a faulty program")
        return key


class KeyringProtection:
    """A master key that is in the keyring of the operating system, in an entry of its own."""

    async def create(self) -> tuple[str, bytes]:
        """Return the record of a new master key, and the key, which is in the keyring then.

        Raises:
            ConfigurationError: the ``keyring`` extra is not installed.
            StorageError: the system keyring cannot be used.
        """
        key = secrets.token_bytes(_KEY_BYTES)
        account = str(uuid.uuid4())
        await keep(_SERVICE, account, key)
        header = {
            "format": _FORMAT,
            "version": _VERSION,
            "minimumSdkVersion": _MINIMUM_SDK,
            "protection": KEYRING,
            "service": _SERVICE,
            "account": account,
        }
        record = header | {"check": encode_base64(await CRYPTO.run(_check, key, header))}
        return orjson.dumps(record).decode("utf-8"), key

    async def open(self, record: str) -> bytes:
        """Return the master key of a record.

        Raises:
            ConfigurationError: the ``keyring`` extra is not installed.
            StorageError: the system keyring cannot be used or has no such key, or the record is
                damaged or of another kind.
        """
        if protection_in(record) == PASSPHRASE:
            raise StorageError(
                "This encrypted storage was set up with a passphrase: give it, and leave "
                "use_keyring out."
            )
        header, check = _keyring_members(record)
        key = await look_up(str(header["service"]), str(header["account"]))
        if key is None or len(key) != _KEY_BYTES:
            raise StorageError(
                "The system keyring has no key for this encrypted storage: it was made on another "
                "machine or by another user, or the entry was deleted. Restore the keyring, or "
                "import a backup into a new folder. Nothing was written."
            )
        if not await CRYPTO.run(_is_checked, key, header, check):
            raise StorageError(
                f"The key in the system keyring is not the one of this encrypted storage, or its "
                f"item {RECORD_NAME!r} was changed. Restore the item from a copy of the storage, "
                "or import a backup into a new folder. Nothing was written."
            )
        return key


def protection_in(record: str) -> str | None:
    """Return how the master key of a record is kept, or None where the record does not say."""
    protection = _parsed(record).get("protection")
    return protection if protection in {PASSPHRASE, KEYRING} else None


def _keyring_members(record: str) -> tuple[dict[str, Any], bytes]:
    document = _parsed(record)
    version = document.get("version")
    if document.get("format") == _FORMAT and type(version) is int and version > _VERSION:
        raise StorageError(
            f"This encrypted storage is of version {version}, which a newer icure-async made: "
            "update the SDK."
        )
    check = decode_base64(document.pop("check", None))
    texts = [document.get(member) for member in _KEYRING_MEMBERS if member != "version"]
    if (
        tuple(document) != _KEYRING_MEMBERS
        or document["format"] != _FORMAT
        or version != _VERSION
        or not all(isinstance(text, str) for text in texts)
        or not check
    ):
        raise StorageError(
            f"The item {RECORD_NAME!r} of this encrypted storage is damaged. Restore it from a "
            "copy of the storage. Nothing was written."
        )
    return document, check


def _parsed(record: str) -> dict[str, Any]:
    document: object = None
    if len(record) <= _MAX_RECORD:
        try:
            document = orjson.loads(record)
        except ValueError:
            document = None
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


def _check(key: bytes, header: dict[str, Any]) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, b"", orjson.dumps(header))


def _is_checked(key: bytes, header: dict[str, Any], check: bytes) -> bool:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        AESGCM(key).decrypt(check[:NONCE_BYTES], check[NONCE_BYTES:], orjson.dumps(header))
    except (InvalidTag, ValueError):
        return False
    return True
