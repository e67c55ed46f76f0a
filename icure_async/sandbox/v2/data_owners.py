"""Data owners of rest/v2: who they are, and their keys (§14.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox import entities
from icure_async.sandbox.access import DATA_OWNER_KINDS, can_read, require_read
from icure_async.sandbox.calls import Call, OwnerType, Route
from icure_async.sandbox.data_owners import STUB_KEYS, exchange_keys_of, find_data_owner
from icure_async.sandbox.errors import bad_request, conflict, not_found
from icure_async.sandbox.shapes import is_object
from icure_async.sandbox.v2.dto import read, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from icure_async.sandbox.store import Json, Transaction

    Show = Callable[[Call, str, OwnerType, Json], Json]

__all__ = ["ROUTES"]

_STUB_MEMBERS: Final = STUB_KEYS | {"id", "rev", "parentId"}


def _whole(call: Call, kind: str, owner_type: OwnerType, entity: Json) -> Json:
    return {"type": owner_type, "dataOwner": show(call, kind, entity)}


def _stub(call: Call, kind: str, owner_type: OwnerType, entity: Json) -> Json:
    return {"type": owner_type, "stub": show(call, "stub", show(call, kind, entity))}


def _known(tx: Transaction, call: Call, owner_id: str) -> tuple[str, OwnerType, Json]:
    found = find_data_owner(tx, owner_id)
    if found is None:
        raise not_found(f"Data owner with id {owner_id} not found")
    require_read(call, found[0], found[2])
    return found


def _own_id(call: Call) -> str:
    if call.caller.owner_id is None:
        raise not_found("The current user is not a data owner")
    return call.caller.owner_id


def _current(shown: Show) -> Callable[[Transaction, Call], Json]:
    return lambda tx, call: shown(call, *_known(tx, call, _own_id(call)))


def _one(shown: Show) -> Callable[[Transaction, Call], Json]:
    return lambda tx, call: shown(call, *_known(tx, call, call.params["id"]))


def _many(shown: Show) -> Callable[[Transaction, Call], list[Json]]:
    """Answer those that are known and may be read, in the order of their ids."""

    def answer(tx: Transaction, call: Call) -> list[Json]:
        found = (find_data_owner(tx, owner_id) for owner_id in call.id_list())
        return [shown(call, *one) for one in found if one and can_read(call, one[0], one[2])]

    return answer


def _hierarchy(shown: Show) -> Callable[[Transaction, Call], list[Json]]:
    """Answer the caller and its ancestors, the topmost first."""

    def answer(tx: Transaction, call: Call) -> list[Json]:
        ids = [*reversed(call.caller.ancestors), _own_id(call)]
        return [shown(call, *_known(tx, call, owner_id)) for owner_id in ids]

    return answer


def _modify_stub(tx: Transaction, call: Call) -> Json:
    body = call.json_object()
    given = body.get("stub")
    if not is_object(given) or body.keys() != {"type", "stub"}:
        raise bad_request("The body must have a type and a stub")
    if unknown := sorted(given.keys() - _STUB_MEMBERS):
        raise bad_request(f"A stub has no {', '.join(unknown)}")
    stub = read("stub", given)
    kind, owner_type, current = _known(tx, call, stub["id"])
    if body["type"] != owner_type:
        raise bad_request(f"The type of this data owner is {owner_type}")
    if stub.get("parentId") != current.get("parentId"):
        raise bad_request("The parent of a data owner can't be changed here")
    if stub["rev"] != current["rev"]:
        raise conflict("Document update Conflict")
    changed = {prop: value for prop, value in current.items() if prop not in STUB_KEYS}
    changed |= {prop: value for prop, value in stub.items() if prop in STUB_KEYS}
    entities.require_changeable(call, kind, current, changed)
    return _stub(call, kind, owner_type, entities.save_changed(tx, call, kind, changed))


def _data_owner_routes() -> list[Route]:
    routes: list[Route] = []
    for shown, path in ((_whole, ""), (_stub, "/stub")):
        routes += [
            Route("GET", f"/dataowner/current{path}", _current(shown)),
            Route("GET", f"/dataowner/current/hierarchy{path}", _hierarchy(shown)),
            Route("POST", f"/dataowner{path}/byIds", _many(shown)),
        ]
    return [
        *routes,
        Route("PUT", "/dataowner/stub", _modify_stub),
        Route("GET", "/dataowner/stub/{id}", _one(_stub)),
        Route("GET", "/dataowner/{id}", _one(_whole)),
    ]


def _exchange_keys(kind: str) -> Any:
    return lambda tx, call: exchange_keys_of(tx, kind, call.params["id"])


ROUTES: Final[list[Route]] = [
    *_data_owner_routes(),
    *(
        Route("GET", f"/{kind}/{{id}}/aesExchangeKeys", _exchange_keys(kind))
        for kind in DATA_OWNER_KINDS
    ),
]
"""Endpoints under ``/dataowner``, and the legacy exchange keys of data owners."""
