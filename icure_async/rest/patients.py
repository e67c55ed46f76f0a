"""The backend's ``/patient`` resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.errors import ResponseTooLargeError
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.rest.session import Session

__all__ = ["PatientResource"]


class PatientResource:
    """Patients as wire JSON."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Store a new patient. Not repeated blindly: its id would be in use."""
        response = await self._session.request(
            "POST", "/patient", action=f"create patient {document['id']}", body=document
        )
        return response.json_object()

    async def modify(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a patient. Not repeated blindly: its revision would be outdated."""
        response = await self._session.request(
            "PUT", "/patient", action=f"modify patient {document['id']}", body=document
        )
        return response.json_object()

    async def get(self, patient_id: str) -> dict[str, Any]:
        """Return a patient."""
        response = await self._session.request(
            "GET", path("patient", patient_id), action=f"read patient {patient_id}", repeatable=True
        )
        return response.json_object()

    async def get_many(self, patient_ids: Sequence[str]) -> list[Any]:
        """Return patients in the order of the ids; unknown ones are left out.

        Where an answer is larger than allowed, half of them are asked for at a time.
        """
        try:
            return await self._get_at_once(patient_ids)
        except ResponseTooLargeError:
            if len(patient_ids) < 2:
                raise
        half = len(patient_ids) // 2
        return [
            *await self.get_many(patient_ids[:half]),
            *await self.get_many(patient_ids[half:]),
        ]

    async def _get_at_once(self, patient_ids: Sequence[str]) -> list[Any]:
        response = await self._session.request(
            "POST",
            "/patient/byIds",
            action=f"read {len(patient_ids)} patients",
            body={"ids": list(patient_ids)},
            repeatable=True,
        )
        return response.json_list()

    async def delete(self, patient_id: str) -> list[Any]:
        """Mark a patient as deleted; return ``[{id, rev}]``, empty for an unknown one."""
        response = await self._session.request(
            "DELETE",
            path("patient", patient_id),
            action=f"delete patient {patient_id}",
            repeatable=True,
        )
        return response.json_list()
