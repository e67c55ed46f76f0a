"""Transfer keys: how the holder of one private key of a data owner obtains another one.

``transferKeys[A][B]`` on a data owner's document is the PKCS#8 of B, encrypted with the exchange
key from B to the data owner itself, which A opens. Works on wire JSON and never changes it in
place. Source: cryptography.md §3.4, §4.2.4 and §10.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.encoding import decode_hex
from icure_async.crypto.exchange_keys import exchange_key_of_pair, published_keys_of
from icure_async.errors import ValidationError
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_object
from icure_async.models.key_pair import KeyPair, fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto

__all__ = ["TransferKey", "add_transfer_keys", "recover_key_pairs", "transfer_keys_of"]

_log: Final = logging.getLogger(__name__)

_TRANSFER_KEYS: Final = "transferKeys"


@attrs.frozen(eq=False, repr=False)
class TransferKey:
    """One transfer key of a document.

    Attributes:
        holder: fingerprint of the key pair whose holder obtains the other one.
        target: fingerprint of the key pair that is obtained.
        ciphertext: hex of IV and AES-CBC of the target's PKCS#8.
    """

    holder: str
    target: str
    ciphertext: str


def transfer_keys_of(owner: Mapping[str, Any]) -> Iterator[TransferKey]:
    """Yield the transfer keys of a data owner's document, in its order."""
    for holder, by_target in as_object(owner.get(_TRANSFER_KEYS)).items():
        for target, ciphertext in as_object(by_target).items():
            if isinstance(ciphertext, str) and ciphertext:
                yield TransferKey(fingerprint_of(holder), fingerprint_of(target), ciphertext)


def add_transfer_keys(
    owner: Mapping[str, Any], holders: Iterable[str], target: str, ciphertext: bytes
) -> dict[str, Any]:
    """Return the document with a transfer key for each holder that has none to the target.

    Args:
        owner: the data owner's document.
        holders: SPKI hex of the key pairs whose holders obtain the target.
        target: SPKI hex of the key pair they obtain.
        ciphertext: its PKCS#8, encrypted with the exchange key from it to the data owner itself.
    """
    present = {(key.holder, key.target) for key in transfer_keys_of(owner)}
    all_keys: dict[str, Any] = dict(as_object(owner.get(_TRANSFER_KEYS)))
    for holder in holders:
        if (fingerprint_of(holder), fingerprint_of(target)) in present:
            continue
        # A former SDK may have named the level by the fingerprint alone.
        level = next(
            (name for name in all_keys if fingerprint_of(name) == fingerprint_of(holder)), holder
        )
        all_keys[level] = as_object(all_keys.get(level)) | {target: ciphertext.hex()}
    return dict(owner) | {_TRANSFER_KEYS: all_keys}


async def recover_key_pairs(
    crypto: Crypto,
    key_ring: KeyRing,
    owner: Mapping[str, Any],
    *,
    is_parent: bool = False,
    todays_keys: Callable[[], Awaitable[Sequence[bytes]]] | None = None,
) -> list[KeyPair]:
    """Add to the ring every key pair that transfer keys lead to, to read with, and return these.

    A damaged transfer key is left alone, with a warning in the log.

    Args:
        crypto: the primitives.
        key_ring: with the key pairs in use.
        owner: the document of the current data owner, or of a parent.
        is_parent: whether it is a parent's. Nothing that a parent's key pair leads to counts as the
            user's own.
        todays_keys: returns the exchange keys to the data owner itself that are in documents of
            their own (today.md §10); called at most once, and only where they are needed.
    """
    by_fingerprint = {fingerprint_of(key): key for key in published_keys_of(owner)}
    exchange_keys: Sequence[bytes] | None = None
    recovered: list[KeyPair] = []
    found = True
    # One recovered key may open the way to the next.
    while found:
        found = False
        for transfer in transfer_keys_of(owner):
            public_key = by_fingerprint.get(transfer.target)
            if public_key is None or public_key in key_ring or transfer.holder not in key_ring:
                continue
            key_pair = await _recover(crypto, key_ring, owner, transfer, public_key, is_parent)
            if key_pair is None and todays_keys is not None:
                if exchange_keys is None:
                    exchange_keys = await todays_keys()
                key_pair = await _recover_with(
                    crypto, key_ring, transfer, public_key, exchange_keys
                )
            if key_pair is not None:
                recovered.append(key_pair)
                found = True
    return recovered


async def _recover(
    crypto: Crypto,
    key_ring: KeyRing,
    owner: Mapping[str, Any],
    transfer: TransferKey,
    public_key: str,
    is_parent: bool,
) -> KeyPair | None:
    wrapped = exchange_key_of_pair(owner, str(owner["id"]), owner_key=public_key)
    exchange_key = await key_ring.open(wrapped, own_only=not is_parent)
    if exchange_key is None:
        return None
    key_pair = await _opened(crypto, transfer, public_key, exchange_key)
    try:
        if key_pair is None:
            _warn_of_damage(owner, transfer)
        elif is_parent:
            await key_ring.add_of_parent(key_pair)
        else:
            await key_ring.add(key_pair, read_only=True)
    except ValidationError:
        _warn_of_damage(owner, transfer)
        return None
    return key_pair


async def _recover_with(
    crypto: Crypto,
    key_ring: KeyRing,
    transfer: TransferKey,
    public_key: str,
    exchange_keys: Iterable[bytes],
) -> KeyPair | None:
    """Return the key pair that one of several exchange keys leads to."""
    for exchange_key in exchange_keys:
        key_pair = await _opened(crypto, transfer, public_key, exchange_key)
        try:
            if key_pair is not None:
                await key_ring.add(key_pair, read_only=True)
        except ValidationError:
            # A wrong key goes unnoticed now and then.
            continue
        if key_pair is not None:
            return key_pair
    return None


async def _opened(
    crypto: Crypto, transfer: TransferKey, public_key: str, exchange_key: bytes
) -> KeyPair | None:
    try:
        private_key = await crypto.aes_decrypt(exchange_key, decode_hex(transfer.ciphertext))
    except ValueError:
        return None
    return KeyPair(public_key, private_key.hex())


def _warn_of_damage(owner: Mapping[str, Any], transfer: TransferKey) -> None:
    _log.warning(
        "A transfer key of data owner %s to the key pair %s is damaged",
        printable(owner["id"]),
        printable(transfer.target),
    )
