"""Filters for users, and their builder (data-model.md §8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import attrs

from icure_async.mistakes import explained
from icure_async.models.filters.builder import FilterBuilder
from icure_async.models.filters.leaf import Leaf, on_wire
from icure_async.models.filters.values import to_ids
from icure_async.models.validation import validate_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.models.filters.algebra import Filter

__all__ = ["AllUsersFilter", "UserFilter", "UsersByIdsFilter", "UsersByPatientIdFilter"]


def _to_patient_id(patient_id: str) -> str:
    return validate_id(patient_id, "patient id")


@attrs.frozen(kw_only=True)
class _UserLeaf(Leaf):
    """The common part of the filters for users."""

    noun: ClassVar[str] = "user"

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all users."""
        del data_owner_id
        return AllUsersFilter()


@attrs.frozen(kw_only=True)
class AllUsersFilter(_UserLeaf):
    """All users that the backend shows to this one.

    Attributes:
        description: a text for those who read the requests.

    Example:
        >>> user.id in await api.user_api.match_users(AllUsersFilter())
        True
    """

    wire_type: ClassVar[str] = "AllUsersFilter"


@attrs.frozen(kw_only=True)
class UsersByIdsFilter(_UserLeaf):
    """Users with these ids, deleted ones included.

    Attributes:
        ids: ids of users; without any, none is found.
        description: a text for those who read the requests.

    Example:
        >>> await api.user_api.match_users(UsersByIdsFilter(ids=[user.id])) == [user.id]
        True
    """

    wire_type: ClassVar[str] = "UserByIdsFilter"
    ids: tuple[str, ...] = attrs.field(converter=to_ids, metadata=on_wire("ids"))


@attrs.frozen(kw_only=True)
class UsersByPatientIdFilter(_UserLeaf):
    """Users who are a patient.

    Attributes:
        patient_id: id of the patient.
        description: a text for those who read the requests.

    Example:
        >>> await api.user_api.match_users(UsersByPatientIdFilter(patient_id=patient.id))
        []
    """

    wire_type: ClassVar[str] = "UsersByPatientIdFilter"
    patient_id: str = attrs.field(
        converter=_to_patient_id, metadata=on_wire("patientId", patient_id="patientId")
    )


@explained
@attrs.frozen(kw_only=True)
class UserFilter(FilterBuilder):
    """Builds filters for users the way the reference documentation shows it.

    Each method returns a builder with one more criterion; called again, it replaces that. Several
    of them are an intersection; together with :meth:`union`, they are one. Without any, all users
    are found.

    ``UserFilter().by_patient_id(patient.id)``

    Example:
        >>> [
        ...     each.id async for each in api.user_api.filter_users(UserFilter().by_ids([user.id]))
        ... ] == [user.id]
        True
    """

    _order: ClassVar[tuple[str, ...]] = ("by_ids", "by_patient_id")

    def by_ids(self, ids: Iterable[str]) -> Self:
        """Find users with these ids, deleted ones included; an empty list finds none.

        Example:
            >>> await api.user_api.match_users(UserFilter().by_ids([user.id])) == [user.id]
            True
        """
        return self._with("by_ids", UsersByIdsFilter(ids=ids))

    def by_patient_id(self, patient_id: str) -> Self:
        """Find the users who are this patient.

        Example:
            >>> await api.user_api.match_users(UserFilter().by_patient_id(patient.id))
            []
        """
        return self._with("by_patient_id", UsersByPatientIdFilter(patient_id=patient_id))

    def _all(self) -> Leaf:
        return AllUsersFilter()
