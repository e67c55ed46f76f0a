"""Answers about changed metadata, compared with the question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.entities.encrypted_self import nested_ciphertexts
from icure_async.entities.record_ids import generation_of
from icure_async.entities.secure_delegations import (
    SECURITY_METADATA,
    parties_of,
    secure_delegations_of,
)
from icure_async.entities.wholeness import ENTITY_METADATA, KEY_MATERIAL, same_material
from icure_async.errors import InvalidResponseError
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_list

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["refuse_lost_metadata", "refuse_missing_delegation"]

_ENTRIES: Final = ("secretIds", "encryptionKeys", "owningEntityIds")
_UNCHANGED: Final = (
    *(name for name in ENTITY_METADATA if name != SECURITY_METADATA),
    *KEY_MATERIAL,
)


def refuse_lost_metadata(
    before: Mapping[str, Any], stored: Mapping[str, Any], noun: str, *, own_changes: int
) -> None:
    """Refuse an entity that lacks delegations, keys or content that it had before it was shared.

    Args:
        before: the entity as it was.
        stored: the entity as the backend says that it is stored.
        noun: what it is, in the singular.
        own_changes: how often we are known to have changed it since.

    Raises:
        InvalidResponseError: it lacks some.
    """
    # Others may change its content at the same time, which gives it further revisions.
    was_changed = generation_of(stored["rev"]) > generation_of(before["rev"]) + own_changes
    if not was_changed and not (
        same_material(before, stored, _UNCHANGED)
        and nested_ciphertexts(before) == nested_ciphertexts(stored)
    ):
        raise _two_things(before, noun)
    delegations = secure_delegations_of(stored)
    for key, delegation in secure_delegations_of(before).items():
        if not _holds(delegations.get(key), delegation):
            raise _two_things(before, noun)


def refuse_missing_delegation(
    stored: Mapping[str, Any], key: str, asked: Mapping[str, Any], noun: str
) -> None:
    """Refuse an entity that is said to be shared, and has no such delegation.

    Args:
        stored: the entity as the backend says that it is stored.
        key: the delegation key.
        asked: the members of the delegation that were asked for.
        noun: what it is, in the singular.

    Raises:
        InvalidResponseError: it has none.
    """
    if not _holds(secure_delegations_of(stored).get(key), asked):
        raise InvalidResponseError(
            f"Could not share {noun} {printable(stored['id'])}: the server says that it is shared, "
            f"and shows it without that. Read the {noun} again, and share it once more."
        )


def _holds(stored: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Return whether a delegation is between the same two, and has no less."""
    return (
        stored is not None
        and parties_of(stored) == parties_of(wanted)
        and all(
            entry in as_list(stored.get(name))
            for name in _ENTRIES
            for entry in wanted.get(name, ())
        )
        and (wanted.get("permissions") != "WRITE" or stored.get("permissions") == "WRITE")
    )


def _two_things(document: Mapping[str, Any], noun: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"Could not share {noun} {printable(document['id'])}: the server answers with one that "
        "lacks delegations, keys or content that it had. Read it again to see what is stored."
    )
