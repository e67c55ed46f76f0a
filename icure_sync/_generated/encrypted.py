# Written by "python tools/gen_sync.py" from icure_async/storage/encrypted.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Items and keys that are encrypted where they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.storage.encrypted import EncryptedKeyStorage as AsyncEncryptedKeyStorage
from icure_sync._generated.key_storage import StorageKeyStorage

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["EncryptedKeyStorage"]


class EncryptedKeyStorage(StorageKeyStorage):
    """A :class:`StorageKeyStorage` in encrypted files of one folder.

    The files are those of :class:`~icure_sync.storage.FileKeyStorage`, names included, with their
    contents encrypted with AES-256-GCM. The master key is sealed with a passphrase (scrypt, 0.4 s
    and 128 MiB the first time a key pair is read or written), which may be a random one in the
    system keyring (macOS Keychain, Windows Credential Locker, Secret Service, …; ``pip install
    'icure-async[keyring]'``), where deriving the key takes no time. Without the passphrase, or the
    keyring, the keys are lost: export a backup.

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
