"""The sandbox's own time, which tests can move forward."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

__all__ = ["Clock"]

_END: Final = 253_402_300_799
"""The last second of the year 9999, after which dates have no form."""
_TOO_LATE: Final = "The clock ends with the year 9999"


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

    @property
    def offset(self) -> float:
        """Seconds by which it is ahead of system time."""
        return self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        Raises:
            ValueError: if ``seconds`` is negative: revisions and tokens never travel back in time.
        """
        if not seconds >= 0:
            raise ValueError(f"The clock only moves forward, not by {seconds} seconds")
        if seconds > _END or self.now() + seconds > _END:
            raise ValueError(_TOO_LATE)
        self._offset += seconds

    def set(self, moment: float | datetime) -> None:
        """Move the clock forward to a moment.

        Args:
            moment: seconds since the epoch, or a datetime with a time zone.

        Raises:
            ValueError: if it is in the past of this clock, or has no time zone.
        """
        if isinstance(moment, datetime):
            if moment.tzinfo is None:
                raise ValueError(
                    "The moment has no time zone: give it one, as in "
                    "datetime(2030, 1, 31, tzinfo=timezone.utc)"
                )
            moment = moment.timestamp()
        now = self.now()
        # A whole number may be larger than any float.
        if moment > _END:
            raise ValueError(_TOO_LATE)
        if not moment >= now:
            raise ValueError(
                f"The clock only moves forward: it is {_shown(now)}, and {_shown(moment)} is past"
            )
        self.advance(moment - now)

    def reset(self) -> None:
        """Show system time again."""
        self._offset = 0.0


def _shown(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} seconds after 1970"
