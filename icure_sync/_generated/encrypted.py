# Written by "python -m icure_sync._generate" from icure_async/storage/encrypted.py.
# Changes here are lost: change that module, or icure_sync/_generator/rules.py.
# pyright: reportPrivateUsage=false
"""Items and keys that are encrypted where they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.storage.encrypted import EncryptedKeyStorage as AsyncEncryptedKeyStorage
from icure_sync._tracebacks import trimmed_traceback
from icure_sync._twins import Twin

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from icure_async.models.key_pair import KeyPair
    from icure_async.storage.key_storage import StoredKey
    from icure_async.storage.locks import StorageLock

__all__ = ["EncryptedKeyStorage"]


class EncryptedKeyStorage(Twin[AsyncEncryptedKeyStorage]):
    """A :class:`StorageKeyStorage` in encrypted files of one folder.

    The files are those of :class:`~icure_sync.storage.FileKeyStorage`, names included, with their
    contents encrypted with AES-256-GCM. The master key is sealed with a passphrase (scrypt, 0.4 s
    and 128 MiB the first time a key pair is read or written), or is in the system keyring (macOS
    Keychain, Windows Credential Locker, Secret Service, …; ``pip install 'icure-sdk[keyring]'``).
    Who loses the passphrase, or the keyring, loses the keys: export a backup.

    Methods raise :class:`~icure_sync.errors.StorageError` where the passphrase is wrong, or the
    keyring cannot be used; then nothing was written.

    Args:
        directory: the folder, ``str`` or ``os.PathLike[str]``; created with mode 0700 by the first
            write.
        passphrase: at least 12 characters for a new folder.
        use_keyring: whether to use the system keyring instead.

    Raises:
        ConfigurationError: both or neither of a passphrase and the system keyring are asked for.
        ValidationError: the passphrase is empty or not a text.
    """

    _portable = True

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        passphrase: str | None = None,
        use_keyring: bool = False,
    ) -> None:
        super().__init__(
            AsyncEncryptedKeyStorage(directory, passphrase=passphrase, use_keyring=use_keyring)
        )

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
        """
        with trimmed_traceback:
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
        """
        with trimmed_traceback:
            return self._run(self._inner.list_key_pairs, data_owner_id)

    def list_stored_keys(self) -> Sequence[StoredKey]:
        """Return every item that is a key pair by its name, of any data owner, broken ones too.

        Raises:
            StorageError: the items cannot be listed.
        """
        with trimmed_traceback:
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
        """
        with trimmed_traceback:
            self._run(self._inner.store_key_pair, data_owner_id, key_pair)

    def remove_key_pair(self, data_owner_id: str, fingerprint: str) -> None:
        """Remove the key pair under all its names; removing an absent one is no error.

        Args:
            data_owner_id: ``str``, id of the patient, healthcare party or device.
            fingerprint: ``str``, 32 hex characters in either case, or a whole public key.

        Raises:
            ValidationError: an argument is malformed.
            StorageError: an item cannot be removed, or holds another key than its name says.
        """
        with trimmed_traceback:
            self._run(self._inner.remove_key_pair, data_owner_id, fingerprint)

    def lock(self, name: str) -> AbstractContextManager[StorageLock]:
        """Return the storage's lock of this name; one that is always free if it has no locks."""
        return self._enter(self._inner.lock, name)

    @property
    def directory(self) -> Path:
        """Absolute path of the folder, which may not exist yet."""
        return self._inner.directory

    def path_of(self, name: str) -> Path:
        """Return where the file of an item is, or would be.

        Raises:
            ValidationError: the name cannot be a file name.
        """
        return self._here.path_of(name)
