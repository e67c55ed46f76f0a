"""All warnings of the SDK: something works, and had better be changed."""

from __future__ import annotations

import inspect
import warnings
from typing import Final

__all__ = [
    "BlockingCallWarning",
    "InsecureConnectionWarning",
    "KeysInMemoryWarning",
    "given",
    "warn_once",
]

# Modules between a program and the line that warns, in an event loop and in threads.
_BETWEEN: Final = frozenset({"asyncio", "concurrent", "icure_async", "icure_sync", "threading"})


given: set[type[Warning]] = set()
"""Categories that this process has been warned of."""


class BlockingCallWarning(UserWarning):
    """A blocking call of ``icure_sync`` holds up an event loop. Given once per process.

    Not in notebooks, where it holds up nothing.
    """


class InsecureConnectionWarning(UserWarning):
    """A URL begins with ``http://``, and its host is not this machine. Given once per process."""


class KeysInMemoryWarning(UserWarning):
    """A key pair is about to be published that is lost when the program ends.

    Given once per process. ``with_storage_directory()`` keeps keys in files;
    ``with_in_memory_keys()`` says that memory is meant.
    """


def warn_once(message: str, category: type[Warning]) -> None:
    """Warn the program that called the SDK, once per process and category.

    It names the program's line, except in a thread of the SDK's.
    """
    if category in given:
        return
    given.add(category)
    depth, frame = 1, inspect.currentframe()
    while frame is not None and _package_of(frame.f_globals) in _BETWEEN:
        depth, frame = depth + 1, frame.f_back
    warnings.warn(message, category, stacklevel=depth)


def _package_of(names: dict[str, object]) -> str:
    return str(names.get("__name__", "")).partition(".")[0]
