"""Files that commands write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_target"]


def check_target(file: Path, *, overwrite: bool) -> None:
    """Check that a file can be written, before that takes any work.

    Args:
        file: to write.
        overwrite: whether one that exists may be replaced.

    Raises:
        FileNotFoundError: its folder does not exist.
        FileExistsError: it exists.
    """
    if not file.parent.is_dir():
        raise FileNotFoundError(f"{file.parent} is not a folder: make it, or choose another name.")
    if not overwrite and os.path.lexists(file):
        raise FileExistsError(f"{file} exists: choose another name, or add --overwrite.")
