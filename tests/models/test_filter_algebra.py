"""Combinations of filters, and the errors of those that can't be built."""

from __future__ import annotations

import datetime as dt
import functools
import operator
import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async import (
    AllPatientsFilter,
    CodingFilter,
    ComplementFilter,
    DataSampleFilter,
    Filter,
    HealthcareElementFilter,
    HealthcareProfessionalFilter,
    Identifier,
    IntersectionFilter,
    MedicalDeviceFilter,
    NotificationFilter,
    Patient,
    PatientFilter,
    PatientsByDateOfBirthFilter,
    PatientsByGenderEducationProfessionFilter,
    UnionFilter,
    UserFilter,
)
from icure_async.errors import ValidationError
from icure_async.models.fields import members_of
from icure_async.models.filters import Combinable, filter_for, refuse_encrypted

PATIENTS = PatientFilter()
STARK, MALE = PATIENTS.contains_fuzzy("stark"), PATIENTS.by_gender_education_profession("male")
OF_EVERY_KIND: list[Combinable] = [
    PATIENTS,
    UserFilter(),
    HealthcareProfessionalFilter(),
    MedicalDeviceFilter(),
    NotificationFilter(),
    HealthcareElementFilter(),
    DataSampleFilter(),
    CodingFilter(),
]
EVERYTHING = PATIENTS.date_of_birth_between(1900_01_01, None).intersection(
    [
        PATIENTS.by_ids(["a"]),
        PATIENTS.with_ssins(["s"]),
        PATIENTS.by_identifiers([Identifier(system="s", value="v")]),
        PATIENTS.by_gender_education_profession("male", "e", "p"),
        STARK,
    ]
)


def test_operators_take_builders_and_filters() -> None:
    stark, male = STARK.build(), MALE.build()
    for one in (STARK, stark):
        for other in (MALE, male):
            assert one | other == UnionFilter(filters=[stark, male])
            assert one & other == IntersectionFilter(filters=[stark, male])
    assert ~STARK == ComplementFilter(super_set=AllPatientsFilter(), sub_set=stark) == ~stark
    assert PATIENTS.union([STARK, male]).build() == STARK | MALE


def test_a_chain_of_operators_is_flat() -> None:
    many = [PATIENTS.by_ids([str(number)]) for number in range(200)]
    union: Any = functools.reduce(operator.or_, many)
    assert union.filters == tuple(one.build() for one in many)
    assert (STARK | (MALE | STARK)) == ((STARK | MALE) | STARK)
    # One with a description stays as it is.
    assert len(((STARK | MALE).described("name") | STARK).to_wire("me")["filters"]) == 2


def test_an_intersection_within_a_union_stays_one() -> None:
    body = (STARK & MALE | PATIENTS).build().to_wire("me")
    assert [member["$type"] for member in body["filters"]] == [
        "IntersectionFilter",
        "PatientByHcPartyFilter",
    ]


@pytest.mark.parametrize("one", OF_EVERY_KIND)
def test_kinds_do_not_mix(one: Any) -> None:
    for other in OF_EVERY_KIND:
        if other is one:
            continue
        for mix in (
            lambda other=other: one | other,
            lambda other=other: one.build() & other.build(),
            lambda other=other: one.union([other]),
            lambda other=other: one.intersection([one, other]),
            lambda other=other: one.complement(within=other),
            lambda other=other: UnionFilter(filters=[one, ~other]),
            lambda other=other: ComplementFilter(super_set=one, sub_set=other),
        ):
            with pytest.raises(ValidationError, match="can't be combined"):
                mix()


@pytest.mark.parametrize("builder", OF_EVERY_KIND)
def test_an_id_is_asked_for_once(builder: Any) -> None:
    assert builder.by_ids(["b", "a", "b"]) == builder.by_ids(["b", "a"])


@pytest.mark.parametrize("builder", OF_EVERY_KIND)
def test_filters_and_builders_are_values(builder: Any) -> None:
    for value in (builder, builder.build(), ~builder, builder | ~builder, builder.by_ids(["a"])):
        assert pickle.loads(pickle.dumps(value)) == value
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            value.anything = 1
    assert builder.by_ids(["a"]).by_ids(["b"]) == builder.by_ids(["b"])
    assert builder.build().build() == builder.build()


def test_a_complement_is_within_all_that_is_shared_with_the_same_data_owner() -> None:
    hers = STARK.for_data_owner("hers")
    for hers_too in (hers, hers.build(), hers | PATIENTS.by_ids(["a"]), ~hers):
        assert (~hers_too).super_set == AllPatientsFilter(data_owner_id="hers")
    by_ids = PATIENTS.for_data_owner("hers").by_ids(["a"])
    assert (~by_ids).super_set == AllPatientsFilter(data_owner_id="hers")
    # An id has no data owner.
    assert (~by_ids.build()).super_set == AllPatientsFilter()
    assert (~PATIENTS.union([hers])).super_set == AllPatientsFilter(data_owner_id="hers")
    mixed = hers | STARK
    with pytest.raises(ValidationError, match=r"complement\(within"):
        operator.invert(mixed)
    assert mixed.complement(within=hers).super_set == hers.build()


def test_a_filter_says_whose_data_it_looks_at() -> None:
    assert (PATIENTS.for_data_owner("hers") | PATIENTS).data_owners() == {"hers", None}
    assert UserFilter().build().data_owners() == set()
    assert PATIENTS.by_ids(["a"]).build().data_owners() == set()


def test_filters_are_not_nested_without_end() -> None:
    filtered: Filter = PATIENTS.build()
    with pytest.raises(ValidationError, match="lie one within the other"):  # noqa: PT012
        for _ in range(100):
            filtered = ~filtered
    assert filtered.to_wire("me")


def test_a_description_is_sent() -> None:
    for filtered in (STARK.build(), STARK | MALE, STARK & MALE, ~STARK):
        described = filtered.described("for the ward")
        assert described.to_wire("me") == {**filtered.to_wire("me"), "desc": "for the ward"}
        assert described.described(None) == filtered
        with pytest.raises(ValidationError, match="description"):
            filtered.described("")


# --- Criteria -------------------------------------------------------------------------------------


def test_every_criterion_given_is_one_more() -> None:
    builder = PATIENTS.of_age(40).date_of_birth_between(19800101, 19801231).with_ssins(["s"])
    built: Any = builder.build()
    assert len(built.filters) == 3
    assert builder.with_ssins(["t"]) != builder


def age_of(birth: dt.date, today: dt.date) -> int:
    """The age by the calendar: who was born on 29 February grows older on 1 March."""
    had_birthday = (today.month, today.day) >= (birth.month, birth.day)
    return today.year - birth.year - (0 if had_birthday else 1)


@given(
    birth=st.dates(dt.date(1900, 1, 1), dt.date(2030, 12, 31)),
    today=st.dates(dt.date(1999, 1, 1), dt.date(2040, 12, 31))
    | st.sampled_from([dt.date(2024, 2, 29), dt.date(2023, 2, 28), dt.date(2023, 3, 1)]),
    age=st.integers(0, 110),
)
def test_an_age_finds_those_who_are_so_old(birth: dt.date, today: dt.date, age: int) -> None:
    found: Any = PATIENTS.of_age(age, today=today).build()
    number = birth.year * 10_000 + birth.month * 100 + birth.day
    assert (found.earliest <= number <= found.latest) == (age_of(birth, today) == age)


@pytest.mark.parametrize("today", [dt.date(2024, 2, 29), dt.date(2023, 2, 28), dt.date(2100, 3, 1)])
def test_leap_days_are_in_one_age_only(today: dt.date) -> None:
    for birth in (dt.date(2000, 2, 28), dt.date(2000, 2, 29), dt.date(2000, 3, 1)):
        number = birth.year * 10_000 + birth.month * 100 + birth.day
        found: list[Any] = [PATIENTS.of_age(age, today=today).build() for age in range(110)]
        ages = [a for a, born in enumerate(found) if born.earliest <= number <= born.latest]
        assert ages == [age_of(birth, today)]


def test_today_is_today() -> None:
    today = dt.datetime.now().astimezone().date()
    found = PATIENTS.of_age(3)
    later = dt.datetime.now().astimezone().date()
    assert found in (PATIENTS.of_age(3, today=today), PATIENTS.of_age(3, today=later))


def test_a_period_may_be_open() -> None:
    body = PATIENTS.date_of_birth_between(None, dt.date(1980, 1, 31)).build().to_wire("me")
    assert body == {
        "healthcarePartyId": "me",
        "maxDateOfBirth": 19800131,
        "$type": "PatientByHcPartyDateOfBirthBetweenFilter",
    }


BAD: list[tuple[str, Any]] = [
    ("earliest date, the latest, or both", lambda: PATIENTS.date_of_birth_between(None, None)),
    ("comes after", lambda: PATIENTS.date_of_birth_between(19800102, 19800101)),
    ("earliest date, the latest, or both", PatientsByDateOfBirthFilter),
    *(
        ("YYYYMMDD", lambda bad=bad: PATIENTS.date_of_birth_between(bad, None))
        for bad in (0, 1980, "19800101", 1.5, True, dt.datetime(1980, 1, 1, tzinfo=dt.UTC), -1)
    ),
    *(
        ("age", lambda bad=bad: PATIENTS.of_age(bad))
        for bad in (-1, 200, "40", None, True, 40.0, 10**30)
    ),
    *(
        ("today", lambda bad=bad: PATIENTS.of_age(40, today=bad))
        for bad in ("2026-01-01", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.date(30, 1, 1))
    ),
    *(
        ("gender", lambda bad=bad: PATIENTS.by_gender_education_profession(bad))
        for bad in (None, "", "Male", 7, ["male"])
    ),
    ("education", lambda: PATIENTS.by_gender_education_profession("male", "")),
    ("profession", lambda: PATIENTS.by_gender_education_profession("male", "e", "")),
    (
        "needs the education",
        lambda: PATIENTS.by_gender_education_profession("male", profession="p"),
    ),
    *(
        ("ssin", lambda bad=bad: PATIENTS.with_ssins(bad))
        for bad in (None, [], "800203", [""], [7], [None], 7)
    ),
    *(("search for", lambda bad=bad: PATIENTS.contains_fuzzy(bad)) for bad in (None, 7, "", "…")),
    ("half of a character", lambda: PATIENTS.contains_fuzzy("stark\ud800")),
    ("half of a character", lambda: PATIENTS.with_ssins(["\udfff"])),
    ("identifiers", lambda: PATIENTS.by_identifiers([])),
    ("id in the filter", lambda: PATIENTS.by_ids(["a/b"])),
    ("ids must be a list", lambda: UserFilter().by_ids("a")),
    *(("patient id", lambda bad=bad: UserFilter().by_patient_id(bad)) for bad in (None, "", "a b")),
    ("label_type or a code_type", lambda: HealthcareProfessionalFilter().by_label_code_filter()),
    (
        "needs the label_type",
        lambda: HealthcareProfessionalFilter().by_label_code_filter(label_code="x"),
    ),
    (
        "needs the code_type",
        lambda: HealthcareProfessionalFilter().by_label_code_filter("t", "c", code_code="x"),
    ),
    ("label_type", lambda: HealthcareProfessionalFilter().by_label_code_filter("", "c")),
    ("data owner id", lambda: PATIENTS.for_data_owner("")),
    *(("at least one filter", lambda one=one: one.union([])) for one in OF_EVERY_KIND),
    *(("at least one filter", lambda one=one: one.intersection([])) for one in OF_EVERY_KIND),
    ("at least one filter", lambda: UnionFilter(filters=[])),
]


@pytest.mark.parametrize(("named", "build"), BAD)
def test_a_filter_that_cannot_be_built_names_what_is_wrong(named: str, build: Any) -> None:
    with pytest.raises(ValidationError, match=named):
        build()


def test_neither_messages_nor_reprs_show_whom_one_searches() -> None:
    for value in (EVERYTHING, EVERYTHING.build(), PATIENTS.with_ssins(["S3CRET"])):
        shown = repr(value)
        assert "Filter(" in shown
        for secret in ("stark", "S3CRET", "male", "1900", "'s'"):
            assert secret not in shown
    with pytest.raises(ValidationError) as caught:
        PATIENTS.by_gender_education_profession("S3CRET")  # type: ignore[arg-type]
    assert "S3CRET" not in str(caught.value)


# --- Encrypted members ----------------------------------------------------------------------------


def test_a_filter_says_which_members_it_searches() -> None:
    assert EVERYTHING.build().searched_members() == {
        "dateOfBirth": "date_of_birth",
        "education": "education",
        "firstName": "first_name",
        "gender": "gender",
        "identifier": "identifiers",
        "lastName": "last_name",
        "maidenName": "maiden_name",
        "profession": "profession",
        "spouseName": "spouse_name",
        "ssin": "ssin",
    }
    assert MALE.build().searched_members() == {"gender": "gender"}
    assert PATIENTS.by_ids(["a"]).build().searched_members() == {}
    assert (~STARK).searched_members() == STARK.build().searched_members()


def test_the_searched_members_are_those_of_the_model() -> None:
    names = {member.wire: member.name for member in members_of(Patient)}
    assert EVERYTHING.build().searched_members().items() <= names.items()


@pytest.mark.parametrize("encrypted", [["lastName"], {"last_name", "note"}, ("names", "lastName")])
def test_a_filter_on_an_encrypted_member_is_refused(encrypted: Any) -> None:
    for wanted in (STARK.build(), ~STARK, MALE | STARK, EVERYTHING.build()):
        with pytest.raises(ValidationError, match=r"searches last_name, .*with_encrypted_fields"):
            refuse_encrypted(wanted, encrypted)
    refuse_encrypted(MALE.build(), encrypted)
    refuse_encrypted(PatientsByGenderEducationProfessionFilter(gender="male"), ["education"])


def test_a_filter_for_another_kind_is_refused() -> None:
    assert filter_for("patient", STARK) == STARK.build()
    with pytest.raises(ValidationError, match=r"one for users, and is one for patients"):
        filter_for("user", ~STARK)
