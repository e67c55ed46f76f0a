"""The default :class:`~icure_async.crypto.protocol.Crypto`, on the ``cryptography`` package."""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from icure_async.crypto.encoding import decode_hex
from icure_async.crypto.recent import Recent
from icure_async.crypto.rsa_der import key_pair_of, pkcs8_of, spki_of
from icure_async.crypto.threads import INLINE_BYTES, in_thread, slices
from icure_async.errors import ValidationError
from icure_async.secret_holders import SecretHolder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from icure_async.crypto.protocol import OaepHash
    from icure_async.models.key_pair import KeyPair

__all__ = [
    "BLOCK_BYTES",
    "KEYS_KEPT",
    "SoftwareCrypto",
    "aes_cbc_decrypt",
    "aes_cbc_encrypt",
    "padding_of",
    "unpadded",
]

BLOCK_BYTES: Final = 16
"""Bytes of a block of AES, and so of an IV."""

_KEY_BITS: Final = 2048
KEYS_KEPT: Final = 1024
_SELF_TEST: Final = bytes(range(32))
# The mark of an RSA key in PKCS#8; a bare PKCS#1 key does not have it.
_RSA_IDENTIFIER: Final = bytes.fromhex("300d06092a864886f70d0101010500")
_PKCS8_HEAD: Final = 32


def _oaep(algorithm: hashes.HashAlgorithm) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(algorithm=algorithm), algorithm=algorithm, label=None)


# SHA-1 is the only hash of 2023 (cryptography.md §1.2, today.md §1); OAEP does not rely on
# collision resistance.
_OAEP: Final[Mapping[OaepHash, padding.OAEP]] = {
    "sha-1": _oaep(hashes.SHA1()),  # noqa: S303
    "sha-256": _oaep(hashes.SHA256()),
}


class SoftwareCrypto(SecretHolder):
    """RSA and AES in software. Keys are parsed once and kept, the last thousand of them.

    RSA with a private key, key generation and long messages run in worker threads, so that the
    event loop is never held up. One instance may serve several event loops.
    """

    def __init__(self) -> None:
        # By both halves: a pair that was loaded says nothing of another private half.
        self._private_keys: Recent[KeyPair, rsa.RSAPrivateKey] = Recent(KEYS_KEPT)
        self._public_keys: Recent[str, rsa.RSAPublicKey] = Recent(KEYS_KEPT)
        self._loading = threading.Lock()

    async def random_bytes(self, length: int) -> bytes:
        """Return ``length`` bytes from the operating system."""
        return os.urandom(length)

    async def generate_key_pair(self) -> KeyPair:
        """Return a new RSA-2048 pair, ready for use."""
        return await in_thread(self._generate)

    async def load_key_pair(self, key_pair: KeyPair) -> None:
        """Parse and keep the pair, and see that a message makes the round trip.

        Raises:
            ValidationError: it is malformed, or its halves don't belong together.
        """
        await in_thread(self._private_key, key_pair)

    async def rsa_encrypt(
        self, public_key: str, plaintext: bytes, *, oaep: OaepHash = "sha-1"
    ) -> bytes:
        """Encrypt with RSA-OAEP (30 µs, so inline).

        Raises:
            ValueError: ``public_key`` is not an RSA public key of 2048 bits or more.
        """
        return self._public_key(public_key).encrypt(plaintext, _OAEP[oaep])

    async def rsa_decrypt(
        self, key_pair: KeyPair, ciphertext: bytes, *, oaep: OaepHash = "sha-1"
    ) -> bytes:
        """Decrypt with RSA-OAEP, in a worker thread.

        Raises:
            ValueError: the ciphertext is not for this key or this hash, or is damaged.
            ValidationError: the key pair is malformed.
        """
        return await in_thread(self._rsa_decrypt, key_pair, ciphertext, _OAEP[oaep])

    async def delegator_hmac(self, key_pair: KeyPair, message: bytes) -> bytes:
        """Return HMAC-SHA-512 of a message under the SHA-512 of the pair's PKCS#8 (today.md §4.3).

        Raises:
            ValidationError: the key pair is malformed.
        """
        return await in_thread(self._delegator_hmac, key_pair, message)

    async def aes_encrypt(self, key: bytes, plaintext: bytes) -> bytes:
        """Return ``IV ‖ AES-CBC(plaintext)`` with a fresh IV."""
        iv = await self.random_bytes(BLOCK_BYTES)
        if len(plaintext) > INLINE_BYTES:
            return await in_thread(aes_cbc_encrypt, key, iv, plaintext)
        return aes_cbc_encrypt(key, iv, plaintext)

    async def aes_decrypt(self, key: bytes, ciphertext: bytes) -> bytes:
        """Undo :meth:`aes_encrypt`.

        Raises:
            ValueError: an impossible length, or wrong padding.
        """
        if len(ciphertext) > INLINE_BYTES:
            return await in_thread(aes_cbc_decrypt, key, ciphertext)
        return aes_cbc_decrypt(key, ciphertext)

    def __repr__(self) -> str:
        return "SoftwareCrypto()"

    def _public_key(self, public_key: str) -> rsa.RSAPublicKey:
        known = self._public_keys.get(public_key)
        if known is None:
            known = _load_public_key(public_key)
            self._public_keys.put(public_key, known)
        return known

    def _private_key(self, key_pair: KeyPair) -> rsa.RSAPrivateKey:
        with self._loading:
            known = self._private_keys.get(key_pair)
            if known is None:
                known = _load_private_key(key_pair)
                self._private_keys.put(key_pair, known)
            return known

    def _rsa_decrypt(self, key_pair: KeyPair, ciphertext: bytes, oaep: padding.OAEP) -> bytes:
        return self._private_key(key_pair).decrypt(ciphertext, oaep)

    def _delegator_hmac(self, key_pair: KeyPair, message: bytes) -> bytes:
        # Written anew: what was imported may be spelt in another way.
        pkcs8 = decode_hex(pkcs8_of(self._private_key(key_pair)))
        return hmac.digest(hashlib.sha512(pkcs8).digest(), message, "sha512")

    def _generate(self) -> KeyPair:
        key_pair, private_key = _generate()
        self._private_keys.put(key_pair, private_key)
        return key_pair


def aes_cbc_encrypt(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """Return ``IV ‖ AES-CBC(plaintext)`` with PKCS#7 padding (cryptography.md §1.5)."""
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    pieces = [encryptor.update(piece) for piece in slices(plaintext)]
    last = encryptor.update(padding_of(len(plaintext))) + encryptor.finalize()
    return b"".join([iv, *pieces, last])


def aes_cbc_decrypt(key: bytes, ciphertext: bytes) -> bytes:
    """Undo :func:`aes_cbc_encrypt`.

    Raises:
        ValueError: an impossible length, or wrong padding.
    """
    decryptor = Cipher(algorithms.AES(key), modes.CBC(ciphertext[:BLOCK_BYTES])).decryptor()
    if len(ciphertext) <= INLINE_BYTES:
        padded = decryptor.update(ciphertext[BLOCK_BYTES:]) + decryptor.finalize()
    else:
        pieces = [decryptor.update(piece) for piece in slices(memoryview(ciphertext)[BLOCK_BYTES:])]
        padded = b"".join([*pieces, decryptor.finalize()])
    return unpadded(padded)


def padding_of(size: int) -> bytes:
    """Return the PKCS#7 padding of so many bytes."""
    added = BLOCK_BYTES - size % BLOCK_BYTES
    return bytes([added]) * added


def unpadded(padded: bytes) -> bytes:
    """Return bytes without their PKCS#7 padding.

    Raises:
        ValueError: the padding is wrong.
    """
    added = padded[-1:]
    if not added or not 0 < added[0] <= BLOCK_BYTES or not padded.endswith(added * added[0]):
        message = "the padding is wrong"
        raise ValueError(message)
    return padded[: -added[0]]


def _generate() -> tuple[KeyPair, rsa.RSAPrivateKey]:
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    return key_pair_of(private_key), private_key


def _load_public_key(public_key: str) -> rsa.RSAPublicKey:
    try:
        loaded = serialization.load_der_public_key(decode_hex(public_key))
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    if not isinstance(loaded, rsa.RSAPublicKey) or loaded.key_size < _KEY_BITS:
        message = f"not an RSA public key of {_KEY_BITS} bits or more"
        raise ValueError(message)
    return loaded


def _load_private_key(key_pair: KeyPair) -> rsa.RSAPrivateKey:
    described = "The key pair"
    try:
        public_key = _load_public_key(key_pair.public_key)
        # Only now: where the halves were swapped, the "fingerprint" is a piece of a private key.
        described += f" with fingerprint {key_pair.fingerprint!r}"
        return _load_private_half(key_pair, public_key)
    except Exception:
        raise ValidationError(
            f"{described} is not a valid RSA key pair: pass the SPKI (public) and PKCS#8 (private) "
            "of one pair, both in hex."
        ) from None


def _load_private_half(key_pair: KeyPair, public_key: rsa.RSAPublicKey) -> rsa.RSAPrivateKey:
    pkcs8 = decode_hex(key_pair.private_key)
    # Keys are compared as text everywhere, so only one form of the public key will do.
    if (
        spki_of(public_key) != key_pair.public_key.lower()
        or _RSA_IDENTIFIER not in pkcs8[:_PKCS8_HEAD]
    ):
        message = "not SPKI and PKCS#8"
        raise ValueError(message)
    # Full validation takes 36 ms, for the proof that the primes are such, and happens once, where a
    # key enters the key storage. The checks here find a damaged or mismatched pair at a hundredth
    # of that. The round trip alone would not: OpenSSL makes up for one damaged number.
    private_key = serialization.load_der_private_key(
        pkcs8, password=None, unsafe_skip_rsa_key_validation=True
    )
    if not isinstance(private_key, rsa.RSAPrivateKey) or private_key.public_key() != public_key:
        message = "the halves do not belong together"
        raise ValueError(message)
    oaep = _OAEP["sha-1"]
    if (
        not _is_consistent(private_key.private_numbers())
        or private_key.decrypt(public_key.encrypt(_SELF_TEST, oaep), oaep) != _SELF_TEST
    ):
        message = "the private key is damaged"
        raise ValueError(message)
    return private_key


def _is_consistent(numbers: rsa.RSAPrivateNumbers) -> bool:
    p, q, d = numbers.p, numbers.q, numbers.d
    times = d * numbers.public_numbers.e - 1
    return (
        p * q == numbers.public_numbers.n
        and times % (p - 1) == times % (q - 1) == 0
        and numbers.dmp1 == d % (p - 1)
        and numbers.dmq1 == d % (q - 1)
        and numbers.iqmp * q % p == 1
    )
