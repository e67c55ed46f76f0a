"""Numbers about a pool of API objects."""

from __future__ import annotations

import attrs

__all__ = ["PoolStatistics"]


@attrs.frozen(kw_only=True)
class PoolStatistics:
    """Numbers about a pool, for a health check or a metric.

    Attributes:
        open: API objects there are now, with those that are being built or closed.
        in_use: of these, the ones that somebody uses or waits for.
        idle: of these, the ones that wait for their user to come back.
        waiting: tasks that wait because all are in use.
        built: API objects that were built since the pool was made.
        reused: uses that found an API object already there.
        failed: builds that failed.
        evicted: API objects that nobody used and that had to make room for others.
        expired: idle API objects whose time was over.
        refused: API objects that were let go because the token has expired or was revoked.
    """

    open: int = 0
    in_use: int = 0
    idle: int = 0
    waiting: int = 0
    built: int = 0
    reused: int = 0
    failed: int = 0
    evicted: int = 0
    expired: int = 0
    refused: int = 0
