"""Dates and moments: the integers that iCure stores, and the values that Python has for them.

A *fuzzy date* is the integer ``YYYYMMDD``, with ``00`` for an unknown month or day; a *fuzzy
date-time* may also be ``YYYYMMDDhhmmss``; a *moment* is an integer in epoch milliseconds
(data-model.md §1). Members of models stay these integers.
"""

from __future__ import annotations

import datetime as dt
import enum
from typing import TYPE_CHECKING, Any, Final, cast

from icure_async.errors import ValidationError
from icure_async.models.fields import fits_64_bits, is_fuzzy_date

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "FUZZY_DATE",
    "FUZZY_DATE_TIME",
    "MOMENT",
    "DateForm",
    "day_or_moment",
    "epoch_milliseconds",
    "form_of",
    "given_date",
    "given_date_time",
    "given_moment",
    "known_parts",
    "to_date",
    "to_datetime",
    "to_fuzzy_date",
    "to_fuzzy_datetime",
    "whole_day",
]

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND: Final = dt.timedelta(milliseconds=1)
_A_DAY: Final = 1_000_000
"""A fuzzy date-time is its day times this, and its time written ``hhmmss``."""
_FIRST_DATE_TIME: Final = 10**13
_FIRST_MILLISECONDS: Final = 10**11
"""Of fewer digits, epoch milliseconds are before March 1973, and more likely something else."""
_PARTS: Final = 3


class DateForm(enum.Enum):
    """The forms in which members hold dates."""

    FUZZY_DATE = "fuzzy date"
    FUZZY_DATE_TIME = "fuzzy date-time"
    MOMENT = "moment"

    def converter(self) -> Callable[[Any], Any]:
        """Return what turns a date or a datetime into the integer, and leaves all else alone."""
        return _CONVERTERS[self]


FUZZY_DATE: Final[Mapping[str, Any]] = {"date_form": DateForm.FUZZY_DATE}
FUZZY_DATE_TIME: Final[Mapping[str, Any]] = {"date_form": DateForm.FUZZY_DATE_TIME}
MOMENT: Final[Mapping[str, Any]] = {"date_form": DateForm.MOMENT}
"""The metadata of a field that holds a date. Its ``converter=`` is one of the three below."""

if TYPE_CHECKING:

    def given_date(value: dt.date | int | None) -> int | None:
        """Tell type checkers that a field takes a date."""

    def given_date_time(value: dt.date | int | None) -> int | None:
        """Tell type checkers that a field takes a date or a datetime."""

    def given_moment(value: dt.datetime | int | None) -> int | None:
        """Tell type checkers that a field takes a datetime."""

else:
    # The slots convert (date_slots.py): converters of attrs would make each constructor and each
    # assignment, of any member, take several times as long.
    given_date = given_date_time = given_moment = None


def to_fuzzy_date(date: dt.date) -> int:
    """Return a date as iCure stores it: ``to_fuzzy_date(date(1980, 1, 31))`` is ``19800131``.

    Raises:
        ValidationError: it is not a date, or a datetime, whose day depends on the time zone.
    """
    if isinstance(date, dt.datetime):
        raise ValidationError(
            "A date is needed, and not a datetime, whose day depends on the time zone: pass "
            "its date()."
        )
    if not isinstance(date, dt.date):
        raise ValidationError("The date must be a datetime.date.")
    return date.year * 10_000 + date.month * 100 + date.day


def to_fuzzy_datetime(moment: dt.datetime) -> int:
    """Return a datetime in the form ``YYYYMMDDhhmmss``, which has no time zone.

    Args:
        moment: one with a time zone is written in UTC, as the backends' own are
            (server-behaviour.md §6.1), and one without as it is.

    Raises:
        ValidationError: it is not a datetime, or out of range.
    """
    if not isinstance(moment, dt.datetime):
        raise ValidationError("The moment must be a datetime.datetime.")
    written = moment if moment.tzinfo is None else _in_zone(moment, dt.UTC)
    time = written.hour * 10_000 + written.minute * 100 + written.second
    return to_fuzzy_date(written.date()) * _A_DAY + time


def to_date(value: int | None) -> dt.date | None:
    """Return the day that a fuzzy date names, or None where its month or day is not known.

    ``to_date(19800131)`` is ``date(1980, 1, 31)``, and ``to_date(19800100)`` is None.

    Args:
        value: such as ``patient.date_of_birth``. Of a fuzzy date-time, the time is left out.

    Raises:
        ValidationError: it is not a fuzzy date.
    """
    if value is None:
        return None
    if known_parts(value) is None:
        raise ValidationError(
            "That is not a fuzzy date, which is written YYYYMMDD or YYYYMMDDhhmmss. For epoch "
            "milliseconds, such as those of `created`, call to_datetime()."
        )
    return whole_day(value)


def to_datetime(value: int | None, tz: dt.tzinfo = dt.UTC) -> dt.datetime | None:
    """Return the moment that epoch milliseconds name, or None for None.

    Args:
        value: such as ``patient.created``.
        tz: the time zone of the result.

    Raises:
        ValidationError: it is not an integer, or out of range.
    """
    if value is None:
        return None
    if not _is_int(value):
        raise ValidationError("The moment must be an int in epoch milliseconds.")
    try:
        moment = _EPOCH + value * _MILLISECOND
    except OverflowError:
        raise ValidationError("The moment is out of range.") from None
    return _in_zone(moment, tz)


def known_parts(value: object) -> tuple[int, ...] | None:
    """Return the year, month and day of a fuzzy date as far as they are known.

    None stands for a value that is not a fuzzy date.
    """
    if not _is_int(value):
        return None
    number = cast("int", value)
    # Of fewer digits, it would be a moment, which must not pass for a date.
    day = number
    if number >= _FIRST_DATE_TIME and _is_time(number % _A_DAY):
        day = number // _A_DAY
    if not is_fuzzy_date(day):
        return None
    parts = (day // 10_000, day // 100 % 100, day % 100)
    return tuple(part for part in parts if part)


def form_of(value: object, form: DateForm) -> DateForm:
    """Return the form that a date has, in a member of some form.

    Where there may be a fuzzy date-time, others write epoch milliseconds, too.
    """
    may_be_either = form is DateForm.FUZZY_DATE_TIME and _is_int(value)
    if may_be_either and _FIRST_MILLISECONDS <= cast("int", value) < _FIRST_DATE_TIME:
        return DateForm.MOMENT
    return form


def whole_day(value: object) -> dt.date | None:
    """Return the day that a fuzzy date names.

    None stands for one whose month or day is not known, and for a value that is not a fuzzy date.
    """
    parts = known_parts(value)
    return dt.date(*parts) if parts is not None and len(parts) == _PARTS else None


def day_or_moment(value: object) -> dt.date | dt.datetime | None:
    """Return the day of a fuzzy date, or the moment of a fuzzy date-time, which has no time zone.

    None stands for one that is not known as far as its day, and for a value that is neither.
    """
    day = whole_day(value)
    number = cast("int", value)
    if day is None or number < _FIRST_DATE_TIME:
        return day
    time = number % _A_DAY
    try:
        return dt.datetime.combine(day, dt.time(time // 10_000, time // 100 % 100, time % 100))
    except ValueError:
        return None


def epoch_milliseconds(moment: object, what: str = "date") -> int:
    """Return a moment as iCure stores it.

    Args:
        moment: a datetime (without a time zone, it is local time, as everywhere in Python), or
            epoch milliseconds.
        what: its name in the message.

    Raises:
        ValidationError: it is neither, or out of range.
    """
    if isinstance(moment, dt.datetime):
        try:
            return (moment.astimezone(dt.UTC) - _EPOCH) // _MILLISECOND
        except (OverflowError, OSError, ValueError):
            raise ValidationError(f"The {what} is out of range.") from None
    if not _is_int(moment):
        raise ValidationError(f"The {what} must be a datetime, or an int in epoch milliseconds.")
    if not fits_64_bits(number := cast("int", moment)):
        raise ValidationError(f"The {what} is out of range.")
    return number


def _in_zone(moment: dt.datetime, tz: dt.tzinfo) -> dt.datetime:
    try:
        return moment.astimezone(tz)
    except (OverflowError, ValueError):
        raise ValidationError("The moment is out of range.") from None


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_time(number: int) -> bool:
    hour, minute, second = number // 10_000, number // 100 % 100, number % 100
    # 24 and 60: the end of a day, and a leap second.
    return hour <= 24 and minute < 60 and second <= 60


def _written_date(value: Any) -> Any:
    return to_fuzzy_date(value) if isinstance(value, dt.date) else value


def _written_date_time(value: Any) -> Any:
    return to_fuzzy_datetime(value) if isinstance(value, dt.datetime) else _written_date(value)


def _written_moment(value: Any) -> Any:
    return epoch_milliseconds(value) if isinstance(value, dt.datetime) else value


_CONVERTERS: Final[Mapping[DateForm, Callable[[Any], Any]]] = {
    DateForm.FUZZY_DATE: _written_date,
    DateForm.FUZZY_DATE_TIME: _written_date_time,
    DateForm.MOMENT: _written_moment,
}
