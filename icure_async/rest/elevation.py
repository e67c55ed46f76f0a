"""Authentication classes: the strength of a login, and the strength that an operation wants.

Source: server-behaviour.md §14.3 and today.md §15.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from icure_async.errors import ElevationRequiredError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.rest.responses import Response

__all__ = ["PASSWORD", "SECOND_FACTOR", "elevation_error", "required_level"]

_HEADER: Final = "icure-minimum-required-auth-level"
_LEVEL: Final = re.compile(r"[0-9]{1,3}")

SECOND_FACTOR: Final = 50
PASSWORD: Final = 20
_SECRETS: Final[Mapping[int, str]] = {
    60: "a digital identity",
    SECOND_FACTOR: "a password with a second factor",
    40: "a short-lived token or code",
    30: "an external identity provider",
    PASSWORD: "a password",
    10: "a long-lived token",
}
_ADVICE: Final[Mapping[int, str]] = {
    60: "This SDK has no such login: do it in an application of iCure's.",
    SECOND_FACTOR: (
        "Call with_password() with the password, and with_second_factor(), on the builder of "
        "another API object, and call again there."
    ),
    40: (
        "Log in with a fresh code: give it to with_password() on the builder of another API "
        "object, or the password and with_second_factor(), and call again there."
    ),
    30: (
        "This SDK has no such login: give the password to with_password(), and "
        "with_second_factor(), on the builder of another API object, and call again there."
    ),
    PASSWORD: (
        "Give the password, instead of a token, to with_password() on the builder of another API "
        "object, and call again there."
    ),
    10: "Log in again.",
}


def required_level(response: Response) -> int | None:
    """Return the authentication class that a refused request wants, where the answer says it."""
    header = response.headers.get(_HEADER, "").strip()
    return int(header) if response.status == 401 and _LEVEL.fullmatch(header) else None


def elevation_error(response: Response, wanted: int, given: int | None) -> ElevationRequiredError:
    """Return the error for an operation that wants a stronger login.

    Args:
        response: the refusal.
        wanted: the authentication class that the backend wants.
        given: the one of the session's token, where that is known.
    """
    known = [level for level in sorted(_SECRETS) if level >= wanted]
    needed = f"a login with {_SECRETS[known[0]]}" if known else "a login that this SDK has not"
    if known and known[0] < max(_SECRETS):
        needed += " or better"
    weaker = [level for level in sorted(_SECRETS) if given is not None and level <= given]
    had = f", and the session logged in with {_SECRETS[weaker[-1]]}" if weaker else ""
    advice = _ADVICE[known[0]] if known else "Do it in an application of iCure's."
    return ElevationRequiredError(
        f"Could not {response.action}: the backend wants {needed} for this{had} "
        f"(HTTP {response.status}). Nothing was changed. {advice}{response.reference}",
        required_level=wanted,
        current_level=given,
        status=response.status,
        request_id=response.request_id,
        server_message=response.server_message,
    )
