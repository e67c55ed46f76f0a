"""A question to the application: whether a key may be written with."""

from __future__ import annotations

import hashlib
from typing import Literal

import attrs

__all__ = ["KeyHistory", "KeyKind", "KeyQuestion", "digest_of"]

KeyKind = Literal["public_key", "exchange_key"]
"""The kind of key that is asked about.

* ``"public_key"``: an RSA key. The holder of its private half can open what is encrypted for it.
* ``"exchange_key"``: an AES key between two data owners, which protects the keys of records.
"""

KeyHistory = Literal["new", "seen", "changed"]
"""All that this device remembers of a key.

* ``"new"``: no key of this kind is known for these data owners.
* ``"seen"``: this very key was used before, without a policy that confirmed it.
* ``"changed"``: other keys are known for these data owners, and not this one; or what is
  remembered can't be verified.
"""


def digest_of(key: bytes) -> str:
    """Return the SHA-256 of a whole key in hex (64 characters)."""
    return hashlib.sha256(key).hexdigest()


@attrs.frozen(kw_only=True)
class KeyQuestion:
    """A key that the backend has named, and that is about to be written with.

    Compare :attr:`digest` with what the data owner says by another channel: the other members are
    the backend's word. There is no fingerprint among them: a key pair with a given fingerprint is
    made within seconds.

    Attributes:
        kind: whether it is a public key or an exchange key.
        data_owner_id: whose public key it is said to be, or who is said to have made the exchange
            key.
        delegate_id: for whom the exchange key is said to be; None for a public key.
        digest: SHA-256 of the whole key, in hex (64 characters): of the DER SubjectPublicKeyInfo,
            or of the 32 bytes of the exchange key.
        history: what this device remembers of it.
        public_key: hex of the DER SubjectPublicKeyInfo; None for an exchange key, which is secret.
    """

    kind: KeyKind
    data_owner_id: str
    delegate_id: str | None = None
    digest: str
    history: KeyHistory
    public_key: str | None = attrs.field(default=None, repr=False)
