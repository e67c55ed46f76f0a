"""Exchange data: the keys that two data owners share, in documents of their own (§14.5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox import entities
from icure_async.sandbox.access import can_read, reads_as, require_read, require_write
from icure_async.sandbox.calls import Call, Route
from icure_async.sandbox.data_owners import find_data_owner
from icure_async.sandbox.errors import ApiError, bad_request, conflict, not_found
from icure_async.sandbox.links import pair
from icure_async.sandbox.pages import page_limit
from icure_async.sandbox.queries import Query, exactly
from icure_async.sandbox.v2.forms import FORMS

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES", "check_fingerprints"]

_KIND: Final = "exchangedata"
_SECRETS: Final = ("exchangeKey", "accessControlSecret", "sharedSignatureKey")
_MEMBERS: Final = ("delegator", "delegate")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{22}")
_TYPES: Final = frozenset({"hcp", "patient", "device"})


def check_fingerprints(wrapped: Json, name: str) -> None:
    """Refuse a map of what is encrypted for keys where its names are no V2 fingerprints."""
    if not all(_FINGERPRINT.fullmatch(fingerprint) for fingerprint in wrapped):
        raise bad_request(f"The keys of {name} must be fingerprints of 22 small hex digits")


def _read(body: Any) -> Json:
    exchange_data = FORMS[_KIND].read(body)
    for member in _MEMBERS:
        if not exchange_data[member].strip():
            raise bad_request(f"{member} must not be blank")
    for name in _SECRETS:
        if name not in exchange_data:
            raise bad_request(f"{name} must not be empty")
        check_fingerprints(exchange_data[name], name)
    check_fingerprints(exchange_data.get("delegatorSignature", {}), "delegatorSignature")
    if not exchange_data["sharedSignature"]:
        raise bad_request("sharedSignature must not be empty")
    return exchange_data


def _show(call: Call, exchange_data: Json) -> Json:
    return FORMS[_KIND].show(call, exchange_data)


def _save_new(tx: Transaction, call: Call, _kind: str, body: Any) -> Json:
    exchange_data = _read(body)
    require_write(call, _KIND, exchange_data)
    entities.require_new(tx, _KIND, exchange_data)
    return entities.put_first(tx, _KIND, exchange_data)


def _create(tx: Transaction, call: Call) -> Json:
    return _show(call, _save_new(tx, call, _KIND, call.json_object()))


def _create_all(tx: Transaction, call: Call) -> list[Json]:
    """Create many; those that can't be saved are left out of the answer."""
    bodies = [_read(body) for body in call.json_list()]
    saved: list[Json] = []
    for body in bodies:
        try:
            saved.append(entities.id_and_rev(_save_new(tx, call, _KIND, body)))
        except ApiError:
            continue
    return saved


def _modify(tx: Transaction, call: Call) -> Json:
    exchange_data = _read(call.json_object())
    current = entities.existing(tx, _KIND, exchange_data)
    require_write(call, _KIND, current)
    if any(exchange_data[member] != current[member] for member in _MEMBERS):
        raise bad_request("delegator and delegate of exchange data can't be changed")
    if exchange_data["rev"] != current["rev"]:
        raise conflict("Document update Conflict")
    return _show(call, entities.put_next(tx, _KIND, exchange_data))


def _get(tx: Transaction, call: Call) -> Json:
    exchange_data = tx.get(_KIND, call.params["id"])
    if exchange_data is None:
        raise not_found(f"Exchange data with id {call.params['id']} not found")
    require_read(call, _KIND, exchange_data)
    return _show(call, exchange_data)


def _by_ids(tx: Transaction, call: Call) -> list[Json]:
    found = tx.each(_KIND, call.id_list())
    return [_show(call, one) for one in found if can_read(call, _KIND, one)]


def _of_participant(call: Call, owner_id: str) -> Query:
    found = exactly(_KIND, "participant", owner_id)
    names = reads_as(call, _KIND)
    return found if names is None or owner_id in names else found.also("participant", names)


def _by_participant(tx: Transaction, call: Call) -> Json:
    owner_id = call.params.get("id") or _asked(call, "dataOwnerId")
    limit = page_limit(call)
    ids = _of_participant(call, owner_id).ids(
        tx, first=call.query.get("startDocumentId") or "", limit=limit + 1
    )
    page: Json = {"rows": [_show(call, one) for one in tx.each(_KIND, ids[:limit])]}
    if len(ids) > limit:
        page["nextKeyPair"] = {"startKey": owner_id, "startKeyDocId": ids[limit]}
    return page


def _asked(call: Call, name: str) -> str:
    value = call.query.get(name)
    if not value:
        raise bad_request(f"{name} is missing")
    return value


def _by_members(tx: Transaction, call: Call) -> list[Json]:
    delegator = call.params.get("delegator") or _asked(call, "delegatorId")
    delegate = call.params.get("delegate") or _asked(call, "delegateId")
    found = tx.linked(_KIND, "pair", pair(delegator, delegate))
    return [_show(call, one) for one in found if can_read(call, _KIND, one)]


def _counterparts(tx: Transaction, call: Call) -> list[str]:
    owner_id = call.params["id"]
    types = {name.strip().lower() for name in _asked(call, "counterpartsTypes").split(",")}
    if not types <= _TYPES:
        raise bad_request(f"counterpartsTypes must be some of {', '.join(sorted(_TYPES))}")
    fingerprint = call.query.get("ignoreOnEntryForFingerprint")
    counterparts: dict[str, None] = {}
    for one in tx.each(_KIND, _of_participant(call, owner_id).ids(tx)):
        if fingerprint and all(fingerprint in one[name] for name in _SECRETS):
            continue
        counterparts.update((one[member], None) for member in _MEMBERS if one[member] != owner_id)
    return [each for each in counterparts if _type_of(tx, each) in types]


def _type_of(tx: Transaction, owner_id: str) -> str | None:
    # Owners of other groups, which are named as in group/owner, are never found here.
    found = find_data_owner(tx, owner_id)
    return None if found is None else found[1]


ROUTES: Final[list[Route]] = [
    Route("POST", "/exchangedata", _create),
    Route("POST", "/exchangedata/bulk", _create_all),
    Route("PUT", "/exchangedata", _modify),
    Route("POST", "/exchangedata/byIds", _by_ids),
    Route("GET", "/exchangedata/byParticipant", _by_participant),
    Route("GET", "/exchangedata/byParticipant/{id}", _by_participant),
    Route("GET", "/exchangedata/byParticipant/{id}/counterparts", _counterparts),
    Route("GET", "/exchangedata/byDelegatorDelegate", _by_members),
    Route("GET", "/exchangedata/byDelegatorDelegate/{delegator}/{delegate}", _by_members),
    Route("GET", "/exchangedata/{id}", _get),
]
"""Endpoints under ``/exchangedata``; ``rest/v1`` has them, too."""
