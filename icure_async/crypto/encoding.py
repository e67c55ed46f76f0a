"""Text forms of bytes: hex and base64 as the reference writes and accepts them.

Source: cryptography.md §1.1.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from typing import TYPE_CHECKING

from icure_async.crypto.threads import slices

if TYPE_CHECKING:
    from icure_async.crypto.protocol import Crypto

__all__ = ["decode_base64", "decode_hex", "encode_base64", "new_uuid", "uuid_from"]


def decode_hex(text: str) -> bytes:
    """Return the bytes of a hex text in either case.

    Raises:
        ValueError: not hex, or an odd number of digits.
    """
    return binascii.unhexlify(text)


def encode_base64(data: bytes) -> str:
    """Return standard base64 with padding."""
    # Whole groups of three bytes, so that the pieces fit together.
    return b"".join(base64.b64encode(piece) for piece in slices(data, 3)).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Return the bytes of a base64 text: standard or URL-safe alphabet, padding optional.

    Raises:
        ValueError: not base64.
    """
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    if not standard.isascii():
        message = "base64 is ASCII"
        raise ValueError(message)
    padded = (standard + "=" * (-len(standard) % 4)).encode("ascii")
    return b"".join(base64.b64decode(piece, validate=True) for piece in slices(padded, 4))


def uuid_from(random: bytes) -> str:
    """Return 16 random bytes as an RFC 4122 v4 UUID, lower case, with dashes."""
    return str(uuid.UUID(bytes=random, version=4))


async def new_uuid(crypto: Crypto) -> str:
    """Return a new random UUID: an id, a secret id or an entity key (cryptography.md §1.6)."""
    return uuid_from(await crypto.random_bytes(16))
