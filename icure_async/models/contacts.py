"""Phone numbers and email addresses, cleaned and checked before anything is sent.

Contacts that the reference accepts go through as they are (wire-protocol.md §3.1), since one may be
the login of an account that exists: no numbering plan, and no list of domains, keeps it out.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from typing import Final

from icure_async.errors import ValidationError

__all__ = ["clean_contact", "normalise_email", "normalise_phone_number"]

_E164: Final = re.compile(r"\+[1-9][0-9]{3,14}")
# The library finds a number in any text, and reads letters as the keys of a telephone.
_PHONE_FORM: Final = re.compile(r"\+[0-9 ().\-/\u2010-\u2015\u2212]+")
_PLUS_SIGNS: Final = str.maketrans("\uff0b", "+")

_ATOM: Final = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]"
_QUOTED: Final = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
# Old addresses of some providers have dots at the ends, or two in a row.
_LOCAL: Final = rf"(?:\.*{_ATOM}(?:{_ATOM}|\.)*|{_QUOTED})"
_DOMAIN: Final = (
    rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9.]+\]|\[[a-z0-9-]*[a-z0-9]:(?:[!-Z^-~]|\\[ -~])+\])"
)
# Names of this kind are not refused for their ends, as "localhost" and "local" are.
_ANY_DOMAIN: Final = "mail.example"


def clean_contact(text: str) -> str:
    """Return a text as people mean it, whatever an address book or a web page put into it.

    Invisible marks are removed, as are blanks at the ends; every other blank is a plain one, and
    letters with marks are in one form (Unicode NFC).
    """
    visible = (character for character in text if unicodedata.category(character) != "Cf")
    plain = "".join(" " if character.isspace() else character for character in visible)
    return unicodedata.normalize("NFC", plain.strip())


def normalise_phone_number(phone_number: str | None) -> str | None:
    """Return the number in E.164 (``+32470123456``); None for nothing or an empty text.

    A number in E.164 is returned as it is, even if no number can be like that today.

    Raises:
        ValidationError: it is not an international number.
    """
    text = _given(phone_number, "phone_number")
    if text is None:
        return None
    text = "".join(map(_ascii_digit, text)).translate(_PLUS_SIGNS)
    number = text if _E164.fullmatch(text) else _e164_of(text)
    if number is None:
        raise ValidationError(
            "phone_number is malformed: pass the international form with + and country code, for "
            "example +32470123456."
        )
    return number


def normalise_email(email: str | None) -> str | None:
    """Return the address in lower case, its domain in ASCII; None for nothing or an empty text.

    Mailboxes that differ in case only are one and the same everywhere, and the reference knows no
    capital letters.

    Raises:
        ValidationError: it is not an email address.
    """
    text = _given(email, "email")
    if text is None:
        return None
    address = _lower(text)
    if re.fullmatch(f"{_LOCAL}@{_DOMAIN}", address):
        return address
    international = _international_address(address)
    if international is None:
        raise ValidationError(
            "email is malformed: pass a plain address, for example ned@winterfell.example."
        )
    return international


def _given(value: object, what: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValidationError(f"{what} must be a text.")
    return clean_contact(value) or None


def _ascii_digit(character: str) -> str:
    return str(unicodedata.decimal(character, character))


def _e164_of(text: str) -> str | None:
    """Return a number that people wrote with blanks and the like, or None for anything else."""
    # Imported here: it loads the metadata of every country, and most programs never start a
    # process.
    import phonenumbers

    number = None
    if _PHONE_FORM.fullmatch(text):
        with contextlib.suppress(phonenumbers.NumberParseException):
            number = phonenumbers.parse(text)
    if number is None or not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _international_address(text: str) -> str | None:
    local, _, domain = text.rpartition("@")
    if not re.fullmatch(_LOCAL, local):
        local = _international(local, _ANY_DOMAIN).rpartition("@")[0]
    if not re.fullmatch(_DOMAIN, domain):
        domain = _international("anybody", f"{domain}.{_ANY_DOMAIN}").rpartition("@")[2]
        domain = domain.removesuffix(f".{_ANY_DOMAIN}")
    return f"{local}@{domain}" if local and domain else None


def _international(local: str, domain: str) -> str:
    """Return an address with letters beyond ASCII, its domain in ASCII; empty if malformed."""
    import email_validator

    try:
        checked = email_validator.validate_email(f"{local}@{domain}", check_deliverability=False)
    except email_validator.EmailNotValidError:
        return ""
    return _lower(f"{checked.local_part}@{checked.ascii_domain or domain}")


def _lower(text: str) -> str:
    return unicodedata.normalize("NFC", text.lower())
