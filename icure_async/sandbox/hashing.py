"""Secrets at rest: passwords, codes and tokens are stored as hashes only.

A secret that a person may have chosen for a long time gets a slow hash. Slow hashes are never
computed while a transaction has the database to itself: it ends with `SlowHashWantedError`, and
runs again when the hash is there.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING

from icure_async.sandbox import chance

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "SlowHashWantedError",
    "SlowHashes",
    "hash_code",
    "hash_password",
    "hash_token",
    "is_hash",
    "is_short_lived",
    "is_slow",
    "matches",
    "quick_digest",
    "slow_digest",
]

_LONG_TOKEN = 32
_SHORT_LIVED = range(1, 601)
_LEGACY_SHA256 = re.compile(r"[0-9a-f]{64}")
_OWN = re.compile(r"(sha256|scrypt)\$[0-9a-f]+\$[0-9a-f]+")
_SLOW = "scrypt$"


class SlowHashWantedError(Exception):
    """A transaction needs a slow hash that is not computed yet.

    Attributes:
        secret: what to hash.
        salt: in hex.
    """

    def __init__(self, secret: str, salt: str) -> None:
        super().__init__("A slow hash is needed")
        self.secret = secret
        self.salt = salt


class SlowHashes:
    """The slow hashes of one request, kept between two runs of its transaction."""

    def __init__(self) -> None:
        self._digests: dict[tuple[str, str], str] = {}
        self._new_salt = secrets.token_hex(16)

    def digest(self, secret: str, salt: str) -> str:
        """Return a hash that was computed before.

        Raises:
            SlowHashWantedError: it was not.
        """
        try:
            return self._digests[secret, salt]
        except KeyError:
            raise SlowHashWantedError(secret, salt) from None

    def compute(self, wanted: SlowHashWantedError) -> None:
        """Compute what a transaction lacked; takes some time."""
        self._digests[wanted.secret, wanted.salt] = slow_digest(wanted.secret, wanted.salt)

    def salt_like(self, stored: Iterable[str]) -> str:
        """Return the salt that slow hashes of this user have, else a new one.

        With one salt a secret is hashed once to be compared with all of them.
        """
        salts = (hashed.split("$")[1] for hashed in stored if is_slow(hashed))
        return next(salts, self._new_salt)


def slow_digest(secret: str, salt: str) -> str:
    """Hash with scrypt."""
    digest = hashlib.scrypt(
        _bytes_of(secret), salt=bytes.fromhex(salt), n=2**13, r=8, p=1, maxmem=2**25, dklen=32
    )
    return digest.hex()


def quick_digest(secret: str, salt: str) -> str:
    """Hash with SHA-256."""
    return hashlib.sha256(bytes.fromhex(salt) + _bytes_of(secret)).hexdigest()


def _bytes_of(secret: str) -> bytes:
    return secret.encode("utf-8", "surrogatepass")


def hash_password(secret: str, slow: SlowHashes, others: Iterable[str] = ()) -> str:
    """Hash something a person may have chosen; ``others`` are the stored hashes of this user."""
    salt = slow.salt_like(others)
    return f"{_SLOW}{salt}${slow.digest(secret, salt)}"


def hash_code(secret: str) -> str:
    """Hash, cheaply, a secret that expires within minutes."""
    salt = chance.token_hex(16)
    return f"sha256${salt}${quick_digest(secret, salt)}"


def hash_token(secret: str, validity: float, slow: SlowHashes, others: Iterable[str] = ()) -> str:
    """Hash a token: slowly only when it could be guessed and lives for long (§3.4)."""
    if len(secret) >= _LONG_TOKEN or is_short_lived(validity):
        return hash_code(secret)
    return hash_password(secret, slow, others)


def is_short_lived(validity: float) -> bool:
    """Return whether a token of this many seconds is one of those that expire within minutes."""
    return validity in _SHORT_LIVED


def is_hash(value: str) -> bool:
    """Return whether a client's ``passwordHash`` is a hash already (legacy SHA-256, or ours)."""
    return bool(_LEGACY_SHA256.fullmatch(value) or _OWN.fullmatch(value))


def is_slow(stored: str) -> bool:
    """Return whether a comparison with this stored hash takes a slow hash."""
    return stored.startswith(_SLOW) and is_hash(stored)


def matches(secret: str, stored: str, slow: SlowHashes) -> bool:
    """Return whether ``secret`` is what was hashed into ``stored``, compared in constant time."""
    if _LEGACY_SHA256.fullmatch(stored):
        return hmac.compare_digest(hashlib.sha256(_bytes_of(secret)).hexdigest(), stored)
    if not _OWN.fullmatch(stored):
        return False
    scheme, salt, digest = stored.split("$")
    actual = slow.digest(secret, salt) if scheme == "scrypt" else quick_digest(secret, salt)
    return hmac.compare_digest(actual, digest)
