"""Notifications of a new key pair to everybody concerned, so that they can give access back.

Source: cryptography.md §10 step 5. Ids are made from what the notice says, so that one that is sent
again is refused by the backend as known, and not stored twice.
"""

from __future__ import annotations

import json
import logging
import uuid
from typing import TYPE_CHECKING, Final

from icure_async.crypto.exchange_keys import published_keys_of
from icure_async.errors import (
    StorageError,
    ValidationError,
)
from icure_async.foreign_text import printable
from icure_async.keys.delivery import Delivery
from icure_async.models.key_change import (
    CONCERNED_KEY_PROPERTY,
    CONCERNED_OWNER_PROPERTY,
    KeyPairUpdateNotice,
)
from icure_async.models.key_pair import fingerprint_of
from icure_async.models.notification import EncryptedNotification, Notification
from icure_async.models.properties import Property, PropertyType, TypedValueObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.entities.metadata import EncryptionMetadata
    from icure_async.entities.repository import Repository
    from icure_async.keys.counterparts import Counterparts
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.own_document import OwnDocument
    from icure_async.storage.protocols import Storage

__all__ = ["MAX_RECIPIENTS", "KeyNotices"]

_log: Final = logging.getLogger(__name__)

MAX_RECIPIENTS: Final = 1000
"""Of those who share something, so many are told about one new key pair."""

_TOO_MANY: Final = (
    f"More than {MAX_RECIPIENTS} data owners share something with this one, and no more than these "
    "are told by the SDK. Tell this one in another way."
)

_PREFIX: Final = "icure.key_notices."
_NAMESPACE: Final = uuid.UUID("f4d3b1c6-52a1-4c0e-9d57-0c3e8f6a2b71")
_TYPE: Final = "KEY_PAIR_UPDATE"


class KeyNotices:
    """Sends notifications of type ``KEY_PAIR_UPDATE``, and remembers which are still to be sent."""

    def __init__(
        self,
        *,
        storage: Storage,
        notifications: Repository[Notification, EncryptedNotification],
        metadata: EncryptionMetadata,
        directory: OwnDocument,
        current_user: CurrentUser,
        counterparts: Counterparts,
    ) -> None:
        self._storage = storage
        self._delivery = Delivery(
            notifications,
            metadata,
            current_user,
            directory,
            again="data_owner_api.notify_key_pair_update()",
        )
        self._directory = directory
        self._counterparts = counterparts

    async def remember(self, owner_id: str, public_key: str) -> None:
        """Write down that notices about a key pair are to be sent, before it is published."""
        await self._storage.set_item(_record_name(owner_id, public_key), json.dumps({"version": 1}))

    async def outstanding(self, owner_id: str) -> list[str]:
        """Return the fingerprints of the key pairs about which notices are still to be sent."""
        prefix = _record_name(owner_id, "")
        return [name.removeprefix(prefix) for name in await self._storage.list_items(prefix)]

    async def readers(self) -> list[str]:
        """Return the ids of all who will be able to read some notice."""
        recipients = (await self._directory.correspondents())[:MAX_RECIPIENTS]
        auto_delegates = await self._delivery.auto_delegates()
        told = await self._directory.encryptable_among(recipients)
        return list(dict.fromkeys([*told, *auto_delegates]))

    async def send_outstanding(
        self, owner_id: str, public_keys: Sequence[str]
    ) -> list[KeyPairUpdateNotice]:
        """Send what an earlier or this run has still to send about these key pairs.

        A failure is in the result and in the log, and does not stop a login. The notice is sent
        again next time where that may help.
        """
        notices: list[KeyPairUpdateNotice] = []
        for public_key in public_keys:
            name = _record_name(owner_id, public_key)
            if await self._storage.get_item(name) is None:
                continue
            sent, again = await self._send(owner_id, public_key)
            notices += sent
            if not again:
                try:
                    await self._storage.remove_item(name)
                except StorageError:
                    _log.warning("The record %r could not be removed; notices are repeated", name)
        return notices

    async def send(self, public_key: str) -> list[KeyPairUpdateNotice]:
        """Send the notices about a key pair of the current data owner, whether or not sent before.

        Raises:
            ValidationError: it has no such key pair.
        """
        owner = await self._directory.own()
        # Whole keys: a reader of the notice gives access to the key that it names.
        published = {key.lower(): key for key in published_keys_of(owner.document)}
        key = published.get(public_key.lower()) if isinstance(public_key, str) else None
        if key is None:
            raise ValidationError(
                f"The public key is not one of data owner {owner.id}: pass one of its key pairs'."
            )
        notices, again = await self._send(owner.id, key)
        if not again:
            await self._storage.remove_item(_record_name(owner.id, key))
        return notices

    async def _correspondents(self, public_key: str) -> list[str]:
        """Return the ids of all who share something with the current data owner."""
        partners = await self._directory.correspondents()
        partners += await self._counterparts.of(public_key)
        return list(dict.fromkeys(partners))

    async def _send(self, owner_id: str, public_key: str) -> tuple[list[KeyPairUpdateNotice], bool]:
        """Return the outcome of each notice, and whether to try again later."""
        auto_delegates = await self._delivery.auto_delegates()
        correspondents = await self._correspondents(public_key)
        recipients = [owner_id, *correspondents[:MAX_RECIPIENTS]]
        told = {owner_id, *await self._delivery.get_ready([*recipients[1:], *auto_delegates])}
        notices: list[KeyPairUpdateNotice] = []
        again = False
        for recipient_id in recipients:
            notice = _notice(owner_id, public_key, recipient_id)
            document = await self._delivery.document_of(notice, owner_id)
            problem: str | None = None
            if recipient_id in told:
                # Sending many takes a while: the user's sharing may have changed.
                auto_delegates = await self._delivery.auto_delegates()
                # The one for the user's other devices concerns nobody else.
                others = [recipient_id, *auto_delegates] if recipient_id != owner_id else []
                readers = [name for name in dict.fromkeys(others) if name in told]
                failure, may_help = await self._delivery.post(
                    document, readers, required=readers[:1]
                )
                problem = None if failure is None else str(failure)
                again = again or may_help
            else:
                problem = "It cannot be read, or has no public key."
            if problem:
                _log.warning(
                    "Data owner %s could not be told about the new key pair %s: %s",
                    printable(recipient_id),
                    fingerprint_of(public_key),
                    problem,
                )
            notices.append(
                KeyPairUpdateNotice(
                    recipient_id=recipient_id,
                    public_key=public_key,
                    notification_id=document["id"],
                    delivered=problem is None,
                    problem=problem,
                )
            )
        left_out = correspondents[MAX_RECIPIENTS:]
        if left_out:
            _log.warning("%d data owners are not told about a new key pair", len(left_out))
        notices += [
            KeyPairUpdateNotice(
                recipient_id=recipient_id,
                public_key=public_key,
                notification_id=_notice_id(owner_id, public_key, recipient_id),
                delivered=False,
                problem=_TOO_MANY,
            )
            for recipient_id in left_out
        ]
        return notices, again


def _record_name(owner_id: str, public_key: str) -> str:
    return f"{_PREFIX}{owner_id}.{fingerprint_of(public_key)}"


def _notice_id(owner_id: str, public_key: str, recipient_id: str) -> str:
    said = f"{_TYPE}:{owner_id}:{public_key}:{recipient_id}"
    # Not every text from a backend has bytes.
    name = said.encode("utf-8", errors="backslashreplace").decode("utf-8")
    return str(uuid.uuid5(_NAMESPACE, name))


def _notice(owner_id: str, public_key: str, recipient_id: str) -> Notification:
    return Notification(
        id=_notice_id(owner_id, public_key, recipient_id),
        type=_TYPE,
        properties=[
            _text_property(CONCERNED_OWNER_PROPERTY, owner_id),
            _text_property(CONCERNED_KEY_PROPERTY, public_key),
        ],
    )


def _text_property(name: str, value: str) -> Property:
    return Property(
        id=name,
        type=PropertyType(type="STRING"),
        typed_value=TypedValueObject(type="STRING", string_value=value),
    )
