# Written by "python tools/gen_sync.py" from icure_async/storage/encrypted.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Items and keys that are encrypted where they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.storage.encrypted import EncryptedKeyStorage as AsyncEncryptedKeyStorage
from icure_async.storage.encrypted import EncryptedStorage as AsyncEncryptedStorage
from icure_sync._generated import storage as _storage
from icure_sync._generated.key_storage import StorageKeyStorage
from icure_sync._plain import adapt
from icure_sync._twins import Twin

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from icure_async.storage.locks import StorageLock
    from icure_async.storage.protocols import Storage
    from icure_sync._generated.storage import BlockingStorage

__all__ = ["EncryptedKeyStorage", "EncryptedStorage"]


class EncryptedStorage(Twin[AsyncEncryptedStorage]):
    """A :class:`~icure_sync.storage.BlockingStorage` on any other, in which every value is encrypted.

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
        key: 32 random ``bytes`` or more, see :func:`~icure_sync.storage.derive_user_key`; or a
            sequence of such keys.

    Raises:
        ConfigurationError: both or neither of a passphrase and a key are given.
        ValidationError: the passphrase or a key is malformed.

    Example:
        >>> storage = EncryptedStorage(MemoryStorage(), key=bytes(range(32)))
        >>> storage.set_item("name", "value")
        >>> storage.get_item("name")
        'value'
    """

    _portable = True

    def __init__(
        self,
        storage: BlockingStorage | Storage,
        *,
        passphrase: str | None = None,
        key: bytes | Sequence[bytes] | None = None,
    ) -> None:
        self._hold(
            AsyncEncryptedStorage(
                adapt(storage, _storage.STORAGE_METHODS), passphrase=passphrase, key=key
            )
        )

    def get_item(self, name: str) -> str | None:
        """Return the item, or None where there is none.

        Raises:
            ValidationError: the name is impossible, or the one of the master key's record.
            StorageError: the storage cannot be opened, or the item is damaged, not encrypted, or
                was another one's value.

        Example:
            >>> EncryptedStorage(MemoryStorage(), key=bytes(range(32))).get_item(
            ...     "name"
            ... ) is None
            True
        """
        return self._run(self._inner.get_item, name)

    def set_item(self, name: str, value: str) -> None:
        """Write the item; it is durable when the call returns.

        Raises:
            ValidationError: the name or the value is impossible, or the passphrase too short for a
                new storage.
            ConfigurationError: the ``keyring`` extra is not installed.
            StorageError: the storage cannot be opened or written. Nothing was written.

        Example:
            >>> storage = EncryptedStorage(MemoryStorage(), key=bytes(range(32)))
            >>> storage.set_item("name", "value")
        """
        self._run(self._inner.set_item, name, value)

    def remove_item(self, name: str) -> None:
        """Remove the item; removing an absent one is no error.

        Example:
            >>> storage = EncryptedStorage(MemoryStorage(), key=bytes(range(32)))
            >>> storage.remove_item("name")
        """
        self._run(self._inner.remove_item, name)

    def list_items(self, prefix: str = "") -> Sequence[str]:
        """Return the sorted names of the items that start with ``prefix``.

        Example:
            >>> storage = EncryptedStorage(MemoryStorage(), key=bytes(range(32)))
            >>> storage.set_item("process.1", "value")
            >>> storage.list_items("process.")
            ['process.1']
        """
        return self._run(self._inner.list_items, prefix)

    def lock(self, name: str) -> AbstractContextManager[StorageLock]:
        """Return the storage's lock of this name; one that is always free if it has no locks."""
        return self._enter(self._inner.lock, name)

    def reseal(
        self, *, passphrase: str | None = None, key: bytes | Sequence[bytes] | None = None
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
            >>> storage.set_item("name", "value")
            >>> storage.reseal(key=bytes(range(1, 33)))
        """
        self._run(self._inner.reseal, passphrase=passphrase, key=key)


class EncryptedKeyStorage(StorageKeyStorage):
    """A :class:`StorageKeyStorage` in encrypted files of one folder, or over any storage.

    The files are those of :class:`~icure_sync.storage.FileKeyStorage`, names included, with their
    contents encrypted with AES-256-GCM. The master key is sealed with a passphrase (scrypt, 0.4 s
    and 128 MiB the first time a key pair is read or written), which may be a random one in the
    system keyring (macOS Keychain, Windows Credential Locker, Secret Service, …; ``pip install
    'icure-async[keyring]'``), where deriving the key takes no time. Without the passphrase, or the
    keyring, the keys are lost: export a backup. :meth:`over` encrypts the keys of any other
    storage, as a :class:`~icure_sync.storage.PostgresStorage`.

    Methods raise :class:`~icure_sync.errors.StorageError` where the passphrase is wrong, or the
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
        >>> keys.store_key_pair("4711", key_pair)
        >>> keys.list_key_pairs("4711") == [key_pair]
        True
    """

    _inner: AsyncEncryptedKeyStorage
    _portable = True

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        passphrase: str | None = None,
        use_keyring: bool = False,
    ) -> None:
        self._hold(
            AsyncEncryptedKeyStorage(directory, passphrase=passphrase, use_keyring=use_keyring)
        )

    @classmethod
    def over(
        cls,
        storage: BlockingStorage | Storage,
        *,
        passphrase: str | None = None,
        key: bytes | Sequence[bytes] | None = None,
    ) -> EncryptedKeyStorage:
        """Return a key storage that encrypts its keys in a storage of any kind.

        A service gives each user a namespace and a key of the user's own, see
        :func:`~icure_sync.storage.derive_user_key`.

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
            >>> keys.store_key_pair("4711", key_pair)
        """
        return EncryptedKeyStorage._wrap(
            AsyncEncryptedKeyStorage.over(
                adapt(storage, _storage.STORAGE_METHODS), passphrase=passphrase, key=key
            )
        )

    @property
    def directory(self) -> Path:
        """Absolute path of the folder, which may not exist yet.

        Raises:
            ConfigurationError: the keys are not in a folder.
        """
        return self._inner.directory

    def path_of(self, name: str) -> Path:
        """Return where the file of an item is, or would be.

        Raises:
            ConfigurationError: the keys are not in a folder.
            ValidationError: the name cannot be a file name.
        """
        return self._call(self._inner.path_of, name)

    def reseal(
        self, *, passphrase: str | None = None, key: bytes | Sequence[bytes] | None = None
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
            >>> keys.store_key_pair("4711", key_pair)
            >>> keys.reseal(key=bytes(range(1, 33)))
        """
        self._run(self._inner.reseal, passphrase=passphrase, key=key)
