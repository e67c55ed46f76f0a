"""The callback for calls with many records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from icure_async.mistakes import awaited
from icure_async.models.batch import BatchProgress

__all__ = ["Progress", "report"]

Progress: TypeAlias = Callable[[BatchProgress], Awaitable[None]]
"""An async function. Its error ends the call."""


async def report(progress: Progress | None, state: BatchProgress) -> None:
    """Call the callback, if there is one.

    Raises:
        ConfigurationError: it is not async.
    """
    if progress is not None:
        consequence = "Write it with `async def`. Records that were saved stay."
        await awaited(progress(state), "progress", consequence)
