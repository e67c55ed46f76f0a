"""Signs that a part of a document was cut off, which nothing else shows.

Documents are replaced as a whole, so whatever an answer lacks would be destroyed by the next write.
Most key material is there twice, in one form or another. Where one half is missing, as is the case
in some documents of the past too, the document is to be read again before anything is built on it.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, Final

from icure_async.crypto.encoding import decode_base64
from icure_async.crypto.exchange_keys import (
    TODAYS_KEYS,
    exchange_key_of_pair,
    public_keys_of,
    published_keys_of,
)
from icure_async.crypto.transfer_keys import transfer_keys_of
from icure_async.entities.secure_delegations import (
    SECURITY_METADATA,
    same_delegations,
    secure_delegations_of,
)
from icure_async.entities.secure_delegations import looks_whole as secure_looks_whole
from icure_async.json_shapes import as_list, as_object, is_list, is_object
from icure_async.models.key_pair import fingerprint_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ENTITY_METADATA",
    "KEY_MATERIAL",
    "SHARES_MEMBER",
    "has_all_keys_of",
    "has_key_material",
    "looks_whole",
    "owner_looks_whole",
    "same_material",
    "stub_looks_whole",
]

ENTITY_METADATA: Final = (
    "delegations",
    "encryptionKeys",
    "cryptedForeignKeys",
    "secretForeignKeys",
    "encryptedSelf",
    SECURITY_METADATA,
)
"""The members of an encrypted entity that hold its keys and its content."""

SHARES_MEMBER: Final = "privateKeyShamirPartitions"
"""The member of a data owner with the shares of a private key, by notary."""

KEY_MATERIAL: Final = (
    "publicKey",
    "aesExchangeKeys",
    "hcPartyKeys",
    "transferKeys",
    SHARES_MEMBER,
    TODAYS_KEYS,
)
"""The members of a data owner that hold keys."""

_BLOCK_BYTES: Final = 16
# IV and content in hex: of two ids in an entry, of a PKCS#8 in a transfer key.
_ENTRY_KEY: Final = re.compile(r"(?:[0-9a-fA-F]{32}){4,32}")
_TRANSFER_KEY: Final = re.compile(r"(?:[0-9a-fA-F]{32}){20,320}")
_PUBLIC_KEY: Final = re.compile(r"(?:[0-9a-fA-F]{2}){32,1200}")
_RSA_CIPHERTEXT: Final = re.compile(r"(?:[0-9a-fA-F]{128}){2,16}")


def has_key_material(document: Mapping[str, Any]) -> bool:
    """Return whether the document holds keys of a data owner."""
    return any(document.get(name) for name in KEY_MATERIAL)


def looks_whole(document: Mapping[str, Any]) -> bool:
    """Return whether an encrypted entity has the keys and the content it should have.

    A data owner with the key has the secret id too, and the other way round, from the same
    delegator; and an entity with keys has content. Of secure delegations (today.md §5) there is a
    root. One that belongs to another entity says so in clear, and to each of these data owners.
    Other forms are possible: key-only delegates (cryptography.md §8), records that were never
    encrypted, secrets of past versions.
    """
    keys, delegations = document.get("encryptionKeys"), document.get("delegations")
    owners = document.get("cryptedForeignKeys")
    secure = secure_delegations_of(document)
    return (
        _has_whole_entries(owners)
        and _has_whole_entries(keys)
        and _has_whole_entries(delegations)
        and _grants(keys) == _grants(delegations)
        and (not _grants(owners) or _grants(owners) == _grants(delegations))
        and secure_looks_whole(document)
        and _names_its_owner(document, secure)
        and bool(_grants(keys) or secure) == bool(document.get("encryptedSelf"))
        and _is_ciphertext(document.get("encryptedSelf"))
    )


def _names_its_owner(
    document: Mapping[str, Any], delegations: Mapping[str, Mapping[str, Any]]
) -> bool:
    """Return whether one that belongs to another entity says so to those with access, too."""
    in_clear = bool(document.get("secretForeignKeys"))
    hidden = bool(_grants(document.get("cryptedForeignKeys"))) or any(
        delegation.get("owningEntityIds") for delegation in delegations.values()
    )
    return in_clear == hidden


def owner_looks_whole(owner: Mapping[str, Any], *, with_transfers: bool = False) -> bool:
    """Return whether a data owner has the keys it should have (cryptography.md §3).

    Each of its key pairs has an exchange key to the same people, itself among them, and the first
    has them in the legacy form too; older key pairs lead to the newer ones.

    Args:
        owner: the data owner.
        with_transfers: whether there should be transfer keys where there may be. There are none for
            key pairs that the device with the newer one did not know.
    """
    levels = as_object(owner.get("aesExchangeKeys"))
    if owner.get(SHARES_MEMBER) or owner.get(TODAYS_KEYS):
        return False
    first = owner.get("publicKey") or ""
    if not first:
        return not levels and not as_object(owner.get("hcPartyKeys"))
    return (
        all(map(_PUBLIC_KEY.fullmatch, [first, *levels]))
        and _is_mirrored(as_object(levels.get(first)), as_object(owner.get("hcPartyKeys")))
        and all(_is_whole_level(owner, level) for level in levels)
        and _transfers_are_whole(owner, may_be_none=not with_transfers)
    )


def stub_looks_whole(owner: Mapping[str, Any], *, with_transfers: bool = False) -> bool:
    """Return whether a data owner has the keys it should have where they are written as a stub.

    Of today's keys (today.md §3, §10.6) nothing is there twice, but for the key pairs that transfer
    keys name. Those of 2023 are as :func:`owner_looks_whole` has them.
    """
    published = published_keys_of(owner)
    fingerprints = {fingerprint_of(public_key) for public_key in published}
    transfers = list(transfer_keys_of(owner))
    return (
        all(map(_PUBLIC_KEY.fullmatch, published))
        and all({key.holder, key.target} <= fingerprints for key in transfers)
        and all(_is_hex_ciphertext(key.ciphertext, _TRANSFER_KEY) for key in transfers)
        and owner_looks_whole(_without_todays_keys(owner), with_transfers=with_transfers)
    )


def _without_todays_keys(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Return a data owner as the flavour of 2023 would have it."""
    fingerprints = {fingerprint_of(public_key) for public_key in public_keys_of(owner)}
    transfers = {
        holder: {
            target: ciphertext
            for target, ciphertext in as_object(by_target).items()
            if fingerprint_of(target) in fingerprints
        }
        for holder, by_target in as_object(owner.get("transferKeys")).items()
        if fingerprint_of(holder) in fingerprints
    }
    return {**owner, TODAYS_KEYS: [], "transferKeys": transfers}


def same_material(
    sent: Mapping[str, Any], stored: Mapping[str, Any], names: tuple[str, ...]
) -> bool:
    """Return whether two documents hold the same keys and content in these members.

    Empty members count as absent, since backends add and drop them.
    """
    return all(
        same_delegations(sent, stored)
        if name == SECURITY_METADATA
        else _plain(sent.get(name), name) == _plain(stored.get(name), name)
        for name in names
    )


def has_all_keys_of(owner: Mapping[str, Any], earlier: Mapping[str, Any]) -> bool:
    """Return whether a data owner has the keys that it had before: they are added, not removed."""
    return all(
        _holds(_plain(owner.get(name), name), _plain(earlier.get(name), name))
        for name in KEY_MATERIAL
    )


def _holds(value: Any, earlier: Any) -> bool:
    if is_list(earlier) and is_list(value):
        # Of public keys, to which new ones are added; pairs of ciphertexts stay as they are.
        return all(item in value for item in earlier)
    if is_object(earlier):
        return is_object(value) and all(
            _holds(value.get(key), item) for key, item in earlier.items()
        )
    return bool(earlier is None or value == earlier)


def _has_whole_entries(entries: object) -> bool:
    for delegate_id, listed in as_object(entries).items():
        if not is_list(listed) or not listed:
            return False
        for entry in listed:
            whole = (
                is_object(entry)
                and entry.get("delegatedTo") == delegate_id
                and not entry.get("tags")
                and bool(entry.get("owner"))
                and _is_hex_ciphertext(entry.get("key"), _ENTRY_KEY)
            )
            if not whole:
                return False
    return True


def _grants(entries: object) -> list[tuple[str, str]]:
    """Return the delegate and the owner of each entry."""
    return sorted(
        (delegate_id, str(as_object(entry).get("owner")))
        for delegate_id, listed in as_object(entries).items()
        for entry in as_list(listed)
    )


def _is_ciphertext(text: object) -> bool:
    if not text:
        return True
    try:
        content = decode_base64(str(text))
    except ValueError:
        return False
    whole_blocks = len(content) >= 2 * _BLOCK_BYTES and not len(content) % _BLOCK_BYTES
    return whole_blocks and _looks_random(content)


def _is_hex_ciphertext(text: object, form: re.Pattern[str]) -> bool:
    if not isinstance(text, str) or not form.fullmatch(text):
        return False
    return _looks_random(bytes.fromhex(text[: 4 * _BLOCK_BYTES]))


def _looks_random(content: bytes) -> bool:
    """Return whether a ciphertext begins as one does: what somebody typed has few other bytes."""
    return len(set(content[: 2 * _BLOCK_BYTES])) > _BLOCK_BYTES // 2


def _is_mirrored(level: Mapping[str, Any], legacy: Mapping[str, Any]) -> bool:
    """Return whether the exchange keys of the first key pair are there in the legacy form too."""
    return legacy.keys() == level.keys() and all(
        len(as_list(pair)) == 2 and set(as_list(pair)) <= set(as_object(level[delegate]).values())
        for delegate, pair in legacy.items()
    )


def _is_whole_level(owner: Mapping[str, Any], level: str) -> bool:
    by_delegate = as_object(as_object(owner.get("aesExchangeKeys"))[level])
    every_delegate = {
        delegate
        for others in as_object(owner.get("aesExchangeKeys")).values()
        for delegate in as_object(others)
    }
    own_id = owner.get("id")
    return by_delegate.keys() == every_delegate and all(
        _is_whole_slot(owner, wrapped, level, is_own=delegate == own_id)
        for delegate, wrapped in by_delegate.items()
    )


def _is_whole_slot(owner: Mapping[str, Any], wrapped: Any, level: str, *, is_own: bool) -> bool:
    """Return whether an exchange key is there for its key pair, and for somebody else's."""
    named = as_object(wrapped)
    own = {fingerprint_of(public_key) for public_key in public_keys_of(owner)}
    return (
        fingerprint_of(level) in named
        and (is_own or bool(named.keys() - own))
        and all(_is_hex_ciphertext(text, _RSA_CIPHERTEXT) for text in named.values())
    )


def _transfers_are_whole(owner: Mapping[str, Any], *, may_be_none: bool) -> bool:
    """Return whether transfer keys go the ways that the exchange keys to oneself go."""
    public_keys = public_keys_of(owner)
    fingerprints = {fingerprint_of(public_key) for public_key in public_keys}
    by_exchange_key = {
        (holder, fingerprint_of(public_key))
        for public_key in public_keys
        for holder in exchange_key_of_pair(owner, str(owner["id"]), owner_key=public_key)
        if holder in fingerprints and holder != fingerprint_of(public_key)
    }
    transfers = list(transfer_keys_of(owner))
    by_transfer_key = {(key.holder, key.target) for key in transfers}
    levels = [fingerprint_of(level) for level in as_object(owner.get("aesExchangeKeys"))]
    for one, other in itertools.combinations(levels, 2):
        # The older of two key pairs opens the exchange key of the newer one to oneself.
        if by_exchange_key.isdisjoint({(one, other), (other, one)}):
            return False
    if may_be_none and not transfers:
        return True
    return by_exchange_key == by_transfer_key and all(
        _is_hex_ciphertext(key.ciphertext, _TRANSFER_KEY) for key in transfers
    )


def _plain(value: Any, name: str) -> Any:
    """Return key material in one spelling, without what is empty."""
    if is_object(value):
        plain = {key: _plain(item, name) for key, item in value.items() if item is not None}
        return {key: item for key, item in plain.items() if item not in ({}, [], None, "")} or None
    if is_list(value):
        return [_plain(item, name) for item in value] or None
    if name == "encryptedSelf" and isinstance(value, str):
        try:
            return decode_base64(value) or None
        except ValueError:
            return value
    return value or None
