"""The legacy flavour of metadata, on the exchange keys of the current data owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.crypto.threads import Turns
from icure_async.entities.legacy_keys import LegacyKeys
from icure_async.errors import CryptoError
from icure_async.json_shapes import as_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.metadata import Readers
    from icure_async.keys.own_document import OwnDocument

__all__ = ["LegacyMetadata"]


class LegacyMetadata(LegacyKeys):
    """Delegations, encrypted with exchange keys that are made where they are missing."""

    def __init__(self, crypto: Crypto, key_ring: KeyRing, own_document: OwnDocument) -> None:
        super().__init__(crypto, key_ring, own_document)
        self._own_keys = own_document

    async def prepare(
        self, kind: EntityKind[Any, Any], documents: Sequence[Mapping[str, Any]], readers: Readers
    ) -> list[dict[str, Any] | CryptoError]:
        """Return new entities ready to be stored; exchange keys are looked up once for all.

        Raises:
            CryptoError: the current data owner, or a required delegate, could not read them.
        """
        delegates = [*readers.delegates, *readers.key_only]
        exchange_keys = await self._own_keys.exchange_keys_for(delegates)
        for delegate_id in readers.required:
            if delegate_id not in exchange_keys:
                raise CryptoError(
                    f"Data owner {delegate_id} can't be given a {kind.noun}: it can't be read, or "
                    "has no public key yet. Check the id, or try again once it has logged in. "
                    f"The {kind.noun} was not created."
                )
        prepared: list[dict[str, Any] | CryptoError] = []
        turns = Turns()
        for document in documents:
            await turns.give()
            try:
                sealed = await self.seal_new(
                    document, kind.encrypted, exchange_keys, key_only=readers.key_only
                )
            except CryptoError as error:
                prepared.append(error)
            except ValueError:
                prepared.append(
                    CryptoError(
                        f"A list of this {kind.noun} has elements that are encrypted for the one "
                        "they were copied from, or a value that JSON has not: build them anew from "
                        "their values. Nothing was sent."
                    )
                )
            else:
                prepared.append(sealed)
        return prepared

    async def add_key(
        self, kind: EntityKind[Any, Any], document: Mapping[str, Any], delegates: Sequence[str]
    ) -> dict[str, Any]:
        """Return an entity that never had a key, encrypted for all who have access to it."""
        readers = [*delegates, *as_object(document.get("delegations"))]
        own = await self._own_keys.own()
        if (kind.route, document["id"]) == (own.kind, own.id):
            # Our exchange keys are on this very document, and go out with it.
            prepared, exchange_keys = await self._own_keys.prepare(dict(document), readers)
            members = kind.always_encrypted
        else:
            prepared, members = dict(document), kind.encrypted
            exchange_keys = await self._own_keys.exchange_keys_for(readers)
        return await self.seal_with_first_key(prepared, members, exchange_keys)
