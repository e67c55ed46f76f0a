"""Exchange data encrypted for one key more, of somebody who has lost another (today.md §10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.exchange_data import (
    encryption_keys_of,
    fingerprints_of,
    is_contradicted,
    open_exchange_data,
    with_added_key,
)
from icure_async.entities.exchange_data import UsableExchangeData
from icure_async.errors import InvalidResponseError
from icure_async.foreign_text import printable
from icure_async.rest.changes import change_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.crypto.exchange_data import EncryptionKey
    from icure_async.crypto.protocol import Crypto
    from icure_async.keys.exchange_data import ExchangeDataDirectory
    from icure_async.keys.exchange_data_maps import ExchangeDataMaps
    from icure_async.keys.own_document import OwnDocument
    from icure_async.rest.exchange_data import ExchangeDataResource

__all__ = ["ExchangeDataGift", "ExchangeDataGifts", "with_stored_keys"]

_MATERIAL: Final = (
    "exchangeKey",
    "accessControlSecret",
    "sharedSignatureKey",
    "sharedSignature",
    "delegatorSignature",
)


@attrs.define
class ExchangeDataGift:
    """The exchange data that was encrypted for one key.

    Attributes:
        given: how many just now.
        present: how many were for it before.
        closed: how many we could not give: no key pair of ours opens them, or they were forged.
        begun: whether an earlier call gave some.
    """

    given: int = 0
    present: int = 0
    closed: int = 0
    begun: bool = False


class ExchangeDataGifts:
    """Gives exchange data on behalf of the current data owner. Repeating it finishes the job."""

    def __init__(
        self,
        resource: ExchangeDataResource,
        directory: ExchangeDataDirectory,
        maps: ExchangeDataMaps,
        own: OwnDocument,
    ) -> None:
        self._resource = resource
        self._directory = directory
        self._maps = maps
        self._own = own

    async def concerning(self, owner_id: str) -> Sequence[Mapping[str, Any]]:
        """Return the exchange data in both directions between another data owner and us.

        For our own id that is all we have. A backend of 2023 has none.
        """
        own_id = await self._own.own_id()
        found = await self._directory.ask(
            lambda: (
                self._resource.all_of(own_id)
                if owner_id == own_id
                else self._between(own_id, owner_id)
            )
        )
        return found or []

    async def _between(self, own_id: str, owner_id: str) -> list[dict[str, Any]]:
        return [
            *await self._resource.by_delegator_delegate(own_id, owner_id),
            *await self._resource.by_delegator_delegate(owner_id, own_id),
        ]

    async def give(
        self, documents: Sequence[Mapping[str, Any]], key: EncryptionKey, owner: Mapping[str, Any]
    ) -> ExchangeDataGift:
        """Encrypt exchange data for one key more.

        Args:
            documents: the exchange data.
            key: the new one, which may be encrypted for.
            owner: the document of the data owner whose key it is.

        Raises:
            ConflictError: exchange data keeps changing under our hands.
        """
        gift = ExchangeDataGift()
        older = {one.fingerprint for one in encryption_keys_of(owner)} - {key.fingerprint}
        readable: list[UsableExchangeData] = []
        for document in documents:
            named = fingerprints_of(document)
            if key.fingerprint in named:
                gift.present += 1
                # Nobody gave the exchange data that the new key pair has made itself.
                gift.begun = gift.begun or bool(named & older)
            data = await self._data(document)
            if data is None:
                gift.closed += key.fingerprint not in named
                continue
            if key.fingerprint not in named:
                data = await with_stored_keys(
                    data,
                    [key],
                    crypto=self._own.crypto,
                    resource=self._resource,
                    directory=self._directory,
                    advice="Give access back again.",
                )
                gift.given += 1
            readable.append(data)
        # Also where an earlier call has died before.
        await self._maps.add_key(readable, key)
        return gift

    async def _data(self, document: Mapping[str, Any]) -> UsableExchangeData | None:
        """Return exchange data that may be passed on, or None.

        One that is named after somebody else than it was made for is not: its shared signature
        covers both of them. The new key would read what is between others.
        """
        key_ring = self._own.key_ring
        secrets = await open_exchange_data(key_ring, document)
        if secrets is None or await is_contradicted(self._own.crypto, key_ring, document, secrets):
            return None
        return UsableExchangeData(document, secrets)


async def with_stored_keys(
    data: UsableExchangeData,
    keys: Sequence[EncryptionKey],
    *,
    crypto: Crypto,
    resource: ExchangeDataResource,
    directory: ExchangeDataDirectory,
    advice: str,
) -> UsableExchangeData:
    """Return exchange data as it is stored with keys added, also where others change it.

    Args:
        data: what a key pair of ours opens.
        keys: those that may be encrypted for. Nothing is written where it is for them already.
        crypto: the primitives.
        resource: stores it.
        directory: takes note of it.
        advice: the next step where others keep changing it.

    Raises:
        ConflictError: they do.
        InvalidResponseError: two answers with the same revision have other secrets.
    """
    known: Mapping[str, Any] | None = data.document

    async def read() -> dict[str, Any]:
        nonlocal known
        document, known = known, None
        if document is None:
            (document,) = await resource.get_many([data.id]) or (data.document,)
        return dict(document)

    async def change(document: dict[str, Any]) -> dict[str, Any] | None:
        added = document
        for key in keys:
            added = await with_added_key(crypto, added, data.secrets, key)
        if added == document:
            return None
        await _confirm(resource, document)
        return added

    async def write(document: dict[str, Any]) -> dict[str, Any]:
        stored = await resource.modify(document)
        await directory.notice(stored)
        return stored

    stored = await change_document(
        f"Exchange data {data.id}", read=read, change=change, write=write, advice=advice
    )
    return UsableExchangeData(stored, data.secrets)


async def _confirm(resource: ExchangeDataResource, document: Mapping[str, Any]) -> None:
    """Read exchange data once more before it goes back as a whole.

    Nobody can tell whether a secret that is for another key is whole, and its owner would lose it.
    """
    (stored,) = await resource.get_many([document["id"]]) or (document,)
    if stored.get("rev") == document.get("rev") and any(
        stored.get(name) != document.get(name) for name in _MATERIAL
    ):
        raise InvalidResponseError(
            f"The server says two things about the secrets of exchange data "
            f"{printable(document['id'])}. Nothing was changed. Try again; where it stays so, call "
            "the administrator of the backend."
        )
