"""Today's lists of the medical data of a patient, found by the patient's secret ids.

Of forms and invoices, ids come first. Source: server-behaviour.md §9.3, §14.2. None of it is in
recordings of other SDKs (docs/spec/not-verified.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from icure_async.rest.documents import checked_ids
from icure_async.rest.entities_v2 import EntityResourceV2
from icure_async.rest.patient_data import NOUNS, PatientDataResource, Search
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.rest.entities_v2 import AccessHeaders
    from icure_async.rest.patient_data import PatientDataKind
    from icure_async.rest.responses import Response
    from icure_async.rest.session import Session

__all__ = ["PatientDataResourceV2"]

_FILTERS: Final[Mapping[PatientDataKind, str]] = {
    "helement": "HealthElementByHcPartySecretForeignKeysFilter",
    "contact": "ContactByHcPartyPatientTagCodeDateFilter",
}
_LISTS: Final[Mapping[PatientDataKind, str]] = {
    "form": "byDataOwnerPatientOpeningDate",
    "invoice": "byDataOwnerPatientInvoiceDate",
}
_TYPES: Final[Mapping[PatientDataKind, str]] = {
    "helement": "HealthElement",
    "contact": "Contact",
    "document": "Document",
    "form": "Form",
    "invoice": "Invoice",
}
_IDS_AT_A_TIME: Final = 500


class _DataOfPatients(EntityResourceV2):
    """Medical data of one kind."""

    def __init__(self, session: Session, kind: PatientDataKind, access: AccessHeaders) -> None:
        super().__init__(session, kind, NOUNS[kind], secure_type=_TYPES[kind], access=access)

    async def listed(
        self, listing: str, owner_id: str, secret_ids: Sequence[str], action: str
    ) -> list[dict[str, Any]]:
        response = await self._send(
            "POST",
            f"/{self._route}/{listing}",
            action=action,
            query=urlencode({"dataOwnerId": owner_id}),
            body={"ids": list(secret_ids)},
            repeatable=True,
        )
        return await self.with_ids(checked_ids(response.json_list(), action))

    async def with_ids(self, entity_ids: Sequence[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for start in range(0, len(entity_ids), _IDS_AT_A_TIME):
            found += await self.get_many(entity_ids[start : start + _IDS_AT_A_TIME])
        return found

    async def _ask_for_many(self, entity_ids: Sequence[str], action: str) -> Response:
        if self._route != "invoice":
            return await super()._ask_for_many(entity_ids, action)
        return await self._send(
            "GET", path(self._route, "byIds", ",".join(entity_ids)), action=action, repeatable=True
        )


class PatientDataResourceV2(PatientDataResource):
    """Medical data of patients as wire JSON, checked; whole documents."""

    def __init__(self, session: Session, access: AccessHeaders) -> None:
        super().__init__(session)
        self._access = access

    async def of_patient(
        self, kind: PatientDataKind, owner_id: str, secret_ids: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Return the data of a kind that belongs to a patient, and is shared with a data owner."""
        action = f"list the {NOUNS[kind]}s of a patient"
        return await self._of_kind(kind).listed(_LISTS[kind], owner_id, secret_ids, action)

    def search(
        self, kind: PatientDataKind, owner_ids: Sequence[str], secret_ids: Sequence[str]
    ) -> Search | None:
        """Return the filter that finds the same for several data owners, where there is one."""
        if kind not in _FILTERS:
            return None
        filters = [
            {
                "$type": _FILTERS[kind],
                "healthcarePartyId": owner_id,
                "patientSecretForeignKeys": list(secret_ids),
            }
            for owner_id in owner_ids
        ]
        union = {"$type": "UnionFilter", "filters": filters}
        return Search(self._of_kind(kind), filters[0] if len(filters) == 1 else union)

    async def read(self, kind: PatientDataKind, entity_id: str) -> dict[str, Any]:
        """Return one of the data as it is stored."""
        return await self._of_kind(kind).get(entity_id)

    async def documents(self, document_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return documents; unknown ones are left out."""
        return await self._of_kind("document").with_ids(document_ids)

    def _of_kind(self, kind: PatientDataKind) -> _DataOfPatients:
        return _DataOfPatients(self._session, kind, self._access)
