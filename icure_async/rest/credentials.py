"""The credentials of a session: a user name and a secret, and those that a change puts in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from icure_async.secret_holders import SecretHolder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Credentials", "Login"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Login(SecretHolder):
    """A user name and a secret.

    Attributes:
        user_name: login, email, phone number or user id.
        secret: password, long-lived token or validation code.
        expires_at: when a long-lived token ends, in epoch milliseconds, where that is known.
    """

    user_name: str
    secret: str
    expires_at: int | None = None


class Credentials(SecretHolder):
    """The logins that may be in force, the likeliest first.

    There are several while a change of the user's is under way, and after one whose answer was
    lost: nobody knows then which of them the backend takes.
    """

    def __init__(self, login: Login) -> None:
        self._candidates = [login]

    @property
    def current(self) -> Login:
        """The likeliest one."""
        return self._candidates[0]

    @property
    def candidates(self) -> Sequence[Login]:
        """All of them, the likeliest first."""
        return tuple(self._candidates)

    def expect(self, *, user_name: str | None = None, secret: str | None = None) -> None:
        """Reckon with another name or secret, since the backend is about to be told of it."""
        for login in self.candidates:
            expected = Login(
                user_name=user_name or login.user_name,
                secret=secret or login.secret,
                # It is the end of a token, and a new secret is a password.
                expires_at=login.expires_at if secret is None else None,
            )
            known = (_has(other, expected.user_name, expected.secret) for other in self.candidates)
            if not any(known):
                self._candidates.append(expected)

    def prefer(self, login: Login) -> None:
        """Put the one first that the backend has taken."""
        self._candidates.sort(key=lambda other: other is not login)

    def settle(self, *, user_name: str | None = None, secret: str | None = None) -> None:
        """Forget those without this name or secret, where any has it."""
        self._keep([login for login in self._candidates if _has(login, user_name, secret)])

    def settle_name(self, may_be: Callable[[str], bool]) -> None:
        """Forget those whose name the user may not have, where any has one that it may have."""
        self._keep([login for login in self._candidates if may_be(login.user_name)])

    def withdraw(self, *, user_name: str | None = None, secret: str | None = None) -> None:
        """Forget those with this name or secret, which the backend has refused."""
        self._keep([login for login in self._candidates if not _has(login, user_name, secret)])

    def set_expiry(self, expires_at: int | None) -> None:
        """Remember when the token of the likeliest one ends."""
        self._candidates[0] = attrs.evolve(self._candidates[0], expires_at=expires_at)

    def replace_secret(self, secret: str, *, expires_at: int | None) -> None:
        """Log in with this secret from now on."""
        names = dict.fromkeys(login.user_name for login in self._candidates)
        self._candidates = [
            Login(user_name=name, secret=secret, expires_at=expires_at) for name in names
        ]

    def _keep(self, logins: list[Login]) -> None:
        self._candidates = logins or self._candidates


def _has(login: Login, user_name: str | None, secret: str | None) -> bool:
    return user_name in (None, login.user_name) and secret in (None, login.secret)
