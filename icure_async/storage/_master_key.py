"""The key under which a storage is encrypted, sealed with a passphrase or another key.

The passphrase is a person's, or a random one in the system keyring. The storage has one item about
its key, the record, which is written before anything else: the key itself, sealed. Another record
replaces it only to seal the same key with another secret. With the system keyring it also names the
entry that holds the passphrase.
"""

from __future__ import annotations

import contextlib
import secrets
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import orjson

from icure_async.errors import StorageError, ValidationError
from icure_async.json_shapes import parse_json_object
from icure_async.secret_holders import SecretHolder
from icure_async.storage._keyring import keep, look_up
from icure_async.storage._sealing import (
    DEFAULT_COST,
    Format,
    ScryptCost,
    SealError,
    check_new_passphrase,
    check_passphrase,
    decode_base64,
    decrypt,
    encode_base64,
)
from icure_async.threads import OTHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "KEY",
    "KEYRING",
    "PASSPHRASE",
    "RECORD_NAME",
    "KeyProtection",
    "KeyringProtection",
    "PassphraseProtection",
    "Protection",
    "new_record",
    "protection_in",
]

RECORD_NAME: Final = "icure.master-key"
PASSPHRASE: Final = "passphrase"  # noqa: S105
KEYRING: Final = "keyring"
KEY: Final = "key"

_KEY_BYTES: Final = 32
# Earlier versions have entries under this name: never rename it.
_SERVICE: Final = "icure-sdk"
_SEALED: Final = Format(name="icure-encrypted-storage", members=("protection",), max_bytes=2**16)
# No number of attempts finds a random passphrase, so deriving a key may be quick.
_KEPT: Final = attrs.evolve(
    _SEALED,
    version=2,
    members=("protection", "service", "account"),
    cost=ScryptCost(2, 8, 1),
)
_KEYED: Final = attrs.evolve(_KEPT, members=("protection",))

_SET_UP_WITH_KEY: Final = (
    "This encrypted storage was set up with a key: open it with EncryptedKeyStorage.over() or "
    "EncryptedStorage() and key=."
)


class Protection(Protocol):
    """A way to keep a master key."""

    async def seal(self, key: bytes) -> str:
        """Return the record of a master key.

        Raises:
            ValidationError: the passphrase is too short to seal something with.
            ConfigurationError: the ``keyring`` extra is not installed.
            StorageError: there is not enough memory, or the system keyring cannot be used.
        """
        ...

    async def open(self, record: str) -> bytes:
        """Return the master key of a record.

        Raises:
            ConfigurationError: the ``keyring`` extra is not installed.
            StorageError: the passphrase is wrong, the system keyring cannot be used or has no such
                entry, or the record is damaged or of another kind.
        """
        ...


class PassphraseProtection(SecretHolder):
    """A master key that is sealed with a passphrase; deriving its key takes 0.4 s, once."""

    def __init__(self, passphrase: str, cost: ScryptCost = DEFAULT_COST) -> None:
        self._passphrase = check_passphrase(passphrase)
        self._format = attrs.evolve(_SEALED, cost=cost)
        self._refused: tuple[str, str] | None = None

    async def seal(self, key: bytes) -> str:
        """Return the record of a master key."""
        check_new_passphrase(self._passphrase)
        return await _sealed(self._format, key, self._passphrase, {"protection": PASSPHRASE})

    async def open(self, record: str) -> bytes:
        """Return the master key of a record."""
        if protection_in(record) == KEYRING:
            raise StorageError(
                "The key of this encrypted storage is in the system keyring: use it with "
                "use_keyring=True, and without a passphrase."
            )
        if protection_in(record) == KEY:
            raise StorageError(_SET_UP_WITH_KEY)
        # Trying the same again takes long and ends the same.
        if self._refused is not None and self._refused[0] == record:
            raise StorageError(self._refused[1])
        try:
            return await OTHERS.run(self._open, record)
        except SealError as error:
            message = (
                f"The encrypted storage cannot be opened: its item {RECORD_NAME!r} is of no use, "
                f"since {error}. Nothing was written. Try the passphrase again, or restore that "
                "item from a copy of the storage."
            )
            self._refused = (record, message)
        raise StorageError(message)

    def _open(self, record: str) -> bytes:
        envelope = self._format.load(record.encode("utf-8", "surrogatepass"))
        return _checked(envelope.open(self._passphrase))


class KeyringProtection:
    """A master key that is sealed with a random passphrase, which is in the system keyring."""

    async def seal(self, key: bytes) -> str:
        """Return the record of a master key."""
        secret, account = secrets.token_bytes(_KEY_BYTES), str(uuid.uuid4())
        await keep(_SERVICE, account, secret)
        members = {"protection": KEYRING, "service": _SERVICE, "account": account}
        return await _sealed(_KEPT, key, encode_base64(secret), members)

    async def open(self, record: str) -> bytes:
        """Return the master key of a record."""
        if protection_in(record) == PASSPHRASE:
            raise StorageError(
                "This encrypted storage was set up with a passphrase: give it, and leave "
                "use_keyring out."
            )
        if protection_in(record) == KEY:
            raise StorageError(_SET_UP_WITH_KEY)
        try:
            service, account, opened_with = _kept_in(record)
        except SealError as error:
            raise StorageError(
                f"The encrypted storage cannot be opened: its item {RECORD_NAME!r} is of no use, "
                f"since {error}. Nothing was written. Restore that item from a copy of the storage."
            ) from None
        secret = await look_up(service, account)
        if secret is None or len(secret) != _KEY_BYTES:
            raise StorageError(
                "The system keyring has no key for this encrypted storage: it was made on another "
                "machine or by another user, or the entry was deleted. Restore the keyring, or "
                "import a backup into a new folder. Nothing was written."
            )
        try:
            return await OTHERS.run(opened_with, secret)
        except SealError:
            raise StorageError(
                f"The key in the system keyring is not the one of this encrypted storage, or its "
                f"item {RECORD_NAME!r} was changed. Restore the item from a copy of the storage, "
                "or import a backup into a new folder. Nothing was written."
            ) from None


class KeyProtection(SecretHolder):
    """A master key that is sealed with a key; of several, the first one seals, and all may open."""

    def __init__(self, key: bytes | Sequence[bytes]) -> None:
        keys = [key] if isinstance(key, bytes) else list(key)
        if not keys or any(not isinstance(one, bytes) or len(one) < _KEY_BYTES for one in keys):
            raise ValidationError(
                f"A key has {_KEY_BYTES} random bytes or more: secrets.token_bytes({_KEY_BYTES}), "
                "or derive_user_key(…). For a text, use passphrase= instead."
            )
        self._keys = keys

    async def seal(self, key: bytes) -> str:
        """Return the record of a master key."""
        return await _sealed(_KEYED, key, encode_base64(self._keys[0]), {"protection": KEY})

    async def open(self, record: str) -> bytes:
        """Return the master key of a record."""
        if protection_in(record) in (PASSPHRASE, KEYRING):
            raise StorageError(
                "This encrypted storage was set up with a passphrase or the system keyring, and "
                "not with a key: use it in the same way."
            )
        try:
            return await OTHERS.run(self._open, record)
        except SealError as error:
            reason = str(error)
        raise StorageError(
            f"The encrypted storage cannot be opened: none of the keys is the one of its item "
            f"{RECORD_NAME!r}, or that is of no use, since {reason}. Nothing was written. Give the "
            "key that it was set up with, or restore that item from a copy of the storage."
        )

    def _open(self, record: str) -> bytes:
        envelope = _KEYED.load(record.encode("utf-8", "surrogatepass"))
        *others, last = self._keys
        for key in others:
            with contextlib.suppress(SealError):
                return _checked(envelope.open(encode_base64(key)))
        try:
            return _checked(envelope.open(encode_base64(last)))
        except SealError:
            pass
        raise SealError("the key is wrong, or it was changed or damaged")


async def new_record(protection: Protection) -> tuple[str, bytes]:
    """Return the record of a new master key, and the key. Raises as :meth:`Protection.seal`."""
    key = secrets.token_bytes(_KEY_BYTES)
    return await protection.seal(key), key


def protection_in(record: str) -> str | None:
    """Return how the master key of a record is kept, or None where the record does not say."""
    protection = (parse_json_object(record) or {}).get("protection")
    return protection if protection in (PASSPHRASE, KEYRING, KEY) else None


async def _sealed(kind: Format, key: bytes, passphrase: str, members: Mapping[str, str]) -> str:
    try:
        record = await OTHERS.run(kind.seal, key, passphrase, members)
    except SealError as error:
        raise StorageError(f"The storage cannot be encrypted: {error}.") from None
    return record.decode("utf-8")


def _kept_in(record: str) -> tuple[str, str, Callable[[bytes], bytes]]:
    """Return the service and account of an entry, and the way from its secret to the key."""
    document = parse_json_object(record) or {}
    if type(document.get("version")) is int and document["version"] == 1:
        return _kept_by_version_1(document)
    envelope = _KEPT.load(record.encode("utf-8", "surrogatepass"))

    def opened_with(secret: bytes) -> bytes:
        return _checked(envelope.open(encode_base64(secret)))

    return envelope.members["service"], envelope.members["account"], opened_with


def _kept_by_version_1(document: dict[str, Any]) -> tuple[str, str, Callable[[bytes], bytes]]:
    """Earlier versions kept the key itself in the keyring, and authenticated the record with it."""
    check = decode_base64(document.pop("check", None))
    service, account = document.get("service"), document.get("account")
    if not check or not isinstance(service, str) or not isinstance(account, str):
        raise SealError("it is damaged")
    return service, account, partial(_authenticated, document, check)


def _authenticated(document: dict[str, Any], check: bytes, key: bytes) -> bytes:
    try:
        authenticated = decrypt(key, check, orjson.dumps(document)) is not None
    except TypeError:
        # A lone surrogate in one of the texts.
        authenticated = False
    if not authenticated:
        raise SealError("it was changed")
    return key


def _checked(key: bytes) -> bytes:
    if len(key) != _KEY_BYTES:
        raise SealError("it was written by a faulty program")
    return key
