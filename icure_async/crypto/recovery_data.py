"""Recovery data: key pairs of data owners, encrypted with a recovery key.

The key is random, and its hash is the id under which the backend keeps what it opens. Source:
today.md §10.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

import attrs

from icure_async.crypto.encoding import decode_base64, encode_base64
from icure_async.json_shapes import as_list, as_object, parse_json_object
from icure_async.models.key_pair import KeyPair

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.crypto.protocol import Crypto, OaepHash

__all__ = [
    "RECOVERY_KEY_BYTES",
    "RecoverableKeyPair",
    "open_key_pairs",
    "recovery_id",
    "seal_key_pairs",
]

RECOVERY_KEY_BYTES: Final = 32


@attrs.frozen(repr=False)
class RecoverableKeyPair:
    """A key pair, and the hash that is used with it. Its repr shows neither."""

    key_pair: KeyPair
    oaep: OaepHash

    def __repr__(self) -> str:
        return "RecoverableKeyPair()"


def recovery_id(recovery_key: bytes) -> str:
    """Return the id of the recovery data that a recovery key opens."""
    return hashlib.sha256(recovery_key).hexdigest()


async def seal_key_pairs(
    crypto: Crypto, recovery_key: bytes, owner_id: str, key_pairs: Iterable[RecoverableKeyPair]
) -> str:
    """Return the ``encryptedSelf`` of recovery data.

    Args:
        crypto: the primitives.
        recovery_key: what opens it.
        owner_id: whose key pairs they are.
        key_pairs: what to encrypt.
    """
    content = {
        owner_id: [
            {
                "pair": {
                    "publicKey": _base64_of(recoverable.key_pair.public_key),
                    "privateKey": _base64_of(recoverable.key_pair.private_key),
                },
                "algorithm": recoverable.oaep,
            }
            for recoverable in key_pairs
        ]
    }
    plaintext = json.dumps(content, separators=(",", ":")).encode()
    return encode_base64(await crypto.aes_encrypt(recovery_key, plaintext))


async def open_key_pairs(
    crypto: Crypto, recovery_key: bytes, encrypted_self: str, owner_id: str
) -> list[KeyPair] | None:
    """Return the key pairs of a data owner in recovery data; None where the key does not open it.

    Malformed ones are left out. Whether the halves belong together is for the caller to check.
    """
    try:
        plaintext = await crypto.aes_decrypt(recovery_key, decode_base64(encrypted_self))
    except ValueError:
        return None
    content = parse_json_object(plaintext)
    if content is None:
        return None
    found = (_key_pair_of(entry) for entry in as_list(content.get(owner_id)))
    return [key_pair for key_pair in found if key_pair is not None]


def _key_pair_of(entry: object) -> KeyPair | None:
    pair = as_object(as_object(entry).get("pair"))
    halves = [_hex_of(pair.get(name)) for name in ("publicKey", "privateKey")]
    return KeyPair(*halves) if all(halves) else None


def _hex_of(text: object) -> str:
    if not isinstance(text, str):
        return ""
    try:
        return decode_base64(text).hex()
    except ValueError:
        return ""


def _base64_of(text: str) -> str:
    return encode_base64(bytes.fromhex(text))
