"""The one way to change a document: read, change, write, and again where others were faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from icure_async.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["MAX_CONFLICTS", "change_document"]

MAX_CONFLICTS: Final = 8
"""The number of times a document is read and changed before giving up."""

DocumentT = TypeVar("DocumentT")


async def change_document(
    name: str,
    *,
    read: Callable[[], Awaitable[DocumentT]],
    change: Callable[[DocumentT], Awaitable[DocumentT | None]],
    write: Callable[[DocumentT], Awaitable[DocumentT]],
    advice: str = "Try again.",
) -> DocumentT:
    """Return a document as it is stored after a change, which may be made several times.

    Args:
        name: of the document, for the message: "Data owner 4711".
        read: returns the document; after a conflict, as it is stored then.
        change: returns the document changed; None, or the same object, where there is nothing to
            write.
        write: stores it, and returns it as it is stored.
        advice: the next step where others keep changing it.

    Raises:
        ConflictError: they do.
    """
    for _ in range(MAX_CONFLICTS):
        document = await read()
        changed = await change(document)
        if changed is None or changed is document:
            return document
        try:
            return await write(changed)
        except ConflictError:
            continue
    raise ConflictError(
        f"{name} was changed by somebody else {MAX_CONFLICTS} times in a row. {advice}",
        retryable=True,
    )
