"""JSON Web Tokens, for the client: an opaque text with an expiry date."""

from __future__ import annotations

import base64
import math
import re
from typing import TYPE_CHECKING, Final

import attrs

from icure_async.json_shapes import as_object
from icure_async.rest.json_body import load_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SessionToken"]

# The signature may be empty, and either base64 alphabet is taken, with or without padding.
_FORM: Final = re.compile(r"[\w+/=-]+\.([\w+/-]+)=*\.[\w+/=-]*", re.ASCII)
_NEVER_USABLE: Final = -math.inf


@attrs.frozen(eq=False, repr=False)
class SessionToken:
    """An access or refresh token.

    Attributes:
        text: the token itself. Never in a repr.
        expires_at: epoch seconds by the server's clock; minus infinity for a token that can't be
            parsed or says nothing, which therefore counts as expired.
        issued_at: the same for when it was made; None where it says nothing, or nothing that goes
            with when it expires.
        user_id: id of the user it is for, where it says so.
        data_owner_id: id of the user's data owner, where it says so.
        group_id: id of the group that it is for, where it says so.
        level: the authentication class of the login that it is from (today.md §0 item 3).
    """

    text: str
    expires_at: float
    issued_at: float | None = None
    user_id: str | None = None
    data_owner_id: str | None = None
    group_id: str | None = None
    level: int | None = None

    @classmethod
    def parse(cls, text: str) -> SessionToken:
        """Read the payload (server-behaviour.md §3.5); the signature is the server's business."""
        claims = _claims(text)
        expires_at, issued_at = _moment(claims.get("exp")), _moment(claims.get("iat"))
        is_likely = expires_at is not None and issued_at is not None and issued_at < expires_at
        return cls(
            text,
            _NEVER_USABLE if expires_at is None else expires_at,
            issued_at if is_likely else None,
            user_id=_text(claims.get("u")),
            data_owner_id=_text(claims.get("doId")),
            group_id=_text(claims.get("g")),
            level=_level(claims.get("tac")),
        )

    def usable_at(self, server_time: float) -> bool:
        """Return whether the token is still good at this moment of the server's clock."""
        return server_time < self.expires_at

    def may_be_of(self, user_id: str | None, data_owner_id: str | None) -> bool:
        """Return whether what it says of its user goes together with these ids, where known."""
        return (self.user_id is None or user_id in (None, self.user_id)) and (
            self.data_owner_id is None or data_owner_id in (None, self.data_owner_id)
        )


def _claims(text: str) -> Mapping[str, object]:
    match = _FORM.fullmatch(text)
    if match is None:
        return {}
    payload = match[1].replace("+", "-").replace("/", "_")
    padding = "=" * (-len(payload) % 4)
    try:
        claims = load_json(base64.urlsafe_b64decode(payload + padding))
    except ValueError:
        return {}
    return as_object(claims)


def _moment(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        moment = float(value)
    except OverflowError:
        return None
    return moment if math.isfinite(moment) else None


def _level(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _text(claim: object) -> str | None:
    return claim if isinstance(claim, str) and claim else None
