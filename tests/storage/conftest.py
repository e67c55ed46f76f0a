from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async.models.key_pair import KeyPair
from tests.support.golden import WORLD
from tests.support.key_material import as_key_pair, forge


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
    return [
        (user["dataOwnerId"], KeyPair(pair["publicKey"], pair["privateKey"]))
        for user in WORLD["users"].values()
        for pair in user["keyPairs"]
    ]


@pytest.fixture(scope="session")
def twin(pair: KeyPair) -> KeyPair:
    """Another valid key with the fingerprint of ``pair``, which is only a tail of the modulus."""
    return forge(pair.public_key)
