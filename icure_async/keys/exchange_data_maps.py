"""The members of new delegations that say between whom they are, and the maps for those left out.

Source: today.md §5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.crypto.exchange_data import wrap_for
from icure_async.crypto.recent import Recent
from icure_async.entities.secure_delegations import parties
from icure_async.json_shapes import as_object
from icure_async.keys.exchange_data_cache import ENTITY_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icure_async.crypto.exchange_data import EncryptionKey
    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.exchange_data import UsableExchangeData
    from icure_async.entities.secure_delegations import Parties
    from icure_async.keys.exchange_data import ExchangeDataDirectory
    from icure_async.rest.exchange_data import ExchangeDataMapResource

__all__ = ["ExchangeDataMaps"]

_KEPT: Final = 8192


class ExchangeDataMaps:
    """Says whom delegations name, and writes the maps that those named alone need."""

    def __init__(
        self, crypto: Crypto, resource: ExchangeDataMapResource, directory: ExchangeDataDirectory
    ) -> None:
        self._crypto = crypto
        self._resource = resource
        self._directory = directory
        # Delegation keys of maps that are known to be there.
        self._written: Recent[str, bool] = Recent(_KEPT)

    async def parties(self, data: UsableExchangeData) -> Parties:
        """Return the members of delegations with this exchange data that may name data owners.

        Raises:
            NotFoundError: nobody can tell whether the delegate is anonymous.
        """
        anonymous = {name for name in data.members if await self._directory.is_anonymous(name)}
        return parties(data.delegator, data.delegate, data.id, anonymous=anonymous)

    async def entry(self, data: UsableExchangeData) -> Mapping[str, str]:
        """Return the id of exchange data, encrypted for those keys of the one who is named alone.

        It is by V2 fingerprint, and empty where both are named, or none.
        """
        reader = (await self.parties(data)).in_map
        if reader is None:
            return {}
        keys = await self._directory.encryption_keys_to(data, reader)
        return await wrap_for(self._crypto, data.id.encode(), keys)

    async def write(self, entity_type: str, exchange_data: Iterable[UsableExchangeData]) -> None:
        """Write the maps that are not known to be there, all at once."""
        missing = [
            data
            for data in exchange_data
            if not self.is_written(data.secrets.delegation_key(entity_type))
        ]
        entries = {
            data.secrets.access_control_key(entity_type).hex(): entry
            for data in missing
            if (entry := await self.entry(data))
        }
        if entries:
            await self._resource.add(entries)
        for data in missing:
            self.note_written(data.secrets.delegation_key(entity_type))

    async def add_key(
        self, exchange_data: Iterable[UsableExchangeData], key: EncryptionKey
    ) -> None:
        """Let the maps that are there lead a data owner with a new key to exchange data.

        Args:
            exchange_data: what is encrypted for the key by now.
            key: of the one who is named alone.
        """
        named = [data for data in exchange_data if await self._is_for(data, key)]
        by_name = {
            data.secrets.delegation_key(entity_type): (data, entity_type)
            for data in named
            for entity_type in ENTITY_TYPES
        }
        entries: dict[str, Mapping[str, str]] = {}
        for document in await self._resource.get_many(list(by_name)):
            if key.fingerprint not in as_object(document.get("encryptedExchangeDataIds")):
                data, entity_type = by_name[document["id"]]
                access_key = data.secrets.access_control_key(entity_type).hex()
                entries[access_key] = await wrap_for(self._crypto, data.id.encode(), [key])
        if entries:
            await self._resource.add(entries)

    async def _is_for(self, data: UsableExchangeData, key: EncryptionKey) -> bool:
        """Return whether a map that leads to exchange data is for the owner of a key."""
        reader = (await self.parties(data)).in_map
        if reader is None:
            return False
        keys = await self._directory.encryption_keys_to(data, reader)
        return key.public_key.lower() in (one.public_key.lower() for one in keys)

    def is_written(self, delegation_key: str) -> bool:
        """Return whether a map is known to be there, or not to be needed."""
        return self._written.get(delegation_key) is not None

    def note_written(self, delegation_key: str) -> None:
        """Take note of a map that is there, or not needed."""
        self._written.put(delegation_key, True)
