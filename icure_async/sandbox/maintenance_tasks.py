"""Maintenance tasks, which carry notifications between data owners (§10.11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.sandbox import entities
from icure_async.sandbox.calls import Call, Route
from icure_async.sandbox.pages import filter_page

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES"]

_KIND = "maintenancetask"


def _create(tx: Transaction, call: Call) -> Json:
    return entities.create(tx, call, _KIND, call.json_object())


def _modify(tx: Transaction, call: Call) -> Json:
    return entities.modify(tx, call, _KIND, call.json_object())


def _get(tx: Transaction, call: Call) -> Json:
    return entities.get(tx, call, _KIND, call.params["id"])


def _delete(tx: Transaction, call: Call) -> list[Json]:
    return entities.delete_each(tx, call, _KIND, call.path_ids())


def _filter(tx: Transaction, call: Call) -> Json:
    return filter_page(tx, call, _KIND, entities.show)


ROUTES: list[Route] = [
    Route("POST", "/maintenancetask/filter", _filter),
    Route("GET", "/maintenancetask/{id}", _get),
    Route("DELETE", "/maintenancetask/{ids}", _delete),
    Route("POST", "/maintenancetask", _create),
    Route("PUT", "/maintenancetask", _modify),
]
"""Endpoints under ``/maintenancetask``."""
