"""Splitting a private key among notaries, and putting it together again.

A notary is any data owner with a public key. Its share is on the owner's document, encrypted with
the exchange key from the owner to the notary, which in today's flavour is in exchange data. Source:
cryptography.md §3.5 and §12. Unlike the reference, a notary who can't be reached is an error,
shares of an earlier split are not left among the new ones, and every exchange key is tried.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio

from icure_async.crypto.encoding import decode_hex
from icure_async.crypto.exchange_keys import (
    LEGACY_KEY,
    exchange_keys_to,
    public_keys_of,
    published_keys_of,
)
from icure_async.crypto.shamir import MAX_SHARES, combine, looks_like_share, random_length, split
from icure_async.crypto.threads import in_thread
from icure_async.entities.wholeness import SHARES_MEMBER
from icure_async.errors import CryptoError, ICureError, ValidationError
from icure_async.json_shapes import as_object
from icure_async.models.key_pair import FINGERPRINT_LENGTH, KeyPair, fingerprint_of
from icure_async.models.key_share import KeyShare, KeySplit
from icure_async.models.validation import validate_id

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from icure_async.keys.exchange_data import ExchangeDataDirectory
    from icure_async.keys.own_document import OwnDocument
    from icure_async.rest.data_owners import TypedDataOwner

__all__ = ["KeyNotaries"]

_MAX_COMBINATIONS: Final = 256


class KeyNotaries:
    """Splits and recovers private keys of the current data owner, and reads shares of others."""

    def __init__(self, own_document: OwnDocument, exchange_data: ExchangeDataDirectory) -> None:
        self._own = own_document
        self._exchange_data = exchange_data
        self._is_of_today = exchange_data.flavour == "cardinal"
        self._crypto = own_document.crypto
        self._key_ring = own_document.key_ring
        self._lock = anyio.Lock()

    async def split_private_key(
        self,
        notary_ids: Sequence[str],
        *,
        threshold: int | None = None,
        fingerprint: str | None = None,
        replace: bool = False,
    ) -> KeySplit:
        """Split a key pair, and store the shares on our document.

        ``DataOwnerApi.split_private_key_among`` has the arguments and errors.
        """
        ids = _checked_notary_ids(notary_ids)
        needed = _checked_threshold(threshold, len(ids))
        wanted = _checked_fingerprint(fingerprint)
        self._require_key_pair()
        self._own.trust.refuse_while_asking()
        async with self._lock:
            # The documents count as they are now: a notary may have just published its first key.
            await self._own.refresh()
            own_id = await self._own.own_id()
            if own_id in ids:
                raise ValidationError(
                    f"Data owner {own_id} cannot be its own notary: without its key it could "
                    "not open the share. Name other data owners."
                )
            notaries = await self._read_notaries(ids)
            split_key = ""

            async def share(document: dict[str, Any]) -> dict[str, Any]:
                nonlocal split_key
                key_pair = self._to_split(document, wanted)
                split_key = key_pair.fingerprint
                if not replace:
                    await self._check_may_be_replaced(document, key_pair)
                return await self._with_shares(document, key_pair, notaries, needed)

            await self._own.change(share)
        return KeySplit(
            data_owner_id=own_id,
            fingerprint=split_key,
            notary_ids=tuple(ids),
            threshold=needed,
        )

    async def get_share_of(self, owner_id: str) -> KeyShare:
        """Return the share of somebody's private key that the current user holds."""
        validate_id(owner_id, "data owner id")
        self._require_key_pair()
        own_id = await self._own.own_id()
        if owner_id == own_id:
            raise ValidationError(
                f"Data owner {owner_id} is the current user's own: pass the id of somebody whose "
                "notary the current user is."
            )
        contents = await self._read_share(owner_id, own_id)
        if not contents:
            # Perhaps a key pair that opens it can be recovered by now.
            await self._own.refresh()
            contents = await self._read_share(owner_id, own_id)
        if not contents:
            raise CryptoError(
                f"The share of data owner {owner_id}'s private key that is for data owner {own_id} "
                "cannot be opened with the key pairs in use. Use the key pair that was in use when "
                "the key was split, or ask the other notaries."
            )
        return KeyShare(data_owner_id=owner_id, notary_id=own_id, contents=contents)

    async def recover_private_key(self, shares: Sequence[KeyShare]) -> KeyPair:
        """Put a key pair together from shares, store it, and put it to use."""
        given = _checked_shares(shares)
        await self._own.refresh()
        own = await self._own.own()
        if any(share.data_owner_id != own.id for share in given):
            raise ValidationError(
                f"A share is of somebody else's private key: the current data owner is {own.id}. "
                "Pass shares of its key only."
            )
        public_keys = published_keys_of(own.document)
        contents = [share.contents for share in given]
        key_pair = await in_thread(_combined, contents, public_keys)
        if key_pair is None:
            raise CryptoError(
                f"The shares given ({len(given)}) make up no private key of data owner {own.id}: "
                "they are too few, one is there twice or is damaged, or they were made when the "
                "key was split another time. Ask every notary for the present share with "
                "get_key_share_of(), and pass them all at once. Nothing was changed."
            )
        await self._crypto.load_key_pair(key_pair)
        await self._own.recovery.store_foreign(own.id, key_pair)
        return key_pair

    def _require_key_pair(self) -> None:
        if not self._key_ring:
            raise CryptoError("No key pair is in use: call init_user_crypto() first.")

    async def _read_notaries(self, notary_ids: Sequence[str]) -> list[TypedDataOwner]:
        """Return the notaries, all of them, as they are now."""
        found = {notary_id: await self._own.read_anew(notary_id) for notary_id in notary_ids}
        _require_all(
            [notary_id for notary_id, notary in found.items() if notary is None],
            "cannot be read",
            "Check the ids.",
        )
        notaries = [notary for notary in found.values() if notary is not None]
        keys_of = published_keys_of if self._is_of_today else public_keys_of
        _require_all(
            [notary.id for notary in notaries if not keys_of(notary.document)],
            "have no public key yet",
            "They publish one when they log in for the first time.",
        )
        return notaries

    def _to_split(self, document: Mapping[str, Any], fingerprint: str | None) -> KeyPair:
        """Return the key pair with the fingerprint, else that of ``publicKey``, else the oldest."""
        published = [fingerprint_of(public_key) for public_key in published_keys_of(document)]
        in_use = {
            key_pair.fingerprint: key_pair
            for key_pair in self._key_ring.own_pairs
            if key_pair.fingerprint in published
        }
        # The one of publicKey is the first of those published.
        wanted = [fingerprint] if fingerprint else [*published[:1], *in_use]
        for candidate in wanted:
            if candidate in in_use:
                return in_use[candidate]
        raise CryptoError(
            f"No such key pair of data owner {document['id']} is in use on this device: those that "
            f"can be split are {', '.join(in_use) or 'none'}. Pass the fingerprint of one of them, "
            "or use the device that has the other."
        )

    async def _check_may_be_replaced(self, document: Mapping[str, Any], key_pair: KeyPair) -> None:
        """Refuse to drop shares that may be the only way back to another key pair."""
        partitions = as_object(document.get(SHARES_MEMBER))
        public_keys = published_keys_of(document)
        if not partitions or len(public_keys) == 1:
            return
        opened = [
            contents
            for notary_id, partition in partitions.items()
            if (contents := await self._open(document, notary_id, partition))
        ]
        present = await in_thread(_combined, opened, public_keys) if opened else None
        if present is None or present.fingerprint != key_pair.fingerprint:
            raise CryptoError(
                f"The notaries of data owner {document['id']} hold shares of "
                + (
                    "a key pair that cannot be told from here"
                    if present is None
                    else f"another key pair, {present.fingerprint}"
                )
                + ". Splitting another one takes that way back to it away: pass replace=True if "
                "that is what you want. Nothing was changed."
            )

    async def _with_shares(
        self,
        document: dict[str, Any],
        key_pair: KeyPair,
        notaries: Sequence[TypedDataOwner],
        threshold: int,
    ) -> dict[str, Any]:
        """Return our document with a share for each notary, in place of all that were there."""
        exchange_keys: Mapping[str, bytes | None]
        if self._is_of_today:
            exchange_keys = await self._keys_of_today([notary.id for notary in notaries])
        else:
            document, _ = await self._own.prepare(document, [notary.id for notary in notaries])
            exchange_keys = {notary.id: await self._key_to(document, notary) for notary in notaries}
        _require_all(
            [notary_id for notary_id, exchange_key in exchange_keys.items() if not exchange_key],
            "have no exchange key that both sides can open",
            "Have access given back to owners of a new key pair, and see that "
            "with_public_key_policy() confirms the public keys.",
        )
        secret = bytes.fromhex(key_pair.private_key)
        random = await self._crypto.random_bytes(random_length(secret, threshold=threshold))
        shares = await in_thread(
            partial(split, secret, count=len(notaries), threshold=threshold, random=random)
        )
        partitions = {
            notary_id: (await self._crypto.aes_encrypt(exchange_key, share)).hex()
            for (notary_id, exchange_key), share in zip(exchange_keys.items(), shares, strict=True)
            if exchange_key
        }
        return document | {SHARES_MEMBER: partitions}

    async def _keys_of_today(self, notary_ids: Sequence[str]) -> dict[str, bytes | None]:
        """Return the keys in exchange data that we may write with, and the notaries can open."""
        found = await self._exchange_data.to_write_with(notary_ids)
        return {
            notary_id: None if isinstance(data, ICureError) else data.secrets.exchange_key
            for notary_id, data in found.items()
        }

    async def _key_to(self, document: Mapping[str, Any], notary: TypedDataOwner) -> bytes | None:
        """Return an exchange key to the notary that both of us can open, and may write with."""
        names = {fingerprint_of(public_key) for public_key in public_keys_of(notary.document)}
        for wrapped in exchange_keys_to(document, notary.id):
            if (names | {LEGACY_KEY}) & wrapped.keys():
                exchange_key = await self._key_ring.open(wrapped)
                if exchange_key is not None and await self._own.may_write_with(
                    str(document["id"]), notary.id, exchange_key
                ):
                    return exchange_key
        return None

    async def _read_share(self, owner_id: str, notary_id: str) -> tuple[bytes, ...]:
        owner = await self._own.require_anew(owner_id)
        partition = as_object(owner.document.get(SHARES_MEMBER)).get(notary_id)
        if partition is None:
            raise CryptoError(
                f"Data owner {owner_id} has no share of a private key for data owner {notary_id}: "
                "it is not one of the notaries."
            )
        return await self._open(owner.document, notary_id, partition)

    async def _open(
        self, document: Mapping[str, Any], notary_id: str, partition: object
    ) -> tuple[bytes, ...]:
        """Return the share as every exchange key from its owner to the notary opens it."""
        if not isinstance(partition, str):
            return ()
        opened = [
            await self._key_ring.open(wrapped) for wrapped in exchange_keys_to(document, notary_id)
        ]
        found = await self._opened_by([key for key in opened if key is not None], partition)
        if not found:
            of_today = await self._exchange_data.between(str(document["id"]), notary_id)
            found = await self._opened_by(
                [data.secrets.exchange_key for data in of_today], partition
            )
        return found

    async def _opened_by(self, exchange_keys: Sequence[bytes], partition: str) -> tuple[bytes, ...]:
        found: dict[bytes, None] = {}
        for exchange_key in exchange_keys:
            try:
                content = await self._crypto.aes_decrypt(exchange_key, decode_hex(partition))
            except ValueError:
                continue
            if looks_like_share(content):
                found[content] = None
        return tuple(found)


def _combined(shares: Sequence[tuple[bytes, ...]], public_keys: Collection[str]) -> KeyPair | None:
    """Return the key pair that some choice among the candidates of each share makes up."""
    # Shares of one split have one length, which the result of a wrong key hardly ever has.
    first, *others = ({len(content) for content in contents} for contents in shares)
    for length in first.intersection(*others):
        fitting = [
            [content for content in contents if len(content) == length] for contents in shares
        ]
        for chosen in itertools.islice(itertools.product(*fitting), _MAX_COMBINATIONS):
            try:
                return combine(chosen, public_keys)
            except CryptoError:
                continue
    return None


def _require_all(failing: Sequence[str], what: str, advice: str) -> None:
    if failing:
        raise CryptoError(
            f"These notaries {what}: {', '.join(failing)}. {advice} The key was not split: "
            "it takes every notary named."
        )


def _checked_notary_ids(notary_ids: Sequence[str]) -> list[str]:
    if isinstance(notary_ids, (str, bytes)) or not isinstance(notary_ids, Sequence):
        raise ValidationError("The notaries must be a list of data owner ids.")
    ids = [validate_id(notary_id, "notary's id") for notary_id in notary_ids]
    if not 1 <= len(ids) <= MAX_SHARES:
        raise ValidationError(
            f"A key is split among 1 to {MAX_SHARES} notaries, not among {len(ids)}."
        )
    if len(set(ids)) < len(ids):
        raise ValidationError("A notary is named twice: every notary holds one share.")
    return ids


def _checked_threshold(threshold: int | None, count: int) -> int:
    if threshold is None:
        return count
    if type(threshold) is not int or not 1 <= threshold <= count:
        raise ValidationError(
            f"The threshold must be an int between 1 and the number of notaries ({count})."
        )
    return threshold


def _checked_fingerprint(fingerprint: str | None) -> str | None:
    if fingerprint is None:
        return None
    if not isinstance(fingerprint, str) or len(fingerprint) < FINGERPRINT_LENGTH:
        raise ValidationError(
            f"The fingerprint must be a str of {FINGERPRINT_LENGTH} hex characters."
        )
    return fingerprint_of(fingerprint)


def _checked_shares(shares: Sequence[KeyShare]) -> list[KeyShare]:
    if not isinstance(shares, Sequence) or not all(isinstance(s, KeyShare) for s in shares):
        raise ValidationError("The shares must be a list of KeyShare: see KeyShare.from_json().")
    if not 1 <= len(shares) <= MAX_SHARES:
        raise ValidationError(
            f"A private key is put together from 1 to {MAX_SHARES} shares, not from {len(shares)}."
        )
    if not all(share.contents for share in shares):
        raise ValidationError("A share is empty: pass what get_key_share_of() returned.")
    return list(shares)
