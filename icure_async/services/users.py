"""The users of a service, as its pool knows them: an id, and the credentials to log in with."""

from __future__ import annotations

from typing import Protocol

import attrs

from icure_async.errors import ValidationError
from icure_async.mistakes import explained

__all__ = ["PoolUser", "UserCredentials", "credentials_of"]


class PoolUser(Protocol):
    """A user with credentials: any object with these attributes.

    A :class:`UserSession` is one, and so are :class:`UserCredentials` and the result of a completed
    authentication. Where there is ``token_expires_at``, in epoch milliseconds, it is used.
    """

    @property
    def user_id(self) -> str:
        """Id of the user at the backend, which the pool checks after each login."""
        ...

    @property
    def login(self) -> str:
        """The user name: login, email address, phone number or user id."""
        ...

    @property
    def token(self) -> str:
        """The token or password to log in with."""
        ...


@explained
@attrs.frozen(kw_only=True)
class UserCredentials:
    """A user's id and credentials, for services that keep sessions in their own way.

    Attributes:
        user_id: id of the user at the backend.
        login: the user name: login, email address, phone number or user id.
        token: the token or password to log in with. Never in a repr.
        token_expires_at: when the token ends, in epoch milliseconds, if known.
        data_owner_id: id of the data owner the user is, if known. The pool does not need it.

    Example:
        >>> UserCredentials(user_id="ned", login="+32470123456", token="the token").login
        '+32470123456'
    """

    user_id: str
    login: str
    token: str = attrs.field(repr=False)
    token_expires_at: int | None = None
    data_owner_id: str | None = None


def credentials_of(user: object) -> UserCredentials:
    """Return the credentials of a user, checked.

    Raises:
        ValidationError: this is no user, or one of its attributes is malformed.
    """
    for name in ("user_id", "login", "token"):
        value = getattr(user, name, None)
        if not isinstance(value, str) or not value:
            raise ValidationError(
                f"The user of a pool needs {name}, a text that is not empty: pass a UserSession, "
                "or UserCredentials(user_id=..., login=..., token=...)."
            )
    expires_at = getattr(user, "token_expires_at", None)
    if expires_at is not None and (type(expires_at) is not int or expires_at < 1):
        raise ValidationError(
            "token_expires_at of a user must be a positive number of epoch milliseconds, or None."
        )
    data_owner_id = getattr(user, "data_owner_id", None)
    if data_owner_id is not None and not isinstance(data_owner_id, str):
        raise ValidationError("data_owner_id of a user must be a text, or None.")
    return UserCredentials(
        user_id=user.user_id,  # type: ignore[attr-defined]
        login=user.login,  # type: ignore[attr-defined]
        token=user.token,  # type: ignore[attr-defined]
        token_expires_at=expires_at,
        data_owner_id=data_owner_id,
    )
