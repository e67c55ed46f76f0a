"""Transfer keys of today's flavour: private keys under the exchange key to oneself (today.md §10).

The holder of one key pair of a data owner opens exchange data to itself, and with that the private
keys that stand in the stub. Only key pairs of this device lead to each other: one that the backend
merely lists, or that came through it, may be anybody's. The private keys go under exchange data
that is for none of these either.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any, Final

from icure_async.crypto.exchange_data import encryption_keys_of, published_pairs
from icure_async.crypto.exchange_keys import public_keys_of
from icure_async.crypto.transfer_keys import add_transfer_keys, transfer_keys_of
from icure_async.errors import BackendError, ICureError
from icure_async.foreign_text import printable
from icure_async.keys.exchange_data_gifts import with_stored_keys
from icure_async.models.key_pair import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from icure_async.crypto.exchange_data import EncryptionKey
    from icure_async.crypto.key_ring import KeyRing
    from icure_async.entities.exchange_data import UsableExchangeData
    from icure_async.keys.exchange_data import ExchangeDataDirectory
    from icure_async.keys.own_document import OwnDocument
    from icure_async.models.key_pair import KeyPair
    from icure_async.rest.exchange_data import ExchangeDataResource

__all__ = ["TodaysTransfers", "exchange_keys_to_self"]

_log: Final = logging.getLogger(__name__)

_ADVICE: Final = "Call init_user_crypto() again."


async def exchange_keys_to_self(
    resource: ExchangeDataResource, key_ring: KeyRing, own_id: str
) -> list[bytes]:
    """Return the exchange keys in exchange data of a data owner to itself, as far as they open.

    A failure of the backend is in the log: the way back that it blocks is one of several.
    """
    try:
        stored = await resource.by_delegator_delegate(own_id, own_id)
    except BackendError as error:
        _log.warning("Transfer keys of data owner %s can't be used: %s", printable(own_id), error)
        return []
    opened = [
        await key_ring.open_of_today(document["exchangeKey"], own_only=True) for document in stored
    ]
    return [exchange_key for exchange_key in opened if exchange_key is not None]


class TodaysTransfers:
    """Leads the current data owner's devices to each other's key pairs."""

    def __init__(
        self,
        resource: ExchangeDataResource,
        directory: ExchangeDataDirectory,
        own: OwnDocument,
    ) -> None:
        self._resource = resource
        self._directory = directory
        self._own = own

    async def exchange_keys(self, own_id: str) -> list[bytes]:
        """Return the exchange keys to ourselves that key pairs of our own open."""
        return await exchange_keys_to_self(self._resource, self._own.key_ring, own_id)

    async def complete_if_possible(self) -> None:
        """Do the work of :meth:`complete`; a failure is in the log, and does not stop a login."""
        try:
            await self.complete()
        except ICureError as error:
            _log.warning(
                "The key pairs on this device do not lead to each other yet, which the next "
                "init_user_crypto() tries again: %s",
                error,
            )

    async def complete(self) -> None:
        """Let each key pair of this device lead to the others; nothing is sent where they do.

        Raises:
            ConflictError: a document keeps changing under our hands.
        """
        document = (await self._own.own()).document
        if len(self._published_pairs(document)) < 2:
            return
        pairs = await self._pairs_of_device(document)
        await self._lead(_keys_of(pairs, document), pairs)

    async def lead(self, key: EncryptionKey) -> None:
        """Let another key of ours, which may be encrypted for, lead to the key pairs in use.

        Raises:
            CryptoError: no key pair in use is published.
            ConflictError: a document keeps changing under our hands.
        """
        await self._lead([key], self._published_pairs((await self._own.own()).document))

    async def _lead(self, holders: Sequence[EncryptionKey], targets: Sequence[KeyPair]) -> None:
        if not _missing((await self._own.own()).document, holders, targets):
            return
        data = await self._data_for(holders)

        async def change(document: dict[str, Any]) -> dict[str, Any]:
            for holder, key_pair in _missing(document, holders, targets):
                private_key = bytes.fromhex(key_pair.private_key)
                ciphertext = await self._own.crypto.aes_encrypt(
                    data.secrets.exchange_key, private_key
                )
                document = add_transfer_keys(
                    document,
                    [fingerprint_of(holder.public_key)],
                    key_pair.fingerprint,
                    ciphertext,
                )
            return document

        await self._own.change(change, advice=_ADVICE)

    async def _data_for(self, holders: Sequence[EncryptionKey]) -> UsableExchangeData:
        """Return exchange data to ourselves that all holders can open, and nobody else."""
        document = (await self._own.own()).document
        pairs = await self._pairs_of_device(document) or self._published_pairs(document)
        data = await self._directory.confined_to(_keys_of(pairs, document))
        return await with_stored_keys(
            data,
            holders,
            crypto=self._own.crypto,
            resource=self._resource,
            directory=self._directory,
            advice=_ADVICE,
        )

    async def _pairs_of_device(self, document: Mapping[str, Any]) -> list[KeyPair]:
        """Return the published key pairs in use that did not come through the backend."""
        own_id, trust = str(document["id"]), self._own.trust
        return [
            pair
            for pair in self._published_pairs(document)
            if await trust.is_of_device(own_id, pair.public_key)
        ]

    def _published_pairs(self, document: Mapping[str, Any]) -> list[KeyPair]:
        published = published_pairs(self._own.key_ring, encryption_keys_of(document))
        return [pair for pair, _ in published]


def _keys_of(pairs: Sequence[KeyPair], document: Mapping[str, Any]) -> list[EncryptionKey]:
    """Return the public halves, each with the hash that it is published for."""
    halves = {pair.public_key.lower() for pair in pairs}
    return [key for key in encryption_keys_of(document) if key.public_key.lower() in halves]


def _missing(
    document: Mapping[str, Any], holders: Iterable[EncryptionKey], targets: Iterable[KeyPair]
) -> list[tuple[EncryptionKey, KeyPair]]:
    """Return the holders that nothing leads to a target yet.

    Two key pairs of 2023 lead to each other by their exchange keys.
    """
    present = {(key.holder, key.target) for key in transfer_keys_of(document)}
    of_2023 = {fingerprint_of(public_key) for public_key in public_keys_of(document)}
    return [
        (holder, target)
        for holder, target in itertools.product(holders, targets)
        if (name := fingerprint_of(holder.public_key)) != target.fingerprint
        and (name, target.fingerprint) not in present
        and not {name, target.fingerprint} <= of_2023
    ]
