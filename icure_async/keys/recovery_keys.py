"""Recovery keys of the current data owner: made, used, and revoked (today.md §10)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from icure_async.crypto.exchange_data import encryption_keys_of, published_pairs
from icure_async.crypto.recovery_data import (
    RECOVERY_KEY_BYTES,
    RecoverableKeyPair,
    open_key_pairs,
    recovery_id,
    seal_key_pairs,
)
from icure_async.errors import (
    BackendError,
    CryptoError,
    DecryptionError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.models.recovery_key import RecoveryKey
from icure_async.rest.recovery_data import KEY_PAIRS
from icure_async.rest.responses import has_no_such_route

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.keys.own_document import OwnDocument
    from icure_async.models.key_pair import KeyPair
    from icure_async.rest.recovery_data import RecoveryDataResource

__all__ = ["RecoveryKeys", "recovery_key_of"]

_log: Final = logging.getLogger(__name__)

_UNKNOWN: Final = (
    "The backend has nothing for this recovery key: it was mistyped, revoked, has expired, or is "
    "of another user or another backend. Compare it with what was written down. Nothing was "
    "changed."
)


def recovery_key_of(value: object) -> RecoveryKey:
    """Return a recovery key, whether it comes as such or as text.

    Raises:
        ValidationError: it is malformed.
    """
    if isinstance(value, RecoveryKey):
        return value
    if not isinstance(value, str):
        raise ValidationError("recovery_key must be a RecoveryKey, or its text.")
    return RecoveryKey(value)


class RecoveryKeys:
    """Copies of the current data owner's key pairs on the backend, each under a recovery key."""

    def __init__(self, resource: RecoveryDataResource, own_document: OwnDocument) -> None:
        self._resource = resource
        self._own = own_document

    async def create(self) -> RecoveryKey:
        """Store a copy of the key pairs in use, and return the key that opens it.

        ``DataOwnerApi.create_recovery_key`` has the errors.
        """
        own = await self._own.own()
        key_pairs = self._published(own.document)
        if not key_pairs:
            raise CryptoError(
                "No published key pair is in use that could be recovered: call init_user_crypto() "
                "first. Nothing was sent."
            )
        crypto = self._own.crypto
        key = await crypto.random_bytes(RECOVERY_KEY_BYTES)
        document = {
            "id": recovery_id(key),
            "recipient": own.id,
            "encryptedSelf": await seal_key_pairs(crypto, key, own.id, key_pairs),
            "type": KEY_PAIRS,
        }
        try:
            await self._resource.create(document)
        except BackendError as error:
            if not has_no_such_route(error):
                raise
            raise NotFoundError(
                "This backend keeps no recovery data: it is older than today's iCure. Keep a "
                "backup instead, which export_keys() makes.",
                status=error.status,
            ) from None
        return RecoveryKey(key.hex())

    async def key_pairs(
        self, recovery_key: RecoveryKey, owner_id: str, published: Sequence[str]
    ) -> list[KeyPair]:
        """Return the key pairs that a recovery key leads to.

        Only those are believed whose halves belong together, and that the data owner has published.

        Args:
            recovery_key: the key.
            owner_id: the current data owner.
            published: its public keys.

        Raises:
            NotFoundError: the backend has nothing for the key.
            DecryptionError: what it has is damaged.
            ValidationError: no published key pair of the data owner is in it.
        """
        key = recovery_key.to_bytes()
        try:
            document = await self._resource.get(recovery_id(key))
        except NotFoundError as error:
            raise NotFoundError(_UNKNOWN, status=error.status) from None
        except PermissionDeniedError:
            raise _of_another(owner_id) from None
        found = await open_key_pairs(self._own.crypto, key, document["encryptedSelf"], owner_id)
        if found is None:
            raise DecryptionError(
                "The recovery data on the backend is damaged, and this recovery key can't open it. "
                "Use another recovery key or a backup, or have access given back to a new key "
                "pair. Nothing was changed.",
                entity_type="recovery data",
                entity_ids=[str(document["id"])],
            )
        whole_keys = {public_key.lower() for public_key in published}
        usable = [pair for pair in found if pair.public_key in whole_keys]
        sound = [pair for pair in usable if await self._is_sound(pair)]
        if not sound:
            raise _of_another(owner_id)
        return sound

    async def revoke(self, recovery_key: RecoveryKey | str) -> None:
        """Delete the copy that a recovery key opens; nothing where there is none (any more)."""
        key = recovery_key_of(recovery_key).to_bytes()
        try:
            await self._resource.delete(recovery_id(key))
        except NotFoundError:
            return

    async def revoke_all(self) -> None:
        """Delete all copies of the current data owner's key pairs."""
        await self._resource.delete_all(await self._own.own_id())

    def _published(self, document: Mapping[str, Any]) -> list[RecoverableKeyPair]:
        published = published_pairs(self._own.key_ring, encryption_keys_of(document))
        return [RecoverableKeyPair(pair, key.oaep) for pair, key in published]

    async def _is_sound(self, key_pair: KeyPair) -> bool:
        try:
            await self._own.crypto.load_key_pair(key_pair)
        except ValidationError:
            _log.warning("A key pair in recovery data is damaged: %s", key_pair.fingerprint)
            return False
        return True


def _of_another(owner_id: str) -> ValidationError:
    return ValidationError(
        f"This recovery key leads to no published key pair of data owner {owner_id}: it is of "
        "another user, or the key pairs were replaced since. Use the one that this user has "
        "written down. Nothing was changed."
    )
