"""A pool of API objects: one for each user of a service who is logged in."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import time
from collections import Counter, OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import anyio

from icure_async.builders import MedTechApiBuilder, sharing_connection
from icure_async.errors import (
    AuthenticationError,
    BackendError,
    ConfigurationError,
    NetworkError,
    PoolBusyError,
    PoolClosedError,
)
from icure_async.mistakes import awaited, explained
from icure_async.models.user_token import LogoutResult
from icure_async.rest.connection import require_asyncio
from icure_async.secret_holders import SecretHolder
from icure_async.services.pooled import (
    CLOSED,
    Key,
    PooledApi,
    shows_that_refused,
    token_expired,
)
from icure_async.services.statistics import PoolStatistics
from icure_async.services.users import UserCredentials, credentials_of
from icure_async.services.waiting_line import WaitingLine
from icure_async.threads import blocked_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from types import TracebackType

    from icure_async.medtech import MedTechApi
    from icure_async.rest.connection import Connection
    from icure_async.services.users import PoolUser

__all__ = ["ApiPool"]

_log: Final = logging.getLogger(__name__)

_MAKE_ANOTHER: Final = (
    "Make one in each worker process, in its event loop: in the lifespan of the application, and "
    "not while its module is imported."
)


@explained
class ApiPool(SecretHolder):
    """API objects of many users, each built once and shared by all requests of its user.

    Any number of tasks may use the API object of a user at once. The first use builds it, logs in
    and puts the user's keys to use; everybody who asks for it during that time waits for the same
    one, and a build that fails is forgotten. All of them share one connection to the backend.

    There are never more than ``max_apis``. Where another one is needed, the one that was idle for
    longest makes room, and then one that is still being built for nobody; where all are in use, the
    newcomer waits. Nobody is interrupted: an API object that has to go is closed when the last one
    that uses it has let go of it. A subscription to events that is left open does not count as use,
    and ends with its API object.

    An API object belongs to a user id, a login and a token. So when a user logs in again, calls
    under way go on with the old token, and the next ones get an API object with the new one. After
    each login the backend is asked who the user is: where that is not the user the pool was asked
    for, nobody gets the API object.

    A pool belongs to the event loop and the process in which it is first used.

    Args:
        builder: the options of all API objects, without user name and password. It is copied.
        max_apis: how many API objects there may be at once.
        idle_seconds: how long one is kept that nobody uses.
        wait_seconds: how long to wait where all are in use.
        closing_seconds: how long :meth:`aclose` waits for those that are in use.
        configure: an async function that sets further options for one user, such as a key storage
            of the user's own: it gets a builder of this user's, and the user. :meth:`log_out` calls
            it, too, since it may choose the backend.
        start: an async function that gets a new API object ready; by default its
            ``init_user_crypto()`` is called, which refuses to make another key pair for a user who
            has one elsewhere.

    Raises:
        ConfigurationError: an argument makes no sense.

    Example:
        >>> builder = MedTechApiBuilder.from_env().with_storage_directory(folder / "service")
        >>> big_pool = ApiPool(builder, max_apis=500)
        >>> big_pool
        <ApiPool with 0 of 500 API objects>
    """

    def __init__(
        self,
        builder: MedTechApiBuilder,
        *,
        max_apis: int = 1000,
        idle_seconds: float = 900.0,
        wait_seconds: float = 10.0,
        closing_seconds: float = 30.0,
        configure: Callable[[MedTechApiBuilder, PoolUser], Awaitable[object]] | None = None,
        start: Callable[[MedTechApi], Awaitable[object]] | None = None,
        _clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(builder, MedTechApiBuilder):
            raise ConfigurationError(
                "ApiPool needs a MedTechApiBuilder with the options of all users, without user "
                "name and password."
            )
        if type(max_apis) is not int or max_apis < 1:
            raise ConfigurationError("max_apis of an ApiPool must be a positive whole number.")
        self._wait_seconds = _seconds(wait_seconds, "wait_seconds")
        self._idle_seconds = _seconds(idle_seconds, "idle_seconds")
        self._closing_seconds = _seconds(closing_seconds, "closing_seconds")
        for function, name in ((configure, "configure"), (start, "start")):
            if function is not None and not callable(function):
                raise ConfigurationError(f"{name} of an ApiPool must be an async function.")
        self._builder = copy.copy(builder)
        self._max_apis = max_apis
        self._configure = configure
        self._start = start
        self._clock = _clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._connection: Connection | None = None
        # Everything that is not closed yet; of these, the ones to be given out; of these, the idle.
        self._open: set[PooledApi] = set()
        self._known: dict[Key, PooledApi] = {}
        self._idle: OrderedDict[PooledApi, None] = OrderedDict()
        self._closings: set[asyncio.Task[None]] = set()
        self._line: WaitingLine[Key] = WaitingLine()
        self._holders: Counter[asyncio.Task[Any] | int | None] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._ending: asyncio.Task[None] | None = None
        self._returned = asyncio.Event()
        self._counts: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<ApiPool with {len(self._open)} of {self._max_apis} API objects>"

    @property
    def statistics(self) -> PoolStatistics:
        """The numbers of this moment.

        Example:
            >>> pool.statistics.built
            0
        """
        in_use = sum(1 for pooled in list(self._open) if pooled.users)
        return PoolStatistics(
            open=len(self._open),
            in_use=in_use,
            idle=len(self._idle),
            waiting=len(self._line),
            **self._counts,
        )

    @asynccontextmanager
    async def use(self, user: PoolUser) -> AsyncGenerator[MedTechApi, None]:
        """Give the API object of a user to the block, which lets go of it at its end.

        The API object is not to be closed, nor to be used after the block.

        Args:
            user: a ``UserSession``, or any object with ``user_id``, ``login`` and ``token``.

        Raises:
            ValidationError: the user is malformed. Nothing was sent.
            PoolBusyError: all API objects are in use, and none became free in time.
            PoolClosedError: the pool is closed.
            TokenExpiredError: the token has expired, or was revoked.
            AuthenticationError: the credentials are refused, or are those of another user.
            KeyPairNotFoundError: the user has keys, and none of them is in the key storage.
            ConfigurationError: the pool belongs to another event loop or process.
            NetworkError: no answer. The next use tries again.

        Example:
            >>> async with pool.use(result) as api:
            ...     (await api.user_api.get_logged_user()).id == result.user_id
            True
        """
        pooled, api = await self._acquire(credentials_of(user), user)
        holder = _caller()
        self._holders[holder] += 1
        try:
            yield api
        except BaseException as error:
            if shows_that_refused(error):
                self._retire(pooled, "refused")
            raise
        finally:
            self._holders[holder] -= 1
            if not self._holders[holder]:
                del self._holders[holder]
            self._release(pooled)

    async def discard(self, user_id: str) -> int:
        """Give the API objects of a user to nobody any more; each is closed when nobody uses it.

        Args:
            user_id: of the user, who may have several: one for each token.

        Returns:
            How many there were.

        Example:
            >>> await pool.discard(result.user_id)
            0
        """
        self._check_place()
        theirs = [pooled for key, pooled in self._known.items() if key[0] == user_id]
        for pooled in theirs:
            self._retire(pooled)
        return len(theirs)

    async def log_out(self, user: PoolUser) -> LogoutResult:
        """Revoke the token of a user, whose calls under way come to their end.

        It takes no place in the pool, and needs none of the user's keys. Repeating it is no error.

        Args:
            user: as for :meth:`use`.

        Returns:
            Whether the token was revoked at the backend, and why not.

        Raises:
            ValidationError: the user is malformed.
            PoolClosedError: the pool is closed.
            ConfigurationError: the pool belongs to another event loop or process.

        Example:
            >>> own_api.token_expires_at == result.token_expires_at
            True
            >>> (await pool.log_out(result)).token_revoked
            True
        """
        credentials = credentials_of(user)
        self._enter()
        pooled = self._known.get(_key_of(credentials))
        if pooled is not None:
            self._retire(pooled)
        builder = await self._builder_for(credentials, user)
        async with builder.build() as api:
            try:
                await api.identify()
            except AuthenticationError:
                # It works no more: it has expired, or a call that died has revoked it.
                return LogoutResult(token_revoked=True)
            except (BackendError, NetworkError) as error:
                return LogoutResult(
                    token_revoked=False,
                    reason=f"{error} The token may still work: log out again.",
                    token_expires_at=credentials.token_expires_at,
                )
            return await api.logout()

    async def aclose(self) -> None:
        """Refuse new uses, wait for those under way, and close all API objects.

        Those that wait for a free API object are told at once that the pool is closed. A use that
        takes longer than ``closing_seconds`` is logged, and its API object is closed: the call
        under way has the time limit of a request, and further ones are refused. Calling it again
        does nothing.

        Raises:
            ConfigurationError: it is called inside of a block of :meth:`use`, which it would wait
                for; or in another event loop or process. The pool is as before.

        Example:
            >>> await pool.aclose()
            >>> pool.statistics.open
            0
        """
        if self._loop is None:
            self._closed = True
            return
        self._check_place()
        if self._holders[_caller()]:
            raise ConfigurationError(
                "aclose() of an ApiPool would wait for the block of use() in which it is called: "
                "call it after the block. The pool is still open."
            )
        self._closed = True
        self._line.call_all()
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(), name="icure_async ApiPool: close")
        # Those who wait for it may give up; it comes to its end nevertheless.
        await asyncio.shield(self._ending)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    # Coming and going.

    async def _acquire(
        self, credentials: UserCredentials, user: PoolUser
    ) -> tuple[PooledApi, MedTechApi]:
        self._enter()
        key = _key_of(credentials)
        pooled = self._known.get(key)
        self._check_token(credentials.token_expires_at, pooled)
        if pooled is None:
            pooled = await self._room_for(key)
        if pooled is None:
            pooled = self._begin(credentials, user)
        else:
            self._counts["reused"] += 1
        # Without an await since it was looked up.
        pooled.users += 1
        self._idle.pop(pooled, None)
        try:
            api = await pooled.ready()
            self._check_token(pooled.token_expires_at, pooled)
        except BaseException:
            self._release(pooled)
            raise
        return pooled, api

    async def _room_for(self, key: Key) -> PooledApi | None:
        """Wait for room for another one; return one of this key that came into being before.

        Raises:
            PoolBusyError: all were in use for too long.
            PoolClosedError: the pool was closed during the wait.
        """

        def look(is_first: bool) -> bool:
            if self._closed or key in self._known:
                return True
            return is_first and self._has_room()

        if not await self._line.wait_until(key, look, self._wait_seconds):
            raise PoolBusyError(
                f"All {self._max_apis} API objects of the ApiPool are in use, and none became free "
                f"within {self._wait_seconds:g} s. Nothing was sent: try again later, or allow "
                "more with max_apis."
            )
        if self._closed:
            raise PoolClosedError(CLOSED)
        return self._known.get(key)

    def _has_room(self) -> bool:
        """Return whether another one may be built; if not, have the longest idle one make room."""
        if len(self._open) < self._max_apis:
            return True
        leaving = sum(1 for pooled in self._open if pooled.is_retired and not pooled.users)
        # As many at a time as wait for it.
        if leaving < len(self._line):
            self._make_room()
        return False

    def _make_room(self) -> None:
        if self._idle:
            self._retire(next(iter(self._idle)), "evicted")
            return
        # Those who waited for this one have given up, and it may never be built.
        unwanted = (one for one in self._known.values() if one.api is None and not one.users)
        pooled = next(unwanted, None)
        if pooled is not None:
            self._retire(pooled, "evicted")
            pooled.stop()

    def _begin(self, credentials: UserCredentials, user: PoolUser) -> PooledApi:
        pooled = PooledApi(_key_of(credentials))
        self._open.add(pooled)
        self._known[pooled.key] = pooled
        building = pooled.start(self._build(credentials, user))
        building.add_done_callback(lambda _: self._built(pooled))
        self._line.call_all(pooled.key)
        return pooled

    def _built(self, pooled: PooledApi) -> None:
        """Take note of the end of a build, before anybody who waits for it goes on."""
        pooled.settle()
        if pooled.api is not None:
            self._counts["built"] += 1
            self._rest(pooled)
            return
        self._counts["failed"] += 1
        self._forget(pooled)
        self._gone(pooled)

    def _release(self, pooled: PooledApi) -> None:
        pooled.users -= 1
        if pooled.api is not None:
            self._rest(pooled)
        elif not pooled.users:
            self._line.call_first()

    def _rest(self, pooled: PooledApi) -> None:
        """Decide what becomes of one that may have no users."""
        if pooled.users:
            return
        if pooled.has_lapsed and not pooled.is_retired:
            self._retire(pooled, "refused")
        elif pooled.is_retired or self._closed:
            self._close(pooled)
        else:
            pooled.idle_since = self._now()
            self._idle[pooled] = None
            self._set_timer()
            self._line.call_first()

    def _retire(self, pooled: PooledApi, reason: str = "") -> None:
        """Give one to nobody else, and close it as soon as nobody uses it."""
        if pooled.is_retired:
            return
        if reason:
            self._counts[reason] += 1
        self._forget(pooled)
        if not pooled.users and pooled.api is not None:
            self._close(pooled)

    def _forget(self, pooled: PooledApi) -> None:
        pooled.is_retired = True
        if self._known.get(pooled.key) is pooled:
            del self._known[pooled.key]
        self._idle.pop(pooled, None)

    def _close(self, pooled: PooledApi) -> None:
        self._forget(pooled)
        if not pooled.is_closing:
            pooled.is_closing = True
            closing = asyncio.create_task(
                self._close_api(pooled), name="icure_async ApiPool: let go"
            )
            self._closings.add(closing)
            closing.add_done_callback(self._closings.discard)

    async def _close_api(self, pooled: PooledApi) -> None:
        try:
            if pooled.api is not None:
                await pooled.api.aclose()
        except Exception:
            _log.exception("An API object of the ApiPool could not be closed.")
        finally:
            self._gone(pooled)

    def _gone(self, pooled: PooledApi) -> None:
        self._open.discard(pooled)
        self._line.call_first()
        if not self._open:
            self._returned.set()

    # Time.

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _set_timer(self) -> None:
        if self._timer is None and self._idle and self._loop is not None:
            oldest = next(iter(self._idle))
            self._timer = self._loop.call_at(
                oldest.idle_since + self._idle_seconds, self._let_go_of_idle
            )

    def _let_go_of_idle(self) -> None:
        self._timer = None
        while self._idle:
            oldest = next(iter(self._idle))
            if oldest.idle_since + self._idle_seconds > self._now():
                break
            self._retire(oldest, "expired")
        self._set_timer()

    def _check_token(self, expires_at: int | None, pooled: PooledApi | None) -> None:
        if expires_at is not None and expires_at <= self._clock() * 1000:
            if pooled is not None:
                self._retire(pooled, "refused")
            raise token_expired()

    # Building.

    async def _builder_for(self, credentials: UserCredentials, user: PoolUser) -> MedTechApiBuilder:
        builder = (
            copy.copy(self._builder)
            .with_user_name(credentials.login)
            .with_password(credentials.token, expires_at=credentials.token_expires_at)
        )
        if self._configure is not None:
            await awaited(
                self._configure(builder, user), "configure of an ApiPool", "Write async def."
            )
        return builder

    async def _build(self, credentials: UserCredentials, user: PoolUser) -> MedTechApi:
        api = await (await self._builder_for(credentials, user)).build()
        try:
            user_id, _ = await api.identify()
            if user_id != credentials.user_id:
                raise AuthenticationError(
                    "The credentials given to the ApiPool are not those of the user it was asked "
                    "for: the backend takes them for another one's. Nobody was given the API "
                    "object. Have the user log in again, and see who has changed the session."
                )
            if self._start is None:
                await api.init_user_crypto()
            else:
                await awaited(self._start(api), "start of an ApiPool", "Nobody was given the API.")
        except BaseException:
            with anyio.CancelScope(shield=True):
                await api.aclose()
            raise
        return api

    # The pool as a whole.

    def _enter(self) -> None:
        """Refuse what can't be done any more, or not here; the first call binds the pool.

        Raises:
            PoolClosedError: it is closed.
            ConfigurationError: it belongs to another event loop or process.
        """
        if self._loop is None:
            require_asyncio()
            if not self._closed:
                self._builder, connection = sharing_connection(self._builder)
                self._connection = connection.acquire()
                self._loop, self._pid = asyncio.get_running_loop(), os.getpid()
        self._check_place()
        if self._closed:
            raise PoolClosedError(CLOSED)

    def _check_place(self) -> None:
        if self._loop is None:
            return
        if self._pid != os.getpid():
            raise ConfigurationError(
                f"This ApiPool was used before os.fork(), and belongs to the parent process. "
                f"{_MAKE_ANOTHER}"
            )
        require_asyncio()
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigurationError(
                f"This ApiPool belongs to another event loop, in which it was used first. "
                f"{_MAKE_ANOTHER}"
            )

    async def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for pooled in list(self._idle):
            self._retire(pooled)
        try:
            async with asyncio.timeout(self._closing_seconds):
                await self._all_gone()
        except TimeoutError:
            left = list(self._open)
            _log.warning(
                "The ApiPool is closed, and %d of its API objects were still in use after %g s.",
                len(left),
                self._closing_seconds,
            )
            for pooled in left:
                if pooled.api is None:
                    pooled.stop()
                else:
                    self._close(pooled)
            await self._all_gone()
        if self._connection is not None:
            await self._connection.release()

    async def _all_gone(self) -> None:
        while self._open:
            self._returned.clear()
            await self._returned.wait()


def _caller() -> asyncio.Task[Any] | int | None:
    """Return who can't leave a block during this call: a task, or the thread that blocks for it."""
    return blocked_thread.get() or asyncio.current_task()


def _key_of(credentials: UserCredentials) -> Key:
    return credentials.user_id, credentials.login, credentials.token


def _seconds(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigurationError(f"{name} of an ApiPool must be a positive number of seconds.")
    return value
