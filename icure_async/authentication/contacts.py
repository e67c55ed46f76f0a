"""Phone numbers and email addresses, checked and normalised before anything is sent."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from typing import Final

from icure_async.errors import ValidationError

__all__ = ["normalise_email", "normalise_phone_number"]

# The library finds a number in any text, and reads letters as the keys of a telephone.
_PHONE_FORM: Final = re.compile(r"[+\uFF0B][\d\s().\-/\u2010-\u2015]+")


def normalise_phone_number(phone_number: str | None) -> str | None:
    """Return the number in E.164 (``+32470123456``); None for nothing or an empty text.

    Raises:
        ValidationError: it is not an international number.
    """
    text = _given(phone_number, "phone_number")
    if text is None:
        return None
    # Imported here: it loads the metadata of every country, and most programs never start a
    # process.
    import phonenumbers

    # Address books put invisible direction marks around numbers.
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    number = None
    if _PHONE_FORM.fullmatch(text):
        with contextlib.suppress(phonenumbers.NumberParseException):
            number = phonenumbers.parse(text)
    if number is None or phonenumbers.is_possible_number_with_reason(number) != (
        phonenumbers.ValidationResult.IS_POSSIBLE
    ):
        raise ValidationError(
            "phone_number is malformed: pass the international form with + and country code, for "
            "example +32470123456."
        )
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def normalise_email(email: str | None) -> str | None:
    """Return the address with its domain in lower case; None for nothing or an empty text.

    Raises:
        ValidationError: it is not an email address.
    """
    text = _given(email, "email")
    if text is None:
        return None
    import email_validator

    try:
        checked = email_validator.validate_email(
            text, check_deliverability=False, test_environment=True
        )
    except email_validator.EmailNotValidError:
        checked = None
    if checked is None:
        raise ValidationError(
            "email is malformed: pass a plain address, for example ned@winterfell.example."
        )
    return checked.normalized


def _given(value: object, what: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValidationError(f"{what} must be a text.")
    return value.strip() or None
