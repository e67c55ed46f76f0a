"""The medical data of a patient, and how it is shared (§10.7-10.9, §15.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox import entities
from icure_async.sandbox.access import can_read, can_write, require_write
from icure_async.sandbox.calls import Call, Endpoint, Route
from icure_async.sandbox.dto import SCHEMAS
from icure_async.sandbox.errors import bad_request, not_found
from icure_async.sandbox.queries import exactly
from icure_async.sandbox.shapes import is_string_list, list_in, object_in

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES"]

_STUB: Final = "icurestub"
_BY_PATIENT: Final = "byHcPartySecretForeignKeys"
_KEPT: Final = ("helement", "contact", "document")
_ENTRIES: Final = ("delegations", "encryptionKeys", "cryptedForeignKeys")
# Kinds of the real backend that the sandbox has none of.
_ABSENT: Final = (
    "form/{}/delegations",
    "invoice/{}/delegations",
    "classification/{}",
    "calendarItem/{}",
)


def _of_patient(tx: Transaction, call: Call, kind: str) -> list[Json]:
    owner = call.query.get("hcPartyId")
    if not owner:
        raise bad_request("hcPartyId is missing")
    found = exactly(kind, "delegate", owner).also("secretForeignKey", _secrets(call))
    all_of_patient = tx.each(kind, found.ids(tx))
    if kind == "contact":
        all_of_patient = [one for one in all_of_patient if _is_wanted(call, one)]
    return [one for one in all_of_patient if can_read(call, kind, one)]


def _secrets(call: Call) -> list[str]:
    """Return the keys of the patient: those of the query, or those of the body."""
    if call.method == "POST":
        keys = call.json_list()
        if not is_string_list(keys):
            raise bad_request("The body must be a list of strings")
        return keys
    return [key for key in call.query.get("secretFKeys", "").split(",") if key]


def _is_wanted(call: Call, contact: Json) -> bool:
    if call.query.get("skipClosedContacts") == "true" and contact.get("closingDate"):
        return False
    plans = {plan for plan in call.query.get("planOfActionsIds", "").split(",") if plan}
    parts = list_in(contact, "subContacts")
    return not plans or any(part.get("planOfActionId") in plans for part in parts)


def _stubs(kind: str) -> Endpoint:
    return lambda tx, call: [SCHEMAS[_STUB].show(one) for one in _of_patient(tx, call, kind)]


def _whole(kind: str) -> Endpoint:
    return lambda tx, call: [entities.show(kind, one) for one in _of_patient(tx, call, kind)]


def _nothing(_tx: Transaction, _call: Call) -> list[Json]:
    return []


def _save_delegations(kind: str) -> Endpoint:
    """Take over the entries of stubs, and answer the stubs of what was changed."""

    def answer(tx: Transaction, call: Call) -> list[Json]:
        stubs = [SCHEMAS[_STUB].read(stub) for stub in call.json_list()]
        changed: list[Json] = []
        for stub in stubs:
            current = tx.get(kind, stub["id"])
            if current is None or not can_write(call, kind, current):
                continue
            for prop in _ENTRIES:
                current[prop] = _merged(object_in(current, prop), stub[prop])
            changed.append(entities.save_changed(tx, call, kind, current))
        return [SCHEMAS[_STUB].show(one) for one in changed]

    return answer


def _delegate(kind: str) -> Endpoint:
    """Add delegations to one entity, and answer all of it."""

    def answer(tx: Transaction, call: Call) -> Json:
        entity_id = call.params["id"]
        current = tx.get(kind, entity_id)
        if current is None:
            raise not_found(f"Entity with id {entity_id} not found")
        require_write(call, kind, current)
        given: Json = {}
        for entry in SCHEMAS[_STUB].read(_stub_of(entity_id, call.json_list()))["delegations"][""]:
            if not entry.get("delegatedTo"):
                raise bad_request("delegatedTo is missing")
            given.setdefault(entry["delegatedTo"], []).append(entry)
        current["delegations"] = _merged(object_in(current, "delegations"), given)
        return entities.show(kind, entities.save_changed(tx, call, kind, current))

    return answer


def _stub_of(entity_id: str, entries: list[Any]) -> Json:
    return {"id": entity_id, "delegations": {"": entries}}


def _merged(present: Json, given: Json) -> Json:
    merged = dict(present)
    for delegate, entries in given.items():
        before = list_in(merged, delegate)
        known = set(map(_identity, before))
        merged[delegate] = [*before, *(entry for entry in entries if _identity(entry) not in known)]
    return merged


def _identity(entry: Json) -> tuple[object, ...]:
    return entry.get("owner"), entry.get("delegatedTo"), entry.get("key")


def _lists(kind: str) -> list[Route]:
    return [
        route
        for method in ("GET", "POST")
        for route in (
            Route(method, f"/{kind}/{_BY_PATIENT}/delegations", _stubs(kind)),
            Route(method, f"/{kind}/{_BY_PATIENT}", _whole(kind)),
        )
    ]


ROUTES: list[Route] = [
    *(route for kind in _KEPT for route in _lists(kind)),
    *(
        Route(method, "/" + path.format(_BY_PATIENT), _nothing)
        for path in _ABSENT
        for method in ("GET", "POST")
    ),
    *(Route("POST", f"/{kind}/delegations", _save_delegations(kind)) for kind in _KEPT),
    *(Route("POST", f"/{kind}/{{id}}/delegate", _delegate(kind)) for kind in _KEPT),
]
"""Endpoints that list the data of a patient, and those that share it by legacy delegations."""
