"""Rules for users, their contacts and their secrets, checked before anything is sent."""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

from icure_async.errors import ValidationError
from icure_async.models.contacts import clean_contact, normalise_email, normalise_phone_number
from icure_async.models.user import User
from icure_async.models.validation import validate_record_for_saving

__all__ = [
    "KEPT_PASSWORD",
    "SecondFactorAlgorithm",
    "is_hash",
    "required_email",
    "required_phone_number",
    "validate_contact",
    "validate_new_password",
    "validate_second_factor",
    "validate_token",
    "validate_user_for_saving",
]

SecondFactorAlgorithm = Literal["SHA1", "SHA256", "SHA512"]
"""The hash functions of authenticator apps."""

KEPT_PASSWORD: Final = "*"  # noqa: S105
"""Stands for the password that a user has: backends send it, and leave the password as it is."""

_SHORTEST_PASSWORD: Final = 8
_LONGEST: Final = 1000
# Backends take these for hashes, and store them as they are (server-behaviour.md §3.3).
_HASH: Final = re.compile(
    r"[0-9a-fA-F]{40,}|\$.*\$.*|\{\w+\}.*|\w+\$[0-9a-f]+\$.*|[0-9]+:[0-9a-fA-F]+:.*|pbkdf2.*",
    re.DOTALL,
)
_ENDS_WITH_CODE: Final = re.compile(r".*\|[0-9]+", re.DOTALL)
_CODE: Final = re.compile(r"[0-9]{4,12}")
_BASE32: Final = re.compile(r"[A-Z2-7]{16,256}")
_PHONE_FORM: Final = re.compile(r"\+?[0-9 ().\-/]+")
_LEAST_DIGITS: Final = 6
_CONTACTS: Final = ("login", "email", "mobile_phone")


def validate_user_for_saving(user: User, *, creating: bool) -> None:
    """Raise unless the user can be sent to the backend.

    Raises:
        ValidationError: a member is malformed, or it has nothing to log in with.
    """
    validate_record_for_saving(user, (User,), "user", creating=creating)
    if not any((getattr(user, name) or "").strip() for name in _CONTACTS):
        raise ValidationError(
            "A user needs a login, an email or a mobile_phone, to log in with: set one of them."
        )
    if user.password_hash is not None and not user.password_hash.strip():
        raise ValidationError("password_hash must not be empty: None leaves the password as it is.")
    if user.password_hash == KEPT_PASSWORD and creating:
        raise ValidationError(
            'A new user has no password that "*" could keep: set password_hash to the password, or '
            "to None."
        )
    for name, token in user.authentication_tokens.items():
        if not name:
            raise ValidationError("A key of authentication_tokens is empty.")
        if token.token is not None:
            validate_token(token.token)
            if token.validity is None:
                raise ValidationError(
                    "authentication_tokens[*].validity is missing: say for how many seconds a new "
                    "token works."
                )


def is_hash(password: str) -> bool:
    """Return whether backends take a new password for the hash of one."""
    return _HASH.fullmatch(password) is not None


def validate_new_password(password: object) -> str:
    """Return a password that a user can log in with, or raise. No message holds it.

    Raises:
        ValidationError: it is too short for any backend, or one that backends misunderstand.
    """
    if not isinstance(password, str):
        raise ValidationError("The password must be a str.")
    if len(password) < _SHORTEST_PASSWORD:
        raise ValidationError(
            f"The password needs at least {_SHORTEST_PASSWORD} characters. Nothing was changed."
        )
    if password != password.strip() or not password.isprintable() or len(password) > _LONGEST:
        raise ValidationError(
            f"The password must be a printable text of at most {_LONGEST} characters, without "
            "blanks around it. Nothing was changed."
        )
    if is_hash(password):
        raise ValidationError(
            "The password looks like a hash: backends would store it as one, and another text "
            "would be the password. Choose one with a blank in it, for example."
        )
    if _ENDS_WITH_CODE.fullmatch(password):
        raise ValidationError(
            "The password ends with | and digits, which backends take for the code of a second "
            "factor. Choose another end."
        )
    return password


def validate_second_factor(secret: object, code: object, algorithm: object) -> tuple[str, str]:
    """Return the secret and a code of an authenticator app without what people put between.

    Raises:
        ValidationError: an argument is malformed.
    """
    compact = re.sub(r"[\s-]", "", secret).upper().rstrip("=") if isinstance(secret, str) else ""
    if not _BASE32.fullmatch(compact):
        raise ValidationError(
            "The secret of a second factor must be a text of at least 16 characters in base32: A "
            "to Z and 2 to 7. Nothing was sent."
        )
    digits = re.sub(r"[\s-]", "", code) if isinstance(code, str) else ""
    if not _CODE.fullmatch(digits):
        raise ValidationError(
            "The code of a second factor must be a text of 4 to 12 digits. Nothing was sent."
        )
    if algorithm not in get_args(SecondFactorAlgorithm):
        known = ", ".join(get_args(SecondFactorAlgorithm))
        raise ValidationError(f"The algorithm must be one of {known}. Nothing was sent.")
    return compact, digits


def validate_token(token: object) -> str:
    """Return a token that fits into a header, or raise. No message holds it.

    Raises:
        ValidationError: it is no printable ASCII text, or empty.
    """
    if (
        not isinstance(token, str)
        or not token
        or not (token.isascii() and token.isprintable())
        or token != token.strip()
        or len(token) > _LONGEST
    ):
        raise ValidationError(
            "The token must be a text of printable ASCII characters, without blanks around it."
        )
    return token


def validate_contact(contact: object, what: str) -> str:
    """Return an email address or a phone number to look a user up by, as it is stored.

    Raises:
        ValidationError: it cannot be one.
    """
    text = clean_contact(contact) if isinstance(contact, str) else ""
    if what == "email":
        is_possible = "@" in text[1:-1] and not any(character.isspace() for character in text)
    else:
        digits = sum(character.isdecimal() for character in text)
        is_possible = bool(_PHONE_FORM.fullmatch(text)) and digits >= _LEAST_DIGITS
    if not is_possible or not text.isprintable() or len(text) > _LONGEST:
        example = "ned@winterfell.example" if what == "email" else "+32470123456"
        raise ValidationError(f"{what} is malformed: pass a text like {example}.")
    return text


def required_email(email: object) -> str:
    """Return an email address for a user, as people mean it.

    Raises:
        ValidationError: it is malformed.
    """
    address = normalise_email(email) if isinstance(email, str) else None
    if address is None:
        raise ValidationError("email must be an address, for example ned@winterfell.example.")
    return address


def required_phone_number(phone_number: object) -> str:
    """Return a phone number for a user, in E.164.

    Raises:
        ValidationError: it is malformed.
    """
    number = normalise_phone_number(phone_number) if isinstance(phone_number, str) else None
    if number is None:
        raise ValidationError("phone_number must be an international number: +32470123456.")
    return number
