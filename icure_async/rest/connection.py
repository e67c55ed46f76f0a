"""The aiohttp client session, shared by the API objects that grew out of one builder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from typing import TYPE_CHECKING, Final

import aiohttp
import anyio
import attrs

from icure_async.errors import ConfigurationError
from icure_async.rest.proxies import EnvironmentProxies, Proxy
from icure_async.rest.resolver import own_resolver

if TYPE_CHECKING:
    import ssl

    import yarl

__all__ = [
    "DEFAULT_CONNECTION_LIMIT",
    "Connection",
    "ConnectionOptions",
    "Slots",
    "require_asyncio",
]

DEFAULT_CONNECTION_LIMIT: Final = 100
"""Connections at a time. aiohttp's own limit is the same."""

_CLOSING_SECONDS: Final = 5.0
_OTHER_LOOP: Final = (
    "Use each API object in the event loop it was built in, and build another one for each "
    "asyncio.run(); or use icure_sync, whose objects any thread may use."
)


@attrs.frozen(kw_only=True)
class ConnectionOptions:
    """The options for reaching servers.

    Attributes:
        proxy: for all requests; None takes those of the environment.
        ssl_context: for all servers; None trusts the certificates that the system trusts.
        limit: how many connections there may be at a time.
    """

    proxy: Proxy | None = None
    ssl_context: ssl.SSLContext | None = None
    limit: int = DEFAULT_CONNECTION_LIMIT


class Connection:
    """Counts its users and closes with the last of them.

    An API object that authentication returns outlives the anonymous one it came from: each of them
    holds the connection once. A client session that the caller brought is never closed.

    Args:
        client_session: the caller's, which knows about proxies and certificates itself.
        options: for a session of our own.
    """

    def __init__(
        self,
        client_session: aiohttp.ClientSession | None = None,
        options: ConnectionOptions | None = None,
    ) -> None:
        self._options = options or ConnectionOptions()
        self._owned = client_session is None
        self._loop = asyncio.get_running_loop()
        # Not with trust_env: it takes passwords from ~/.netrc, too, and reads both in threads of
        # the application's.
        self._environment = EnvironmentProxies()
        # Without a cookie jar: a session cookie would mix up the users of one process.
        self.client_session: aiohttp.ClientSession = client_session or aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._options.limit, resolver=own_resolver()),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self.slots: Slots = _slots_of(self.client_session)
        self._users = 0
        self._pid = os.getpid()

    @property
    def name(self) -> str:
        """The name under which the user knows it."""
        return "the API object" if self._owned else "the session given to with_client_session()"

    @property
    def ssl(self) -> ssl.SSLContext | bool:
        """The SSL context with which aiohttp checks certificates; True for the default."""
        return self._options.ssl_context or True

    def proxy_for(self, url: yarl.URL) -> Proxy | None:
        """Return the proxy by which a URL is to be reached; None for a caller's session.

        Raises:
            ConfigurationError: the environment names a malformed one.
        """
        if not self._owned:
            return None
        return self._options.proxy or self._environment.of(url)

    def is_left_open(self) -> bool:
        """Return whether it has a session of its own that was not closed, in this process."""
        return self._owned and not self.client_session.closed and self._pid == os.getpid()

    def is_running_here(self) -> bool:
        """Return whether the running event loop is the one it was made in."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def check_loop(self, name: str) -> None:
        """Refuse to be used in another event loop than the one it was made in.

        Args:
            name: what the user knows it as.

        Raises:
            ConfigurationError: this is another one, or is none of asyncio's.
        """
        require_asyncio()
        if not self.is_running_here():
            raise ConfigurationError(
                f"{name} was made in another event loop, and its connections belong to that. "
                f"{_OTHER_LOOP}"
            )

    def acquire(self) -> Connection:
        """Count one more user, and return the connection."""
        self._users += 1
        return self

    async def release(self) -> None:
        """Count one user less; the last one closes the session, unless the caller brought it."""
        self._users -= 1
        if not self._owned or self._users > 0:
            return
        closing = self.client_session.close()
        if self.is_running_here():
            with anyio.move_on_after(_CLOSING_SECONDS, shield=True):
                await closing
        elif self._loop.is_closed():
            # Nothing is left that could be waited for, least of all in trio's event loop.
            with contextlib.suppress(StopIteration, RuntimeError):
                while True:
                    closing.send(None)
        else:
            asyncio.run_coroutine_threadsafe(closing, self._loop)


def require_asyncio() -> None:
    """Refuse to run outside of asyncio.

    Raises:
        ConfigurationError: there is no running event loop of asyncio's, for example under trio.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        return
    raise ConfigurationError(
        "icure_async needs a running event loop of asyncio's; trio's and others do not serve. Call "
        "it below asyncio.run(), or use icure_sync in a worker thread."
    )


class Slots(asyncio.Semaphore):
    """The connections that there may be at a time.

    Args:
        limit: how many.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._limit = limit
        self._kept = 0

    async def keep(self) -> None:
        """Take one for as long as a subscription lasts; :meth:`give_back` lets it go.

        Raises:
            ConfigurationError: none would be left for requests, which then would wait for ever.
        """
        if self._kept + 1 >= self._limit:
            raise ConfigurationError(
                f"Each subscription keeps a connection, there may be {self._limit} at a time, and "
                "requests need one, too: close a subscription, or allow more with "
                "with_connection_limit()."
            )
        self._kept += 1
        try:
            await self.acquire()
        except BaseException:
            self._kept -= 1
            raise

    def give_back(self) -> None:
        """Let go of one that was kept."""
        self._kept -= 1
        self.release()


_slots: Final[weakref.WeakKeyDictionary[aiohttp.BaseConnector, Slots]] = weakref.WeakKeyDictionary()


def _slots_of(client_session: aiohttp.ClientSession) -> Slots:
    """Return the slots that hold back what a connector has no connection for.

    It is one for each connector, which several API objects may share. aiohttp itself counts the
    wait for a free connection among the silence of the server.
    """
    connector = client_session.connector
    if connector is None:
        return Slots(DEFAULT_CONNECTION_LIMIT)
    if connector not in _slots:
        limits = [limit for limit in (connector.limit, connector.limit_per_host) if limit]
        # A connector without limits has no queue.
        _slots[connector] = Slots(min(limits, default=1 << 30))
    return _slots[connector]
