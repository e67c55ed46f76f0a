"""Filters for healthcare professionals, and their builder (data-model.md §8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

import attrs

from icure_async.mistakes import explained
from icure_async.models.filters.builder import FilterBuilder
from icure_async.models.filters.label_code import check_label_code
from icure_async.models.filters.leaf import Leaf, on_wire
from icure_async.models.filters.values import check_text, to_ids, to_search_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.models.filters.algebra import Filter

__all__ = [
    "AllHealthcareProfessionalsFilter",
    "HealthcareProfessionalFilter",
    "HealthcareProfessionalsByIdsFilter",
    "HealthcareProfessionalsByLabelCodeFilter",
    "HealthcareProfessionalsByNameFilter",
]


@attrs.frozen(kw_only=True)
class _ProfessionalLeaf(Leaf):
    """The common part of the filters for healthcare professionals."""

    noun: ClassVar[str] = "healthcare professional"

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all healthcare professionals."""
        del data_owner_id
        return AllHealthcareProfessionalsFilter()


@attrs.frozen(kw_only=True)
class AllHealthcareProfessionalsFilter(_ProfessionalLeaf):
    """All healthcare professionals and organisations.

    Attributes:
        description: a text for those who read the requests.

    Example:
        >>> wanted = AllHealthcareProfessionalsFilter()
        >>> ids = await api.healthcare_professional_api.match_healthcare_professional_by(wanted)
        >>> professional.id in ids
        True
    """

    wire_type: ClassVar[str] = "AllHealthcarePartiesFilter"


@attrs.frozen(kw_only=True)
class HealthcareProfessionalsByIdsFilter(_ProfessionalLeaf):
    """Healthcare professionals with these ids, deleted ones included.

    Attributes:
        ids: ids of healthcare professionals; without any, none is found.
        description: a text for those who read the requests.

    Example:
        >>> wanted = HealthcareProfessionalsByIdsFilter(ids=[professional.id])
        >>> ids = await api.healthcare_professional_api.match_healthcare_professional_by(wanted)
        >>> ids == [professional.id]
        True
    """

    wire_type: ClassVar[str] = "HealthcarePartyByIdsFilter"
    ids: tuple[str, ...] = attrs.field(converter=to_ids, metadata=on_wire("ids"))


@attrs.frozen(kw_only=True)
class HealthcareProfessionalsByNameFilter(_ProfessionalLeaf):
    """Healthcare professionals whose name or speciality contains a text.

    Attributes:
        name: occurs in the last name followed by the first name, in the full name or in the
            speciality. Case, accents and everything that is no letter or digit are ignored. At the
            end of a name, a text of one or two characters is not found.
        description: a text for those who read the requests.

    Example:
        >>> wanted = HealthcareProfessionalsByNameFilter(name="luwin")
        >>> ids = await api.healthcare_professional_api.match_healthcare_professional_by(wanted)
        >>> professional.id in ids
        True
    """

    wire_type: ClassVar[str] = "HealthcarePartyByNameFilter"
    name: str = attrs.field(
        converter=to_search_text,
        metadata=on_wire(
            "name",
            first_name="firstName",
            last_name="lastName",
            name="name",
            speciality="speciality",
        ),
    )


@attrs.frozen(kw_only=True)
class HealthcareProfessionalsByLabelCodeFilter(_ProfessionalLeaf):
    """Healthcare professionals with a label, a code, or both.

    Attributes:
        label_type: terminology of the label; None for any label, or none.
        label_code: the label within the terminology; None for any of it.
        code_type: terminology of the code; None for any code, or none.
        code_code: the code within the terminology; None for any of it.
        description: a text for those who read the requests.

    Example:
        >>> wanted = HealthcareProfessionalsByLabelCodeFilter(
        ...     code_type="PROFESSION", code_code="doctor"
        ... )
        >>> ids = await api.healthcare_professional_api.match_healthcare_professional_by(wanted)
    """

    wire_type: ClassVar[str] = "HealthcarePartyByTagCodeFilter"
    label_type: str | None = attrs.field(
        default=None,
        validator=check_text,
        metadata=on_wire("tagType", labels="tags"),
    )
    label_code: str | None = attrs.field(
        default=None,
        validator=check_text,
        metadata=on_wire("tagCode", labels="tags"),
    )
    code_type: str | None = attrs.field(
        default=None,
        validator=check_text,
        metadata=on_wire("codeType", codes="codes"),
    )
    code_code: str | None = attrs.field(
        default=None,
        validator=check_text,
        metadata=on_wire("codeCode", codes="codes"),
    )

    def __attrs_post_init__(self) -> None:
        check_label_code(self.label_type, self.label_code, self.code_type, self.code_code)


@explained
@attrs.frozen(kw_only=True)
class HealthcareProfessionalFilter(FilterBuilder):
    """Builds filters for healthcare professionals the way the reference documentation shows it.

    Each method returns a builder with one more criterion; called again, it replaces that. Several
    of them are an intersection; together with :meth:`union`, they are one. Without any, all
    healthcare professionals are found.

    ``HealthcareProfessionalFilter().by_matches("cardio")``

    Example:
        >>> named = HealthcareProfessionalFilter().by_matches("luwin")
        >>> ids = await api.healthcare_professional_api.match_healthcare_professional_by(named)
    """

    _order: ClassVar[tuple[str, ...]] = ("by_label_code_filter", "by_matches", "by_ids")

    def by_ids(self, ids: Iterable[str]) -> Self:
        """Find professionals with these ids, deleted ones included; an empty list finds none.

        Example:
            >>> one = HealthcareProfessionalFilter().by_ids([professional.id])
            >>> await api.healthcare_professional_api.match_healthcare_professional_by(one) == [
            ...     professional.id
            ... ]
            True
        """
        return self._with("by_ids", HealthcareProfessionalsByIdsFilter(ids=ids))

    def by_matches(self, search_string: str) -> Self:
        """Find professionals whose name or speciality contains a text; case does not matter.

        Example:
            >>> named = HealthcareProfessionalFilter().by_matches("luwin")
            >>> ids = await api.healthcare_professional_api.match_healthcare_professional_by(named)
        """
        return self._with("by_matches", HealthcareProfessionalsByNameFilter(name=search_string))

    def by_label_code_filter(
        self,
        label_type: str | None = None,
        label_code: str | None = None,
        code_type: str | None = None,
        code_code: str | None = None,
    ) -> Self:
        """Find professionals with a label, a code, or both.

        Args:
            label_type: terminology of the label.
            label_code: the label within it; any by default.
            code_type: terminology of the code.
            code_code: the code within it; any by default.

        Example:
            >>> doctors = HealthcareProfessionalFilter().by_label_code_filter(
            ...     code_type="PROFESSION", code_code="doctor"
            ... )
        """
        leaf = HealthcareProfessionalsByLabelCodeFilter(
            label_type=label_type, label_code=label_code, code_type=code_type, code_code=code_code
        )
        return self._with("by_label_code_filter", leaf)

    def _all(self) -> Leaf:
        return AllHealthcareProfessionalsFilter()
