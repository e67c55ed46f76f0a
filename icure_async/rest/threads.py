"""Worker threads for what would hold up the event loop: imports, undoing compression, parsing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

import anyio.to_thread
from anyio.lowlevel import RunVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread"]

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_THREADS: Final = 2
_limiter: Final[RunVar[anyio.CapacityLimiter]] = RunVar("icure_rest_threads")


async def in_thread(function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
    """Run a function in one of the few threads that this room has in this event loop."""
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_THREADS)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(function, *args, limiter=limiter)
