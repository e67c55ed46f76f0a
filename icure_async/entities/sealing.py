"""Opening and sealing entities with the keys that their metadata yields.

Works on wire JSON and never changes it in place. Source: cryptography.md §5 and §6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from icure_async.crypto.threads import SHORT_STEPS, Turns
from icure_async.entities.encrypted_self import (
    NOTHING_INSIDE,
    decrypt_members,
    encrypt_members,
    encrypted_parts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.encrypted_self import EncryptedIn
    from icure_async.entities.metadata import EntityKeys

__all__ = ["EntityCrypto", "OpenedEntity"]

Taken = TypeVar("Taken")


@attrs.frozen
class OpenedEntity:
    """An entity in clear, and the key it is encrypted with (None where none was found).

    Its repr shows neither.
    """

    document: dict[str, Any] = attrs.field(repr=False)
    key: bytes | None = attrs.field(repr=False)


@attrs.define(eq=False, repr=False)
class _Closed:
    """An entity that no key has opened so far."""

    document: Mapping[str, Any]
    parts: Sequence[str]
    tried: set[bytes] = attrs.field(factory=set[bytes])


class EntityCrypto:
    """Opens and seals entities on behalf of the current data owner."""

    def __init__(self, crypto: Crypto, keys: EntityKeys) -> None:
        self._crypto = crypto
        self._keys = keys

    async def open(self, document: Mapping[str, Any]) -> OpenedEntity | None:
        """Return the entity in clear, or None where no key opens it.

        Every key that the metadata yields is tried. An entity in which nothing is encrypted is in
        clear already.
        """
        return (await self.open_many([document]))[0]

    async def open_many(self, documents: Sequence[Mapping[str, Any]]) -> list[OpenedEntity | None]:
        """Return several entities like :meth:`open`, asking each source of keys once."""
        return await self.open_each(documents, lambda _, opened: opened)

    async def open_each(
        self,
        documents: Sequence[Mapping[str, Any]],
        take: Callable[[Mapping[str, Any], OpenedEntity | None], Taken],
    ) -> list[Taken]:
        """Open several entities, and return what is made of each.

        A document is let go as soon as it is taken. The garbage collector looks at all that is
        alive, and a caller who does not keep the documents either spares it much work.

        Args:
            documents: the entities.
            take: makes something of an entity and the same in clear, if a key opens it.
        """
        turns = Turns()
        taken: dict[int, Taken] = {}
        closed: dict[int, _Closed] = {}
        for index, document in enumerate(documents):
            if not index % SHORT_STEPS:
                await turns.give()
            parts = encrypted_parts(document)
            if parts or self._keys.has_keys(document):
                closed[index] = _Closed(document, parts)
            else:
                taken[index] = take(document, OpenedEntity(dict(document), None))
        del documents
        for source in self._keys.sources:
            if not closed:
                break
            found_keys = await source.keys_of([entity.document for entity in closed.values()])
            for index, keys in zip(list(closed), found_keys, strict=True):
                await turns.give()
                opened = await self._try(closed[index], keys)
                if opened is not None:
                    taken[index] = take(closed.pop(index).document, opened)
        for index, entity in closed.items():
            await turns.give()
            in_clear = None if entity.parts else OpenedEntity(dict(entity.document), None)
            taken[index] = take(entity.document, in_clear)
        return [taken[index] for index in range(len(taken))]

    async def seal_again(
        self,
        document: Mapping[str, Any],
        members: Collection[str],
        key: bytes,
        *,
        inside: EncryptedIn = NOTHING_INSIDE,
    ) -> dict[str, Any]:
        """Return a modified entity ready to be stored, encrypted with the key it had.

        Args:
            document: the entity, in clear.
            members: names of the members to encrypt, besides those that were.
            key: the key.
            inside: members to encrypt in the elements of its lists.

        Raises:
            ValueError: ``key`` does not open the document's present ``encryptedSelf``.
            CryptoError: nothing that the policy confirms leads to ``key``.
        """
        sealed = await encrypt_members(self._crypto, key, document, members, inside)
        await self._keys.check_key(document, key)
        return sealed

    async def _try(self, entity: _Closed, keys: Iterable[bytes]) -> OpenedEntity | None:
        for key in keys:
            if key in entity.tried:
                continue
            entity.tried.add(key)
            try:
                clear = await decrypt_members(self._crypto, key, entity.document, entity.parts)
            except ValueError:
                continue
            return OpenedEntity(clear, key)
        return None
