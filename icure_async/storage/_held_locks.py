"""The locks that the blocks around a piece of code hold, as far as their storage wants to know."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

__all__ = ["held_locks"]

held_locks: Final[ContextVar[tuple[object, ...]]] = ContextVar("icure_held_locks", default=())
"""Those of the task, or of the thread that has entered the block of a blocking storage."""
