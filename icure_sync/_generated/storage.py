# Written by "python tools/gen_sync.py" from icure_async/storage/protocols.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""The methods of a storage. Any object that has them serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.models.key_pair import KeyPair

__all__ = ["KEY_STORAGE_METHODS", "STORAGE_METHODS", "BlockingKeyStorage", "BlockingStorage"]


class BlockingStorage(Protocol):
    """Named text items that outlive the program."""

    def get_item(self, name: str) -> str | None:
        """Return the item, or None where there is none."""
        ...

    def set_item(self, name: str, value: str) -> None:
        """Write the item; it is durable when the call returns."""
        ...

    def remove_item(self, name: str) -> None:
        """Remove the item; removing an absent one is no error."""
        ...

    def list_items(self, prefix: str = "") -> Sequence[str]:
        """Return the sorted names of the items that start with ``prefix``."""
        ...


STORAGE_METHODS: Final = (
    "get_item",
    "set_item",
    "remove_item",
    "list_items",
)


class BlockingKeyStorage(Protocol):
    """The private keys that are on this device, by data owner."""

    def get_key_pair(self, data_owner_id: str, fingerprint: str) -> KeyPair | None:
        """Return the key pair with this fingerprint (32 hex characters), or None."""
        ...

    def list_key_pairs(self, data_owner_id: str) -> Sequence[KeyPair]:
        """Return all key pairs of the data owner that are on this device."""
        ...

    def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
        """Write the key pair; it is durable when the call returns."""
        ...

    def remove_key_pair(self, data_owner_id: str, fingerprint: str) -> None:
        """Remove the key pair; removing an absent one is no error."""
        ...


KEY_STORAGE_METHODS: Final = (
    "get_key_pair",
    "list_key_pairs",
    "store_key_pair",
    "remove_key_pair",
)
