"""The backend's resources of encrypted entities: one for each kind, all with the same routes.

Every document that comes back is the one that was asked for, or an InvalidResponseError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlencode

from icure_async.errors import ResponseTooLargeError
from icure_async.rest.documents import (
    AFTER_A_WRITE,
    check_deletion,
    checked_document,
    checked_documents,
    checked_ids,
    checked_page,
    checked_revisions,
)
from icure_async.rest.halves import read_in_halves
from icure_async.rest.urls import path
from icure_async.threads import PARSING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.rest.responses import Response
    from icure_async.rest.session import Session
    from icure_async.rest.streams import Download, Upload

__all__ = ["EntityResource"]

# About as many documents take a millisecond.
_CHECKED_INLINE: Final = 50
_IDS_CHECKED_INLINE: Final = 500


class EntityResource:
    """Entities of one kind as wire JSON.

    Args:
        session: sends the requests.
        route: the first segment of the paths, which names the kind on the backend.
        noun: the kind in words for error messages.
    """

    _deletion_is_one: ClassVar[bool] = False
    """True for routes that answer a deletion with ``{id, rev}`` instead of a list of it."""
    _batch = "batch"

    def __init__(self, session: Session, route: str, noun: str) -> None:
        self._session = session
        self._route = route
        self._noun = noun

    async def create(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Store a new entity. Not repeated blindly: its id would be in use."""
        return await self._write("POST", "create", document)

    async def modify(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an entity. Not repeated blindly: its revision would be outdated."""
        return await self._write("PUT", "modify", document)

    async def create_many(self, documents: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Store new entities, and return the revisions of those that were stored by id.

        The backend says nothing about the others (server-behaviour.md §5.4).
        """
        return await self._write_many("POST", "create", documents)

    async def modify_many(self, documents: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Replace entities, and return the revisions of those that were replaced by id."""
        return await self._write_many("PUT", "modify", documents)

    async def get(self, entity_id: str) -> dict[str, Any]:
        """Return an entity."""
        action = f"read {self._noun} {entity_id}"
        response = await self._send(
            "GET", path(self._route, entity_id), action=action, repeatable=True
        )
        return checked_document(response.json_object(), self._route, entity_id, action)

    async def get_many(self, entity_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return entities; unknown ones are left out.

        Where an answer is larger than allowed, half of them are asked for at a time.
        """
        documents = await read_in_halves(entity_ids, self._get_many)
        asked = (documents, self._route, entity_ids, f"read {len(entity_ids)} {self._noun}s")
        if len(documents) <= _CHECKED_INLINE:
            return checked_documents(*asked)
        return await PARSING.run(checked_documents, *asked)

    async def filter(
        self, chain: Mapping[str, Any], *, limit: int, start_id: str | None = None
    ) -> dict[str, Any]:
        """Return a page of the entities that a filter finds, with its ``rows``.

        Where an answer is larger than allowed, the page gets half as long.

        Args:
            chain: a ``FilterChain`` (server-behaviour.md §9.1).
            limit: how many entities to return at most.
            start_id: id of the first entity of the page; None for the first page.
        """
        query = {"limit": limit} | ({} if start_id is None else {"startDocumentId": start_id})
        action = f"list {self._noun}s"
        try:
            response = await self._send(
                "POST",
                f"/{self._route}/filter",
                action=action,
                query=urlencode(query),
                body=chain,
                repeatable=True,
            )
        except ResponseTooLargeError:
            if limit < 2:
                raise
        else:
            return checked_page(response.json_object(), self._route, action)
        return await self.filter(chain, limit=limit // 2, start_id=start_id)

    async def match(self, wanted: Mapping[str, Any]) -> list[str]:
        """Return the ids of all entities that a filter finds, each of them once.

        Args:
            wanted: the filter (server-behaviour.md §9.1).
        """
        action = f"find {self._noun}s"
        response = await self._send(
            "POST", f"/{self._route}/match", action=action, body=wanted, repeatable=True
        )
        ids = response.json_list()
        if len(ids) <= _IDS_CHECKED_INLINE:
            return checked_ids(ids, action, self._route)
        return await PARSING.run(checked_ids, ids, action, self._route)

    async def delete(
        self,
        entity_id: str,
        rev: str | None = None,  # noqa: ARG002
    ) -> list[Any]:
        """Mark an entity as deleted; return ``[{id, rev}]``, empty for an unknown one.

        Args:
            entity_id: id of the entity.
            rev: its revision, where that is known; routes that need it look it up otherwise.
        """
        action = f"delete {self._noun} {entity_id}"
        response = await self._send(
            "DELETE", path(self._route, entity_id), action=action, repeatable=True
        )
        deleted = [response.json_object()] if self._deletion_is_one else response.json_list()
        check_deletion(deleted, entity_id, action)
        return deleted

    async def undelete(self, entity_id: str) -> list[Any]:
        """Take the deletion of an entity back; return ``[{id, rev}]``, empty for an unknown one."""
        action = f"undelete {self._noun} {entity_id}"
        response = await self._send(
            "PUT", path(self._route, "undelete", entity_id), action=action, repeatable=True
        )
        restored = response.json_list()
        check_deletion(restored, entity_id, action)
        return restored

    async def delete_many(self, entity_ids: Sequence[str]) -> dict[str, str]:
        """Mark entities as deleted; return their revisions by id, without unknown ones."""
        action = f"delete {len(entity_ids)} {self._noun}s"
        response = await self._send(
            "DELETE", path(self._route, ",".join(entity_ids)), action=action, repeatable=True
        )
        return checked_revisions(response.json_list(), entity_ids, action)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        action: str,
        query: str = "",
        body: object = None,
        repeatable: bool = False,
        headers: Mapping[str, str] | None = None,
        upload: Upload | None = None,
        download: Download | None = None,
    ) -> Response:
        """Make a request, with the arguments of :meth:`Session.request`."""
        return await self._session.request(
            method,
            path,
            action=action,
            query=query,
            body=body,
            headers=headers,
            repeatable=repeatable,
            upload=upload,
            download=download,
        )

    async def _write(
        self, method: str, verb: str, document: Mapping[str, Any], *, repeatable: bool = False
    ) -> dict[str, Any]:
        entity_id = document["id"]
        action = f"{verb} {self._noun} {entity_id}"
        response = await self._send(
            method, f"/{self._route}", action=action, body=document, repeatable=repeatable
        )
        return checked_document(
            response.json_object(), self._route, entity_id, action, advice=AFTER_A_WRITE
        )

    async def _write_many(
        self, method: str, verb: str, documents: Sequence[Mapping[str, Any]]
    ) -> dict[str, str]:
        action = f"{verb} {len(documents)} {self._noun}s"
        response = await self._send(
            method, f"/{self._route}/{self._batch}", action=action, body=list(documents)
        )
        wanted = [document["id"] for document in documents]
        return checked_revisions(response.json_list(), wanted, action)

    async def _get_many(self, entity_ids: Sequence[str]) -> list[Any]:
        response = await self._ask_for_many(entity_ids, f"read {len(entity_ids)} {self._noun}s")
        return response.json_list()

    async def _ask_for_many(self, entity_ids: Sequence[str], action: str) -> Response:
        return await self._send(
            "POST",
            f"/{self._route}/byIds",
            action=action,
            body={"ids": list(entity_ids)},
            repeatable=True,
        )
