# Written by "python tools/gen_sync.py" from icure_async/services/pool.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""A pool of API objects: one for each user of a service who is logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from icure_async.services.pool import ApiPool as AsyncApiPool
from icure_sync._generated import builders as _builders
from icure_sync._generated import medtech as _medtech
from icure_sync._plain import callback, taking
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType

    from icure_async.models.user_token import LogoutResult
    from icure_async.services.statistics import PoolStatistics
    from icure_async.services.users import PoolUser
    from icure_sync._generated.builders import MedTechApiBuilder
    from icure_sync._generated.medtech import MedTechApi

__all__ = ["ApiPool"]


class ApiPool(Twin[AsyncApiPool]):
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

    A pool belongs to the process in which it is first used.

    Args:
        builder: the options of all API objects, without user name and password. It is copied.
        max_apis: how many API objects there may be at once.
        idle_seconds: how long one is kept that nobody uses.
        wait_seconds: how long to wait where all are in use.
        closing_seconds: how long :meth:`close` waits for those that are in use.
        configure: a function that sets further options for one user, such as a key storage
            of the user's own: it gets a builder of this user's, and the user. :meth:`log_out` calls
            it, too, since it may choose the backend.
        start: a function that gets a new API object ready; by default its
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
        configure: Callable[[MedTechApiBuilder, PoolUser], object] | None = None,
        start: Callable[[MedTechApi], object] | None = None,
    ) -> None:
        self._hold(
            AsyncApiPool(
                _builders.MedTechApiBuilder._unwrap(builder),
                max_apis=max_apis,
                idle_seconds=idle_seconds,
                wait_seconds=wait_seconds,
                closing_seconds=closing_seconds,
                configure=None
                if configure is None
                else callback(taking(configure, _builders.MedTechApiBuilder, None)),
                start=None if start is None else callback(taking(start, _medtech.MedTechApi)),
            )
        )

    @property
    def statistics(self) -> PoolStatistics:
        """The numbers of this moment.

        Example:
            >>> pool.statistics.built
            0
        """
        return self._inner.statistics

    def use(self, user: PoolUser) -> AbstractContextManager[MedTechApi]:
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
            ConfigurationError: the pool belongs to another process.
            NetworkError: no answer. The next use tries again.

        Example:
            >>> with pool.use(result) as api:
            ...     api.user_api.get_logged_user().id == result.user_id
            True
        """
        return self._enter_twin(_medtech.MedTechApi, self._inner.use, user)

    def discard(self, user_id: str) -> int:
        """Give the API objects of a user to nobody any more; each is closed when nobody uses it.

        Args:
            user_id: of the user, who may have several: one for each token.

        Returns:
            How many there were.

        Example:
            >>> pool.discard(result.user_id)
            0
        """
        return self._run(self._inner.discard, user_id)

    def log_out(self, user: PoolUser) -> LogoutResult:
        """Revoke the token of a user, whose calls under way come to their end.

        It takes no place in the pool, and needs none of the user's keys. Repeating it is no error.

        Args:
            user: as for :meth:`use`.

        Returns:
            Whether the token was revoked at the backend, and why not.

        Raises:
            ValidationError: the user is malformed.
            PoolClosedError: the pool is closed.
            ConfigurationError: the pool belongs to another process.

        Example:
            >>> own_api.token_expires_at == result.token_expires_at
            True
            >>> pool.log_out(result).token_revoked
            True
        """
        return self._run(self._inner.log_out, user)

    def close(self) -> None:
        """Refuse new uses, wait for those under way, and close all API objects.

        Those that wait for a free API object are told at once that the pool is closed. A use that
        takes longer than ``closing_seconds`` is logged, and its API object is closed: the call
        under way has the time limit of a request, and further ones are refused. Calling it again
        does nothing.

        Raises:
            ConfigurationError: it is called inside of a block of :meth:`use`, which it would wait
                for; or in another process. The pool is as before.

        Example:
            >>> pool.close()
            >>> pool.statistics.open
            0
        """
        self._close(self._inner.aclose)

    def __enter__(self) -> Self:
        self._run(self._inner.__aenter__)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close(self._inner.__aexit__, exc_type, exc_value, traceback)
