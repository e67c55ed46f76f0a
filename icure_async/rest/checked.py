"""The backend's resources behind the gate: every document that comes back is the one asked for.

An answer that is another document, or a malformed one, is an InvalidResponseError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from icure_async.rest.documents import (
    check_deletion,
    checked_document,
    checked_documents,
    checked_page,
)
from icure_async.rest.maintenance_tasks import MaintenanceTaskResource
from icure_async.rest.patients import PatientResource
from icure_async.threads import PARSING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CheckedMaintenanceTasks", "CheckedPatients"]

_TASK: Final = "maintenancetask"
# About as many documents take a millisecond.
_CHECKED_INLINE: Final = 50
_AFTER_A_WRITE: Final = "Read it again to see what is stored."


class CheckedPatients(PatientResource):
    """Patients as wire JSON, checked."""

    async def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Store a new patient. Not repeated blindly: its id would be in use."""
        patient_id = document["id"]
        return _written(await super().create(document), patient_id, f"create patient {patient_id}")

    async def modify(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a patient. Not repeated blindly: its revision would be outdated."""
        patient_id = document["id"]
        return _written(await super().modify(document), patient_id, f"modify patient {patient_id}")

    async def get(self, patient_id: str) -> dict[str, Any]:
        """Return a patient."""
        document = await super().get(patient_id)
        return checked_document(document, "patient", patient_id, f"read patient {patient_id}")

    async def get_many(self, patient_ids: Sequence[str]) -> list[Any]:
        """Return patients; unknown ones are left out."""
        documents = await super().get_many(patient_ids)
        action = f"read {len(patient_ids)} patients"
        if len(documents) <= _CHECKED_INLINE:
            return checked_documents(documents, "patient", patient_ids, action)
        return await PARSING.run(checked_documents, documents, "patient", patient_ids, action)

    async def delete(self, patient_id: str) -> list[Any]:
        """Mark a patient as deleted; return ``[{id, rev}]``, empty for an unknown one."""
        deleted = await super().delete(patient_id)
        check_deletion(deleted, patient_id, f"delete patient {patient_id}")
        return deleted


class CheckedMaintenanceTasks(MaintenanceTaskResource):
    """Maintenance tasks as wire JSON, checked."""

    async def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Store a new task. Not repeated blindly: its id would be in use."""
        task_id = document["id"]
        action = f"create notification {task_id}"
        return _written(await super().create(document), task_id, action, _TASK)

    async def modify(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a task. Not repeated blindly: its revision would be outdated."""
        task_id = document["id"]
        action = f"modify notification {task_id}"
        return _written(await super().modify(document), task_id, action, _TASK)

    async def get(self, task_id: str) -> dict[str, Any]:
        """Return a task."""
        document = await super().get(task_id)
        return checked_document(document, _TASK, task_id, f"read notification {task_id}")

    async def filter(
        self, chain: Mapping[str, Any], *, limit: int, start_id: str | None = None
    ) -> dict[str, Any]:
        """Return a page of the tasks that a filter finds, with its ``rows``."""
        page = await super().filter(chain, limit=limit, start_id=start_id)
        return checked_page(page, _TASK, "list notifications")

    async def delete(self, task_id: str) -> list[Any]:
        """Mark a task as deleted; return ``[{id, rev}]``, empty for an unknown one."""
        deleted = await super().delete(task_id)
        check_deletion(deleted, task_id, f"delete notification {task_id}")
        return deleted


def _written(
    document: object,
    document_id: str,
    action: str,
    kind: Literal["maintenancetask", "patient"] = "patient",
) -> dict[str, Any]:
    return checked_document(document, kind, document_id, action, advice=_AFTER_A_WRITE)
