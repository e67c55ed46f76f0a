"""Checks of the values that filters compare with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from icure_async.errors import ValidationError
from icure_async.models.base import has_id
from icure_async.models.codes import Identifier
from icure_async.models.dates import (
    epoch_milliseconds,
    known_parts,
    to_fuzzy_date,
    to_fuzzy_datetime,
)
from icure_async.models.fields import is_fuzzy_date
from icure_async.models.patient import EncryptedPatient, Patient
from icure_async.models.validation import validate_id

if TYPE_CHECKING:
    import attrs

__all__ = [
    "check_text",
    "concealed",
    "listed",
    "to_birth_date",
    "to_coding_ids",
    "to_first_moment",
    "to_identifiers",
    "to_ids",
    "to_last_moment",
    "to_moment",
    "to_optional_id",
    "to_patients",
    "to_search_text",
    "to_secret_ids",
    "to_ssins",
    "to_text",
]

_FIRST_DATE_TIME: Final = 10**13


def to_moment(moment: dt.datetime | int) -> int:
    """Return a moment in epoch milliseconds, or raise a ValidationError."""
    return epoch_milliseconds(moment)


def to_birth_date(date: dt.date | int | None) -> int | None:
    """Return a date as the integer YYYYMMDD, or raise a ValidationError."""
    if date is None:
        return None
    if isinstance(date, dt.date) and not isinstance(date, dt.datetime):
        return to_fuzzy_date(date)
    if not isinstance(date, int) or isinstance(date, bool) or not is_fuzzy_date(date):
        raise ValidationError(
            "A date of birth must be a datetime.date, or an int written YYYYMMDD, like 19800131 "
            "for 31 January 1980."
        )
    return date


def to_ids(ids: Iterable[str]) -> tuple[str, ...]:
    """Return distinct ids, or raise a ValidationError.

    There may be none: such a filter finds nothing.
    """
    given = listed(ids, "ids", "ids")
    return tuple(dict.fromkeys(validate_id(item, "id in the filter") for item in given))


def to_coding_ids(ids: Iterable[str]) -> tuple[str, ...]:
    """Return distinct ids of codings, which may hold blanks, or raise a ValidationError.

    There may be none: such a filter finds nothing.
    """
    given = listed(ids, "ids", "ids")
    return tuple(dict.fromkeys(to_text(item, "id in the filter") for item in given))


def to_secret_ids(secret_ids: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return distinct secret ids, or raise a ValidationError."""
    if secret_ids is None:
        return None
    given = listed(secret_ids, "secret_ids", "texts")
    return tuple(dict.fromkeys(to_text(item, "secret id in the filter") for item in given))


def to_patients(patients: Iterable[Patient | str]) -> tuple[Patient | str, ...]:
    """Return at least one patient, or id of one, or raise a ValidationError."""
    given = listed(patients, "patients", "Patients, or of ids of patients")
    if not given:
        raise ValidationError("patients must not be empty: pass at least one Patient, or its id.")
    return tuple(_to_patient(patient) for patient in given)


def _to_patient(patient: object) -> Patient | str:
    if isinstance(patient, str):
        return validate_id(patient, "patient id in the filter")
    if not isinstance(patient, Patient):
        closed = isinstance(patient, EncryptedPatient)
        problem = "no key on this device opens this one" if closed else "this is something else"
        raise ValidationError(f"patients must be Patients, or ids of patients: {problem}.")
    if not has_id(patient):
        raise ValidationError("A Patient in the filter has no id: save it first.")
    return patient


def to_first_moment(date: dt.date | int | None) -> int | None:
    """Return where a range of fuzzy date-times begins, or raise a ValidationError."""
    return _to_bound(date, "start_value_date", (1, 1), 0)


def to_last_moment(date: dt.date | int | None) -> int | None:
    """Return where a range of fuzzy date-times ends, or raise a ValidationError."""
    return _to_bound(date, "end_value_date", (12, 31), 235959)


def _to_bound(value: object, what: str, unknown: tuple[int, int], time: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, dt.datetime):
        return to_fuzzy_datetime(value)
    number = to_fuzzy_date(value) if isinstance(value, dt.date) else value
    parts = known_parts(number)
    if parts is None:
        raise ValidationError(
            f"{what} must be a date, a datetime, or an int written YYYYMMDD or YYYYMMDDhhmmss."
        )
    if cast("int", number) >= _FIRST_DATE_TIME:
        return cast("int", number)
    # Backends compare numbers of 14 digits (server-behaviour.md §9.4).
    year, month, day = (*parts, *unknown[len(parts) - 1 :])
    return ((year * 100 + month) * 100 + day) * 1_000_000 + time


def to_optional_id(data_owner_id: str | None) -> str | None:
    """Return the id of a data owner, or raise a ValidationError."""
    return None if data_owner_id is None else validate_id(data_owner_id, "data owner id")


def to_identifiers(identifiers: Iterable[Identifier]) -> tuple[Identifier, ...]:
    """Return copies of identifiers, or raise a ValidationError."""
    given = listed(identifiers, "identifiers", "Identifiers")
    if not all(isinstance(identifier, Identifier) for identifier in given):
        raise ValidationError("identifiers must be a list of Identifiers.")
    if not given:
        raise ValidationError("identifiers must not be empty: pass at least one Identifier.")
    # A filter is a value: later changes of the caller's objects do not change it.
    copies = tuple(cast("Identifier", identifier).evolve() for identifier in given)
    for identifier in copies:
        # Backends find by the system, and by the value within it (server-behaviour.md §9.4).
        to_text(identifier.system, "system of an Identifier in the filter")
        if identifier.value is not None:
            to_text(identifier.value, "value of an Identifier in the filter")
    return copies


def to_text(text: object, what: str) -> str:
    """Return a text that is not empty, or raise a ValidationError that names it."""
    if not isinstance(text, str) or not text:
        raise ValidationError(f"The {what} must be a str, and not be empty.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValidationError(f"The {what} holds half of a character, which can't be sent.")
    return text


def check_text(_: object, attribute: attrs.Attribute[Any], text: object) -> None:
    """Raise a ValidationError unless a field is a text, or None where that is its default."""
    if text is not None or attribute.default is not None:
        to_text(text, attribute.name)


def to_ssins(ssins: Iterable[str]) -> tuple[str, ...]:
    """Return at least one number in a national register, or raise a ValidationError."""
    given = listed(ssins, "ssins", "texts")
    if not given:
        raise ValidationError("ssins must not be empty: pass at least one.")
    return tuple(to_text(ssin, "ssin") for ssin in given)


def to_search_text(text: object) -> str:
    """Return a text to search names for, or raise a ValidationError.

    Backends compare letters and digits only, and find everybody with a text that has none of them
    (server-behaviour.md §9.4).
    """
    wanted = to_text(text, "text to search for")
    if not any(character.isalnum() for character in wanted):
        raise ValidationError(
            "The text to search for must have a letter or a digit: backends ignore everything "
            "else, and would find everybody. To find everybody, leave out this criterion."
        )
    return wanted


def listed(values: object, what: str, items: str) -> list[object]:
    """Return the items of an iterable that is no text, or raise a ValidationError."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ValidationError(f"{what} must be a list of {items}.")
    return list(cast("Iterable[object]", values))


def concealed(_: object) -> str:
    """Stand for a value in the repr of a filter: it may be somebody's name."""
    return "…"
