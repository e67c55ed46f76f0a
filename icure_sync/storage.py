"""Where private keys and state live: in memory, or one file per item, encrypted if need be.

The implementations are those of :mod:`icure_async.storage`, to be handed to a builder. An
implementation of one's own has the plain methods of :class:`BlockingStorage` or
:class:`BlockingKeyStorage`, or the async ones of :class:`Storage` or :class:`KeyStorage`.
"""

from icure_async.storage.encrypted import EncryptedKeyStorage
from icure_async.storage.files import FileStorage
from icure_async.storage.key_storage import FileKeyStorage, MemoryKeyStorage, StorageKeyStorage
from icure_async.storage.locks import LockableStorage, StorageLock
from icure_async.storage.memory import MemoryStorage
from icure_async.storage.protocols import KeyStorage, Storage
from icure_sync._generated.storage import BlockingKeyStorage, BlockingStorage

__all__ = [
    "BlockingKeyStorage",
    "BlockingStorage",
    "EncryptedKeyStorage",
    "FileKeyStorage",
    "FileStorage",
    "KeyStorage",
    "LockableStorage",
    "MemoryKeyStorage",
    "MemoryStorage",
    "Storage",
    "StorageKeyStorage",
    "StorageLock",
]
