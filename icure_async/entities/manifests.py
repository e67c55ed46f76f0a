"""The members that today's SDKs encrypt, for each kind of entity.

Source: docs/spec/today.md §6.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import attrs

from icure_async.entities.encrypted_self import NOTHING_INSIDE

if TYPE_CHECKING:
    from icure_async.entities.encrypted_self import EncryptedIn

__all__ = [
    "CONTACT_MANIFEST",
    "HEALTH_ELEMENT_MANIFEST",
    "MAINTENANCE_TASK_MANIFEST",
    "NO_MANIFEST",
    "PATIENT_MANIFEST",
    "Manifest",
]

_ALL: Final = "*"


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
