"""Backups of the current data owner's key pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.crypto.exchange_keys import published_keys_of
from icure_async.models.key_pair import fingerprint_of
from icure_async.storage.backup import (
    KeyBackup,
    check_new_passphrase,
    read_backup,
    restore_backup,
    write_backup,
)

if TYPE_CHECKING:
    from icure_async.keys.directory import Directory
    from icure_async.models.key_pair import KeyPair
    from icure_async.storage.protocols import KeyStorage

__all__ = ["OwnKeyBackup"]


class OwnKeyBackup:
    """Exports and imports key pairs, whether or not any of them is in use."""

    def __init__(self, directory: Directory, key_storage: KeyStorage) -> None:
        self._directory = directory
        self._key_storage = key_storage

    async def export(self, passphrase: str) -> bytes:
        """Return a backup of all key pairs on this device."""
        check_new_passphrase(passphrase)
        own = await self._directory.own()
        found = {
            key_pair.public_key: key_pair
            for key_pair in await self._key_storage.list_key_pairs(own.id)
        }
        published = {fingerprint_of(public_key) for public_key in published_keys_of(own.document)}
        # One that was recovered is in use even where it could not be stored. One that is not
        # confirmed would count as the user's own where the backup is imported.
        for key_pair in self._directory.key_ring.trusted_pairs:
            if key_pair.fingerprint in published:
                found.setdefault(key_pair.public_key, key_pair)
        return await write_backup(KeyBackup(own.id, tuple(found.values())), passphrase)

    async def restore(self, data: bytes | str, passphrase: str) -> list[KeyPair]:
        """Store the key pairs of a backup on this device, and put them to use."""
        backup = await read_backup(data, passphrase)
        # No lock is taken: the callback that finds a missing key, which may call this, has it.
        own_id = await self._directory.own_id()
        await restore_backup(self._key_storage, backup, data_owner_id=own_id)
        await self._directory.recovery.use(own_id, backup.key_pairs)
        return list(backup.key_pairs)
