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
    KeyProtection,
    KeyringProtection,
    PassphraseProtection,
    new_record,
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

    Values are encrypted with AES-256-GCM under one random master key. The name of an item is bound
    to its value, so that nobody can exchange two items; it is in clear. An older value that
    replaces a newer one is not recognised.

    The first write makes the master key, under the storage's lock, so that programs that share it
    end up with the same one. Reading never writes. The master key is sealed with a passphrase
    (scrypt, 0.4 s and 128 MiB the first time an item is read or written) or with a key of 32 random
    bytes, which takes no time. It is in the item ``icure.master-key``.

    Of several keys, the first one seals, and all of them open: for a service whose programs are
    given a new key one after the other. :meth:`reseal` brings a storage to it.

    Args:
        storage: where the encrypted items are.
        passphrase: at least 12 characters for a new storage.
        key: 32 random ``bytes`` or more, see :func:`~icure_async.storage.derive_user_key`; or a
            sequence of such keys.

    Raises:
        ConfigurationError: both or neither of a passphrase and a key are given.
        ValidationError: the passphrase or a key is malformed.

    Example:
        >>> storage = EncryptedStorage(MemoryStorage(), key=bytes(range(32)))
        >>> await storage.set_item("name", "value")
        >>> await storage.get_item("name")
        'value'
    """

    def __init__(
        self,
        storage: Storage,
        *,
        passphrase: str | None = None,
        key: bytes | Sequence[bytes] | None = None,
        _protection: Protection | None = None,
    ) -> None:
        self._storage = storage
        self._protection = _protection or _protection_by(passphrase, key)
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

        Example:
            >>> await EncryptedStorage(MemoryStorage(), key=bytes(range(32))).get_item(
            ...     "name"
            ... ) is None
            True
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

        Example:
            >>> storage = EncryptedStorage(MemoryStorage(), key=bytes(range(32)))
            >>> await storage.set_item("name", "value")
        """
        _check_name(name)
        data = encode_value(name, value)
        record, key = await self._opened(create=True)
        encrypted = await CRYPTO.run(_encrypt, key, name, data)
        await self._storage.set_item(name, encrypted)
        now = await self._storage.get_item(RECORD_NAME)
        # Resealed by another program, it still stands for the same key.
        if now != record and (now is None or await self._protection.open(now) != key):
            raise StorageError(
                f"Another program has just removed or replaced the item {RECORD_NAME!r}. "
                f"Without it the item {name!r} cannot be read: write it again."
            )

    async def remove_item(self, name: str) -> None:
        """Remove the item; removing an absent one is no error.

        Example:
            >>> storage = EncryptedStorage(MemoryStorage(), key=bytes(range(32)))
            >>> await storage.remove_item("name")
        """
        _check_name(name)
        await self._storage.remove_item(name)

    async def list_items(self, prefix: str = "") -> Sequence[str]:
        """Return the sorted names of the items that start with ``prefix``.

        Example:
            >>> storage = EncryptedStorage(MemoryStorage(), key=bytes(range(32)))
            >>> await storage.set_item("process.1", "value")
            >>> await storage.list_items("process.")
            ['process.1']
        """
        return [name for name in await self._storage.list_items(prefix) if name != RECORD_NAME]

    def lock(self, name: str) -> AbstractAsyncContextManager[StorageLock]:
        """Return the storage's lock of this name; one that is always free if it has no locks."""
        return lock_of(self._storage, name)

    async def reseal(
        self,
        *,
        passphrase: str | None = None,
        key: bytes | Sequence[bytes] | None = None,
    ) -> None:
        """Seal the master key with another secret, the only one that opens the storage afterwards.

        Items stay as they are. The record is replaced in one step, and what is resealed already
        stays: where the program dies, repeat the call. A person with the old secret and an old
        copy of the storage has the master key: where the old one has leaked, make new key pairs.

        Args:
            passphrase: the new one, at least 12 characters.
            key: the new one, or a sequence of keys of which the first one seals.

        Raises:
            ConfigurationError: both or neither of a passphrase and a key are given.
            ValidationError: the passphrase or a key is malformed.
            StorageError: neither the present secret nor the new one opens the storage, or it cannot
                be written. Then it is as it was.

        Example:
            >>> storage = EncryptedStorage(MemoryStorage(), key=bytes(range(32)))
            >>> await storage.set_item("name", "value")
            >>> await storage.reseal(key=bytes(range(1, 33)))
        """
        new = _protection_by(passphrase, key)
        async with lock_of(self._storage, RECORD_NAME):
            record = await self._storage.get_item(RECORD_NAME)
            if record is not None and not await _opens(_sealing_one(passphrase, key), record):
                master = await self._protection.open(record)
                record = await new.seal(master)
                await self._write_record(record)
        self._protection, self._open = new, None

    def __repr__(self) -> str:
        return f"EncryptedStorage({self._storage!r})"

    async def _write_record(self, record: str) -> None:
        await self._storage.set_item(RECORD_NAME, record)
        if await self._storage.get_item(RECORD_NAME) != record:
            raise StorageError(
                f"The item {RECORD_NAME!r} does not read back as it was written: check the "
                "storage and try again. Nothing was encrypted."
            )

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
            record, key = await new_record(self._protection)
            await self._write_record(record)
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
    """A :class:`StorageKeyStorage` in encrypted files of one folder, or over any storage.

    The files are those of :class:`~icure_async.storage.FileKeyStorage`, names included, with their
    contents encrypted with AES-256-GCM. The master key is sealed with a passphrase (scrypt, 0.4 s
    and 128 MiB the first time a key pair is read or written), which may be a random one in the
    system keyring (macOS Keychain, Windows Credential Locker, Secret Service, …; ``pip install
    'icure-async[keyring]'``), where deriving the key takes no time. Without the passphrase, or the
    keyring, the keys are lost: export a backup. :meth:`over` encrypts the keys of any other
    storage, as a :class:`~icure_async.storage.PostgresStorage`.

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
        files = FileStorage(directory)
        self._encrypt(files, EncryptedStorage(files, _protection=protection))

    @classmethod
    def over(
        cls,
        storage: Storage,
        *,
        passphrase: str | None = None,
        key: bytes | Sequence[bytes] | None = None,
    ) -> EncryptedKeyStorage:
        """Return a key storage that encrypts its keys in a storage of any kind.

        A service gives each user a namespace and a key of the user's own, see
        :func:`~icure_async.storage.derive_user_key`.

        Args:
            storage: where the encrypted keys are.
            passphrase: at least 12 characters for a new storage.
            key: 32 random ``bytes`` or more, or a sequence of such keys: the first one seals, and
                all of them open.

        Raises:
            ConfigurationError: both or neither of a passphrase and a key are given.
            ValidationError: the passphrase or a key is malformed.

        Example:
            >>> keys = EncryptedKeyStorage.over(MemoryStorage(), key=bytes(range(32)))
            >>> await keys.store_key_pair("4711", key_pair)
        """
        made = cls.__new__(cls)
        files = storage if isinstance(storage, FileStorage) else None
        encrypted = EncryptedStorage(storage, passphrase=passphrase, key=key)
        made._encrypt(files, encrypted)  # noqa: SLF001 - it is of this class
        return made

    def _encrypt(self, files: FileStorage | None, encrypted: EncryptedStorage) -> None:
        self._files, self._encrypted = files, encrypted
        StorageKeyStorage.__init__(self, encrypted)

    @property
    def directory(self) -> Path:
        """Absolute path of the folder, which may not exist yet.

        Raises:
            ConfigurationError: the keys are not in a folder.
        """
        return self._in_folder().directory

    def path_of(self, name: str) -> Path:
        """Return where the file of an item is, or would be.

        Raises:
            ConfigurationError: the keys are not in a folder.
            ValidationError: the name cannot be a file name.
        """
        return self._in_folder().path_of(name)

    async def reseal(
        self,
        *,
        passphrase: str | None = None,
        key: bytes | Sequence[bytes] | None = None,
    ) -> None:
        """Seal the master key with another secret, the only one that opens the keys afterwards.

        The keys stay as they are. The record is replaced in one step, and what is resealed already
        stays: where the program dies, repeat the call.

        Args:
            passphrase: the new one, at least 12 characters.
            key: the new one, or a sequence of keys of which the first one seals.

        Raises:
            ConfigurationError: both or neither of a passphrase and a key are given.
            ValidationError: the passphrase or a key is malformed.
            StorageError: neither the present secret nor the new one opens the storage, or it cannot
                be written. Then it is as it was.

        Example:
            >>> keys = EncryptedKeyStorage.over(MemoryStorage(), key=bytes(range(32)))
            >>> await keys.store_key_pair("4711", key_pair)
            >>> await keys.reseal(key=bytes(range(1, 33)))
        """
        await self._encrypted.reseal(passphrase=passphrase, key=key)

    def __repr__(self) -> str:
        if self._files is None:
            return f"EncryptedKeyStorage({self._encrypted!r})"
        return f"EncryptedKeyStorage({str(self.directory)!r})"

    def _in_folder(self) -> FileStorage:
        if self._files is None:
            raise ConfigurationError("The keys of this EncryptedKeyStorage are not in a folder.")
        return self._files


async def protection_of(storage: Storage) -> str | None:
    """Return how a storage is encrypted: "passphrase", "keyring", "key"; None for one that is not.

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


def _protection_by(passphrase: str | None, key: bytes | Sequence[bytes] | None) -> Protection:
    if passphrase is not None and key is None:
        return PassphraseProtection(passphrase)
    if key is not None and passphrase is None:
        return KeyProtection(key)
    raise ConfigurationError("An encrypted storage needs either a passphrase or a key.")


def _sealing_one(passphrase: str | None, key: bytes | Sequence[bytes] | None) -> Protection:
    """Return the protection of the one secret that is to seal."""
    first = key if key is None or isinstance(key, bytes) else key[0]
    return _protection_by(passphrase, first)


async def _opens(protection: Protection, record: str) -> bool:
    try:
        await protection.open(record)
    except StorageError:
        return False
    return True


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
