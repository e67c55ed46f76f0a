"""Members that only the stored document has, for a model that was built by hand.

Saving replaces whole documents, so they have to be carried over, at every depth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs

from icure_async.models.base import EntityModel, Model, ValueModel

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["with_stored_members", "without_empty"]

ModelT = TypeVar("ModelT", bound=EntityModel | ValueModel)


def with_stored_members(ours: ModelT, stored: EntityModel | ValueModel) -> ModelT:
    """Return our model with the members of the stored one that its class does not know.

    Elements of lists are taken for the stored ones that are most like them: an element that was
    changed keeps what else belongs to it, above all that it is to be encrypted.
    """
    changes: dict[str, Any] = {
        "assumed_fields": stored.assumed_fields,
        "unknown_fields": stored.unknown_fields,
    }
    for name in _compared(ours):
        mine, theirs = getattr(ours, name), getattr(stored, name)
        if isinstance(mine, ValueModel) and isinstance(theirs, ValueModel):
            changes[name] = with_stored_members(mine, theirs)
        elif isinstance(mine, list) and isinstance(theirs, list):
            changes[name] = _with_stored_elements(
                cast("list[object]", mine), cast("list[object]", theirs)
            )
    return attrs.evolve(ours, **changes)


def without_empty(value: Any) -> Any:
    """Return JSON without empty collections: backends put them where there was nothing."""
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        members = {name: without_empty(member) for name, member in mapping.items()}
        return {name: member for name, member in members.items() if member not in ([], {})}
    if isinstance(value, list):
        return [without_empty(item) for item in cast("list[object]", value)]
    return value


def _with_stored_elements(mine: list[object], theirs: list[object]) -> list[object]:
    result = list(mine)
    for index, stored_index in _pairs(mine, theirs):
        element, stored = mine[index], theirs[stored_index]
        if isinstance(element, ValueModel) and isinstance(stored, ValueModel):
            result[index] = with_stored_members(element, stored)
    return result


def _pairs(mine: list[object], theirs: list[object]) -> Iterator[tuple[int, int]]:
    """Yield the indexes of elements that belong together, each at most once, likest first."""
    changed: list[int] = []
    left = list(range(len(theirs)))
    for index, element in enumerate(mine):
        equal = next((other for other in left if theirs[other] == element), None)
        if equal is None:
            changed.append(index)
        else:
            left.remove(equal)
            yield index, equal
    candidates = [
        (-_likeness(mine[index], theirs[other]), abs(index - other), index, other)
        for index in changed
        for other in left
    ]
    for unlikeness, distance, index, other in sorted(candidates):
        # Without anything in common, only the place can tell, as long as none was added or removed.
        in_place = distance == 0 and len(mine) == len(theirs)
        if (unlikeness or in_place) and index in changed and other in left:
            changed.remove(index)
            left.remove(other)
            yield index, other


def _likeness(mine: object, stored: object) -> int:
    """Return how many members with a value two elements have in common."""
    if not isinstance(mine, ValueModel) or type(mine) is not type(stored):
        return 0
    return sum(
        getattr(mine, name) == getattr(stored, name) and getattr(mine, name) not in (None, [], {})
        for name in _compared(mine)
    )


def _compared(model: Model) -> Iterator[str]:
    fields = cast("tuple[attrs.Attribute[Any], ...]", attrs.fields(type(model)))
    return (field.name for field in fields if field.eq)
