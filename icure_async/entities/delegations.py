"""Entries of ``delegations``, ``encryptionKeys`` and ``cryptedForeignKeys``.

Each entry hides ``entityId:secret`` under the exchange key between its owner and its delegate.
Source: cryptography.md §5.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from icure_async.crypto.encoding import decode_hex
from icure_async.errors import CryptoError
from icure_async.json_shapes import as_list, as_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.crypto.protocol import Crypto

__all__ = [
    "KEY_MAPS",
    "LEGACY_MAPS",
    "decrypt_entry",
    "encrypt_entry",
    "entity_key_of",
    "entries_for",
    "has_keys",
    "has_legacy_metadata",
    "has_own_entry",
    "key_map_of",
    "name_in_entries",
    "open_entry",
]

KEY_MAPS: Final = ("encryptionKeys", "delegations")
"""The maps whose entries may hide an entity's key."""

LEGACY_MAPS: Final = (*KEY_MAPS, "cryptedForeignKeys")
"""The maps of entries: an entity's metadata in the flavour of 2023."""

_KEY_FORM: Final = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{64}")
_UUID_LENGTH: Final = 36
_SEPARATOR: Final = ":"


def entries_for(entries: object, delegate_id: str) -> list[Mapping[str, Any]]:
    """Return the well-formed entries of one delegate in a ``{delegateId: [entry]}`` map."""
    return [
        entry
        for entry in map(as_object, as_list(as_object(entries).get(delegate_id)))
        if isinstance(entry.get("owner"), str) and isinstance(entry.get("key"), str)
    ]


def has_keys(document: Mapping[str, Any]) -> bool:
    """Return whether some ``encryptionKeys`` list is non-empty (else ``delegations`` serve)."""
    return any(as_object(document.get("encryptionKeys")).values())


def has_legacy_metadata(document: Mapping[str, Any]) -> bool:
    """Return whether an entity has metadata of the flavour of 2023."""
    return any(as_object(document.get(name)) for name in LEGACY_MAPS)


def key_map_of(document: Mapping[str, Any]) -> str:
    """Return the map whose entries hide the key: ``delegations`` in legacy entities."""
    return KEY_MAPS[0] if has_keys(document) else KEY_MAPS[1]


def has_own_entry(document: Mapping[str, Any], owner_id: str) -> bool:
    """Return whether a data owner's own document has a delegation or a key for itself."""
    return bool(
        entries_for(document.get("delegations"), owner_id)
        or entries_for(document.get("encryptionKeys"), owner_id)
    )


def name_in_entries(entity_id: str) -> str:
    """Return the id of an entity as its entries name it, which know Latin-1 only."""
    return entity_id.encode("latin-1", errors="replace").decode("latin-1")


async def encrypt_entry(
    crypto: Crypto,
    exchange_key: bytes,
    *,
    owner_id: str,
    delegate_id: str,
    entity_id: str,
    secret: str,
) -> dict[str, str]:
    """Return a new entry: ``{owner, delegatedTo, key}``, the key in hex.

    Raises:
        CryptoError: the entity's id has a colon, so that no SDK could read the secret behind it.
    """
    if _SEPARATOR in entity_id:
        raise CryptoError(
            f"Entity {entity_id} can't be encrypted: choose an id without a colon. Nothing was "
            "sent."
        )
    plaintext = f"{entity_id}:{secret}".encode("latin-1", errors="replace")
    ciphertext = await crypto.aes_encrypt(exchange_key, plaintext)
    return {"owner": owner_id, "delegatedTo": delegate_id, "key": ciphertext.hex()}


async def decrypt_entry(
    crypto: Crypto, exchange_key: bytes, entry: Mapping[str, Any]
) -> str | None:
    """Return the secret of an entry, or None where this exchange key does not open it.

    The id before the colon is not compared: merged patients and contacts made anew keep entries
    that name another entity (cryptography.md §5.2, §13.10).
    """
    opened = await open_entry(crypto, exchange_key, entry)
    return opened[1] if opened else None


async def open_entry(
    crypto: Crypto, exchange_key: bytes, entry: Mapping[str, Any]
) -> tuple[str, str] | None:
    """Return the entity that an entry names and its secret, or None as :func:`decrypt_entry`."""
    try:
        plaintext = await crypto.aes_decrypt(exchange_key, decode_hex(entry["key"]))
    except ValueError:
        return None
    parts = plaintext.decode("latin-1").split(_SEPARATOR)
    if len(parts) < 2 or not parts[1].isascii() or not parts[1].isprintable():
        return None
    return (parts[0], parts[1]) if parts[1] else None


def entity_key_of(secret: str) -> bytes | None:
    """Return the AES key in a secret, or None where the secret is not a key.

    A key is a dashed UUID, or 32 or 64 hex digits (cryptography.md §6.1).
    """
    text = secret.replace("-", "") if len(secret) == _UUID_LENGTH else secret
    return bytes.fromhex(text) if _KEY_FORM.fullmatch(text) else None
