"""Checks of arguments, before anything is sent.

No message holds a value: they name members, and the constants that are allowed.
"""

import datetime as dt
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeGuard, TypeVar, cast, get_args, get_origin

import attrs

from icure_async.errors import ValidationError
from icure_async.models.base import EntityModel, Model, has_id
from icure_async.models.coding import Coding
from icure_async.models.dates import DateForm
from icure_async.models.enums import NotificationStatus, SharedDataType
from icure_async.models.fields import fits_64_bits, is_finite, is_fuzzy_date, members_of
from icure_async.models.healthcare_element import EncryptedHealthcareElement, HealthcareElement
from icure_async.models.healthcare_professional import HealthcareProfessional
from icure_async.models.medical_device import MedicalDevice
from icure_async.models.notification import Notification
from icure_async.models.patient import EncryptedPatient, Patient

__all__ = [
    "UnusualValueError",
    "check_members",
    "coding_id_of",
    "require_class",
    "validate_coding_for_saving",
    "validate_device_for_saving",
    "validate_healthcare_element_for_saving",
    "validate_id",
    "validate_notification_for_saving",
    "validate_notification_status",
    "validate_page_size",
    "validate_patient_for_saving",
    "validate_professional_for_saving",
    "validate_record_for_saving",
    "validate_shared_data_type",
    "validate_token_validity",
]

RecordT = TypeVar("RecordT", bound=EntityModel)

_FORBIDDEN_IN_IDS = re.compile(r"[/\\?#%\s\x00-\x1f\x7f-\x9f]")

_DEEPEST_JSON = 50
_NUMBERS = frozenset({float, int})

_WORDS: dict[object, str] = {
    bool: "a bool",
    bytes: "bytes",
    float: "a float",
    int: "an int",
    str: "a str",
}


_DATES: dict[DateForm, str] = {
    DateForm.FUZZY_DATE: "a datetime.date, or an int written YYYYMMDD",
    DateForm.FUZZY_DATE_TIME: "a date, a datetime, or an int written YYYYMMDD or YYYYMMDDhhmmss",
    DateForm.MOMENT: "a datetime, or an int in epoch milliseconds",
}


class UnusualValueError(ValidationError):
    """A value has the right type and may not be set anew. One that was read may stay."""


def validate_id(value: object, what: str = "id") -> str:
    r"""Return an id that may be part of a path, or raise.

    Args:
        value: the id.
        what: its name in the message, for example ``"patient id"``.

    Raises:
        ValidationError: it is no text, empty, or holds a blank, a control character or one of
            ``/ \ ? # %``, which backends refuse (server-behaviour.md §4.2).
    """
    if not isinstance(value, str):
        given = type(value).__name__
        hint = f", and this is a {given}: pass its id" if hasattr(value, "id") else ""
        raise ValidationError(f"The {what} must be a str{hint}.")
    if not value:
        raise ValidationError(f"The {what} must not be empty.")
    if _FORBIDDEN_IN_IDS.search(value):
        raise ValidationError(
            rf"The {what} must not contain / \ ? # %, blanks or control characters."
        )
    return value


def validate_token_validity(validity: object, what: str) -> int:
    """Return how many seconds a token is to work.

    Raises:
        ValidationError: it is no timedelta of at least one second.
    """
    if not isinstance(validity, dt.timedelta) or validity < dt.timedelta(seconds=1):
        raise ValidationError(f"{what} must be a timedelta of at least one second.")
    return int(validity.total_seconds())


def validate_page_size(page_size: object) -> int:
    """Return a number of records to read at a time.

    Raises:
        ValidationError: it is not a positive integer.
    """
    if not isinstance(page_size, int) or isinstance(page_size, bool) or page_size < 1:
        raise ValidationError("page_size must be a positive int.")
    return page_size


def validate_record_for_saving(
    record: object, classes: tuple[type[EntityModel], ...], noun: str, *, creating: bool
) -> None:
    """Raise unless a record can be sent to the backend.

    Enumerations are held to the known constants only when it is created: a record read from a newer
    backend may have others, and keeps them.

    Args:
        record: the record about to be saved.
        classes: the models it may be.
        noun: its kind in words.
        creating: whether it is created, as opposed to modified.

    Raises:
        ValidationError: a member has the wrong type or a value that is not allowed; it names the
            member.
    """
    found = require_class(record, classes, noun)
    if has_id(found):
        validate_id(found.id, f"{noun} id")
    check_members(found, creating=creating)
    _require_rev(found, noun, creating=creating)


def require_class(record: object, classes: tuple[type[RecordT], ...], noun: str) -> RecordT:
    """Return a record that is of one of some classes.

    Raises:
        ValidationError: it is something else.
    """
    if not isinstance(record, classes):
        name = classes[0].__name__
        advice = f": {name}.from_dict() makes one of a dict" if isinstance(record, dict) else ""
        raise ValidationError(f"The {noun} must be a {name}{advice}.")
    return record


def check_members(record: Model, *, creating: bool) -> None:
    """Raise unless the members of a record have the types and values that they may have.

    Raises:
        ValidationError: one has not; it names the member.
    """
    _check_model(record, "", constants=creating)


def _require_rev(record: EntityModel, noun: str, *, creating: bool) -> None:
    if not creating and not (record.id and record.rev):
        raise ValidationError(
            f"A {noun} that is modified needs its id and its rev: pass the {noun} as it was read, "
            "with changes."
        )


def validate_patient_for_saving(patient: Patient | EncryptedPatient, *, creating: bool) -> None:
    """Raise unless the patient can be sent to the backend (:func:`validate_record_for_saving`).

    Args:
        patient: the patient about to be saved.
        creating: whether it is created, as opposed to modified.

    Raises:
        ValidationError: as there, or a new patient has no name.
    """
    validate_record_for_saving(patient, (Patient, EncryptedPatient), "patient", creating=creating)
    if creating and not (patient.first_name or patient.last_name):
        raise ValidationError(
            "A patient needs a first_name or a last_name: backends refuse one without either."
        )


def validate_notification_for_saving(notification: Notification, *, creating: bool) -> None:
    """Raise unless the notification can be sent to the backend.

    Args:
        notification: the notification about to be saved.
        creating: whether it is created, as opposed to modified.

    Raises:
        ValidationError: as in :func:`validate_record_for_saving`, or a new one has no type.
    """
    validate_record_for_saving(notification, (Notification,), "notification", creating=creating)
    if creating and notification.type is None:
        raise ValidationError("A notification needs a type: for one of your own, it is OTHER.")


def validate_healthcare_element_for_saving(
    element: HealthcareElement | EncryptedHealthcareElement, *, creating: bool
) -> None:
    """Raise unless the healthcare element can be sent to the backend.

    Args:
        element: the healthcare element about to be saved.
        creating: whether it is created, as opposed to modified.

    Raises:
        ValidationError: as in :func:`validate_record_for_saving`, or the id that its versions have
            in common may not be one.
    """
    classes = (HealthcareElement, EncryptedHealthcareElement)
    validate_record_for_saving(element, classes, "healthcare element", creating=creating)
    # One that is stored may stay as it is.
    if creating and element.healthcare_element_id is not None:
        validate_id(element.healthcare_element_id, "healthcare_element_id")


def validate_coding_for_saving(coding: Coding, *, creating: bool) -> None:
    """Raise unless the coding can be sent to the backend.

    Args:
        coding: the coding about to be saved.
        creating: whether it is created, as opposed to modified.

    Raises:
        ValidationError: a member has the wrong type, its type, code or version is missing, or its
            id is not made of these.
    """
    require_class(coding, (Coding,), "coding")
    check_members(coding, creating=creating)
    coding_id = coding_id_of(coding)
    if has_id(coding) and coding.id != coding_id:
        raise ValidationError(
            "The id of a coding is its type, its code and its version, joined by |, and this one "
            "has another: leave it out. Another type, code or version makes another coding."
        )
    _require_rev(coding, "coding", creating=creating)


def coding_id_of(coding: Coding) -> str:
    """Return the id that backends give to a coding (server-behaviour.md §10.10).

    Raises:
        ValidationError: its type, code or version is missing, or can't be part of an id.
    """
    parts = {"type": coding.type, "code": coding.code, "version": coding.version}
    for name, part in parts.items():
        if not part:
            raise ValidationError(f"A coding needs a {name}: backends refuse one without it.")
        if "|" in part or part != part.strip() or not part.isprintable():
            raise ValidationError(
                f"The {name} of a coding must not contain | or control characters, nor begin or "
                "end with a blank: it is part of its id."
            )
    return "|".join(str(part) for part in parts.values())


def validate_device_for_saving(device: MedicalDevice, *, creating: bool) -> None:
    """Raise unless the medical device can be sent to the backend.

    Args:
        device: the device about to be saved.
        creating: whether it is created, as opposed to modified.

    Raises:
        ValidationError: as in :func:`validate_record_for_saving`, or it is its own parent.
    """
    validate_record_for_saving(device, (MedicalDevice,), "medical device", creating=creating)
    _check_parent(device.id, device.parent_id)


def validate_professional_for_saving(
    professional: HealthcareProfessional, *, creating: bool
) -> None:
    """Raise unless the healthcare professional can be sent to the backend.

    Args:
        professional: the professional about to be saved.
        creating: whether it is created, as opposed to modified.

    Raises:
        ValidationError: as in :func:`validate_device_for_saving`, or it has no name.
    """
    noun = "healthcare professional"
    validate_record_for_saving(professional, (HealthcareProfessional,), noun, creating=creating)
    _check_parent(professional.id, professional.parent_id)
    if not creating and professional.unknown_fields is None:
        # Perhaps the stored one has a number in a register: known once that is read.
        return
    unknown = professional.unknown_fields or {}
    if not (
        professional.name
        or professional.last_name
        or any(
            name.use == "official" and (name.last_name or name.text) for name in professional.names
        )
        or unknown.get("nihii")
        or unknown.get("ssin")
    ):
        raise ValidationError(
            "A healthcare professional needs a name or a last_name: backends refuse one without "
            "either."
        )


def validate_notification_status(status: object) -> None:
    """Raise unless a notification may be given this status.

    Raises:
        ValidationError: it is not one of the known constants.
    """
    _check(status, NotificationStatus, "status", constants=True)


def validate_shared_data_type(category: object) -> str:
    """Return a category of data that a user shares.

    Raises:
        ValidationError: it is not one of the known constants.
    """
    _check(category, SharedDataType, "data_type", constants=True)
    return str(category)


def _check_parent(owner_id: str, parent_id: str | None) -> None:
    # An empty one, which backends may have, names nobody.
    if not parent_id:
        return
    validate_id(parent_id, "parent_id")
    if parent_id == owner_id:
        raise ValidationError(
            f"The parent_id of data owner {owner_id} is its own id: pass that of another one, or "
            "None."
        )


def _check_model(model: Model, path: str, *, constants: bool) -> None:
    for member in members_of(cast("Any", type(model))):
        value = getattr(model, member.name)
        if value is None and member.default is None:
            continue
        if value is not None and _is_as_read(model, member.name, value):
            continue
        step = f"{path}.{member.name}" if path else member.name
        if member.is_fuzzy_date:
            _check_fuzzy_date(value, step)
        elif member.date_form is not None:
            _require(_is_int(value), step, _DATES[member.date_form])
        _check(value, member.kind, step, constants=constants)


def _is_as_read(model: Model, name: str, value: object) -> bool:
    """Return whether an unusual value is the one that was read: it goes back the way it came."""
    assumed = model.assumed_fields.get(name)
    return type(assumed) is type(value) and assumed == value


def _check(value: Any, kind: Any, path: str, *, constants: bool) -> None:
    """Check a value against the declared type of its attribute."""
    origin = get_origin(kind)
    if origin is Literal:
        _require(isinstance(value, str), path, "a str")
        if constants and value not in get_args(kind):
            allowed = ", ".join(get_args(kind))
            raise ValidationError(f"{path} must be one of: {allowed}.")
    elif kind is Any:
        _check_json(value, path, 0)
    elif origin is list:
        _require(isinstance(value, list), path, "a list")
        if get_args(kind)[0] is float and _are_numbers(value):
            return
        for index, item in enumerate(cast("list[Any]", value)):
            _check(item, get_args(kind)[0], f"{path}[{index}]", constants=constants)
    elif origin is dict:
        _require(isinstance(value, Mapping), path, "a dict")
        for key, item in cast("Mapping[Any, Any]", value).items():
            _require(isinstance(key, str), f"Every key of {path}", "a str")
            _check(item, get_args(kind)[1], f"{path}[*]", constants=constants)
    elif attrs.has(kind):
        _require(isinstance(value, kind), path, f"a {kind.__name__}")
        _check_model(value, path, constants=constants)
    else:
        _check_scalar(value, kind, path)


def _check_json(value: object, path: str, depth: int) -> None:
    """Check a value that is kept as JSON, whatever it means."""
    if depth > _DEEPEST_JSON:
        raise ValidationError(f"{path} lies too deep: more than {_DEEPEST_JSON} levels.")
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[object, object]", value).items():
            _require(isinstance(key, str), f"Every key of {path}", "a str")
            _check_json(item, f"{path}[*]", depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            _check_json(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, float):
        _check_scalar(value, float, path)
    elif _is_int(value):
        _check_scalar(value, int, path)
    else:
        fits = value is None or isinstance(value, str | bool)
        _require(fits, path, "a JSON value: a dict, a list, a str, a number, a bool or None")


def _are_numbers(values: list[Any]) -> bool:
    """Return whether all are finite numbers, of which there may be millions."""
    try:
        return _NUMBERS.issuperset(map(type, values)) and all(map(math.isfinite, values))
    except OverflowError:
        return False


def _check_scalar(value: Any, kind: type, path: str) -> None:
    accepted = (int, float) if kind is float else kind
    fits = isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))
    _require(fits, path, _WORDS[kind])
    if kind is int and not fits_64_bits(value):
        raise UnusualValueError(f"{path} must fit in 64 bits.")
    if kind is float and not is_finite(value):
        raise UnusualValueError(f"{path} must be finite.")


def _require(condition: bool, path: str, expected: str) -> None:
    if not condition:
        raise ValidationError(f"{path} must be {expected}.")


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_fuzzy_date(value: object, name: str) -> None:
    if value is None:
        return
    if not _is_int(value):
        raise ValidationError(
            f"{name} must be a datetime.date, or an int written YYYYMMDD, like 19800131 for 31 "
            "January 1980."
        )
    if not is_fuzzy_date(value):
        raise UnusualValueError(
            f"{name} must be a date written as the integer YYYYMMDD, with 00 for an unknown month "
            "or day."
        )
