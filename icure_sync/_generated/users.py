# Written by "python -m icure_sync._generate" from icure_async/apis/users.py.
# Changes here are lost: change that module, or icure_sync/_generator/rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""Users: who is logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.apis.users import UserApi as AsyncUserApi
from icure_sync._tracebacks import trimmed_traceback
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from icure_async.models.user import User

__all__ = ["UserApi"]


class UserApi(Twin[AsyncUserApi]):
    """Reads users."""

    def get_logged_user(self) -> User:
        """Return the logged-in user, as the backend has it now.

        Raises:
            AuthenticationError: the credentials are refused.
        """
        with trimmed_traceback:
            return self._run(self._inner.get_logged_user)

    def get_user(self, user_id: str) -> User:
        """Return a user.

        Raises:
            ValidationError: the id is malformed.
            NotFoundError: there is no such user.
            PermissionDeniedError: the logged-in user may not see it.
        """
        with trimmed_traceback:
            return self._run(self._inner.get_user, user_id)
