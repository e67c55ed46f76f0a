"""The common part of the builders of filters."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, ClassVar, Self

import attrs

from icure_async.errors import ValidationError
from icure_async.models.filters.algebra import (
    Combinable,
    Filter,
    IntersectionFilter,
    UnionFilter,
    to_filters,
)
from icure_async.models.filters.leaf import Leaf, OwnedLeaf
from icure_async.models.filters.values import to_optional_id

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FilterBuilder", "OwnedFilterBuilder"]


@attrs.frozen(kw_only=True)
class FilterBuilder(Combinable):
    """Builds filters the way the reference documentation shows it."""

    # Names of the methods that add criteria, in the order in which these are sent.
    _order: ClassVar[tuple[str, ...]]
    _criteria: tuple[tuple[str, Leaf], ...] = ()
    _union: tuple[Filter, ...] | None = None
    _intersection: tuple[Filter, ...] | None = None

    def union(self, filters: Iterable[Combinable]) -> Self:
        """Find what one of these filters, or one of the other criteria, finds.

        Args:
            filters: at least one filter, or builder of one, for the same kind of thing.

        Example:
            >>> starks = PatientFilter().contains_fuzzy("stark")
            >>> either = PatientFilter().union([starks, PatientFilter().of_age(40)]).build()
            >>> type(either).__name__
            'UnionFilter'
        """
        return attrs.evolve(self, union=self._alike(filters))

    def intersection(self, filters: Iterable[Combinable]) -> Self:
        """Find what all of these filters, and all of the other criteria, find.

        Args:
            filters: at least one filter, or builder of one, for the same kind of thing.

        Example:
            >>> starks = PatientFilter().contains_fuzzy("stark")
            >>> both = PatientFilter().intersection([starks, PatientFilter().of_age(40)]).build()
            >>> type(both).__name__
            'IntersectionFilter'
        """
        return attrs.evolve(self, intersection=self._alike(filters))

    def build(self) -> Filter:
        """Return the filter.

        Raises:
            ValidationError: both :meth:`union` and :meth:`intersection` are given.

        Example:
            >>> PatientFilter().contains_fuzzy("stark").build()
            PatientsByNameFilter(...)
        """
        if self._union is not None and self._intersection is not None:
            raise ValidationError(
                "union() and intersection() exclude each other: build a filter with one, and pass "
                "it to the other."
            )
        criteria = [self._finished(leaf) for _, leaf in self._criteria]
        if self._union is not None:
            return UnionFilter(filters=[*self._union, *criteria])
        if self._intersection is not None:
            return IntersectionFilter(filters=[*self._intersection, *criteria])
        if not criteria:
            return self._finished(self._all())
        return criteria[0] if len(criteria) == 1 else IntersectionFilter(filters=criteria)

    def _with(self, name: str, leaf: Leaf) -> Self:
        """Return a builder with a criterion, in place of one of that name."""
        criteria = dict(self._criteria) | {name: leaf}
        by_order = sorted(criteria.items(), key=lambda item: self._order.index(item[0]))
        return attrs.evolve(self, criteria=tuple(by_order))

    @abc.abstractmethod
    def _all(self) -> Leaf:
        """Return the filter for everything."""

    def _finished(self, leaf: Leaf) -> Leaf:
        return leaf

    def universe(self) -> Filter:
        """Return the filter for everything that :meth:`complement` looks through by default."""
        return self._finished(self._all())

    def _alike(self, filters: Iterable[Combinable]) -> tuple[Filter, ...]:
        # Together with what this builder looks for, so that another kind is refused at once.
        return to_filters([self._all(), *to_filters(filters)])[1:]


@attrs.frozen(kw_only=True)
class OwnedFilterBuilder(FilterBuilder):
    """Builds filters for things that are shared with data owners."""

    _data_owner_id: str | None = None

    def for_data_owner(self, data_owner_id: str) -> Self:
        """Look at what is shared with this data owner; by default it is the current one.

        An organisation that the current data owner belongs to is another one: ask for it with a
        filter of its own, or in a :meth:`union`. A filter in a union or an intersection keeps its
        own data owner.

        Example:
            >>> wanted = (
            ...     PatientFilter()
            ...     .for_data_owner(await api.data_owner_id())
            ...     .contains_fuzzy("stark")
            ... )
            >>> patient.id in await api.patient_api.match_patients(wanted)
            True
        """
        return attrs.evolve(self, data_owner_id=to_optional_id(data_owner_id))

    def _finished(self, leaf: Leaf) -> Leaf:
        if isinstance(leaf, OwnedLeaf):
            return attrs.evolve(leaf, data_owner_id=self._data_owner_id)
        return leaf

    def universe(self) -> Filter:
        """Return the filter for everything that :meth:`complement` looks through by default."""
        if self._data_owner_id is not None:
            return super().universe()
        # Filters in a union may be for another data owner.
        return self.build().universe()
