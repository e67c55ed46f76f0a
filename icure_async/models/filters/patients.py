"""Filters for patients, and their builder (data-model.md §8.1)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, get_args

import attrs

from icure_async.errors import ValidationError
from icure_async.mistakes import explained
from icure_async.models.enums import Gender
from icure_async.models.filters.builder import OwnedFilterBuilder
from icure_async.models.filters.leaf import Leaf, OwnedLeaf, on_wire
from icure_async.models.filters.values import (
    check_text,
    concealed,
    to_birth_date,
    to_identifiers,
    to_ids,
    to_search_text,
    to_ssins,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.models.codes import Identifier
    from icure_async.models.filters.algebra import Filter

__all__ = [
    "AllPatientsFilter",
    "PatientFilter",
    "PatientsByDateOfBirthFilter",
    "PatientsByGenderEducationProfessionFilter",
    "PatientsByIdentifiersFilter",
    "PatientsByIdsFilter",
    "PatientsByNameFilter",
    "PatientsBySsinsFilter",
]

_NOUN: Final = "patient"
_OLDEST: Final = 200


@attrs.frozen(kw_only=True)
class _PatientLeaf(OwnedLeaf):
    """The common part of the filters for patients that are shared with a data owner."""

    noun: ClassVar[str] = _NOUN

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all patients that are shared with a data owner."""
        return AllPatientsFilter(data_owner_id=data_owner_id)


@attrs.frozen(kw_only=True)
class AllPatientsFilter(_PatientLeaf):
    """All patients that are shared with a data owner.

    Attributes:
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> patient.id in await api.patient_api.match_patients(AllPatientsFilter())
        True
    """

    wire_type: ClassVar[str] = "PatientByHcPartyFilter"


@attrs.frozen(kw_only=True)
class PatientsByIdsFilter(Leaf):
    """Patients with these ids, deleted ones included.

    Attributes:
        ids: ids of patients; without any, none is found.
        description: a text for those who read the requests.

    Example:
        >>> await api.patient_api.count_patients(PatientsByIdsFilter(ids=[patient.id]))
        1
    """

    noun: ClassVar[str] = _NOUN
    wire_type: ClassVar[str] = "PatientByIdsFilter"
    ids: tuple[str, ...] = attrs.field(converter=to_ids, metadata=on_wire("ids"))

    def everything(self, data_owner_id: str | None = None) -> Filter:
        """Return the filter for all patients that are shared with a data owner."""
        return AllPatientsFilter(data_owner_id=data_owner_id)


@attrs.frozen(kw_only=True)
class PatientsByIdentifiersFilter(_PatientLeaf):
    """Patients that have one of these identifiers.

    Attributes:
        identifiers: compared by ``system`` and ``value``; by ``system`` only where one has no
            ``value``.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> wanted = PatientsByIdentifiersFilter(
        ...     identifiers=[Identifier(system="clinic", value="4711")]
        ... )
        >>> await api.patient_api.count_patients(wanted)
        0
    """

    wire_type: ClassVar[str] = "PatientByHcPartyAndIdentifiersFilter"
    identifiers: tuple[Identifier, ...] = attrs.field(
        converter=to_identifiers,
        repr=concealed,
        metadata=on_wire("identifiers", identifiers="identifier"),
    )


@attrs.frozen(kw_only=True)
class PatientsBySsinsFilter(_PatientLeaf):
    """Patients with one of these numbers in the national register.

    Attributes:
        ssins: compared as they are.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> await api.patient_api.count_patients(PatientsBySsinsFilter(ssins=["00000000000"]))
        0
    """

    wire_type: ClassVar[str] = "PatientByHcPartyAndSsinsFilter"
    ssins: tuple[str, ...] = attrs.field(
        converter=to_ssins,
        repr=concealed,
        metadata=on_wire("ssins", ssin="ssin"),
    )


@attrs.frozen(kw_only=True)
class PatientsByDateOfBirthFilter(_PatientLeaf):
    """Patients born within a period.

    Dates are compared as numbers, so that a birth in an unknown month comes before those in
    January.

    Attributes:
        earliest: the first day, as the integer YYYYMMDD; may be given as a date. None: no limit.
        latest: the last day. One of the two is needed.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> born = PatientsByDateOfBirthFilter(earliest=19800101, latest=19891231)
        >>> ids = await api.patient_api.match_patients(born)
    """

    wire_type: ClassVar[str] = "PatientByHcPartyDateOfBirthBetweenFilter"
    earliest: int | None = attrs.field(
        default=None,
        converter=to_birth_date,
        repr=concealed,
        metadata=on_wire("minDateOfBirth", date_of_birth="dateOfBirth"),
    )
    latest: int | None = attrs.field(
        default=None,
        converter=to_birth_date,
        repr=concealed,
        metadata=on_wire("maxDateOfBirth", date_of_birth="dateOfBirth"),
    )

    def __attrs_post_init__(self) -> None:
        if self.earliest is None and self.latest is None:
            raise ValidationError(
                "A filter by date of birth needs the earliest date, the latest, or both."
            )
        if self.earliest is not None and self.latest is not None and self.earliest > self.latest:
            raise ValidationError("The earliest date of birth comes after the latest.")


@attrs.frozen(kw_only=True)
class PatientsByGenderEducationProfessionFilter(_PatientLeaf):
    """Patients of one gender, and one education and profession where these are given.

    Attributes:
        gender: one of ``Gender``.
        education: compared as it is; None for any.
        profession: compared as it is; None for any. It needs an education: without one, backends
            would ignore it.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> ids = await api.patient_api.match_patients(
        ...     PatientsByGenderEducationProfessionFilter(gender="female")
        ... )
    """

    wire_type: ClassVar[str] = "PatientByHcPartyGenderEducationProfession"
    gender: Gender = attrs.field(repr=concealed, metadata=on_wire("gender", gender="gender"))
    education: str | None = attrs.field(
        default=None,
        validator=check_text,
        repr=concealed,
        metadata=on_wire("education", education="education"),
    )
    profession: str | None = attrs.field(
        default=None,
        validator=check_text,
        repr=concealed,
        metadata=on_wire("profession", profession="profession"),
    )

    def __attrs_post_init__(self) -> None:
        gender: object = self.gender
        if not isinstance(gender, str) or gender not in get_args(Gender):
            raise ValidationError(f"The gender must be one of: {', '.join(get_args(Gender))}.")
        if self.profession is not None and self.education is None:
            raise ValidationError(
                "A filter by profession needs the education, too: backends ignore the profession "
                "without it."
            )


@attrs.frozen(kw_only=True)
class PatientsByNameFilter(_PatientLeaf):
    """Patients whose name contains a text.

    Attributes:
        search_string: occurs in the last name followed by the first name, in the maiden name or in
            the spouse's. Case, accents and everything that is no letter or digit are ignored. At
            the end of a name, a text of one or two characters is not found.
        data_owner_id: with whom they are shared; None for the current data owner.
        description: a text for those who read the requests.

    Example:
        >>> patient.id in await api.patient_api.match_patients(
        ...     PatientsByNameFilter(search_string="stark")
        ... )
        True
    """

    wire_type: ClassVar[str] = "PatientByHcPartyNameContainsFuzzyFilter"
    search_string: str = attrs.field(
        converter=to_search_text,
        repr=concealed,
        metadata=on_wire(
            "searchString",
            first_name="firstName",
            last_name="lastName",
            maiden_name="maidenName",
            spouse_name="spouseName",
        ),
    )


@explained
@attrs.frozen(kw_only=True)
class PatientFilter(OwnedFilterBuilder):
    """Builds filters for patients the way the reference documentation shows it.

    Each method returns a builder with one more criterion; called again, it replaces that. Several
    of them are an intersection; together with :meth:`union`, they are one. Without any, everything
    is found that is shared with the data owner.

    ``PatientFilter().contains_fuzzy("stark") & ~PatientFilter().of_age(40)``

    Example:
        >>> starks = PatientFilter().contains_fuzzy("stark") & ~PatientFilter().of_age(40)
        >>> ids = await api.patient_api.match_patients(starks)
    """

    _order: ClassVar[tuple[str, ...]] = (
        "by_ids",
        "by_identifiers",
        "with_ssins",
        "date_of_birth_between",
        "of_age",
        "by_gender_education_profession",
        "contains_fuzzy",
    )

    def by_ids(self, ids: Iterable[str]) -> Self:
        """Find patients with these ids, deleted ones included; an empty list finds none.

        Example:
            >>> await api.patient_api.count_patients(PatientFilter().by_ids([patient.id]))
            1
        """
        return self._with("by_ids", PatientsByIdsFilter(ids=ids))

    def by_identifiers(self, identifiers: Iterable[Identifier]) -> Self:
        """Find patients with one of these identifiers.

        Example:
            >>> numbered = PatientFilter().by_identifiers(
            ...     [Identifier(system="clinic", value="4711")]
            ... )
            >>> await api.patient_api.count_patients(numbered)
            0
        """
        return self._with("by_identifiers", PatientsByIdentifiersFilter(identifiers=identifiers))

    def with_ssins(self, ssins: Iterable[str]) -> Self:
        """Find patients with one of these numbers in the national register.

        Example:
            >>> await api.patient_api.count_patients(PatientFilter().with_ssins(["00000000000"]))
            0
        """
        return self._with("with_ssins", PatientsBySsinsFilter(ssins=ssins))

    def date_of_birth_between(
        self, from_date: dt.date | int | None, to_date: dt.date | int | None
    ) -> Self:
        """Find patients born on one of two days or in between; None stands for no limit.

        A day may be written as the integer YYYYMMDD.

        Example:
            >>> from datetime import date
            >>> born = PatientFilter().date_of_birth_between(date(1980, 1, 1), date(1989, 12, 31))
            >>> ids = await api.patient_api.match_patients(born)
        """
        born = PatientsByDateOfBirthFilter(earliest=from_date, latest=to_date)
        return self._with("date_of_birth_between", born)

    def of_age(self, age: int, *, today: dt.date | None = None) -> Self:
        """Find patients who are so many years old.

        Args:
            age: in completed years.
            today: the day to count from; by default, today in the local time zone. The filter
                keeps that day.

        Example:
            >>> ids = await api.patient_api.match_patients(PatientFilter().of_age(40))
        """
        earliest, latest = _births_of_age(age, today or dt.datetime.now().astimezone().date())
        return self._with("of_age", PatientsByDateOfBirthFilter(earliest=earliest, latest=latest))

    def by_gender_education_profession(
        self, gender: Gender, education: str | None = None, profession: str | None = None
    ) -> Self:
        """Find patients of a gender, and of an education and a profession where these are given.

        Example:
            >>> women = PatientFilter().by_gender_education_profession("female")
            >>> ids = await api.patient_api.match_patients(women)
        """
        leaf = PatientsByGenderEducationProfessionFilter(
            gender=gender, education=education, profession=profession
        )
        return self._with("by_gender_education_profession", leaf)

    def contains_fuzzy(self, search_string: str) -> Self:
        """Find patients whose name contains a text; case and accents are ignored.

        Example:
            >>> patient.id in await api.patient_api.match_patients(
            ...     PatientFilter().contains_fuzzy("STARK")
            ... )
            True
        """
        return self._with("contains_fuzzy", PatientsByNameFilter(search_string=search_string))

    def _all(self) -> Leaf:
        return AllPatientsFilter()


def _births_of_age(age: Any, today: Any) -> tuple[dt.date, dt.date]:
    """Return the first and the last birthday of those who are so many years old."""
    if not isinstance(age, int) or isinstance(age, bool) or not 0 <= age < _OLDEST:
        raise ValidationError(f"The age must be an int, at least 0 and less than {_OLDEST}.")
    if not isinstance(today, dt.date) or isinstance(today, dt.datetime):
        raise ValidationError("today must be a datetime.date.")
    if today.year <= _OLDEST:
        raise ValidationError("today is out of range.")
    return _years_before(today, age + 1) + dt.timedelta(days=1), _years_before(today, age)


def _years_before(day: dt.date, years: int) -> dt.date:
    """Return the last day with whose birthday somebody has turned that age by a day."""
    year = day.year - years
    try:
        return day.replace(year=year)
    except ValueError:
        # 29 February: those born on 1 March have their birthday still before them.
        return day.replace(year=year, day=28)
