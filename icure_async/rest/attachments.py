"""Documents with their attachments: the bytes that are stored next to a document.

Source: server-behaviour.md §10.9. The routes of today's backend are in no recording of another SDK
(docs/spec/not-verified.md). No key goes with a request: the bytes stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from icure_async.rest.documents import AFTER_A_WRITE, checked_document
from icure_async.rest.entities import EntityResource
from icure_async.rest.shared_metadata import SharedMetadataResource
from icure_async.rest.urls import path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.rest.responses import Response
    from icure_async.rest.streams import Download, Upload

__all__ = ["DocumentResource", "DocumentResourceV2"]

_ROUTE: Final = "document"
_ATTACHMENT: Final = "attachment"
_OCTETS: Final[Mapping[str, str]] = {"Accept": "application/octet-stream, */*"}


class DocumentResource(EntityResource):
    """Documents and their attachments."""

    async def put_attachment(
        self, document: Mapping[str, Any], upload: Upload, *, encrypted: bool
    ) -> dict[str, Any]:
        """Store the bytes of a document, and return the document as it is stored then.

        Args:
            document: as it is stored.
            upload: the bytes.
            encrypted: whether they are.
        """
        return await self._change(
            "PUT", "store", document, self._queried(document, encrypted=encrypted), upload
        )

    async def delete_attachment(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Remove the bytes of a document, and return the document as it is stored then."""
        return await self._change("DELETE", "remove", document, self._queried(document))

    async def get_attachment(
        self, document_id: str, attachment_id: str, download: Download
    ) -> None:
        """Read the bytes of a document, whatever type the server says they have."""
        await self._send(
            "GET",
            self._attachment_path(document_id, attachment_id),
            action=f"read the attachment of document {document_id}",
            headers=_OCTETS,
            download=download,
            repeatable=True,
        )

    def _attachment_path(self, document_id: str, attachment_id: str) -> str:
        return path(_ROUTE, document_id, _ATTACHMENT, attachment_id)

    def _queried(self, document: Mapping[str, Any], **flags: bool) -> dict[str, str]:
        """Return the parameters of a change. Without a revision, repeating it is safe."""
        del document, flags
        return {}

    async def _change(
        self,
        method: str,
        verb: str,
        document: Mapping[str, Any],
        query: Mapping[str, str],
        upload: Upload | None = None,
    ) -> dict[str, Any]:
        document_id = document["id"]
        action = f"{verb} the attachment of document {document_id}"
        response = await self._send(
            method,
            path(_ROUTE, document_id, _ATTACHMENT),
            action=action,
            query=urlencode(query),
            upload=upload,
            repeatable="rev" not in query,
        )
        return checked_document(
            response.json_object(), _ROUTE, document_id, action, advice=AFTER_A_WRITE
        )

    async def _ask_for_many(self, entity_ids: Sequence[str], action: str) -> Response:
        # It reads, whatever its name says.
        return await self._send(
            "POST",
            f"/{_ROUTE}/batch",
            action=action,
            body={"ids": list(entity_ids)},
            repeatable=True,
        )


class DocumentResourceV2(DocumentResource, SharedMetadataResource):
    """Documents and their attachments as today's backend has them."""

    def _attachment_path(self, document_id: str, attachment_id: str) -> str:
        del attachment_id
        return path(_ROUTE, document_id, _ATTACHMENT)

    def _queried(self, document: Mapping[str, Any], **flags: bool) -> dict[str, str]:
        return {"rev": str(document["rev"])} | {
            name: "true" if value else "false" for name, value in flags.items()
        }

    async def _ask_for_many(self, entity_ids: Sequence[str], action: str) -> Response:
        return await SharedMetadataResource._ask_for_many(self, entity_ids, action)  # noqa: SLF001
