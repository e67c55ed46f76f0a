"""Key pairs as the cryptography package has them, and forged ones."""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async import KeyPair
from icure_async.models.key_pair import FINGERPRINT_LENGTH, fingerprint_of

_EXPONENT = 65537
_PRIME_BITS = 1024
# A fingerprint ends with the five bytes of the exponent.
_TAIL_BITS = 4 * FINGERPRINT_LENGTH - 40


def as_key_pair(key: rsa.RSAPrivateKey) -> KeyPair:
    return KeyPair(
        key.public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        .hex(),
        key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).hex(),
    )


def private_key_of(pair: KeyPair) -> rsa.RSAPrivateKey:
    key = serialization.load_der_private_key(
        bytes.fromhex(pair.private_key), None, unsafe_skip_rsa_key_validation=True
    )
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def forge(public_key: str) -> KeyPair:
    """Return another RSA-2048 key pair with the fingerprint of a public key."""
    genuine = serialization.load_der_public_key(bytes.fromhex(public_key))
    assert isinstance(genuine, rsa.RSAPublicKey)
    tail = 1 << _TAIL_BITS
    p = rsa.generate_private_key(_EXPONENT, 2 * _PRIME_BITS).private_numbers().p
    end = genuine.public_numbers().n * pow(p, -1, tail) % tail
    while True:
        beginning = 3 << (_PRIME_BITS - 2) | secrets.randbits(_PRIME_BITS - 2)
        q = beginning // tail * tail + end
        if q % 3 and pow(2, q - 1, q) == 1 and (p * q).bit_length() == 2 * _PRIME_BITS:
            break
    d = pow(_EXPONENT, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p,
        q,
        d,
        rsa.rsa_crt_dmp1(d, p),
        rsa.rsa_crt_dmq1(d, q),
        rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(_EXPONENT, p * q),
    )
    forged = as_key_pair(numbers.private_key())
    assert forged.fingerprint == fingerprint_of(public_key)
    assert forged.public_key != public_key
    return forged
