"""The backend's lists of the medical data of a patient, found by the patient's secret ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlencode

from icure_async.rest.documents import checked_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.rest.session import Session

__all__ = ["NOUNS", "PatientDataKind", "PatientDataResource"]

PatientDataKind = Literal["helement", "contact", "form", "invoice"]
"""A kind of medical data, named as in the paths of the backend."""

_BY_PATIENT: Final = "byHcPartySecretForeignKeys"
_PATHS: Final[Mapping[PatientDataKind, str]] = {
    "helement": f"/helement/{_BY_PATIENT}/delegations",
    "contact": f"/contact/{_BY_PATIENT}",
    "form": f"/form/{_BY_PATIENT}/delegations",
    "invoice": f"/invoice/{_BY_PATIENT}/delegations",
}
NOUNS: Final[Mapping[PatientDataKind, str]] = {
    "helement": "healthcare element",
    "contact": "contact",
    "form": "form",
    "invoice": "invoice",
}
"""The kinds in words."""


class PatientDataResource:
    """Medical data of patients as wire JSON, checked. Of most kinds only ids and entries come."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def of_patient(
        self, kind: PatientDataKind, owner_id: str, secret_ids: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return the data of a kind that belongs to a patient, and is shared with a data owner.

        Source: wire-protocol.md §6.10.

        Args:
            kind: what to list.
            owner_id: the data owner, of whatever type.
            secret_ids: those of the patient.
        """
        action = f"list the {NOUNS[kind]}s of a patient"
        query = {"hcPartyId": owner_id, "secretFKeys": ",".join(secret_ids)}
        response = await self._session.request(
            "GET", _PATHS[kind], action=action, query=urlencode(query), repeatable=True
        )
        return [checked_document(row, kind, None, action) for row in response.json_list()]
