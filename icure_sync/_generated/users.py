# Written by "python tools/gen_sync.py" from icure_async/apis/users.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Users: the one who is logged in, and its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.apis.users import UserApi as AsyncUserApi
from icure_async.models.user import User
from icure_async.models.user_token import DEFAULT_TOKEN_VALIDITY, UserToken
from icure_sync._generated import events as _events
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from icure_async.models.events import EventType, Reconnection
    from icure_async.models.filters import Filter, UserFilter
    from icure_sync._generated.events import Subscription

__all__ = ["UserApi"]


class UserApi(Twin[AsyncUserApi]):
    """Reads users, and looks after the tokens of the one who is logged in."""

    def get_logged_user(self) -> User:
        """Return the logged-in user, as the backend has it now.

        Raises:
            AuthenticationError: the credentials are refused.
        """
        return self._run(self._inner.get_logged_user)

    def get_user(self, user_id: str) -> User:
        """Return a user.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such user.
            PermissionDeniedError: the logged-in user may not see it.
        """
        return self._run(self._inner.get_user, user_id)

    def list_tokens(self) -> list[UserToken]:
        """Return the long-lived tokens of the logged-in user, the oldest first.

        Validation codes that were used are among them, for some minutes.

        Raises:
            AuthenticationError: the credentials are refused.
            InvalidResponseError: the backend's list is malformed.
        """
        return self._run(self._inner.list_tokens)

    def create_token(
        self, *, validity: timedelta = DEFAULT_TOKEN_VALIDITY, name: str | None = None
    ) -> str:
        """Create another token for the logged-in user, for another device or program of its.

        If the call fails, the token may exist all the same: :meth:`list_tokens` shows it, and
        :meth:`revoke_token` ends it.

        Args:
            validity: how long it works: at least one second.
            name: what :meth:`list_tokens` shows it as, at most 100 characters without blanks.

        Returns:
            The token: a password for :class:`~icure_sync.MedTechApiBuilder`. It gives all rights
            of the user: keep it as safe as a password. The backend does not show it again.

        Raises:
            ValidationError: an argument is malformed. Nothing was sent.
            InvalidResponseError: the backend answers with another token than the one asked for.
            PermissionDeniedError: the user may not create tokens.
        """
        return self._run(self._inner.create_token, validity=validity, name=name)

    def revoke_token(self, key: str) -> bool:
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
        return self._run(self._inner.revoke_token, key)

    def subscribe_to_user_events(
        self,
        event_types: Sequence[EventType],
        user_filter: UserFilter | Filter | None = None,
        *,
        reconnection: Reconnection | None = None,
        buffer_size: int = 1000,
    ) -> Subscription[User]:
        """Subscribe to users that are created or changed.

        The same as for patients: see :class:`~icure_sync.Subscription`.

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
        return _events.Subscription[User]._wrap(
            self._call(
                self._inner.subscribe_to_user_events,
                event_types,
                user_filter,
                reconnection=reconnection,
                buffer_size=buffer_size,
            )
        )
