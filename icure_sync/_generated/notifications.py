# Written by "python tools/gen_sync.py" from icure_async/apis/notifications.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Notifications from one data owner to another, carried by maintenance tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.apis.notifications import NotificationApi as AsyncNotificationApi
from icure_async.models.notification import Notification, PotentiallyEncryptedNotification
from icure_sync._generated import events as _events
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from icure_async.models.enums import NotificationStatus
    from icure_async.models.events import EventType, Reconnection
    from icure_async.models.filters import Filter, NotificationFilter
    from icure_sync._generated.events import Subscription
    from icure_sync._iterators import ClosableIterator

__all__ = ["NotificationApi"]


class NotificationApi(Twin[AsyncNotificationApi]):
    """Creates, reads, modifies and deletes notifications.

    Example:
        >>> for each in api.notification_api.get_pending_notifications_after():
        ...     kind, status = each.type, each.status
    """

    def create_or_modify_notification(
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
            >>> notification = api.notification_api.create_or_modify_notification(
            ...     notification, colleague_id
            ... )
            >>> notification.status
            'pending'
        """
        return self._run(self._inner.create_or_modify_notification, notification, delegate)

    def get_notification(self, notification_id: str) -> Notification:
        """Return a notification, decrypted.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such notification.
            DecryptionError: no key on this device opens it.

        Example:
            >>> api.notification_api.get_notification(notification.id).type
            'OTHER'
        """
        return self._run(self._inner.get_notification, notification_id)

    def get_notification_and_try_decrypt(
        self, notification_id: str
    ) -> PotentiallyEncryptedNotification:
        """Return a notification, as an :class:`EncryptedNotification` where no key opens it.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such notification.

        Example:
            >>> found = api.notification_api.get_notification_and_try_decrypt(notification.id)
            >>> isinstance(found, EncryptedNotification)
            False
        """
        return self._run(self._inner.get_notification_and_try_decrypt, notification_id)

    def filter_notifications(
        self,
        notification_filter: NotificationFilter | Filter | None = None,
        *,
        page_size: int = 1000,
    ) -> ClosableIterator[PotentiallyEncryptedNotification]:
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
            ...     each.id for each in api.notification_api.filter_notifications(others)
            ... ]
            >>> notification.id in found
            True
        """
        return self._iterate(
            self._inner.filter_notifications, notification_filter, page_size=page_size
        )

    def get_pending_notifications_after(
        self, from_date: datetime | int | None = None
    ) -> list[PotentiallyEncryptedNotification]:
        """Return the pending notifications for the current data owner, the newest first.

        Args:
            from_date: when the oldest of them may have been created, as a datetime or in epoch
                milliseconds; 30 days ago by default.

        Raises:
            ValidationError: the date is malformed.

        Example:
            >>> pending = api.notification_api.get_pending_notifications_after(
            ...     notification.created
            ... )
            >>> notification.id in [each.id for each in pending]
            True
        """
        return self._run(self._inner.get_pending_notifications_after, from_date)

    def update_notification_status(
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
            >>> done = api.notification_api.update_notification_status(
            ...     notification, "completed"
            ... )
            >>> done.status
            'completed'
        """
        return self._run(self._inner.update_notification_status, notification, status)

    def delete_notification(self, notification_id: str) -> str:
        """Mark a notification as deleted, for everybody it was shared with.

        It can still be read by its id, and is listed nowhere.

        Returns:
            The id of the notification.

        Raises:
            ValidationError: the id is malformed. Nothing was sent.
            NotFoundError: there is no such notification.
            PermissionDeniedError: it is not shared with the current data owner or its parents.

        Example:
            >>> api.notification_api.delete_notification(notification.id) == notification.id
            True
        """
        return self._run(self._inner.delete_notification, notification_id)

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
        opens it. See :class:`~icure_sync.Subscription`.

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
            >>> with api.notification_api.subscribe_to_notification_events(
            ...     ["CREATE"]
            ... ) as events:
            ...     notification = api.notification_api.create_or_modify_notification(
            ...         Notification(type="OTHER"), colleague_id
            ...     )
            ...     event = events.get(timeout=10)
            >>> event.record.type
            'OTHER'
        """
        return _events.Subscription[PotentiallyEncryptedNotification]._wrap(
            self._call(
                self._inner.subscribe_to_notification_events,
                event_types,
                notification_filter,
                reconnection=reconnection,
                buffer_size=buffer_size,
                catch_up=catch_up,
            )
        )
