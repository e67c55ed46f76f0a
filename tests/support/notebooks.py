"""The libraries of the dependency group `notebook`, which tests may need."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest

__all__ = ["notebook_library"]


def notebook_library(name: str) -> Any:
    """Return a library, or skip the test where it is missing and ``REQUIRE_NOTEBOOK`` is not 1."""
    if os.environ.get("REQUIRE_NOTEBOOK") == "1":
        return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{name}: install the dependency group `notebook`")
