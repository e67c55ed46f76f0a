"""Dates and moments: set as the values of Python, held as the integers of iCure, read as either."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async import to_date, to_datetime, to_fuzzy_date, to_fuzzy_datetime
from icure_async.errors import ValidationError
from icure_async.models import Notification, Patient, PersonName, Property, TypedValueObject, User
from icure_async.models.base import ValueModel
from icure_async.models.dates import (
    FUZZY_DATE_TIME,
    day_or_moment,
    epoch_milliseconds,
    given_date_time,
)
from icure_async.models.fields import is_fuzzy_date, members_of
from icure_async.models.validation import validate_patient_for_saving
from icure_async.models.wire import from_wire, to_wire

BRUSSELS = ZoneInfo("Europe/Brussels")
NOON = dt.datetime(2024, 2, 29, 12, 30, 15, tzinfo=BRUSSELS)
NOON_MS = 1_709_206_215_000
MOMENTS = st.datetimes(
    dt.datetime.fromisoformat("0001-01-02"),
    dt.datetime.fromisoformat("9999-12-30"),
    timezones=st.just(dt.UTC),
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))


@attrs.define(kw_only=True, repr=False)
class Visit(ValueModel):
    """A model with a fuzzy date-time, as later kinds of records have them."""

    at: int | None = attrs.field(default=None, converter=given_date_time, metadata=FUZZY_DATE_TIME)


def test_a_date_becomes_the_integer_of_the_wire_at_once() -> None:
    patient = Patient(first_name="Ned", date_of_birth=dt.date(1980, 1, 31))
    assert patient.date_of_birth == 19800131
    assert type(patient.date_of_birth) is int
    patient.date_of_birth = dt.date(1980, 2, 1)  # type: ignore[assignment]
    assert patient.date_of_birth == 19800201
    assert patient.evolve(date_of_death=dt.date(2020, 12, 24)).date_of_death == 20201224
    assert to_wire(patient)["dateOfBirth"] == patient.to_dict()["dateOfBirth"] == 19800201
    validate_patient_for_saving(patient, creating=True)
    assert PersonName(start=dt.date(1999, 5, 6), end=None).start == 19990506


def test_a_datetime_becomes_epoch_milliseconds_at_once() -> None:
    patient = Patient(end_of_life=NOON, created=NOON)
    assert (patient.end_of_life, patient.created) == (NOON_MS, NOON_MS)
    assert TypedValueObject(type="DATE", date_value=NOON).date_value == NOON_MS
    assert Property(deleted=NOON).deleted == NOON_MS
    local = NOON.astimezone().replace(tzinfo=None)
    assert Notification(modified=local).modified == NOON_MS


def test_a_fuzzy_date_time_takes_both() -> None:
    assert Visit(at=dt.date(2024, 2, 29)).at == 20240229
    assert Visit(at=NOON).at == 20240229113015
    assert Visit(at=NOON.replace(tzinfo=None)).at == 20240229123015
    assert day_or_moment(20240229113015) == dt.datetime.fromisoformat("2024-02-29T11:30:15")
    assert day_or_moment(20240229) == dt.date(2024, 2, 29)
    for unknown in (20240200113015, 20240200, 20240229240000, 5, None, "x"):
        assert day_or_moment(unknown) is None


def test_a_datetime_is_no_date_since_its_day_depends_on_the_time_zone() -> None:
    with pytest.raises(ValidationError, match=r"pass its date\(\)"):
        Patient(date_of_birth=NOON)
    with pytest.raises(ValidationError, match="out of range"):
        Patient(created=dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=9))))


@pytest.mark.parametrize("value", [None, 0, 19800100, "1980", 1.5, True, {"a": 1}])
def test_every_other_value_stays_as_it_is(value: Any) -> None:
    patient = Patient(date_of_birth=value, created=value)
    assert patient.date_of_birth is value
    assert patient.created is value


def test_a_date_where_a_moment_is_needed_is_refused_with_the_forms_that_fit() -> None:
    patient = Patient(first_name="Ned", end_of_life=dt.date(2020, 1, 1))  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="end_of_life must be a datetime, or an int in epoch"):
        validate_patient_for_saving(patient, creating=True)


def test_models_with_dates_are_copied_pickled_compared_and_emptied() -> None:
    patient = Patient(date_of_birth=dt.date(1980, 1, 31), names=[PersonName(start=19990000)])
    for other in (copy.copy(patient), copy.deepcopy(patient), pickle.loads(pickle.dumps(patient))):
        assert other == patient
    assert Patient.from_dict(patient.to_dict()) == patient
    read = from_wire(Patient, to_wire(patient))
    assert (read.date_of_birth, read.names) == (patient.date_of_birth, patient.names)
    del patient.date_of_birth
    assert not hasattr(patient, "date_of_birth")


def test_every_member_that_is_documented_as_a_moment_takes_one() -> None:
    for model in (Patient, Notification, User, Property, TypedValueObject):
        assert model.__doc__ is not None
        documented = {
            line.partition(":")[0].strip()
            for line in model.__doc__.splitlines()
            if "in epoch milliseconds" in line
        }
        marked = {member.name for member in members_of(model) if member.date_form is not None}
        assert documented
        assert documented <= marked


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (19800131, dt.date(1980, 1, 31)),
        (10101, dt.date(1, 1, 1)),
        (99991231, dt.date(9999, 12, 31)),
        (20240229113015, dt.date(2024, 2, 29)),
        (20240200113015, None),
        (19800100, None),
        (19800000, None),
        (None, None),
    ],
)
def test_a_fuzzy_date_is_read_as_a_day_where_it_is_one(value: int | None, day: dt.date) -> None:
    assert to_date(value) == day
    assert Patient(date_of_birth=value, date_of_death=value).date_of_birth_as_date == day


@pytest.mark.parametrize(
    "value", [0, -19800131, 1980, 19800231, 19801301, 19800015, NOON_MS, 1701231000000, 2**70]
)
def test_no_other_integer_passes_for_a_date(value: int) -> None:
    with pytest.raises(ValidationError, match="not a fuzzy date") as caught:
        to_date(value)
    assert str(value) not in str(caught.value) or value == 0
    assert Patient(date_of_death=value).date_of_death_as_date is None


@pytest.mark.parametrize("value", ["19800131", 1.5, True, b"", [], dt.date(1980, 1, 1)])
def test_what_is_no_integer_is_no_stored_date(value: Any) -> None:
    with pytest.raises(ValidationError):
        to_date(value)
    with pytest.raises(ValidationError):
        to_datetime(value)


@given(st.dates())
def test_every_date_survives(day: dt.date) -> None:
    assert to_date(to_fuzzy_date(day)) == day
    assert is_fuzzy_date(to_fuzzy_date(day))


@given(MOMENTS)
def test_every_millisecond_survives(moment: dt.datetime) -> None:
    assert to_datetime(epoch_milliseconds(moment)) == moment


@given(st.integers(10**9, 4 * 10**12))
def test_no_moment_passes_for_a_date(value: int) -> None:
    assert day_or_moment(value) is None


def test_moments_are_read_in_the_time_zone_that_is_asked_for() -> None:
    assert to_datetime(NOON_MS) == NOON
    assert to_datetime(NOON_MS, BRUSSELS).isoformat() == "2024-02-29T12:30:15+01:00"  # type: ignore[union-attr]
    assert to_datetime(None) is None
    for far in (2**63, -(2**63)):
        with pytest.raises(ValidationError, match="out of range"):
            to_datetime(far)


def test_only_dates_are_written_as_dates() -> None:
    wrong: Any
    for wrong in ("1980-01-31", 19800131, None):
        with pytest.raises(ValidationError, match=r"must be a datetime\.date"):
            to_fuzzy_date(wrong)
    for wrong in (dt.date(1980, 1, 31), 5, None):
        with pytest.raises(ValidationError, match=r"must be a datetime\.datetime"):
            to_fuzzy_datetime(wrong)
    with pytest.raises(ValidationError, match="out of range"):
        to_fuzzy_datetime(dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=9))))
