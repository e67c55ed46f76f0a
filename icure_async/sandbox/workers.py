"""A few threads for slow work: hashes, and the inflating of bodies."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from icure_async.sandbox.errors import ClosingError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Workers", "always", "in_new_thread"]

T = TypeVar("T")
P = ParamSpec("P")


async def in_new_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the result of ``work`` in a thread that is made for it.

    Those of the event loop belong to the application, which may have used them up.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="icure-sandbox")
    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(thread, partial(work, *args, **kwargs))
    finally:
        thread.shutdown(wait=False)


def always() -> bool:
    """Say that somebody waits; for callers that can't tell."""
    return True


class Workers:
    """Threads of the sandbox's own, which leave processors for everything else."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(
            max_workers=max(1, (os.cpu_count() or 1) // 2), thread_name_prefix="icure-sandbox-work"
        )
        self._closing = False

    async def run(self, work: Callable[[], T], wanted: Callable[[], bool] = always) -> T:
        """Return the result of ``work`` in a thread.

        Args:
            work: what to do.
            wanted: asked when its turn comes, whether anybody still waits for it.

        Raises:
            ClosingError: the sandbox was closed before its turn came.
            ConnectionResetError: nobody waited any more.
        """

        def begin() -> T:
            if self._closing:
                raise ClosingError
            if not wanted():
                raise ConnectionResetError("Nobody waits for this any more")
            return work()

        if self._closing:
            raise ClosingError
        return await asyncio.get_running_loop().run_in_executor(self._pool, begin)

    def stop(self) -> None:
        """Begin nothing any more."""
        self._closing = True

    async def close(self) -> None:
        """Wait for what has begun, and end the threads."""
        self.stop()
        await in_new_thread(self._pool.shutdown)
