from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async.models.key_pair import KeyPair

WORLD = Path(__file__).parents[1] / "golden/world.json"


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


@pytest.fixture(scope="session")
def pairs() -> list[KeyPair]:
    """Three key pairs of no one."""
    return [
        as_key_pair(rsa.generate_private_key(public_exponent=65537, key_size=2048))
        for _ in range(3)
    ]


@pytest.fixture(scope="session")
def pair(pairs: list[KeyPair]) -> KeyPair:
    return pairs[0]


@pytest.fixture(scope="session")
def golden_pairs() -> list[tuple[str, KeyPair]]:
    """The reference SDK's own key pairs: (data owner id, pair)."""
    if not WORLD.exists():
        pytest.skip(f"the recorded keys of the reference SDK are not at {WORLD}")
    world: dict[str, Any] = json.loads(WORLD.read_text())
    return [
        (user["dataOwnerId"], KeyPair(pair["publicKey"], pair["privateKey"]))
        for user in world["users"].values()
        for pair in user["keyPairs"]
    ]


@pytest.fixture(scope="session")
def twin(pair: KeyPair) -> KeyPair:
    """Another valid key with the fingerprint of ``pair``, which is only a tail of the modulus."""
    numbers = private_key_of(pair).private_numbers()
    p, e, modulus = numbers.p, 65537, 1 << 88
    start = numbers.public_numbers.n * pow(p, -1, modulus) % modulus
    source = random.Random(7)
    while True:
        q = (source.getrandbits(934) | 3 << 934) * modulus + start
        if all(q % small for small in (3, 5, 7, 11, 13, 17, 19, 23)) and pow(2, q - 1, q) == 1:
            break
    d = pow(e, -1, (p - 1) * (q - 1))
    key = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(e, p * q),
    ).private_key()
    forged = as_key_pair(key)
    assert forged.fingerprint == pair.fingerprint
    assert forged.public_key != pair.public_key
    return forged


def assert_secret_free(error: BaseException, *secrets: str) -> None:
    """No secret in the error, nor anywhere in the chain of exceptions behind it."""
    seen: BaseException | None = error
    while seen is not None:
        text = f"{seen!s} {seen!r} {seen.args!r} {vars(seen)!r}"
        text += repr([getattr(seen, name, None) for name in ("doc", "object")])
        for secret in secrets:
            assert secret not in text
        seen = seen.__cause__ or seen.__context__
