"""Secrets at rest: passwords, codes and tokens are stored as hashes only."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

__all__ = ["hash_password", "hash_token", "is_hash", "matches"]

_LONG_TOKEN = 32
_LEGACY_SHA256 = re.compile(r"[0-9a-f]{64}")
_OWN = re.compile(r"(sha256|scrypt)\$[0-9a-f]+\$[0-9a-f]+")


def _scrypt(secret: str, salt: str) -> str:
    digest = hashlib.scrypt(
        _bytes_of(secret), salt=bytes.fromhex(salt), n=2**13, r=8, p=1, maxmem=2**25, dklen=32
    )
    return digest.hex()


def _sha256(secret: str, salt: str) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + _bytes_of(secret)).hexdigest()


def _bytes_of(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogatepass")


def hash_password(secret: str) -> str:
    """Hash something a person may have chosen."""
    salt = secrets.token_hex(16)
    return f"scrypt${salt}${_scrypt(secret, salt)}"


def hash_token(secret: str) -> str:
    """Hash a token: cheaply when it is as long as a random one, slowly when it could be guessed."""
    if len(secret) < _LONG_TOKEN:
        return hash_password(secret)
    salt = secrets.token_hex(16)
    return f"sha256${salt}${_sha256(secret, salt)}"


def is_hash(value: str) -> bool:
    """Whether a ``passwordHash`` sent by a client is a hash already (legacy SHA-256, or ours)."""
    return bool(_LEGACY_SHA256.fullmatch(value) or _OWN.fullmatch(value))


def matches(secret: str, stored: str) -> bool:
    """Whether ``secret`` is what was hashed into ``stored``, compared in constant time."""
    if _LEGACY_SHA256.fullmatch(stored):
        return hmac.compare_digest(hashlib.sha256(_bytes_of(secret)).hexdigest(), stored)
    if not _OWN.fullmatch(stored):
        return False
    scheme, salt, digest = stored.split("$")
    actual = _scrypt(secret, salt) if scheme == "scrypt" else _sha256(secret, salt)
    return hmac.compare_digest(actual, digest)
