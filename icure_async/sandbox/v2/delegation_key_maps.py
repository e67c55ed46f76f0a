"""Secure delegation key maps, which name the hidden members of a delegation (§14.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.sandbox import entities
from icure_async.sandbox.access import can_read
from icure_async.sandbox.calls import Call, Route
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.queries import exactly
from icure_async.sandbox.v2.forms import FORMS
from icure_async.sandbox.v2.records import read_record
from icure_async.sandbox.v2.shared_metadata import sharing_routes

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES"]

_KIND: Final = "securedelegationkeymap"


def _create(tx: Transaction, call: Call) -> Json:
    key_map = read_record(_KIND, call.json_object())
    if key_map.get("delegator") or key_map.get("delegate"):
        raise bad_request("delegator and delegate must be encrypted")
    entities.require_creatable(call, _KIND, key_map)
    entities.require_new(tx, _KIND, key_map)
    return FORMS[_KIND].show(call, entities.put_first(tx, _KIND, key_map))


def _by_delegation_keys(tx: Transaction, call: Call) -> list[Json]:
    ids = exactly(_KIND, "delegationKey", *dict.fromkeys(call.id_list())).ids(tx)
    return [
        FORMS[_KIND].show(call, one) for one in tx.each(_KIND, ids) if can_read(call, _KIND, one)
    ]


ROUTES: Final[list[Route]] = [
    Route("POST", f"/{_KIND}", _create),
    Route("POST", f"/{_KIND}/bydelegationkeys", _by_delegation_keys),
    *sharing_routes(_KIND),
]
"""Endpoints under ``/securedelegationkeymap``."""
