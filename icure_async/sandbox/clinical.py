"""The medical data of a patient, as far as sharing all of it asks for them (§10.7-10.9, §15.1).

Conditions, contacts and documents are those of a seed: they have no endpoints of their own yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.sandbox import entities
from icure_async.sandbox.access import can_read, can_write
from icure_async.sandbox.calls import Call, Endpoint, Route
from icure_async.sandbox.dto import SCHEMAS
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.queries import exactly
from icure_async.sandbox.shapes import list_in, object_in

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES"]

_STUB: Final = "icurestub"
_BY_PATIENT: Final = "byHcPartySecretForeignKeys"
_KEPT: Final = ("helement", "contact")
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
    secrets = [key for key in call.query.get("secretFKeys", "").split(",") if key]
    found = exactly(kind, "delegate", owner).also("secretForeignKey", secrets)
    return [one for one in tx.each(kind, found.ids(tx)) if can_read(call, kind, one)]


def _stubs(kind: str) -> Endpoint:
    return lambda tx, call: [SCHEMAS[_STUB].show(one) for one in _of_patient(tx, call, kind)]


def _whole(kind: str) -> Endpoint:
    return lambda tx, call: _of_patient(tx, call, kind)


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
            for prop in ("delegations", "encryptionKeys", "cryptedForeignKeys"):
                current[prop] = _merged(object_in(current, prop), stub[prop])
            changed.append(entities.save_changed(tx, call, kind, current))
        return [SCHEMAS[_STUB].show(one) for one in changed]

    return answer


def _merged(present: Json, given: Json) -> Json:
    merged = dict(present)
    for delegate, entries in given.items():
        before = list_in(merged, delegate)
        known = set(map(_identity, before))
        merged[delegate] = [*before, *(entry for entry in entries if _identity(entry) not in known)]
    return merged


def _identity(entry: Json) -> tuple[object, ...]:
    return entry.get("owner"), entry.get("delegatedTo"), entry.get("key")


ROUTES: list[Route] = [
    Route("GET", f"/helement/{_BY_PATIENT}/delegations", _stubs("helement")),
    Route("GET", f"/helement/{_BY_PATIENT}", _whole("helement")),
    Route("GET", f"/contact/{_BY_PATIENT}/delegations", _stubs("contact")),
    Route("GET", f"/contact/{_BY_PATIENT}", _whole("contact")),
    *(Route("GET", "/" + path.format(_BY_PATIENT), _nothing) for path in _ABSENT),
    *(Route("POST", f"/{kind}/delegations", _save_delegations(kind)) for kind in _KEPT),
]
"""Endpoints under ``/helement``, ``/contact``, ``/document`` and the like."""
