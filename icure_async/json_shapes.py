"""JSON of unknown shape, taken for what it should be. Backends and past versions err."""

from __future__ import annotations

from typing import Any, TypeGuard

__all__ = ["as_list", "as_object", "is_list", "is_object"]


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether this is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Return whether this is a JSON list."""
    return isinstance(value, list)


def as_object(value: object) -> dict[str, Any]:
    """Return a JSON object as it is, and an empty one for anything else."""
    return value if is_object(value) else {}


def as_list(value: object) -> list[Any]:
    """Return a JSON list as it is, and an empty one for anything else."""
    return value if is_list(value) else []
