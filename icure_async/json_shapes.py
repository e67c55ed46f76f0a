"""Guards for JSON of unknown shape: backends and past versions make mistakes."""

from __future__ import annotations

import json
from typing import Any, TypeGuard

__all__ = ["as_list", "as_object", "is_list", "is_object", "parse_json_object"]


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


def parse_json_object(text: object) -> dict[str, Any] | None:
    """Return the JSON object in a text or bytes, and None for anything else.

    No exception leaves this function, since that of a parser carries the whole text, and the
    traceback of the error that is raised instead would show it.
    """
    if not isinstance(text, str | bytes):
        return None
    try:
        content: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if is_object(content) else None
