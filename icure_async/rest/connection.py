"""The aiohttp client session, shared by the API objects that grew out of one builder."""

from __future__ import annotations

import aiohttp

__all__ = ["Connection"]


class Connection:
    """Counts its users and closes with the last of them.

    An API object that authentication returns outlives the anonymous one it came from: each of them
    holds the connection once. A client session that the caller brought is never closed.
    """

    def __init__(self, client_session: aiohttp.ClientSession | None = None) -> None:
        self._owned = client_session is None
        # Without a cookie jar: a session cookie would mix up the users of one process.
        self.client_session: aiohttp.ClientSession = client_session or aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar()
        )
        self._users = 0

    @property
    def name(self) -> str:
        """What the user knows it as."""
        return "the API object" if self._owned else "the session given to with_client_session()"

    def acquire(self) -> Connection:
        """Count one more user, and return the connection."""
        self._users += 1
        return self

    async def release(self) -> None:
        """Count one user less; the last one closes the session, unless the caller brought it."""
        self._users -= 1
        if self._owned and self._users == 0:
            await self.client_session.close()
