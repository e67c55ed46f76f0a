"""Ids of codings: type, code and version, joined by bars (data-model.md §7)."""

from __future__ import annotations

import re
from typing import Final, TypeGuard

from icure_async.errors import ValidationError

__all__ = ["is_coding_id", "validate_coding_id"]

_LONGEST: Final = 1000
# Half of a surrogate pair can't be sent.
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_FORM: Final = "type|code|version, all three of which must be there"


def is_coding_id(value: object) -> TypeGuard[str]:
    """Return whether this can be the id of a coding of a backend, which may hold almost anything.

    Those of others hold no blank and no slash, and these do (server-behaviour.md §4.2).
    """
    return (
        isinstance(value, str)
        and 0 < len(value) <= _LONGEST
        and value not in (".", "..")
        and not _FORBIDDEN.search(value)
    )


def validate_coding_id(value: object, what: str = "coding id") -> str:
    """Return the id of a coding, or raise.

    Args:
        value: the id.
        what: its name in the message.

    Raises:
        ValidationError: it is no text, or not of the form ``type|code|version``.
    """
    if not isinstance(value, str):
        given = type(value).__name__
        hint = f", and this is a {given}: pass its id" if hasattr(value, "id") else ""
        raise ValidationError(f"The {what} must be a str{hint}.")
    if not is_coding_id(value):
        raise ValidationError(
            f"The {what} must be a line of at most {_LONGEST:,} characters, without control "
            "characters."
        )
    parts = value.split("|")
    if len(parts) < 3 or not all(part.strip() for part in parts):
        raise ValidationError(f"The {what} must be {_FORM}.")
    return value
