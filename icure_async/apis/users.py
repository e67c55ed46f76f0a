"""Users: the one who is logged in, and its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.apis.events import subscribed
from icure_async.errors import ValidationError
from icure_async.mistakes import explained
from icure_async.models.user import User
from icure_async.models.user_token import DEFAULT_TOKEN_VALIDITY
from icure_async.models.validation import validate_id, validate_token_validity
from icure_async.models.wire import from_wire

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from icure_async.apis.events import Subscription
    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.event_source import EventSource
    from icure_async.keys.current_user import CurrentUser
    from icure_async.keys.user_tokens import UserTokens
    from icure_async.models.events import EventType, Reconnection
    from icure_async.models.filters import Filter, UserFilter
    from icure_async.models.user_token import UserToken
    from icure_async.rest.users import UserResource

__all__ = ["UserApi"]

_LONGEST_NAME: Final = 100


@explained
class UserApi:
    """Reads users, and looks after the tokens of the one who is logged in."""

    def __init__(
        self,
        users: UserResource,
        current_user: CurrentUser,
        *,
        tokens: UserTokens,
        crypto: Crypto,
        events: EventSource[User],
    ) -> None:
        self._users = users
        self._current_user = current_user
        self._tokens = tokens
        self._crypto = crypto
        self._events = events

    async def get_logged_user(self) -> User:
        """Return the logged-in user, as the backend has it now.

        Raises:
            AuthenticationError: the credentials are refused.
        """
        return from_wire(User, await self._current_user.get(fresh=True))

    async def get_user(self, user_id: str) -> User:
        """Return a user.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such user.
            PermissionDeniedError: the logged-in user may not see it.
        """
        return from_wire(User, await self._users.get(validate_id(user_id, "user id")))

    async def list_tokens(self) -> list[UserToken]:
        """Return the long-lived tokens of the logged-in user, the oldest first.

        Validation codes that were used are among them, for some minutes.

        Raises:
            AuthenticationError: the credentials are refused.
            InvalidResponseError: the backend's list is malformed.
        """
        return await self._tokens.listed()

    async def create_token(
        self, *, validity: timedelta = DEFAULT_TOKEN_VALIDITY, name: str | None = None
    ) -> str:
        """Create another token for the logged-in user, for another device or program of its.

        If the call fails, the token may exist all the same: :meth:`list_tokens` shows it, and
        :meth:`revoke_token` ends it.

        Args:
            validity: how long it works: at least one second.
            name: what :meth:`list_tokens` shows it as, at most 100 characters without blanks.

        Returns:
            The token: a password for :class:`~icure_async.MedTechApiBuilder`. It gives all rights
            of the user: keep it as safe as a password. The backend does not show it again.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            InvalidResponseError: the backend answers with another token than the one asked for.
            PermissionDeniedError: the user may not create tokens.
        """
        seconds = validate_token_validity(validity, "validity")
        if name is not None and len(validate_id(name, "name of the token")) > _LONGEST_NAME:
            raise ValidationError(
                f"The name of the token has more than {_LONGEST_NAME} characters."
            )
        return await self._tokens.create(self._crypto, validity=seconds, name=name)

    async def revoke_token(self, key: str) -> bool:
        """End a token of the logged-in user: nobody logs in with it from now on.

        Sessions that have logged in with it already go on until their access tokens end, within the
        hour. To end the session of this object, too, there is ``logout()`` of the API.

        Args:
            key: of one of :meth:`list_tokens`.

        Returns:
            Whether it was revoked; False where there is none of this key, or not any more.

        Raises:
            ValidationError: the key is malformed. Nothing was sent.
            PermissionDeniedError: the user may not change itself.
            ConflictError: the user keeps being changed by others. Try again.
            InvalidResponseError: the backend has kept the token.
        """
        if not isinstance(key, str) or not key:
            raise ValidationError("The key must be a text: that of one of list_tokens().")
        return await self._tokens.revoke(key)

    def subscribe_to_user_events(
        self,
        event_types: Sequence[EventType],
        user_filter: UserFilter | Filter | None = None,
        *,
        reconnection: Reconnection | None = None,
        buffer_size: int = 1000,
    ) -> Subscription[User]:
        """Subscribe to users that are created or changed.

        The same as for patients: see :class:`~icure_async.Subscription`.

        Args:
            event_types: what to be told of: ``CREATE``, ``UPDATE``, ``DELETE``. Backends say
                ``UPDATE`` of a deletion, too.
            user_filter: a :class:`UserFilter`, or a filter made of such; by default everything
                that this user may read.
            reconnection: how the connection is made again when it breaks.
            buffer_size: how many events may wait to be taken before the backend has to wait.

        Raises:
            ValidationError: an argument is malformed.
        """
        return subscribed(
            self._events,
            event_types,
            user_filter,
            reconnection=reconnection,
            buffer_size=buffer_size,
        )
