"""Today's model of entities, for clients that take no other property (§14.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from icure_async.sandbox.shapes import is_list, is_object
from icure_async.sandbox.tables import EMBEDDED
from icure_async.sandbox.v2.differences import NOT_STANDARD

__all__ = ["Pruner", "pruner_of"]

_NOTHING: Final[frozenset[str]] = frozenset()

Pruner = Callable[[Any], Any]
"""Returns a value without the properties that today's model lacks."""


def pruner_of(name: str, table: dict[str, str]) -> Pruner:
    """Return what prunes a type with these properties."""
    removed = NOT_STANDARD.get(name, _NOTHING)
    nested = {prop: _pruner(notation) for prop, notation in table.items() if prop not in removed}

    def prune(value: Any) -> Any:
        if not is_object(value):
            return value
        return {
            prop: prune_nested(item) if (prune_nested := nested.get(prop)) else item
            for prop, item in value.items()
            if prop not in removed
        }

    return prune


def _pruner(notation: str) -> Pruner | None:
    """Return what prunes a property of this type, or None where there is nothing to prune."""
    type_name = notation.removeprefix("hidden ").partition(" = ")[0].removesuffix("!")
    if type_name.endswith("[]"):
        return _pruner_of_list(_pruner(type_name.removesuffix("[]")))
    if type_name.startswith("{"):
        return _pruner_of_map(_pruner(type_name[1:-1].partition(": ")[2]))
    if type_name in EMBEDDED or type_name in NOT_STANDARD:
        # Looked up when used: embedded types mention each other.
        return lambda value: _EMBEDDED[type_name](value)
    return None


def _pruner_of_list(item: Pruner | None) -> Pruner | None:
    if item is None:
        return None
    return lambda value: [item(one) for one in value] if is_list(value) else value


def _pruner_of_map(item: Pruner | None) -> Pruner | None:
    if item is None:
        return None

    def prune(value: Any) -> Any:
        return {key: item(one) for key, one in value.items()} if is_object(value) else value

    return prune


_EMBEDDED: Final = {
    name: pruner_of(name, EMBEDDED.get(name, {})) for name in EMBEDDED.keys() | NOT_STANDARD.keys()
}
