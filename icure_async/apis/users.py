"""Users: who is logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.models.converter import user_from_wire
from icure_async.models.validation import validate_id

if TYPE_CHECKING:
    from icure_async.apis.current_user import CurrentUser
    from icure_async.models.user import User
    from icure_async.rest.users import UserResource

__all__ = ["UserApi"]


class UserApi:
    """Reads users."""

    def __init__(self, users: UserResource, current_user: CurrentUser) -> None:
        self._users = users
        self._current_user = current_user

    async def get_logged_user(self) -> User:
        """Return the logged-in user, as the backend has it now.

        Raises:
            AuthenticationError: the credentials are refused.
        """
        return user_from_wire(await self._current_user.get(fresh=True))

    async def get_user(self, user_id: str) -> User:
        """Return a user.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such user.
            PermissionDeniedError: the logged-in user may not see it.
        """
        return user_from_wire(await self._users.get(validate_id(user_id, "user id")))
