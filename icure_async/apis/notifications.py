"""Notifications from one data owner to another, carried by maintenance tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.apis.events import subscribed
from icure_async.errors import ValidationError
from icure_async.mistakes import OneByOne, explained
from icure_async.models.base import has_rev
from icure_async.models.dates import epoch_milliseconds
from icure_async.models.filters import NotificationFilter, filter_for
from icure_async.models.notification import EncryptedNotification, Notification
from icure_async.models.validation import (
    validate_id,
    validate_notification_status,
    validate_page_size,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from datetime import datetime

    from icure_async.apis.events import Subscription
    from icure_async.entities.event_source import EventSource
    from icure_async.entities.repository import Repository
    from icure_async.models.enums import NotificationStatus
    from icure_async.models.events import EventType, Reconnection
    from icure_async.models.filters import Filter
    from icure_async.models.notification import PotentiallyEncryptedNotification

__all__ = ["NotificationApi"]

_RECENT_MS: Final = 30 * 24 * 60 * 60 * 1000
_PAGE_SIZE: Final = 1000


@explained
class NotificationApi:
    """Creates, reads, modifies and deletes notifications.

    Example:
        >>> for each in await api.notification_api.get_pending_notifications_after():
        ...     kind, status = each.type, each.status
    """

    def __init__(
        self,
        notifications: Repository[Notification, EncryptedNotification],
        *,
        clock: Callable[[], float],
        events: EventSource[PotentiallyEncryptedNotification],
    ) -> None:
        self._notifications = notifications
        self._clock = clock
        self._events = events

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
            ConflictError: somebody else changed the notification.

        Example:
            >>> notification = Notification(type="OTHER", status="pending")
            >>> notification = await api.notification_api.create_or_modify_notification(
            ...     notification, colleague_id
            ... )
            >>> notification.status
            'pending'
        """
        if isinstance(notification, EncryptedNotification):
            raise ValidationError(
                "An EncryptedNotification can't be saved as a Notification. To change its status, "
                "use update_notification_status(), which leaves the encrypted part alone."
            )
        if delegate is not None:
            validate_id(delegate, "delegate")
        elif isinstance(notification, Notification) and not has_rev(notification):
            self._notifications.kind.validate(notification, creating=True)
            raise ValidationError(
                "No delegate provided: pass the id of the data owner to notify as delegate."
            )
        delegates = [] if delegate is None else [delegate]
        return await self._notifications.save(notification, delegates=delegates)

    async def get_notification(self, notification_id: str) -> Notification:
        """Return a notification, decrypted.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such notification.
            DecryptionError: no key on this device opens it.

        Example:
            >>> (await api.notification_api.get_notification(notification.id)).type
            'OTHER'
        """
        return await self._notifications.get(notification_id)

    async def get_notification_and_try_decrypt(
        self, notification_id: str
    ) -> PotentiallyEncryptedNotification:
        """Return a notification, as an :class:`EncryptedNotification` where no key opens it.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such notification.

        Example:
            >>> found = await api.notification_api.get_notification_and_try_decrypt(notification.id)
            >>> isinstance(found, EncryptedNotification)
            False
        """
        return await self._notifications.get_and_try_decrypt(notification_id)

    def filter_notifications(
        self,
        notification_filter: NotificationFilter | Filter | None = None,
        *,
        page_size: int = 1000,
    ) -> AsyncGenerator[PotentiallyEncryptedNotification, None]:
        """Iterate over the notifications that a filter finds, decrypted.

        While a page is given out, the next one is read. A notification that no key on this device
        opens comes as an :class:`EncryptedNotification`, without properties. Each comes once, even
        where others come and go.

        Args:
            notification_filter: a :class:`NotificationFilter`, or a filter made of such; by
                default, everything that is shared with the current data owner.
            page_size: how many to ask the backend for at a time.

        Raises:
            ValidationError: an argument is malformed.

        Example:
            >>> others = NotificationFilter().with_type("OTHER").after_date(notification.created)
            >>> found = [
            ...     each.id async for each in api.notification_api.filter_notifications(others)
            ... ]
            >>> notification.id in found
            True
        """
        given = NotificationFilter() if notification_filter is None else notification_filter
        wanted = filter_for("notification", given)
        found = self._notifications.find(wanted, validate_page_size(page_size))
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

        Example:
            >>> pending = await api.notification_api.get_pending_notifications_after(
            ...     notification.created
            ... )
            >>> notification.id in [each.id for each in pending]
            True
        """
        if from_date is None:
            from_ms = int(self._clock() * 1000) - _RECENT_MS
        else:
            from_ms = epoch_milliseconds(from_date, "from_date")
        recent = NotificationFilter().after_date(from_ms).build()
        pending = self._notifications.find(
            recent, _PAGE_SIZE, where=lambda task: (task.get("status") or "pending") == "pending"
        )
        found = [notification async for notification in pending]
        return sorted(found, key=lambda notification: -(notification.created or 0))

    async def update_notification_status(
        self, notification: PotentiallyEncryptedNotification, status: NotificationStatus
    ) -> PotentiallyEncryptedNotification:
        """Set the status of a notification, and leave everything else as it is stored.

        That works whether or not this user can decrypt it, and whatever others change.

        Args:
            notification: as it was read; it is not changed.
            status: the new one.

        Returns:
            The notification as stored, decrypted where a key on this device opens it.

        Raises:
            ValidationError: an argument is malformed.
            NotFoundError: there is no such notification.
            ConflictError: others keep changing it.

        Example:
            >>> done = await api.notification_api.update_notification_status(
            ...     notification, "completed"
            ... )
            >>> done.status
            'completed'
        """
        if not isinstance(notification, Notification | EncryptedNotification):
            raise ValidationError("The notification must be a Notification.")
        validate_id(notification.id, "notification id")
        validate_notification_status(status)
        return await self._notifications.update(notification.id, {"status": status})

    async def delete_notification(self, notification_id: str) -> str:
        """Mark a notification as deleted, for everybody it was shared with.

        It can still be read by its id, and is listed nowhere.

        Returns:
            The id of the notification.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such notification.
            PermissionDeniedError: it is not shared with the current data owner or its parents.

        Example:
            >>> await api.notification_api.delete_notification(notification.id) == notification.id
            True
        """
        return await self._notifications.delete(notification_id)

    def subscribe_to_notification_events(
        self,
        event_types: Sequence[EventType],
        notification_filter: NotificationFilter | Filter | None = None,
        *,
        reconnection: Reconnection | None = None,
        buffer_size: int = 1000,
        catch_up: bool = True,
    ) -> Subscription[PotentiallyEncryptedNotification]:
        """Subscribe to notifications that are created or changed.

        Each comes decrypted, or as an :class:`EncryptedNotification` where no key on this device
        opens it. See :class:`~icure_async.Subscription`.

        Args:
            event_types: what to be told of: ``CREATE``, ``UPDATE``, ``DELETE``. Backends say
                ``UPDATE`` of a deletion, too.
            notification_filter: a :class:`NotificationFilter`, or a filter made of such; by default
                everything that this user may read.
            reconnection: how the connection is made again when it breaks.
            buffer_size: how many events may wait to be taken before the backend has to wait.
            catch_up: whether notifications that were created while there was no connection are
                looked for after each :class:`Reconnected`, and given out, too, each once. That
                begins five minutes earlier, since clocks differ. It finds no changes of older ones,
                and nothing where ``CREATE`` is not among the types.

        Raises:
            ValidationError: an argument is malformed, or the filter searches encrypted members.

        Example:
            >>> async with api.notification_api.subscribe_to_notification_events(
            ...     ["CREATE"]
            ... ) as events:
            ...     notification = await api.notification_api.create_or_modify_notification(
            ...         Notification(type="OTHER"), colleague_id
            ...     )
            ...     event = await events.get(timeout=10)
            >>> event.record.type
            'OTHER'
        """
        return subscribed(
            self._events,
            event_types,
            notification_filter,
            reconnection=reconnection,
            buffer_size=buffer_size,
            catch_up=catch_up,
        )
