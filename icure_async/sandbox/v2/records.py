"""Patients and medical records of rest/v2 (§14.2, §14.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox import entities
from icure_async.sandbox.access import can_read, names_of
from icure_async.sandbox.calls import Call, Endpoint, Route
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.queries import exactly
from icure_async.sandbox.secure_delegations import SECURITY_METADATA, read_metadata
from icure_async.sandbox.v2.documents import Documents
from icure_async.sandbox.v2.forms import FORMS
from icure_async.sandbox.v2.shared_metadata import sharing_routes

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES", "read_record"]

_KINDS: Final = ("patient", "maintenancetask", "helement", "contact", "document")


def read_record(kind: str, body: Any) -> Json:
    """Check an entity with security metadata that a client sends."""
    entity = FORMS[kind].read(body)
    if body.get(SECURITY_METADATA) is not None:
        entity[SECURITY_METADATA] = read_metadata(body[SECURITY_METADATA])
    return entity


def _create(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    """Store a new entity; nothing is filled in, since that could name a hidden author (§14.1)."""
    entity = read_record(kind, body)
    entities.require_creatable(call, kind, entity)
    entities.require_new(tx, kind, entity)
    entities.keep_attachment(kind, {}, entity)
    return entities.put_first(tx, kind, entity)


def _modify(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    """Store the next revision of an entity; what the caller does not know of it stays."""
    entity = read_record(kind, body)
    current = entities.existing(tx, kind, entity)
    entity = {**FORMS[kind].unknown_to(call, current), **entity}
    entities.require_changeable(call, kind, current, entity)
    entities.keep_attachment(kind, current, entity)
    return entities.put_next(tx, kind, entity)


def _by_opening_date(kind: str) -> Endpoint:
    """Find ids by data owner, secrets of the patient and dates, in the order of these."""

    def answer(tx: Transaction, call: Call) -> list[str]:
        owner = call.query.get("dataOwnerId")
        if not owner:
            raise bad_request("dataOwnerId is missing")
        first, last = call.integer_query("startDate"), call.integer_query("endDate")
        names = [owner, *names_of(call)] if owner == call.caller.owner_id else [owner]
        found = exactly(kind, "secretForeignKey", *call.id_list()).also("delegate", names)
        dated = [
            (one.get("openingDate") or 0, one["id"])
            for one in tx.each(kind, found.ids(tx))
            if can_read(call, kind, one)
        ]
        inside = [
            one
            for one in sorted(dated, reverse=call.query.get("descending") == "true")
            if (first is None or one[0] >= first) and (last is None or one[0] <= last)
        ]
        return [entity_id for _, entity_id in inside]

    return answer


# Kinds of the real backend that the sandbox has none of.
_ABSENT: Final = ("/form/byDataOwnerPatientOpeningDate", "/invoice/byDataOwnerPatientInvoiceDate")


def _nothing(_tx: Transaction, _call: Call) -> list[str]:
    return []


ROUTES: Final[list[Route]] = [
    *(Route("POST", path, _nothing) for path in _ABSENT),
    *(
        Route("POST", f"/{kind}/byDataOwnerPatientOpeningDate", _by_opening_date(kind))
        for kind in ("helement", "contact")
    ),
    *(
        route
        for kind in _KINDS
        for route in (*sharing_routes(kind), *Documents(kind, _create, _modify).routes())
    ),
]
"""Endpoints under ``/patient``, ``/helement``, ``/contact`` and the like."""
