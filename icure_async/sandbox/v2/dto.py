"""The form of entities in rest/v2: with all properties, or in today's model (§14.1).

Clients that declare themselves to read today's model take nothing but its properties.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox.dto import Schema
from icure_async.sandbox.shapes import is_list, is_object
from icure_async.sandbox.tables import EMBEDDED, ENTITIES
from icure_async.sandbox.v2.tables import NOT_STANDARD, ONLY_V1, ONLY_V2

if TYPE_CHECKING:
    from icure_async.sandbox.calls import Call
    from icure_async.sandbox.store import Json

__all__ = ["read", "show", "unknown_to"]

_FROM_V1: Final = ("patient", "user", "hcparty", "device", "maintenancetask", "stub")
_NOTHING: Final[frozenset[str]] = frozenset()

Pruner = Callable[[Any], Any]


def _table(kind: str) -> dict[str, str]:
    removed = ONLY_V1.get(kind, _NOTHING)
    kept = {prop: notation for prop, notation in ENTITIES[kind].items() if prop not in removed}
    return kept | ONLY_V2.get(kind, {})


_TABLES: Final[dict[str, dict[str, str]]] = {kind: _table(kind) for kind in _FROM_V1}
_SCHEMAS: Final = {kind: Schema(kind, table) for kind, table in _TABLES.items()}


def read(kind: str, body: Any) -> Json:
    """Check and complete an entity sent by a client; unknown properties are dropped.

    Raises:
        ApiError: 400 that names the property that is missing or has the wrong type.
    """
    return _SCHEMAS[kind].read(body)


def show(call: Call, kind: str, entity: Json) -> Json:
    """Return an entity as it is answered to this caller."""
    shown = _SCHEMAS[kind].show(entity)
    if not call.standard:
        return shown
    standard = _PRUNERS[kind](shown)
    return {prop: value for prop, value in standard.items() if value not in (None, [], {})}


def unknown_to(call: Call, kind: str, entity: Json) -> Json:
    """Return the stored properties that the caller can't send, and does not mean to remove."""
    known = _TABLES[kind].keys()
    if call.standard:
        known = known - NOT_STANDARD.get(kind, _NOTHING)
    return {prop: value for prop, value in entity.items() if prop not in known}


def _pruner_of(name: str, table: dict[str, str]) -> Pruner:
    """Return what leaves a type without the properties that today's model lacks."""
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
        item = _pruner(type_name.removesuffix("[]"))
        return item and (lambda value: [item(one) for one in value] if is_list(value) else value)
    if type_name.startswith("{"):
        of_value = _pruner(type_name[1:-1].partition(": ")[2])
        return of_value and (
            lambda value: (
                {key: of_value(one) for key, one in value.items()} if is_object(value) else value
            )
        )
    if type_name in EMBEDDED or type_name in NOT_STANDARD:
        # Looked up when used: embedded types mention each other.
        return lambda value: _EMBEDDED_PRUNERS[type_name](value)
    return None


_EMBEDDED_PRUNERS: Final = {
    name: _pruner_of(name, EMBEDDED.get(name, {})) for name in EMBEDDED.keys() | NOT_STANDARD.keys()
}
_PRUNERS: Final = {kind: _pruner_of(kind, table) for kind, table in _TABLES.items()}
