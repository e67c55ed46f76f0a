"""The user's long-lived tokens: listed, created, revoked; and the end of a session."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import anyio

from icure_async.crypto.encoding import new_uuid
from icure_async.errors import BackendError, InvalidResponseError, NetworkError
from icure_async.json_shapes import is_object
from icure_async.keys.current_user import CurrentUser
from icure_async.models.user_token import LogoutResult, UserToken
from icure_async.rest.changes import change_document
from icure_async.rest.resources import user_resource
from icure_async.rest.user_tokens import TOKENS_MEMBER, name_in_key, token_expiry, token_key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from icure_async.crypto.protocol import Crypto
    from icure_async.rest.session import Session
    from icure_async.rest.users import UserResource

__all__ = ["Logout", "UserTokens"]

_AGAIN: Final = "Call logout() again: the token may work until it expires."
_ELSEWHERE: Final = (
    "The token is not found among the user's: this session logged in with a password, or with a "
    "token that was not created by this version of the SDK, or that is gone already. After another "
    "login, user_api.list_tokens() shows what there is, and user_api.revoke_token() ends it."
)


class UserTokens:
    """The tokens of the logged-in user."""

    def __init__(
        self, users: UserResource, current_user: CurrentUser, *, clock: Callable[[], float]
    ) -> None:
        self._users = users
        self._current_user = current_user
        self._clock = clock

    async def _user(self) -> Mapping[str, Any]:
        return await self._current_user.get(fresh=True)

    async def listed(self) -> list[UserToken]:
        """Return the tokens that the backend lists now, the oldest first.

        Raises:
            InvalidResponseError: the list is malformed.
        """
        tokens = _tokens_of(await self._user())
        own_key = self._users.own_token_key(tokens)
        found = [_value(key, token, is_current=key == own_key) for key, token in tokens.items()]
        return sorted(found, key=lambda token: (token.creation_time or 0, token.key))

    async def own_key(self) -> str | None:
        """Return the key of the token that the session logs in with, where it is listed."""
        return self._users.own_token_key(_tokens_of(await self._user()))

    async def create(
        self, crypto: Crypto, *, validity: int, name: str | None, user_id: str | None = None
    ) -> str:
        """Create a token whose secret is chosen here, and return that.

        Args:
            crypto: chooses the secret.
            validity: seconds.
            name: of the token, or None.
            user_id: of another user; None for the logged-in one.
        """
        secret = await new_uuid(crypto)
        if user_id is None:
            user_id = str((await self._current_user.get())["id"])
        await self._users.create_token(
            user_id, token_key_of(secret, name), validity=validity, secret=secret
        )
        return secret

    async def revoke(self, key: str) -> bool:
        """Revoke a token; return False where no token has this key.

        Everything else of the user goes back as it was read.

        Raises:
            ConflictError: the user keeps changing under our hands.
            InvalidResponseError: the backend has kept the token.
        """
        was_asked = False

        async def end(user: Mapping[str, Any]) -> Mapping[str, Any] | None:
            nonlocal was_asked
            tokens = _tokens_of(user)
            if key not in tokens:
                return None
            was_asked = True
            ended = {**tokens[key], "deletionDate": int(self._clock() * 1000)}
            return {**user, TOKENS_MEMBER: {**tokens, key: ended}}

        stored = await change_document(
            "The user",
            read=self._user,
            change=end,
            write=self._users.modify,
            advice="The token may still work: revoke it again.",
        )
        if key in _tokens_of(stored):
            raise InvalidResponseError(
                "Could not revoke the token: the backend has kept it. It ends by itself; ask "
                "the administrator of the backend to remove it."
            )
        return was_asked


class Logout:
    """Ends a session: here first, then its token at the backend. Repeating it finishes the job."""

    def __init__(self, session: Session, *, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self._lock = anyio.Lock()
        self._begun = False
        # Still to be revoked, by key once that is known.
        self._leaving: Session | None = None
        self._key: str | None = None
        self._result = LogoutResult(token_revoked=False)

    async def run(self) -> LogoutResult:
        """End the session, and return the fate of its token."""
        if not self._begun:
            self._begun = True
            self._leaving = self._session.end()
        async with self._lock:
            if self._leaving is not None:
                self._result = await self._revoke(self._leaving)
            return self._result

    async def _revoke(self, leaving: Session) -> LogoutResult:
        users = user_resource(leaving)
        tokens = UserTokens(users, CurrentUser(users, clock=self._clock), clock=self._clock)
        # One that an earlier call has found and asked to revoke is gone, whatever the answer was.
        is_gone, reason = self._key is not None, _ELSEWHERE
        try:
            self._key = self._key or await tokens.own_key()
            is_gone |= self._key is not None and await tokens.revoke(self._key)
            self._leaving = None
        except (BackendError, NetworkError) as error:
            is_gone, reason = False, f"{error} {_AGAIN}"
            if _is_final(error):
                self._leaving, reason = None, f"{error} The token was not revoked."
        if self._leaving is None:
            await _end_tokens(leaving)
        if is_gone:
            return LogoutResult(token_revoked=True)
        return LogoutResult(
            token_revoked=False, reason=reason, token_expires_at=leaving.token_expires_at
        )


async def _end_tokens(leaving: Session) -> None:
    """Have the session's own tokens end now; where that does not work, they end by themselves."""
    with contextlib.suppress(BackendError, NetworkError):
        await leaving.invalidate()


def _is_final(error: BackendError | NetworkError) -> bool:
    if isinstance(error, NetworkError) or error.retryable:
        return False
    return error.status is not None and 400 <= error.status < 500


def _tokens_of(user: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tokens in a user's document.

    Raises:
        InvalidResponseError: they are malformed.
    """
    tokens = user.get(TOKENS_MEMBER)
    if tokens is None:
        return {}
    if is_object(tokens) and all(map(_is_token, tokens.values())):
        return tokens
    raise InvalidResponseError(
        "Could not read the tokens of the user: the server's list of them is malformed. Check "
        "with_icure_base_url()."
    )


def _is_token(token: object) -> bool:
    return is_object(token) and all(
        time is None or type(time) is int
        for time in (token.get("creationTime"), token.get("validity"))
    )


def _value(key: str, token: Mapping[str, Any], *, is_current: bool) -> UserToken:
    return UserToken(
        key=key,
        name=name_in_key(key),
        creation_time=token.get("creationTime"),
        validity=token.get("validity"),
        expires_at=token_expiry(token),
        is_current=is_current,
    )
