"""Answers of the backend, compared with what was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.json_shapes import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["difference"]

# Backends complete codes (server-behaviour.md §4.3).
_PARTS_OF_CODES: Final = frozenset({"id", "type", "code", "version"})


def difference(
    sent: Mapping[str, Any],
    stored: Mapping[str, Any],
    *,
    known: Collection[str],
    filled: Collection[str] = (),
    ignored: Collection[str] = (),
) -> str | None:
    """Return the name of a member that is stored otherwise than it was sent, or None.

    Empty members count as absent, since backends add and drop them; they give lists back in any
    order, and without doubles.

    Args:
        sent: the document as it was sent.
        stored: the document as the backend has it.
        known: the members that are looked for in what is stored: others may be newer than this SDK.
        filled: members that the backend fills in where they are missing.
        ignored: members that are not compared.
    """
    for name in sent.keys() - ignored:
        if not _is_same(sent[name], stored.get(name)) and not (name in filled and not sent[name]):
            return name
    for name in stored.keys() & known:
        if name not in ignored and name not in filled and name not in sent and stored[name]:
            return name
    return None


def _is_same(sent: Any, stored: Any) -> bool:
    if not stored and not isinstance(sent, int | float) and not sent:
        return True
    if is_object(sent) and is_object(stored):
        return all(
            _is_same(sent.get(name), stored.get(name))
            for name in sent.keys() | stored.keys()
            if not (name in _PARTS_OF_CODES and sent.get(name) is None)
        )
    if is_list(sent) and is_list(stored):
        return _are_same(sent, stored)
    return isinstance(sent, bool) == isinstance(stored, bool) and bool(sent == stored)


def _are_same(sent: Sequence[Any], stored: Sequence[Any]) -> bool:
    # A long answer would be compared for long.
    if len(stored) > len(sent):
        return False
    if all(isinstance(item, str) for item in (*sent, *stored)):
        return set(sent) == set(stored)
    if len(sent) == len(stored) and all(map(_is_same, sent, stored)):
        return True
    return all(any(_is_same(ours, theirs) for theirs in stored) for ours in sent) and all(
        any(_is_same(ours, theirs) for ours in sent) for theirs in stored
    )
