"""Phone numbers and folders that nobody in a test has had yet."""

from __future__ import annotations

import itertools
from pathlib import Path


class Newcomers:
    """Users who are new to a sandbox, and their devices.

    Args:
        folder: has the folders of all devices.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(470_000_000)
        self._folders = itertools.count()

    def new_phone(self) -> str:
        return f"+32{next(self._numbers)}"

    def new_folder(self, kind: str = "device") -> Path:
        return self._folder / f"{kind}-{next(self._folders)}"
