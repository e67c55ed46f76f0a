"""Work that would hold up the event loop, moved to worker threads or interrupted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

from anyio.lowlevel import checkpoint

from icure_async.threads import CRYPTO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["INLINE_BYTES", "SHORT_STEPS", "Turns", "in_thread", "in_thread_if_large", "slices"]

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

INLINE_BYTES: Final = 128 * 1024
"""A thread hop costs about as much as encrypting this much."""

SHORT_STEPS: Final = 64
"""So many steps of a few microseconds need no turn in between."""

_TURN_SECONDS: Final = 0.001


class Turns:
    """Interrupts long work for the others in the event loop, about every millisecond."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def give(self) -> None:
        """Let the others have their turn if it is time for it."""
        if time.perf_counter() - self._since > _TURN_SECONDS:
            await checkpoint()
            self._since = time.perf_counter()


async def in_thread(function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
    """Run a function in one of the few threads that are for cryptography in this event loop."""
    return await CRYPTO.run(function, *args)


async def in_thread_if_large(
    size: int, function: Callable[[*Arguments], Result], *args: *Arguments
) -> Result:
    """Run a function on ``size`` bytes or characters where that costs the least."""
    if size > INLINE_BYTES:
        return await in_thread(function, *args)
    return function(*args)


def slices(data: bytes | memoryview, group: int = 1) -> Iterable[bytes | memoryview]:
    """Return the data piece by piece, letting other threads run in between.

    All pieces but the last are a multiple of ``group`` bytes.
    """
    return [data] if len(data) <= INLINE_BYTES else _slices(data, group)


def _slices(data: bytes | memoryview, group: int) -> Iterator[memoryview]:
    view = memoryview(data)
    size = INLINE_BYTES - INLINE_BYTES % group
    for start in range(0, len(data), size):
        if start:
            time.sleep(0)
        yield view[start : start + size]
