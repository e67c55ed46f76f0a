"""The methods of a storage. Any object that has them serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.models.key_pair import KeyPair

__all__ = ["KeyStorage", "Storage"]


class Storage(Protocol):
    """Named text items that outlive the program."""

    async def get_item(self, name: str) -> str | None:
        """Return the item, or None where there is none."""
        ...

    async def set_item(self, name: str, value: str) -> None:
        """Write the item; it is durable when the call returns."""
        ...

    async def remove_item(self, name: str) -> None:
        """Remove the item; removing an absent one is no error."""
        ...

    async def list_items(self, prefix: str = "") -> Sequence[str]:
        """Return the sorted names of the items that start with ``prefix``."""
        ...


class KeyStorage(Protocol):
    """The private keys that are on this device, by data owner."""

    async def get_key_pair(self, data_owner_id: str, fingerprint: str) -> KeyPair | None:
        """Return the key pair with this fingerprint (32 hex characters), or None."""
        ...

    async def list_key_pairs(self, data_owner_id: str) -> Sequence[KeyPair]:
        """Return all key pairs of the data owner that are on this device."""
        ...

    async def store_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
        """Write the key pair; it is durable when the call returns."""
        ...

    async def remove_key_pair(self, data_owner_id: str, fingerprint: str) -> None:
        """Remove the key pair; removing an absent one is no error."""
        ...
