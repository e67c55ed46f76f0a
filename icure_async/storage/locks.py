"""One at a time: locks that tasks, threads and, where the storage can, processes share."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Final, Protocol, cast

import anyio
import attrs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["LockableStorage", "StorageLock", "lock_of", "wait_for"]

_FIRST_PAUSE_SECONDS: Final = 0.001
_LONGEST_PAUSE_SECONDS: Final = 0.05


@attrs.frozen(kw_only=True)
class StorageLock:
    """A lock that is held.

    Attributes:
        waited: whether somebody else held it when it was asked for, and may have done the work.
    """

    waited: bool


class LockableStorage(Protocol):
    """A method that a storage may have in addition, so that programs that share it take turns.

    A :class:`~icure_async.storage.Storage` or :class:`~icure_async.storage.KeyStorage` without it
    serves as well, as long as one program at a time uses it.
    """

    def lock(self, name: str) -> AbstractAsyncContextManager[StorageLock]:
        """Return the lock of this name: entering it takes the lock, leaving it lets go of it.

        Entering waits until nobody else holds it; nobody can hold it twice. A lock must not outlive
        the program that holds it. Its name may be that of an item, and has nothing to do with it.
        """
        ...


def lock_of(storage: object, name: str) -> AbstractAsyncContextManager[StorageLock]:
    """Return the lock of this name in a storage; one that is always free if it has no locks."""
    if callable(getattr(storage, "lock", None)):
        return cast("LockableStorage", storage).lock(name)
    return nullcontext(StorageLock(waited=False))


async def wait_for(attempt: Callable[[], Awaitable[bool]]) -> bool:
    """Repeat the attempt until it succeeds, and return whether it took more than one.

    Between attempts no thread is used, and no event loop is needed to wake this one.
    """
    waited = False
    pause = _FIRST_PAUSE_SECONDS
    while not await attempt():
        waited = True
        await anyio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
    return waited
