"""Both flavours of metadata: each is read always, and one of them is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from icure_async.entities.delegations import has_legacy_metadata
from icure_async.entities.metadata import EncryptionMetadata, Shared
from icure_async.entities.secure_delegations import has_secure_delegations
from icure_async.errors import CryptoError
from icure_async.foreign_text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.metadata import (
        Granted,
        KeySource,
        ReadableEntity,
        Readers,
    )
    from icure_async.errors import ICureError
    from icure_async.models.flavour import Flavour

__all__ = ["Flavours", "SecureFlavour"]


class SecureFlavour(EncryptionMetadata, Protocol):
    """Today's flavour of metadata."""

    async def add_first_delegations(
        self,
        kind: EntityKind[Any, Any],
        document: Mapping[str, Any],
        delegates: Sequence[str],
        /,
        *,
        secret_ids: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Return an entity that never had a key, encrypted for all who have access to it.

        Args:
            kind: what it is.
            document: wire JSON in clear.
            delegates: those who get access, besides those with delegations of 2023.
            secret_ids: those that it has already; a new one is made where there are none.
        """
        ...


@attrs.frozen(eq=False, repr=False)
class _Concerned:
    """A source that is asked about documents with metadata of its flavour only."""

    source: KeySource
    concerns: Callable[[Mapping[str, Any]], bool]

    async def keys_of(self, documents: Sequence[Mapping[str, Any]], /) -> list[Sequence[bytes]]:
        """Return the keys for each document; none where the source has nothing to do with it."""
        concerned = [self.concerns(document) for document in documents]
        asked = [document for document, is_one in zip(documents, concerned, strict=True) if is_one]
        found = iter(await self.source.keys_of(asked) if asked else ())
        return [next(found) if is_one else () for is_one in concerned]


class Flavours:
    """The metadata of entities, whichever flavour it is of.

    Attributes:
        legacy: delegations of 2023.
        secure: secure delegations.
        writes: the flavour of new metadata.
        sources: of both, the cheapest first.
    """

    def __init__(
        self, legacy: EncryptionMetadata, secure: SecureFlavour, *, writes: Flavour
    ) -> None:
        self.legacy: Final = legacy
        self.secure: Final = secure
        self.writes: Final = writes
        self._written = secure if writes == "cardinal" else legacy
        self._both = ((secure, has_secure_delegations), (legacy, has_legacy_metadata))
        known, *others = (_Concerned(one, has_secure_delegations) for one in secure.sources)
        *quick, fresh = (_Concerned(one, has_legacy_metadata) for one in legacy.sources)
        self.sources: Sequence[KeySource] = (known, *quick, *others, fresh)

    def has_keys(self, document: Mapping[str, Any], /) -> bool:
        """Return whether the metadata of some flavour says that there is a key."""
        return self.legacy.has_keys(document) or self.secure.has_keys(document)

    def delegates_of(self, document: Mapping[str, Any], /) -> set[str]:
        """Return the ids of the data owners that the entity is shared with."""
        return self.legacy.delegates_of(document) | self.secure.delegates_of(document)

    async def authors_of(self, document: Mapping[str, Any], /) -> set[str]:
        """Return the ids of those who have given us the key of an entity in either flavour."""
        found: set[str] = set()
        if has_secure_delegations(document):
            found |= await self.secure.authors_of(document)
        if has_legacy_metadata(document):
            found |= await self.legacy.authors_of(document)
        return found

    async def check_key(self, document: Mapping[str, Any], key: bytes, /) -> None:
        """Refuse to encrypt new content with a key that nothing confirmed leads to.

        Raises:
            CryptoError: neither flavour confirms it.
        """
        if not has_secure_delegations(document):
            await self.legacy.check_key(document, key)
            return
        try:
            await self.secure.check_key(document, key)
        except CryptoError:
            if not has_legacy_metadata(document):
                raise
            await self.legacy.check_key(document, key)

    async def prepare(
        self,
        kind: EntityKind[Any, Any],
        documents: Sequence[Mapping[str, Any]],
        readers: Readers,
        /,
    ) -> Sequence[dict[str, Any] | CryptoError]:
        """Return new entities ready to be stored, in the flavour that is written."""
        return await self._written.prepare(kind, documents, readers)

    async def add_key(
        self, kind: EntityKind[Any, Any], document: Mapping[str, Any], delegates: Sequence[str], /
    ) -> dict[str, Any]:
        """Return an entity that never had a key, encrypted in the flavour that is written.

        Raises:
            CryptoError: it has metadata of today's flavour only, and the other one is written.
        """
        if self.writes == "medtech" and _is_of_today(document):
            raise _other_flavour(kind, document, "encrypted")
        if self.writes == "medtech":
            return await self.legacy.add_key(kind, document, delegates)
        secret_ids = await self.legacy.secret_ids_of(document)
        return await self.secure.add_first_delegations(
            kind, document, delegates, secret_ids=secret_ids
        )

    async def share(
        self,
        kind: EntityKind[Any, Any],
        entities: Sequence[ReadableEntity],
        delegates: Sequence[str],
        /,
    ) -> Sequence[Shared]:
        """Return entities shared in the flavour that is written.

        Those that have today's metadata only are not shared in the flavour of 2023.
        """
        if self.writes == "cardinal":
            return await self.secure.share(kind, entities, delegates)
        sharable = [entity for entity in entities if not _is_of_today(entity.document)]
        shared = iter(await self.legacy.share(kind, sharable, delegates) if sharable else ())
        return [
            await self._not_shared(kind, entity, delegates)
            if _is_of_today(entity.document)
            else next(shared)
            for entity in entities
        ]

    async def secret_ids_of(self, document: Mapping[str, Any], /) -> list[str]:
        """Return the secret ids of an entity, of both flavours, without doubles."""
        found: dict[str, None] = {}
        if has_secure_delegations(document):
            found.update(dict.fromkeys(await self.secure.secret_ids_of(document)))
        if has_legacy_metadata(document):
            found.update(dict.fromkeys(await self.legacy.secret_ids_of(document)))
        return list(found)

    async def holders_of_secret_ids(self, document: Mapping[str, Any], /) -> dict[str, set[str]]:
        """Return the secret ids of both flavours, with those who are known to have them."""
        found: dict[str, set[str]] = {}
        for flavour, has_metadata in self._both:
            if has_metadata(document):
                for secret_id, holders in (await flavour.holders_of_secret_ids(document)).items():
                    found.setdefault(secret_id, set()).update(holders)
        return found

    async def owning_ids_of(self, documents: Sequence[Mapping[str, Any]], /) -> list[list[str]]:
        """Return for each entity the ids of those that it belongs to, of both flavours."""
        owning: list[dict[str, None]] = [{} for _ in documents]
        for flavour, has_metadata in self._both:
            places = [index for index, one in enumerate(documents) if has_metadata(one)]
            asked = [documents[index] for index in places]
            found = await flavour.owning_ids_of(asked) if asked else ()
            for index, ids in zip(places, found, strict=True):
                owning[index].update(dict.fromkeys(ids))
        return [list(ids) for ids in owning]

    async def lacking(
        self, documents: Sequence[Mapping[str, Any]], delegate_id: str, /
    ) -> list[bool]:
        """Return for each entity whether a delegate lacks access in every flavour."""
        legacy = await self.legacy.lacking(documents, delegate_id)
        if not any(map(has_secure_delegations, documents)):
            return list(legacy)
        secure = await self.secure.lacking(documents, delegate_id)
        return [one and other for one, other in zip(legacy, secure, strict=True)]

    async def _not_shared(
        self, kind: EntityKind[Any, Any], entity: ReadableEntity, delegates: Sequence[str]
    ) -> Shared:
        access: dict[str, Granted | ICureError] = {}
        for delegate_id in delegates:
            (lacks,) = await self.secure.lacking([entity.document], delegate_id)
            error = _other_flavour(kind, entity.document, "shared")
            access[delegate_id] = error if lacks else "present"
        return Shared(entity.document, access)


def _is_of_today(document: Mapping[str, Any]) -> bool:
    """Return whether all the metadata of an entity is of today's flavour."""
    return has_secure_delegations(document) and not has_legacy_metadata(document)


def _other_flavour(
    kind: EntityKind[Any, Any], document: Mapping[str, Any], done: str
) -> CryptoError:
    return CryptoError(
        f"{kind.noun.capitalize()} {printable(document['id'])} was made by an SDK of today, and "
        f"can't be {done} in the flavour of 2023. Nothing was sent. Log in with "
        'with_flavour("cardinal") on the builder for that.'
    )
