"""Opening and sealing entities with the keys that their metadata yields.

Works on wire JSON and never changes it in place. Source: cryptography.md §5 and §6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from icure_async.crypto.threads import SHORT_STEPS, Turns
from icure_async.entities.encrypted_self import (
    decrypt_members,
    encrypt_members,
    encrypted_parts,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.metadata import EntityKeys

__all__ = ["EntityCrypto", "OpenedEntity"]


@attrs.frozen
class OpenedEntity:
    """An entity in clear, and the key it is encrypted with (None where none was found).

    Its repr shows neither.
    """

    document: dict[str, Any] = attrs.field(repr=False)
    key: bytes | None = attrs.field(repr=False)


@attrs.define
class _Closed:
    """An entity that no key has opened so far."""

    index: int
    document: Mapping[str, Any] = attrs.field(repr=False)
    parts: Sequence[str]
    tried: set[bytes] = attrs.field(factory=set[bytes], repr=False)


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
        turns = Turns()
        opened: list[OpenedEntity | None] = [None] * len(documents)
        closed: list[_Closed] = []
        for index, document in enumerate(documents):
            if not index % SHORT_STEPS:
                await turns.give()
            parts = encrypted_parts(document)
            if not parts:
                opened[index] = OpenedEntity(dict(document), None)
            if parts or self._keys.has_keys(document):
                closed.append(_Closed(index, document, parts))
        for source in self._keys.sources:
            if not closed:
                break
            left: list[_Closed] = []
            found_keys = await source.keys_of([entity.document for entity in closed])
            for entity, candidates in zip(closed, found_keys, strict=True):
                await turns.give()
                found = await self._try(entity, candidates)
                if found is None:
                    left.append(entity)
                else:
                    opened[entity.index] = found
            closed = left
        return opened

    async def seal_again(
        self, document: Mapping[str, Any], members: Collection[str], key: bytes
    ) -> dict[str, Any]:
        """Return a modified entity ready to be stored, encrypted with the key it had.

        Raises:
            ValueError: ``key`` does not open the document's present ``encryptedSelf``.
            CryptoError: nothing that the policy confirms leads to ``key``.
        """
        sealed = await encrypt_members(self._crypto, key, document, members)
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
