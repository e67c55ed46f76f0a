"""Codes of a second factor, as authenticator apps show them (RFC 6238: SHA-1, 30 s, six digits)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct

__all__ = ["DIGITS", "code_at", "is_secret", "is_valid"]

_STEP_SECONDS = 30
DIGITS = 6
"""Digits of a code."""

_SHORTEST_SECRET = 10


def is_secret(secret: str) -> bool:
    """Return whether this is a secret in base32, of at least 80 bits."""
    try:
        return len(_key_of(secret)) >= _SHORTEST_SECRET
    except (binascii.Error, ValueError):
        return False


def code_at(secret: str, seconds: float) -> str:
    """Return the code that an authenticator app with this secret shows at a moment."""
    counter = struct.pack(">Q", max(0, int(seconds // _STEP_SECONDS)))
    digest = hmac.digest(_key_of(secret), counter, hashlib.sha1)
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 0x0F)
    return str((number & 0x7FFFFFFF) % 10**DIGITS).zfill(DIGITS)


def is_valid(secret: str, code: str, seconds: float) -> bool:
    """Return whether a code is that of this moment, or of the step before or after it."""
    steps = (seconds - _STEP_SECONDS, seconds, seconds + _STEP_SECONDS)
    return any(hmac.compare_digest(code_at(secret, step), code) for step in steps)


def _key_of(secret: str) -> bytes:
    text = secret.replace(" ", "").rstrip("=").upper()
    return base64.b32decode(text + "=" * (-len(text) % 8))
