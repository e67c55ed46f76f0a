"""A line in which tasks wait for something scarce, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Place", "WaitingLine"]

KeyT = TypeVar("KeyT", bound="Hashable")


class Place(Generic[KeyT]):
    """A place in the line.

    Attributes:
        key: names the thing that its task waits for.
    """

    def __init__(self, key: KeyT) -> None:
        self.key = key
        self._called = asyncio.Event()

    def call(self) -> None:
        """Have its task look again."""
        self._called.set()

    async def wait(self) -> None:
        """Wait until it is called."""
        await self._called.wait()
        self._called.clear()


class WaitingLine(Generic[KeyT]):
    """Tasks that wait; the first one is called when there may be something for it."""

    def __init__(self) -> None:
        self._places: deque[Place[KeyT]] = deque()

    def __len__(self) -> int:
        return len(self._places)

    async def wait_until(
        self, key: KeyT, look: Callable[[bool], bool], seconds: float | None
    ) -> bool:
        """Wait at the end of the line until a look says that waiting is over.

        Args:
            key: as for :meth:`call_all`.
            look: told whether its task is the first in the line; returns whether that may leave.
            seconds: the longest wait; None for no limit.

        Returns:
            False where the time was over first.
        """
        place = Place(key)
        self._places.append(place)
        try:
            async with asyncio.timeout(seconds):
                while not look(self._places[0] is place):
                    await place.wait()
        except TimeoutError:
            return False
        else:
            return True
        finally:
            self._places.remove(place)
            # A call may have come to one that does not use it.
            self.call_first()

    def call_first(self) -> None:
        """Have the first look again."""
        if self._places:
            self._places[0].call()

    def call_all(self, key: KeyT | None = None) -> None:
        """Have all of a key, or really all, look again."""
        for place in self._places:
            if key is None or place.key == key:
                place.call()
