"""The backend's ``/user`` resource, and tokens of users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.errors import NotFoundError
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icure_async.rest.session import Session

__all__ = ["UserResource"]


def _no_backend(error: NotFoundError) -> NotFoundError:
    """Return the same error with advice for a path without an id that could be wrong."""
    return NotFoundError(
        f"Could not read the current user: nothing is found there (HTTP {error.status}). Check "
        "that with_icure_base_url() is the URL of the backend, not the message gateway's or a "
        "page's.",
        status=error.status,
        request_id=error.request_id,
        server_message=error.server_message,
    )


class UserResource:
    """Users as wire JSON."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def current(self) -> dict[str, Any]:
        """Return the logged-in user."""
        try:
            response = await self._session.request(
                "GET", "/user/current", action="read the current user", repeatable=True
            )
        except NotFoundError as error:
            raise _no_backend(error) from error
        user = response.json_object()
        self._session.read_expiry(user)
        return user

    async def modify(self, user: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a user. Safe to repeat: the second time its revision is outdated."""
        response = await self._session.request(
            "PUT", "/user", action=f"modify user {user.get('id')}", body=user, repeatable=True
        )
        return response.json_object()

    def own_token_key(self, tokens: Iterable[str]) -> str | None:
        """Return which of the user's tokens the session logs in with, where that can be told."""
        return self._session.own_token_key(tokens)

    async def get(self, user_id: str) -> dict[str, Any]:
        """Return a user."""
        response = await self._session.request(
            "GET", path("user", user_id), action=f"read user {user_id}", repeatable=True
        )
        return response.json_object()

    async def create_token(self, user_id: str, key: str, *, validity: int, secret: str) -> None:
        """Install a token under a key, replacing one of that key.

        Installing the same one again changes nothing, so the call is safe to repeat.

        Args:
            user_id: the user's id.
            key: names the token among the user's tokens.
            validity: seconds.
            secret: the token.

        Raises:
            InvalidResponseError: the backend answers with anything else than this secret. What it
                has installed is not known then.
        """
        response = await self._session.request(
            "POST",
            path("user", "token", user_id, key),
            action="create a token for the user",
            query=f"tokenValidity={validity}",
            headers={"token": secret},
            repeatable=True,
        )
        if response.text() != secret:
            raise response.invalid(
                "the server answers with another token than the one that was asked for; try again, "
                "and check the URL and what lies between if that goes on"
            )
