"""Filters as values, and builders of them.

On the wire a filter is a JSON object whose ``$type`` says what it looks for (data-model.md §8,
server-behaviour.md §9).
"""

from __future__ import annotations

import abc
import datetime as dt
from collections.abc import Iterable
from typing import Any, ClassVar, Self, cast

import attrs

from icure_async.errors import ValidationError
from icure_async.mistakes import explained
from icure_async.models.codes import Identifier
from icure_async.models.validation import validate_id
from icure_async.models.wire import to_wire

__all__ = [
    "ComplementFilter",
    "Filter",
    "IntersectionFilter",
    "NotificationFilter",
    "NotificationsAfterDateFilter",
    "NotificationsByIdentifiersFilter",
    "NotificationsByIdsFilter",
    "NotificationsByTypeFilter",
    "UnionFilter",
    "epoch_milliseconds",
]


def epoch_milliseconds(moment: object, what: str = "date") -> int:
    """Return a moment as iCure stores it.

    Args:
        moment: a datetime (without a time zone, it is local time, as everywhere in Python), or
            epoch milliseconds.
        what: its name in the message.

    Raises:
        ValidationError: it is neither, or out of range.
    """
    if isinstance(moment, dt.datetime):
        try:
            return int(moment.timestamp() * 1000)
        except (OverflowError, OSError, ValueError):
            raise ValidationError(f"The {what} is out of range.") from None
    if not isinstance(moment, int) or isinstance(moment, bool):
        raise ValidationError(f"The {what} must be a datetime, or an int in epoch milliseconds.")
    if not -(2**63) <= moment < 2**63:
        raise ValidationError(f"The {what} is out of range.")
    return moment


def _to_millis(moment: dt.datetime | int) -> int:
    return epoch_milliseconds(moment)


def _to_ids(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(validate_id(item, "id in the filter") for item in _listed(ids, "ids", "ids"))


def _to_identifiers(identifiers: Iterable[Identifier]) -> tuple[Identifier, ...]:
    listed = _listed(identifiers, "identifiers", "Identifiers")
    if not all(isinstance(identifier, Identifier) for identifier in listed):
        raise ValidationError("identifiers must be a list of Identifiers.")
    # A filter is a value: later changes of the caller's objects do not change it.
    return tuple(cast("Identifier", identifier).evolve() for identifier in listed)


def _to_filters(filters: Iterable[Filter]) -> tuple[Filter, ...]:
    return tuple(_to_filter(member) for member in _listed(filters, "filters", "filters"))


def _to_filter(value: object) -> Filter:
    if isinstance(value, Filter):
        return value
    hint = " Call build() on it." if isinstance(value, NotificationFilter) else ""
    raise ValidationError(f"A filter must be a Filter.{hint}")


def _to_owner(data_owner_id: str | None) -> str | None:
    return None if data_owner_id is None else validate_id(data_owner_id, "data owner id")


def _to_type(name: str) -> str:
    if not isinstance(name, str) or not name:
        raise ValidationError("The type must be a str, and not be empty.")
    return name


def _listed(values: object, what: str, items: str) -> list[object]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ValidationError(f"{what} must be a list of {items}.")
    return list(cast("Iterable[object]", values))


class Filter(abc.ABC):
    """Base of all filters.

    A filter by anything but ids looks at what is shared with one data owner. Parents of a
    healthcare professional count as others: ask for them separately, or in a union.
    """

    @abc.abstractmethod
    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON.

        Args:
            data_owner_id: whose data to look at where the filter does not say.
        """

    @abc.abstractmethod
    def entities(self) -> frozenset[str]:
        """Return the kinds of what is looked for, for example ``{"notification"}``."""


class _NotificationLeaf(Filter):
    """The common part of the filters for notifications."""

    wire_type: ClassVar[str]

    def entities(self) -> frozenset[str]:
        """Return the kinds of what is looked for."""
        return frozenset({"notification"})


@attrs.frozen(kw_only=True)
class NotificationsByIdsFilter(_NotificationLeaf):
    """Notifications with these ids, deleted ones included.

    Attributes:
        ids: ids of notifications.
    """

    wire_type: ClassVar[str] = "MaintenanceTaskByIdsFilter"
    ids: tuple[str, ...] = attrs.field(converter=_to_ids)

    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON."""
        del data_owner_id
        return {"ids": list(self.ids), "$type": self.wire_type}


@attrs.frozen(kw_only=True)
class NotificationsAfterDateFilter(_NotificationLeaf):
    """Notifications that were created at a moment or later.

    Attributes:
        date: the moment, in epoch milliseconds; may be given as a datetime.
        data_owner_id: with whom they are shared; None for the current data owner.
    """

    wire_type: ClassVar[str] = "MaintenanceTaskAfterDateFilter"
    date: int = attrs.field(converter=_to_millis)
    data_owner_id: str | None = attrs.field(default=None, converter=_to_owner)

    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON."""
        owner_id = self.data_owner_id or data_owner_id
        return {"healthcarePartyId": owner_id, "date": self.date, "$type": self.wire_type}


@attrs.frozen(kw_only=True)
class NotificationsByTypeFilter(_NotificationLeaf):
    """Notifications of one type.

    Attributes:
        type: one of ``NotificationType``, or another that the backend has.
        data_owner_id: with whom they are shared; None for the current data owner.
    """

    wire_type: ClassVar[str] = "MaintenanceTaskByHcPartyAndTypeFilter"
    type: str = attrs.field(converter=_to_type)
    data_owner_id: str | None = attrs.field(default=None, converter=_to_owner)

    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON."""
        owner_id = self.data_owner_id or data_owner_id
        return {"healthcarePartyId": owner_id, "type": self.type, "$type": self.wire_type}


@attrs.frozen(kw_only=True)
class NotificationsByIdentifiersFilter(_NotificationLeaf):
    """Notifications that have one of these identifiers.

    Attributes:
        identifiers: compared by ``system`` and ``value``; by ``system`` only where one has no
            ``value``.
        data_owner_id: with whom they are shared; None for the current data owner.
    """

    wire_type: ClassVar[str] = "MaintenanceTaskByHcPartyAndIdentifiersFilter"
    identifiers: tuple[Identifier, ...] = attrs.field(converter=_to_identifiers)
    data_owner_id: str | None = attrs.field(default=None, converter=_to_owner)

    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON."""
        return {
            "healthcarePartyId": self.data_owner_id or data_owner_id,
            "identifiers": [to_wire(identifier) for identifier in self.identifiers],
            "$type": self.wire_type,
        }


@attrs.frozen(kw_only=True)
class _Composite(Filter):
    """The common part of unions and intersections."""

    wire_type: ClassVar[str]
    filters: tuple[Filter, ...] = attrs.field(converter=_to_filters)

    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON."""
        members = [member.to_wire(data_owner_id) for member in self.filters]
        return {"$type": self.wire_type, "filters": members}

    def entities(self) -> frozenset[str]:
        """Return the kinds of what is looked for."""
        return frozenset[str]().union(*(member.entities() for member in self.filters))


class UnionFilter(_Composite):
    """All that any of several filters finds.

    Attributes:
        filters: the filters; none find nothing.
    """

    wire_type: ClassVar[str] = "UnionFilter"


class IntersectionFilter(_Composite):
    """All that each of several filters finds.

    Attributes:
        filters: the filters; none find nothing.
    """

    wire_type: ClassVar[str] = "IntersectionFilter"


@attrs.frozen(kw_only=True)
class ComplementFilter(Filter):
    """All that one filter finds and another does not.

    Attributes:
        super_set: finds everything in question.
        sub_set: finds what to leave out.
    """

    wire_type: ClassVar[str] = "ComplementFilter"
    super_set: Filter = attrs.field(converter=_to_filter)
    sub_set: Filter = attrs.field(converter=_to_filter)

    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON."""
        return {
            "$type": self.wire_type,
            "superSet": self.super_set.to_wire(data_owner_id),
            "subSet": self.sub_set.to_wire(data_owner_id),
        }

    def entities(self) -> frozenset[str]:
        """Return the kinds of what is looked for."""
        return self.super_set.entities() | self.sub_set.entities()


@explained
@attrs.frozen(kw_only=True)
class NotificationFilter:
    """Builds filters for notifications the way the reference documentation shows it.

    Each method returns a builder with one more criterion. Several of them are an intersection;
    together with :meth:`union`, they are one. Without any, all notifications are found.

    ``NotificationFilter().with_type("KEY_PAIR_UPDATE").after_date(yesterday).build()``
    """

    _data_owner_id: str | None = None
    _ids: tuple[str, ...] | None = None
    _type: str | None = None
    _date: int | None = None
    _identifiers: tuple[Identifier, ...] | None = None
    _union: tuple[Filter, ...] | None = None
    _intersection: tuple[Filter, ...] | None = None

    def for_data_owner(self, data_owner_id: str) -> Self:
        """Look at what is shared with this data owner; by default it is the current one."""
        return attrs.evolve(self, data_owner_id=_to_owner(data_owner_id))

    def by_ids(self, ids: Iterable[str]) -> Self:
        """Find notifications with these ids; an empty list finds none."""
        return attrs.evolve(self, ids=_to_ids(ids))

    def with_type(self, type: str) -> Self:  # noqa: A002
        """Find notifications of this type."""
        return attrs.evolve(self, type=_to_type(type))

    def after_date(self, date: dt.datetime | int) -> Self:
        """Find notifications created at this moment or later; an int is epoch milliseconds."""
        return attrs.evolve(self, date=_to_millis(date))

    def by_identifiers(self, identifiers: Iterable[Identifier]) -> Self:
        """Find notifications with one of these identifiers."""
        return attrs.evolve(self, identifiers=_to_identifiers(identifiers))

    def union(self, filters: Iterable[Filter]) -> Self:
        """Find what one of these filters, or one of the other criteria, finds."""
        return attrs.evolve(self, union=_to_filters(filters))

    def intersection(self, filters: Iterable[Filter]) -> Self:
        """Find what all of these filters, and all of the other criteria, find."""
        return attrs.evolve(self, intersection=_to_filters(filters))

    def build(self) -> Filter:
        """Return the filter.

        Raises:
            ValidationError: both :meth:`union` and :meth:`intersection` are given.
        """
        if self._union is not None and self._intersection is not None:
            raise ValidationError(
                "union() and intersection() exclude each other: build a filter with one, and pass "
                "it to the other."
            )
        criteria = self._criteria()
        if self._union is not None:
            return UnionFilter(filters=[*self._union, *criteria])
        if self._intersection is not None:
            return IntersectionFilter(filters=[*self._intersection, *criteria])
        if not criteria:
            return NotificationsAfterDateFilter(date=0, data_owner_id=self._data_owner_id)
        return criteria[0] if len(criteria) == 1 else IntersectionFilter(filters=criteria)

    def _criteria(self) -> list[Filter]:
        owner_id = self._data_owner_id
        criteria: list[Filter] = []
        if self._ids is not None:
            criteria.append(NotificationsByIdsFilter(ids=self._ids))
        if self._type is not None:
            criteria.append(NotificationsByTypeFilter(type=self._type, data_owner_id=owner_id))
        if self._date is not None:
            criteria.append(NotificationsAfterDateFilter(date=self._date, data_owner_id=owner_id))
        if self._identifiers is not None:
            criteria.append(
                NotificationsByIdentifiersFilter(
                    identifiers=self._identifiers, data_owner_id=owner_id
                )
            )
        return criteria
