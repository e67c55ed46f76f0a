"""The documents that a filter finds, page by page, of which one is asked for ahead."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio

from icure_async.errors import ConflictError, InvalidResponseError
from icure_async.json_shapes import as_object
from icure_async.rest.calls import start_ahead

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

__all__ = ["PagedResource", "pages_of"]

_MAX_RESTARTS: Final = 8
_MAX_ROWS: Final = 1_000_000

_Page = dict[str, Any]


class PagedResource(Protocol):
    """A resource that gives pages of documents."""

    async def filter(
        self, chain: Mapping[str, Any], *, limit: int, start_id: str | None = None
    ) -> dict[str, Any]:
        """Return a checked page of the documents that a filter finds.

        Args:
            chain: a ``FilterChain`` (server-behaviour.md §9.1).
            limit: how many documents to return at most.
            start_id: id of the first document of the page; None for the first page.
        """
        ...


class _Ahead:
    """At most one page, asked for before it is needed."""

    def __init__(self, ask: Callable[[str | None], Awaitable[_Page]]) -> None:
        self._ask = ask
        self._task: asyncio.Task[_Page] | None = None

    def start(self, start_id: str | None) -> None:
        """Ask for the next page."""
        self._task = start_ahead(self._page(start_id), "icure next page")

    async def take(self) -> _Page:
        """Return the page that was asked for, by default the first one."""
        if self._task is None:
            return await self._page(None)
        # Not the task itself: anyio would cancel that again and again, even while it cleans up.
        await asyncio.wait([self._task])
        task, self._task = self._task, None
        return task.result()

    async def stop(self) -> None:
        """End what is under way."""
        if self._task is None:
            return
        # One that has ended with an error is thereby also spared asyncio's complaint.
        self._task.cancel()
        # A loop that ends closes all iterators at once, also those within others: nothing may wait.
        if not self._task.done():
            with anyio.CancelScope(shield=True):
                await asyncio.wait([self._task])

    async def _page(self, start_id: str | None) -> _Page:
        return await self._ask(start_id)


async def pages_of(
    resource: PagedResource, wanted: Mapping[str, Any], page_size: int, *, noun: str
) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Iterate over the pages of a filter; each document comes once, even where others come and go.

    While a page is being used, the next one is asked for. Close the iterator to end that.

    Args:
        resource: gives the pages.
        wanted: the filter as JSON.
        page_size: how many documents to ask for at a time.
        noun: what they are, in the singular.

    Raises:
        InvalidResponseError: the pages have no end.
        ConflictError: the list keeps changing.
    """
    chain = {"$type": "FilterChain", "filter": wanted}
    ahead = _Ahead(lambda start_id: resource.filter(chain, limit=page_size, start_id=start_id))
    seen: set[str] = set()
    try:
        for _ in range(_MAX_RESTARTS):
            # The rows of this run through the list; an earlier run may have brought the same.
            passed: set[str] = set()
            start_id: str | None = None
            while True:
                page = await ahead.take()
                rows: dict[str, dict[str, Any]] = {row["id"]: row for row in page["rows"]}
                # The first document of this page has been deleted, and backends may then show
                # nothing that comes after it (server-behaviour.md §8.2).
                is_cut_off = start_id is not None and not rows
                brings_nothing = rows.keys() <= passed
                passed.update(rows)
                start_id = None if is_cut_off else _next_id(page)
                is_endless = start_id is not None and (brings_nothing or len(passed) > _MAX_ROWS)
                if start_id is not None and not is_endless:
                    ahead.start(start_id)
                fresh = [row for known, row in rows.items() if known not in seen]
                seen.update(rows)
                # The next page takes memory, too.
                del page, rows
                if fresh:
                    yield fresh
                if is_endless:
                    raise _endless(noun)
                if is_cut_off:
                    break
                if start_id is None:
                    return
    finally:
        await ahead.stop()
    raise ConflictError(
        f"The list of {noun}s changed {_MAX_RESTARTS} times while it was read. Try again.",
        retryable=True,
    )


def _endless(noun: str) -> InvalidResponseError:
    return InvalidResponseError(
        f"Could not list {noun}s: the server gives the same page twice, or pages without end. Try "
        "again; where it stays so, call the administrator of the backend."
    )


def _next_id(page: Mapping[str, Any]) -> str | None:
    next_id = as_object(page.get("nextKeyPair")).get("startKeyDocId")
    return next_id if isinstance(next_id, str) and next_id else None
