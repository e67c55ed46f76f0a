"""Pages of a filter: one is asked for ahead, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
import pytest

from icure_async.entities.pages import pages_of
from icure_async.errors import ConflictError, InvalidResponseError, NetworkError

WANTED = {"$type": "AllThingsFilter"}

Page = dict[str, Any]


class Shelf:
    """A resource of things that come in pages; ids are letters.

    Attributes:
        ids: of all things, in their order.
        asked: where the pages begin that were asked for.
        cut: how many requests were cut off.
        gate: closed, it holds up all pages but the first.
        errors: raised for the pages that begin with these ids.
    """

    def __init__(self, ids: str) -> None:
        self.ids = ids
        self.asked: list[str | None] = []
        self.cut = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.errors: dict[str, Exception] = {}

    async def filter(
        self, chain: Mapping[str, Any], *, limit: int, start_id: str | None = None
    ) -> Page:
        assert chain == {"$type": "FilterChain", "filter": WANTED}
        self.asked.append(start_id)
        try:
            await asyncio.sleep(0)
            if start_id is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            # A connection takes a while to close.
            await settle(3)
            self.cut += 1
            raise
        if start_id in self.errors:
            raise self.errors[start_id]
        return self.page(start_id, limit)

    def page(self, start_id: str | None, limit: int) -> Page:
        start = 0 if start_id is None else self.ids.find(start_id)
        if start < 0:
            return {"rows": []}
        page: Page = {"rows": [{"id": known} for known in self.ids[start : start + limit]]}
        if start + limit < len(self.ids):
            page["nextKeyPair"] = {"startKeyDocId": self.ids[start + limit]}
        return page


def pages(shelf: Shelf, size: int = 2) -> Any:
    return pages_of(shelf, WANTED, size, noun="thing")


def ids_of(page: list[Page]) -> str:
    return "".join(row["id"] for row in page)


async def settle(turns: int = 10) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
async def nothing_is_left_behind() -> AsyncIterator[None]:
    """No test leaves a task, or an error that nobody has looked at."""
    complaints: list[Mapping[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    yield
    gc.collect()
    await settle()
    assert "icure next page" not in {task.get_name() for task in asyncio.all_tasks()}
    assert not complaints


async def test_each_thing_comes_once_and_in_its_order() -> None:
    shelf = Shelf("abcde")
    assert [ids_of(page) async for page in pages(shelf)] == ["ab", "cd", "e"]
    assert shelf.asked == [None, "c", "e"]
    assert [page async for page in pages(Shelf(""))] == []


async def test_exactly_one_page_is_asked_for_ahead() -> None:
    shelf = Shelf("abcdefgh")
    iterator = pages(shelf)
    assert not shelf.asked
    for number, page in enumerate(("ab", "cd", "ef"), start=1):
        assert ids_of(await anext(iterator)) == page
        await settle()
        assert len(shelf.asked) == number + 1
    assert ids_of(await anext(iterator)) == "gh"
    await settle()
    assert len(shelf.asked) == 4
    await iterator.aclose()


async def test_one_page_costs_one_request() -> None:
    shelf = Shelf("ab")
    assert [ids_of(page) async for page in pages(shelf)] == ["ab"]
    assert shelf.asked == [None]


async def test_closing_ends_the_request_that_is_under_way() -> None:
    shelf = Shelf("abcd")
    shelf.gate.clear()
    async with contextlib.aclosing(pages(shelf)) as iterator:
        assert ids_of(await anext(iterator)) == "ab"
        await settle()
        assert (shelf.asked, shelf.cut) == ([None, "c"], 0)
    assert shelf.cut == 1
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


@pytest.mark.parametrize("is_under_way", [True, False])
async def test_an_iterator_that_is_abandoned_leaves_nothing(is_under_way: bool) -> None:
    shelf = Shelf("abcd")
    if is_under_way:
        shelf.gate.clear()
    shelf.errors["c"] = NetworkError("Nobody will see this.")
    async for page in pages(shelf):
        assert ids_of(page) == "ab"
        await settle()
        break
    gc.collect()
    await settle()
    assert shelf.cut == is_under_way


async def test_an_error_of_the_next_page_comes_in_its_order() -> None:
    shelf = Shelf("abcdef")
    shelf.errors["e"] = NetworkError("The cable is cut.")
    iterator = pages(shelf)
    for page in ("ab", "cd"):
        assert ids_of(await anext(iterator)) == page
        await settle()
    with pytest.raises(NetworkError, match="cable"):
        await anext(iterator)


@contextlib.asynccontextmanager
async def _by_anyio() -> AsyncIterator[None]:
    with anyio.move_on_after(0.01):
        yield


async def test_a_step_that_is_cancelled_takes_its_request_along() -> None:
    for limit in (asyncio.timeout(0.01), _by_anyio()):
        shelf = Shelf("abcd")
        shelf.gate.clear()
        iterator = pages(shelf)
        await anext(iterator)
        with contextlib.suppress(TimeoutError):
            async with limit:
                await anext(iterator)
        assert shelf.cut == 1
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)


async def test_a_loop_that_is_cancelled_between_steps_takes_the_request_along() -> None:
    for limit in (asyncio.timeout(0.01), _by_anyio()):
        shelf = Shelf("abcd")
        shelf.gate.clear()
        with contextlib.suppress(TimeoutError):
            async with limit, contextlib.aclosing(pages(shelf)) as iterator:
                await anext(iterator)
                await asyncio.sleep(1)
        assert shelf.cut == 1


async def test_each_step_may_come_from_another_task() -> None:
    shelf = Shelf("abcde")
    iterator = pages(shelf)
    steps = [await asyncio.create_task(anext(iterator)) for _ in range(2)]
    assert [ids_of(page) for page in steps] == ["ab", "cd"]
    await asyncio.create_task(iterator.aclose())


async def one_by_one(shelf: Shelf) -> AsyncIterator[str]:
    async with contextlib.aclosing(pages(shelf)) as iterator:
        async for page in iterator:
            for row in page:
                yield row["id"]


@pytest.mark.parametrize("is_under_way", [True, False])
async def test_an_iterator_that_ends_with_its_loop_says_nothing(
    caplog: pytest.LogCaptureFixture, is_under_way: bool
) -> None:
    kept: list[Any] = []

    async def leave_off() -> None:
        shelf = Shelf("abcd")
        if is_under_way:
            shelf.gate.clear()
        kept.append(one_by_one(shelf))
        assert await anext(kept[0]) == "a"
        await settle()

    await asyncio.to_thread(asyncio.run, leave_off())
    assert caplog.messages == []


# --- Lists that change, and servers that don't keep to the rules ----------------------------------


async def test_what_the_next_page_begins_with_may_vanish() -> None:
    shelf = Shelf("abcdefg")
    found: list[str] = []
    iterator = pages(shelf)
    found.append(ids_of(await anext(iterator)))
    await settle()
    # The page after the next begins with "e".
    shelf.gate.clear()
    found.append(ids_of(await anext(iterator)))
    await settle()
    shelf.ids = "abcdfg"
    shelf.gate.set()
    found += [ids_of(page) async for page in iterator]
    assert found == ["ab", "cd", "fg"]
    assert shelf.asked == [None, "c", "e", None, "c", "f"]


class Liar(Shelf):
    """Answers with the same page again and again."""

    def page(self, start_id: str | None, limit: int) -> Page:
        del start_id, limit
        return {"rows": [{"id": "a"}], "nextKeyPair": {"startKeyDocId": "b"}}


class Restless(Shelf):
    """Has a next page each time, and nothing on it."""

    def page(self, start_id: str | None, limit: int) -> Page:
        del limit
        if start_id is not None:
            return {"rows": [], "nextKeyPair": {"startKeyDocId": "c"}}
        return {"rows": [{"id": "a"}], "nextKeyPair": {"startKeyDocId": "b"}}


async def test_pages_in_a_circle_are_noticed() -> None:
    shelf = Liar("")
    with pytest.raises(InvalidResponseError, match=r"Could not list things: .*same page twice"):
        assert [ids_of(page) async for page in pages(shelf)] == []
    assert len(shelf.asked) == 2


async def test_a_list_that_never_comes_to_rest_is_given_up() -> None:
    shelf = Restless("")
    with pytest.raises(ConflictError, match="list of things changed 8 times"):
        assert [ids_of(page) async for page in pages(shelf)] == ["a"]
    assert len(shelf.asked) == 16
