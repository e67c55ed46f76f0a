"""Work in a thread that is never left running behind the caller's back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run_to_completion"]


async def run_to_completion(work: Callable[[], None]) -> None:
    """Run ``work`` in a worker thread; on cancellation wait for it, then raise.

    A thread cannot be interrupted. If a cancelled call returned while its thread went on, a write
    the caller has given up could land after a later one and replace the newer value. Work that has
    not begun when the cancellation arrives is dropped.
    """
    dropped = False

    def call() -> None:
        if not dropped:
            work()

    cancellation: asyncio.CancelledError | None = None
    task = asyncio.ensure_future(to_thread.run_sync(call))
    # The shield holds off anyio's cancel scopes; Task.cancel() ignores it and is caught below.
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                dropped = True
                cancellation = error
    if cancellation is not None:
        if not task.cancelled():
            task.exception()
        raise cancellation
    task.result()
