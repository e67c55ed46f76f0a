"""The backend's ``/maintenancetask`` resource, which carries notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from icure_async.errors import ResponseTooLargeError
from icure_async.rest.urls import path

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

    async def modify(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a task. Not repeated blindly: its revision would be outdated."""
        response = await self._session.request(
            "PUT", "/maintenancetask", action=f"modify task {document['id']}", body=document
        )
        return response.json_object()

    async def get(self, task_id: str) -> dict[str, Any]:
        """Return a task."""
        response = await self._session.request(
            "GET",
            path("maintenancetask", task_id),
            action=f"read task {task_id}",
            repeatable=True,
        )
        return response.json_object()

    async def filter(
        self, chain: Mapping[str, Any], *, limit: int, start_id: str | None = None
    ) -> dict[str, Any]:
        """Return a page of the tasks that a filter finds.

        Where an answer is larger than allowed, the page gets half as long.

        Args:
            chain: a ``FilterChain`` (server-behaviour.md §9.1).
            limit: how many tasks to return at most.
            start_id: id of the first task of the page; None for the first page.
        """
        try:
            return await self._page(chain, limit=limit, start_id=start_id)
        except ResponseTooLargeError:
            if limit < 2:
                raise
        return await self.filter(chain, limit=limit // 2, start_id=start_id)

    async def _page(
        self, chain: Mapping[str, Any], *, limit: int, start_id: str | None
    ) -> dict[str, Any]:
        query = {"limit": limit} | ({} if start_id is None else {"startDocumentId": start_id})
        response = await self._session.request(
            "POST",
            "/maintenancetask/filter",
            action="list tasks",
            query=urlencode(query),
            body=chain,
            repeatable=True,
        )
        return response.json_object()

    async def delete(self, task_id: str) -> list[Any]:
        """Mark a task as deleted; return ``[{id, rev}]``, empty for an unknown one."""
        response = await self._session.request(
            "DELETE",
            path("maintenancetask", task_id),
            action=f"delete task {task_id}",
            repeatable=True,
        )
        return response.json_list()
