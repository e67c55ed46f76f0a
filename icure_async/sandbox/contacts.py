"""Phone numbers and email addresses as contacts are compared (§3.2, §10.2)."""

from __future__ import annotations

import re

import phonenumbers

__all__ = ["contact_key", "is_email", "is_phone", "normalise_phone", "phone_index"]

_EMAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+")
_PHONE = re.compile(r"\+?[0-9]{6,20}")
_PHONE_AS_TYPED = re.compile(r"\+?[0-9 ./()-]+")


def normalise_phone(phone: str) -> str:
    """Return the digits of a number, with its leading plus."""
    digits = re.sub(r"[^0-9]", "", phone)
    return f"+{digits}" if phone.lstrip().startswith("+") else digits


def phone_index(phone: str) -> list[str]:
    """Forms a number is found by: in full, without country prefix, and that with a leading 0."""
    full = normalise_phone(phone)
    if not full:
        return []
    try:
        national = str(phonenumbers.parse(full).national_number)
    except phonenumbers.NumberParseException:
        return [full]
    return [full, national, f"0{national}"]


def is_email(text: str) -> bool:
    """Whether this looks like an email address."""
    return bool(_EMAIL.fullmatch(text))


def is_phone(text: str) -> bool:
    """Whether this looks like a phone number."""
    typed = text.strip()
    return bool(_PHONE_AS_TYPED.fullmatch(typed) and _PHONE.fullmatch(normalise_phone(typed)))


def contact_key(contact: str) -> str:
    """One form for all spellings of an email address or a phone number."""
    contact = contact.strip()
    return contact.lower() if "@" in contact else normalise_phone(contact)
