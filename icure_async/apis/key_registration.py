"""Putting a data owner's key pairs to use: finding them on the device, or publishing the first.

A private key is stored before its public half is published, and everything a first login has to
publish goes out in one write. Source: cryptography.md §9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio

from icure_async.apis.current_user import auto_delegates_of
from icure_async.apis.key_directory import MAX_CONFLICTS
from icure_async.crypto.delegations import entries_for
from icure_async.crypto.exchange_keys import public_keys_of
from icure_async.errors import ConflictError, KeyPairNotFoundError, ValidationError
from icure_async.models.encrypted_members import ENCRYPTED_PATIENT_MEMBERS
from icure_async.models.key_pair import KeyPair, fingerprint_of
from icure_async.models.names_completion import complete_patient_names
from icure_async.rest.data_owners import TypedDataOwner

if TYPE_CHECKING:
    from icure_async.apis.current_user import CurrentUser
    from icure_async.apis.key_directory import OwnKeyDirectory
    from icure_async.crypto.entities import EntityCrypto
    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto
    from icure_async.storage.protocols import KeyStorage

__all__ = ["KeyRegistration"]

_PATIENT: Final = "patient"


class KeyRegistration:
    """What ``init_user_crypto`` does. Repeating it after a crash finishes the job."""

    def __init__(
        self,
        *,
        crypto: Crypto,
        key_ring: KeyRing,
        key_storage: KeyStorage,
        directory: OwnKeyDirectory,
        current_user: CurrentUser,
        entities: EntityCrypto,
    ) -> None:
        self._crypto = crypto
        self._key_ring = key_ring
        self._key_storage = key_storage
        self._directory = directory
        self._current_user = current_user
        self._entities = entities
        self._lock = anyio.Lock()

    async def initialise(self, key_pair: KeyPair | None) -> list[KeyPair]:
        """Put key pairs to use, publishing the first one of a new data owner.

        Raises:
            KeyPairNotFoundError: keys are published, and none of them is on this device.
            ValidationError: ``key_pair`` is malformed, or is not the one on this device.
            ConflictError: the data owner keeps changing under our hands.
        """
        if key_pair is not None:
            key_pair = _normalised(key_pair)
            await self._crypto.load_key_pair(key_pair)
        async with self._lock:
            return await self._initialise(key_pair)

    async def _initialise(self, key_pair: KeyPair | None) -> list[KeyPair]:
        owner_id = await self._directory.own_id()
        for _ in range(MAX_CONFLICTS):
            owner = await self._directory.own()
            published = public_keys_of(owner.document)
            if published:
                key_pairs = await self._on_device(owner.id, published, key_pair)
            else:
                key_pairs = [await self._unpublished(owner.id, key_pair)]
            for found in key_pairs:
                await self._key_ring.add(found)
            document = await self._complete(owner, key_pairs[0])
            if document is owner.document:
                return key_pairs
            if await self._directory.save_own(TypedDataOwner(owner.kind, document)):
                return key_pairs
            # Somebody else was faster: perhaps the same user on another device, with other keys.
            self._key_ring.clear()
        raise ConflictError(
            f"Data owner {owner_id} was changed by somebody else {MAX_CONFLICTS} times in a row. "
            "Call init_user_crypto() again.",
            retryable=True,
        )

    async def _on_device(
        self, owner_id: str, published: list[str], given: KeyPair | None
    ) -> list[KeyPair]:
        """Return the published key pairs on this device, storing the given one if it is such."""
        fingerprints = [fingerprint_of(public_key) for public_key in published]
        stored = [
            found
            for fingerprint in fingerprints
            if (found := await self._key_storage.get_key_pair(owner_id, fingerprint)) is not None
        ]
        if stored:
            if given and given.public_key not in {found.public_key for found in stored}:
                raise ValidationError(
                    "The provided key pair is not present on the device and other key pairs are "
                    "already present. Call init_user_crypto() without a key pair to use those on "
                    "the device, or pass another with_key_storage() to use yours."
                )
            return stored
        if given is None or given.fingerprint not in fingerprints:
            raise KeyPairNotFoundError(
                f"Data owner {owner_id} has published keys, and none of them is on this device: "
                f"{', '.join(fingerprints)}. Pass the key pair with one of these fingerprints to "
                "init_user_crypto(), or use the key storage of the device that has it. No new key "
                "was made: what is encrypted for the old ones would have become unreadable.",
                data_owner_id=owner_id,
                fingerprints=fingerprints,
            )
        await self._key_storage.store_key_pair(owner_id, given)
        return [given]

    async def _unpublished(self, owner_id: str, given: KeyPair | None) -> KeyPair:
        """Return the pair to publish: the given one, one left by a crash, or a new one; stored."""
        if given is None:
            pending = await self._key_storage.list_key_pairs(owner_id)
            if pending:
                return pending[0]
        key_pair = given or await self._crypto.generate_key_pair()
        await self._key_storage.store_key_pair(owner_id, key_pair)
        return key_pair

    async def _complete(self, owner: TypedDataOwner, key_pair: KeyPair) -> dict[str, Any]:
        """Return the owner's document with whatever it lacks; the same object for nothing."""
        document = owner.document
        is_patient = owner.kind == _PATIENT
        lacks_delegation = is_patient and not _has_own_entry(document, owner.id)
        if public_keys_of(document) and not lacks_delegation:
            return document
        if not public_keys_of(document):
            document = dict(document) | {"publicKey": key_pair.public_key}
        delegates = auto_delegates_of(await self._current_user.get()) if lacks_delegation else []
        document, exchange_keys = await self._directory.prepare(document, delegates)
        if not lacks_delegation:
            return document
        if document.get("delegations") or document.get("encryptionKeys"):
            # Made by a professional, who still has to share it: the patient gets a secret id only.
            return await self._entities.add_secret_id(document, owner.id, exchange_keys[owner.id])
        return await self._entities.seal_new(
            complete_patient_names(document), ENCRYPTED_PATIENT_MEMBERS, exchange_keys
        )


def _normalised(key_pair: KeyPair) -> KeyPair:
    """Return the key pair in lower case, in which key pairs are compared."""
    if not isinstance(key_pair, KeyPair):
        raise ValidationError("The key pair must be a KeyPair.")
    if not isinstance(key_pair.public_key, str) or not isinstance(key_pair.private_key, str):
        raise ValidationError("Both halves of the key pair must be texts: their DER in hex.")
    return KeyPair(key_pair.public_key.lower(), key_pair.private_key.lower())


def _has_own_entry(document: dict[str, Any], owner_id: str) -> bool:
    return bool(
        entries_for(document.get("delegations"), owner_id)
        or entries_for(document.get("encryptionKeys"), owner_id)
    )
