"""Records as JSON files and on the screen, without the keys that the SDK looks after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from icure_async.cli.output import print_json, print_members
from icure_async.cli.questions import read_text
from icure_async.errors import ValidationError
from icure_async.json_shapes import parse_json_object
from icure_async.models.base import EntityModel

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["members_of", "new_record_in", "show"]

Record = TypeVar("Record", bound=EntityModel)


def new_record_in(file: Path, kind: type[Record], noun: str) -> Record:
    """Return the record of a JSON file, which no backend has stored.

    Raises:
        ConfigurationError: the file cannot be read.
        ValidationError: it holds something else, or a record that was stored.
    """
    members = parse_json_object(read_text(file))
    if members is None:
        raise ValidationError(f"{file} holds no JSON object: name a file with one {noun}.")
    found = kind.from_dict(members)
    # Samples have no revision; their batch has, which is stored with them.
    if found.rev or getattr(found, "batch_id", None):
        shown = "a revision" if found.rev else "a batch"
        left_out = "'rev'" if found.rev else "'batchId'"
        raise ValidationError(
            f"The {noun} in {file} has {shown}, so it exists: remove {left_out} and 'id' for a "
            "copy."
        )
    return found


def members_of(record: EntityModel) -> dict[str, Any]:
    """Return a record as ``--json`` prints it."""
    members = record.to_dict()
    # Keys and delegations.
    members.pop("systemMetaData", None)
    return members


def show(record: EntityModel, *, as_json: bool) -> None:
    """Print a record, a line for each member that is set, or as JSON."""
    members = members_of(record)
    if as_json:
        print_json(members)
        return
    print_members({name: value for name, value in members.items() if value not in ([], {})})
