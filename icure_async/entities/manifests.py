"""The members that today's SDKs encrypt, for each kind of entity.

Source: docs/spec/today.md §6.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.entities.encrypted_self import ENCRYPTED_SELF, NOTHING_INSIDE
from icure_async.json_shapes import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from icure_async.entities.encrypted_self import EncryptedIn

__all__ = [
    "CONTACT_MANIFEST",
    "DOCUMENT_MANIFEST",
    "HEALTH_ELEMENT_MANIFEST",
    "MAINTENANCE_TASK_MANIFEST",
    "NO_MANIFEST",
    "PATIENT_MANIFEST",
    "SET_ON_SAVING",
    "Manifest",
    "shows_inside",
]

SET_ON_SAVING: Final = frozenset({"created", "modified"})
"""Members that today's SDKs encrypt, and that are in clear in records of 2023."""

_ALL: Final = "*"
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})


@attrs.frozen
class Manifest:
    """The encrypted members of one kind of entity.

    Attributes:
        members: wire names of members of the entity itself.
        inside: members of the elements of its lists.
    """

    members: tuple[str, ...] = ()
    inside: EncryptedIn = NOTHING_INSIDE


def _manifest(*paths: str) -> Manifest:
    """Return a manifest of paths as other SDKs write them: ``notes[].markdown``."""
    inside: dict[str, tuple[str, ...] | None] = {}
    for path in paths:
        place, _, name = path.rpartition("[].")
        if place:
            place = place.replace("[].", ".")
            inside[place] = None if name == _ALL else (*(inside.get(place) or ()), name)
    members = tuple(path for path in paths if "[]" not in path)
    return Manifest(members, MappingProxyType(inside))


def shows_inside(manifest: Manifest, document: Mapping[str, Any]) -> bool:
    """Return whether an element of a list shows something that is to be encrypted in it."""
    for place, names in manifest.inside.items():
        for element in _elements(document, place.split(".")):
            wanted = element.keys() - {ENCRYPTED_SELF} if names is None else names
            if any(element.get(name) not in _EMPTY for name in wanted):
                return True
    return False


def _elements(value: object, names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects that a path leads to, through lists."""
    pending: list[tuple[object, Sequence[str]]] = [(value, names)]
    while pending:
        found, left = pending.pop()
        if is_list(found):
            pending += [(item, left) for item in found]
        elif is_object(found) and left:
            pending.append((found.get(left[0]), left[1:]))
        elif is_object(found):
            yield found


NO_MANIFEST: Final = Manifest()
"""Nothing is encrypted."""

PATIENT_MANIFEST: Final = _manifest(
    "note",
    "notes[].markdown",
    "created",
    "modified",
    "companyName",
    "languages",
    "civility",
    "birthSex",
    "personalStatus",
    "nationality",
    "race",
    "ethnicity",
    "picture",
    "insurabilities[].*",
    "partnerships[].*",
    "patientHealthCareParties[].*",
    "financialInstitutionInformation[].*",
    "medicalHouseContracts[].*",
    "patientProfessions",
    "comment",
    "warning",
    "fatherBirthCountry",
    "birthCountry",
    "nativeCountry",
    "socialStatus",
    "mainSourceOfIncome",
    "schoolingInfos[].*",
    "employementInfos[].*",
)
MAINTENANCE_TASK_MANIFEST: Final = _manifest("properties")
HEALTH_ELEMENT_MANIFEST: Final = _manifest(
    "descr", "note", "notes[].markdown", "careTeam[].*", "episode[].name", "episode[].comment"
)
CONTACT_MANIFEST: Final = _manifest(
    "descr",
    "notes[].markdown",
    "location",
    "encounterLocation",
    "participants",
    *(f"services[].{path}" for path in ("content", "notes[].markdown", "comment")),
)
DOCUMENT_MANIFEST: Final = _manifest("size", "hash")
"""Ours alone: other SDKs encrypt nothing of a document itself. They have members of these names,
and those of today refuse encrypted content with other ones."""
