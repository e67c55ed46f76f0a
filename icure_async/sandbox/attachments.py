"""Attachments of documents, streamed in both directions and in both dialects (§10.9)."""

from __future__ import annotations

import asyncio
import hashlib
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import attrs
from aiohttp import hdrs, web

from icure_async.sandbox import entities
from icure_async.sandbox.access import require_read, require_write
from icure_async.sandbox.attachment_keys import key_in, opened, sealed
from icure_async.sandbox.bodies import piece_of
from icure_async.sandbox.errors import (
    ApiError,
    ClosingError,
    bad_request,
    conflict,
    not_found,
    too_large,
)
from icure_async.sandbox.fault_injection import SENT_PART
from icure_async.sandbox.stored_bytes import (
    CHUNK,
    Bytes,
    add_chunk,
    attach,
    bytes_of,
    chunk_of,
    detach,
    discard,
    new_upload,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from icure_async.sandbox.calls import Call
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["LARGEST_ATTACHMENT", "Attachments", "Jobs"]

LARGEST_ATTACHMENT: Final = 2**30
"""Bytes that an attachment has at most."""

_KIND: Final = "document"
_NOT_SHOWN: Final = "application/octet-stream"
_TYPES: Final = {
    "com.adobe.pdf": "application/pdf",
    "public.jpeg": "image/jpeg",
    "public.png": "image/png",
    "public.plain-text": "text/plain",
}
"""Types that no browser runs scripts of, by their UTI."""

_UNUSUAL: Final = re.compile(r"[^A-Za-z0-9._-]")

T = TypeVar("T")


class Jobs(Protocol):
    """Runs the jobs of one request."""

    async def as_caller(self, job: Callable[[Transaction, Call], T]) -> T:
        """Run a job of the caller's, who is authenticated first."""
        ...

    async def of_its_own(self, job: Callable[[Transaction], T]) -> T:
        """Run a job that concerns nobody but the sandbox."""
        ...


@attrs.frozen
class Attachments:
    """The endpoints of attachments in one dialect.

    Attributes:
        show: makes the form of a document that a caller reads.
    """

    show: Callable[[Call, Json], Json]

    async def put(self, request: web.Request, jobs: Jobs) -> Json:
        """Store the body as the attachment of a document, and answer the document.

        Raises:
            ApiError: 404 or 403 before the body is read, 409 for an outdated revision.
        """
        document_id = request.match_info["id"]
        await jobs.as_caller(lambda tx, call: _writable(tx, call, document_id))
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise bad_request("An attachment is sent as it is, without a Content-Encoding")
        if (request.content_length or 0) > LARGEST_ATTACHMENT:
            raise too_large(LARGEST_ATTACHMENT)
        upload = new_upload()
        try:
            received, digest = await _receive(request, jobs, upload)
            return await jobs.as_caller(
                lambda tx, call: self._attached(tx, call, document_id, received, digest)
            )
        except BaseException:
            await _forget(jobs, upload)
            raise

    def _attached(
        self, tx: Transaction, call: Call, document_id: str, received: Bytes, digest: str
    ) -> Json:
        document = _writable(tx, call, document_id)
        if call.saves_nothing:
            raise conflict("Document update Conflict")
        changed = {**document, "attachmentId": digest, "size": received.size}
        changed["mainAttachmentStoredDataSize"] = received.size
        if utis := [uti for uti in call.query.get("utis", "").split(",") if uti]:
            changed |= {"mainUti": utis[0], "otherUtis": utis[1:]}
        if (former := document.get("attachmentId")) not in (None, digest):
            changed["deletedAttachments"] = _with_deleted(call, document, former)
        if not attach(tx, document_id, digest, received):
            raise conflict("The database was replaced while the attachment came: send it again")
        return self.show(call, entities.put_next(tx, _KIND, changed))

    async def delete(self, request: web.Request, jobs: Jobs) -> Json:
        """Delete the attachment of a document, and answer the document."""
        document_id = request.match_info["id"]

        def job(tx: Transaction, call: Call) -> Json:
            document = _writable(tx, call, document_id)
            if call.saves_nothing:
                raise conflict("Document update Conflict")
            former = document.get("attachmentId")
            if former is None:
                raise not_found("The document has no attachment")
            removed = ("attachmentId", "size", "mainAttachmentStoredDataSize")
            changed = {name: value for name, value in document.items() if name not in removed}
            changed["deletedAttachments"] = _with_deleted(call, document, former)
            detach(tx, document_id)
            return self.show(call, entities.put_next(tx, _KIND, changed))

        return await jobs.as_caller(job)

    async def get(self, request: web.Request, jobs: Jobs) -> web.StreamResponse:
        """Answer the bytes of an attachment as they were stored, or opened with a key given."""
        document_id = request.match_info["id"]

        def find(tx: Transaction, call: Call) -> tuple[Json, Bytes]:
            document = _known(tx, document_id)
            require_read(call, _KIND, document)
            attachment_id = call.params.get("attachment") or call.query.get("attachmentId")
            wanted = attachment_id or document.get("attachmentId") or ""
            found = bytes_of(tx, document_id, wanted)
            if found is None:
                raise not_found("The document has no attachment of this id")
            return document, found

        document, found = await jobs.as_caller(find)
        answer = web.StreamResponse(headers=_headers(document, request.query.get("fileName")))
        if (key := key_in(request.query.get("enckeys"))) is not None:
            return await _answer_opened(request, answer, opened(_stored(jobs, found), key))
        answer.content_length = found.size
        await answer.prepare(request)
        left = int(found.size * request.get(SENT_PART, 1.0))
        async for chunk in _stored(jobs, found):
            await answer.write(chunk[:left])
            left -= len(chunk)
            if left <= 0:
                break
        if SENT_PART in request:
            if request.transport is not None:
                # Unlike abort() this sends the bytes that were written.
                request.transport.close()
            return answer
        await answer.write_eof()
        return answer


def _known(tx: Transaction, document_id: str) -> Json:
    document = tx.get(_KIND, document_id)
    if document is None:
        raise not_found("Document not found")
    return document


def _writable(tx: Transaction, call: Call, document_id: str) -> Json:
    document = _known(tx, document_id)
    require_write(call, _KIND, document)
    if rev := call.query.get("rev"):
        entities.check_revision(_KIND, document, {**document, "rev": rev})
    return document


def _with_deleted(call: Call, document: Json, former: str) -> list[Any]:
    deleted = {
        "couchDbAttachmentId": former,
        "key": document["id"],
        "deletionTime": call.now_ms,
    }
    return [*(document.get("deletedAttachments") or ()), deleted]


def _headers(document: Json, file_name: str | None) -> dict[str, str]:
    # Bytes of anybody, on the same origin as the sandbox's page: no browser may run any of them.
    headers = {
        hdrs.CONTENT_TYPE: _TYPES.get(str(document.get("mainUti")), _NOT_SHOWN),
        hdrs.CONTENT_DISPOSITION: "attachment",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    if file_name:
        quoted = "".join(
            c if (c.isalnum() and c.isascii()) or c in "._-" else "_" for c in file_name
        )
        headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{quoted}"'
    return headers


async def _receive(request: web.Request, jobs: Jobs, upload: str) -> tuple[Bytes, str]:
    """Store a body chunk by chunk; return what it is, and its SHA-256 in hex."""
    digest, size, position = hashlib.sha256(), 0, 0
    key = key_in(request.query.get("enckeys"))
    chunks = _chunks(request)
    async for chunk in chunks if key is None else _joined(sealed(chunks, key)):
        size += len(chunk)
        if size > LARGEST_ATTACHMENT:
            raise too_large(LARGEST_ATTACHMENT)

        def keep(tx: Transaction, position: int = position, chunk: bytes = chunk) -> None:
            add_chunk(tx, upload, position, chunk)

        await jobs.of_its_own(keep)
        digest.update(chunk)
        position += 1
    return Bytes(upload, size), digest.hexdigest()


async def _answer_opened(
    request: web.Request, answer: web.StreamResponse, content: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Answer bytes whose number shows at the end."""
    await answer.prepare(request)
    try:
        async for piece in content:
            await answer.write(piece)
    except ValueError:
        # Of another key: the answer ends in the middle.
        if request.transport is not None:
            request.transport.close()
        return answer
    await answer.write_eof()
    return answer


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        while piece := await piece_of(request):
            yield piece

    async for chunk in _joined(pieces()):
        yield chunk


async def _joined(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        while len(waiting) >= CHUNK:
            yield bytes(waiting[:CHUNK])
            del waiting[:CHUNK]
    if waiting:
        yield bytes(waiting)


async def _stored(jobs: Jobs, found: Bytes) -> AsyncIterator[bytes]:
    for position in range(found.chunks):

        def read(tx: Transaction, position: int = position) -> bytes | None:
            return chunk_of(tx, found.upload, position)

        chunk = await jobs.of_its_own(read)
        if chunk is None:
            raise ConnectionResetError("The attachment was replaced while it was sent")
        yield chunk


async def _forget(jobs: Jobs, upload: str) -> None:
    """Discard an upload, also when its request is cancelled; a later start does where it can't."""
    job: Awaitable[None] = jobs.of_its_own(lambda tx: discard(tx, upload))
    with suppress(ApiError, ClosingError):
        await asyncio.shield(asyncio.ensure_future(job))
