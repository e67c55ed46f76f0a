"""Exchange keys on data-owner documents: finding them, and adding new ones.

An exchange key is the AES-256 key between a delegator and a delegate, stored on the delegator's
document, RSA-encrypted for the key pairs of both. Pure functions on the wire JSON, which is never
changed in place. Source: cryptography.md §3 and §4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.json_shapes import as_list, as_object, is_object
from icure_async.models.key_pair import FINGERPRINT_LENGTH, fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from icure_async.crypto.protocol import Crypto

__all__ = [
    "LEGACY_KEY",
    "TODAYS_KEYS",
    "add_exchange_key",
    "delegates_of",
    "exchange_key_of_pair",
    "exchange_keys_in_view",
    "exchange_keys_to",
    "has_exchange_key",
    "is_public_key",
    "public_keys_of",
    "published_keys_of",
    "rewrap",
]

LEGACY_KEY: Final = ""
"""Names the ciphertext of ``hcPartyKeys`` whose encrypting key is not recorded (§3.6)."""

TODAYS_KEYS: Final = "publicKeysForOaepWithSha256"
"""The member of a data owner with the public keys of today's flavour."""

WrappedKey = dict[str, str]
"""One exchange key: fingerprint of the encrypting key → RSA ciphertext in hex."""


def public_keys_of(owner: Mapping[str, Any]) -> list[str]:
    """Return the public keys (SPKI hex) of 2023 of a data owner, ``publicKey`` first, once each.

    Where one is named by its fingerprint too, as past versions did, it is the full key that counts.
    """
    candidates = [owner.get("publicKey"), *as_object(owner.get("aesExchangeKeys"))]
    keys: dict[str, str] = {}
    for key in candidates:
        if isinstance(key, str) and key:
            keys[fingerprint_of(key)] = max(keys.get(fingerprint_of(key), ""), key, key=len)
    return list(keys.values())


def published_keys_of(owner: Mapping[str, Any]) -> list[str]:
    """Return the public keys (SPKI hex) of a data owner: those of 2023, and then today's."""
    keys = {key.lower(): key for key in public_keys_of(owner)}
    for key in as_list(owner.get(TODAYS_KEYS)):
        if isinstance(key, str) and key:
            keys.setdefault(key.lower(), key)
    return list(keys.values())


async def is_public_key(crypto: Crypto, public_key: str) -> bool:
    """Return whether a text is an RSA public key, for which something can be encrypted."""
    try:
        await crypto.rsa_encrypt(public_key, b"")
    except ValueError:
        return False
    return True


def delegates_of(owner: Mapping[str, Any]) -> list[str]:
    """Return the ids of all delegates the owner has exchange keys to."""
    found: dict[str, None] = {}
    for by_delegate in as_object(owner.get("aesExchangeKeys")).values():
        found.update(dict.fromkeys(as_object(by_delegate)))
    found.update(dict.fromkeys(as_object(owner.get("hcPartyKeys"))))
    return list(found)


def exchange_keys_to(owner: Mapping[str, Any], delegate_id: str) -> list[WrappedKey]:
    """Return the owner's exchange keys to a delegate, in document order, legacy form last."""
    found: list[WrappedKey] = []
    for by_delegate in as_object(owner.get("aesExchangeKeys")).values():
        wrapped = _wrapped_key(as_object(by_delegate).get(delegate_id))
        if wrapped:
            found.append(wrapped)
    legacy = _legacy_key(owner, delegate_id)
    return [*found, legacy] if legacy else found


def exchange_keys_in_view(view: Mapping[str, Any], delegator_id: str) -> list[WrappedKey]:
    """Return a delegator's exchange keys in the server's ``aesExchangeKeys`` view (§3.6)."""
    by_delegator_key = as_object(as_object(view).get(delegator_id))
    return [wrapped for entry in by_delegator_key.values() if (wrapped := _wrapped_key(entry))]


def has_exchange_key(owner: Mapping[str, Any], delegate_id: str, *, owner_key: str) -> bool:
    """Return whether the owner's key pair already has an exchange key to the delegate."""
    return bool(exchange_key_of_pair(owner, delegate_id, owner_key=owner_key))


def exchange_key_of_pair(
    owner: Mapping[str, Any], delegate_id: str, *, owner_key: str
) -> WrappedKey:
    """Return the exchange key that one of the owner's key pairs has to the delegate, or nothing."""
    for public_key, by_delegate in as_object(owner.get("aesExchangeKeys")).items():
        if fingerprint_of(public_key) == fingerprint_of(owner_key):
            wrapped = _wrapped_key(as_object(by_delegate).get(delegate_id))
            if wrapped:
                return wrapped
    return {}


async def rewrap(
    owner: dict[str, Any],
    delegates: Mapping[str, str | None],
    fingerprint: str,
    wrap: Callable[[WrappedKey], Awaitable[str | None]],
) -> dict[str, Any]:
    """Return the document with its exchange keys to some delegates encrypted for one key more.

    An exchange key that is for this key already, or that ``wrap`` gives None for, stays as it is.
    One that exists in the legacy form only gets its place in ``aesExchangeKeys`` as well, since the
    legacy form has none for a third ciphertext.

    Args:
        owner: the delegator's document.
        delegates: id → ``publicKey`` of those whose exchange keys are meant; without a public key,
            the legacy form is left alone.
        fingerprint: of the key to encrypt for.
        wrap: returns an exchange key encrypted for that key, in hex.

    Returns:
        The document; the same object where nothing changed.
    """
    added: list[tuple[str, str, WrappedKey]] = []
    for level, by_delegate in as_object(owner.get("aesExchangeKeys")).items():
        for delegate_id in delegates:
            wrapped = _wrapped_key(as_object(by_delegate).get(delegate_id))
            ciphertext = await wrap(wrapped) if wrapped and fingerprint not in wrapped else None
            if ciphertext is not None:
                added.append((level, delegate_id, wrapped | {fingerprint: ciphertext}))
    public_key = owner.get("publicKey")
    for delegate_id, delegate_key in delegates.items():
        legacy = _legacy_key(owner, delegate_id)
        if (
            not legacy
            or not delegate_key
            or not isinstance(public_key, str)
            or not public_key
            or has_exchange_key(owner, delegate_id, owner_key=public_key)
        ):
            continue
        ciphertext = await wrap(legacy)
        if ciphertext is not None:
            # Once it is in aesExchangeKeys, the backend shows the delegate this one only (§3.6).
            named = {
                fingerprint_of(delegate_key): legacy[LEGACY_KEY],
                fingerprint_of(public_key): legacy[fingerprint_of(public_key)],
                fingerprint: ciphertext,
            }
            added.append((public_key, delegate_id, named))
    for level, delegate_id, wrapped in added:
        owner = _with_slot(owner, level, delegate_id, wrapped)
    return owner


def add_exchange_key(
    owner: Mapping[str, Any],
    delegate_id: str,
    *,
    owner_key: str,
    wrapped: WrappedKey,
    delegate_public_key: str | None,
) -> dict[str, Any]:
    """Return the owner's document with one more exchange key; nothing present is replaced.

    All ciphertexts of one slot hold the same exchange key, so a slot in use is never added to.

    Args:
        owner: the delegator's document.
        delegate_id: the delegate; the owner itself for the self entry.
        owner_key: SPKI hex of the owner's key pair this exchange key belongs to.
        wrapped: the exchange key, encrypted for the owner's and the delegate's key pairs.
        delegate_public_key: the delegate's ``publicKey``; where it is covered by ``wrapped`` and
            ``owner_key`` is the owner's ``publicKey``, the legacy ``hcPartyKeys`` entry is written
            too (§3.3).

    Raises:
        ValueError: the slot is in use (see :func:`has_exchange_key`).
    """
    if has_exchange_key(owner, delegate_id, owner_key=owner_key):
        message = "this exchange key exists already"
        raise ValueError(message)
    all_keys: dict[str, Any] = {
        public_key: {delegate: _with_short_ids(entry) for delegate, entry in by_delegate.items()}
        if is_object(by_delegate)
        else by_delegate
        for public_key, by_delegate in as_object(owner.get("aesExchangeKeys")).items()
    }
    result = _with_slot(
        dict(owner) | {"aesExchangeKeys": all_keys}, owner_key, delegate_id, wrapped
    )

    public_key = owner.get("publicKey")
    legacy = dict(as_object(owner.get("hcPartyKeys")))
    if (
        isinstance(public_key, str)
        and fingerprint_of(public_key) == fingerprint_of(owner_key)
        and isinstance(delegate_public_key, str)
        and delegate_id not in legacy
        and fingerprint_of(public_key) in wrapped
        and fingerprint_of(delegate_public_key) in wrapped
    ):
        legacy[delegate_id] = [
            wrapped[fingerprint_of(public_key)],
            wrapped[fingerprint_of(delegate_public_key)],
        ]
        result["hcPartyKeys"] = legacy
    return result


def _legacy_key(owner: Mapping[str, Any], delegate_id: str) -> WrappedKey:
    """Return the exchange key of ``hcPartyKeys``, if there is one (§3.3)."""
    legacy = as_list(as_object(owner.get("hcPartyKeys")).get(delegate_id))
    if not legacy or not all(isinstance(text, str) for text in legacy):
        return {}
    wrapped = {LEGACY_KEY: legacy[-1]}
    public_key = owner.get("publicKey")
    if isinstance(public_key, str) and public_key:
        wrapped[fingerprint_of(public_key)] = legacy[0]
    return wrapped


def _with_slot(
    owner: Mapping[str, Any], owner_key: str, delegate_id: str, wrapped: WrappedKey
) -> dict[str, Any]:
    all_keys = dict(as_object(owner.get("aesExchangeKeys")))
    # A former SDK may have named the level by the fingerprint alone.
    level = next(
        (name for name in all_keys if fingerprint_of(name) == fingerprint_of(owner_key)), owner_key
    )
    all_keys[level] = as_object(all_keys.get(level)) | {delegate_id: dict(wrapped)}
    return dict(owner) | {"aesExchangeKeys": all_keys}


def _wrapped_key(value: object) -> WrappedKey:
    """Return level 3 with its ids cut to fingerprints (past versions wrote full keys there).

    Where both are there, the ciphertext under the fingerprint counts (§4.2.3).
    """
    usable = [
        (name, ciphertext)
        for name, ciphertext in as_object(value).items()
        if isinstance(ciphertext, str) and ciphertext
    ]
    usable.sort(key=lambda item: len(item[0]) <= FINGERPRINT_LENGTH)
    return {fingerprint_of(name): ciphertext for name, ciphertext in usable}


def _with_short_ids(value: object) -> object:
    """Return level 3 as it is written: its ids cut to fingerprints, without losing anything."""
    named = as_object(value)
    short = {fingerprint_of(name): ciphertext for name, ciphertext in named.items()}
    return short if short and len(short) == len(named) else value
