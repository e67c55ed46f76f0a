# Written by "python tools/gen_sync.py" from icure_async/storage/key_storage.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Private keys on any storage, under the names and in the form of the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.storage.key_storage import FileKeyStorage as AsyncFileKeyStorage
from icure_async.storage.key_storage import MemoryKeyStorage as AsyncMemoryKeyStorage
from icure_async.storage.key_storage import StorageKeyStorage as AsyncStorageKeyStorage
from icure_async.storage.key_storage import StoredKey
from icure_sync._generated import storage as _storage
from icure_sync._plain import adapt
from icure_sync._twins import Twin

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from icure_async.models.key_pair import KeyPair
    from icure_async.storage.locks import StorageLock
    from icure_async.storage.protocols import Storage
    from icure_sync._generated.storage import BlockingStorage

__all__ = ["FileKeyStorage", "MemoryKeyStorage", "StorageKeyStorage"]


class StorageKeyStorage(Twin[AsyncStorageKeyStorage]):
    """A :class:`~icure_sync.storage.BlockingKeyStorage` on any :class:`~icure_sync.storage.BlockingStorage`.

    Names and contents are the reference's, byte for byte (cryptography.md §1.3, §2). A pair is
    written as ``{dataOwnerId}.{fingerprint}``. Reading also looks under
    ``org.taktik.icure.rsa.{dataOwnerId}.{fingerprint}`` and ``org.taktik.icure.rsa.{dataOwnerId}``,
    where the base library of the reference keeps keys, and accepts its fuller JWKs.

    Key pairs, and items that hold none:

    * An item whose JSON object has no other member than ``publicKey``, if any, holds no key pair.
      One that lacks ``publicKey`` does, since the private half tells the public one; the reference
      takes it for none.
    * A broken item (not JSON, another member in place of ``privateKey``, mangled numbers, halves
      that do not match, another key than its name says) is a
      :class:`~icure_sync.errors.StorageError` that names it. Where another item gives the key that
      was asked for, or at least one key of the list, the broken one is skipped with a logged
      warning. Where it is all there is, it is an error and not "no keys": a program that believed
      so would create a new key, and the old records would seem lost.
    * On a :class:`~icure_sync.storage.FileStorage`, a key file to which group or others have any
      permission is always an error, which names the file and the ``chmod`` to run: the key may have
      leaked. Of a mounted Kubernetes Secret, it says which mode to set.

    Keys are validated in full, in a worker thread, when they are stored or first read. The 32 most
    recently used pairs are kept in memory so that reading them again costs no validation.
    Threads may share an object.

    Every method raises :class:`~icure_sync.errors.ValidationError` for a data owner id that is
    empty or holds a slash, a backslash or a control character.

    Args:
        storage: where the items are.

    Example:
        >>> keys = StorageKeyStorage(MemoryStorage())
        >>> keys.store_key_pair("4711", key_pair)
        >>> keys.list_key_pairs("4711") == [key_pair]
        True
    """

    _portable = True

    def __init__(self, storage: BlockingStorage | Storage) -> None:
        self._hold(AsyncStorageKeyStorage(adapt(storage, _storage.STORAGE_METHODS)))

    def get_key_pair(self, data_owner_id: str, fingerprint: str) -> KeyPair | None:
        """Return the key pair with this fingerprint, or None.

        Args:
            data_owner_id: ``str``, id of the patient, healthcare party or device.
            fingerprint: ``str``, 32 hex characters in either case; a whole public key also serves
                (cryptography.md §1.4).

        Returns:
            The ``KeyPair`` as lower-case hex of canonical DER, or None.

        Raises:
            ValidationError: an argument is malformed.
            StorageError: the key may be there, and cannot be read; or its file is exposed.

        Example:
            >>> keys = MemoryKeyStorage()
            >>> keys.store_key_pair("4711", key_pair)
            >>> keys.get_key_pair("4711", key_pair.fingerprint) == key_pair
            True
        """
        return self._run(self._inner.get_key_pair, data_owner_id, fingerprint)

    def list_key_pairs(self, data_owner_id: str) -> Sequence[KeyPair]:
        """Return all key pairs of the data owner that are on this device, each once.

        Broken items are skipped with a logged warning as long as there is one good pair.

        Args:
            data_owner_id: ``str``, id of the patient, healthcare party or device.

        Returns:
            A ``list`` of ``KeyPair``, sorted by item name; the reference's current names first.

        Raises:
            ValidationError: the id is malformed.
            StorageError: the items cannot be listed, none of them can be read, or a key file is
                exposed.

        Example:
            >>> MemoryKeyStorage().list_key_pairs("4711")
            []
        """
        return self._run(self._inner.list_key_pairs, data_owner_id)

    def list_stored_keys(self) -> Sequence[StoredKey]:
        """Return every item that is a key pair by its name, of any data owner, broken ones too.

        Raises:
            StorageError: the items cannot be listed.
        """
        return self._run(self._inner.list_stored_keys)

    def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
        """Write the key pair; it is durable, and was read back, when the call returns.

        An item that holds another private key, or something that might be one, is never
        overwritten. Storing the same pair again is no error.

        Args:
            data_owner_id: ``str``, id of the patient, healthcare party or device.
            key_pair: ``KeyPair`` of an RSA key of 2048 bits or more, public half in canonical DER.

        Raises:
            ValidationError: an argument is malformed, or the halves do not belong together. Nothing
                was written.
            StorageError: the item is taken, cannot be written, or does not read back the same. Do
                not use the key pair.

        Example:
            >>> FileKeyStorage(folder / "keys").store_key_pair("4711", key_pair)
        """
        self._run(self._inner.store_key_pair, data_owner_id, key_pair)

    def remove_key_pair(self, data_owner_id: str, fingerprint: str) -> None:
        """Remove the key pair under all its names; removing an absent one is no error.

        Args:
            data_owner_id: ``str``, id of the patient, healthcare party or device.
            fingerprint: ``str``, 32 hex characters in either case, or a whole public key.

        Raises:
            ValidationError: an argument is malformed.
            StorageError: an item cannot be removed, or holds another key than its name says.

        Example:
            >>> keys = FileKeyStorage(folder / "keys")
            >>> keys.store_key_pair("4711", key_pair)
            >>> keys.remove_key_pair("4711", key_pair.fingerprint)
        """
        self._run(self._inner.remove_key_pair, data_owner_id, fingerprint)

    def lock(self, name: str) -> AbstractContextManager[StorageLock]:
        """Return the storage's lock of this name; one that is always free if it has no locks."""
        return self._enter(self._inner.lock, name)


class MemoryKeyStorage(StorageKeyStorage):
    """A :class:`StorageKeyStorage` in memory: its keys are gone when the program ends.

    Example:
        >>> keys = MemoryKeyStorage()
        >>> keys.store_key_pair("4711", key_pair)
    """

    _inner: AsyncMemoryKeyStorage
    _portable = True

    def __init__(self) -> None:
        self._hold(AsyncMemoryKeyStorage())


class FileKeyStorage(StorageKeyStorage):
    """A :class:`StorageKeyStorage` on a :class:`~icure_sync.storage.FileStorage`.

    A key file to which group or others have any permission is a
    :class:`~icure_sync.errors.StorageError` that names the file and the ``chmod`` to run.

    Args:
        directory: the folder, ``str`` or ``os.PathLike[str]``; created with mode 0700 by the first
            write.

    Example:
        >>> keys = FileKeyStorage(folder / "keys")
        >>> keys.store_key_pair("4711", key_pair)
        >>> [found.fingerprint for found in keys.list_key_pairs("4711")] == [
        ...     key_pair.fingerprint
        ... ]
        True
    """

    _inner: AsyncFileKeyStorage
    _portable = True

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._hold(AsyncFileKeyStorage(directory))

    @property
    def directory(self) -> Path:
        """Absolute path of the folder, which may not exist yet."""
        return self._inner.directory

    def path_of(self, name: str) -> Path:
        """Return where the file of an item is, or would be.

        Raises:
            ValidationError: the name cannot be a file name.
        """
        return self._call(self._inner.path_of, name)
