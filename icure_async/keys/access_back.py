"""Giving access back: exchange keys encrypted for a new key pair of somebody who lost the old one.

Source: cryptography.md §10.1. Unlike the reference, every key pair of the helper is tried, a
conflict is merged with what is stored then, and having given nothing is an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.crypto.exchange_keys import (
    add_exchange_key,
    delegates_of,
    exchange_key_of_pair,
    exchange_keys_to,
    public_keys_of,
    rewrap,
)
from icure_async.crypto.key_ring import EXCHANGE_KEY_BYTES
from icure_async.crypto.transfer_keys import add_transfer_keys, transfer_keys_of
from icure_async.errors import ConflictError, CryptoError, NotFoundError, ValidationError
from icure_async.json_shapes import as_object
from icure_async.keys.directory import MAX_CONFLICTS
from icure_async.models.key_change import AccessGivenBack
from icure_async.models.key_pair import FINGERPRINT_LENGTH, fingerprint_of
from icure_async.models.validation import validate_id
from icure_async.rest.data_owners import TypedDataOwner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icure_async.crypto.exchange_keys import WrappedKey
    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto
    from icure_async.keys.directory import OwnKeyDirectory
    from icure_async.keys.trust import KeyTrust

__all__ = ["AccessBack"]


class _Gift:
    """Exchange keys encrypted for one new key: how many of one document, and how many not.

    On the document of the new key's owner, ``begun`` says that an earlier call gave something.
    """

    def __init__(self, key_ring: KeyRing, public_key: str) -> None:
        self._key_ring = key_ring
        self._public_key = public_key
        self.fingerprint = fingerprint_of(public_key)
        self.given = self.present = self.closed = 0
        self.begun = False

    async def on(
        self, document: Mapping[str, Any], delegates: Mapping[str, str | None]
    ) -> Mapping[str, Any]:
        """Return the document with its exchange keys to the delegates encrypted for the new key."""
        self.given = self.closed = 0
        self.present = self._count_in(document, delegates)
        # What the new key pair made itself was given by nobody.
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
        return (await self._key_ring.wrap(exchange_key, [self._public_key]))[self.fingerprint]


class AccessBack:
    """Gives access back on behalf of the current data owner. Repeating it finishes the job."""

    def __init__(
        self, *, crypto: Crypto, key_ring: KeyRing, directory: OwnKeyDirectory, trust: KeyTrust
    ) -> None:
        self._crypto = crypto
        self._key_ring = key_ring
        self._directory = directory
        self._trust = trust

    async def give(self, owner_id: str, new_public_key: str) -> AccessGivenBack:
        """Do what ``DataOwnerApi.give_access_back_to`` says."""
        validate_id(owner_id, "data owner id")
        public_key = await self._checked(new_public_key)
        if not self._key_ring:
            raise CryptoError(
                "No key pair is in use, so no access can be given back: call init_user_crypto() "
                "first."
            )
        # What is stored now counts, and every key pair there is.
        await self._directory.refresh()
        own_id = await self._directory.own_id()
        if owner_id == own_id:
            gifts = [await self._to_other_device(public_key)]
        else:
            theirs, their_key = await self._on_their_document(owner_id, public_key)
            gifts = [theirs, await self._on_own_document(owner_id, their_key, public_key)]
        result = AccessGivenBack(
            data_owner_id=owner_id,
            fingerprint=fingerprint_of(public_key),
            given=sum(gift.given for gift in gifts),
            present=sum(gift.present for gift in gifts),
            closed=sum(gift.closed for gift in gifts),
        )
        if not result.given and (result.closed or not result.present) and not gifts[0].begun:
            raise CryptoError(_nothing_given(result))
        return result

    async def _on_their_document(self, owner_id: str, public_key: str) -> tuple[_Gift, str | None]:
        """Return what was given there, and the ``publicKey`` of the other data owner."""
        own = await self._directory.own()
        gift = _Gift(self._key_ring, public_key)
        for _ in range(MAX_CONFLICTS):
            theirs = await self._directory.read_anew(owner_id)
            if theirs is None:
                raise NotFoundError(
                    f"Data owner {owner_id} does not exist, or the current user may not read it: "
                    "check the id. Nothing was changed."
                )
            await self._check_may_be_given(owner_id, theirs.document, public_key)
            changed = await gift.on(theirs.document, {own.id: own.document.get("publicKey")})
            if changed is theirs.document or await self._directory.save_other(
                TypedDataOwner(theirs.kind, dict(changed))
            ):
                return gift, theirs.document.get("publicKey")
        raise _too_many_conflicts(owner_id)

    async def _on_own_document(
        self, owner_id: str, their_key: str | None, public_key: str
    ) -> _Gift:
        gift = _Gift(self._key_ring, public_key)
        own = await self._directory.own()
        for _ in range(MAX_CONFLICTS):
            changed = await gift.on(own.document, {owner_id: their_key})
            if changed is own.document or await self._directory.save_own(
                TypedDataOwner(own.kind, dict(changed))
            ):
                return gift
            own = await self._directory.own()
        raise _too_many_conflicts(own.id)

    async def _to_other_device(self, public_key: str) -> _Gift:
        gift = _Gift(self._key_ring, public_key)
        own = await self._directory.own()
        for _ in range(MAX_CONFLICTS):
            await self._check_may_be_given(own.id, own.document, public_key)
            delegates = dict.fromkeys(delegates_of(own.document))
            delegates[own.id] = own.document.get("publicKey")
            changed = await gift.on(own.document, delegates)
            changed = await self._with_own_keys_for(changed, public_key)
            if changed is own.document or await self._directory.save_own(
                TypedDataOwner(own.kind, dict(changed))
            ):
                return gift
            own = await self._directory.own()
        raise _too_many_conflicts(own.id)

    async def _with_own_keys_for(
        self, document: Mapping[str, Any], public_key: str
    ) -> Mapping[str, Any]:
        """Return our document with transfer keys from the new key pair to those at hand.

        What others shared with the old key pairs stands on documents that only they can change: the
        old private keys are what opens it on the other device.
        """
        own_id = str(document["id"])
        fingerprint = fingerprint_of(public_key)
        present = {key.target for key in transfer_keys_of(document) if key.holder == fingerprint}
        published = {fingerprint_of(key): key for key in public_keys_of(document)}
        for key_pair in self._key_ring.trusted_pairs:
            target = key_pair.fingerprint
            if target in present or target not in published or target == fingerprint:
                continue
            wrapped = exchange_key_of_pair(document, own_id, owner_key=key_pair.public_key)
            if wrapped:
                exchange_key = await self._key_ring.open(wrapped)
                if exchange_key is None or fingerprint not in wrapped:
                    continue
                # A private key goes under it: whoever made it can read that.
                if not await self._directory.may_write_with(own_id, own_id, exchange_key):
                    continue
            else:
                exchange_key = await self._crypto.random_bytes(EXCHANGE_KEY_BYTES)
                self._trust.note_made(own_id, own_id, exchange_key)
                readers = self._key_ring.own_among(published.values())
                document = add_exchange_key(
                    document,
                    own_id,
                    owner_key=key_pair.public_key,
                    wrapped=await self._key_ring.wrap(exchange_key, [*readers, public_key]),
                    delegate_public_key=document.get("publicKey"),
                )
            private_key = bytes.fromhex(key_pair.private_key)
            transfer = await self._crypto.aes_encrypt(exchange_key, private_key)
            document = add_transfer_keys(document, [public_key], key_pair.public_key, transfer)
        return document

    async def _checked(self, public_key: object) -> str:
        if not isinstance(public_key, str) or len(public_key) <= FINGERPRINT_LENGTH:
            raise ValidationError(
                "new_public_key must be a whole public key: its SPKI in hex, not its fingerprint."
            )
        normalised = public_key.lower()
        try:
            await self._crypto.rsa_encrypt(normalised, b"")
        except ValueError:
            raise ValidationError(
                "new_public_key is not an RSA public key: pass its SPKI in hex."
            ) from None
        return normalised

    async def _check_may_be_given(
        self, owner_id: str, document: Mapping[str, Any], public_key: str
    ) -> None:
        if public_key not in (key.lower() for key in public_keys_of(document)):
            raise ValidationError(
                f"The public key {fingerprint_of(public_key)} is not one of data owner {owner_id}: "
                "it has to be published before access can be given back to it. Nothing was changed."
            )
        own_id = await self._directory.own_id()
        if not await self._trust.encryptable(own_id, owner_id, [public_key]):
            raise CryptoError(
                f"The public key {fingerprint_of(public_key)} of data owner {owner_id} was not "
                "confirmed by the policy given to with_public_key_policy(). Nothing was changed."
            )


def _nothing_given(result: AccessGivenBack) -> str:
    reason = (
        "no key pair in use opens the exchange keys that are still missing"
        if result.closed
        else "nothing is shared between them"
    )
    return (
        f"No access could be given back to data owner {result.data_owner_id}: {reason}. Nothing "
        "was changed. Try from another device, or ask somebody else with whom this data owner "
        "shares."
    )


def _too_many_conflicts(owner_id: str) -> ConflictError:
    return ConflictError(
        f"Data owner {owner_id} was changed by somebody else {MAX_CONFLICTS} times in a row. Give "
        "access back again.",
        retryable=True,
    )
