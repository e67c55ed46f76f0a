"""Data owners: patients, healthcare parties, devices, and the keys they exchange (§10.3-10.12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from icure_async.sandbox import entities
from icure_async.sandbox.access import (
    DATA_OWNER_KINDS,
    require_read,
    require_write,
)
from icure_async.sandbox.calls import Call, Endpoint, OwnerType, Route
from icure_async.sandbox.dto import SCHEMAS
from icure_async.sandbox.errors import bad_request, conflict, not_found
from icure_async.sandbox.pages import filter_page, match_ids
from icure_async.sandbox.shapes import object_in
from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES", "STUB_KEYS", "exchange_keys_of", "find_data_owner", "with_stub"]

_FINGERPRINT = 32
STUB_KEYS = frozenset(
    {
        "hcPartyKeys",
        "aesExchangeKeys",
        "transferKeys",
        "privateKeyShamirPartitions",
        "publicKey",
        "publicKeysForOaepWithSha256",
        "cryptoActorProperties",
    }
)
"""The properties of a data owner that its stub is for."""

Save = Callable[[Transaction, Call, str, Any], Json]


def find_data_owner(tx: Transaction, owner_id: str) -> tuple[str, OwnerType, Json] | None:
    """Kind, type and entity of a data owner that is not deleted."""
    for kind, owner_type in DATA_OWNER_KINDS.items():
        entity = tx.get(kind, owner_id)
        if entity is not None and not entity.get("deletionDate"):
            return kind, owner_type, entity
    return None


# The endpoints that all three kinds have: one factory for each.


def _create(kind: str) -> Endpoint:
    return lambda tx, call: entities.create(tx, call, kind, call.json_object())


def _modify(kind: str) -> Endpoint:
    return lambda tx, call: entities.modify(tx, call, kind, call.json_object())


def _get(kind: str) -> Endpoint:
    return lambda tx, call: entities.get(tx, call, kind, call.params["id"])


def _by_ids(kind: str) -> Endpoint:
    return lambda tx, call: entities.get_many(tx, call, kind, call.id_list())


def _batch(kind: str, save: Save) -> Endpoint:
    return lambda tx, call: entities.batch(tx, call, kind, save)


def _delete_each(kind: str) -> Endpoint:
    return lambda tx, call: entities.delete_each(tx, call, kind, call.path_ids())


def _filter(kind: str) -> Endpoint:
    return lambda tx, call: filter_page(tx, call, kind, entities.show)


def _match(kind: str) -> Endpoint:
    return lambda tx, call: match_ids(tx, call, kind)


def _towards(tx: Transaction, kind: str, delegate: str) -> Iterator[Json]:
    return tx.linked(kind, "exchange", delegate)


def _legacy_key(delegator: Json, delegate: str) -> str | None:
    pair = object_in(delegator, "hcPartyKeys").get(delegate)
    return pair[1] if pair and len(pair) > 1 else None


def exchange_keys_of(tx: Transaction, kind: str, delegate: str) -> Json:
    """Return encrypted exchange keys towards a delegate, of delegators of one kind (§10.12)."""
    result: Json = {}
    for delegator in _towards(tx, kind, delegate):
        keys: Json = {}
        all_keys = object_in(delegator, "aesExchangeKeys")
        for public_key, by_delegate in all_keys.items():
            if delegate in by_delegate:
                keys[public_key[-_FINGERPRINT:]] = {
                    fingerprint[-_FINGERPRINT:]: key
                    for fingerprint, key in by_delegate[delegate].items()
                }
        own_key = delegator.get("publicKey") or ""
        legacy = _legacy_key(delegator, delegate)
        if legacy is not None and delegate not in object_in(all_keys, own_key):
            keys.setdefault(own_key[-_FINGERPRINT:], {"": legacy})
        if keys:
            result[delegator["id"]] = keys
    return result


def _exchange_keys(kind: str) -> Endpoint:
    return lambda tx, call: exchange_keys_of(tx, kind, call.params["id"])


def _legacy_keys(kind: str) -> Endpoint:
    def answer(tx: Transaction, call: Call) -> Json:
        delegate = call.params["id"]
        keys = {d["id"]: _legacy_key(d, delegate) for d in _towards(tx, kind, delegate)}
        return {delegator: key for delegator, key in keys.items() if key is not None}

    return answer


def _common_routes(kind: str) -> list[Route]:
    return [
        Route("POST", f"/{kind}", _create(kind)),
        Route("PUT", f"/{kind}", _modify(kind)),
        Route("POST", f"/{kind}/filter", _filter(kind)),
        Route("POST", f"/{kind}/match", _match(kind)),
        Route("GET", f"/{kind}/{{id}}/aesExchangeKeys", _exchange_keys(kind)),
        Route("GET", f"/{kind}/{{id}}/keys", _legacy_keys(kind)),
        Route("GET", f"/{kind}/{{id}}", _get(kind)),
    ]


def _undelete_patients(tx: Transaction, call: Call) -> list[Json]:
    return entities.undelete_each(tx, call, "patient", call.path_ids())


def _delegate_patient(tx: Transaction, call: Call) -> Json:
    read = SCHEMAS["patient"].read({"id": "-", "delegations": {"-": call.json_list()}})
    patient = tx.get("patient", call.params["id"])
    if patient is None:
        raise not_found(f"Patient with id {call.params['id']} not found")
    require_write(call, "patient", patient)
    delegations: Json = {**object_in(patient, "delegations")}
    for delegation in read["delegations"]["-"]:
        delegate = delegation.get("delegatedTo")
        if not delegate:
            raise bad_request("delegatedTo is missing")
        entries = delegations.get(delegate, [])
        if delegation not in entries:
            delegations[delegate] = [*entries, delegation]
    patient["delegations"] = delegations
    return entities.show("patient", entities.save_changed(tx, call, "patient", patient))


_PATIENT_ROUTES: list[Route] = [
    Route("POST", "/patient/byIds", _by_ids("patient")),
    *(
        Route(method, f"/patient/{path}", _batch("patient", save))
        for method, save in (("POST", entities.create), ("PUT", entities.modify))
        for path in ("batch", "bulk")
    ),
    Route("PUT", "/patient/undelete/{ids}", _undelete_patients),
    Route("POST", "/patient/{id}/delegate", _delegate_patient),
    Route("DELETE", "/patient/{ids}", _delete_each("patient")),
    *_common_routes("patient"),
]


def _current_hcp(tx: Transaction, call: Call) -> Json:
    caller = call.caller
    if not caller.is_hcp or caller.owner_id is None:
        raise not_found("The current user is not a healthcare party")
    return entities.get(tx, call, "hcparty", caller.owner_id)


def _hcps_by_ids(tx: Transaction, call: Call) -> list[Json]:
    return entities.get_many(tx, call, "hcparty", call.path_ids())


def _public_key(tx: Transaction, call: Call) -> Json:
    hcp = entities.get(tx, call, "hcparty", call.params["id"])
    if not hcp.get("publicKey"):
        raise not_found(f"Healthcare party with id {hcp['id']} has no public key")
    return {"hcPartyId": hcp["id"], "hexString": hcp["publicKey"]}


_HCP_ROUTES: list[Route] = [
    Route("GET", "/hcparty/current", _current_hcp),
    Route("GET", "/hcparty/byIds/{ids}", _hcps_by_ids),
    Route("GET", "/hcparty/{id}/publicKey", _public_key),
    Route("DELETE", "/hcparty/{ids}", _delete_each("hcparty")),
    *_common_routes("hcparty"),
]


def _delete_device(tx: Transaction, call: Call) -> Json:
    device = tx.get("device", call.params["id"])
    if device is None:
        raise not_found(f"Entity with id {call.params['id']} not found")
    require_write(call, "device", device)
    return entities.delete(tx, call, "device", device)


def _delete_devices(tx: Transaction, call: Call) -> list[Json]:
    return entities.delete_each(tx, call, "device", call.id_list())


_DEVICE_ROUTES: list[Route] = [
    Route("POST", "/device/byIds", _by_ids("device")),
    Route("POST", "/device/batch", _batch("device", entities.create)),
    Route("PUT", "/device/batch", _batch("device", entities.modify)),
    Route("POST", "/device/delete/batch", _delete_devices),
    Route("DELETE", "/device/{id}", _delete_device),
    *_common_routes("device"),
]


def _any_data_owner(tx: Transaction, call: Call, owner_id: str) -> tuple[str, OwnerType, Json]:
    found = find_data_owner(tx, owner_id)
    if found is None:
        raise not_found(f"Data owner with id {owner_id} not found")
    require_read(call, found[0], found[2])
    return found


def _with_type(tx: Transaction, call: Call, owner_id: str) -> Json:
    kind, owner_type, entity = _any_data_owner(tx, call, owner_id)
    return {"type": owner_type, "dataOwner": entities.show(kind, entity)}


def _current_data_owner(tx: Transaction, call: Call) -> Json:
    if call.caller.owner_id is None:
        raise not_found("The current user is not a data owner")
    return _with_type(tx, call, call.caller.owner_id)


def _data_owner(tx: Transaction, call: Call) -> Json:
    return _with_type(tx, call, call.params["id"])


def _stub(tx: Transaction, call: Call) -> Json:
    kind, owner_type, entity = _any_data_owner(tx, call, call.params["id"])
    return {"type": owner_type, "stub": SCHEMAS["stub"].show(entities.show(kind, entity))}


def _modify_stub(tx: Transaction, call: Call) -> Json:
    stub = SCHEMAS["stub"].read(call.json_object().get("stub"), "stub")
    found = find_data_owner(tx, stub["id"])
    if found is None:
        raise not_found(f"Data owner with id {stub['id']} not found")
    kind, owner_type, current = found
    entities.modify(tx, call, kind, with_stub(call, owner_type, current, stub))
    return _stub_of(tx, kind, owner_type, stub["id"])


def with_stub(call: Call, owner_type: OwnerType, current: Json, stub: Json) -> Json:
    """Return a data owner with the keys of a stub that a client sends.

    Raises:
        ApiError: 400 if the stub is of another type or parent, 409 if it is outdated.
    """
    if call.json_object().get("type") != owner_type:
        raise bad_request(f"The type of this data owner is {owner_type}")
    if stub.get("parentId") != current.get("parentId"):
        raise bad_request("The parent of a data owner can't be changed here")
    if stub["rev"] != current["rev"]:
        raise conflict("Document update Conflict")
    changed = {prop: value for prop, value in current.items() if prop not in STUB_KEYS}
    return changed | {prop: value for prop, value in stub.items() if prop in STUB_KEYS}


def _stub_of(tx: Transaction, kind: str, owner_type: OwnerType, owner_id: str) -> Json:
    entity = tx.get(kind, owner_id) or {}
    return {"type": owner_type, "stub": SCHEMAS["stub"].show(entities.show(kind, entity))}


_DATA_OWNER_ROUTES: list[Route] = [
    Route("GET", "/dataowner/current", _current_data_owner),
    Route("GET", "/dataowner/stub/{id}", _stub),
    Route("PUT", "/dataowner/stub", _modify_stub),
    Route("GET", "/dataowner/{id}", _data_owner),
]

ROUTES: list[Route] = [*_PATIENT_ROUTES, *_HCP_ROUTES, *_DEVICE_ROUTES, *_DATA_OWNER_ROUTES]
"""Endpoints under ``/patient``, ``/hcparty``, ``/device`` and ``/dataowner``."""
