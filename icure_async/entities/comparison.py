"""Records compared with what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.entities.stored_members import without_empty
from icure_async.errors import ConflictError, ValidationError
from icure_async.models.base import EntityModel, has_rev
from icure_async.models.wire import from_wire, to_wire

if TYPE_CHECKING:
    from icure_async.entities.kinds import EntityKind

__all__ = ["changed_by_others", "refuse_other_changes", "same_content"]

_SET_ON_SAVING: Final = frozenset({"rev", "modified", "systemMetaData"})
_SET_ON_CREATION: Final = frozenset({"created", "author", "responsible"})


def changed_by_others(name: str, conflict: ConflictError) -> ConflictError:
    """Return the error for a record that can't be saved, with the next step.

    Args:
        name: of the record, for the message: "Patient 4711".
        conflict: as the backend told of it.
    """
    return ConflictError(
        f"{name} was changed by somebody else, or its id is in use. Read it again, apply the "
        "change to what you read, and save that.",
        status=conflict.status,
        request_id=conflict.request_id,
        server_message=conflict.server_message,
    )


def refuse_other_changes(
    kind: EntityKind[Any, Any], record: EntityModel, current: EntityModel
) -> None:
    """Refuse changes of attributes that can't be changed in records of this kind.

    Raises:
        ValidationError: there are such.
    """
    changeable = kind.changeable or {}
    built_by_hand = record.unknown_fields is None
    for field in attrs.fields(kind.clear):
        name = field.name
        if not field.eq or name in changeable or name in ("id", "rev"):
            continue
        value = getattr(record, name)
        if value != getattr(current, name) and not (built_by_hand and value is None):
            raise ValidationError(
                f"The {name} of a {kind.noun} can't be changed: only its {', '.join(changeable)} "
                "can. Nothing was changed."
            )


def same_content(kind: EntityKind[Any, Any], stored: EntityModel, record: EntityModel) -> bool:
    """Return whether a stored record has what was to be saved."""
    ours, theirs = _content(kind, record), _content(kind, stored)
    compared = (ours | theirs).keys() - _SET_ON_SAVING
    compared -= _SET_ON_CREATION if not has_rev(record) else _SET_ON_CREATION - ours.keys()
    if kind.changeable is not None:
        # None leaves the stored value.
        compared &= record.to_dict().keys()
    compared -= {name for name in kind.filled if ours.get(name) is None}
    defaults = kind.server_defaults
    return all(
        ours.get(name, defaults.get(name)) == theirs.get(name, defaults.get(name))
        for name in compared
    )


def _content(kind: EntityKind[Any, Any], record: EntityModel) -> dict[str, Any]:
    """Return the record the way it looks after having been saved and read."""
    cls = kind.clear if isinstance(record, kind.clear) else kind.sealed
    read = from_wire(cls, kind.complete(to_wire(record)))
    content: dict[str, Any] = without_empty(read.to_dict())
    return content
