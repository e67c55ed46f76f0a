"""Storages for private keys and state: in memory, in files or in PostgreSQL, encrypted or not.

An implementation of one's own has the plain methods of :class:`BlockingStorage` or
:class:`BlockingKeyStorage`, or the async ones of :class:`Storage` or :class:`KeyStorage`. Programs
that share it take turns if it has a method ``lock(name)`` as in :class:`LockableStorage`; what that
returns may be a plain context manager, as in :class:`BlockingLockableStorage`.
"""

from icure_async.storage.locks import LockableStorage, StorageLock
from icure_async.storage.protocols import KeyStorage, Storage
from icure_async.storage.user_keys import derive_user_key
from icure_sync._generated.encrypted import EncryptedKeyStorage, EncryptedStorage
from icure_sync._generated.files import FileStorage
from icure_sync._generated.key_storage import FileKeyStorage, MemoryKeyStorage, StorageKeyStorage
from icure_sync._generated.locks import BlockingLockableStorage
from icure_sync._generated.memory import MemoryStorage
from icure_sync._generated.postgres import PostgresKeyStorage, PostgresStorage
from icure_sync._generated.storage import BlockingKeyStorage, BlockingStorage

__all__ = [
    "BlockingKeyStorage",
    "BlockingLockableStorage",
    "BlockingStorage",
    "EncryptedKeyStorage",
    "EncryptedStorage",
    "FileKeyStorage",
    "FileStorage",
    "KeyStorage",
    "LockableStorage",
    "MemoryKeyStorage",
    "MemoryStorage",
    "PostgresKeyStorage",
    "PostgresStorage",
    "Storage",
    "StorageKeyStorage",
    "StorageLock",
    "derive_user_key",
]
