"""Recovery data: keys under a key that their owner keeps elsewhere (§14.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.sandbox import entities
from icure_async.sandbox.access import can_write, require_read, require_write
from icure_async.sandbox.calls import Call, Reply, Route
from icure_async.sandbox.errors import ApiError, NotYetError, bad_request, forbidden, not_found
from icure_async.sandbox.tables import ENUMS
from icure_async.sandbox.v2.forms import FORMS

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES"]

_KIND: Final = "recoverydata"
_LONGEST_WAIT: Final = 30


def _create(tx: Transaction, call: Call) -> Json:
    recovery_data = FORMS[_KIND].read(call.json_object())
    if _has_expired(call, recovery_data):
        raise bad_request("expirationInstant must not be in the past")
    if call.caller.owner_id is None and not call.caller.is_admin:
        raise forbidden("Only data owners can create data")
    entities.require_new(tx, _KIND, recovery_data)
    return FORMS[_KIND].show(call, entities.put_first(tx, _KIND, recovery_data))


def _has_expired(call: Call, recovery_data: Json) -> bool:
    expiration = recovery_data.get("expirationInstant")
    return expiration is not None and expiration <= call.now_ms


def _missing(entity_id: str) -> ApiError:
    return not_found(f"Recovery data with id {entity_id} not found")


def _get(tx: Transaction, call: Call) -> Json | Reply:
    entity_id = call.params["id"]
    recovery_data = tx.get(_KIND, entity_id)
    if recovery_data is None:
        raise _missing(entity_id)
    require_read(call, _KIND, recovery_data)
    if _has_expired(call, recovery_data):
        tx.remove(_KIND, entity_id)
        # Not raised: that would undo the removal.
        return Reply(404, {"message": _missing(entity_id).message})
    return FORMS[_KIND].show(call, recovery_data)


def _wait(tx: Transaction, call: Call) -> Json | Reply:
    seconds = call.integer_query("timeoutSeconds") or _LONGEST_WAIT
    if not 0 < seconds <= _LONGEST_WAIT:
        raise bad_request(f"timeoutSeconds must be at most {_LONGEST_WAIT}")
    if tx.get(_KIND, call.params["id"]) is None:
        raise NotYetError(seconds, _missing(call.params["id"]))
    return _get(tx, call)


def _delete(tx: Transaction, call: Call) -> Json:
    recovery_data = tx.get(_KIND, call.params["id"])
    if recovery_data is None:
        raise _missing(call.params["id"])
    require_write(call, _KIND, recovery_data)
    tx.remove(_KIND, recovery_data["id"])
    return entities.id_and_rev(recovery_data)


def _delete_for_recipient(tx: Transaction, call: Call) -> Json:
    kind = call.params.get("type")
    if kind is not None and kind not in ENUMS["RecoveryDataType"]:
        raise bad_request(f"There is no recovery data of the type {kind}")
    found = [
        one
        for one in tx.linked(_KIND, "recipient", call.params["id"])
        if can_write(call, _KIND, one) and kind in (None, one["type"])
    ]
    for one in found:
        tx.remove(_KIND, one["id"])
    return {"numberValue": len(found)}


ROUTES: Final[list[Route]] = [
    Route("POST", f"/{_KIND}", _create),
    Route("GET", f"/{_KIND}/waiting/{{id}}", _wait),
    Route("GET", f"/{_KIND}/{{id}}", _get),
    Route("DELETE", f"/{_KIND}/forRecipient/{{id}}/ofType/{{type}}", _delete_for_recipient),
    Route("DELETE", f"/{_KIND}/forRecipient/{{id}}", _delete_for_recipient),
    Route("DELETE", f"/{_KIND}/{{id}}", _delete),
]
"""Endpoints under ``/recoverydata``."""
