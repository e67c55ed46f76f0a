"""JSON Web Tokens as the client sees them: an opaque text with an expiry date."""

from __future__ import annotations

import base64
import math
import re
from typing import Final, cast

import attrs

from icure_async.rest.json_body import load_json

__all__ = ["SessionToken"]

# The signature may be empty, and either base64 alphabet is taken, with or without padding.
_FORM: Final = re.compile(r"[\w+/=-]+\.([\w+/-]+)=*\.[\w+/=-]*", re.ASCII)
_NEVER_USABLE: Final = -math.inf


@attrs.frozen
class SessionToken:
    """An access or refresh token.

    Attributes:
        text: the token itself. Never in a repr.
        expires_at: epoch seconds by the server's clock; minus infinity for a token that can't be
            parsed or says nothing, which therefore counts as expired.
    """

    text: str = attrs.field(repr=False)
    expires_at: float

    @classmethod
    def parse(cls, text: str) -> SessionToken:
        """Read ``exp`` from the payload; the signature is the server's business."""
        return cls(text, _expiry(text))

    def usable_at(self, server_time: float) -> bool:
        """Return whether the token is still good at this moment of the server's clock."""
        return server_time < self.expires_at


def _expiry(text: str) -> float:
    match = _FORM.fullmatch(text)
    if match is None:
        return _NEVER_USABLE
    payload = match[1].replace("+", "-").replace("/", "_")
    padding = "=" * (-len(payload) % 4)
    try:
        claims = load_json(base64.urlsafe_b64decode(payload + padding))
    except ValueError:
        return _NEVER_USABLE
    if not isinstance(claims, dict):
        return _NEVER_USABLE
    expiry = cast("dict[str, object]", claims).get("exp")
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        return _NEVER_USABLE
    try:
        moment = float(expiry)
    except OverflowError:
        return _NEVER_USABLE
    return moment if math.isfinite(moment) else _NEVER_USABLE
