"""The tokens of a session, and what the backend says of the user who logs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from typing import Self

    from icure_async.rest.responses import Response
    from icure_async.rest.tokens import SessionToken

__all__ = ["LoginAnswer", "SessionTokens", "SignedIn"]

# A token that the server has just made is valid for as long as this, whatever the clocks say.
_FRESH_SECONDS: Final = 60.0


@attrs.frozen(kw_only=True)
class LoginAnswer:
    """The ids that the backend gave at login; older backends give none."""

    user_id: str | None = None
    group_id: str | None = None
    data_owner_id: str | None = None


@attrs.frozen(eq=False, repr=False)
class SessionTokens:
    """The tokens that the server handed out.

    Attributes:
        access: for the Authorization header.
        refresh: for another access token.
        received_at: epoch seconds by the local clock, of the access token.
        skew: how many seconds the server's clock is ahead of ours.
    """

    access: SessionToken
    refresh: SessionToken | None
    received_at: float
    skew: float

    @classmethod
    def of(cls, response: Response, access: SessionToken, refresh: SessionToken | None) -> Self:
        """Return the tokens of an answer, with what it tells about the server's clock."""
        # Some proxies remove the Date header. A token then tells when it was made.
        now = response.server_time or access.issued_at
        skew = 0.0 if now is None else now - response.received_at
        return cls(access, refresh, response.received_at, skew)

    def may_access(self, local_time: float, *, margin: float) -> bool:
        """Return whether the access token is good, as far as we can tell without asking.

        Args:
            local_time: now, in epoch seconds by the local clock.
            margin: seconds for which it has to be good.
        """
        age = local_time - self.received_at
        # The one that the server has just made is tried, even where it looks as if it had expired
        # or can't be read: otherwise each call would log in. A refusal still leads to a login.
        return 0 <= age < _FRESH_SECONDS or self.access.usable_at(local_time + self.skew + margin)

    def may_refresh(self, local_time: float) -> bool:
        """Return whether there is a refresh token that has not expired."""
        return self.refresh is not None and self.refresh.usable_at(local_time + self.skew)


@attrs.frozen(eq=False, repr=False)
class SignedIn:
    """The outcome of a login.

    Attributes:
        tokens: never in a repr.
        answer: the ids that the backend gave.
        response: the last answer.
    """

    tokens: SessionTokens
    answer: LoginAnswer
    response: Response
