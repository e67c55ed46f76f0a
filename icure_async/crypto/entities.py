"""Opening and sealing entities: which key, found through which delegation.

Works on wire JSON and never changes it in place. Source: cryptography.md §5 and §6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio.lowlevel
import attrs

from icure_async.crypto.delegations import (
    encrypt_entry,
    entity_key_of,
    entries_for,
    open_entry,
    owners_of,
)
from icure_async.crypto.encoding import new_uuid
from icure_async.crypto.encrypted_self import (
    ENCRYPTED_SELF,
    decrypt_members,
    encrypt_members,
    is_encrypted,
)
from icure_async.crypto.exchange_keys import exchange_keys_to
from icure_async.crypto.shapes import as_list, as_object
from icure_async.errors import CryptoError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

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
class _Secret:
    """What an entry hides, and the exchange key that opened it. Its repr shows neither."""

    entity_id: str
    text: str = attrs.field(repr=False)
    owner_id: str
    delegate_id: str
    exchange_key: bytes = attrs.field(repr=False)


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
        opened = [await self._try_open(document) for document in documents]
        failed = [
            index
            for index, (entity, document) in enumerate(zip(opened, documents, strict=True))
            if entity is None or (entity.key is None and has_keys(document))
        ]
        if failed:
            await self._directory.refresh()
        for index in failed:
            opened[index] = await self._try_open(documents[index])
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

    async def _try_open(self, document: Mapping[str, Any]) -> OpenedEntity | None:
        # Many entities with known keys would otherwise be opened without a pause.
        await anyio.lowlevel.checkpoint()
        encrypted = is_encrypted(document)
        if encrypted or has_keys(document):
            tried: set[bytes] = set()
            async for secrets in self._secrets(document):
                for secret in secrets:
                    key = entity_key_of(secret.text)
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
        async for secrets in self._secrets(document):
            for secret in secrets:
                if entity_key_of(secret.text) != key:
                    continue
                # What hides the id of a patient in another record, where anybody can read it
                # in clear, has the same form: only the name in front tells them apart.
                if secret.entity_id != document["id"]:
                    names_another = True
                elif await self._directory.may_write_with(
                    secret.owner_id, secret.delegate_id, secret.exchange_key
                ):
                    return
        raise _names_another(document) if names_another else _not_confirmed(document)

    async def _secrets(self, document: Mapping[str, Any]) -> AsyncIterator[list[_Secret]]:
        """Yield what opens the entity for us, then for our parents, the likeliest first (§5.2)."""
        # The parents are only looked up where our own secrets don't do.
        own_id = await self._directory.own_id()
        yield await self._secrets_for(document, own_id)
        for owner_id, owner in (await self._directory.hierarchy()).items():
            if owner_id != own_id:
                yield await self._secrets_for(document, owner_id)
            yield await self._secrets_given_back(document, owner_id, owner)

    async def _secrets_for(self, document: Mapping[str, Any], delegate_id: str) -> list[_Secret]:
        """Return what the entries for a delegate hide, in the order of the entries."""
        entries = entries_for(_with_secrets(document), delegate_id)
        wrapped = await self._directory.exchange_keys_towards(delegate_id, owners_of(entries))
        return await self._open_entries(entries, delegate_id, wrapped)

    async def _secrets_given_back(
        self, document: Mapping[str, Any], owner_id: str, owner: Mapping[str, Any]
    ) -> list[_Secret]:
        """Read an owner's data through what it shared, after a delegate gave access back."""
        by_delegate = _with_secrets(document)
        secrets: list[_Secret] = []
        for delegate_id in by_delegate:
            entries = [
                entry
                for entry in entries_for(by_delegate, delegate_id)
                if entry["owner"] == owner_id
            ]
            wrapped = {owner_id: exchange_keys_to(owner, delegate_id)}
            secrets += await self._open_entries(entries, delegate_id, wrapped)
        return secrets

    async def _open_entries(
        self,
        entries: Sequence[Mapping[str, Any]],
        delegate_id: str,
        wrapped: Mapping[str, Sequence[WrappedKey]],
    ) -> list[_Secret]:
        secrets: list[_Secret] = []
        for entry in entries:
            for candidate in wrapped.get(entry["owner"], ()):
                exchange_key = await self._key_ring.open(candidate)
                if exchange_key is None:
                    continue
                opened = await open_entry(self._crypto, exchange_key, entry)
                if opened is not None:
                    secrets.append(_Secret(*opened, entry["owner"], delegate_id, exchange_key))
        return secrets

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
