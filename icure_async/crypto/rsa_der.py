"""RSA keys as hex of their DER: SPKI and PKCS#8, the forms that keys are compared in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.models.key_pair import KeyPair

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["key_pair_of", "pkcs8_of", "spki_of"]


def spki_of(public_key: rsa.RSAPublicKey) -> str:
    """Return the SPKI of a public key in hex."""
    # Here, since the library takes long to import.
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()


def pkcs8_of(private_key: rsa.RSAPrivateKey) -> str:
    """Return the unencrypted PKCS#8 of a private key in hex."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).hex()


def key_pair_of(private_key: rsa.RSAPrivateKey) -> KeyPair:
    """Return a private key and its public half."""
    return KeyPair(spki_of(private_key.public_key()), pkcs8_of(private_key))
