"""Long-lived tokens of users: their names at the backend, and their ends.

The key that names a token is made of its secret by a one-way function. With the secret,
a token is found among the user's others, to revoke it; the key tells nothing about the secret.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from typing import TYPE_CHECKING, Final

from icure_async.json_shapes import as_object

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TOKENS_MEMBER", "key_among", "name_in_key", "token_expiry", "token_key_of"]

TOKENS_MEMBER: Final = "authenticationTokens"
"""The member of a user's document with its tokens: key → creation time (ms), validity (s)."""

_PURPOSE: Final = b"icure.token.key"
_SEPARATOR: Final = "."


def token_key_of(secret: str, name: str | None = None) -> str:
    """Return the key of a token: its name, where it has one, and what is derived of its secret."""
    digest = hmac.digest(secret.encode("utf-8", "surrogatepass"), _PURPOSE, hashlib.sha256)
    derived = str(uuid.UUID(bytes=digest[:16]))
    return f"{name}{_SEPARATOR}{derived}" if name else derived


def key_among(keys: Iterable[str], secret: str) -> str | None:
    """Return the key of the token with this secret; None where no key was derived of it."""
    derived = token_key_of(secret)
    return next((key for key in keys if key.rpartition(_SEPARATOR)[2] == derived), None)


def name_in_key(key: str) -> str | None:
    """Return the name that a token was given when it was created with one."""
    name, _, derived = key.rpartition(_SEPARATOR)
    try:
        is_ours = str(uuid.UUID(derived)) == derived
    except ValueError:
        return None
    return name if is_ours and name else None


def token_expiry(token: object) -> int | None:
    """Return when a token ends, in epoch milliseconds; None where that is never, or not said."""
    members = as_object(token)
    created, validity = members.get("creationTime"), members.get("validity")
    if type(created) is not int or type(validity) is not int or validity < 0:
        return None
    return created + validity * 1000
