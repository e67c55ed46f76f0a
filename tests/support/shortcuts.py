"""Shortcuts for the slow work with keys, in tests of the steps after it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from icure_async import KeyPair
from icure_async.crypto.software import SoftwareCrypto
from icure_async.sandbox import server
from icure_async.storage import jwk


class HandedOutCrypto(SoftwareCrypto):
    """Hands out key pairs instead of making them, each of them once.

    Args:
        key_pairs: what is handed out, in this order.
        parsed: keeps the keys of several programs, to parse them once.
        seconds: how long the making of one seems to take.
    """

    def __init__(
        self,
        key_pairs: Iterable[KeyPair],
        *,
        parsed: SoftwareCrypto | None = None,
        seconds: float = 0,
    ) -> None:
        super().__init__()
        self._key_pairs = list(key_pairs)
        self._seconds = seconds
        if parsed is not None:
            self._private_keys = parsed._private_keys
            self._public_keys = parsed._public_keys

    async def generate_key_pair(self) -> KeyPair:
        # As if it were made in a thread.
        await asyncio.sleep(self._seconds)
        return self._key_pairs.pop(0)


async def make_key_pairs(count: int) -> list[KeyPair]:
    crypto = SoftwareCrypto()
    return list(await asyncio.gather(*(crypto.generate_key_pair() for _ in range(count))))


_key_pair_from_document = jwk.key_pair_from_document


@functools.cache
def _key_pair_in(text: bytes) -> KeyPair:
    return _key_pair_from_document(orjson.loads(text))


VALIDATED_ONCE: Mapping[str, Any] = {
    "validate": functools.cache(jwk.validate),
    "key_pair_from_document": lambda document: _key_pair_in(orjson.dumps(document)),
}
"""Functions of ``jwk``, by name: a key is validated for the first program only."""

MADE_ONCE: Mapping[str, Any] = {
    name: functools.cache(getattr(server, name))
    for name in ("generate_key_pair", "generate_signing_key")
}
"""Functions of the sandbox's server, by name: all sandboxes have the same keys."""
