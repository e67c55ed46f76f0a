"""The key pair as a value."""

from __future__ import annotations

from typing import Any

from icure_async import KeyPair


def golden_pair(world: dict[str, Any]) -> KeyPair:
    keys = world["users"]["ned"]["keyPairs"][0]
    return KeyPair(keys["publicKey"], keys["privateKey"])


def test_the_repr_shows_the_fingerprint_only(world: dict[str, Any]) -> None:
    pair = golden_pair(world)
    assert repr(pair) == f"KeyPair(fingerprint={pair.public_key[-32:]!r})"


def test_the_repr_of_swapped_halves_shows_nothing_of_the_private_key(world: dict[str, Any]) -> None:
    pair = golden_pair(world)
    swapped = KeyPair(pair.private_key, pair.public_key)
    assert repr(swapped) == "KeyPair(fingerprint='?')"


def test_the_fingerprint_is_lower_case_whatever_the_key(world: dict[str, Any]) -> None:
    pair = golden_pair(world)
    assert KeyPair(pair.public_key.upper(), "").fingerprint == pair.fingerprint
