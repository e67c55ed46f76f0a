"""Filters for notifications, and their builder (data-model.md §8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Self

import attrs

from icure_async.mistakes import explained
from icure_async.models.filters.builder import OwnedFilterBuilder
from icure_async.models.filters.leaf import Leaf, OwnedLeaf, on_wire
from icure_async.models.filters.values import check_text, to_identifiers, to_ids, to_moment

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from icure_async.models.codes import Identifier
    from icure_async.models.filters.algebra import Filter

__all__ = [
    "NotificationFilter",
    "NotificationsAfterDateFilter",
    "NotificationsByIdentifiersFilter",
    "NotificationsByIdsFilter",
    "NotificationsByTypeFilter",
]

_NOUN: Final = "notification"


@attrs.frozen(kw_only=True)
class _NotificationLeaf(OwnedLeaf):
    """The common part of the filters for notifications that are shared with a data owner."""

    noun: ClassVar[str] = _NOUN

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all notifications that are shared with a data owner."""
        return NotificationsAfterDateFilter(date=0, data_owner_id=data_owner_id)


@attrs.frozen(kw_only=True)
class NotificationsByIdsFilter(Leaf):
    """Notifications with these ids, deleted ones included.

    Attributes:
        ids: ids of notifications; without any, none is found.
        description: a text for those who read the requests.

    Example:
        >>> wanted = NotificationsByIdsFilter(ids=[notification.id])
        >>> [each.type async for each in api.notification_api.filter_notifications(wanted)]
        ['OTHER']
    """

    noun: ClassVar[str] = _NOUN
    wire_type: ClassVar[str] = "MaintenanceTaskByIdsFilter"
    ids: tuple[str, ...] = attrs.field(converter=to_ids, metadata=on_wire("ids"))

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all notifications that are shared with a data owner."""
        return NotificationsAfterDateFilter(date=0, data_owner_id=data_owner_id)


@attrs.frozen(kw_only=True)
class NotificationsAfterDateFilter(_NotificationLeaf):
    """Notifications that were created at a moment or later.

    Attributes:
        date: the moment, in epoch milliseconds; may be given as a datetime.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> wanted = NotificationsAfterDateFilter(date=notification.created)
        >>> found = [each.id async for each in api.notification_api.filter_notifications(wanted)]
        >>> notification.id in found
        True
    """

    wire_type: ClassVar[str] = "MaintenanceTaskAfterDateFilter"
    date: int = attrs.field(converter=to_moment, metadata=on_wire("date", created="created"))


@attrs.frozen(kw_only=True)
class NotificationsByTypeFilter(_NotificationLeaf):
    """Notifications of one type.

    Attributes:
        type: one of ``NotificationType``, or another that the backend has.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> wanted = NotificationsByTypeFilter(type="OTHER")
        >>> found = [each.id async for each in api.notification_api.filter_notifications(wanted)]
        >>> notification.id in found
        True
    """

    wire_type: ClassVar[str] = "MaintenanceTaskByHcPartyAndTypeFilter"
    type: str = attrs.field(validator=check_text, metadata=on_wire("type", type="taskType"))


@attrs.frozen(kw_only=True)
class NotificationsByIdentifiersFilter(_NotificationLeaf):
    """Notifications that have one of these identifiers.

    Attributes:
        identifiers: compared by ``system`` and ``value``; by ``system`` only where one has no
            ``value``.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> numbered = NotificationsByIdentifiersFilter(
        ...     identifiers=[Identifier(system="clinic", value="7")]
        ... )
        >>> [each.id async for each in api.notification_api.filter_notifications(numbered)]
        []
    """

    wire_type: ClassVar[str] = "MaintenanceTaskByHcPartyAndIdentifiersFilter"
    identifiers: tuple[Identifier, ...] = attrs.field(
        converter=to_identifiers, metadata=on_wire("identifiers", identifiers="identifier")
    )


@explained
@attrs.frozen(kw_only=True)
class NotificationFilter(OwnedFilterBuilder):
    """Builds filters for notifications the way the reference documentation shows it.

    Each method returns a builder with one more criterion; called again, it replaces that. Several
    of them are an intersection; together with :meth:`union`, they are one. Without any, all
    notifications are found.

    ``NotificationFilter().with_type("KEY_PAIR_UPDATE").after_date(yesterday)``

    Example:
        >>> recent = NotificationFilter().with_type("OTHER").after_date(notification.created)
        >>> notifications = [
        ...     each async for each in api.notification_api.filter_notifications(recent)
        ... ]
    """

    _order: ClassVar[tuple[str, ...]] = ("by_ids", "with_type", "after_date", "by_identifiers")

    def by_ids(self, ids: Iterable[str]) -> Self:
        """Find notifications with these ids, deleted ones included; an empty list finds none.

        Example:
            >>> one = NotificationFilter().by_ids([notification.id])
            >>> [each.type async for each in api.notification_api.filter_notifications(one)]
            ['OTHER']
        """
        return self._with("by_ids", NotificationsByIdsFilter(ids=ids))

    def with_type(self, type: str) -> Self:  # noqa: A002
        """Find notifications of this type.

        Example:
            >>> wanted = NotificationFilter().with_type("KEY_PAIR_UPDATE")
            >>> notifications = [
            ...     each async for each in api.notification_api.filter_notifications(wanted)
            ... ]
        """
        return self._with("with_type", NotificationsByTypeFilter(type=type))

    def after_date(self, date: dt.datetime | int) -> Self:
        """Find notifications created at this moment or later; an int is epoch milliseconds.

        Example:
            >>> from datetime import UTC, datetime
            >>> recent = NotificationFilter().after_date(datetime(2026, 1, 1, tzinfo=UTC))
        """
        return self._with("after_date", NotificationsAfterDateFilter(date=date))

    def by_identifiers(self, identifiers: Iterable[Identifier]) -> Self:
        """Find notifications with one of these identifiers.

        Example:
            >>> numbered = NotificationFilter().by_identifiers(
            ...     [Identifier(system="clinic", value="7")]
            ... )
        """
        leaf = NotificationsByIdentifiersFilter(identifiers=identifiers)
        return self._with("by_identifiers", leaf)

    def _all(self) -> Leaf:
        return NotificationsAfterDateFilter(date=0)
