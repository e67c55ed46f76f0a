"""Ways to the secrets of entities: entries, and the exchange keys that may open them.

Source: cryptography.md §5.2.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from icure_async.crypto.exchange_keys import exchange_keys_to
from icure_async.crypto.threads import SHORT_STEPS, Turns
from icure_async.entities.delegations import entries_for, open_entry

if TYPE_CHECKING:
    from icure_async.crypto.exchange_keys import WrappedKey
    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto

Documents = Sequence[Mapping[str, Any]]
EntriesOf = Callable[[Mapping[str, Any]], Mapping[str, Any]]
FindWays = Callable[[Documents, EntriesOf], Awaitable[list[list["Way"]]]]

__all__ = ["KeyDirectory", "Way", "Ways"]


class KeyDirectory(Protocol):
    """The directory of exchange keys. Its answers may come from a cache."""

    @property
    def has_policy(self) -> bool:
        """True if :meth:`may_write_with` may say no."""
        ...

    async def own_id(self) -> str:
        """Return the id of the current data owner."""
        ...

    async def hierarchy(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the current data owner and its parents, nearest first: id → wire JSON.

        A parent that can't be read has no members.
        """
        ...

    async def exchange_keys_towards(
        self, delegate_id: str, delegator_ids: Sequence[str]
    ) -> Mapping[str, Sequence[WrappedKey]]:
        """Return the exchange keys from each delegator to the delegate, as far as there are any."""
        ...

    async def refresh(self) -> None:
        """Forget what is cached."""
        ...

    async def may_write_with(self, owner_id: str, delegate_id: str, exchange_key: bytes) -> bool:
        """Return whether an exchange key of that owner to that delegate may protect new content."""
        ...


@attrs.define(eq=False, repr=False)
class Way:
    """An entry for a delegate, and an exchange key that may open it. Its repr shows neither."""

    entry: Mapping[str, Any]
    delegate_id: str
    exchange_key: bytes

    async def secret(self, crypto: Crypto) -> tuple[str, str] | None:
        """Return the entity that the entry names, and its secret, if the exchange key opens it."""
        return await open_entry(crypto, self.exchange_key, self.entry)


class Ways:
    """Finds the ways of the current data owner, in one of the maps of many entities at a time.

    Args:
        key_ring: opens exchange keys.
        directory: looks them up.
    """

    def __init__(self, key_ring: KeyRing, directory: KeyDirectory) -> None:
        self._key_ring = key_ring
        self._directory = directory

    @property
    def known(self) -> Sequence[FindWays]:
        """The ways that need no refresh: through entries for us, for our parents, given back."""
        return (self.own, self.of_parents, self.given_back)

    async def own(self, documents: Documents, entries_of: EntriesOf) -> list[list[Way]]:
        """Return the ways through the entries for ourselves.

        Args:
            documents: the entities.
            entries_of: returns the map of an entity that is meant: delegate id → entries.
        """
        return await self._for([await self._directory.own_id()], documents, entries_of)

    async def of_parents(self, documents: Documents, entries_of: EntriesOf) -> list[list[Way]]:
        """Return the ways through the entries for our parents."""
        own_id = await self._directory.own_id()
        parents = [name for name in await self._directory.hierarchy() if name != own_id]
        return await self._for(parents, documents, entries_of)

    async def given_back(self, documents: Documents, entries_of: EntriesOf) -> list[list[Way]]:
        """Return the ways through what we or our parents shared, after a delegate gave it back."""
        turns = Turns()
        opened: dict[tuple[str, str], list[bytes]] = {}
        owners = await self._directory.hierarchy()
        ways: list[list[Way]] = []
        for document in documents:
            await turns.give()
            found: list[Way] = []
            by_delegate = entries_of(document)
            for owner_id, owner in owners.items():
                for delegate_id in by_delegate:
                    entries = entries_for(by_delegate, delegate_id)
                    own = [entry for entry in entries if entry["owner"] == owner_id]
                    if own and (owner_id, delegate_id) not in opened:
                        opened[owner_id, delegate_id] = await self._open(
                            exchange_keys_to(owner, delegate_id)
                        )
                    found += [
                        Way(entry, delegate_id, key)
                        for entry in own
                        for key in opened[owner_id, delegate_id]
                    ]
            ways.append(found)
        return ways

    async def fresh(self, documents: Documents, entries_of: EntriesOf) -> list[list[Way]]:
        """Return all of these ways after a refresh."""
        await self._directory.refresh()
        return await self.all(documents, entries_of)

    async def all(self, documents: Documents, entries_of: EntriesOf) -> list[list[Way]]:
        """Return the ways of all kinds."""
        found = [await find(documents, entries_of) for find in self.known]
        return [
            [way for ways in of_document for way in ways]
            for of_document in zip(*found, strict=True)
        ]

    async def _for(
        self, delegate_ids: Sequence[str], documents: Documents, entries_of: EntriesOf
    ) -> list[list[Way]]:
        """Return the ways through the entries for some delegates, in their order."""
        turns = Turns()
        ways: list[list[Way]] = [[] for _ in documents]
        for delegate_id in delegate_ids:
            entries: list[list[Mapping[str, Any]]] = []
            owners: dict[str, None] = {}
            for index, document in enumerate(documents):
                if not index % SHORT_STEPS:
                    await turns.give()
                found = entries_for(entries_of(document), delegate_id)
                entries.append(found)
                for entry in found:
                    owners[entry["owner"]] = None
            if not owners:
                continue
            wrapped = await self._directory.exchange_keys_towards(delegate_id, list(owners))
            keys = {owner: await self._open(wrapped.get(owner, ())) for owner in owners}
            for of_document, found in zip(ways, entries, strict=True):
                of_document += [
                    Way(entry, delegate_id, key) for entry in found for key in keys[entry["owner"]]
                ]
        return ways

    async def _open(self, wrapped: Sequence[WrappedKey]) -> list[bytes]:
        """Return those exchange keys that we can open, without doubles."""
        opened = [await self._key_ring.open(candidate) for candidate in wrapped]
        return list(dict.fromkeys(key for key in opened if key is not None))
