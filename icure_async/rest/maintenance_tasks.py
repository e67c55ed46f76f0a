"""The backend's ``/maintenancetask`` resource, which carries notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.rest.session import Session

__all__ = ["MaintenanceTaskResource"]


class MaintenanceTaskResource:
    """Maintenance tasks as wire JSON."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Store a new task. Not repeated blindly: its id would be in use."""
        response = await self._session.request(
            "POST", "/maintenancetask", action=f"create task {document['id']}", body=document
        )
        return response.json_object()
