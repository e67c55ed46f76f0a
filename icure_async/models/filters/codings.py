"""Filters for codings, and their builder (data-model.md §8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import attrs

from icure_async.errors import ValidationError
from icure_async.mistakes import explained
from icure_async.models.filters.builder import FilterBuilder
from icure_async.models.filters.leaf import Leaf, on_wire
from icure_async.models.filters.values import check_text, to_coding_ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.models.filters.algebra import Filter

__all__ = ["AllCodingsFilter", "CodingFilter", "CodingsByIdsFilter", "CodingsByLabelFilter"]


@attrs.frozen(kw_only=True)
class _CodingLeaf(Leaf):
    """The common part of the filters for codings."""

    noun: ClassVar[str] = "coding"

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all codings."""
        del data_owner_id
        return AllCodingsFilter()


@attrs.frozen(kw_only=True)
class AllCodingsFilter(_CodingLeaf):
    """All codings.

    Attributes:
        description: a text for those who read the requests.

    Example:
        >>> CodingFilter().build()
        AllCodingsFilter(...)
    """

    wire_type: ClassVar[str] = "AllCodesFilter"


@attrs.frozen(kw_only=True)
class CodingsByIdsFilter(_CodingLeaf):
    """Codings with these ids.

    Attributes:
        ids: ids of codings, each ``type|code|version``; without any, none is found.
        description: a text for those who read the requests.

    Example:
        >>> CodingsByIdsFilter(ids=["SNOMED|386661006|2024"]).ids
        ('SNOMED|386661006|2024',)
    """

    wire_type: ClassVar[str] = "CodeByIdsFilter"
    ids: tuple[str, ...] = attrs.field(converter=to_coding_ids, metadata=on_wire("ids"))


@attrs.frozen(kw_only=True)
class CodingsByLabelFilter(_CodingLeaf):
    """Codings of a region or a terminology, found by the beginning of a word.

    Attributes:
        region: code of a country in which the coding is used, for example ``be``; None for all.
        type: terminology; None for all.
        language: language of the label, for example ``en``.
        label: beginning of a word in the description, the search terms or the code. Case and
            accents do not matter.
        description: a text for those who read the requests.

    Example:
        >>> CodingsByLabelFilter(region="be", language="en", type="SNOMED", label="fev")
        CodingsByLabelFilter(...)
    """

    wire_type: ClassVar[str] = "CodeByRegionTypeLabelLanguageFilter"
    region: str | None = attrs.field(
        default=None, validator=check_text, metadata=on_wire("region", regions="regions")
    )
    type: str | None = attrs.field(
        default=None, validator=check_text, metadata=on_wire("type", type="type")
    )
    language: str | None = attrs.field(
        default=None, validator=check_text, metadata=on_wire("language")
    )
    label: str | None = attrs.field(
        default=None, validator=check_text, metadata=on_wire("label", description="label")
    )

    def __attrs_post_init__(self) -> None:
        if self.region is self.type is self.language is self.label is None:
            raise ValidationError(
                "A filter by region, language, type or label needs one of them. To find all "
                "codings, leave out this criterion."
            )


@explained
@attrs.frozen(kw_only=True)
class CodingFilter(FilterBuilder):
    """Builds filters for codings the way the reference documentation shows it.

    Each method returns a builder with one more criterion; called again, it replaces that. Several
    of them are an intersection; together with :meth:`union`, they are one. Without any, all codings
    are found.

    ``CodingFilter().by_region_language_type_label("be", "en", "SNOMED", "fev")``

    Example:
        >>> fever = CodingFilter().by_region_language_type_label(language="en", label="fev")
        >>> fever.build().label
        'fev'
    """

    _order: ClassVar[tuple[str, ...]] = ("by_ids", "by_region_language_type_label")

    def by_ids(self, ids: Iterable[str]) -> Self:
        """Find codings with these ids; an empty list finds none.

        Example:
            >>> CodingFilter().by_ids(["SNOMED|386661006|2024"]).build()
            CodingsByIdsFilter(...)
        """
        return self._with("by_ids", CodingsByIdsFilter(ids=ids))

    def by_region_language_type_label(
        self,
        region: str | None = None,
        language: str | None = None,
        type: str | None = None,  # noqa: A002
        label: str | None = None,
    ) -> Self:
        """Find codings of a region or a terminology, by the beginning of a word.

        Args:
            region: code of a country in which the coding is used, for example ``be``.
            language: language of the label, for example ``en``.
            type: terminology.
            label: beginning of a word in the description, the search terms or the code.

        Example:
            >>> CodingFilter().by_region_language_type_label("be", "en", "SNOMED", "fev").build()
            CodingsByLabelFilter(...)
        """
        leaf = CodingsByLabelFilter(region=region, language=language, type=type, label=label)
        return self._with("by_region_language_type_label", leaf)

    def _all(self) -> Leaf:
        return AllCodingsFilter()
