"""Opening and sealing entities: which key, found through which delegation.

Works on wire JSON and never changes it in place. Source: cryptography.md §5 and §6.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
from anyio.lowlevel import checkpoint

from icure_async.crypto.encoding import new_uuid
from icure_async.crypto.exchange_keys import exchange_keys_to
from icure_async.crypto.threads import Turns
from icure_async.entities.delegations import (
    encrypt_entry,
    entity_key_of,
    entries_for,
    open_entry,
    owners_of,
)
from icure_async.entities.encrypted_self import (
    ENCRYPTED_SELF,
    decrypt_members,
    encrypt_members,
    is_encrypted,
)
from icure_async.errors import CryptoError
from icure_async.json_shapes import as_list, as_object

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence

    from icure_async.crypto.exchange_keys import WrappedKey
    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto

__all__ = ["EntityCrypto", "KeyDirectory", "OpenedEntity", "has_keys"]

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
    """Where exchange keys are looked up. What it returns may come from a cache."""

    @property
    def has_policy(self) -> bool:
        """Whether :meth:`may_write_with` ever says no."""
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


@attrs.frozen
class OpenedEntity:
    """An entity in clear, and the key it is encrypted with (None where no key is at hand).

    Its repr shows neither.
    """

    document: dict[str, Any] = attrs.field(repr=False)
    key: bytes | None = attrs.field(repr=False)


@attrs.frozen
class _Way:
    """An entry for a delegate, and an exchange key that may open it. Its repr shows neither."""

    entry: Mapping[str, Any] = attrs.field(repr=False)
    delegate_id: str
    exchange_key: bytes = attrs.field(repr=False)


class _ExchangeKeys:
    """The exchange keys for one look at some entities, each of them looked up and opened once."""

    def __init__(self, directory: KeyDirectory, key_ring: KeyRing) -> None:
        self._directory = directory
        self._key_ring = key_ring
        self._opened: dict[tuple[str, str], list[bytes]] = {}

    async def towards(
        self, delegate_id: str, owner_ids: Sequence[str]
    ) -> Mapping[str, Sequence[bytes]]:
        """Return the exchange keys from each owner to the delegate that we can open."""
        missing = [name for name in owner_ids if (delegate_id, name) not in self._opened]
        if missing:
            wrapped = await self._directory.exchange_keys_towards(delegate_id, missing)
            for name in missing:
                self._opened[delegate_id, name] = await self.open(wrapped.get(name, ()))
        return {name: self._opened[delegate_id, name] for name in owner_ids}

    async def open(self, wrapped: Iterable[WrappedKey]) -> list[bytes]:
        """Return those exchange keys that we can open, without doubles."""
        opened = [await self._key_ring.open(candidate) for candidate in wrapped]
        return list(dict.fromkeys(key for key in opened if key is not None))


class EntityCrypto:
    """Opens and seals entities on behalf of the current data owner."""

    def __init__(self, crypto: Crypto, key_ring: KeyRing, directory: KeyDirectory) -> None:
        self._crypto = crypto
        self._key_ring = key_ring
        self._directory = directory

    async def open(self, document: Mapping[str, Any]) -> OpenedEntity | None:
        """Return the entity in clear, or None where no key at hand opens it.

        Every candidate key is tried. Where none works, cached keys are refreshed once and tried
        again. An entity in which nothing is encrypted is in clear already.
        """
        return (await self.open_many([document]))[0]

    async def open_many(self, documents: Sequence[Mapping[str, Any]]) -> list[OpenedEntity | None]:
        """Do what :meth:`open` does for several entities, with one refresh for all of them."""
        opened = await self._try_open_many(documents)
        failed = [
            index
            for index, (entity, document) in enumerate(zip(opened, documents, strict=True))
            if entity is None or (entity.key is None and has_keys(document))
        ]
        if failed:
            await self._directory.refresh()
            again = await self._try_open_many([documents[index] for index in failed])
            for index, entity in zip(failed, again, strict=True):
                opened[index] = entity
        return opened

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

    async def seal_again(
        self, document: Mapping[str, Any], members: Collection[str], key: bytes
    ) -> dict[str, Any]:
        """Return a modified entity ready to be stored, encrypted with the key it had.

        Raises:
            ValueError: ``key`` does not open the document's present ``encryptedSelf``.
            CryptoError: the policy confirms none of the exchange keys that lead to ``key``.
        """
        sealed = await encrypt_members(self._crypto, key, document, members)
        if self._directory.has_policy:
            await self._check_may_write_with(document, key)
        return sealed

    async def add_key(
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
        if has_keys(document) or is_encrypted(document):
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

    async def _try_open_many(
        self, documents: Sequence[Mapping[str, Any]]
    ) -> list[OpenedEntity | None]:
        await checkpoint()
        turns = Turns()
        exchange_keys = _ExchangeKeys(self._directory, self._key_ring)
        opened: list[OpenedEntity | None] = []
        for document in documents:
            # Many entities with known keys would otherwise be opened without a pause.
            await turns.give()
            opened.append(await self._try_open(document, exchange_keys))
        return opened

    async def _try_open(
        self, document: Mapping[str, Any], exchange_keys: _ExchangeKeys
    ) -> OpenedEntity | None:
        encrypted = is_encrypted(document)
        if encrypted or has_keys(document):
            tried: set[bytes] = set()
            async with aclosing(self._ways(document, exchange_keys)) as steps:
                async for ways in steps:
                    for way in ways:
                        _, key = await self._entity_key(way)
                        if key is None or key in tried:
                            continue
                        tried.add(key)
                        try:
                            clear = await decrypt_members(self._crypto, key, document)
                        except ValueError:
                            continue
                        return OpenedEntity(clear, key)
        return None if encrypted else OpenedEntity(dict(document), None)

    async def _check_may_write_with(self, document: Mapping[str, Any], key: bytes) -> None:
        """Refuse the key of an entity if it came with no exchange key that may be written with.

        Whoever knows the exchange key knows the key of the entity.
        """
        names_another = False
        exchange_keys = _ExchangeKeys(self._directory, self._key_ring)
        async with aclosing(self._ways(document, exchange_keys)) as steps:
            async for ways in steps:
                for way in ways:
                    named, found = await self._entity_key(way)
                    if found != key:
                        continue
                    # What hides the id of a patient in another record, where anybody can read it
                    # in clear, has the same form: only the name in front tells them apart.
                    if named != document["id"]:
                        names_another = True
                    elif await self._directory.may_write_with(
                        way.entry["owner"], way.delegate_id, way.exchange_key
                    ):
                        return
        raise _names_another(document) if names_another else _not_confirmed(document)

    async def _entity_key(self, way: _Way) -> tuple[str | None, bytes | None]:
        """Return the entity that an entry names, and the key in it if there is one."""
        opened = await open_entry(self._crypto, way.exchange_key, way.entry)
        return (opened[0], entity_key_of(opened[1])) if opened else (None, None)

    async def _ways(
        self, document: Mapping[str, Any], exchange_keys: _ExchangeKeys
    ) -> AsyncGenerator[list[_Way], None]:
        """Yield what opens the entity for us, then for our parents, the likeliest first (§5.2)."""
        by_delegate = _with_secrets(document)
        # The parents are only looked up where our own entries don't do.
        own_id = await self._directory.own_id()
        yield await _ways_for(by_delegate, own_id, exchange_keys)
        for owner_id, owner in (await self._directory.hierarchy()).items():
            if owner_id != own_id:
                yield await _ways_for(by_delegate, owner_id, exchange_keys)
            yield await _ways_given_back(by_delegate, owner_id, owner, exchange_keys)

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


async def _ways_for(
    by_delegate: Mapping[str, Any], delegate_id: str, exchange_keys: _ExchangeKeys
) -> list[_Way]:
    """Return the ways through the entries for a delegate, in their order."""
    entries = entries_for(by_delegate, delegate_id)
    keys = await exchange_keys.towards(delegate_id, owners_of(entries))
    return [_Way(entry, delegate_id, key) for entry in entries for key in keys[entry["owner"]]]


async def _ways_given_back(
    by_delegate: Mapping[str, Any],
    owner_id: str,
    owner: Mapping[str, Any],
    exchange_keys: _ExchangeKeys,
) -> list[_Way]:
    """Return the ways through what an owner shared, after a delegate gave access back."""
    ways: list[_Way] = []
    for delegate_id in by_delegate:
        entries = entries_for(by_delegate, delegate_id)
        own = [entry for entry in entries if entry["owner"] == owner_id]
        if own:
            keys = await exchange_keys.open(exchange_keys_to(owner, delegate_id))
            ways += [_Way(entry, delegate_id, key) for entry in own for key in keys]
    return ways


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


def has_keys(document: Mapping[str, Any]) -> bool:
    """Return whether some ``encryptionKeys`` list is non-empty (else ``delegations`` serve)."""
    return any(as_object(document.get(_ENCRYPTION_KEYS)).values())
