"""Reading many documents by their ids, of which one answer may not hold all."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from icure_async.errors import ResponseTooLargeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["read_in_halves"]

Document = TypeVar("Document")


async def read_in_halves(
    ids: Sequence[str], read: Callable[[Sequence[str]], Awaitable[list[Document]]]
) -> list[Document]:
    """Return what is read; where an answer is larger than allowed, half of it is read at a time.

    Args:
        ids: of the documents.
        read: reads some of them.

    Raises:
        ResponseTooLargeError: that of a single one is.
    """
    try:
        return await read(ids)
    except ResponseTooLargeError:
        if len(ids) < 2:
            raise
    half = len(ids) // 2
    return [*await read_in_halves(ids[:half], read), *await read_in_halves(ids[half:], read)]
