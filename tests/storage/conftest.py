from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from icure_async.models.key_pair import KeyPair
from tests.support.key_material import as_key_pair, forge

WORLD = Path(__file__).parents[1] / "golden/world.json"


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
    return forge(pair.public_key)
