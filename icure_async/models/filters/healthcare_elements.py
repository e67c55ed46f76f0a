"""Filters for healthcare elements, and their builder (data-model.md §8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import attrs

from icure_async.mistakes import explained
from icure_async.models.filters.builder import OwnedFilterBuilder
from icure_async.models.filters.label_code import check_label_code
from icure_async.models.filters.leaf import Leaf, OwnedLeaf, PatientsLeaf, on_wire
from icure_async.models.filters.values import check_text, to_identifiers, to_ids, to_optional_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.models.codes import Identifier
    from icure_async.models.filters.algebra import Filter
    from icure_async.models.patient import Patient

__all__ = [
    "AllHealthcareElementsFilter",
    "HealthcareElementFilter",
    "HealthcareElementsByIdentifiersFilter",
    "HealthcareElementsByIdsFilter",
    "HealthcareElementsByLabelCodeFilter",
    "HealthcareElementsByPatientsFilter",
]

_NOUN: Final = "healthcare element"


@attrs.frozen(kw_only=True)
class _HealthcareElementLeaf(OwnedLeaf):
    """The common part of the filters for elements that are shared with a data owner."""

    noun: ClassVar[str] = _NOUN

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all healthcare elements that are shared with a data owner."""
        return AllHealthcareElementsFilter(data_owner_id=data_owner_id)


@attrs.frozen(kw_only=True)
class AllHealthcareElementsFilter(_HealthcareElementLeaf):
    """All healthcare elements that are shared with a data owner.

    Attributes:
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> HealthcareElementFilter().build()
        AllHealthcareElementsFilter(...)
    """

    wire_type: ClassVar[str] = "HealthElementByHcPartyFilter"
    data_owner_id: str | None = attrs.field(
        default=None, converter=to_optional_id, metadata=on_wire("hcpId")
    )


@attrs.frozen(kw_only=True)
class HealthcareElementsByIdsFilter(Leaf):
    """Healthcare elements with these ids, deleted ones included.

    Attributes:
        ids: ids of healthcare elements; without any, none is found.
        description: a text for those who read the requests.

    Example:
        >>> HealthcareElementFilter().by_ids(["fever"]).build().ids
        ('fever',)
    """

    noun: ClassVar[str] = _NOUN
    wire_type: ClassVar[str] = "HealthElementByIdsFilter"
    ids: tuple[str, ...] = attrs.field(converter=to_ids, metadata=on_wire("ids"))

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all healthcare elements that are shared with a data owner."""
        return AllHealthcareElementsFilter(data_owner_id=data_owner_id)


@attrs.frozen(kw_only=True)
class HealthcareElementsByIdentifiersFilter(_HealthcareElementLeaf):
    """Healthcare elements that have one of these identifiers.

    Attributes:
        identifiers: compared by ``system`` and ``value``; by ``system`` only where one has no
            ``value``.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> numbered = HealthcareElementsByIdentifiersFilter(
        ...     identifiers=[Identifier(system="clinic", value="7")]
        ... )
        >>> numbered.identifiers[0].value
        '7'
    """

    wire_type: ClassVar[str] = "HealthElementByHcPartyIdentifiersFilter"
    identifiers: tuple[Identifier, ...] = attrs.field(
        converter=to_identifiers, metadata=on_wire("identifiers", identifiers="identifiers")
    )

    def to_wire(self, data_owner_id: str) -> dict[str, Any]:
        """Return the filter as JSON."""
        document = super().to_wire(data_owner_id)
        # The name of the servers, next to that of the reference (data-model.md §8.2).
        return {**document, "hcPartyId": document["healthcarePartyId"]}


@attrs.frozen(kw_only=True)
class HealthcareElementsByLabelCodeFilter(_HealthcareElementLeaf):
    """Healthcare elements with a label, a code, or both.

    Attributes:
        code_type: terminology of the code; None for any code, or none.
        code_code: the code within the terminology; None for any of it.
        label_type: terminology of the label; None for any label, or none.
        label_code: the label within the terminology; None for any of it.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> HealthcareElementsByLabelCodeFilter(code_type="SNOMED", code_code="386661006")
        HealthcareElementsByLabelCodeFilter(...)
    """

    wire_type: ClassVar[str] = "HealthElementByHcPartyTagCodeFilter"
    code_type: str | None = attrs.field(
        default=None, validator=check_text, metadata=on_wire("codeType", codes="codes")
    )
    code_code: str | None = attrs.field(
        default=None, validator=check_text, metadata=on_wire("codeCode", codes="codes")
    )
    label_type: str | None = attrs.field(
        default=None, validator=check_text, metadata=on_wire("tagType", labels="tags")
    )
    label_code: str | None = attrs.field(
        default=None, validator=check_text, metadata=on_wire("tagCode", labels="tags")
    )

    def __attrs_post_init__(self) -> None:
        check_label_code(self.label_type, self.label_code, self.code_type, self.code_code)


@attrs.frozen(kw_only=True)
class HealthcareElementsByPatientsFilter(PatientsLeaf):
    """Healthcare elements of these patients.

    Attributes:
        patients: Patients, or ids of patients. A Patient that was read spares a request.
        secret_ids: put in by the API object that the filter is passed to.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> len(HealthcareElementsByPatientsFilter(patients=[patient]).patients)
        1
    """

    noun: ClassVar[str] = _NOUN
    wire_type: ClassVar[str] = "HealthElementByHcPartySecretForeignKeysFilter"

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all healthcare elements that are shared with a data owner."""
        return AllHealthcareElementsFilter(data_owner_id=data_owner_id)


@explained
@attrs.frozen(kw_only=True)
class HealthcareElementFilter(OwnedFilterBuilder):
    """Builds filters for healthcare elements the way the reference documentation shows it.

    Each method returns a builder with one more criterion; called again, it replaces that. Several
    of them are an intersection; together with :meth:`union`, they are one. Without any, all
    healthcare elements are found.

    ``HealthcareElementFilter().for_patients([patient])``

    Example:
        >>> fever = HealthcareElementFilter().by_label_code_filter(
        ...     code_type="SNOMED", code_code="386661006"
        ... )
        >>> type(fever.for_patients([patient]).build()).__name__
        'IntersectionFilter'
    """

    _order: ClassVar[tuple[str, ...]] = (
        "by_ids",
        "by_identifiers",
        "by_label_code_filter",
        "for_patients",
    )

    def by_ids(self, ids: Iterable[str]) -> Self:
        """Find elements with these ids, deleted ones included; an empty list finds none.

        Example:
            >>> HealthcareElementFilter().by_ids(["fever"]).build()
            HealthcareElementsByIdsFilter(...)
        """
        return self._with("by_ids", HealthcareElementsByIdsFilter(ids=ids))

    def by_identifiers(self, identifiers: Iterable[Identifier]) -> Self:
        """Find elements with one of these identifiers.

        Example:
            >>> numbered = HealthcareElementFilter().by_identifiers(
            ...     [Identifier(system="clinic", value="7")]
            ... )
        """
        leaf = HealthcareElementsByIdentifiersFilter(identifiers=identifiers)
        return self._with("by_identifiers", leaf)

    def by_label_code_filter(
        self,
        label_type: str | None = None,
        label_code: str | None = None,
        code_type: str | None = None,
        code_code: str | None = None,
    ) -> Self:
        """Find elements with a label, a code, or both.

        Args:
            label_type: terminology of the label.
            label_code: the label within it; any by default.
            code_type: terminology of the code.
            code_code: the code within it; any by default.

        Example:
            >>> fever = HealthcareElementFilter().by_label_code_filter(
            ...     code_type="SNOMED", code_code="386661006"
            ... )
        """
        leaf = HealthcareElementsByLabelCodeFilter(
            label_type=label_type, label_code=label_code, code_type=code_type, code_code=code_code
        )
        return self._with("by_label_code_filter", leaf)

    def for_patients(self, patients: Iterable[Patient | str]) -> Self:
        """Find elements of these patients.

        Args:
            patients: Patients, or ids of patients. A Patient that was read spares a request.

        Example:
            >>> HealthcareElementFilter().for_patients([patient]).build()
            HealthcareElementsByPatientsFilter(...)
        """
        leaf = HealthcareElementsByPatientsFilter(patients=patients)
        return self._with("for_patients", leaf)

    def _all(self) -> Leaf:
        return AllHealthcareElementsFilter()
