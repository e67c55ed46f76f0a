"""Key pairs of the current data owner's parents: those of the organisation a professional is in.

They read what was shared with the parent, and nothing is ever encrypted for them or published in
our name. They lie on this device under the id of the parent, where the next login finds them, and
in no backup of our own keys. Source: cryptography.md §2 and §5.2.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from icure_async.crypto.exchange_keys import published_keys_of
from icure_async.crypto.transfer_keys import recover_key_pairs
from icure_async.errors import CryptoError, ValidationError
from icure_async.foreign_text import printable
from icure_async.models.key_pair import KeyPair, fingerprint_of, is_fingerprint
from icure_async.models.validation import validate_id

if TYPE_CHECKING:
    from icure_async.crypto.protocol import Crypto
    from icure_async.keys.own_document import OwnDocument
    from icure_async.storage.protocols import KeyStorage

__all__ = ["ParentKeys", "normalised_key_pair"]

_log: Final = logging.getLogger(__name__)

_NOTHING_STORED: Final = "Nothing was stored."


class ParentKeys:
    """Checks, stores and uses key pairs of parents; adds further ones of our own, too."""

    def __init__(self, own_document: OwnDocument, key_storage: KeyStorage) -> None:
        self._own = own_document
        self._key_ring = own_document.key_ring
        self._key_storage = key_storage

    async def normalised(
        self, key_pairs: Mapping[str, Sequence[KeyPair]] | None
    ) -> dict[str, list[KeyPair]]:
        """Return key pairs by the parent they are of, in lower case.

        Raises:
            ValidationError: they are not a mapping of ids to lists of key pairs.
        """
        given: object = key_pairs if key_pairs is not None else {}
        if not isinstance(given, Mapping):
            raise _no_mapping()
        for_parents: dict[str, list[KeyPair]] = {}
        for parent_id, listed in (key_pairs or {}).items():
            validate_id(parent_id, "id of a parent")
            if not isinstance(listed, list | tuple):
                raise _no_mapping()
            for_parents[parent_id] = [
                await normalised_key_pair(self._own.crypto, key_pair) for key_pair in listed
            ]
        return for_parents

    async def add(self, data_owner_id: str, key_pair: KeyPair) -> None:
        """Store a key pair of a parent, or another published one of our own, and put it to use."""
        validate_id(data_owner_id, "data owner id")
        key_pair = await normalised_key_pair(self._own.crypto, key_pair)
        own = await self._own.own()
        if data_owner_id != own.id:
            await self.check(data_owner_id, [key_pair])
            await self.store(data_owner_id, [key_pair])
            await self._use(data_owner_id, [key_pair])
            return
        if not _is_published(key_pair, own.document):
            # Another device may have published it since our document was read.
            own = await self._own.read_own_anew()
            if not _is_published(key_pair, own.document):
                raise _not_published(key_pair, own.id)
        await self._key_storage.store_key_pair(own.id, key_pair)
        await self._own.recovery.use(own.id, [key_pair])

    async def check(self, parent_id: str, key_pairs: Sequence[KeyPair]) -> None:
        """Refuse key pairs that are not published keys of a parent. Nothing is stored.

        Raises:
            ValidationError: the data owner is not a parent of ours, or a key pair is not its own.
            CryptoError: the parent can't be read, or one has the fingerprint of another in use.
        """
        try:
            await self._check(parent_id, key_pairs)
        except (CryptoError, ValidationError):
            # The parent may have published it, or become our parent, since they were read.
            await self._own.refresh()
            await self._check(parent_id, key_pairs)

    async def store(self, parent_id: str, key_pairs: Sequence[KeyPair]) -> None:
        """Store key pairs that have passed :meth:`check`.

        Raises:
            StorageError: one could not be stored. Repeat the call.
        """
        for key_pair in key_pairs:
            await self._key_storage.store_key_pair(parent_id, key_pair)

    async def use_stored(self) -> None:
        """Read with the key pairs of our parents, as far as they are on this device."""
        own_id = await self._own.own_id()
        for parent_id, parent in (await self._own.hierarchy()).items():
            if parent_id == own_id:
                continue
            found = [
                key_pair
                for fingerprint in map(fingerprint_of, published_keys_of(parent))
                # A malformed public key, which somebody else put there, must not lock us out.
                if is_fingerprint(fingerprint)
                and (key_pair := await self._key_storage.get_key_pair(parent_id, fingerprint))
            ]
            await self._use(parent_id, found)

    async def _use(self, parent_id: str, key_pairs: Sequence[KeyPair]) -> None:
        # Only the backend says which parents a data owner has: nothing is encrypted for them.
        for key_pair in key_pairs:
            await self._key_ring.add_of_parent(key_pair)
            if self._key_ring.has_double_of(key_pair):
                _log.warning(
                    "A key pair of data owner %s has the fingerprint of another one that is in "
                    "use, and is not used",
                    printable(parent_id),
                )
        parent = (await self._own.hierarchy()).get(parent_id)
        if key_pairs and parent:
            await recover_key_pairs(self._own.crypto, self._key_ring, parent, is_parent=True)

    async def _check(self, parent_id: str, key_pairs: Sequence[KeyPair]) -> None:
        own_id = await self._own.own_id()
        hierarchy = await self._own.hierarchy()
        parent = hierarchy.get(parent_id)
        if parent is None or parent_id == own_id:
            others = ", ".join(printable(name) for name in hierarchy if name != own_id)
            raise ValidationError(
                f"Data owner {parent_id} is not a parent of data owner {own_id}"
                f", whose parents are: {others or 'none'}. Check the id. {_NOTHING_STORED}"
            )
        if not parent:
            raise CryptoError(
                f"Data owner {parent_id}, a parent of {own_id}, can't be read, so that nobody can "
                f"tell which keys are its own. {_NOTHING_STORED} Ask an administrator of the "
                "backend for access to it."
            )
        for key_pair in key_pairs:
            if not _is_published(key_pair, parent):
                raise _not_published(key_pair, parent_id)
            if self._key_ring.has_double_of(key_pair):
                raise CryptoError(
                    f"The key pair {key_pair.fingerprint} of data owner {parent_id} has the "
                    "fingerprint of another one that is in use, which is no accident. "
                    f"{_NOTHING_STORED} Have the owner publish another key pair."
                )


async def normalised_key_pair(crypto: Crypto, key_pair: KeyPair) -> KeyPair:
    """Return a key pair that an application passes in, in lower case, in which they are compared.

    Raises:
        ValidationError: it is malformed, or its halves don't belong together.
    """
    if isinstance(key_pair, list | tuple):
        raise ValidationError(
            "The key pair must be a KeyPair, and this is a list: pass one of the list, [0] for "
            "the first. The others are found on the device."
        )
    if not isinstance(key_pair, KeyPair):
        raise ValidationError("The key pair must be a KeyPair.")
    if not isinstance(key_pair.public_key, str) or not isinstance(key_pair.private_key, str):
        raise ValidationError("Both halves of the key pair must be texts: their DER in hex.")
    key_pair = KeyPair(key_pair.public_key.lower(), key_pair.private_key.lower())
    await crypto.load_key_pair(key_pair)
    return key_pair


def _is_published(key_pair: KeyPair, owner: Mapping[str, object]) -> bool:
    # Whole keys are compared: one with a given fingerprint is easily made.
    return key_pair.public_key in [public_key.lower() for public_key in published_keys_of(owner)]


def _not_published(key_pair: KeyPair, owner_id: str) -> ValidationError:
    return ValidationError(
        f"The key pair {key_pair.fingerprint} is not one that data owner {owner_id} has published. "
        f"{_NOTHING_STORED} Pass the key pair that its own device uses."
    )


def _no_mapping() -> ValidationError:
    return ValidationError(
        "parent_key_pairs must be a dict with a list of KeyPairs for the id of each parent."
    )
