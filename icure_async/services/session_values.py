"""Values about the sessions of a service."""

from __future__ import annotations

import attrs

from icure_async.mistakes import explained
from icure_async.services.users import UserCredentials

__all__ = ["StoredSession", "UserSession"]


@explained
@attrs.frozen(kw_only=True)
class UserSession(UserCredentials):
    """A person who is logged in to a service.

    Attributes:
        user_id: id of the user at the backend.
        login: the user name: login, email address, phone number or user id.
        token: the token to log in with. Never in a repr.
        token_expires_at: when the token ends, in epoch milliseconds, if known.
        data_owner_id: id of the data owner the user is, if known.
        created_at: when the person has signed in, in epoch milliseconds.
        expires_at: when the session ends, in epoch milliseconds.
    """

    created_at: int
    expires_at: int


@attrs.frozen(kw_only=True)
class StoredSession:
    """One of a user's sessions, as far as it can be read without its id.

    Attributes:
        key: names it for :meth:`SessionStore.remove_session`; nobody can log in with it.
        created_at: when the person has signed in, in epoch milliseconds.
        expires_at: when it ends, in epoch milliseconds.
    """

    key: str
    created_at: int
    expires_at: int
