"""Filters as values, and their combinations.

On the wire a filter is a JSON object whose ``$type`` says what it looks for (data-model.md §8,
server-behaviour.md §9).
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from icure_async.errors import ValidationError
from icure_async.models.filters.values import check_text, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "Combinable",
    "ComplementFilter",
    "Described",
    "Filter",
    "IntersectionFilter",
    "UnionFilter",
    "filter_for",
    "to_filters",
]

_DEEPEST: Final = 50


class Combinable(abc.ABC):
    """A filter, or a builder of one: ``|``, ``&`` and ``~`` make new filters of them.

    All filters in a combination look for the same kind of thing. Python's ``and``, ``or`` and
    ``not`` can't do this.

    Example:
        >>> starks = PatientFilter().contains_fuzzy("stark")
        >>> forty = PatientFilter().of_age(40)
        >>> ids = await api.patient_api.match_patients((starks | forty) & ~forty)
    """

    # Subclasses may have slots, which work if all their bases have them.
    __slots__ = ()

    @abc.abstractmethod
    def build(self) -> Filter:
        """Return the filter.

        Example:
            >>> PatientFilter().of_age(40).build() == PatientFilter().of_age(40).build()
            True
        """

    def complement(self, within: Combinable | None = None) -> ComplementFilter:
        """Return a filter for all that this one does not find.

        Args:
            within: what to look through; by default everything of the kind, which for patients and
                notifications is everything that is shared with the data owner this filter is for.

        Raises:
            ValidationError: parts of this filter are for different data owners, so that
                ``within`` has to say what to look through.

        Example:
            >>> others = PatientFilter().contains_fuzzy("stark").complement()
            >>> patient.id in await api.patient_api.match_patients(others)
            False
        """
        everything = self.universe() if within is None else to_filter(within)
        return ComplementFilter(super_set=everything, sub_set=self.build())

    def __or__(self, other: Combinable) -> UnionFilter:
        return UnionFilter(filters=[*_parts(self, UnionFilter), *_parts(other, UnionFilter)])

    def __and__(self, other: Combinable) -> IntersectionFilter:
        return IntersectionFilter(
            filters=[*_parts(self, IntersectionFilter), *_parts(other, IntersectionFilter)]
        )

    def __invert__(self) -> ComplementFilter:
        return self.complement()

    @abc.abstractmethod
    def universe(self) -> Filter:
        """Return the filter for everything that :meth:`complement` looks through by default."""


class Filter(Combinable):
    """Base of all filters.

    A filter by anything but ids looks at what is shared with one data owner. Parents of a
    healthcare professional count as others: ask for them separately, or in a union.
    """

    __slots__ = ()

    @abc.abstractmethod
    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON.

        Args:
            data_owner_id: whose data to look at where the filter does not say.
        """

    @abc.abstractmethod
    def entities(self) -> frozenset[str]:
        """Return the kind of what is looked for, for example ``{"notification"}``."""

    def data_owners(self) -> frozenset[str | None]:
        """Return whose data is looked at, None for the current data owner's.

        A filter that looks at everything, or for ids, has nobody here.
        """
        return frozenset({None})

    def searched_members(self) -> Mapping[str, str]:
        """Return the members that a record is found by: their names on the wire, and in models."""
        return {}

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for everything of the same kind.

        Args:
            data_owner_id: with whom it is shared, where that matters; None for the current data
                owner.
        """
        del data_owner_id
        raise ValidationError(
            f"{type(self).__name__} does not say what its complement is part of: pass a filter as "
            "complement(within=...)."
        )

    def described(self, description: str | None) -> Filter:
        """Return the same with a description, which backends ignore, and may log.

        Example:
            >>> PatientFilter().of_age(40).build().described("for the yearly letter").description
            'for the yearly letter'
        """
        del description
        raise ValidationError(f"{type(self).__name__} can't be described.")

    def depth(self) -> int:
        """Return how many filters lie one within the other."""
        return 1

    def leaves(self) -> tuple[Filter, ...]:
        """Return the filters in this one that do not consist of others."""
        return (self,)

    def with_leaves(self, change: Callable[[Filter], Filter]) -> Filter:
        """Return the same with other leaves.

        Args:
            change: gives the filter to put in place of a leaf.
        """
        return change(self)

    def build(self) -> Filter:
        """Return the filter itself, so that it may stand where a builder may.

        Example:
            >>> wanted = PatientFilter().of_age(40).build()
            >>> wanted.build() is wanted
            True
        """
        return self

    def universe(self) -> Filter:
        """Return the filter for everything that :meth:`complement` looks through by default.

        Raises:
            ValidationError: parts of this filter are for different data owners.
        """
        owners = self.data_owners() or {None}
        if len(owners) > 1:
            raise ValidationError(
                "Parts of this filter look at what is shared with different data owners: pass a "
                "filter as complement(within=...), which says what to look through."
            )
        return self.everything(*owners)


def to_filter(value: object) -> Filter:
    """Return a filter, built where it is a builder.

    Raises:
        ValidationError: it is neither.
    """
    if isinstance(value, Combinable):
        return value.build()
    raise ValidationError("A filter must be a Filter, or a builder of one, like PatientFilter().")


def to_filters(filters: Iterable[Combinable]) -> tuple[Filter, ...]:
    """Return at least one filter, all for the same kind of thing.

    Raises:
        ValidationError: they are not that.
    """
    found = tuple(to_filter(member) for member in listed(filters, "filters", "filters"))
    if not found:
        raise ValidationError(
            "A union or an intersection of no filters finds nothing: pass at least one filter."
        )
    _check_together(found)
    return found


def filter_for(noun: str, wanted: object) -> Filter:
    """Return a filter for one kind of thing, built where it is a builder.

    Args:
        noun: the kind in words, in the singular, as :meth:`Filter.entities` has it.
        wanted: the filter, or a builder.

    Raises:
        ValidationError: it is neither, or for another kind.
    """
    found = to_filter(wanted)
    kinds = found.entities()
    if kinds != frozenset({noun}):
        raise ValidationError(
            f"The filter must be one for {noun}s, and is one for {_in_words(kinds)}."
        )
    return found


@attrs.frozen(kw_only=True)
class Described(Filter):
    """A filter with a description.

    Attributes:
        description: a text for those who read the requests.
    """

    description: str | None = attrs.field(
        default=None, validator=check_text, repr=False, metadata={"wire": "desc"}
    )

    def described(self, description: str | None) -> Filter:
        """Return the same with a description, which backends ignore, and may log.

        Example:
            >>> PatientFilter().of_age(40).build().described("for the yearly letter").description
            'for the yearly letter'
        """
        return attrs.evolve(self, description=description)


@attrs.frozen(kw_only=True)
class _Combination(Described):
    """The common part of filters that consist of others."""

    wire_type: ClassVar[str]

    @abc.abstractmethod
    def parts(self) -> tuple[Filter, ...]:
        """Return the filters that this one consists of."""

    def entities(self) -> frozenset[str]:
        """Return the kind of what is looked for."""
        return frozenset[str]().union(*(part.entities() for part in self.parts()))

    def data_owners(self) -> frozenset[str | None]:
        """Return whose data is looked at."""
        return frozenset[str | None]().union(*(part.data_owners() for part in self.parts()))

    def searched_members(self) -> Mapping[str, str]:
        """Return the members that a record is found by."""
        return {
            wire: name for part in self.parts() for wire, name in part.searched_members().items()
        }

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for everything of the same kind."""
        return self.parts()[0].everything(data_owner_id)

    def depth(self) -> int:
        """Return how many filters lie one within the other."""
        return 1 + max(part.depth() for part in self.parts())

    def leaves(self) -> tuple[Filter, ...]:
        """Return the filters in this one that do not consist of others."""
        return tuple(leaf for part in self.parts() for leaf in part.leaves())

    def __attrs_post_init__(self) -> None:
        _check_together(self.parts())
        if self.depth() > _DEEPEST:
            raise ValidationError(
                f"More than {_DEEPEST} filters lie one within the other: combine more of them with "
                "one union() or intersection()."
            )

    def _as_json(self, **members: object) -> dict[str, Any]:
        described = {} if self.description is None else {"desc": self.description}
        return {"$type": self.wire_type, **members, **described}


@attrs.frozen(kw_only=True)
class _Members(_Combination):
    """The common part of unions and intersections."""

    filters: tuple[Filter, ...] = attrs.field(converter=to_filters)

    def parts(self) -> tuple[Filter, ...]:
        """Return the filters that this one consists of."""
        return self.filters

    def with_leaves(self, change: Callable[[Filter], Filter]) -> Filter:
        """Return the same with other leaves."""
        return attrs.evolve(self, filters=[part.with_leaves(change) for part in self.filters])

    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON."""
        return self._as_json(filters=[member.to_wire(data_owner_id) for member in self.filters])


class UnionFilter(_Members):
    """All that any of several filters finds.

    Attributes:
        filters: the filters, at least one; builders are built.
        description: a text for those who read the requests.

    Example:
        >>> wanted = PatientFilter().contains_fuzzy("stark") | PatientFilter().of_age(40)
        >>> type(wanted).__name__
        'UnionFilter'
    """

    wire_type: ClassVar[str] = "UnionFilter"


class IntersectionFilter(_Members):
    """All that each of several filters finds.

    Attributes:
        filters: the filters, at least one; builders are built.
        description: a text for those who read the requests.

    Example:
        >>> wanted = PatientFilter().contains_fuzzy("stark") & PatientFilter().of_age(40)
        >>> len(wanted.filters)
        2
    """

    wire_type: ClassVar[str] = "IntersectionFilter"


@attrs.frozen(kw_only=True)
class ComplementFilter(_Combination):
    """All that one filter finds and another does not.

    Attributes:
        super_set: finds everything in question.
        sub_set: finds what to leave out.
        description: a text for those who read the requests.

    Example:
        >>> wanted = ~PatientFilter().contains_fuzzy("stark")
        >>> type(wanted).__name__
        'ComplementFilter'
    """

    wire_type: ClassVar[str] = "ComplementFilter"
    super_set: Filter = attrs.field(converter=to_filter)
    sub_set: Filter = attrs.field(converter=to_filter)

    def parts(self) -> tuple[Filter, ...]:
        """Return the filters that this one consists of."""
        return (self.super_set, self.sub_set)

    def with_leaves(self, change: Callable[[Filter], Filter]) -> Filter:
        """Return the same with other leaves."""
        return attrs.evolve(
            self,
            super_set=self.super_set.with_leaves(change),
            sub_set=self.sub_set.with_leaves(change),
        )

    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON."""
        return self._as_json(
            superSet=self.super_set.to_wire(data_owner_id),
            subSet=self.sub_set.to_wire(data_owner_id),
        )


def _parts(operand: object, combination: type[_Members]) -> tuple[Filter, ...]:
    """Return the members of an operand that is such a combination already, else the operand."""
    built = to_filter(operand)
    if isinstance(built, combination) and built.description is None:
        return built.filters
    return (built,)


def _check_together(filters: tuple[Filter, ...]) -> None:
    kinds = frozenset[str]().union(*(member.entities() for member in filters))
    if len(kinds) > 1:
        raise ValidationError(
            f"Filters for {_in_words(kinds)} can't be combined: search each kind on its own."
        )


def _in_words(kinds: frozenset[str]) -> str:
    return " and ".join(f"{kind}s" for kind in sorted(kinds)) or "nothing"
