"""Conditions, contacts and documents in rest/v1 (§10.7-10.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox import entities
from icure_async.sandbox.access import can_read
from icure_async.sandbox.calls import Call, Endpoint, Route
from icure_async.sandbox.dto import SCHEMAS
from icure_async.sandbox.pages import filter_page, match_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from icure_async.sandbox.store import Json, Transaction

    Save = Callable[[Transaction, Call, str, Any], Json]

__all__ = ["ROUTES"]

_DOCUMENT: Final = "document"
_CONFLICTS: Final = frozenset({404, 409})
"""Refusals that the backend's database makes of single conditions in a batch."""


def _save(kind: str, save: Save) -> Endpoint:
    return lambda tx, call: save(tx, call, kind, call.json_object())


def _save_all(kind: str, save: Save, left_out: frozenset[int] | None = None) -> Endpoint:
    return lambda tx, call: entities.save_each(tx, call, kind, save, left_out)


def _get(kind: str) -> Endpoint:
    return lambda tx, call: entities.get(tx, call, kind, call.params["id"])


def _by_ids(kind: str) -> Endpoint:
    return lambda tx, call: entities.get_many(tx, call, kind, call.id_list())


def _delete(kind: str) -> Endpoint:
    return lambda tx, call: entities.delete_each(tx, call, kind, call.path_ids())


def _filter(kind: str) -> Endpoint:
    return lambda tx, call: filter_page(tx, call, kind, entities.show)


def _match(kind: str) -> Endpoint:
    return lambda tx, call: match_ids(tx, call, kind)


def _put_document(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    """Store a document, a new one included (§10.9)."""
    given = SCHEMAS[kind].read(body)
    is_new = given.get("rev") is None and tx.get(kind, given["id"]) is None
    save = entities.create if is_new else entities.modify
    return save(tx, call, kind, body)


def _documents(tx: Transaction, call: Call) -> list[Json]:
    found = tx.each(_DOCUMENT, call.id_list())
    return [entities.show(_DOCUMENT, one) for one in found if can_read(call, _DOCUMENT, one)]


def _searching(kind: str) -> list[Route]:
    return [
        Route("POST", f"/{kind}/byIds", _by_ids(kind)),
        Route("POST", f"/{kind}/filter", _filter(kind)),
        Route("POST", f"/{kind}/match", _match(kind)),
    ]


def _storing(kind: str, create: Save, modify: Save) -> list[Route]:
    return [
        Route("POST", f"/{kind}", _save(kind, create)),
        Route("PUT", f"/{kind}", _save(kind, modify)),
        Route("GET", f"/{kind}/{{id}}", _get(kind)),
        Route("DELETE", f"/{kind}/{{ids}}", _delete(kind)),
    ]


ROUTES: Final[list[Route]] = [
    Route("POST", "/helement/batch", _save_all("helement", entities.create, _CONFLICTS)),
    Route("PUT", "/helement/batch", _save_all("helement", entities.modify, _CONFLICTS)),
    Route("POST", "/contact/batch", _save_all("contact", entities.create)),
    Route("PUT", "/contact/batch", _save_all("contact", entities.modify)),
    # Reads, in spite of its name.
    Route("POST", "/document/batch", _documents),
    Route("PUT", "/document/batch", _save_all(_DOCUMENT, entities.modify)),
    *(route for kind in ("helement", "contact", _DOCUMENT) for route in _searching(kind)),
    *_storing("helement", entities.create, entities.modify),
    *_storing("contact", entities.create, entities.modify),
    *_storing(_DOCUMENT, entities.create, _put_document),
]
"""Endpoints under ``/helement``, ``/contact`` and ``/document`` that store and find."""
