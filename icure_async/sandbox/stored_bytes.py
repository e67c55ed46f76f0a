"""The bytes of attachments in the database: in chunks, so that none is ever whole in memory.

The chunks of an upload belong to nothing until it is complete. Then one transaction makes them an
attachment, so that there is never a part of one, whenever the sandbox ends.
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.sandbox import chance
from icure_async.sandbox.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from icure_async.sandbox.store import Json, Transaction

__all__ = [
    "CHUNK",
    "Bytes",
    "add_chunk",
    "attach",
    "bytes_of",
    "chunk_of",
    "decoded",
    "detach",
    "discard",
    "exported_bytes",
    "new_upload",
    "plant_bytes",
]

CHUNK: Final = 2**21
"""Bytes of a chunk; the last one of an attachment has less."""


@attrs.frozen
class Bytes:
    """The bytes of one attachment.

    Attributes:
        upload: names their chunks.
        size: number of bytes.
    """

    upload: str
    size: int

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.size // CHUNK)


def new_upload() -> str:
    """Return the name of a new upload."""
    return chance.new_id()


def add_chunk(tx: Transaction, upload: str, position: int, chunk: bytes) -> None:
    """Keep a chunk of an upload."""
    tx.execute(
        "INSERT INTO chunks (upload, position, bytes) VALUES (?, ?, ?)", (upload, position, chunk)
    )


def discard(tx: Transaction, upload: str) -> None:
    """Forget an upload, unless it has become an attachment: its request may end even so."""
    tx.execute(
        "DELETE FROM chunks WHERE upload = ?"
        " AND NOT EXISTS (SELECT 1 FROM attachments WHERE attachments.upload = chunks.upload)",
        (upload,),
    )


def attach(tx: Transaction, document_id: str, attachment_id: str, bytes_: Bytes) -> bool:
    """Make an upload the attachment of a document, instead of its former one.

    Returns:
        False if not all of the upload is there: the database was replaced while it came.
    """
    ((size,),) = tx.select(
        "SELECT coalesce(sum(length(bytes)), 0) FROM chunks WHERE upload = ?", (bytes_.upload,)
    )
    if size != bytes_.size:
        return False
    detach(tx, document_id)
    tx.execute(
        "INSERT INTO attachments (grp, document, id, upload, size) VALUES (?, ?, ?, ?, ?)",
        (tx.group, document_id, attachment_id, bytes_.upload, bytes_.size),
    )
    return True


def detach(tx: Transaction, document_id: str) -> None:
    """Forget the attachment of a document."""
    rows = tx.select(
        "SELECT upload FROM attachments WHERE grp = ? AND document = ?", (tx.group, document_id)
    )
    tx.execute("DELETE FROM attachments WHERE grp = ? AND document = ?", (tx.group, document_id))
    for (upload,) in rows:
        discard(tx, str(upload))


def bytes_of(tx: Transaction, document_id: str, attachment_id: str) -> Bytes | None:
    """Return what is known of an attachment, or None if there is none of this id."""
    rows = tx.select(
        "SELECT upload, size FROM attachments WHERE grp = ? AND document = ? AND id = ?",
        (tx.group, document_id, attachment_id),
    )
    return Bytes(str(rows[0][0]), int(rows[0][1])) if rows else None


def chunk_of(tx: Transaction, upload: str, position: int) -> bytes | None:
    """Return a chunk, or None if the attachment was replaced since."""
    rows = tx.select(
        "SELECT bytes FROM chunks WHERE upload = ? AND position = ?", (upload, position)
    )
    return bytes(rows[0][0]) if rows else None


# As JSON.


def decoded(attachments: Any, documents: Json) -> dict[str, dict[str, bytes]]:
    """Return the attachments that a seed has for its documents.

    Raises:
        ValueError: that says what is wrong with them.
    """
    if not is_object(attachments):
        raise ValueError(
            'The "attachments" must be an object: document id → attachment id → base64'
        )
    return {
        document_id: _decoded(document_id, by_id)
        for document_id, by_id in attachments.items()
        if document_id in documents
    }


def _decoded(document_id: str, by_id: Any) -> dict[str, bytes]:
    if not is_object(by_id) or len(by_id) > 1:
        raise ValueError(f"The document {document_id} must have one attachment: id → base64")
    try:
        return {key: base64.b64decode(text, validate=True) for key, text in by_id.items()}
    except (TypeError, ValueError, binascii.Error):
        raise ValueError(f"The attachment of the document {document_id} is no base64") from None


def plant_bytes(tx: Transaction, document_id: str, attachment_id: str, content: bytes) -> None:
    """Store the attachment of a document at once."""
    upload = new_upload()
    for position, start in enumerate(range(0, len(content), CHUNK)):
        add_chunk(tx, upload, position, content[start : start + CHUNK])
    attach(tx, document_id, attachment_id, Bytes(upload, len(content)))


def exported_bytes(tx: Transaction) -> Json:
    """Return all attachments of a group: document id → attachment id → base64."""
    rows = tx.select(
        "SELECT document, id, upload, size FROM attachments WHERE grp = ? ORDER BY document, id",
        (tx.group,),
    )
    exported: defaultdict[str, Json] = defaultdict(dict)
    for document_id, attachment_id, upload, size in rows:
        content = b"".join(_chunks(tx, Bytes(str(upload), int(size))))
        exported[str(document_id)][str(attachment_id)] = base64.b64encode(content).decode()
    return dict(exported)


def _chunks(tx: Transaction, bytes_: Bytes) -> Iterator[bytes]:
    for position in range(bytes_.chunks):
        yield chunk_of(tx, bytes_.upload, position) or b""
