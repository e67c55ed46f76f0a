"""Notifications in words, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.models.key_question import digest_of
from icure_async.models.notification import Notification

if TYPE_CHECKING:
    from icure_async.models.key_change import KeyPairUpdate
    from icure_async.models.notification import PotentiallyEncryptedNotification

__all__ = ["about", "digest_in", "row_of", "update_of"]


def row_of(item: PotentiallyEncryptedNotification) -> dict[str, Any]:
    """Return a notification as ``--json`` prints it."""
    update = update_of(item)
    return {
        "id": item.id,
        "type": item.type,
        "status": item.status,
        "created": item.created,
        "from": item.responsible,
        "readable": isinstance(item, Notification),
        "properties": [prop.to_dict() for prop in item.properties or ()],
        "data_owner_id": None if update is None else update.data_owner_id,
        "digest": None if update is None else digest_in(update),
    }


def about(item: PotentiallyEncryptedNotification) -> str | None:
    """Return in words what a notification is about; None where its type says all."""
    update = update_of(item)
    if update is not None:
        return f"key of {update.data_owner_id}"
    return None if isinstance(item, Notification) else "no key on this device opens it"


def update_of(item: PotentiallyEncryptedNotification) -> KeyPairUpdate | None:
    """Return what a notification of type ``KEY_PAIR_UPDATE`` asks for; None for others."""
    return item.key_pair_update if isinstance(item, Notification) else None


def digest_in(update: KeyPairUpdate) -> str | None:
    """Return the SHA-256 of the new public key, to be compared; None for one that is malformed."""
    try:
        return digest_of(bytes.fromhex(update.public_key))
    except ValueError:
        return None
