"""Email addresses and phone numbers: their forms, and spellings of the same one."""

from __future__ import annotations

import contextlib
import re
import unicodedata

import idna
import phonenumbers

__all__ = ["contact_key", "is_email", "is_phone", "login_key", "phone_index", "phone_key"]

_LOCAL_PART = r'(?:"(?:[^"\\]|\\.)*"|[^@\s<>,;"]+)'
_DOMAIN = r"(?:\[[^\]\s]+\]|[^@\s<>,;\[\]]+)"
_EMAIL = re.compile(f"(?P<local>{_LOCAL_PART})@(?P<domain>{_DOMAIN})")
_NEEDLESSLY_QUOTED = re.compile(r'"([^\s"\\@(),:;<>\[\]]+)"')
_PHONE = re.compile(r"\+?[0-9]{6,20}")
_PHONE_AS_TYPED = re.compile(r"\+?[0-9 ./()\u2010-\u2015-]+")
_E164 = re.compile(r"\+[1-9][0-9]{3,14}")


def _visible(text: str) -> str:
    """Return a text without direction marks and the like, in one form for each character."""
    kept = (c for c in text if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", "".join(kept)).strip()


def _typed_phone(phone: str) -> str:
    # Any digit, blank and plus sign that people type, as the plain one.
    plain = unicodedata.normalize("NFKC", _visible(phone))
    return "".join(" " if c.isspace() else str(unicodedata.decimal(c, c)) for c in plain).strip()


def phone_key(phone: str) -> str:
    """Return one form for all spellings of a number: its digits, with the leading plus if any."""
    typed = _typed_phone(phone)
    digits = re.sub(r"[^0-9]", "", typed)
    if not typed.startswith("+"):
        return digits
    with contextlib.suppress(phonenumbers.NumberParseException):
        # It knows that nobody dials the zero of +32 (0)588.
        number = phonenumbers.format_number(
            phonenumbers.parse(typed), phonenumbers.PhoneNumberFormat.E164
        )
        if _E164.fullmatch(number):
            return number
    return f"+{digits}"


def phone_index(phone: str) -> list[str]:
    """Forms a number is found by: in full, without country prefix, and that with a leading 0."""
    full = phone_key(phone)
    if not full:
        return []
    try:
        national = str(phonenumbers.parse(full).national_number)
    except phonenumbers.NumberParseException:
        return [full]
    return [full, national, f"0{national}"]


def is_email(text: str) -> bool:
    """Return whether this looks like an email address."""
    return bool(_EMAIL.fullmatch(text))


def is_phone(text: str) -> bool:
    """Return whether this looks like a phone number."""
    typed = _typed_phone(text)
    digits = re.sub(r"[^+0-9]", "", typed)
    return bool(_PHONE_AS_TYPED.fullmatch(typed) and _PHONE.fullmatch(digits))


def _email_key(email: str) -> str:
    local, _, domain = email.rpartition("@")
    quoted = _NEEDLESSLY_QUOTED.fullmatch(local)
    local = unicodedata.normalize("NFC", (quoted[1] if quoted else local).lower())
    domain = domain.lower()
    # IDNA has no rules for address literals and names of machines.
    with contextlib.suppress(idna.IDNAError, UnicodeError):
        domain = idna.encode(domain, uts46=True).decode("ascii")
    return f"{local}@{domain}"


def contact_key(contact: str) -> str:
    """Return one form for all spellings of an email address or a phone number.

    Capital letters make no difference, since no provider of mailboxes tells them apart; the part
    after a plus does.
    """
    visible = _visible(contact)
    return _email_key(visible) if "@" in visible else phone_key(visible)


def login_key(login: str) -> str:
    """Return one form for all spellings of a login, which may be an email address."""
    return contact_key(login) if "@" in login else login
