"""The callback for calls with many records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from icure_async.errors import ConfigurationError
from icure_async.mistakes import awaited
from icure_async.models.batch import BatchProgress

__all__ = ["Progress", "checked_progress", "report"]

Progress: TypeAlias = Callable[[BatchProgress], Awaitable[None]]
"""An async function. Its error ends the call."""


def checked_progress(progress: Progress | None) -> Progress | None:
    """Return a callback.

    Raises:
        ConfigurationError: it can't be called.
    """
    if progress is not None and not callable(progress):
        raise ConfigurationError(
            "progress must be an async function that takes a BatchProgress. Nothing was sent."
        )
    return progress


async def report(progress: Progress | None, state: BatchProgress) -> None:
    """Call the callback, if there is one.

    Raises:
        ConfigurationError: it is not async.
    """
    if progress is not None:
        consequence = "Write it with `async def`. Records that were saved stay."
        await awaited(progress(state), "progress", consequence)
