"""A list that forgets its oldest items."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ring"]

T = TypeVar("T")


def _weightless(_item: object) -> int:
    return 0


class Ring(Generic[T]):
    """The newest items, within a number and a weight. The newest one always stays.

    Args:
        most: items that are kept.
        heaviest: weight of all of them.
        weigh: the weight of one.
    """

    def __init__(
        self, most: int, heaviest: int = 0, weigh: Callable[[T], int] = _weightless
    ) -> None:
        self._items: deque[T] = deque()
        self._most = most
        self._heaviest = heaviest
        self._weigh = weigh
        self._weight = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def items(self) -> list[T]:
        """All items, the oldest first; may be asked from any thread."""
        # Copied in one step of the interpreter, while another thread may append.
        return list(self._items)

    @property
    def first(self) -> T | None:
        """The oldest item, if there is any."""
        return self._items[0] if self._items else None

    def newest(self, count: int) -> list[T]:
        """Return at most so many of the newest items, the oldest of them first."""
        return list(itertools.islice(reversed(self._items), max(0, count)))[::-1]

    def append(self, item: T) -> list[T]:
        """Add an item, and return those that had to go."""
        self._items.append(item)
        self._weight += self._weigh(item)
        gone: list[T] = []
        while len(self._items) > self._most or (
            self._weight > self._heaviest and len(self._items) > 1
        ):
            gone.append(self._items.popleft())
            self._weight -= self._weigh(gone[-1])
        return gone

    def clear(self) -> None:
        """Forget all."""
        self._items.clear()
        self._weight = 0
