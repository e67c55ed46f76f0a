"""The names of a healthcare professional: the official one, and the members that say the same.

They are completed as the reference does (data-model.md §3.3). Unlike there, each follows the other
when it is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from icure_async.json_shapes import as_list, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["complete_professional_names", "renamed"]

_Json: TypeAlias = dict[str, Any]
_Name: TypeAlias = "tuple[str | None, str | None]"
"""Last name and first name."""

_OFFICIAL: Final = "official"


def complete_professional_names(wire: Mapping[str, Any]) -> _Json:
    """Return a copy of a professional's wire document with its names completed.

    A ``name`` or last name without an official name gets one, at the end of the list; otherwise the
    official name provides the members that are missing.
    """
    completed = dict(wire)
    names = _names_of(wire)
    last, first = _name_of(wire)
    name: str | None = wire.get("name") or None
    official = _official(names)
    if official is None and (last or name):
        official = _official_name(last, first, name or _full(last, first))
        completed["names"] = [*names, official]
    if official is None:
        return completed
    if not last and not name:
        (last, first), text = _name_in(official, first), official.get("text")
        _put(completed, lastName=last, firstName=first, name=text or _full(last, first) or None)
    elif not name:
        is_hers = _name_in(official, first) == (last, first)
        completed["name"] = (is_hers and official.get("text")) or _full(last, first)
    return completed


def renamed(before: Mapping[str, Any], wire: Mapping[str, Any]) -> _Json:
    """Return a changed professional's wire document with its names brought in line.

    Args:
        before: the stored document.
        wire: the document that is to replace it, with the caller's changes.
    """
    changed = dict(wire)
    old, new = _name_of(before), _name_of(wire)
    was, now = _official(_names_of(before)), _official(_names_of(wire))
    is_flat_changed = old != new or before.get("name") != wire.get("name")
    is_official_changed = was is not None and now is not None and _said_by(was) != _said_by(now)
    if is_flat_changed and not is_official_changed:
        _name_follows(changed, before, was)
        if now is not None:
            _official_follows(changed, now, is_renamed=old != new)
    elif was is not None and now is not None and is_official_changed and not is_flat_changed:
        last, first = _name_in(now, None)
        if _name_in(was, None) != (last, first):
            _put(changed, lastName=last, firstName=first)
        if was.get("text") != now.get("text"):
            _put(changed, name=now.get("text") or _full(last, first) or None)
        elif _name_follows(changed, before, was):
            _official_follows(changed, now, is_renamed=False)
    return changed


def _official_follows(changed: _Json, now: _Json, *, is_renamed: bool) -> None:
    """Make the official name anew from the members that say the same."""
    last, first = _name_of(changed)
    official = dict(now)
    if is_renamed:
        others = cast("list[str]", now.get("firstNames") or [])[1:]
        _put(official, lastName=last)
        official["firstNames"] = [*([first] if first else []), *others]
    _put(official, text=changed.get("name") or _full(last, first) or None)
    changed["names"] = [official if name is now else name for name in _names_of(changed)]


def _name_follows(changed: _Json, before: Mapping[str, Any], was: _Json | None) -> bool:
    """Make the whole name anew where it was made of a last name and a first name that changed."""
    name, new = before.get("name"), _name_of(changed)
    made_of = [_full(*_name_of(before)), *([_full(*_name_in(was, None))] if was else [])]
    if changed.get("name") != name or new == _name_of(before) or not any(new):
        return False
    if name and str(name).strip() not in made_of:
        return False
    changed["name"] = _full(*new)
    return True


def _names_of(wire: Mapping[str, Any]) -> list[_Json]:
    return [name for name in as_list(wire.get("names")) if is_object(name)]


def _official(names: list[_Json]) -> _Json | None:
    return next((name for name in names if name.get("use") == _OFFICIAL), None)


def _official_name(last: str | None, first: str | None, text: str) -> _Json:
    name: _Json = {"lastName": last} if last else {}
    return {**name, "firstNames": [first] if first else [], "text": text, "use": _OFFICIAL}


def _name_of(wire: Mapping[str, Any]) -> _Name:
    return wire.get("lastName") or None, wire.get("firstName") or None


def _name_in(official: Mapping[str, Any], otherwise: str | None) -> _Name:
    """Return the name that an official name gives, with another first name where it gives none."""
    first_names = cast("list[str]", official.get("firstNames") or [])
    return official.get("lastName") or None, first_names[0] if first_names else otherwise


def _said_by(official: Mapping[str, Any]) -> tuple[_Name, str | None]:
    return _name_in(official, None), official.get("text") or None


def _full(last: str | None, first: str | None) -> str:
    return " ".join(part for part in (last, first) if part)


def _put(wire: _Json, **members: str | None) -> None:
    """Set members, and remove those that are None."""
    for name, value in members.items():
        if value is None:
            wire.pop(name, None)
        else:
            wire[name] = value
