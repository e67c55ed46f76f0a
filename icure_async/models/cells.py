"""The members of records, laid flat: one cell for each value, under a path of names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_args, get_origin

import attrs

from icure_async.errors import ValidationError
from icure_async.json_shapes import is_list
from icure_async.mistakes import did_you_mean
from icure_async.models.base import Model
from icure_async.models.fields import members_of
from icure_async.models.json_values import hidden, left_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icure_async.models.fields import Member

__all__ = [
    "Cell",
    "cells_of",
    "closed_members",
    "is_below",
    "list_records",
    "require_path",
    "sorted_paths",
]

_Order: TypeAlias = tuple[tuple[int, str], ...]


@attrs.frozen(kw_only=True)
class Cell:
    """A value of a record.

    Attributes:
        path: names of members, places in lists and keys of maps, joined by dots.
        order: sorts the cells of a record, and those of many, in the order of the members.
        member: the member that holds the value, perhaps in a list or a map.
        value: the value, which is not None; a list of values that are no models is one.
        technical: whether it belongs to the keys or the revision, or is a secret: nothing to show
            unless it is asked for by name.
    """

    path: str
    order: _Order
    member: Member
    value: Any = attrs.field(repr=False)
    technical: bool


def cells_of(record: Model) -> Iterator[Cell]:
    """Yield the values of a record that are set, those of the models in it included."""
    return _cells_of(record, "", (), technical=False)


def closed_members(record: Model) -> list[str]:
    """Return the members of a record that no key on this device opens, as far as it says so."""
    members = members_of(cast("Any", type(record)))
    return [member.name for member in members if member.reads in {hidden, left_out}]


def list_records(records: object, caller: str) -> list[Model]:
    """Return a list of records, where one or many are given.

    Raises:
        ValidationError: they are something else.
    """
    if isinstance(records, Model):
        return [records]
    if hasattr(records, "__aiter__"):
        raise ValidationError(
            f"{caller} takes a list, and was given an async iterator: collect its records with "
            "[record async for record in ...]."
        )
    if hasattr(records, "saved"):
        raise ValidationError(f"{caller} takes records: of a BatchResult, pass its `saved`.")
    items = list(cast("Iterable[object]", records)) if isinstance(records, Iterable) else [records]
    if not all(isinstance(item, Model) for item in items):
        raise ValidationError(f"{caller} takes records, such as Patients, or a list of them.")
    return cast("list[Model]", items)


def sorted_paths(cells: Iterable[Cell]) -> list[str]:
    """Return the paths of the cells of one or many records, in the order of the members."""
    orders: dict[str, _Order] = {}
    for cell in cells:
        orders[cell.path] = min(cell.order, orders.get(cell.path, cell.order))
    return sorted(orders, key=lambda path: (orders[path], path))


def is_below(path: str, column: str) -> bool:
    """Return whether a value belongs to a column: under its path, or under one that begins so."""
    return path == column or path.startswith(f"{column}.")


def require_path(column: str, classes: Iterable[type]) -> None:
    """Raise unless one of some models may have a value under a path.

    Raises:
        ValidationError: none has.
    """
    problems = [_problem_with(column.split("."), cls) for cls in classes]
    if problems and all(problem is not None for problem in problems):
        raise ValidationError(f"There is no column {column!r}{problems[0]}")


def _cells_of(model: Model, path: str, order: _Order, *, technical: bool) -> Iterator[Cell]:
    for place, member in enumerate(members_of(cast("Any", type(model)))):
        value = getattr(model, member.name)
        if value is None:
            continue
        is_technical = technical or member.flat or member.secret or member.name == "rev"
        yield from _inside(
            value,
            member,
            f"{path}.{member.name}" if path else member.name,
            (*order, (place, "")),
            technical=is_technical,
        )


def _inside(
    value: Any, member: Member, path: str, order: _Order, *, technical: bool
) -> Iterator[Cell]:
    parts: Iterable[tuple[tuple[int, str], Any]]
    if isinstance(value, Model):
        yield from _cells_of(value, path, order, technical=technical)
        return
    if isinstance(value, Mapping):
        members = cast("Mapping[str, Any]", value)
        parts = [((0, str(key)), item) for key, item in members.items()]
    elif is_list(value) and any(isinstance(item, Model) for item in value):
        parts = [((place, ""), item) for place, item in enumerate(value)]
    elif value == []:
        return
    else:
        yield Cell(path=path, order=order, member=member, value=value, technical=technical)
        return
    for step, item in parts:
        name = step[1] or str(step[0])
        yield from _inside(item, member, f"{path}.{name}", (*order, step), technical=technical)


def _problem_with(steps: list[str], kind: Any) -> str | None:
    """Return the end of a sentence about a path that a type has not; None where it has it."""
    if not steps:
        return None
    first, *others = steps
    if attrs.has(kind):
        kinds = {member.name: member.kind for member in members_of(kind)}
        if first not in kinds:
            return did_you_mean(first, kinds)
        return _problem_with(others, kinds[first])
    if get_origin(kind) is dict:
        # A key may be any text.
        return None
    item = next(iter(get_args(kind)), None)
    return (
        _problem_with(others, item)
        if item is not None and attrs.has(item) and first.isdecimal()
        else "."
    )
