"""The backend's ``/user`` resource, and tokens of users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.rest.urls import path

if TYPE_CHECKING:
    from icure_async.rest.session import Session

__all__ = ["UserResource"]


class UserResource:
    """Users as wire JSON."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def current(self) -> dict[str, Any]:
        """Return the logged-in user."""
        response = await self._session.request(
            "GET", "/user/current", action="read the current user", repeatable=True
        )
        return response.json_object()

    async def get(self, user_id: str) -> dict[str, Any]:
        """Return a user."""
        response = await self._session.request(
            "GET", path("user", user_id), action=f"read user {user_id}", repeatable=True
        )
        return response.json_object()

    async def create_token(
        self, user_id: str, key: str, *, validity: int, secret: str | None = None
    ) -> str:
        """Create the token named ``key``, replacing one of that name, and return it.

        Args:
            user_id: the user's id.
            key: names the token among the user's tokens.
            validity: seconds.
            secret: the token to install; chosen by the server where None. Installing the same one
                again under the same key changes nothing, so the call is safe to repeat with it.
        """
        response = await self._session.request(
            "POST",
            path("user", "token", user_id, key),
            action="create a token for the user",
            query=f"tokenValidity={validity}",
            headers={"token": secret} if secret else None,
            repeatable=secret is not None,
        )
        return response.text()
