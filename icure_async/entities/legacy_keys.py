"""Keys of entities in ``delegations`` and ``encryptionKeys``: found there, and put there.

Source: cryptography.md §5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from icure_async.crypto.encoding import new_uuid
from icure_async.crypto.exchange_keys import exchange_keys_to
from icure_async.crypto.threads import SHORT_STEPS, Turns
from icure_async.entities.delegations import (
    encrypt_entry,
    entity_key_of,
    entries_for,
    has_keys,
    open_entry,
)
from icure_async.entities.encrypted_self import ENCRYPTED_SELF, encrypt_members, encrypted_parts
from icure_async.errors import CryptoError
from icure_async.json_shapes import as_list, as_object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from icure_async.crypto.exchange_keys import WrappedKey
    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.metadata import KeySource

    Documents = Sequence[Mapping[str, Any]]

__all__ = ["KeyDirectory", "LegacyKeys"]

_DELEGATIONS: Final = "delegations"
_ENCRYPTION_KEYS: Final = "encryptionKeys"
_METADATA: Final = (
    _DELEGATIONS,
    _ENCRYPTION_KEYS,
    "cryptedForeignKeys",
    "secretForeignKeys",
    ENCRYPTED_SELF,
)


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
class _Way:
    """An entry for a delegate, and an exchange key that may open it. Its repr shows neither."""

    entry: Mapping[str, Any]
    delegate_id: str
    exchange_key: bytes


@attrs.frozen(eq=False, repr=False)
class _Source:
    """Keys in the entries that certain ways lead to."""

    crypto: Crypto
    ways: Callable[[Documents], Awaitable[list[list[_Way]]]]

    async def keys_of(self, documents: Documents, /) -> list[list[bytes]]:
        """Return the keys for each document."""
        turns = Turns()
        keys: list[list[bytes]] = []
        for ways in await self.ways(documents):
            await turns.give()
            found: list[bytes] = []
            for way in ways:
                _, key = await _entity_key(self.crypto, way)
                if key is not None:
                    found.append(key)
            keys.append(found)
        return keys


class LegacyKeys:
    """Finds keys in delegations, and writes them.

    Attributes:
        sources: our own entries, those of our parents, those for others who gave access back, and
            the same after a refresh (§5.2).
    """

    def __init__(self, crypto: Crypto, key_ring: KeyRing, directory: KeyDirectory) -> None:
        self._crypto = crypto
        self._key_ring = key_ring
        self._directory = directory
        ways = (self._own_ways, self._ways_of_parents, self._ways_given_back, self._fresh_ways)
        self.sources: Sequence[KeySource] = tuple(_Source(crypto, way) for way in ways)

    def has_keys(self, document: Mapping[str, Any], /) -> bool:
        """Return whether some ``encryptionKeys`` list is non-empty."""
        return has_keys(document)

    def delegates_of(self, document: Mapping[str, Any], /) -> set[str]:
        """Return the ids of the data owners that have delegations."""
        return set(as_object(document.get(_DELEGATIONS)))

    async def seal_new(
        self,
        document: Mapping[str, Any],
        members: Collection[str],
        exchange_keys: Mapping[str, bytes],
        *,
        key_only: Collection[str] = (),
    ) -> dict[str, Any]:
        """Return a new entity ready to be stored: delegations, keys and ``encryptedSelf`` added.

        Args:
            document: wire JSON in clear, with its ``id``. Key material of another entity is
                dropped.
            members: names of the members to encrypt.
            exchange_keys: delegate id → exchange key from the current data owner, itself first.
            key_only: those of the delegates who get the entity key without the secret id: they can
                read the entity, and can't find what belongs to it.

        Raises:
            ValueError: an element of a list is encrypted for another entity.
            CryptoError: the current data owner could not read the entity: it is not among the
                delegates, or the id has a colon.
        """
        if await self._directory.own_id() not in exchange_keys:
            raise CryptoError(
                f"Entity {document['id']} is not shared with the current data owner itself, who "
                "could never read it again: call init_user_crypto() first. Nothing was sent."
            )
        clear = {name: value for name, value in document.items() if name not in _METADATA}
        entity_key = await new_uuid(self._crypto)
        clear["cryptedForeignKeys"] = {}
        full = {name: key for name, key in exchange_keys.items() if name not in key_only}
        clear[_DELEGATIONS] = await self._entries(clear["id"], await new_uuid(self._crypto), full)
        clear[_ENCRYPTION_KEYS] = await self._entries(clear["id"], entity_key, exchange_keys)
        return await self._seal(clear, members, entity_key)

    async def seal_with_first_key(
        self,
        document: Mapping[str, Any],
        members: Collection[str],
        exchange_keys: Mapping[str, bytes],
    ) -> dict[str, Any]:
        """Return an entity that was never encrypted with an entity key, encrypted.

        Its delegations stay; those of them that ``exchange_keys`` reaches get the key.

        Raises:
            ValueError: it has keys, or is encrypted: a new key would make it unreadable.
        """
        if has_keys(document) or encrypted_parts(document):
            message = "the entity has a key already"
            raise ValueError(message)
        entity_key = await new_uuid(self._crypto)
        entries = await self._entries(document["id"], entity_key, exchange_keys)
        return await self._seal(dict(document) | {_ENCRYPTION_KEYS: entries}, members, entity_key)

    async def add_secret_id(
        self, document: Mapping[str, Any], own_id: str, exchange_key: bytes
    ) -> dict[str, Any]:
        """Return a patient with a secret id of its own, added to what others gave it (§9.1)."""
        entries = await self._entries(
            document["id"], await new_uuid(self._crypto), {own_id: exchange_key}
        )
        present = as_object(document.get(_DELEGATIONS))
        merged = present | {own_id: as_list(present.get(own_id)) + entries[own_id]}
        return dict(document) | {_DELEGATIONS: merged}

    async def check_key(self, document: Mapping[str, Any], key: bytes, /) -> None:
        """Refuse the key of an entity if it came with no exchange key that may be written with.

        A data owner with the exchange key has the key of the entity.
        """
        if not self._directory.has_policy:
            return
        names_another = False
        for find in (self._own_ways, self._ways_of_parents, self._ways_given_back):
            for way in (await find([document]))[0]:
                named, found = await _entity_key(self._crypto, way)
                if found != key:
                    continue
                # The entry that hides a patient's id in another record, where anybody can read it
                # in clear, has the same form: only the name in front tells them apart.
                if named != document["id"]:
                    names_another = True
                elif await self._directory.may_write_with(
                    way.entry["owner"], way.delegate_id, way.exchange_key
                ):
                    return
        raise _names_another(document) if names_another else _not_confirmed(document)

    async def _own_ways(self, documents: Documents) -> list[list[_Way]]:
        return await self._ways_for([await self._directory.own_id()], documents)

    async def _ways_of_parents(self, documents: Documents) -> list[list[_Way]]:
        own_id = await self._directory.own_id()
        parents = [name for name in await self._directory.hierarchy() if name != own_id]
        return await self._ways_for(parents, documents)

    async def _ways_given_back(self, documents: Documents) -> list[list[_Way]]:
        """Return the ways through what we or our parents shared, after a delegate gave it back."""
        turns = Turns()
        opened: dict[tuple[str, str], list[bytes]] = {}
        owners = await self._directory.hierarchy()
        ways: list[list[_Way]] = []
        for document in documents:
            await turns.give()
            found: list[_Way] = []
            by_delegate = _with_secrets(document)
            for owner_id, owner in owners.items():
                for delegate_id in by_delegate:
                    entries = entries_for(by_delegate, delegate_id)
                    own = [entry for entry in entries if entry["owner"] == owner_id]
                    if own and (owner_id, delegate_id) not in opened:
                        opened[owner_id, delegate_id] = await self._open(
                            exchange_keys_to(owner, delegate_id)
                        )
                    found += [
                        _Way(entry, delegate_id, key)
                        for entry in own
                        for key in opened[owner_id, delegate_id]
                    ]
            ways.append(found)
        return ways

    async def _fresh_ways(self, documents: Documents) -> list[list[_Way]]:
        await self._directory.refresh()
        own = await self._own_ways(documents)
        parents = await self._ways_of_parents(documents)
        given_back = await self._ways_given_back(documents)
        return [[*a, *b, *c] for a, b, c in zip(own, parents, given_back, strict=True)]

    async def _ways_for(
        self, delegate_ids: Sequence[str], documents: Documents
    ) -> list[list[_Way]]:
        """Return the ways through the entries for some delegates, in their order."""
        turns = Turns()
        ways: list[list[_Way]] = [[] for _ in documents]
        for delegate_id in delegate_ids:
            entries: list[list[Mapping[str, Any]]] = []
            owners: dict[str, None] = {}
            for index, document in enumerate(documents):
                if not index % SHORT_STEPS:
                    await turns.give()
                found = entries_for(_with_secrets(document), delegate_id)
                entries.append(found)
                for entry in found:
                    owners[entry["owner"]] = None
            if not owners:
                continue
            wrapped = await self._directory.exchange_keys_towards(delegate_id, list(owners))
            keys = {owner: await self._open(wrapped.get(owner, ())) for owner in owners}
            for of_document, found in zip(ways, entries, strict=True):
                of_document += [
                    _Way(entry, delegate_id, key) for entry in found for key in keys[entry["owner"]]
                ]
        return ways

    async def _open(self, wrapped: Sequence[WrappedKey]) -> list[bytes]:
        """Return those exchange keys that we can open, without doubles."""
        opened = [await self._key_ring.open(candidate) for candidate in wrapped]
        return list(dict.fromkeys(key for key in opened if key is not None))

    async def _entries(
        self, entity_id: str, secret: str, exchange_keys: Mapping[str, bytes]
    ) -> dict[str, Any]:
        own_id = await self._directory.own_id()
        return {
            delegate_id: [
                await encrypt_entry(
                    self._crypto,
                    exchange_key,
                    owner_id=own_id,
                    delegate_id=delegate_id,
                    entity_id=entity_id,
                    secret=secret,
                )
            ]
            for delegate_id, exchange_key in exchange_keys.items()
        }

    async def _seal(
        self, document: Mapping[str, Any], members: Collection[str], entity_key: str
    ) -> dict[str, Any]:
        key = bytes.fromhex(entity_key.replace("-", ""))
        return await encrypt_members(self._crypto, key, document, members)


async def _entity_key(crypto: Crypto, way: _Way) -> tuple[str | None, bytes | None]:
    """Return the entity that an entry names, and the key in it if there is one."""
    opened = await open_entry(crypto, way.exchange_key, way.entry)
    return (opened[0], entity_key_of(opened[1])) if opened else (None, None)


def _not_confirmed(document: Mapping[str, Any]) -> CryptoError:
    return CryptoError(
        f"Entity {document['id']} is encrypted with a key that came with an exchange key "
        "which was neither made on this device nor confirmed by the policy given to "
        "with_public_key_policy(): somebody else might read what is written. Nothing was "
        "sent. Have the exchange key confirmed by the data owner who shared it."
    )


def _names_another(document: Mapping[str, Any]) -> CryptoError:
    return CryptoError(
        f"Entity {document['id']} is encrypted with a key whose entry names another entity, as "
        "after two were merged, or where somebody has put it there: with a policy nothing is "
        "written with such a key. Nothing was sent. Save the content as a new entity."
    )


def _with_secrets(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the map whose entries hide the entity's key: ``delegations`` in legacy entities."""
    return as_object(document.get(_ENCRYPTION_KEYS if has_keys(document) else _DELEGATIONS))
