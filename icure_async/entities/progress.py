"""The callback for calls with many records."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from icure_async.errors import ConfigurationError
from icure_async.models.batch import BatchProgress

__all__ = ["Progress", "checked_progress", "report"]

Progress: TypeAlias = Callable[[BatchProgress], Awaitable[None]]
"""An async function. Its error ends the call."""

_ADVICE = "progress must be an async function that takes a BatchProgress"


def checked_progress(progress: Progress | None) -> Progress | None:
    """Return a callback.

    Raises:
        ConfigurationError: it can't be called.
    """
    if progress is not None and not callable(progress):
        raise ConfigurationError(f"{_ADVICE}. Nothing was sent.")
    return progress


async def report(progress: Progress | None, state: BatchProgress) -> None:
    """Call the callback, if there is one.

    Raises:
        ConfigurationError: it is not async.
    """
    if progress is None:
        return
    returned: object = progress(state)
    if not inspect.isawaitable(returned):
        raise ConfigurationError(f"{_ADVICE}: write `async def`. Records that were saved stay.")
    await returned
