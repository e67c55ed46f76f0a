"""Giving access back: exchange keys encrypted for a new key pair of somebody who lost the old one.

Source: cryptography.md §10.1. Unlike the reference, every key pair of the helper is tried, a
conflict is merged with what is stored then, and having given nothing is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.crypto.exchange_data import EncryptionKey, encryption_keys_of
from icure_async.crypto.exchange_keys import (
    delegates_of,
    exchange_key_of_pair,
    exchange_keys_to,
    is_public_key,
    public_keys_of,
    rewrap,
)
from icure_async.crypto.transfer_keys import transfer_keys_of
from icure_async.errors import CryptoError, ValidationError
from icure_async.json_shapes import as_object
from icure_async.models.key_change import AccessGivenBack
from icure_async.models.key_pair import FINGERPRINT_LENGTH, fingerprint_of
from icure_async.models.validation import validate_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icure_async.crypto.exchange_keys import WrappedKey
    from icure_async.crypto.key_ring import KeyRing
    from icure_async.keys.exchange_data_gifts import ExchangeDataGift, ExchangeDataGifts
    from icure_async.keys.own_document import OwnDocument
    from icure_async.keys.todays_transfers import TodaysTransfers

__all__ = ["AccessBack"]

_ADVICE: Final = "Give access back again."


class _Gift:
    """Exchange keys encrypted for one new key: how many of one document, and how many not.

    On the document of the new key's owner, ``begun`` says that an earlier call gave something.
    """

    def __init__(self, key_ring: KeyRing, public_key: str) -> None:
        self._key_ring = key_ring
        self.key = EncryptionKey(public_key, "sha-1")
        self.fingerprint = fingerprint_of(public_key)
        self.given = self.present = self.closed = 0
        self.begun = False

    async def on(
        self, document: dict[str, Any], delegates: Mapping[str, str | None]
    ) -> dict[str, Any]:
        """Return the document with its exchange keys to the delegates encrypted for the new key."""
        self.given = self.closed = 0
        self.present = self._count_in(document, delegates)
        # The keys that the new key pair made itself were given by nobody.
        others = {
            public_key: by_delegate
            for public_key, by_delegate in as_object(document.get("aesExchangeKeys")).items()
            if fingerprint_of(public_key) != self.fingerprint
        }
        self.begun = self._count_in({"aesExchangeKeys": others}, delegates) > 0
        return await rewrap(document, delegates, self.fingerprint, self._wrap)

    def _count_in(self, document: Mapping[str, Any], delegates: Iterable[str]) -> int:
        """Return how many exchange keys to the delegates are encrypted for the new key."""
        return sum(
            self.fingerprint in wrapped
            for delegate_id in delegates
            for wrapped in exchange_keys_to(document, delegate_id)
        )

    async def _wrap(self, wrapped: WrappedKey) -> str | None:
        exchange_key = await self._key_ring.open(wrapped)
        if exchange_key is None:
            self.closed += 1
            return None
        self.given += 1
        key = self.key
        return (await self._key_ring.wrap(exchange_key, [key.public_key], oaep=key.oaep))[
            self.fingerprint
        ]


class AccessBack:
    """Gives access back on behalf of the current data owner. Repeating it finishes the job.

    Args:
        own_document: of the current data owner.
        exchange_data: gives what is in documents of its own.
        transfers: leads another device of ours to the key pairs of this one; None as before.
    """

    def __init__(
        self,
        own_document: OwnDocument,
        exchange_data: ExchangeDataGifts,
        transfers: TodaysTransfers | None = None,
    ) -> None:
        self._own = own_document
        self._exchange_data = exchange_data
        self._transfers = transfers

    async def give(self, owner_id: str, new_public_key: str) -> AccessGivenBack:
        """Encrypt what is shared with a data owner for its new key pair.

        ``DataOwnerApi.give_access_back_to`` has the arguments and errors.
        """
        validate_id(owner_id, "data owner id")
        public_key = await self._normalised(new_public_key)
        if not self._own.key_ring:
            raise CryptoError(
                "No key pair is in use, so no access can be given back: call init_user_crypto() "
                "first."
            )
        # The documents count as they are stored now, and so does every key pair there is.
        await self._own.refresh()
        is_own = owner_id == await self._own.own_id()
        gifts: list[_Gift | ExchangeDataGift] = []
        exchange_data = await self._exchange_data.concerning(owner_id)
        if exchange_data:
            owner = await (self._own.own() if is_own else self._own.require_anew(owner_id))
            key = await self._key_of(owner_id, owner.document, public_key)
            gifts.append(await self._exchange_data.give(exchange_data, key, owner.document))
        if is_own:
            gifts.append(await self._to_other_device(public_key))
        else:
            gifts += await self._to_other_owner(owner_id, public_key)
        result = AccessGivenBack(
            data_owner_id=owner_id,
            fingerprint=fingerprint_of(public_key),
            given=sum(gift.given for gift in gifts),
            present=sum(gift.present for gift in gifts),
            closed=sum(gift.closed for gift in gifts),
        )
        begun = any(gift.begun for gift in gifts)
        if not result.given and (result.closed or not result.present) and not begun:
            raise _nothing_given(result)
        return result

    async def _to_other_owner(self, owner_id: str, public_key: str) -> list[_Gift]:
        """Give on the other data owner's document, and then on ours."""
        theirs, ours = (_Gift(self._own.key_ring, public_key) for _ in range(2))
        own = await self._own.own()

        async def for_them(document: dict[str, Any]) -> dict[str, Any]:
            theirs.key = ours.key = await self._key_of(owner_id, document, public_key)
            return await theirs.on(document, {own.id: own.document.get("publicKey")})

        stored = await self._own.change(for_them, other_id=owner_id, advice=_ADVICE)

        async def for_us(document: dict[str, Any]) -> dict[str, Any]:
            return await ours.on(document, {owner_id: stored.get("publicKey")})

        await self._own.change(for_us, advice=_ADVICE)
        # Our exchange keys to a new key pair may have been for it from the start.
        ours.begun = False
        return [theirs, ours]

    async def _to_other_device(self, public_key: str) -> _Gift:
        gift = _Gift(self._own.key_ring, public_key)

        async def for_device(document: dict[str, Any]) -> dict[str, Any]:
            own_id = str(document["id"])
            gift.key = await self._key_of(own_id, document, public_key)
            delegates = dict.fromkeys(delegates_of(document))
            delegates[own_id] = document.get("publicKey")
            changed = await gift.on(document, delegates)
            return await self._with_own_keys_for(changed, public_key)

        await self._own.change(for_device, advice=_ADVICE)
        if self._transfers is not None:
            await self._transfers.lead(gift.key)
        return gift

    async def _with_own_keys_for(self, document: dict[str, Any], public_key: str) -> dict[str, Any]:
        """Return our document with transfer keys from the new key pair to those in use.

        Exchange keys for the old key pairs stand on documents that only others can change: on the
        other device, nothing but the old private keys opens them.
        """
        own_id = str(document["id"])
        fingerprint = fingerprint_of(public_key)
        present = {key.target for key in transfer_keys_of(document) if key.holder == fingerprint}
        published = {fingerprint_of(key): key for key in public_keys_of(document)}
        key_ring = self._own.key_ring
        for key_pair in key_ring.trusted_pairs:
            target = key_pair.fingerprint
            if target in present or target not in published or target == fingerprint:
                continue
            wrapped = exchange_key_of_pair(document, own_id, owner_key=key_pair.public_key)
            if wrapped:
                exchange_key = await key_ring.open(wrapped)
                if exchange_key is None or fingerprint not in wrapped:
                    continue
                # A private key goes under it: the maker of the exchange key can read that.
                if not await self._own.may_write_with(own_id, own_id, exchange_key):
                    continue
            elif self._transfers is not None:
                # Today, transfer keys go with exchange data.
                continue
            else:
                document, exchange_key = await self._own.with_new_exchange_key(
                    document,
                    own_id,
                    owner_key=key_pair.public_key,
                    public_keys=[*key_ring.own_among(published.values()), public_key],
                    delegate_key=document.get("publicKey"),
                )
            document = await self._own.with_transfer_keys(
                document, [public_key], key_pair, exchange_key
            )
        return document

    async def _normalised(self, public_key: object) -> str:
        """Return a public key in lower case, in which keys are compared."""
        if not isinstance(public_key, str) or len(public_key) <= FINGERPRINT_LENGTH:
            raise ValidationError(
                "new_public_key must be a whole public key: its SPKI in hex, not its fingerprint."
            )
        if not await is_public_key(self._own.crypto, public_key.lower()):
            raise ValidationError("new_public_key is not an RSA public key: pass its SPKI in hex.")
        return public_key.lower()

    async def _key_of(
        self, owner_id: str, document: Mapping[str, Any], public_key: str
    ) -> EncryptionKey:
        """Return a public key as its owner has published it, if it may be encrypted for."""
        keys = [k for k in encryption_keys_of(document) if k.public_key.lower() == public_key]
        if not keys:
            raise ValidationError(
                f"The public key {fingerprint_of(public_key)} is not one of data owner {owner_id}: "
                "it has to be published before access can be given back to it. Nothing was changed."
            )
        own_id = await self._own.own_id()
        if not await self._own.trust.encryptable(own_id, owner_id, [public_key]):
            raise CryptoError(
                f"The public key {fingerprint_of(public_key)} of data owner {owner_id} was not "
                "confirmed by the policy given to with_public_key_policy(). Nothing was changed."
            )
        return keys[0]


def _nothing_given(result: AccessGivenBack) -> CryptoError:
    reason = (
        "no key pair in use opens the exchange keys that are still missing"
        if result.closed
        else "nothing is shared between them"
    )
    return CryptoError(
        f"No access could be given back to data owner {result.data_owner_id}: {reason}. Nothing "
        "was changed. Try from another device, or ask somebody else with whom this data owner "
        "shares."
    )
