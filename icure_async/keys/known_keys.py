"""The keys that this device has made, confirmed or seen, remembered in the storage.

The record is under a MAC whose key comes from a private key of the data owner, so that nobody
without one can add to it. It holds digests of whole keys, and no key.
"""

from __future__ import annotations

import functools
import hmac
import json
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

import attrs

from icure_async.errors import StorageError
from icure_async.json_shapes import parse_json_object
from icure_async.models.key_question import KeyKind, digest_of
from icure_async.storage.locks import lock_of
from icure_async.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.crypto.key_ring import KeyRing
    from icure_async.models.key_pair import KeyPair
    from icure_async.storage.protocols import Storage

__all__ = ["KnownKey", "KnownKeys", "Origin"]

_log: Final = logging.getLogger(__name__)

_PREFIX: Final = "icure.known_keys."
_VERSION: Final = 1

Origin = Literal["made", "confirmed", "seen", "recovered"]
"""The way in which this device got to know a key.

* ``"made"``: on this device, under a policy.
* ``"confirmed"``: by the policy.
* ``"seen"``: it was written with, without a policy.
* ``"recovered"``: a key pair of the user's own that a transfer key led to.
"""
_RANK: Final[Mapping[Origin, int]] = {"seen": 0, "recovered": 1, "confirmed": 2, "made": 3}


@attrs.frozen
class KnownKey:
    """A key, named by its digest, in its place: the same key elsewhere is another one.

    Attributes:
        kind: public key or exchange key.
        owner_id: whose public key, or who made the exchange key.
        delegate_id: for whom the exchange key is; empty for a public key.
        digest: SHA-256 of the whole key, in hex.
    """

    kind: KeyKind
    owner_id: str
    delegate_id: str
    digest: str

    @classmethod
    def public(cls, owner_id: str, public_key: str) -> KnownKey:
        """Return a public key by its digest.

        Raises:
            ValueError: it is not hex.
        """
        return cls("public_key", owner_id, "", digest_of(bytes.fromhex(public_key)))

    @classmethod
    def exchange(cls, owner_id: str, delegate_id: str, exchange_key: bytes) -> KnownKey:
        """Return an exchange key by its digest."""
        return cls("exchange_key", owner_id, delegate_id, digest_of(exchange_key))

    def is_of_same_place(self, other: KnownKey) -> bool:
        """Return whether both are of the same kind, and between the same data owners."""
        return (self.kind, self.owner_id, self.delegate_id) == (
            other.kind,
            other.owner_id,
            other.delegate_id,
        )


class KnownKeys:
    """Remembers keys for one data owner after the other, in the storage given to the builder.

    Args:
        storage: where the records are.
        key_ring: has the key pairs whose private halves the MACs come from.
    """

    def __init__(self, storage: Storage, key_ring: KeyRing) -> None:
        self._storage = storage
        self._key_ring = key_ring
        self._records: dict[str, dict[KnownKey, Origin]] = {}
        # Known as long as the program runs, since it could not be written down.
        self._unsaved: defaultdict[str, dict[KnownKey, Origin]] = defaultdict(dict)
        self._doubtful: set[str] = set()

    @property
    def is_lasting(self) -> bool:
        """True where the next program on this device knows what this one remembers."""
        return not isinstance(self._storage, MemoryStorage)

    async def origin_of(self, own_id: str, key: KnownKey) -> Origin | None:
        """Return how this device got to know a key, or None where it does not know it.

        Raises:
            StorageError: the storage can't be read.
        """
        known = self._records.get(own_id)
        if known is None or key not in known:
            # Another program on this device may have got to know it.
            known = await self._load(own_id)
        return known.get(key)

    async def has_others(self, own_id: str, key: KnownKey) -> bool:
        """Return whether another key is known where this one is named.

        Of the user's own public keys, those on this device are known.

        Raises:
            StorageError: the storage can't be read.
        """
        if key.kind == "public_key" and key.owner_id == own_id and self._key_ring.trusted_pairs:
            return True
        known = self._records.get(own_id)
        if known is None:
            known = await self._load(own_id)
        return any(other.is_of_same_place(key) and other.digest != key.digest for other in known)

    def is_doubtful(self, own_id: str) -> bool:
        """Return whether something was remembered that could not be told from a forgery."""
        return own_id in self._doubtful

    async def remember(self, own_id: str, key: KnownKey, origin: Origin) -> None:
        """Write down a key. It is durable when the call returns, unless the log says otherwise.

        A storage that can't be written is no reason to stop: the worst that comes of it is that
        somebody is asked again.
        """
        self.note(own_id, key, origin)
        await self.save(own_id)

    def note(self, own_id: str, key: KnownKey, origin: Origin) -> None:
        """Know a key as long as the program runs, and write it down with the next :meth:`save`."""
        for known in (self._records.setdefault(own_id, {}), self._unsaved[own_id]):
            _learn(known, key, origin)

    async def save(self, own_id: str) -> None:
        """Write down the noted keys, as :meth:`remember` does."""
        # Without a MAC they would not count, nor would those that are written down already.
        if not self._unsaved[own_id] or not self._key_ring.trusted_pairs:
            return
        try:
            async with lock_of(self._storage, _PREFIX + own_id):
                stored = await self._stored(own_id)
                known = self._with_unsaved(own_id, stored)
                if known != stored:
                    await self._save(own_id, known)
        except StorageError:
            _log.warning(
                "A key could not be remembered on this device: it may be asked about again"
            )
        else:
            self._records[own_id] = known
            self._unsaved.pop(own_id, None)

    async def _load(self, own_id: str) -> dict[KnownKey, Origin]:
        known = self._with_unsaved(own_id, await self._stored(own_id))
        self._records[own_id] = known
        return known

    def _with_unsaved(
        self, own_id: str, stored: Mapping[KnownKey, Origin]
    ) -> dict[KnownKey, Origin]:
        known = dict(stored)
        for key, origin in self._unsaved[own_id].items():
            _learn(known, key, origin)
        return known

    async def _stored(self, own_id: str) -> dict[KnownKey, Origin]:
        text = await self._storage.get_item(_PREFIX + own_id)
        if text is None:
            return {}
        match parse_json_object(text):
            case {"version": 1, "keys": [*rows], "macs": {**macs}} if all(
                map(_is_row, rows)
            ) and self._is_authentic(own_id, rows, macs):
                return _keys_of(rows)
            case _:
                pass
        if self._key_ring.trusted_pairs:
            self._doubtful.add(own_id)
            _log.warning(
                "The keys that this device remembers can't be verified, and count as unknown"
            )
        return {}

    async def _save(self, own_id: str, known: Mapping[KnownKey, Origin]) -> None:
        rows = sorted([*attrs.astuple(key), origin] for key, origin in known.items())
        macs = {pair.fingerprint: _mac(pair, own_id, rows) for pair in self._key_ring.trusted_pairs}
        members = {"version": _VERSION, "keys": rows, "macs": macs}
        await self._storage.set_item(_PREFIX + own_id, json.dumps(members))

    def _is_authentic(self, own_id: str, rows: list[list[str]], macs: Mapping[Any, Any]) -> bool:
        return any(
            hmac.compare_digest(
                _mac(pair, own_id, rows).encode(), str(mac).encode(errors="replace")
            )
            for pair in self._key_ring.trusted_pairs
            if (mac := macs.get(pair.fingerprint))
        )


def _learn(known: dict[KnownKey, Origin], key: KnownKey, origin: Origin) -> None:
    """Add a key, unless something better is known of it."""
    present = known.get(key)
    if present is None or _RANK[present] < _RANK[origin]:
        known[key] = origin


def _is_row(row: Any) -> bool:
    match row:
        case [str(kind), str(), str(), str(), str(origin)]:
            return kind in get_args(KeyKind) and origin in get_args(Origin)
        case _:
            return False


def _keys_of(rows: list[list[str]]) -> dict[KnownKey, Origin]:
    return {
        KnownKey(cast("KeyKind", kind), owner_id, delegate_id, digest): cast("Origin", origin)
        for kind, owner_id, delegate_id, digest, origin in rows
    }


def _mac(pair: KeyPair, own_id: str, rows: list[list[str]]) -> str:
    said = json.dumps([_VERSION, own_id, rows]).encode()
    return hmac.digest(_mac_key(pair.private_key), said, "sha256").hex()


@functools.lru_cache(maxsize=32)
def _mac_key(private_key: str) -> bytes:
    # Here, since the library takes long to import.
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derivation = HKDF(hashes.SHA256(), length=32, salt=None, info=b"icure_async known keys 1")
    return derivation.derive(private_key.encode())
