"""Exchange data: the secrets between a delegator and a delegate, in a document of their own.

Three secrets, each encrypted for the keys of both: the exchange key, the access control secret,
which names delegations, and the key of the shared signature. Pure functions on wire JSON that is
never changed in place. Source: today.md §4 and §5.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.encoding import decode_base64, encode_base64
from icure_async.crypto.exchange_keys import TODAYS_KEYS, is_public_key, public_keys_of
from icure_async.crypto.key_ring import AES_KEY_LENGTHS, EXCHANGE_KEY_BYTES
from icure_async.errors import CryptoError
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_list, as_object
from icure_async.models.key_pair import fingerprint_v2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto, OaepHash
    from icure_async.models.key_pair import KeyPair

__all__ = [
    "EncryptionKey",
    "ExchangeSecrets",
    "access_control_key",
    "access_header",
    "delegation_key",
    "encryption_keys_of",
    "fingerprints_of",
    "is_contradicted",
    "is_verified",
    "keys_in_header",
    "new_exchange_data",
    "open_exchange_data",
    "open_wrapped",
    "published_pairs",
    "with_added_key",
    "wrap_for",
]

_EXCHANGE_KEY: Final = "exchangeKey"
_ACCESS_CONTROL_SECRET: Final = "accessControlSecret"  # noqa: S105
_SIGNATURE_KEY: Final = "sharedSignatureKey"
_WRAPPED: Final = (_EXCHANGE_KEY, _ACCESS_CONTROL_SECRET, _SIGNATURE_KEY)
_ACCESS_CONTROL_SECRET_BYTES: Final = 16
_ACCESS_CONTROL_KEY_BYTES: Final = 16
_SIGNATURE_KEY_BYTES: Final = 128
_KEYS_A_VALUE: Final = 360
# Of 2048 bits or more; the rest is checked where something is encrypted for it.
_SPKI: Final = re.compile(
    r"3082[0-9a-f]{4}300d06092a864886f70d01010105000382[0-9a-f]{4}00(?:[0-9a-f]{2})+", re.IGNORECASE
)


@attrs.frozen(repr=False)
class EncryptionKey:
    """A public key, and the hash with which something is encrypted for it (today.md §1).

    Attributes:
        public_key: hex of the SPKI.
        oaep: SHA-256 for keys of today's flavour, SHA-1 for those of 2023, also in exchange data.
    """

    public_key: str
    oaep: OaepHash

    @property
    def fingerprint(self) -> str:
        """Its V2 fingerprint, which proves nothing about the key."""
        return fingerprint_v2(self.public_key)

    def __repr__(self) -> str:
        return f"EncryptionKey(fingerprint={printable(self.fingerprint)!r}, oaep={self.oaep!r})"


@attrs.frozen(repr=False)
class ExchangeSecrets:
    """The secrets of exchange data. Its repr shows none.

    Attributes:
        exchange_key: the AES key of the entries in delegations.
        access_control_secret: what the access control keys are made of.
        signature_key: the key of the shared signature; empty where no key opens it, which makes
            the exchange data one to read with.
    """

    exchange_key: bytes
    access_control_secret: bytes
    signature_key: bytes

    def access_control_key(self, entity_type: str) -> bytes:
        """Return the access control key for the entities of a type."""
        return access_control_key(self.access_control_secret, entity_type)

    def delegation_key(self, entity_type: str) -> str:
        """Return the name of the delegations in the entities of a type."""
        return delegation_key(self.access_control_key(entity_type))

    def __repr__(self) -> str:
        return "ExchangeSecrets()"


# --- Keys of data owners --------------------------------------------------------------------------


def encryption_keys_of(owner: Mapping[str, Any]) -> list[EncryptionKey]:
    """Return the published keys of a data owner, those of today's flavour first, without doubles.

    One that is listed for both flavours counts as one of today's. Malformed ones are left out, and
    those that are named by their fingerprint alone.
    """
    found: dict[str, EncryptionKey] = {}
    hashed: tuple[tuple[OaepHash, Iterable[object]], ...] = (
        ("sha-256", as_list(owner.get(TODAYS_KEYS))),
        ("sha-1", public_keys_of(owner)),
    )
    for oaep, public_keys in hashed:
        for public_key in public_keys:
            if isinstance(public_key, str) and _SPKI.fullmatch(public_key):
                found.setdefault(public_key.lower(), EncryptionKey(public_key, oaep))
    return list(found.values())


# --- Access control -------------------------------------------------------------------------------


def access_control_key(secret: bytes, entity_type: str) -> bytes:
    """Return the access control key that a secret gives for the entities of a type (today.md §5).

    Args:
        secret: the access control secret.
        entity_type: "Patient", "MaintenanceTask", …
    """
    text = f"{secret.hex()}{entity_type}"
    return hashlib.sha256(text.encode()).digest()[:_ACCESS_CONTROL_KEY_BYTES]


def delegation_key(access_control_key: bytes) -> str:
    """Return the name of the delegations that an access control key opens (today.md §5)."""
    return hashlib.sha256(access_control_key).hexdigest()


def access_header(keys: Sequence[bytes]) -> str | None:
    """Return the value of ``Icure-Access-Control-Keys``, or None where there are no keys.

    Each 360 keys are one value, and a comma joins the values (today.md §0 item 5, §9).
    """
    distinct = list(dict.fromkeys(keys))
    values = [
        encode_base64(b"".join(distinct[start : start + _KEYS_A_VALUE]))
        for start in range(0, len(distinct), _KEYS_A_VALUE)
    ]
    return ",".join(values) or None


def keys_in_header(value: str) -> list[bytes]:
    """Return the access control keys in a value that :func:`access_header` has made."""
    joined = b"".join(map(decode_base64, value.split(",")))
    starts = range(0, len(joined), _ACCESS_CONTROL_KEY_BYTES)
    return [joined[start : start + _ACCESS_CONTROL_KEY_BYTES] for start in starts]


# --- Secrets, encrypted for keys ------------------------------------------------------------------


async def wrap_for(
    crypto: Crypto, plaintext: bytes, keys: Sequence[EncryptionKey]
) -> dict[str, str]:
    """Return a secret encrypted for each key: V2 fingerprint → RSA ciphertext in base64.

    Of several keys with the same fingerprint, which is no accident, the first one counts.

    Raises:
        ValueError: one of them is not an RSA public key.
    """
    return {
        key.fingerprint: encode_base64(
            await crypto.rsa_encrypt(key.public_key, plaintext, oaep=key.oaep)
        )
        for key in _distinct(keys)
    }


async def open_wrapped(key_ring: KeyRing, wrapped: Mapping[str, str]) -> bytes | None:
    """Return a secret that was encrypted for keys, or None where no pair of the ring opens it."""
    return await key_ring.open_of_today(wrapped)


async def open_exchange_data(
    key_ring: KeyRing, document: Mapping[str, Any]
) -> ExchangeSecrets | None:
    """Return the secrets of exchange data, or None where no pair of the ring opens them.

    The signatures are not looked at: exchange data that does not verify is read with (today.md
    §4.4), and :func:`is_verified` says what may be written with.
    """
    exchange_key = await key_ring.open_of_today(document.get(_EXCHANGE_KEY))
    if exchange_key is None or len(exchange_key) not in AES_KEY_LENGTHS:
        return None
    secret = await key_ring.open_of_today(document.get(_ACCESS_CONTROL_SECRET))
    if secret is None:
        return None
    signature_key = await key_ring.open_of_today(document.get(_SIGNATURE_KEY))
    return ExchangeSecrets(exchange_key, secret, signature_key or b"")


def fingerprints_of(document: Mapping[str, Any]) -> set[str]:
    """Return the V2 fingerprints of the keys that exchange data is encrypted for, all of it."""
    first, *others = (as_object(document.get(name)) for name in _WRAPPED)
    return {name for name in first if all(name in other for other in others)}


# --- Signatures -----------------------------------------------------------------------------------


async def is_verified(
    crypto: Crypto, key_ring: KeyRing, document: Mapping[str, Any], secrets: ExchangeSecrets
) -> bool:
    """Return whether exchange data may be written with (today.md §4.4).

    The shared signature is right, and so is every delegator signature that a key pair of ours can
    check, among them one by a key pair of which nobody else has the private half. Another's
    exchange data, or what a client of 2025 made, with signatures of another form, is not.
    """
    return _is_whole(secrets) and (
        _has_shared_signature(document, secrets)
        and await _has_own_signature(crypto, key_ring, document, secrets)
    )


async def is_contradicted(
    crypto: Crypto, key_ring: KeyRing, document: Mapping[str, Any], secrets: ExchangeSecrets
) -> bool:
    """Return whether exchange data has a wrong signature, so that nothing may rely on it.

    A missing one is not wrong, nor is one that only another data owner, or a key pair that is lost,
    could check.
    """
    if not _is_whole(secrets) or not _has_shared_signature(document, secrets):
        return True
    return not all(await _own_signers(crypto, key_ring, document, secrets))


def _is_whole(secrets: ExchangeSecrets) -> bool:
    return (
        len(secrets.exchange_key) == EXCHANGE_KEY_BYTES
        and len(secrets.access_control_secret) == _ACCESS_CONTROL_SECRET_BYTES
        and len(secrets.signature_key) == _SIGNATURE_KEY_BYTES
    )


def _has_shared_signature(document: Mapping[str, Any], secrets: ExchangeSecrets) -> bool:
    return bool(secrets.signature_key) and _is_same(
        document.get("sharedSignature"), _shared_signature(document, secrets)
    )


async def _has_own_signature(
    crypto: Crypto, key_ring: KeyRing, document: Mapping[str, Any], secrets: ExchangeSecrets
) -> bool:
    signers = await _own_signers(crypto, key_ring, document, secrets)
    return all(signers) and any(
        key_ring.holds(key_pair.public_key) for by in signers for key_pair in by
    )


async def _own_signers(
    crypto: Crypto, key_ring: KeyRing, document: Mapping[str, Any], secrets: ExchangeSecrets
) -> list[list[KeyPair]]:
    """Return for each delegator signature that names a pair of ours those that have made it."""
    signatures = as_object(document.get("delegatorSignature"))
    named: dict[str, list[KeyPair]] = {}
    for key_pair in key_ring.own_pairs:
        fingerprint = fingerprint_v2(key_pair.public_key)
        if fingerprint in signatures:
            named.setdefault(fingerprint, []).append(key_pair)
    return [
        [
            key_pair
            for key_pair in key_pairs
            if _is_same(
                signatures[fingerprint], await _delegator_signature(crypto, key_pair, secrets)
            )
        ]
        for fingerprint, key_pairs in named.items()
    ]


def _shared_signature(document: Mapping[str, Any], secrets: ExchangeSecrets) -> bytes:
    text = _signed_text(document, secrets).encode("utf-8", errors="surrogatepass")
    return hmac.digest(secrets.signature_key, text, "sha512")


async def _delegator_signature(
    crypto: Crypto, key_pair: KeyPair, secrets: ExchangeSecrets
) -> bytes:
    message = hashlib.sha256(secrets.signature_key).digest()
    return await crypto.delegator_hmac(key_pair, message)


def _signed_text(document: Mapping[str, Any], secrets: ExchangeSecrets) -> str:
    """Return the text of the shared signature, which is not quite JSON (today.md §4.3).

    Today's clients write the secret as one of their objects prints itself, and forget the last
    bracket.
    """
    named = {name for member in _WRAPPED for name in as_object(document.get(member))}
    fingerprints = ",".join(f'"{name}"' for name in sorted(named))
    return (
        f'[["delegator","{document.get("delegator")}"],["delegate","{document.get("delegate")}"],'
        f'["exchangeKey","{secrets.exchange_key.hex()}"],'
        f'["accessControlSecret","AccessControlSecret(s={secrets.access_control_secret.hex()})"],'
        f'["publicKeysFingerprints",[{fingerprints}]]'
    )


def _is_same(text: object, signature: bytes) -> bool:
    if not isinstance(text, str):
        return False
    try:
        return hmac.compare_digest(decode_base64(text), signature)
    except ValueError:
        return False


# --- Documents ------------------------------------------------------------------------------------


def published_pairs(
    key_ring: KeyRing, keys: Iterable[EncryptionKey]
) -> list[tuple[KeyPair, EncryptionKey]]:
    """Return the trusted key pairs of a ring that stand among public keys, whole, each with its."""
    by_public_key = {key.public_key.lower(): key for key in keys}
    return [
        (key_pair, by_public_key[key_pair.public_key.lower()])
        for key_pair in key_ring.trusted_pairs
        if key_pair.public_key.lower() in by_public_key
    ]


async def new_exchange_data(
    crypto: Crypto,
    key_ring: KeyRing,
    exchange_data_id: str,
    delegator_id: str,
    delegate_id: str,
    own_keys: Sequence[EncryptionKey],
    delegate_keys: Sequence[EncryptionKey],
) -> tuple[dict[str, Any], ExchangeSecrets]:
    """Return new exchange data ready to be stored, and its secrets (today.md §4.2, §4.3).

    Each own key whose private half is in use signs it. A key of the delegate that has the
    fingerprint of another one gets nothing, and neither does one that is no RSA key.

    Args:
        crypto: the primitives.
        key_ring: with the key pairs of the delegator.
        exchange_data_id: a new id.
        delegator_id: the current data owner.
        delegate_id: the other one; the same for exchange data to oneself.
        own_keys: the delegator's verified keys.
        delegate_keys: the delegate's verified keys; not used where that is oneself.

    Raises:
        CryptoError: the delegator, or the delegate, could not read it.
    """
    signers = [key_pair for key_pair, _ in published_pairs(key_ring, own_keys)]
    if not signers:
        raise CryptoError(
            "No key pair of the current data owner is in use that is published: call "
            "init_user_crypto() first. Nothing was sent."
        )
    is_own = delegate_id == delegator_id
    # Anybody who writes our document may list a key there with the fingerprint of ours.
    own_keys = sorted(own_keys, key=lambda key: not key_ring.holds(key.public_key))
    keys = await _usable(crypto, own_keys, own_keys if is_own else delegate_keys, to=delegate_id)
    secrets = ExchangeSecrets(
        await crypto.random_bytes(EXCHANGE_KEY_BYTES),
        await crypto.random_bytes(_ACCESS_CONTROL_SECRET_BYTES),
        await crypto.random_bytes(_SIGNATURE_KEY_BYTES),
    )
    document: dict[str, Any] = {
        "id": exchange_data_id,
        "delegator": delegator_id,
        "delegate": delegate_id,
    }
    for name, secret in _by_member(secrets).items():
        document[name] = await wrap_for(crypto, secret, keys)
        key_ring.remember_of_today(document[name], secret)
    document["sharedSignature"] = encode_base64(_shared_signature(document, secrets))
    document["delegatorSignature"] = {
        fingerprint_v2(key_pair.public_key): encode_base64(
            await _delegator_signature(crypto, key_pair, secrets)
        )
        for key_pair in signers
    }
    return document, secrets


async def with_added_key(
    crypto: Crypto, document: Mapping[str, Any], secrets: ExchangeSecrets, key: EncryptionKey
) -> dict[str, Any]:
    """Return exchange data encrypted for one key more (today.md §4.5).

    The shared signature covers the new key where it was right before, and stays as it is where it
    was not, so that nothing is vouched for. A secret that is for a key with this fingerprint
    already stays as it is.

    Returns:
        The document; an equal one where nothing was missing.

    Raises:
        ValueError: it is not an RSA public key.
    """
    added = dict(document)
    for name, secret in _by_member(secrets).items():
        wrapped = as_object(document.get(name))
        if secret and key.fingerprint not in wrapped:
            added[name] = {**wrapped, **await wrap_for(crypto, secret, [key])}
    if _has_shared_signature(document, secrets):
        added["sharedSignature"] = encode_base64(_shared_signature(added, secrets))
    return added


async def _usable(
    crypto: Crypto,
    own_keys: Sequence[EncryptionKey],
    delegate_keys: Sequence[EncryptionKey],
    *,
    to: str,
) -> list[EncryptionKey]:
    """Return the keys to encrypt for, our own first, so that no other one crowds them out."""
    own = [key for key in own_keys if await is_public_key(crypto, key.public_key)]
    others = [key for key in delegate_keys if await is_public_key(crypto, key.public_key)]
    keys = _distinct([*own, *others])
    if not any(key in keys for key in others):
        raise CryptoError(
            f"Nothing can be encrypted for data owner {printable(to)}: none of its public keys is "
            "an RSA key with a fingerprint of its own. Let that person log in, and share then. "
            "Nothing was sent."
        )
    return keys


def _distinct(keys: Iterable[EncryptionKey]) -> list[EncryptionKey]:
    by_fingerprint: dict[str, EncryptionKey] = {}
    for key in keys:
        by_fingerprint.setdefault(key.fingerprint, key)
    return list(by_fingerprint.values())


def _by_member(secrets: ExchangeSecrets) -> dict[str, bytes]:
    return {
        _EXCHANGE_KEY: secrets.exchange_key,
        _ACCESS_CONTROL_SECRET: secrets.access_control_secret,
        _SIGNATURE_KEY: secrets.signature_key,
    }
