"""Guards for the shape of JSON, which type checkers believe."""

from __future__ import annotations

from typing import Any, TypeGuard

__all__ = [
    "is_integer",
    "is_list",
    "is_object",
    "is_string_list",
    "list_in",
    "object_in",
    "tokens_in",
]


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether this is a JSON object."""
    return isinstance(value, dict)


def is_integer(value: Any) -> TypeGuard[int]:
    """Return whether this is an integer of at most 64 bits, which is all the backend stores."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Return whether this is a JSON array."""
    return isinstance(value, list)


def is_string_list(value: Any) -> TypeGuard[list[str]]:
    """Return whether this is a JSON array of strings."""
    return is_list(value) and all(isinstance(item, str) for item in value)


def object_in(entity: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object property of a stored entity, empty when it is missing."""
    value: dict[str, Any] = entity.get(name) or {}
    return value


def tokens_in(user: dict[str, Any]) -> dict[str, Any]:
    """Return the tokens of a stored user by their keys; one from a seed may have null ones."""
    tokens = object_in(user, "authenticationTokens")
    return {key: token for key, token in tokens.items() if token is not None}


def list_in(entity: dict[str, Any], name: str) -> list[Any]:
    """Return a list property of a stored entity, empty when it is missing."""
    value: list[Any] = entity.get(name) or []
    return value
