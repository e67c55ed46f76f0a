"""Filters for data samples, and their builder (data-model.md §8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Self

import attrs

from icure_async.errors import ValidationError
from icure_async.mistakes import explained
from icure_async.models.filters.builder import OwnedFilterBuilder
from icure_async.models.filters.label_code import check_label_code
from icure_async.models.filters.leaf import Leaf, OwnedLeaf, PatientsLeaf, on_wire
from icure_async.models.filters.values import (
    check_text,
    to_first_moment,
    to_identifiers,
    to_ids,
    to_last_moment,
    to_optional_id,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from icure_async.models.codes import Identifier
    from icure_async.models.filters.algebra import Filter
    from icure_async.models.patient import Patient

__all__ = [
    "AllDataSamplesFilter",
    "DataSampleFilter",
    "DataSamplesByHealthcareElementIdsFilter",
    "DataSamplesByIdentifiersFilter",
    "DataSamplesByIdsFilter",
    "DataSamplesByLabelCodeDateFilter",
    "DataSamplesByPatientsFilter",
]

_NOUN: Final = "data sample"


@attrs.frozen(kw_only=True)
class _DataSampleLeaf(OwnedLeaf):
    """The common part of the filters for data samples that are shared with a data owner."""

    noun: ClassVar[str] = _NOUN

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all data samples that are shared with a data owner."""
        return AllDataSamplesFilter(data_owner_id=data_owner_id)


@attrs.frozen(kw_only=True)
class AllDataSamplesFilter(_DataSampleLeaf):
    """All data samples that are shared with a data owner.

    Attributes:
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> DataSampleFilter().build()
        AllDataSamplesFilter(...)
    """

    wire_type: ClassVar[str] = "ServiceByHcPartyFilter"
    data_owner_id: str | None = attrs.field(
        default=None, converter=to_optional_id, metadata=on_wire("hcpId")
    )


@attrs.frozen(kw_only=True)
class DataSamplesByIdsFilter(Leaf):
    """Data samples with these ids, deleted ones included.

    Attributes:
        ids: ids of data samples; without any, none is found.
        description: a text for those who read the requests.

    Example:
        >>> DataSampleFilter().by_ids(["weight"]).build().ids
        ('weight',)
    """

    noun: ClassVar[str] = _NOUN
    wire_type: ClassVar[str] = "ServiceByIdsFilter"
    ids: tuple[str, ...] = attrs.field(converter=to_ids, metadata=on_wire("ids"))

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all data samples that are shared with a data owner."""
        return AllDataSamplesFilter(data_owner_id=data_owner_id)


@attrs.frozen(kw_only=True)
class DataSamplesByIdentifiersFilter(_DataSampleLeaf):
    """Data samples that have one of these identifiers.

    Attributes:
        identifiers: compared by ``system`` and ``value``; by ``system`` only where one has no
            ``value``.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> numbered = DataSamplesByIdentifiersFilter(
        ...     identifiers=[Identifier(system="clinic", value="7")]
        ... )
        >>> numbered.identifiers[0].value
        '7'
    """

    wire_type: ClassVar[str] = "ServiceByHcPartyIdentifiersFilter"
    identifiers: tuple[Identifier, ...] = attrs.field(
        converter=to_identifiers, metadata=on_wire("identifiers", identifiers="identifier")
    )


@attrs.frozen(kw_only=True)
class DataSamplesByLabelCodeDateFilter(_DataSampleLeaf):
    """Data samples with a label, a code or both, whose value date lies between two dates.

    Attributes:
        label_type: terminology of the label; None for any label, or none.
        label_code: the label within the terminology; None for any of it.
        code_type: terminology of the code; None for any code, or none.
        code_code: the code within the terminology; None for any of it.
        start_value_date: the first value date, as a fuzzy date-time; None for no such limit. It may
            be given as a date, a datetime or a fuzzy date, which begins with its first second.
        end_value_date: the last value date, likewise; a date ends with its last second.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> weights = DataSamplesByLabelCodeDateFilter(
        ...     label_type="LOINC", label_code="29463-7", end_value_date=20211231
        ... )
        >>> weights.end_value_date
        20211231235959
    """

    wire_type: ClassVar[str] = "ServiceByHcPartyTagCodeDateFilter"
    label_type: str | None = attrs.field(
        default=None, validator=check_text, metadata=on_wire("tagType", labels="tags")
    )
    label_code: str | None = attrs.field(
        default=None, validator=check_text, metadata=on_wire("tagCode", labels="tags")
    )
    code_type: str | None = attrs.field(
        default=None, validator=check_text, metadata=on_wire("codeType", codes="codes")
    )
    code_code: str | None = attrs.field(
        default=None, validator=check_text, metadata=on_wire("codeCode", codes="codes")
    )
    start_value_date: int | None = attrs.field(
        default=None,
        converter=to_first_moment,
        metadata=on_wire("startValueDate", value_date="valueDate"),
    )
    end_value_date: int | None = attrs.field(
        default=None,
        converter=to_last_moment,
        metadata=on_wire("endValueDate", value_date="valueDate"),
    )

    def __attrs_post_init__(self) -> None:
        check_label_code(self.label_type, self.label_code, self.code_type, self.code_code)
        first, last = self.start_value_date, self.end_value_date
        if first is not None and last is not None and first > last:
            raise ValidationError("start_value_date must not be later than end_value_date.")


@attrs.frozen(kw_only=True)
class DataSamplesByHealthcareElementIdsFilter(_DataSampleLeaf):
    """Data samples that are about these healthcare elements.

    Attributes:
        healthcare_element_ids: ids of healthcare elements; without any, none is found.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> wanted = DataSamplesByHealthcareElementIdsFilter(healthcare_element_ids=["fever"])
        >>> wanted.healthcare_element_ids
        ('fever',)
    """

    wire_type: ClassVar[str] = "ServiceByHcPartyHealthElementIdsFilter"
    healthcare_element_ids: tuple[str, ...] = attrs.field(
        converter=to_ids,
        metadata=on_wire("healthElementIds", healthcare_element_ids="healthElementsIds"),
    )


@attrs.frozen(kw_only=True)
class DataSamplesByPatientsFilter(PatientsLeaf):
    """Data samples of these patients.

    Attributes:
        patients: Patients, or ids of patients. A Patient that was read spares a request.
        secret_ids: put in by the API object that the filter is passed to.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> len(DataSamplesByPatientsFilter(patients=[patient]).patients)
        1
    """

    noun: ClassVar[str] = _NOUN
    wire_type: ClassVar[str] = "ServiceBySecretForeignKeys"

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all data samples that are shared with a data owner."""
        return AllDataSamplesFilter(data_owner_id=data_owner_id)


@explained
@attrs.frozen(kw_only=True)
class DataSampleFilter(OwnedFilterBuilder):
    """Builds filters for data samples the way the reference documentation shows it.

    Each method returns a builder with one more criterion; called again, it replaces that. Several
    of them are an intersection; together with :meth:`union`, they are one. Without any, all data
    samples are found.

    ``DataSampleFilter().for_patients([patient]).by_healthcare_element_ids([fever.id])``

    Example:
        >>> weights = DataSampleFilter().by_label_code_date_filter("LOINC", "29463-7")
        >>> type(weights.for_patients([patient]).build()).__name__
        'IntersectionFilter'
    """

    _order: ClassVar[tuple[str, ...]] = (
        "by_ids",
        "by_identifiers",
        "by_label_code_date_filter",
        "by_healthcare_element_ids",
        "for_patients",
    )

    def by_ids(self, ids: Iterable[str]) -> Self:
        """Find data samples with these ids, deleted ones included; an empty list finds none.

        Example:
            >>> DataSampleFilter().by_ids(["weight"]).build()
            DataSamplesByIdsFilter(...)
        """
        return self._with("by_ids", DataSamplesByIdsFilter(ids=ids))

    def by_identifiers(self, identifiers: Iterable[Identifier]) -> Self:
        """Find data samples with one of these identifiers.

        Example:
            >>> numbered = DataSampleFilter().by_identifiers(
            ...     [Identifier(system="clinic", value="7")]
            ... )
        """
        leaf = DataSamplesByIdentifiersFilter(identifiers=identifiers)
        return self._with("by_identifiers", leaf)

    def by_label_code_date_filter(
        self,
        label_type: str | None = None,
        label_code: str | None = None,
        code_type: str | None = None,
        code_code: str | None = None,
        start_value_date: dt.date | int | None = None,
        end_value_date: dt.date | int | None = None,
    ) -> Self:
        """Find data samples with a label, a code or both, measured between two dates.

        Args:
            label_type: terminology of the label.
            label_code: the label within it; any by default.
            code_type: terminology of the code.
            code_code: the code within it; any by default.
            start_value_date: the first value date: a date, a datetime, or an int written
                ``YYYYMMDD`` or ``YYYYMMDDhhmmss``.
            end_value_date: the last value date, likewise; all of a date belongs to it.

        Example:
            >>> from datetime import date
            >>> weights = DataSampleFilter().by_label_code_date_filter(
            ...     "LOINC", "29463-7", start_value_date=date(2021, 1, 1)
            ... )
            >>> weights.build().start_value_date
            20210101000000
        """
        leaf = DataSamplesByLabelCodeDateFilter(
            label_type=label_type,
            label_code=label_code,
            code_type=code_type,
            code_code=code_code,
            start_value_date=start_value_date,
            end_value_date=end_value_date,
        )
        return self._with("by_label_code_date_filter", leaf)

    def by_healthcare_element_ids(self, healthcare_element_ids: Iterable[str]) -> Self:
        """Find data samples that are about these healthcare elements; an empty list finds none.

        Example:
            >>> DataSampleFilter().by_healthcare_element_ids(["fever"]).build()
            DataSamplesByHealthcareElementIdsFilter(...)
        """
        leaf = DataSamplesByHealthcareElementIdsFilter(
            healthcare_element_ids=healthcare_element_ids
        )
        return self._with("by_healthcare_element_ids", leaf)

    def for_patients(self, patients: Iterable[Patient | str]) -> Self:
        """Find data samples of these patients.

        Args:
            patients: Patients, or ids of patients. A Patient that was read spares a request.

        Example:
            >>> DataSampleFilter().for_patients([patient]).build()
            DataSamplesByPatientsFilter(...)
        """
        return self._with("for_patients", DataSamplesByPatientsFilter(patients=patients))

    def _all(self) -> Leaf:
        return AllDataSamplesFilter()
