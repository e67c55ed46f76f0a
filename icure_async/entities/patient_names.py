"""The names a patient gets on saving, and the other way round (data-model.md §3.3)."""

from collections.abc import Mapping
from typing import Any, Final, cast

__all__ = ["REPEATED_IN_NAMES", "complete_patient_names"]

REPEATED_IN_NAMES: Final[Mapping[str, str]] = dict.fromkeys(
    ("first_name", "last_name", "maiden_name", "alias"), "names"
)
"""The attributes of a patient that its list of names repeats, also within longer texts."""

_NAME_MEMBERS = (("lastName", "official"), ("maidenName", "maiden"), ("alias", "nickname"))


def complete_patient_names(wire: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a patient's wire document with its names completed.

    A last name, maiden name or alias without an entry in ``names`` gets one at the end of the list;
    an entry without the corresponding member provides it. Existing entries are never updated, so a
    new last name leaves an outdated official name. Where there is no first name, the text of an
    added entry ends in a blank, as in the documents of the reference SDK.
    """
    completed = dict(wire)
    names: list[Mapping[str, Any]] = list(wire.get("names") or [])
    first_name: str | None = wire.get("firstName") or None
    for member, use in _NAME_MEMBERS:
        last_name: str | None = wire.get(member)
        if last_name and _find(names, use) is None:
            names.append(
                {
                    "lastName": last_name,
                    "firstNames": [first_name] if first_name else [],
                    "text": f"{last_name} {first_name or ''}",
                    "use": use,
                }
            )
    if names:
        completed["names"] = names
    for member, use in _NAME_MEMBERS:
        name = _find(names, use)
        if completed.get(member) or name is None:
            continue
        if name.get("lastName"):
            completed[member] = name["lastName"]
        if use == "official" and (first_names := cast("list[str]", name.get("firstNames"))):
            completed["firstName"] = first_names[0]
    return completed


def _find(names: list[Mapping[str, Any]], use: str) -> Mapping[str, Any] | None:
    return next((name for name in names if name.get("use") == use), None)
