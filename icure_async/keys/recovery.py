"""Key pairs that the ones on this device lead to, kept on this device."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from icure_async.crypto.exchange_keys import published_keys_of
from icure_async.crypto.transfer_keys import recover_key_pairs
from icure_async.errors import StorageError
from icure_async.models.key_pair import fingerprint_of, is_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto
    from icure_async.keys.todays_transfers import TodaysTransfers
    from icure_async.keys.trust import KeyTrust
    from icure_async.models.key_pair import KeyPair
    from icure_async.storage.protocols import KeyStorage

__all__ = ["KeyRecovery"]

_log: Final = logging.getLogger(__name__)


class KeyRecovery:
    """Recovers key pairs through the transfer keys of the current data owner.

    Attributes:
        transfers: of today's flavour, where that is written.
    """

    transfers: TodaysTransfers | None = None

    def __init__(
        self, crypto: Crypto, key_ring: KeyRing, key_storage: KeyStorage, trust: KeyTrust
    ) -> None:
        self._crypto = crypto
        self._key_ring = key_ring
        self._key_storage = key_storage
        self._trust = trust
        # Fingerprints of recovered key pairs that are in use, and not stored on this device.
        self._unstored: set[str] = set()

    async def use(self, own_id: str, key_pairs: Iterable[KeyPair]) -> list[KeyPair]:
        """Add key pairs of this device to the ring, and return those that may be encrypted for.

        One that was recovered only reads until the policy has confirmed it, also while the
        application makes up its mind.
        """
        given = list(key_pairs)
        present = self._key_ring.own_pairs
        # Their record is under a MAC of one of them.
        for key_pair in given:
            if key_pair not in present:
                await self._key_ring.add(key_pair)
        recovered = [
            key_pair
            for key_pair in given
            if await self._trust.is_recovered(own_id, key_pair.public_key)
        ]
        for key_pair in recovered:
            await self._key_ring.add(key_pair, read_only=True)
        for key_pair in recovered:
            if await self._trust.encryptable(own_id, own_id, [key_pair.public_key]):
                await self._key_ring.add(key_pair)
        trusted = self._key_ring.trusted_pairs
        return [key_pair for key_pair in given if key_pair in trusted]

    async def use_stored(self, owner: Mapping[str, Any]) -> None:
        """Put published key pairs to use that another program has stored on this device since.

        Args:
            owner: the current data owner's document.
        """
        own_id = str(owner["id"])
        found: list[KeyPair] = []
        for fingerprint in filter(is_fingerprint, map(fingerprint_of, published_keys_of(owner))):
            if fingerprint in self._key_ring:
                continue
            try:
                key_pair = await self._key_storage.get_key_pair(own_id, fingerprint)
            except StorageError:
                _log.warning(
                    "The key pair %s of data owner %s can't be read on this device",
                    fingerprint,
                    own_id,
                )
                continue
            if key_pair is not None:
                found.append(key_pair)
        if found:
            await self.use(own_id, found)

    async def store_foreign(self, own_id: str, key_pair: KeyPair) -> None:
        """Store a key pair that others have handed over, and put it to use.

        It only reads until the policy has confirmed it.
        """
        # The record is under a MAC of some key pair, of this one where there is no other.
        await self._key_ring.add(key_pair, read_only=bool(self._key_ring.trusted_pairs))
        await self._trust.remember_recovered(own_id, key_pair.public_key)
        await self._key_storage.store_key_pair(own_id, key_pair)
        await self.use(own_id, [key_pair])

    async def recover(self, owner: Mapping[str, Any]) -> list[KeyPair]:
        """Add recoverable key pairs to the key ring and to the key storage, and return them.

        Those that an earlier call could not store are among them.

        Somebody who may write the document can make it lead to a key pair of their own. So one
        that the policy does not confirm only reads, and is not stored. In today's flavour, neither
        is one where the storage forgets that it came through the backend.

        Args:
            owner: the current data owner's document.
        """
        own_id = str(owner["id"])
        recovered = [
            pair for pair in self._key_ring.trusted_pairs if pair.fingerprint in self._unstored
        ]
        transfers = self.transfers
        todays_keys = None if transfers is None else partial(transfers.exchange_keys, own_id)
        for key_pair in await recover_key_pairs(
            self._crypto, self._key_ring, owner, todays_keys=todays_keys
        ):
            public_key = key_pair.public_key
            if not await self._trust.encryptable(own_id, own_id, [public_key]):
                continue
            recovered.append(key_pair)
            await self._key_ring.add(key_pair)
            await self._trust.remember_recovered(own_id, public_key)
            if transfers is not None and not self._trust.is_lasting:
                # The next program would take it for one of this device, and lead it to the others.
                self._unstored.add(key_pair.fingerprint)
                continue
            try:
                await self._key_storage.store_key_pair(own_id, key_pair)
            except StorageError:
                # In use all the same, and recovered again next time.
                self._unstored.add(key_pair.fingerprint)
                _log.warning(
                    "The recovered key pair %s of data owner %s could not be stored on this device",
                    key_pair.fingerprint,
                    own_id,
                )
        return recovered
