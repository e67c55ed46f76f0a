"""Items and keys that are encrypted where they are stored."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

import anyio

from icure_async.errors import ConfigurationError, StorageError, ValidationError
from icure_async.mistakes import explained
from icure_async.secret_holders import SecretHolder
from icure_async.storage._master_key import (
    RECORD_NAME,
    KeyringProtection,
    PassphraseProtection,
    protection_in,
)
from icure_async.storage._names import check_item_name, encode_value
from icure_async.storage._sealing import (
    DEFAULT_COST,
    NONCE_BYTES,
    ScryptCost,
    decode_base64,
    decrypt,
    encode_base64,
)
from icure_async.storage.files import FileStorage
from icure_async.storage.key_storage import StorageKeyStorage
from icure_async.storage.locks import StorageLock, lock_of
from icure_async.threads import CRYPTO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from icure_async.storage._master_key import Protection
    from icure_async.storage.protocols import Storage

__all__ = ["EncryptedKeyStorage", "EncryptedStorage", "protection_of"]

_PREFIX: Final = "icure-encrypted-1."


class EncryptedStorage(SecretHolder):
    """A :class:`~icure_async.storage.Storage` on any other, in which every value is encrypted.

    Values are encrypted with AES-256-GCM under one master key. The name of an item is bound to its
    value, so that nobody can exchange two items; it is in clear. An older value that replaces a
    newer one is not recognised.

    The first write makes the master key, under the storage's lock, so that programs that share it
    end up with the same one. Reading never writes.

    Args:
        storage: where the encrypted items are.
        protection: how the master key is kept.
    """

    def __init__(self, storage: Storage, protection: Protection) -> None:
        self._storage = storage
        self._protection = protection
        # The record that is stored, and the key it stands for.
        self._open: tuple[str, bytes] | None = None
        self._opening = anyio.Lock()
        self._pid = os.getpid()

    async def get_item(self, name: str) -> str | None:
        """Return the item, or None where there is none.

        Raises:
            ValidationError: the name is impossible, or the one of the master key's record.
            StorageError: the storage cannot be opened, or the item is damaged, not encrypted, or
                was another one's value.
        """
        _check_name(name)
        value = await self._storage.get_item(name)
        if value is None:
            return None
        if not value.startswith(_PREFIX):
            raise StorageError(
                f"The item {name!r} is not encrypted, though its storage is. Keys that are not: "
                "export them with a FileKeyStorage on this folder, move the item out of it, and "
                "import them."
            )
        _, key = await self._opened(create=False)
        plaintext = await CRYPTO.run(_decrypt, key, name, value)
        if plaintext is None:
            raise StorageError(
                f"The item {name!r} cannot be decrypted: it was changed or damaged, or belongs to "
                "another storage or under another name. Restore it from a backup or move it out "
                "of the storage."
            )
        return plaintext

    async def set_item(self, name: str, value: str) -> None:
        """Write the item; it is durable when the call returns.

        Raises:
            ValidationError: the name or the value is impossible, or the passphrase too short for a
                new storage.
            ConfigurationError: the ``keyring`` extra is not installed.
            StorageError: the storage cannot be opened or written. Nothing was written.
        """
        _check_name(name)
        data = encode_value(name, value)
        record, key = await self._opened(create=True)
        encrypted = await CRYPTO.run(_encrypt, key, name, data)
        await self._storage.set_item(name, encrypted)
        if await self._storage.get_item(RECORD_NAME) != record:
            raise StorageError(
                f"Another program has just removed or replaced the item {RECORD_NAME!r}. "
                f"Without it the item {name!r} cannot be read: write it again."
            )

    async def remove_item(self, name: str) -> None:
        """Remove the item; removing an absent one is no error."""
        _check_name(name)
        await self._storage.remove_item(name)

    async def list_items(self, prefix: str = "") -> Sequence[str]:
        """Return the sorted names of the items that start with ``prefix``."""
        return [name for name in await self._storage.list_items(prefix) if name != RECORD_NAME]

    def lock(self, name: str) -> AbstractAsyncContextManager[StorageLock]:
        """Return the storage's lock of this name; one that is always free if it has no locks."""
        return lock_of(self._storage, name)

    def __repr__(self) -> str:
        return f"EncryptedStorage({self._storage!r})"

    async def _opened(self, *, create: bool) -> tuple[str, bytes]:
        """Return the record that is stored now, and its key."""
        if self._pid != os.getpid():
            # The parent process may have held the lock when it forked.
            self._opening, self._pid = anyio.Lock(), os.getpid()
        async with self._opening:
            # Read each time: items written under the key of a record that is gone are lost.
            record = await self._storage.get_item(RECORD_NAME)
            if self._open is None or self._open[0] != record:
                self._open = None
                if record is not None:
                    self._open = record, await self._protection.open(record)
                elif create:
                    self._open = await self._create()
                else:
                    raise StorageError(
                        "The encrypted storage has items, and not the one about its key, "
                        f"{RECORD_NAME!r}. Restore it from a copy of the storage. Nothing was "
                        "written."
                    )
            return self._open

    async def _create(self) -> tuple[str, bytes]:
        async with lock_of(self._storage, RECORD_NAME):
            record = await self._storage.get_item(RECORD_NAME)
            if record is not None:
                return record, await self._protection.open(record)
            await self._refuse_orphans()
            record, key = await self._protection.create()
            await self._storage.set_item(RECORD_NAME, record)
            if await self._storage.get_item(RECORD_NAME) != record:
                raise StorageError(
                    f"The item {RECORD_NAME!r} does not read back as it was written: check the "
                    "storage and try again. Nothing was encrypted."
                )
            return record, key

    async def _refuse_orphans(self) -> None:
        """Refuse to make a second key for items that were encrypted with one that is lost."""
        for name in await self._storage.list_items():
            value = await self._storage.get_item(name)
            if value is not None and value.startswith(_PREFIX):
                raise StorageError(
                    f"The item {name!r} is encrypted, and the item about its key, "
                    f"{RECORD_NAME!r}, is missing. Restore it from a copy of the storage, or use "
                    "another folder. Nothing was written."
                )


@explained
class EncryptedKeyStorage(SecretHolder, StorageKeyStorage):
    """A :class:`StorageKeyStorage` in encrypted files of one folder.

    The files are those of :class:`~icure_async.storage.FileKeyStorage`, names included, with their
    contents encrypted with AES-256-GCM. The master key is sealed with a passphrase (scrypt, 0.4 s
    and 128 MiB the first time a key pair is read or written), which may be a random one in the
    system keyring (macOS Keychain, Windows Credential Locker, Secret Service, …; ``pip install
    'icure-async[keyring]'``), where deriving the key takes no time. Without the passphrase, or the
    keyring, the keys are lost: export a backup.

    Methods raise :class:`~icure_async.errors.StorageError` where the passphrase is wrong, or the
    keyring cannot be used, or does not answer within 10 s, perhaps because it waits for somebody to
    unlock it; then nothing was written.

    An object is neither pickled nor copied, since it holds secrets in clear: make another one.

    Args:
        directory: the folder, ``str`` or ``os.PathLike[str]``; created with mode 0700 by the first
            write.
        passphrase: at least 12 characters for a new folder.
        use_keyring: whether to use the system keyring instead.

    Raises:
        ConfigurationError: both or neither of a passphrase and the system keyring are asked for.
        ValidationError: the passphrase is empty or not a text.

    Example:
        >>> keys = EncryptedKeyStorage(folder / "sealed", passphrase="correct horse battery staple")
        >>> await keys.store_key_pair("4711", key_pair)
        >>> await keys.list_key_pairs("4711") == [key_pair]
        True
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        passphrase: str | None = None,
        use_keyring: bool = False,
        _cost: ScryptCost = DEFAULT_COST,
    ) -> None:
        if (passphrase is None) != bool(use_keyring):
            raise ConfigurationError(
                "EncryptedKeyStorage needs either a passphrase or use_keyring=True."
            )
        protection: Protection = (
            KeyringProtection() if passphrase is None else PassphraseProtection(passphrase, _cost)
        )
        self._files = FileStorage(directory)
        super().__init__(EncryptedStorage(self._files, protection))

    @property
    def directory(self) -> Path:
        """Absolute path of the folder, which may not exist yet."""
        return self._files.directory

    def path_of(self, name: str) -> Path:
        """Return where the file of an item is, or would be.

        Raises:
            ValidationError: the name cannot be a file name.
        """
        return self._files.path_of(name)

    def __repr__(self) -> str:
        return f"EncryptedKeyStorage({str(self.directory)!r})"


async def protection_of(storage: Storage) -> str | None:
    """Return how a storage is encrypted: "passphrase", "keyring", or None for one that is not.

    Raises:
        StorageError: the storage cannot be read, or says that it is encrypted, and not how.
    """
    record = await storage.get_item(RECORD_NAME)
    if record is None:
        return None
    protection = protection_in(record)
    if protection is None:
        raise StorageError(
            f"The item {RECORD_NAME!r} of this encrypted storage is damaged, or was made by a "
            "newer SDK. Update the SDK, or restore the item from a copy of the storage."
        )
    return protection


def _check_name(name: str) -> None:
    check_item_name(name)
    if name == RECORD_NAME:
        raise ValidationError(f"The name {RECORD_NAME!r} is taken by the encrypted storage itself.")


def _bound_to(name: str) -> bytes:
    return f"{_PREFIX}{name}".encode()


def _encrypt(key: bytes, name: str, data: bytes) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE_BYTES)
    return _PREFIX + encode_base64(nonce + AESGCM(key).encrypt(nonce, data, _bound_to(name)))


def _decrypt(key: bytes, name: str, value: str) -> str | None:
    data = decode_base64(value.removeprefix(_PREFIX))
    plaintext = None if data is None else decrypt(key, data, _bound_to(name))
    # Only text was encrypted.
    return None if plaintext is None else plaintext.decode("utf-8")
