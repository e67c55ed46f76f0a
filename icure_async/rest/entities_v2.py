"""The resources of encrypted entities as today's backend has them, below ``/rest/v2``.

Source: docs/spec/today.md §7 and §9, server-behaviour.md §14.2. Which routes are not in recordings
of other SDKs is in docs/spec/not-verified.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlencode

from icure_async.errors import ConflictError, NotFoundError, PermissionDeniedError
from icure_async.json_shapes import is_list, is_object
from icure_async.rest.changes import MAX_CONFLICTS
from icure_async.rest.documents import (
    AFTER_A_WRITE,
    check_deletion,
    checked_document,
    checked_revisions,
)
from icure_async.rest.entities import EntityResource
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from icure_async.rest.responses import Response
    from icure_async.rest.session import Session
    from icure_async.rest.streams import Download, Upload

__all__ = ["AccessHeaders", "EntityResourceV2", "NoAccess", "without_nulls"]

_BATCHES: Final = {"device": "bulk", "patient": "batch/full"}


class AccessHeaders(Protocol):
    """Proves to the backend that an anonymous data owner has access to entities."""

    async def access_headers(self, entity_type: str, /) -> Mapping[str, str]:
        """Return the headers that go with requests for entities of a type; none for others."""
        ...

    async def newer_access_headers(
        self, entity_type: str, sent: Mapping[str, str], /
    ) -> Mapping[str, str] | None:
        """Return the headers as they are now; None where there are no others than were sent.

        Somebody may have given access since.
        """
        ...

    async def keep_fresh(self) -> None:
        """Look for access that others have given, unless that was done a moment ago."""
        ...


class NoAccess:
    """For entities without access control keys."""

    async def access_headers(self, entity_type: str, /) -> Mapping[str, str]:  # noqa: ARG002
        """Return no headers."""
        return {}

    async def newer_access_headers(
        self,
        entity_type: str,  # noqa: ARG002
        sent: Mapping[str, str],  # noqa: ARG002
        /,
    ) -> Mapping[str, str] | None:
        """Return None: there are no others."""
        return None

    async def keep_fresh(self) -> None:
        """Look for nothing."""


class EntityResourceV2(EntityResource):
    """Entities of one kind as wire JSON.

    Args:
        session: sends the requests.
        route: the first segment of the paths, which names the kind on the backend.
        noun: the kind in words for error messages.
        secure_type: the kind as access control keys name it.
        access: makes the headers of anonymous data owners.
    """

    _deletion_is_one = True

    def __init__(
        self, session: Session, route: str, noun: str, *, secure_type: str, access: AccessHeaders
    ) -> None:
        super().__init__(session, route, noun)
        self._secure_type = secure_type
        self._access = access
        self._batch = _BATCHES.get(route, self._batch)

    async def get_many(self, entity_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return entities; unknown ones are left out, and those that were kept from this user."""
        sent = await self._access.access_headers(self._secure_type)
        found = await super().get_many(entity_ids)
        present = {document["id"] for document in found}
        missing = [entity_id for entity_id in entity_ids if entity_id not in present]
        if missing and await self._access.newer_access_headers(self._secure_type, sent) is not None:
            found += await super().get_many(missing)
        return found

    async def filter(
        self, chain: Mapping[str, Any], *, limit: int, start_id: str | None = None
    ) -> dict[str, Any]:
        """Return a page of the entities that a filter finds, with its ``rows``."""
        if start_id is None:
            # The backend leaves out what the headers give no access to, and says nothing.
            await self._access.keep_fresh()
        return await super().filter(chain, limit=limit, start_id=start_id)

    async def match(self, wanted: Mapping[str, Any]) -> list[str]:
        """Return the ids of all entities that a filter finds, each of them once."""
        await self._access.keep_fresh()
        return await super().match(wanted)

    async def delete(self, entity_id: str, rev: str | None = None) -> list[Any]:
        """Mark an entity as deleted; return ``[{id, rev}]``, empty for an unknown one."""
        action = f"delete {self._noun} {entity_id}"

        async def delete(known: str) -> list[Any]:
            response = await self._send(
                "DELETE",
                path(self._route, entity_id),
                action=action,
                query=urlencode({"rev": known}),
                # The second time it meets a conflict, and looks again.
                repeatable=True,
            )
            deleted = [response.json_object()]
            check_deletion(deleted, entity_id, action)
            return deleted

        return await self._with_rev(entity_id, action, delete, rev=rev, is_done=_is_deleted)

    async def undelete(self, entity_id: str) -> list[Any]:
        """Take the deletion of an entity back; return ``[{id, rev}]``, empty for an unknown one."""
        action = f"undelete {self._noun} {entity_id}"

        async def undelete(known: str) -> list[Any]:
            response = await self._send(
                "POST",
                path(self._route, "undelete", entity_id),
                action=action,
                query=urlencode({"rev": known}),
                repeatable=True,
            )
            restored = checked_document(
                response.json_object(), self._route, entity_id, action, advice=AFTER_A_WRITE
            )
            return [{"id": entity_id, "rev": restored["rev"]}]

        return await self._with_rev(
            entity_id, action, undelete, is_done=lambda document: not _is_deleted(document)
        )

    async def delete_many(self, entity_ids: Sequence[str]) -> dict[str, str]:
        """Mark entities as deleted; return their revisions by id, without unknown ones."""
        action = f"delete {len(entity_ids)} {self._noun}s"
        found = await self.get_many(entity_ids)
        revisions = {document["id"]: document["rev"] for document in found if _is_deleted(document)}
        present = [
            {"id": document["id"], "rev": document["rev"]}
            for document in found
            if document["id"] not in revisions
        ]
        if not present:
            return revisions
        response = await self._send(
            "POST",
            f"/{self._route}/delete/batch/withrev",
            action=action,
            body={"ids": present},
        )
        wanted = [one["id"] for one in present]
        return revisions | checked_revisions(response.json_list(), wanted, action)

    async def _with_rev(
        self,
        entity_id: str,
        action: str,
        change: Callable[[str], Awaitable[list[Any]]],
        *,
        rev: str | None = None,
        is_done: Callable[[Mapping[str, Any]], bool],
    ) -> list[Any]:
        """Change an entity of which the backend wants the revision; nothing for an unknown one.

        Args:
            entity_id: id of the entity.
            action: the change, in words for an error message.
            change: makes it, given the revision.
            rev: the revision, where that is known.
            is_done: whether a stored entity has been changed already.
        """
        for _ in range(MAX_CONFLICTS):
            try:
                if rev is None:
                    document = await self.get(entity_id)
                    rev = str(document["rev"])
                    if is_done(document):
                        return [{"id": entity_id, "rev": rev}]
                return await change(rev)
            except NotFoundError:
                return []
            except ConflictError:
                rev = None
        raise ConflictError(
            f"Could not {action}: others changed it {MAX_CONFLICTS} times in a row. Try again.",
            retryable=True,
        )

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
        sent, content = await self._access.access_headers(self._secure_type), _as_sent(body)

        async def request(proofs: Mapping[str, str]) -> Response:
            return await self._session.request(
                method,
                path,
                action=action,
                query=query,
                body=content,
                headers={**(headers or {}), **proofs},
                repeatable=repeatable,
                upload=upload,
                download=download,
            )

        try:
            return await request(sent)
        except PermissionDeniedError:
            newer = await self._access.newer_access_headers(self._secure_type, sent)
            if newer is None or (upload is not None and upload.is_spent):
                raise
        # Out here, where the refusal is no context of what follows.
        return await request(newer)


def without_nulls(value: Any) -> Any:
    """Return JSON without members that are null, which today's backends leave out."""
    if is_object(value):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    return [without_nulls(item) for item in value] if is_list(value) else value


def _as_sent(body: object) -> object:
    """Return a body without nulls, and documents in it without ``_type``, which v1 alone has."""
    if is_list(body):
        return [_as_sent(item) for item in body]
    try:
        sent = without_nulls(body)
    except RecursionError:
        # Sending it is refused with the reason.
        return body
    return {name: sent[name] for name in sent if name != "_type"} if is_object(sent) else sent


def _is_deleted(document: Mapping[str, Any]) -> bool:
    return bool(document.get("deletionDate"))
