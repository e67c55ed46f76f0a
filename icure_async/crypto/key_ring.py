"""The key ring: the private keys in use, and the exchange keys they have opened."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from icure_async.crypto.encoding import decode_base64, decode_hex
from icure_async.crypto.exchange_keys import LEGACY_KEY
from icure_async.crypto.protocol import serves_today
from icure_async.crypto.recent import Recent
from icure_async.json_shapes import as_object
from icure_async.models.key_pair import fingerprint_of, fingerprint_v2
from icure_async.secret_holders import SecretHolder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icure_async.crypto.protocol import Crypto, OaepHash
    from icure_async.models.key_pair import KeyPair

__all__ = ["AES_KEY_LENGTHS", "EXCHANGE_KEY_BYTES", "KeyRing"]

EXCHANGE_KEY_BYTES: Final = 32

AES_KEY_LENGTHS: Final = frozenset({16, 24, EXCHANGE_KEY_BYTES})
"""The lengths of AES keys in bytes; this SDK makes the longest."""

_OPENED_KEPT: Final = 8192
# Which hash a ciphertext was made with is not recorded; SHA-256 is what today's keys take.
_HASHES: Final[tuple[OaepHash, ...]] = ("sha-256", "sha-1")


class KeyRing(SecretHolder):
    """Key pairs by fingerprint, in the order they were added.

    Opened exchange keys are kept by their ciphertext, so that nothing here can become stale; the
    last few thousand of them, so that nothing here grows for ever.
    """

    def __init__(self, crypto: Crypto, *, opened_kept: int = _OPENED_KEPT) -> None:
        self._crypto = crypto
        self._key_pairs: dict[str, KeyPair] = {}
        self._read_only: set[str] = set()
        self._of_parents: set[str] = set()
        # With the fingerprint of the key pair that has opened it, which may be a parent's.
        self._opened: Recent[str, tuple[str, bytes]] = Recent(opened_kept)

    async def add(self, key_pair: KeyPair, *, read_only: bool = False) -> None:
        """Add a key pair.

        Args:
            key_pair: one of the user's own.
            read_only: whether it opens what is there, and nothing is to be encrypted for it:
                somebody else may have its private half.

        Raises:
            ValidationError: it is malformed, or its halves don't belong together.
        """
        await self._crypto.load_key_pair(key_pair)
        self._key_pairs[key_pair.fingerprint] = key_pair
        self._of_parents.discard(key_pair.fingerprint)
        if read_only:
            self._read_only.add(key_pair.fingerprint)
        else:
            self._read_only.discard(key_pair.fingerprint)

    async def add_of_parent(self, key_pair: KeyPair) -> None:
        """Add a key pair of one of the user's parents, which only reads.

        It never takes the place of a key pair that is there.

        Raises:
            ValidationError: it is malformed, or its halves don't belong together.
        """
        if key_pair.fingerprint not in self._key_pairs:
            await self.add(key_pair, read_only=True)
            self._of_parents.add(key_pair.fingerprint)

    def has_double_of(self, key_pair: KeyPair) -> bool:
        """Return whether another key pair has the same fingerprint, which is no accident."""
        present = self._key_pairs.get(key_pair.fingerprint)
        return present is not None and present.public_key.lower() != key_pair.public_key.lower()

    def clear(self) -> None:
        """Remove all key pairs, and what they have opened."""
        self._key_pairs.clear()
        self._read_only.clear()
        self._of_parents.clear()
        self._opened.clear()

    @property
    def key_pairs(self) -> list[KeyPair]:
        """The key pairs, oldest first, those of parents included."""
        return list(self._key_pairs.values())

    @property
    def own_pairs(self) -> list[KeyPair]:
        """The user's own key pairs, oldest first."""
        return [pair for pair in self.key_pairs if pair.fingerprint not in self._of_parents]

    @property
    def trusted_pairs(self) -> list[KeyPair]:
        """The key pairs that may be encrypted for, oldest first."""
        return [pair for pair in self.key_pairs if pair.fingerprint not in self._read_only]

    def __contains__(self, fingerprint: str) -> bool:
        """Return whether a key pair has this fingerprint, which proves nothing about a key."""
        return fingerprint_of(fingerprint) in self._key_pairs

    def holds(self, public_key: str) -> bool:
        """Return whether it is the public half of a trusted key pair, all of it.

        Another key with the same fingerprint is easily made.
        """
        return any(pair.public_key.lower() == public_key.lower() for pair in self.trusted_pairs)

    def own_among(self, public_keys: Iterable[str]) -> list[str]:
        """Return those public keys that are ours, whole where they were named by fingerprint."""
        trusted = {pair.fingerprint: pair.public_key for pair in self.trusted_pairs}
        return [
            trusted[fingerprint_of(public_key)]
            for public_key in public_keys
            if self.holds(public_key) or public_key.lower() in trusted
        ]

    def __bool__(self) -> bool:
        return bool(self._key_pairs)

    def __repr__(self) -> str:
        return f"KeyRing(fingerprints={list(self._key_pairs)!r})"

    async def open(self, wrapped: Mapping[str, str], *, own_only: bool = False) -> bytes | None:
        """Return the exchange key, or None where no pair of the ring opens it.

        Args:
            wrapped: fingerprint of the encrypting key → RSA ciphertext in hex.
            own_only: whether the key pairs of parents are left alone.
        """
        usable = self.own_pairs if own_only else self.key_pairs
        for ciphertext, key_pairs in _candidates(wrapped, usable):
            known = self._opened.get(ciphertext)
            if known is not None and any(pair.fingerprint == known[0] for pair in usable):
                return known[1]
            for key_pair in key_pairs:
                opened = await self._decrypt(key_pair, ciphertext, is_named=len(key_pairs) == 1)
                if opened is not None:
                    self._opened.put(ciphertext, (key_pair.fingerprint, opened))
                    return opened
        return None

    async def open_of_today(self, wrapped: object, *, own_only: bool = False) -> bytes | None:
        """Return a secret of today's flavour, or None where no pair of the ring opens it.

        Each pair that is named is tried with both hashes (today.md §1), and what was opened is kept
        as in :meth:`open`.

        Args:
            wrapped: V2 fingerprint of the encrypting key → RSA ciphertext in base64. Anything else
                opens nothing.
            own_only: whether the key pairs of parents are left alone.
        """
        named = as_object(wrapped)
        usable = self.own_pairs if own_only else self.key_pairs
        # Two pairs with one V2 fingerprint are no accident, and either may be the right one.
        for key_pair in usable:
            ciphertext = named.get(fingerprint_v2(key_pair.public_key))
            if not isinstance(ciphertext, str):
                continue
            known = self._opened.get(ciphertext)
            if known is not None and any(pair.fingerprint == known[0] for pair in usable):
                return known[1]
            opened = await self._decrypt_of_today(key_pair, ciphertext)
            if opened is not None:
                self._opened.put(ciphertext, (key_pair.fingerprint, opened))
                return opened
        return None

    def remember_of_today(self, wrapped: Mapping[str, str], secret: bytes) -> None:
        """Keep a secret this program has just encrypted, to spare the RSA decryption."""
        for key_pair in self.key_pairs:
            ciphertext = wrapped.get(fingerprint_v2(key_pair.public_key))
            if ciphertext is not None:
                self._opened.put(ciphertext, (key_pair.fingerprint, secret))

    def remember(self, wrapped: Mapping[str, str], exchange_key: bytes) -> None:
        """Keep an exchange key this program has just made, to spare the RSA decryption."""
        for fingerprint, ciphertext in wrapped.items():
            self._opened.put(ciphertext, (fingerprint, exchange_key))

    async def wrap(
        self, exchange_key: bytes, public_keys: Iterable[str], *, oaep: OaepHash = "sha-1"
    ) -> dict[str, str]:
        """Return the exchange key encrypted for each public key, by fingerprint, in hex.

        Of several with the same fingerprint, which is no accident, the first one counts.

        Args:
            exchange_key: what to encrypt.
            public_keys: hex of the SPKI of each.
            oaep: the hash, which another implementation than ours may not know.

        Raises:
            ValueError: one of them is not an RSA public key.
        """
        by_fingerprint: dict[str, str] = {}
        for public_key in public_keys:
            by_fingerprint.setdefault(fingerprint_of(public_key), public_key)
        encrypt = self._crypto.rsa_encrypt
        if oaep != "sha-1":
            encrypt = functools.partial(encrypt, oaep=oaep)
        return {
            fingerprint: (await encrypt(public_key, exchange_key)).hex()
            for fingerprint, public_key in by_fingerprint.items()
        }

    async def _decrypt(self, key_pair: KeyPair, ciphertext: str, *, is_named: bool) -> bytes | None:
        try:
            content = decode_hex(ciphertext)
        except ValueError:
            return None
        try:
            opened = await self._crypto.rsa_decrypt(key_pair, content)
        except ValueError:
            # For a key of today, to which access was given back (today.md §10).
            of_today = is_named and serves_today(self._crypto)
            opened = await self._rsa_opened(key_pair, content, "sha-256") if of_today else b""
        return opened if len(opened) in AES_KEY_LENGTHS else None

    async def _rsa_opened(self, key_pair: KeyPair, content: bytes, oaep: OaepHash) -> bytes:
        """Return what a ciphertext hides; nothing where this is not its key, or its hash."""
        try:
            return await self._crypto.rsa_decrypt(key_pair, content, oaep=oaep)
        except ValueError:
            return b""

    async def _decrypt_of_today(self, key_pair: KeyPair, ciphertext: str) -> bytes | None:
        if not serves_today(self._crypto):
            return None
        try:
            content = decode_base64(ciphertext)
        except ValueError:
            return None
        for oaep in _HASHES:
            opened = await self._rsa_opened(key_pair, content, oaep)
            if opened:
                return opened
        return None


def _candidates(
    wrapped: Mapping[str, str], key_pairs: list[KeyPair]
) -> Iterable[tuple[str, list[KeyPair]]]:
    """Yield the ciphertexts that key pairs may open, each with these."""
    for key_pair in key_pairs:
        if key_pair.fingerprint in wrapped:
            yield wrapped[key_pair.fingerprint], [key_pair]
    if LEGACY_KEY in wrapped:
        yield wrapped[LEGACY_KEY], key_pairs
