"""Data owners of rest/v2: who they are, and their keys (§14.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox import entities
from icure_async.sandbox.access import DATA_OWNER_KINDS, can_read, require_read
from icure_async.sandbox.calls import Call, Endpoint, OwnerType, Route
from icure_async.sandbox.data_owners import (
    STUB_KEYS,
    exchange_keys_of,
    find_data_owner,
    with_stub,
)
from icure_async.sandbox.errors import bad_request, not_found
from icure_async.sandbox.shapes import is_object
from icure_async.sandbox.v2.documents import Documents, show
from icure_async.sandbox.v2.forms import FORMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from icure_async.sandbox.store import Json, Transaction

    Shown = Callable[[Call, str, OwnerType, Json], Json]

__all__ = ["ROUTES"]

_STUB_MEMBERS: Final = STUB_KEYS | {"id", "rev", "parentId"}


def _whole(call: Call, kind: str, owner_type: OwnerType, entity: Json) -> Json:
    require_read(call, kind, entity)
    return {"type": owner_type, "dataOwner": show(call, kind, entity)}


def _stub(call: Call, _kind: str, owner_type: OwnerType, entity: Json) -> Json:
    # Everybody may read it: it has nothing but keys, and who shares needs those.
    return {"type": owner_type, "stub": FORMS["stub"].show(call, entity)}


def _known(tx: Transaction, owner_id: str) -> tuple[str, OwnerType, Json]:
    found = find_data_owner(tx, owner_id)
    if found is None:
        raise not_found(f"Data owner with id {owner_id} not found")
    return found


def _own_id(call: Call) -> str:
    if call.caller.owner_id is None:
        raise not_found("The current user is not a data owner")
    return call.caller.owner_id


def _current(shown: Shown) -> Endpoint:
    return lambda tx, call: shown(call, *_known(tx, _own_id(call)))


def _one(shown: Shown) -> Endpoint:
    return lambda tx, call: shown(call, *_known(tx, call.params["id"]))


def _many(tx: Transaction, call: Call) -> list[Json]:
    """Answer those that are known and may be read, in the order of their ids."""
    found = (find_data_owner(tx, owner_id) for owner_id in call.id_list())
    return [_whole(call, *one) for one in found if one and can_read(call, one[0], one[2])]


def _many_stubs(tx: Transaction, call: Call) -> list[Json]:
    found = (find_data_owner(tx, owner_id) for owner_id in call.id_list())
    return [_stub(call, *one) for one in found if one]


def _hierarchy(shown: Shown) -> Endpoint:
    """Answer the caller and its ancestors, the topmost first."""

    def answer(tx: Transaction, call: Call) -> list[Json]:
        ids = [*reversed(call.caller.ancestors), _own_id(call)]
        return [shown(call, *_known(tx, owner_id)) for owner_id in ids]

    return answer


def _modify_stub(tx: Transaction, call: Call) -> Json:
    body = call.json_object()
    given = body.get("stub")
    if not is_object(given) or body.keys() != {"type", "stub"}:
        raise bad_request("The body must have a type and a stub")
    if unknown := sorted(given.keys() - _STUB_MEMBERS):
        raise bad_request(f"A stub has no {', '.join(unknown)}")
    stub = FORMS["stub"].read(given)
    kind, owner_type, current = _known(tx, stub["id"])
    changed = with_stub(call, owner_type, current, stub)
    entities.require_change_of_keys(call, kind, current, changed)
    return _stub(call, kind, owner_type, entities.put_next(tx, kind, changed))


_DATA_OWNER_ROUTES: Final = [
    Route("GET", "/dataowner/current", _current(_whole)),
    Route("GET", "/dataowner/current/stub", _current(_stub)),
    Route("GET", "/dataowner/current/hierarchy", _hierarchy(_whole)),
    Route("GET", "/dataowner/current/hierarchy/stub", _hierarchy(_stub)),
    Route("POST", "/dataowner/byIds", _many),
    Route("POST", "/dataowner/stub/byIds", _many_stubs),
    Route("PUT", "/dataowner/stub", _modify_stub),
    Route("GET", "/dataowner/stub/{id}", _one(_stub)),
    Route("GET", "/dataowner/{id}", _one(_whole)),
]


def _exchange_keys(kind: str) -> Endpoint:
    return lambda tx, call: exchange_keys_of(tx, kind, call.params["id"])


def _create(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    owner = FORMS[kind].read(body)
    entities.require_creatable(call, kind, owner)
    return entities.save_new(tx, call, kind, owner)


def _modify(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    """Store the next revision; what the caller does not know of it stays."""
    owner = FORMS[kind].read(body)
    current = entities.existing(tx, kind, owner)
    owner = {**FORMS[kind].unknown_to(call, current), **owner}
    entities.require_changeable(call, kind, current, owner)
    return entities.save_changed(tx, call, kind, owner)


def _current_hcp(tx: Transaction, call: Call) -> Json:
    kind, owner_type, owner = _known(tx, _own_id(call))
    if owner_type != "hcp":
        raise not_found("The current user is not a healthcare party")
    return show(call, kind, owner)


_DEVICES: Final = Documents("device", _create, _modify)

ROUTES: Final[list[Route]] = [
    *_DATA_OWNER_ROUTES,
    *(
        Route("GET", f"/{kind}/{{id}}/aesExchangeKeys", _exchange_keys(kind))
        for kind in DATA_OWNER_KINDS
    ),
    Route("GET", "/hcparty/current", _current_hcp),
    *Documents("hcparty", _create, _modify).routes(),
    *_DEVICES.bulk_routes(),
    *_DEVICES.routes(),
]
"""Endpoints under ``/dataowner``, ``/hcparty`` and ``/device``, and legacy exchange keys."""
