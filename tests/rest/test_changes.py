"""The one way to change a document, against a store with revisions."""

from __future__ import annotations

from typing import Any

import pytest

from icure_async.errors import ConflictError, NotFoundError
from icure_async.rest.changes import MAX_CONFLICTS, change_document

Document = dict[str, Any]


class _Store:
    """One document. Others write it before each of the next few writes of ours."""

    def __init__(self, *, faster_writes: int = 0) -> None:
        self.document: Document = {"rev": 1, "names": []}
        self.faster_writes = faster_writes
        self.reads = self.writes = 0

    async def read(self) -> Document:
        self.reads += 1
        return self.document

    async def write(self, document: Document) -> Document:
        self.writes += 1
        if self.faster_writes:
            self.faster_writes -= 1
            self._store({**self.document, "names": [*self.document["names"], "theirs"]})
        if document["rev"] != self.document["rev"]:
            raise ConflictError("changed", status=409)
        return self._store(document)

    def _store(self, document: Document) -> Document:
        self.document = {**document, "rev": document["rev"] + 1}
        return self.document


async def _add_name(document: Document) -> Document:
    return {**document, "names": [*document["names"], "ours"]}


async def test_the_document_is_returned_as_it_is_stored() -> None:
    store = _Store()

    stored = await change_document("It", read=store.read, change=_add_name, write=store.write)

    assert stored is store.document
    assert stored == {"rev": 2, "names": ["ours"]}


async def test_after_a_conflict_what_others_wrote_is_changed() -> None:
    store = _Store(faster_writes=2)

    stored = await change_document("It", read=store.read, change=_add_name, write=store.write)

    assert stored["names"] == ["theirs", "theirs", "ours"]
    assert store.reads == 3


@pytest.mark.parametrize("answer", ["None", "the same object"])
async def test_nothing_is_written_where_there_is_nothing_to_change(answer: str) -> None:
    store = _Store()

    async def leave(document: Document) -> Document | None:
        return None if answer == "None" else document

    found = await change_document("It", read=store.read, change=leave, write=store.write)

    assert found is store.document
    assert store.writes == 0


async def test_it_gives_up_after_some_conflicts_and_says_the_next_step() -> None:
    store = _Store(faster_writes=100)

    with pytest.raises(ConflictError, match=r"Patient 4711 was .* Save it again\.") as caught:
        await change_document(
            "Patient 4711",
            read=store.read,
            change=_add_name,
            write=store.write,
            advice="Save it again.",
        )

    assert caught.value.retryable
    assert store.reads == store.writes == MAX_CONFLICTS
    assert "ours" not in store.document["names"]


async def test_another_error_of_a_write_ends_it() -> None:
    store = _Store()

    async def fail(_: Document) -> Document:
        raise NotFoundError("gone", status=404)

    with pytest.raises(NotFoundError, match="gone"):
        await change_document("It", read=store.read, change=_add_name, write=fail)

    assert store.reads == 1


async def test_a_conflict_that_the_change_itself_meets_is_not_taken_for_one_of_the_write() -> None:
    store = _Store()

    async def conflicting(_: Document) -> Document:
        raise ConflictError("of something else", status=409)

    with pytest.raises(ConflictError, match="of something else"):
        await change_document("It", read=store.read, change=conflicting, write=store.write)

    assert store.reads == 1
