"""Keys of entities in ``delegations`` and ``encryptionKeys``: found there, and put there.

Source: cryptography.md §5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.encoding import new_uuid
from icure_async.crypto.threads import Turns
from icure_async.entities.delegations import (
    encrypt_entry,
    entity_key_of,
    has_keys,
    key_map_of,
    name_in_entries,
)
from icure_async.entities.encrypted_self import (
    NOTHING_INSIDE,
    encrypt_members,
    encrypted_parts,
    opens,
)
from icure_async.entities.metadata import ReadableEntity
from icure_async.entities.secrets import SecretFinder
from icure_async.entities.ways import Ways
from icure_async.entities.wholeness import ENTITY_METADATA
from icure_async.errors import CryptoError
from icure_async.json_shapes import as_list, as_object

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.encrypted_self import EncryptedIn
    from icure_async.entities.metadata import KeySource, Parent
    from icure_async.entities.ways import Documents, FindWays, KeyDirectory, Way

__all__ = ["LegacyKeys"]

_DELEGATIONS: Final = "delegations"
_ENCRYPTION_KEYS: Final = "encryptionKeys"
_OWNING_IDS: Final = "cryptedForeignKeys"


@attrs.frozen(eq=False, repr=False)
class _Source:
    """Keys in the entries that certain ways lead to."""

    crypto: Crypto
    find: FindWays

    async def keys_of(self, documents: Documents, /) -> list[list[bytes]]:
        """Return the keys for each document, those that name it first.

        Where nothing is encrypted, every key would open it: those that name another do not count.
        """
        turns = Turns()
        keys: list[list[bytes]] = []
        found = await self.find(documents, _with_secrets)
        for document, ways in zip(documents, found, strict=True):
            await turns.give()
            own: list[bytes] = []
            others: list[bytes] = []
            for way in ways:
                named, key = await _entity_key(self.crypto, way)
                if key is not None:
                    is_own = named == name_in_entries(document["id"])
                    (own if is_own else others).append(key)
            keys.append(own + others if others and encrypted_parts(document) else own)
        return keys


class LegacyKeys:
    """Finds keys in delegations, and writes them.

    Attributes:
        sources: our own entries, those of our parents, those for others who gave access back, and
            the same after a refresh (§5.2).
        secret_finder: finds what delegates need, and gives it to them.
    """

    def __init__(self, crypto: Crypto, key_ring: KeyRing, directory: KeyDirectory) -> None:
        self._crypto = crypto
        self._directory = directory
        self._ways = Ways(key_ring, directory)
        self.secret_finder: Final = SecretFinder(crypto, self._ways, directory)
        self.sources: Sequence[KeySource] = tuple(
            _Source(crypto, find) for find in (*self._ways.known, self._ways.fresh)
        )

    def has_keys(self, document: Mapping[str, Any], /) -> bool:
        """Return whether some ``encryptionKeys`` list is non-empty."""
        return has_keys(document)

    def delegates_of(self, document: Mapping[str, Any], /) -> set[str]:
        """Return the ids of the data owners that have delegations."""
        return set(as_object(document.get(_DELEGATIONS)))

    async def secret_ids_of(self, document: Mapping[str, Any], /) -> list[str]:
        """Return the secret ids in ``delegations``, without doubles and without the entity's key.

        They are shown to the backend. In entities of the past the secret id is the key.
        """
        return list(await self._secret_ids(document))

    async def holders_of_secret_ids(self, document: Mapping[str, Any], /) -> dict[str, set[str]]:
        """Return the secret ids as :meth:`secret_ids_of`, from all, with their holders."""
        return await self._secret_ids(document, whoever_gave=True)

    async def owning_ids_of(self, documents: Documents, /) -> list[list[str]]:
        """Return for each entity the ids in ``cryptedForeignKeys``, without doubles.

        Anybody can copy an entry that names another entity into this one. Those of contacts that
        the reference made anew do (docs/spec/second-world.md §2.2): they count where the entry of
        the key that opens the contact names the same.
        """
        turns = Turns()
        owning: list[list[str]] = []
        found = await self._ways.all(documents, _with_owning_ids)
        for document, ways in zip(documents, found, strict=True):
            await turns.give()
            opened = [secret for way in ways if (secret := await way.secret(self._crypto))]
            name = name_in_entries(document["id"])
            own = [secret for named, secret in opened if named == name]
            if opened and not own:
                names = await self._former_names(document)
                own = [secret for named, secret in opened if named in names]
            owning.append(list(dict.fromkeys(own)))
        return owning

    async def _former_names(self, document: Mapping[str, Any]) -> set[str]:
        """Return the entities that entries of the key name which opens this one."""
        parts = encrypted_parts(document)
        names: set[str] = set()
        tried: dict[bytes, bool] = {}
        for way in (await self._ways.all([document], _with_secrets))[0] if parts else ():
            named, key = await _entity_key(self._crypto, way)
            if named is None or key is None:
                continue
            if key not in tried:
                tried[key] = await opens(self._crypto, key, document, parts)
            if tried[key]:
                names.add(named)
        return names

    async def lacking(self, documents: Documents, delegate_id: str, /) -> list[bool]:
        """Return for each entity whether a delegate is not known to have all of our access."""
        entities = [ReadableEntity(document, None) for document in documents]
        found = await self.secret_finder.find(entities, to_give=False)
        return [not secrets.held or bool(secrets.missing(delegate_id)) for secrets in found]

    async def seal_new(
        self,
        document: Mapping[str, Any],
        members: Collection[str],
        exchange_keys: Mapping[str, bytes],
        *,
        key_only: Collection[str] = (),
        inside: EncryptedIn = NOTHING_INSIDE,
        parent: Parent | None = None,
    ) -> dict[str, Any]:
        """Return a new entity ready to be stored: delegations, keys and ``encryptedSelf`` added.

        Args:
            document: wire JSON in clear, with its ``id``. Key material of another entity is
                dropped.
            members: names of the members to encrypt.
            exchange_keys: delegate id → exchange key from the current data owner, itself first.
            key_only: those of the delegates who get the entity key without the secret id: they can
                read the entity, and can't find what belongs to it.
            inside: members to encrypt in the elements of its lists.
            parent: the entity that it belongs to; None for none.

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
        clear = {name: value for name, value in document.items() if name not in ENTITY_METADATA}
        entity_key = await new_uuid(self._crypto)
        full = {name: key for name, key in exchange_keys.items() if name not in key_only}
        clear[_OWNING_IDS] = {}
        if parent is not None:
            clear["secretForeignKeys"] = list(parent.secret_ids)
            entries = await self._entries(clear["id"], parent.entity_id, full)
            clear[_OWNING_IDS] = entries
        clear[_DELEGATIONS] = await self._entries(clear["id"], await new_uuid(self._crypto), full)
        clear[_ENCRYPTION_KEYS] = await self._entries(clear["id"], entity_key, exchange_keys)
        return await self._seal(clear, members, inside, entity_key)

    async def seal_with_first_key(
        self,
        document: Mapping[str, Any],
        members: Collection[str],
        exchange_keys: Mapping[str, bytes],
        *,
        inside: EncryptedIn = NOTHING_INSIDE,
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
        keyed = dict(document) | {_ENCRYPTION_KEYS: entries}
        return await self._seal(keyed, members, inside, entity_key)

    async def add_secret_id(
        self, document: Mapping[str, Any], own_id: str, exchange_key: bytes
    ) -> dict[str, Any]:
        """Return a patient with a secret id of its own, added to what others gave it.

        Source: cryptography.md §9.1.
        """
        entries = await self._entries(
            document["id"], await new_uuid(self._crypto), {own_id: exchange_key}
        )
        present = as_object(document.get(_DELEGATIONS))
        merged = present | {own_id: as_list(present.get(own_id)) + entries[own_id]}
        return dict(document) | {_DELEGATIONS: merged}

    async def authors_of(self, document: Mapping[str, Any]) -> set[str]:
        """Return the ids of those who have given us, or our parents, the key of an entity.

        That they know the exchange key with us proves it, unless somebody has put another exchange
        key into their document.
        """
        found: set[str] = set()
        for find in (self._ways.own, self._ways.of_parents, self._ways.fresh):
            for way in (await find([document], _with_secrets))[0] if not found else ():
                named, key = await _entity_key(self._crypto, way)
                if named == name_in_entries(document["id"]) and key is not None:
                    found.add(str(way.entry["owner"]))
        return found

    async def check_key(self, document: Mapping[str, Any], key: bytes, /) -> None:
        """Refuse the key of an entity if it came with no exchange key that may be written with.

        A data owner with the exchange key has the key of the entity.
        """
        if not self._directory.has_policy:
            return
        names_another = False
        for find in self._ways.known:
            for way in (await find([document], _with_secrets))[0]:
                named, found = await _entity_key(self._crypto, way)
                if found != key:
                    continue
                # The entry that hides a patient's id in another record, where anybody can read it
                # in clear, has the same form: only the name in front tells them apart.
                if named != name_in_entries(document["id"]):
                    names_another = True
                elif await self._directory.may_write_with(
                    way.entry["owner"], way.delegate_id, way.exchange_key
                ):
                    return
        raise _names_another(document) if names_another else _not_confirmed(document)

    async def _secret_ids(
        self, document: Mapping[str, Any], *, whoever_gave: bool = False
    ) -> dict[str, set[str]]:
        (secrets,) = await self.secret_finder.find(
            [ReadableEntity(document, None)], whoever_gave=whoever_gave
        )
        found: dict[str, set[str]] = {}
        for secret in secrets.held.get(_DELEGATIONS, {}):
            if not await self._is_key(document, secret[1]):
                found[secret[1]] = secrets.holders_of(_DELEGATIONS, secret)
        return found

    async def _is_key(self, document: Mapping[str, Any], secret: str) -> bool:
        """Return whether a secret decrypts what is encrypted in an entity."""
        key, parts = entity_key_of(secret), encrypted_parts(document)
        return key is not None and bool(parts) and await opens(self._crypto, key, document, parts)

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
        self,
        document: Mapping[str, Any],
        members: Collection[str],
        inside: EncryptedIn,
        entity_key: str,
    ) -> dict[str, Any]:
        key = bytes.fromhex(entity_key.replace("-", ""))
        return await encrypt_members(self._crypto, key, document, members, inside)


async def _entity_key(crypto: Crypto, way: Way) -> tuple[str | None, bytes | None]:
    """Return the entity that an entry names, and the key in it if there is one."""
    opened = await way.secret(crypto)
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


def _with_owning_ids(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return as_object(document.get(_OWNING_IDS))


def _with_secrets(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the map whose entries hide the entity's key: ``delegations`` in legacy entities."""
    return as_object(document.get(key_map_of(document)))
