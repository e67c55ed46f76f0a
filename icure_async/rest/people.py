"""The backend's resources of healthcare professionals and devices, where they differ from others.

They are not encrypted; their routes are server-behaviour.md §10.4 and §10.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.rest.documents import checked_revisions
from icure_async.rest.entities import EntityResource
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icure_async.rest.responses import Response
    from icure_async.rest.session import Session

__all__ = ["DeviceResource", "ProfessionalResource"]


class ProfessionalResource(EntityResource):
    """Healthcare professionals: the ids of several go into the path."""

    def __init__(self, session: Session, noun: str) -> None:
        super().__init__(session, "hcparty", noun)

    async def _ask_for_many(self, entity_ids: Sequence[str], action: str) -> Response:
        return await self._session.request(
            "GET", path("hcparty", "byIds", ",".join(entity_ids)), action=action, repeatable=True
        )


class DeviceResource(EntityResource):
    """Devices: one at a time is deleted with another answer, and several with another request."""

    _deletion_is_one = True

    def __init__(self, session: Session, noun: str) -> None:
        super().__init__(session, "device", noun)

    async def delete_many(self, entity_ids: Sequence[str]) -> dict[str, str]:
        """Mark devices as deleted; return their revisions by id, without unknown ones."""
        action = f"delete {len(entity_ids)} {self._noun}s"
        response = await self._session.request(
            "POST",
            "/device/delete/batch",
            action=action,
            body={"ids": list(entity_ids)},
            repeatable=True,
        )
        return checked_revisions(response.json_list(), entity_ids, action)
