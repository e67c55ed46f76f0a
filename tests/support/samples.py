"""Samples of what has too many cases for CI: other ones each day, all of them on demand."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def today() -> int:
    """Return a number that is another one each day."""
    return dt.datetime.now(dt.UTC).toordinal()


def all_wanted(option: str) -> bool:
    """Return whether an environment variable asks for all cases."""
    return os.environ.get(option) == "all"


def one_a_day(cases: Sequence[T], option: str) -> Sequence[T]:
    """Return one of some cases, another one each day; all of them where they are asked for."""
    return cases if all_wanted(option) else [cases[today() % len(cases)]]
