"""Guards for the JSON that the sandbox's own API is sent: errors name the member."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.shapes import is_integer, is_object

if TYPE_CHECKING:
    from collections.abc import Collection

    from icure_async.sandbox.store import Json

__all__ = ["integer_in", "members_of", "number_in", "text_in"]


def members_of(body: Any, known: Collection[str]) -> Json:
    """Return the members of a body that are not null.

    Raises:
        ApiError: 400 if it is no JSON object, or has a member that is not known.
    """
    if not is_object(body):
        raise bad_request(f"The body must be a JSON object; its members are {', '.join(known)}")
    unknown = sorted(body.keys() - set(known))
    if unknown:
        raise bad_request(f"Unknown members: {', '.join(unknown)[:200]}")
    return {name: value for name, value in body.items() if value is not None}


def text_in(members: Json, name: str) -> str | None:
    """Return a member that must be a text, if it is there."""
    value = members.get(name)
    if value is not None and not isinstance(value, str):
        raise bad_request(f"{name} must be a string")
    return value


def number_in(members: Json, name: str) -> float | None:
    """Return a member that must be a number, if it is there."""
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise bad_request(f"{name} must be a number")
    return value


def integer_in(members: Json, name: str) -> int | None:
    """Return a member that must be a whole number, if it is there."""
    value = members.get(name)
    if value is not None and not is_integer(value):
        raise bad_request(f"{name} must be a whole number")
    return value
