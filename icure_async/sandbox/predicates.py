"""Predicates, which choose among the entities that a filter finds (§9.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.shapes import is_list, is_object
from icure_async.sandbox.store import Json

__all__ = ["Predicate", "predicate_of"]

Predicate = Callable[[Json], bool]


def predicate_of(body: Any) -> Predicate:
    """Return the predicate that a JSON object describes."""
    if not is_object(body):
        raise bad_request("A predicate must be a JSON object")
    kind = body.get("$type")
    if kind == "AlwaysPredicate":
        return lambda _entity: True
    if kind == "NotPredicate":
        negated = predicate_of(body.get("predicate"))
        return lambda entity: not negated(entity)
    if kind in ("AndPredicate", "OrPredicate"):
        members = body.get("predicates")
        if not is_list(members):
            raise bad_request(f"{kind}: predicates must be a list")
        parts = [predicate_of(member) for member in members]
        combine = all if kind == "AndPredicate" else any
        return lambda entity: combine(part(entity) for part in parts)
    if kind == "KeyValuePredicate":
        return _key_value_predicate(body)
    raise bad_request("A predicate needs a known $type")


def _key_value_predicate(body: Json) -> Predicate:
    key, operator, value = body.get("key"), body.get("operator"), body.get("value")
    comparison = _OPERATORS.get(operator) if isinstance(operator, str) else None
    if not isinstance(key, str) or comparison is None:
        raise bad_request("KeyValuePredicate: key or operator is missing or unknown")

    def holds(entity: Json) -> bool:
        try:
            return comparison(entity.get(key), value)
        except TypeError:
            return False

    return holds


def _contains(actual: Any, wanted: Any, *, fold: bool) -> bool:
    if not isinstance(actual, str) or not isinstance(wanted, str):
        return False
    return wanted.lower() in actual.lower() if fold else wanted in actual


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "EQUAL": lambda actual, wanted: actual == wanted,
    "NOTEQUAL": lambda actual, wanted: actual != wanted,
    "GREATERTHAN": lambda actual, wanted: actual > wanted,
    "SMALLERTHAN": lambda actual, wanted: actual < wanted,
    "GREATERTHANOREQUAL": lambda actual, wanted: actual >= wanted,
    "SMALLERTHANOREQUAL": lambda actual, wanted: actual <= wanted,
    "LIKE": lambda actual, wanted: _contains(actual, wanted, fold=False),
    "ILIKE": lambda actual, wanted: _contains(actual, wanted, fold=True),
}
