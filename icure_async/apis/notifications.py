"""Notifications: what one data owner has to tell another, carried by maintenance tasks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from anyio.lowlevel import checkpoint

from icure_async.crypto.encoding import new_uuid
from icure_async.entities.sealing import has_keys
from icure_async.entities.stored_members import with_stored_members, without_empty
from icure_async.entities.unchanged import (
    compare_with_stored,
    confirm_content,
    require_all_parts,
    require_same_material,
)
from icure_async.entities.wholeness import looks_whole
from icure_async.errors import (
    ConflictError,
    CryptoError,
    DecryptionError,
    InvalidResponseError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_object
from icure_async.keys.current_user import auto_delegates_of
from icure_async.mistakes import OneByOne, explained
from icure_async.models.base import has_id, has_rev
from icure_async.models.encrypted_members import ENCRYPTED_NOTIFICATION_MEMBERS
from icure_async.models.filters import Filter, NotificationFilter, epoch_milliseconds
from icure_async.models.notification import EncryptedNotification, Notification
from icure_async.models.validation import (
    UnusualValueError,
    validate_id,
    validate_notification_for_saving,
    validate_notification_status,
)
from icure_async.models.wire import from_wire, to_wire
from icure_async.rest.changes import MAX_CONFLICTS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
    from datetime import datetime

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.sealing import EntityCrypto, OpenedEntity
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.own_document import OwnDocument
    from icure_async.models.enums import NotificationStatus
    from icure_async.models.notification import PotentiallyEncryptedNotification
    from icure_async.rest.maintenance_tasks import MaintenanceTaskResource

__all__ = ["NotificationApi"]

_log: Final = logging.getLogger(__name__)

_WIRE_CLASS: Final = "org.taktik.icure.entities.MaintenanceTask"
# Whom new notifications are shared with besides the delegate (cryptography.md §8).
_AUTO_DELEGATIONS: Final = ("all",)
_RECENT_MS: Final = 30 * 24 * 60 * 60 * 1000
_PAGE_SIZE: Final = 1000
_MAX_RESTARTS: Final = 8
_MAX_ROWS: Final = 1_000_000

_CHANGEABLE: Final = {"status": "status", "identifiers": "identifier", "properties": "properties"}
"""What a modification may change: members and their wire names (wire-protocol.md §6.14)."""

_UNCHANGEABLE: Final = (
    "type",
    "created",
    "modified",
    "end_of_life",
    "deletion_date",
    "author",
    "responsible",
    "system_meta_data",
)


@explained
class NotificationApi:
    """Creates, reads, modifies and deletes notifications."""

    def __init__(
        self,
        tasks: MaintenanceTaskResource,
        *,
        crypto: Crypto,
        entities: EntityCrypto,
        directory: OwnDocument,
        current_user: CurrentUser,
        clock: Callable[[], float],
    ) -> None:
        self._tasks = tasks
        self._crypto = crypto
        self._entities = entities
        self._directory = directory
        self._current_user = current_user
        self._clock = clock

    async def create_or_modify_notification(
        self, notification: Notification, delegate: str | None = None
    ) -> Notification:
        """Create the notification if it has no ``rev``, else replace the stored one.

        A new notification is encrypted for the current data owner, for the delegate, and for
        everyone whom the user shares everything with automatically. It is given its ``id`` before
        anything is sent, so that the call can be repeated with the same object after a failure
        without notifying anybody twice.

        Of a stored one, only ``status``, ``identifiers`` and ``properties`` can be changed.

        Args:
            notification: to create, or as it was read, with changes.
            delegate: id of the data owner to notify; needed to create a notification. It can't be
                changed later.

        Returns:
            The notification as stored, decrypted.

        Raises:
            ValidationError: a member is malformed or can't be changed, or the delegate is missing.
            CryptoError: the delegate does not exist or has no public key yet.
            NotFoundError: there is no such notification to modify.
            DecryptionError: the stored notification can't be decrypted.
            ConflictError: somebody else changed the notification meanwhile.
        """
        if isinstance(notification, EncryptedNotification):
            raise ValidationError(
                "An EncryptedNotification can't be saved as a Notification. To change its status, "
                "use update_notification_status(), which leaves the encrypted part alone."
            )
        creating = isinstance(notification, Notification) and not has_rev(notification)
        try:
            validate_notification_for_saving(notification, creating=creating)
        except UnusualValueError:
            # Perhaps the value is the stored one: known once that is read.
            if creating or notification.unknown_fields is not None:
                raise
        if delegate is not None:
            validate_id(delegate, "delegate")
        elif creating:
            raise ValidationError(
                "No delegate provided: pass the id of the data owner to notify as delegate."
            )
        if delegate is not None and creating:
            document = await self._create(notification, delegate)
        else:
            document = await self._modify(notification, delegate)
        saved = await self._try_decrypt(document)
        if isinstance(saved, EncryptedNotification):
            raise InvalidResponseError(
                f"Could not save notification {saved.id}: the server answers with something that "
                "can't be decrypted. Read the notification again to see what is stored."
            )
        return saved

    async def get_notification(self, notification_id: str) -> Notification:
        """Return a notification, decrypted.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such notification.
            DecryptionError: no key at hand opens it.
        """
        notification = await self.get_notification_and_try_decrypt(notification_id)
        if isinstance(notification, EncryptedNotification):
            raise _decryption_error(notification_id)
        return notification

    async def get_notification_and_try_decrypt(
        self, notification_id: str
    ) -> PotentiallyEncryptedNotification:
        """Return a notification, as an :class:`EncryptedNotification` where no key opens it.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such notification.
        """
        return await self._try_decrypt(await self._read(notification_id))

    def filter_notifications(
        self, notification_filter: Filter | None = None, *, page_size: int = 1000
    ) -> AsyncIterator[PotentiallyEncryptedNotification]:
        """Iterate over what a filter finds, decrypted; pages are read as they are needed.

        One that no key at hand opens comes as an :class:`EncryptedNotification`, without
        properties. Each comes once, even where others come and go meanwhile.

        Args:
            notification_filter: for example what :class:`NotificationFilter` builds; by default,
                everything that is shared with the current data owner.
            page_size: how many to ask the backend for at a time.

        Raises:
            ValidationError: an argument is malformed.
        """
        wanted = (
            NotificationFilter().build()
            if notification_filter is None
            else _checked_filter(notification_filter)
        )
        if not isinstance(page_size, int) or isinstance(page_size, bool) or page_size < 1:
            raise ValidationError("page_size must be a positive int.")
        found = self._iterate(wanted, page_size)
        return OneByOne(found, "notification_api.filter_notifications()")

    async def get_pending_notifications_after(
        self, from_date: datetime | int | None = None
    ) -> list[PotentiallyEncryptedNotification]:
        """Return the pending notifications for the current data owner, the newest first.

        Args:
            from_date: when the oldest of them may have been created, as a datetime or in epoch
                milliseconds; 30 days ago by default.

        Raises:
            ValidationError: the date is malformed.
        """
        if from_date is None:
            from_ms = self._now() - _RECENT_MS
        else:
            from_ms = epoch_milliseconds(from_date, "from_date")
        recent = NotificationFilter().after_date(from_ms).build()
        found = [
            notification
            async for notification in self._iterate(recent, _PAGE_SIZE, status="pending")
        ]
        return sorted(found, key=lambda notification: -(notification.created or 0))

    async def update_notification_status(
        self, notification: PotentiallyEncryptedNotification, status: NotificationStatus
    ) -> PotentiallyEncryptedNotification:
        """Set the status of a notification, and leave everything else as it is stored.

        That works whether or not this user can decrypt it, and whatever others changed meanwhile.

        Args:
            notification: as it was read; it is not changed.
            status: the new one.

        Returns:
            The notification as stored, decrypted where a key at hand opens it.

        Raises:
            ValidationError: an argument is malformed.
            NotFoundError: there is no such notification.
            ConflictError: others keep changing it.
        """
        if not isinstance(notification, Notification | EncryptedNotification):
            raise ValidationError("The notification must be a Notification.")
        task_id = validate_id(notification.id, "notification id")
        validate_notification_status(status)
        for _ in range(MAX_CONFLICTS):
            stored = await self._read(task_id)
            opened = await self._entities.open(stored)
            # Read as a whole, so that nothing malformed goes back.
            present = _model(stored, opened)
            if stored.get("status") == status:
                return present
            if not looks_whole(stored) or opened is None:
                await compare_with_stored(stored, self._tasks.get, "notification")
            changed = stored | {"status": status, "modified": self._now()}
            try:
                saved = await self._tasks.modify(changed)
            except ConflictError:
                continue
            require_same_material(changed, saved, "notification", "modify")
            return await self._try_decrypt(saved)
        raise ConflictError(
            f"Notification {task_id} was changed by somebody else {MAX_CONFLICTS} times in a row. "
            "Try again.",
            retryable=True,
        )

    async def delete_notification(self, notification_id: str) -> str:
        """Mark a notification as deleted, for everybody it was shared with.

        It can still be read by its id, and is listed nowhere.

        Returns:
            The id of the notification.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such notification.
            PermissionDeniedError: it is not shared with the current data owner or its parents.
        """
        if "," in validate_id(notification_id, "notification id"):
            # Backends would take it for a list of ids, and delete each of them.
            raise ValidationError("The notification id must be one id, without a comma.")
        stored = await self._read(notification_id)
        if stored.get("deletionDate"):
            return notification_id
        delegates = as_object(stored.get("delegations"))
        shared = await self._directory.own_id() in delegates or any(
            owner_id in delegates for owner_id in await self._directory.hierarchy()
        )
        if not shared:
            raise PermissionDeniedError(
                f"Notification {notification_id} is not shared with the current data owner, who "
                "can't delete it therefore. Leave that to those it is for. Nothing was changed."
            )
        if not await self._tasks.delete(notification_id):
            raise NotFoundError(
                f"Could not delete notification {notification_id}: it does not exist. Check the id."
            )
        return notification_id

    async def _create(self, notification: Notification, delegate: str) -> dict[str, Any]:
        if not has_id(notification):
            notification.id = await new_uuid(self._crypto)

        async def keys_for(user: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, bytes]]:
            delegates = [delegate, *auto_delegates_of(user, _AUTO_DELEGATIONS)]
            return user, await self._directory.exchange_keys_for(delegates)

        user, exchange_keys = await self._current_user.sharing(keys_for)
        if delegate not in exchange_keys:
            raise CryptoError(
                f"Data owner {delegate} can't be notified: it can't be read, or has no public key "
                "yet. Check the id, or try again once it has logged in. The notification was not "
                "created."
            )
        now = self._now()
        clear = to_wire(notification)
        # That of a notification this one was copied from is not its own. The rest goes in sealing.
        clear.pop("securityMetadata", None)
        document = (
            {"status": "pending"}
            | clear
            | {
                "_type": _WIRE_CLASS,
                "created": now,
                "modified": now,
                "author": user["id"],
                "responsible": await self._directory.own_id(),
            }
        )
        try:
            sealed = await self._entities.seal_new(
                document, ENCRYPTED_NOTIFICATION_MEMBERS, exchange_keys
            )
        except ValueError:
            raise CryptoError(
                "A list of this notification has elements that are encrypted for the one they were "
                "copied from: build them anew from their values. Nothing was sent."
            ) from None
        try:
            saved = await self._tasks.create(sealed)
        except ConflictError as conflict:
            return await self._saved_before(notification, conflict)
        require_same_material(sealed, saved, "notification", "create")
        return saved

    async def _modify(self, notification: Notification, delegate: str | None) -> dict[str, Any]:
        task_id = str(notification.id)
        stored = await self._read(task_id)
        if stored.get("rev") != notification.rev:
            other = ConflictError(f"Notification {task_id} has another rev by now", status=409)
            return await self._saved_before(notification, other, stored)
        opened = await self._entities.open(stored)
        if opened is None:
            raise _decryption_error(task_id)
        current = from_wire(Notification, opened.document)
        _refuse_other_changes(notification, current)
        if notification.unknown_fields is None:
            completed = with_stored_members(notification, current)
            validate_notification_for_saving(completed, creating=False)
        if delegate is not None and delegate not in as_object(stored.get("delegations")):
            raise ValidationError(
                "The delegates of a notification can't be changed: create another one. Nothing was "
                "changed."
            )
        if not looks_whole(stored):
            await compare_with_stored(stored, self._tasks.get, "notification")
        changed = await self._sealed(stored, opened, _changes(notification, current))
        try:
            # The backend leaves ``modified`` as it gets it, so we set it.
            saved = await self._tasks.modify(changed | {"modified": self._now()})
        except ConflictError as conflict:
            return await self._saved_before(notification, conflict)
        require_same_material(changed, saved, "notification", "modify")
        return saved

    async def _sealed(
        self, stored: dict[str, Any], opened: OpenedEntity, changes: dict[str, Any]
    ) -> dict[str, Any]:
        """Return a stored task with changes, its encrypted members encrypted.

        Raises:
            DecryptionError: it has keys, and none at hand is one of them.
        """
        changed = stored | changes
        if opened.key is None and has_keys(stored):
            raise _decryption_error(stored["id"])
        require_all_parts(changed, ENCRYPTED_NOTIFICATION_MEMBERS, "notification")
        if opened.key is not None:
            try:
                return await self._entities.seal_again(
                    opened.document | changes, ENCRYPTED_NOTIFICATION_MEMBERS, opened.key
                )
            except ValueError:
                raise CryptoError(
                    f"Notification {stored['id']} can't be encrypted: a list of it has elements "
                    "that are encrypted for another one, or a value that JSON has not. Build them "
                    "anew from their values. Nothing was sent."
                ) from None
        if not any(
            changed.get(name) != stored.get(name) for name in ENCRYPTED_NOTIFICATION_MEMBERS
        ):
            return changed
        exchange_keys = await self._directory.exchange_keys_for(
            list(as_object(stored.get("delegations")))
        )
        return await self._entities.add_key(changed, ENCRYPTED_NOTIFICATION_MEMBERS, exchange_keys)

    async def _saved_before(
        self,
        notification: Notification,
        conflict: ConflictError,
        stored: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the stored task if it is what we wanted to store, else raise the conflict.

        That is so when an earlier attempt was carried out and its answer got lost.
        """
        try:
            document = stored or await self._read(str(notification.id))
        except (NotFoundError, PermissionDeniedError):
            pass
        else:
            present = await self._try_decrypt(document)
            if isinstance(present, Notification) and _same_content(present, notification):
                return document
        raise ConflictError(
            f"Notification {notification.id} was changed by somebody else, or its id is in use. "
            "Read it again, apply the change to what you read, and save that.",
            status=conflict.status,
            request_id=conflict.request_id,
            server_message=conflict.server_message,
        ) from None

    async def _iterate(
        self, wanted: Filter, page_size: int, *, status: str | None = None
    ) -> AsyncGenerator[PotentiallyEncryptedNotification, None]:
        """Iterate over the pages of a filter; with a status, only over what has it."""
        own_id = await self._directory.own_id()
        chain = {"$type": "FilterChain", "filter": wanted.to_wire(own_id)}
        seen: set[str] = set()
        for _ in range(_MAX_RESTARTS):
            # What this run through the list has brought, whatever an earlier one has.
            passed: set[str] = set()
            start_id: str | None = None
            while True:
                page = await self._tasks.filter(chain, limit=page_size, start_id=start_id)
                rows: dict[str, dict[str, Any]] = {row["id"]: row for row in page["rows"]}
                brings_nothing = rows.keys() <= passed
                passed.update(rows)
                fresh = [
                    row
                    for row in rows.values()
                    if row["id"] not in seen and status in (None, row.get("status") or "pending")
                ]
                for row in fresh:
                    await confirm_content(row, self._tasks.get, "notification")
                opened = await self._entities.open_many(fresh)
                for document, entity in zip(fresh, opened, strict=True):
                    seen.add(document["id"])
                    yield _model(document, entity)
                    await checkpoint()
                if start_id is not None and not rows:
                    # What this page was to begin with has been deleted meanwhile, and backends may
                    # show nothing of what comes behind it then (server-behaviour.md §8.2).
                    break
                start_id = _next_id(page)
                if start_id is None:
                    return
                if brings_nothing or len(passed) > _MAX_ROWS:
                    raise InvalidResponseError(
                        "Could not list notifications: the server gives the same page twice, or "
                        "pages without end. Try again; where it stays so, call the administrator "
                        "of the backend."
                    )
        raise ConflictError(
            f"The list of notifications changed {_MAX_RESTARTS} times while it was read. Try "
            "again.",
            retryable=True,
        )

    async def _read(self, task_id: str) -> dict[str, Any]:
        document = await self._tasks.get(validate_id(task_id, "notification id"))
        await confirm_content(document, self._tasks.get, "notification")
        return document

    async def _try_decrypt(self, document: Mapping[str, Any]) -> PotentiallyEncryptedNotification:
        return _model(document, await self._entities.open(document))

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _model(
    document: Mapping[str, Any], opened: OpenedEntity | None
) -> PotentiallyEncryptedNotification:
    """Return a notification from what the backend sent, and what could be opened of it.

    What was encrypted comes from another data owner. Where that is not what a notification may
    hold, it is as unreadable as if it could not be decrypted, and must not block the others.
    """
    if opened is not None:
        try:
            return from_wire(Notification, opened.document)
        except InvalidResponseError:
            _log.warning("What notification %s holds is malformed", printable(document["id"]))
    return from_wire(EncryptedNotification, document)


def _changes(notification: Notification, current: Notification) -> dict[str, Any]:
    """Return the new values of what may be changed, as they are on the wire.

    None leaves the status and the properties as they are.
    """
    if notification.unknown_fields is None:
        notification = with_stored_members(notification, current)
    wire = to_wire(notification)
    return {name: wire[name] for name in _CHANGEABLE.values() if name in wire}


def _refuse_other_changes(notification: Notification, current: Notification) -> None:
    built_by_hand = notification.unknown_fields is None
    for name in _UNCHANGEABLE:
        value = getattr(notification, name)
        if value != getattr(current, name) and not (built_by_hand and value is None):
            raise ValidationError(
                f"The {name} of a notification can't be changed: only its "
                f"{', '.join(_CHANGEABLE)} can. Nothing was changed."
            )


def _same_content(stored: Notification, notification: Notification) -> bool:
    """Return whether the stored notification has what was to be saved."""
    names = [*_CHANGEABLE, *(["type", "endOfLife"] if not has_rev(notification) else [])]
    ours = from_wire(Notification, to_wire(notification))
    wanted, present = without_empty(ours.to_dict()), without_empty(stored.to_dict())
    unset = {name for name in ("status", "properties") if getattr(ours, name) is None}
    return all(wanted.get(name) == present.get(name) for name in names if name not in unset)


def _checked_filter(value: object) -> Filter:
    if isinstance(value, NotificationFilter):
        raise ValidationError("A NotificationFilter is not a filter yet: call build() on it.")
    if not isinstance(value, Filter):
        raise ValidationError("The filter must be a Filter, as NotificationFilter builds it.")
    if not value.entities() <= {"notification"}:
        raise ValidationError("The filter must be one for notifications.")
    return value


def _next_id(page: Mapping[str, Any]) -> str | None:
    next_id = as_object(page.get("nextKeyPair")).get("startKeyDocId")
    return next_id if isinstance(next_id, str) and next_id else None


def _decryption_error(notification_id: str) -> DecryptionError:
    return DecryptionError(
        f"Notification {notification_id} can't be decrypted: no key on this device opens it, or "
        "what it holds is malformed. What is stored is left as it is. Call init_user_crypto() with "
        "the key pair that can read it. To change its status, use update_notification_status().",
        entity_type="notification",
        entity_ids=[notification_id],
    )
