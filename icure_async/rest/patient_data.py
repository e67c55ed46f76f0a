"""The backend's lists of the medical data of a patient, found by the patient's secret ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlencode

from icure_async.rest.dialects import CARDINAL
from icure_async.rest.documents import checked_document, checked_ids
from icure_async.rest.entities_v2 import EntityResourceV2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.rest.entities_v2 import AccessHeaders
    from icure_async.rest.session import Session

__all__ = [
    "NOUNS",
    "PatientDataKind",
    "PatientDataResource",
    "PatientDataResourceV2",
    "patient_data_resource",
]

PatientDataKind = Literal["helement", "contact", "form", "invoice"]
"""A kind of medical data, named as in the paths of the backend."""

_BY_PATIENT: Final = "byHcPartySecretForeignKeys"
_PATHS: Final[Mapping[PatientDataKind, str]] = {
    "helement": f"/helement/{_BY_PATIENT}/delegations",
    "contact": f"/contact/{_BY_PATIENT}",
    "form": f"/form/{_BY_PATIENT}/delegations",
    "invoice": f"/invoice/{_BY_PATIENT}/delegations",
}
# server-behaviour.md §14.2
_BY_OWNER: Final = "byDataOwnerPatient"
_PATHS_V2: Final[Mapping[PatientDataKind, str]] = {
    "helement": f"/helement/{_BY_OWNER}OpeningDate",
    "contact": f"/contact/{_BY_OWNER}OpeningDate",
    "form": f"/form/{_BY_OWNER}OpeningDate",
    "invoice": f"/invoice/{_BY_OWNER}InvoiceDate",
}
_SECURE_TYPES: Final[Mapping[PatientDataKind, str]] = {
    "helement": "HealthElement",
    "contact": "Contact",
    "form": "Form",
    "invoice": "Invoice",
}
_IDS_PER_REQUEST: Final = 500
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


class PatientDataResourceV2(PatientDataResource):
    """Medical data of patients as today's backend lists it: ids first, and then the documents.

    Args:
        session: sends the requests.
        access: makes the headers of anonymous data owners.
    """

    def __init__(self, session: Session, access: AccessHeaders) -> None:
        super().__init__(session)
        self._access = access

    async def of_patient(
        self, kind: PatientDataKind, owner_id: str, secret_ids: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return the data of a kind that belongs to a patient, and is shared with a data owner."""
        action, secure_type = f"list the {NOUNS[kind]}s of a patient", _SECURE_TYPES[kind]
        await self._access.keep_fresh()
        response = await self._session.request(
            "POST",
            _PATHS_V2[kind],
            action=action,
            query=urlencode({"dataOwnerId": owner_id}),
            body={"ids": list(secret_ids)},
            headers=await self._access.access_headers(secure_type),
            repeatable=True,
        )
        ids = checked_ids(response.json_list(), action)
        records = EntityResourceV2(
            self._session, kind, NOUNS[kind], secure_type=secure_type, access=self._access
        )
        documents: list[dict[str, Any]] = []
        for start in range(0, len(ids), _IDS_PER_REQUEST):
            documents += await records.get_many(ids[start : start + _IDS_PER_REQUEST])
        return documents


def patient_data_resource(session: Session, access: AccessHeaders) -> PatientDataResource:
    """Return the lists of medical data of a session's backend, in its dialect."""
    if session.dialect is CARDINAL:
        return PatientDataResourceV2(session, access)
    return PatientDataResource(session)
