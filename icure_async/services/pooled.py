"""One API object of a pool: about to be built, in use, idle, or on its way out."""

from __future__ import annotations

import asyncio
import copy
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

from icure_async.errors import (
    AuthenticationError,
    AuthenticationProcessError,
    ElevationRequiredError,
    ICureError,
    PoolClosedError,
    TokenExpiredError,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from icure_async.medtech import MedTechApi

__all__ = ["CLOSED", "Key", "PooledApi", "shows_that_refused", "token_expired"]

Key = tuple[str, str, str]
"""User id, login and token: a new login of a user has an API object of its own."""

CLOSED: Final = (
    "The ApiPool is closed, since the service shuts down. Nothing was sent: answer with 503, or "
    "make another pool."
)

_has_lapsed: Final = attrgetter("_session.has_lapsed")
_OTHER_THAN_REFUSALS: Final = (AuthenticationProcessError, ElevationRequiredError)


class PooledApi:
    """An API object with those who use it.

    Attributes:
        key: whose it is.
        users: how many use it, or wait for it to be built.
        idle_since: when the last of them let go of it, by the event loop's clock.
        is_retired: whether nobody else is to get it.
        is_closing: whether it is being closed.
        api: the API object, once it is built.
    """

    def __init__(self, key: Key) -> None:
        self.key = key
        self.users = 0
        self.idle_since: float = 0.0
        self.is_retired = False
        self.is_closing = False
        self.api: MedTechApi | None = None
        self._task: asyncio.Task[MedTechApi] | None = None
        self._error_is_taken = False

    def start(self, building: Coroutine[Any, Any, MedTechApi]) -> asyncio.Task[MedTechApi]:
        """Start to build it, in a task that nobody who waits for it can cancel."""
        self._task = asyncio.create_task(building, name="icure_async ApiPool: build")
        return self._task

    def settle(self) -> None:
        """Take note of what the task has built, and let go of the task and of its context."""
        task, self._task = self._task, None
        if task is not None and not task.cancelled() and task.exception() is None:
            self.api = task.result()

    @property
    def token_expires_at(self) -> int | None:
        """The end of its token, in epoch milliseconds, if known."""
        return self.api.token_expires_at if self.api is not None else None

    @property
    def has_lapsed(self) -> bool:
        """True once its user has logged out, or the backend refuses the token."""
        return self.api is not None and bool(_has_lapsed(self.api))

    async def ready(self) -> MedTechApi:
        """Wait until it is built, and return it.

        Raises:
            PoolClosedError: the pool was closed before.
            ICureError: it could not be built; the same for all that wait.
        """
        if self.api is not None:
            return self.api
        task = self._task
        assert task is not None  # noqa: S101
        # Unlike awaiting it, this cancels nothing but the wait.
        await asyncio.wait([task])
        if task.cancelled():
            raise PoolClosedError(CLOSED)
        error = task.exception()
        if error is None:
            return task.result()
        if self._error_is_taken and isinstance(error, ICureError):
            # A traceback grows with each task that raises the same error.
            raise copy.copy(error)
        self._error_is_taken = True
        raise error

    def stop(self) -> None:
        """Cancel the building."""
        if self._task is not None:
            self._task.cancel()


def token_expired() -> TokenExpiredError:
    """Return the error for a token whose time is over, without asking the backend."""
    return TokenExpiredError(
        "The user's token has expired, and nothing was sent. Have the user log in again, with a "
        "new authentication process."
    )


def shows_that_refused(error: BaseException | None) -> bool:
    """Return whether an error says that the backend no longer takes the user's credentials."""
    if isinstance(error, BaseExceptionGroup):
        errors = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return any(map(shows_that_refused, errors))
    return isinstance(error, AuthenticationError) and not isinstance(error, _OTHER_THAN_REFUSALS)
