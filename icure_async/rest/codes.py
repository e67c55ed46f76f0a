"""The backend's resources of codings, whose ids may hold blanks, commas and slashes.

They are not encrypted; their routes are server-behaviour.md §10.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from icure_async.errors import (
    BadRequestError,
    ConflictError,
    ICureError,
    NotFoundError,
    ServerError,
)
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_object
from icure_async.rest.documents import checked_page
from icure_async.rest.entities import EntityResource
from icure_async.rest.entities_v2 import EntityResourceV2, NoAccess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.rest.session import Session

__all__ = ["CodeResource", "CodeResourceV2"]

# Servers and proxies refuse or decode these within a path, even where they are escaped.
_NOT_IN_PATHS: Final = frozenset("/\\%;")


class _Codes(EntityResource):
    """Codings as wire JSON, in either dialect."""

    async def get(self, entity_id: str) -> dict[str, Any]:
        """Return a coding."""
        if _NOT_IN_PATHS.isdisjoint(entity_id):
            return await super().get(entity_id)
        found = await self.get_many([entity_id])
        if not found:
            raise NotFoundError(
                f"Could not read {self._noun} {printable(entity_id)}: it does not exist. Check the "
                "id.",
                status=404,
            )
        return found[0]

    async def modify(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a coding; backends may answer an outdated revision with 500."""
        try:
            return await super().modify(document)
        except ServerError as error:
            try:
                stored = await self.get(document["id"])
            except NotFoundError:
                raise
            except ICureError:
                # Of a reading that failed, nobody could tell that the coding may have been changed.
                raise error from None
            if stored["rev"] == document["rev"]:
                raise
            raise ConflictError(
                f"Could not modify {self._noun} {printable(document['id'])}: it has another rev.",
                status=error.status,
                request_id=error.request_id,
                server_message=error.server_message,
            ) from None

    async def _write_many(
        self, method: str, verb: str, documents: Sequence[Mapping[str, Any]]
    ) -> dict[str, str]:
        """Save codings; those that are there already, or are not there, keep no others from it.

        Because of one of them, backends refuse all.
        """
        try:
            return await super()._write_many(method, verb, documents)
        except BadRequestError:
            stored = {one["id"] for one in await self.get_many([one["id"] for one in documents])}
            others = [one for one in documents if (one["id"] in stored) is (verb == "modify")]
            if len(others) in (0, len(documents)):
                raise
        return await super()._write_many(method, verb, others)


class CodeResource(_Codes):
    """The codings of a backend of 2023."""

    def __init__(self, session: Session, noun: str) -> None:
        super().__init__(session, "code", noun)

    async def _get_many(self, entity_ids: Sequence[str]) -> list[Any]:
        # The route for several ids takes a comma for the end of one.
        action = f"read {len(entity_ids)} {self._noun}s"
        wanted = {"$type": "CodeByIdsFilter", "ids": list(entity_ids)}
        found: dict[str, Any] = {}
        query: dict[str, Any] = {"limit": len(entity_ids)}
        while True:
            response = await self._send(
                "POST",
                "/code/filter",
                action=action,
                query=urlencode(query),
                body={"$type": "FilterChain", "filter": wanted},
                repeatable=True,
            )
            page = checked_page(response.json_object(), self._route, action)
            fresh = {row["id"]: row for row in page["rows"] if row["id"] not in found}
            found |= fresh
            next_id = as_object(page.get("nextKeyPair")).get("startKeyDocId")
            # There is no end of what was not asked for; it is refused with all of them.
            if not fresh or not next_id or not fresh.keys() <= set(entity_ids):
                return list(found.values())
            query["startDocumentId"] = next_id


class CodeResourceV2(_Codes, EntityResourceV2):
    """The codings of today's backend."""

    def __init__(self, session: Session, noun: str) -> None:
        super().__init__(session, "code", noun, secure_type="Code", access=NoAccess())
