"""The sandbox's own time, which tests can move forward."""

from __future__ import annotations

import time

__all__ = ["Clock"]


class Clock:
    """System time plus what it was advanced by."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._offset

    def now_ms(self) -> int:
        """Milliseconds since the epoch, as entities carry them."""
        return int(self.now() * 1000)

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        Raises:
            ValueError: if ``seconds`` is negative: revisions and tokens never travel back in time.
        """
        if seconds < 0:
            raise ValueError(f"The clock only moves forward, not by {seconds} seconds")
        self._offset += seconds
