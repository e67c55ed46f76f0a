"""Secrets of entities, given to further delegates in every map of entries.

Source: cryptography.md §5.3, §5.4. Unlike the reference, a delegate counts as having a secret only
where an entry that we can open proves it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.encoding import new_uuid
from icure_async.crypto.threads import Turns
from icure_async.entities.delegations import (
    KEY_MAPS,
    LEGACY_MAPS,
    encrypt_entry,
    entity_key_of,
    entries_for,
    key_map_of,
    name_in_entries,
    open_entry,
)
from icure_async.entities.encrypted_self import encrypted_parts
from icure_async.json_shapes import as_list, as_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.metadata import ReadableEntity
    from icure_async.entities.ways import KeyDirectory, Way, Ways

__all__ = ["EntitySecrets", "SecretFinder"]

_SECRET_IDS: Final = LEGACY_MAPS[1]
_OWNING_IDS: Final = LEGACY_MAPS[2]

Secret = tuple[str, str]
"""The entity that an entry names, and the secret of the entry."""


@attrs.define(eq=False, repr=False)
class EntitySecrets:
    """The secrets of an entity that we hold, and those that delegates have. Its repr shows none.

    Attributes:
        entity: the entity.
        held: map of entries → secrets that may be passed on, the key that opens the entity first.
    """

    entity: ReadableEntity
    held: dict[str, dict[Secret, None]] = attrs.field(factory=dict[str, dict[Secret, None]])
    _had: set[tuple[str, str, Secret]] = attrs.field(factory=set[tuple[str, str, Secret]])
    _keys: set[bytes | str] = attrs.field(factory=set[bytes | str])

    def on(self, document: Mapping[str, Any]) -> EntitySecrets:
        """Return the same secrets of the entity with other members changed."""
        entity = attrs.evolve(self.entity, document=document)
        return attrs.evolve(self, entity=entity)

    def note_key(self, secret: Secret) -> None:
        """Note a secret that is a key of some entity, whether or not it may be passed on."""
        self._keys.add(_value(secret))

    def belongs(self, name: str, secret: Secret) -> bool:
        """Return whether a secret of a map is this entity's own.

        Somebody who writes documents can copy an entry of another entity into this one: passed on,
        it would open that one. All maps have entries of the same form, so that the key of another
        may come as a secret id, under the name of an entity that was merged into this one.
        """
        document, key = self.entity.document, self.entity.key
        is_key_map = name == key_map_of(document)
        opens = key is not None and entity_key_of(secret[1]) == key
        if is_key_map and opens and encrypted_parts(document):
            # Some contacts were made anew, and keep the key that names the old one.
            return True
        if secret[0] != name_in_entries(document["id"]):
            return False
        # Secret ids are shown to the backend.
        return is_key_map or _value(secret) not in {*self._keys, key}

    def note(self, name: str, secret: Secret, holders: Sequence[str]) -> None:
        """Note a secret of a map, and the data owners who are known to have it."""
        secrets = self.held.get(name, {})
        is_key = self.entity.key is not None and entity_key_of(secret[1]) == self.entity.key
        # Other SDKs try the first key only.
        self.held[name] = {secret: None} | secrets if is_key else secrets | {secret: None}
        for holder in holders:
            self.note_holder(name, secret, holder)

    async def complete_link(self, crypto: Crypto) -> None:
        """Add what an entity that belongs to another one lacks to be found by those who get it.

        Contacts that the reference made anew have entries that name the old one, and are not passed
        on (docs/spec/second-world.md §2.2).
        """
        name, owner_id = name_in_entries(self.entity.document["id"]), self.entity.owner_id
        if not self.held.get(_SECRET_IDS):
            self.held[_SECRET_IDS] = {(name, await new_uuid(crypto)): None}
        if owner_id is not None and not self.held.get(_OWNING_IDS):
            self.held[_OWNING_IDS] = {(name, owner_id): None}

    def note_holder(self, name: str, secret: Secret, holder: str) -> None:
        """Note that a data owner has a secret of a map."""
        self._had.add((name, holder, secret))

    def holders_of(self, name: str, secret: Secret) -> set[str]:
        """Return the data owners who are known to have a secret of a map."""
        return {holder for one, holder, had in self._had if (one, had) == (name, secret)}

    @property
    def has_key(self) -> bool:
        """True unless the key that opens the entity is not among those that may be passed on."""
        key = self.entity.key
        secrets = self.held.get(key_map_of(self.entity.document), {})
        return key is None or any(entity_key_of(secret) == key for _, secret in secrets)

    def missing(self, delegate_id: str) -> dict[str, list[Secret]]:
        """Return the secrets that a delegate has not, by map; nothing where it has all."""
        missing = {
            name: [secret for secret in secrets if (name, delegate_id, secret) not in self._had]
            for name, secrets in self.held.items()
        }
        return {name: secrets for name, secrets in missing.items() if secrets}


class SecretFinder:
    """Finds the secrets of entities, and gives them to delegates."""

    def __init__(self, crypto: Crypto, ways: Ways, directory: KeyDirectory) -> None:
        self._crypto = crypto
        self._ways = ways
        self._directory = directory

    async def find(
        self,
        entities: Sequence[ReadableEntity],
        *,
        to_give: bool = True,
        whoever_gave: bool = False,
    ) -> list[EntitySecrets]:
        """Return the secrets of many entities.

        Args:
            entities: those to look into.
            to_give: whether only those count that may be passed on.
            whoever_gave: whether those count, too, that came with an exchange key which the policy
                does not confirm.
        """
        found = [EntitySecrets(entity) for entity in entities]
        documents = [entity.document for entity in entities]
        turns = Turns()
        for name in LEGACY_MAPS:
            ways = await self._ways.all(documents, functools.partial(_entries, name))
            for secrets, of_document in zip(found, ways, strict=True):
                for way in of_document:
                    await turns.give()
                    await self._take(name, way, secrets, to_give=to_give, whoever_gave=whoever_gave)
        return found

    async def give(
        self, secrets: EntitySecrets, exchange_keys: Mapping[str, bytes], own_id: str
    ) -> tuple[Mapping[str, Any], set[str]]:
        """Return an entity with one entry more for each secret that a delegate has not.

        Nothing else in it changes; it is the same object where nothing is missing.

        Args:
            secrets: of the entity.
            exchange_keys: delegate id → exchange key from the current data owner.
            own_id: id of the current data owner.

        Returns:
            The entity, and the delegates who get something.
        """
        document = secrets.entity.document
        given: set[str] = set()
        for delegate_id, exchange_key in exchange_keys.items():
            # The exchange key may be younger than what was known when the secrets were found.
            await self._note_present(secrets, delegate_id, exchange_key, own_id)
            for name, missing in secrets.missing(delegate_id).items():
                added = [
                    await encrypt_entry(
                        self._crypto,
                        exchange_key,
                        owner_id=own_id,
                        delegate_id=delegate_id,
                        entity_id=entity_id,
                        secret=secret,
                    )
                    for entity_id, secret in missing
                ]
                present = as_object(document.get(name))
                entries = as_list(present.get(delegate_id)) + added
                document = {**document, name: {**present, delegate_id: entries}}
                given.add(delegate_id)
        return document, given

    async def _note_present(
        self, secrets: EntitySecrets, delegate_id: str, exchange_key: bytes, own_id: str
    ) -> None:
        """Note the secrets that a delegate has from us, with this exchange key."""
        for name in LEGACY_MAPS:
            entries = entries_for(secrets.entity.document.get(name), delegate_id)
            for entry in entries:
                secret = await open_entry(self._crypto, exchange_key, entry)
                if secret is not None and entry["owner"] == own_id:
                    secrets.note_holder(name, secret, delegate_id)

    async def _take(
        self, name: str, way: Way, secrets: EntitySecrets, *, to_give: bool, whoever_gave: bool
    ) -> None:
        secret = await way.secret(self._crypto)
        if secret is None:
            return
        if name == KEY_MAPS[0]:
            secrets.note_key(secret)
        if to_give and not secrets.belongs(name, secret):
            return
        if (
            to_give
            and not whoever_gave
            and not await self._is_confirmed(name, way, secret, secrets)
        ):
            return
        # The author of an entry has what it hides.
        secrets.note(name, secret, (way.delegate_id, str(way.entry["owner"])))

    async def _is_confirmed(
        self, name: str, way: Way, secret: Secret, secrets: EntitySecrets
    ) -> bool:
        """Return whether the policy lets a secret of the entity go out under our name."""
        if not self._directory.has_policy:
            return True
        document = secrets.entity.document
        if name == key_map_of(document) and secret[0] != name_in_entries(document["id"]):
            # An entry that hides a public id has the same form as a key, except for this name.
            return False
        owner_id = str(way.entry["owner"])
        return await self._directory.may_write_with(owner_id, way.delegate_id, way.exchange_key)


def _entries(name: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    return as_object(document.get(name))


def _value(secret: Secret) -> bytes | str:
    """Return a secret in one spelling."""
    return entity_key_of(secret[1]) or secret[1]
