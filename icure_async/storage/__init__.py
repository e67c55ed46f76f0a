"""Storages for private keys and state: in memory, in files or in PostgreSQL, encrypted or not."""

from icure_async.storage.encrypted import EncryptedKeyStorage, EncryptedStorage
from icure_async.storage.files import FileStorage
from icure_async.storage.key_storage import FileKeyStorage, MemoryKeyStorage, StorageKeyStorage
from icure_async.storage.locks import LockableStorage, StorageLock
from icure_async.storage.memory import MemoryStorage
from icure_async.storage.postgres import PostgresKeyStorage, PostgresStorage
from icure_async.storage.protocols import KeyStorage, Storage
from icure_async.storage.user_keys import derive_user_key

__all__ = [
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
