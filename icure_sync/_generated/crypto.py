# Written by "python tools/gen_sync.py" from icure_async/crypto/protocol.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""The primitives everything else is built on. Any object with these methods serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from icure_async.crypto.protocol import OaepHash
    from icure_async.models.key_pair import KeyPair

__all__ = ["CRYPTO_METHODS", "BlockingCrypto"]


class BlockingCrypto(Protocol):
    """Random bytes, AES-CBC, RSA-OAEP and HMAC exactly as the reference SDKs use them.

    Source: cryptography.md §1, today.md §1. An implementation may live in hardware: private keys
    are named by their pair, and never leave it through this protocol.

    In the flavour of 2023, the SDK never passes ``oaep`` and never calls :meth:`delegator_hmac`: an
    implementation without them goes on working there, and opens nothing that today's flavour wrote.
    """

    def random_bytes(self, length: int) -> bytes:
        """Return ``length`` bytes of a cryptographically secure generator."""
        ...

    def generate_key_pair(self) -> KeyPair:
        """Return a new RSA key pair: 2048 bits, exponent 65537."""
        ...

    def load_key_pair(self, key_pair: KeyPair) -> None:
        """Make the pair ready for use.

        Raises:
            ValidationError: it is malformed, or its halves don't belong together.
        """
        ...

    def rsa_encrypt(self, public_key: str, plaintext: bytes, *, oaep: OaepHash = "sha-1") -> bytes:
        """Encrypt with RSA-OAEP (MGF1 with the same hash, no label).

        Args:
            public_key: hex of the SPKI.
            plaintext: the raw bytes of an AES key, or another secret of 190 bytes or less.
            oaep: the hash.

        Raises:
            ValueError: ``public_key`` is not an RSA public key.
        """
        ...

    def rsa_decrypt(
        self, key_pair: KeyPair, ciphertext: bytes, *, oaep: OaepHash = "sha-1"
    ) -> bytes:
        """Decrypt what :meth:`rsa_encrypt` made for this pair with the same hash.

        Raises:
            ValueError: the ciphertext is not for this key or this hash, or is damaged.
        """
        ...

    def delegator_hmac(self, key_pair: KeyPair, message: bytes) -> bytes:
        """Return HMAC-SHA-512 of a message under the SHA-512 of the pair's PKCS#8.

        It signs exchange data (today.md §4.3), so that only the holder of the private key can
        verify it. The PKCS#8 is DER as OpenSSL writes it.
        """
        ...

    def aes_encrypt(self, key: bytes, plaintext: bytes) -> bytes:
        """Return ``IV ‖ AES-CBC(plaintext)`` with PKCS#7 padding and a fresh 16-byte IV."""
        ...

    def aes_decrypt(self, key: bytes, ciphertext: bytes) -> bytes:
        """Undo :meth:`aes_encrypt`.

        A wrong key goes unnoticed about once in 256 times: the caller checks what it gets.

        Raises:
            ValueError: the key or the ciphertext has an impossible length, or the padding is wrong.
        """
        ...


CRYPTO_METHODS: Final = (
    "random_bytes",
    "generate_key_pair",
    "load_key_pair",
    "rsa_encrypt",
    "rsa_decrypt",
    "delegator_hmac",
    "aes_encrypt",
    "aes_decrypt",
)
