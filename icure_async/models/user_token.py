"""The tokens of a user, and the fate of one at the end of a session."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import attrs

__all__ = [
    "DEFAULT_TOKEN_VALIDITY",
    "INVITATION_VALIDITY",
    "LogoutResult",
    "RenewedToken",
    "UserToken",
]

DEFAULT_TOKEN_VALIDITY: Final = timedelta(days=30)
"""Default life of a token. The reference's lives ten years (wire-protocol.md §6.3)."""

INVITATION_VALIDITY: Final = timedelta(hours=48)
"""Default life of the token in an invitation, as in the reference (wire-protocol.md §6.12)."""


@attrs.frozen(kw_only=True)
class UserToken:
    """One of a user's tokens, as the backend lists it: everything but its secret.

    Attributes:
        key: names the token among the user's tokens; ``revoke_token()`` takes it.
        name: what ``create_token()`` was told to call it, or None.
        creation_time: when it was created, in epoch milliseconds, where the backend says it.
        validity: how long it works, in seconds, where the backend says it; -1 stands for ever.
        expires_at: when it ends, in epoch milliseconds; None where it never does, or that is not
            known. An expired token stays in the list until it is revoked.
        is_current: whether this session logs in with it, as far as that can be told: it can for
            tokens that this SDK has created.

    Example:
        >>> token = await own_api.user_api.create_token(name="tablet")
        >>> [each.name for each in await own_api.user_api.list_tokens() if each.name == "tablet"]
        ['tablet']
    """

    key: str
    name: str | None
    creation_time: int | None
    validity: int | None
    expires_at: int | None
    is_current: bool


@attrs.frozen(kw_only=True)
class RenewedToken:
    """A token that a session goes on with, and the one that it used before.

    Attributes:
        token: the new token: a password for ``MedTechApiBuilder``. Never in a repr.
        key: names the new token among the user's.
        token_expires_at: when the new token ends, in epoch milliseconds.
        replaced_key: names the old token, for ``revoke_token()`` once the new one is stored; None
            where the session logged in with a password, or with a token that this SDK has not
            created.

    Example:
        >>> renewed = await own_api.user_api.renew_token()
        >>> await own_api.user_api.revoke_token(renewed.replaced_key)
        True
    """

    token: str = attrs.field(repr=False)
    key: str
    token_expires_at: int
    replaced_key: str | None


@attrs.frozen(kw_only=True)
class LogoutResult:
    """The result of a logout. The session has ended on this device in any case.

    Attributes:
        token_revoked: whether the token that the session logged in with works no more.
        reason: why it does, or may do, and what to do about that; None where it was revoked.
        token_expires_at: when a token that was not revoked ends by itself, in epoch milliseconds;
            None where that is not known.

    Example:
        >>> (await own_api.logout()).token_revoked
        True
    """

    token_revoked: bool
    reason: str | None = None
    token_expires_at: int | None = None
