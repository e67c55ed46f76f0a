"""A public key that somebody is asked about before anything is encrypted for it."""

from __future__ import annotations

import hashlib

import attrs

from icure_async.models.key_pair import fingerprint_of

__all__ = ["PublicKey"]


@attrs.frozen
class PublicKey:
    """A public key as the backend names it for a data owner.

    Attributes:
        data_owner_id: whose key it is said to be.
        public_key: hex of the DER SubjectPublicKeyInfo.

    Example:
        >>> keys = await api.data_owner_api.get_public_keys_of(colleague_id)
        >>> len(keys[0].digest)
        64
    """

    data_owner_id: str
    public_key: str = attrs.field(repr=False)

    @property
    def fingerprint(self) -> str:
        """The key's name in the protocol, its last 32 hex characters.

        It is a tail of the modulus and no hash, so that somebody can make a key pair with a given
        fingerprint: compare :attr:`digest` with the person instead.
        """
        return fingerprint_of(self.public_key)

    @property
    def digest(self) -> str:
        """SHA-256 of the DER, in hex (64 characters), to be compared over the phone or in person.

        Raises:
            ValueError: the public key is not hex.
        """
        return hashlib.sha256(bytes.fromhex(self.public_key)).hexdigest()
