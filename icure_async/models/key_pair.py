"""A key pair as a value: two hex strings, as the reference SDK hands them out."""

from __future__ import annotations

import re
from typing import Final

import attrs

from icure_async.mistakes import explained

__all__ = ["FINGERPRINT_LENGTH", "KeyPair", "fingerprint_of", "fingerprint_v2", "is_fingerprint"]

FINGERPRINT_LENGTH: Final = 32
_EXPONENT_LENGTH: Final = 10
_FINGERPRINT: Final = re.compile(f"[0-9a-f]{{{FINGERPRINT_LENGTH}}}")
_SPKI_ALGORITHM = "300d06092a864886f70d010101"


def fingerprint_of(public_key: str) -> str:
    """Return the fingerprint of a public key: the last 32 hex characters of its SPKI.

    It is a tail and not a hash, so it always ends with the exponent ``0203010001``
    (cryptography.md §1.4). A fingerprint is its own fingerprint.
    """
    return public_key[-FINGERPRINT_LENGTH:].lower()


def fingerprint_v2(public_key: str) -> str:
    """Return the fingerprint by which today's flavour names a public key: 22 hex characters.

    It is the fingerprint without the exponent at its end (today.md §1), and no more of a proof:
    another key with the same one is easily made.
    """
    return fingerprint_of(public_key)[:-_EXPONENT_LENGTH]


def is_fingerprint(text: str) -> bool:
    """Return whether a text has the form of a fingerprint."""
    return _FINGERPRINT.fullmatch(text) is not None


@explained
@attrs.frozen
class KeyPair:
    """An RSA-2048 key pair.

    Attributes:
        public_key: hex of the DER SubjectPublicKeyInfo (588 characters).
        private_key: hex of the unencrypted PKCS#8 DER (about 2432 characters). Never in a repr.

    Example:
        >>> key_pair = await api.generate_rsa_keypair()
        >>> key_pair.fingerprint == key_pair.public_key[-32:]
        True
    """

    public_key: str
    private_key: str = attrs.field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the public key (32 hex characters)."""
        return fingerprint_of(self.public_key)

    def __repr__(self) -> str:
        # Of swapped halves the tail would be a piece of the private key.
        is_public = self.public_key[8:].lower().startswith(_SPKI_ALGORITHM)
        return f"KeyPair(fingerprint={self.fingerprint if is_public else '?'!r})"
