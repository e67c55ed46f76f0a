"""Answers to searches: pages of entities, and lists of ids (§8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.filters import Found, find
from icure_async.sandbox.predicates import predicate_of
from icure_async.sandbox.queries import targets_of
from icure_async.sandbox.services import SERVICE, each_service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from icure_async.sandbox.calls import Call
    from icure_async.sandbox.store import Json, Transaction

    Show = Callable[[str, Json], Json]

__all__ = ["filter_page", "match_ids", "page_limit", "page_of"]

_DEFAULT_LIMIT: Final = 1000
_BY_ID: Final = frozenset({"patient", "code"})
_NEWEST_FIRST: Final = "maintenancetask"


def match_ids(tx: Transaction, call: Call, kind: str) -> list[str]:
    """Answer ``…/match``: ids of what the bare filter in the body finds."""
    return _ordered(tx, kind, find(tx, call, kind, call.body))


def filter_page(tx: Transaction, call: Call, kind: str, show: Show) -> Json:
    """Answer ``…/filter``: a page of what the filter chain in the body finds."""
    chain = call.json_object()
    if chain.get("filter") is None:
        raise bad_request("filter is missing")
    found, limit = find(tx, call, kind, chain["filter"]), page_limit(call)
    predicate = chain.get("predicate")
    if predicate is None and found.query is not None and kind != _NEWEST_FIRST:
        total = found.query.count(tx)
        first = call.query.get("startDocumentId") or ""
        if first and kind not in _BY_ID and found.query.ids(tx, first=first, limit=1) != [first]:
            # Only lists by id go on where the first of the page has gone (§8.2).
            ids = []
        else:
            ids = found.query.ids(tx, first=first, limit=limit + 1)
    else:
        everything = _ordered(tx, kind, found)
        total = len(everything)
        if predicate is not None:
            holds = predicate_of(predicate)
            entities = _each(tx, kind, everything)
            # Not as it is stored: nobody may ask for secrets bit by bit.
            everything = [entity["id"] for entity in entities if holds(show(kind, entity))]
        start = _start(call, everything, by_id=kind in _BY_ID)
        ids = everything[start : start + limit + 1]
    rows = [show(kind, entity) for entity in _each(tx, kind, ids[:limit])]
    page = _page(rows, total, limit, ids[limit:])
    if kind == SERVICE and "nextKeyPair" in page:
        # Of services there is the id only (§8.2).
        del page["nextKeyPair"]["startKey"]
    return page


def page_of(call: Call, found: list[Json], show: Callable[[Json], Json]) -> Json:
    """Return the page that the query parameters ``startDocumentId`` and ``limit`` ask for."""
    limit, ids = page_limit(call), [str(entity["id"]) for entity in found]
    start = _start(call, ids, by_id=False)
    rows = [show(entity) for entity in found[start : start + limit]]
    return _page(rows, len(found), limit, ids[start + limit :])


def page_limit(call: Call) -> int:
    """Return how many rows the query asks for on a page."""
    limit = call.integer_query("limit")
    if limit is None:
        return _DEFAULT_LIMIT
    if limit < 1:
        raise bad_request("limit must be positive")
    return limit


def _start(call: Call, ids: Sequence[str], *, by_id: bool) -> int:
    first = call.query.get("startDocumentId")
    if not first:
        return 0
    if by_id:
        return sum(1 for entity_id in ids if entity_id < first)
    return ids.index(first) if first in ids else len(ids)


def _page(rows: list[Json], total: int, limit: int, following: Sequence[str]) -> Json:
    page: dict[str, Any] = {"pageSize": limit, "totalSize": total, "rows": rows}
    if following:
        page["nextKeyPair"] = {"startKey": following[0], "startKeyDocId": following[0]}
    return page


def _each(tx: Transaction, kind: str, ids: Iterable[str]) -> list[Json]:
    return each_service(tx, ids) if kind == SERVICE else tx.each(kind, ids)


def _ordered(tx: Transaction, kind: str, found: Found) -> list[str]:
    ids = found.all(tx)
    if kind in _BY_ID:
        return sorted(ids)
    if kind == _NEWEST_FIRST:
        created = targets_of(tx, kind, "created", ids)
        return sorted(sorted(ids), key=lambda task_id: created.get(task_id, ""), reverse=True)
    return ids
