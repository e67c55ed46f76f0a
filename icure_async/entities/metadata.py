"""The seam between entities and a flavour of metadata, which says who can read them.

A flavour takes many documents at a time: where keys are documents of their own, one document at a
time would cost a request per entity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from icure_async.errors import CryptoError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from icure_async.entities.kinds import EntityKind
    from icure_async.errors import ICureError

__all__ = [
    "EncryptionMetadata",
    "EntityKeys",
    "Granted",
    "KeySource",
    "Parent",
    "ReadableEntity",
    "Readers",
    "Shared",
    "not_encryptable",
]

Granted = Literal["given", "present"]
"""The access of a delegate: given just now, or complete before."""


@attrs.frozen(eq=False, repr=False)
class Parent:
    """The entity that new ones belong to: the patient of a contact.

    Attributes:
        entity_id: its id, which only readers of the new ones may see.
        secret_ids: those of its secret ids by which the new ones are found. The backend sees them.
        known_to: secret id → data owners who are known to have it; empty where nothing is to be
            chosen among the secret ids.
    """

    entity_id: str
    secret_ids: Sequence[str]
    known_to: Mapping[str, Collection[str]] = attrs.field(factory=dict[str, "Collection[str]"])

    def chosen_for(self, delegates: Collection[str]) -> Parent:
        """Return the same with as few secret ids as it takes for delegates to find the new ones.

        That is one in general: the first, or the one that most of the delegates have.
        """
        if not self.known_to:
            return self
        chosen: list[str] = []
        blind = set(delegates)
        while True:
            reached = {one: len(blind & {*self.known_to.get(one, ())}) for one in self.secret_ids}
            best = max(self.secret_ids, key=lambda one: reached[one])
            if chosen and not reached[best]:
                return attrs.evolve(self, secret_ids=chosen, known_to={})
            chosen.append(best)
            blind -= {*self.known_to.get(best, ())}


@attrs.frozen(eq=False, repr=False)
class Readers:
    """The data owners that get access to an entity, besides the current one.

    Attributes:
        delegates: those who get all of it.
        key_only: those who get the key without the secret id: they can read the entity, and can't
            find what belongs to it.
        required: those of the delegates that must get access: without them it is not created.
        parent: the entity that the new one belongs to; None for none.
    """

    delegates: Sequence[str] = ()
    key_only: Sequence[str] = ()
    required: Sequence[str] = ()
    parent: Parent | None = None


@attrs.frozen(eq=False, repr=False)
class ReadableEntity:
    """An entity to be shared.

    Attributes:
        document: wire JSON, as it is stored.
        key: the key that opens it; None where nothing in it is encrypted, or no key opens it.
        owner_id: the entity that it is known to belong to; None where that is not known.
    """

    document: Mapping[str, Any]
    key: bytes | None
    owner_id: str | None = None


@attrs.frozen(eq=False, repr=False)
class Shared:
    """An entity, and the access that delegates have once it is stored.

    Attributes:
        document: to be stored; the very object that was passed where there is nothing to store.
        access: delegate id → its access, or the reason why it gets none.
        is_stored: whether the document is the entity as the backend has it now, so that nothing is
            left to be stored.
    """

    document: Mapping[str, Any]
    access: Mapping[str, Granted | ICureError]
    is_stored: bool = False


class KeySource(Protocol):
    """A source of keys of entities."""

    async def keys_of(self, documents: Sequence[Mapping[str, Any]], /) -> Sequence[Sequence[bytes]]:
        """Return for each document the keys that may open it, the likeliest first."""
        ...


class EntityKeys(Protocol):
    """The keys of entities, as a flavour of metadata holds them."""

    @property
    def sources(self) -> Sequence[KeySource]:
        """The sources of keys, the cheapest first.

        A later one is asked about what no earlier one has opened.
        """
        ...

    def has_keys(self, document: Mapping[str, Any], /) -> bool:
        """Return whether the metadata says that there is a key."""
        ...

    def delegates_of(self, document: Mapping[str, Any], /) -> set[str]:
        """Return the ids of the data owners that the entity is shared with."""
        ...

    async def authors_of(self, document: Mapping[str, Any], /) -> set[str]:
        """Return the ids of those who have given us, or our parents, the key of an entity."""
        ...

    async def check_key(self, document: Mapping[str, Any], key: bytes, /) -> None:
        """Refuse to encrypt new content with the key of an entity that others may know.

        Raises:
            CryptoError: nothing that the policy confirms leads to the key.
        """
        ...


class EncryptionMetadata(EntityKeys, Protocol):
    """One flavour of metadata: reading, and granting access."""

    async def prepare(
        self,
        kind: EntityKind[Any, Any],
        documents: Sequence[Mapping[str, Any]],
        readers: Readers,
        /,
    ) -> Sequence[dict[str, Any] | CryptoError]:
        """Return new entities ready to be stored; may send requests first, for all together.

        A CryptoError takes the place of one that can't be encrypted.

        Args:
            kind: what they are.
            documents: wire JSON in clear, with an id. Key material of another entity is dropped.
            readers: those who get access.

        Raises:
            CryptoError: the current data owner, or a required delegate, could not read them.
        """
        ...

    async def add_key(
        self, kind: EntityKind[Any, Any], document: Mapping[str, Any], delegates: Sequence[str], /
    ) -> dict[str, Any]:
        """Return an entity that never had a key, encrypted for all who have access to it.

        Args:
            kind: what it is.
            document: wire JSON in clear.
            delegates: those who get access besides.
        """
        ...

    async def share(
        self,
        kind: EntityKind[Any, Any],
        entities: Sequence[ReadableEntity],
        delegates: Sequence[str],
        /,
    ) -> Sequence[Shared]:
        """Return entities with everything in it that it takes for delegates to read them.

        They get each key and each secret id that the current data owner can open. Requests that
        this takes are sent first, for all entities and delegates together, and none where nothing
        is missing. The current data owner's own document, with which they go out, comes alone.

        Args:
            kind: what the entities are.
            entities: those to share.
            delegates: ids of other data owners.

        Raises:
            CryptoError: no key pair of the current data owner is in use.
            ConflictError: its document keeps changing under our hands.
        """
        ...

    async def secret_ids_of(self, document: Mapping[str, Any], /) -> Sequence[str]:
        """Return the secret ids of an entity that may be passed on.

        The backend may see them: none of them is a key of the entity.
        """
        ...

    async def holders_of_secret_ids(
        self, document: Mapping[str, Any], /
    ) -> Mapping[str, Collection[str]]:
        """Return the secret ids of an entity, by which what belongs to it is found.

        The backend may see them, as those of :meth:`secret_ids_of`, from all data owners.

        Returns:
            Secret id → the data owners who are known to have it, the current one's own first.
        """
        ...

    async def owning_ids_of(
        self, documents: Sequence[Mapping[str, Any]], /
    ) -> Sequence[Sequence[str]]:
        """Return for each entity the ids of those that it belongs to, as far as that is readable.

        Those who could write the entity say so: it is no proof.
        """
        ...

    async def lacking(
        self, documents: Sequence[Mapping[str, Any]], delegate_id: str, /
    ) -> Sequence[bool]:
        """Return for each entity whether a delegate is not known to have all of our access to it.

        That holds of one that the current data owner has no access to itself.
        """
        ...


def not_encryptable(noun: str) -> CryptoError:
    """Return the error for a new entity with content that can't be encrypted for it."""
    return CryptoError(
        f"A list of this {noun} has elements that are encrypted for the one they were copied from, "
        "or a value that JSON has not: build them anew from their values. Nothing was sent."
    )
