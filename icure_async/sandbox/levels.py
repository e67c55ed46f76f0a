"""Authentication levels: the strength of the secret that a caller proved itself by (§14.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.sandbox import hashing
from icure_async.sandbox.errors import ApiError

if TYPE_CHECKING:
    from icure_async.sandbox.calls import Call
    from icure_async.sandbox.store import Json

__all__ = [
    "LEVEL_HEADER",
    "LONG_TOKEN",
    "PASSWORD",
    "SECOND_FACTOR",
    "SHORT_TOKEN",
    "level_of_token",
    "require_level",
]

LONG_TOKEN: Final = 10
PASSWORD: Final = 20
SHORT_TOKEN: Final = 40
SECOND_FACTOR: Final = 50

LEVEL_HEADER: Final = "Icure-Minimum-Required-Auth-Level"


def level_of_token(token: Json) -> int:
    """Return the level of one of the authentication tokens of a user."""
    return SHORT_TOKEN if hashing.is_short_lived(token.get("validity", 0)) else LONG_TOKEN


def require_level(call: Call, level: int) -> None:
    """Refuse with 401 a caller whose secret was too weak for what it wants to do."""
    if call.caller.level < level:
        raise ApiError(
            401,
            f"This needs an authentication of level {level}, yours has {call.caller.level}",
            {LEVEL_HEADER: str(level)},
        )
