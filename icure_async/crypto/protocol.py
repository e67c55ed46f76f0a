"""The primitives everything else is built on. Any object with these methods serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from icure_async.models.key_pair import KeyPair

__all__ = ["METHODS_OF_TODAY", "Crypto", "OaepHash", "serves_today"]

OaepHash = Literal["sha-1", "sha-256"]
"""The hash of RSA-OAEP and of its MGF1: SHA-1 in 2023, SHA-256 for keys of today (today.md §1)."""

METHODS_OF_TODAY: Final = ("delegator_hmac",)
"""The methods of a ``Crypto`` that only today's flavour of iCure calls."""


def serves_today(crypto: object) -> bool:
    """Return whether an implementation has what today's flavour needs.

    One that was written for the flavour of 2023 has neither these methods nor the keyword ``oaep``.
    """
    return all(callable(getattr(crypto, name, None)) for name in METHODS_OF_TODAY)


class Crypto(Protocol):
    """Random bytes, AES-CBC, RSA-OAEP and HMAC exactly as the reference SDKs use them.

    Source: cryptography.md §1, today.md §1. An implementation may live in hardware: private keys
    are named by their pair, and never leave it through this protocol.

    In the flavour of 2023, the SDK never passes ``oaep`` and never calls :meth:`delegator_hmac`: an
    implementation without them goes on working there, and opens nothing that today's flavour wrote.
    """

    async def random_bytes(self, length: int) -> bytes:
        """Return ``length`` bytes of a cryptographically secure generator."""
        ...

    async def generate_key_pair(self) -> KeyPair:
        """Return a new RSA key pair: 2048 bits, exponent 65537."""
        ...

    async def load_key_pair(self, key_pair: KeyPair) -> None:
        """Make the pair ready for use.

        Raises:
            ValidationError: it is malformed, or its halves don't belong together.
        """
        ...

    async def rsa_encrypt(
        self, public_key: str, plaintext: bytes, *, oaep: OaepHash = "sha-1"
    ) -> bytes:
        """Encrypt with RSA-OAEP (MGF1 with the same hash, no label).

        Args:
            public_key: hex of the SPKI.
            plaintext: the raw bytes of an AES key, or another secret of 190 bytes or less.
            oaep: the hash.

        Raises:
            ValueError: ``public_key`` is not an RSA public key.
        """
        ...

    async def rsa_decrypt(
        self, key_pair: KeyPair, ciphertext: bytes, *, oaep: OaepHash = "sha-1"
    ) -> bytes:
        """Decrypt what :meth:`rsa_encrypt` made for this pair with the same hash.

        Raises:
            ValueError: the ciphertext is not for this key or this hash, or is damaged.
        """
        ...

    async def delegator_hmac(self, key_pair: KeyPair, message: bytes) -> bytes:
        """Return HMAC-SHA-512 of a message under the SHA-512 of the pair's PKCS#8.

        It signs exchange data (today.md §4.3), so that only the holder of the private key can
        verify it. The PKCS#8 is DER as OpenSSL writes it.
        """
        ...

    async def aes_encrypt(self, key: bytes, plaintext: bytes) -> bytes:
        """Return ``IV ‖ AES-CBC(plaintext)`` with PKCS#7 padding and a fresh 16-byte IV."""
        ...

    async def aes_decrypt(self, key: bytes, ciphertext: bytes) -> bytes:
        """Undo :meth:`aes_encrypt`.

        A wrong key goes unnoticed about once in 256 times: the caller checks what it gets.

        Raises:
            ValueError: the key or the ciphertext has an impossible length, or the padding is wrong.
        """
        ...
