"""The ciphers of clients, as a registration needs them (cryptography.md §1, today.md §1)."""

from __future__ import annotations

import os
from typing import Any, Final, Literal

import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

__all__ = ["OaepHash", "encrypt_aes", "encrypt_rsa", "new_key", "sealed_nothing"]

OaepHash = Literal["sha-1", "sha-256"]
"""The hash of RSA-OAEP: keys of 2023 have SHA-1, those of today SHA-256."""

_BLOCK: Final = 16
_HASHES: Final[dict[OaepHash, hashes.HashAlgorithm]] = {
    "sha-1": hashes.SHA1(),  # noqa: S303 - by the protocol
    "sha-256": hashes.SHA256(),
}


def new_key(count: int) -> bytes:
    """Return a random key of so many bytes; keys never depend on a random seed."""
    return os.urandom(count)


def encrypt_aes(key: bytes, plaintext: bytes) -> bytes:
    """Return a random IV, and after it the text encrypted with AES-CBC."""
    iv = os.urandom(_BLOCK)
    added = _BLOCK - len(plaintext) % _BLOCK
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(plaintext + bytes([added]) * added) + encryptor.finalize()


def encrypt_rsa(public_key: str, plaintext: bytes, oaep: OaepHash) -> bytes:
    """Return a text encrypted for a public key.

    Args:
        public_key: hex of its SPKI.
        plaintext: the text.
        oaep: the hash that the owner of the key expects.

    Raises:
        ValueError: if it is no RSA key.
    """
    loaded: Any = serialization.load_der_public_key(bytes.fromhex(public_key))
    if not isinstance(loaded, rsa.RSAPublicKey):
        raise ValueError("This is no RSA public key")  # noqa: TRY004 - by its content
    algorithm = _HASHES[oaep]
    return loaded.encrypt(plaintext, padding.OAEP(padding.MGF1(algorithm), algorithm, None))


def sealed_nothing(entity_key: bytes) -> bytes:
    """Return the encrypted part of a record that has nothing to encrypt."""
    return encrypt_aes(entity_key, orjson.dumps({}))
