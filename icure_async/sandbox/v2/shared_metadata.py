"""The endpoints that share entities, many in one call (§14.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.sandbox import entities
from icure_async.sandbox.access import can_read, may_ask_root, names_for_sharing
from icure_async.sandbox.calls import Call, Endpoint, Route
from icure_async.sandbox.secure_delegations import SECURITY_METADATA, secure_delegations
from icure_async.sandbox.v2.exchange_data_maps import add_to_map
from icure_async.sandbox.v2.forms import FORMS
from icure_async.sandbox.v2.sharing import (
    EntityRequests,
    Outcome,
    Rights,
    applied,
    read_requests,
    rejection,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from icure_async.sandbox.store import Json, Transaction

__all__ = ["sharing_routes"]

_PATH: Final = "bulkSharedMetadataUpdate"


def sharing_routes(kind: str) -> list[Route]:
    """Return the endpoints that share the entities of a kind."""

    def answers(result: Callable[[Call, Json], Json]) -> Endpoint:
        return lambda tx, call: [
            _answer(tx, call, kind, entity_id, asked, result)
            for entity_id, asked in read_requests(call.json_object()).items()
        ]

    whole = answers(lambda call, entity: {"updatedEntity": FORMS[kind].show(call, entity)})
    minimal = answers(lambda _call, _entity: {})
    return [
        Route("PUT", f"/{kind}/{_PATH}", whole, answers_conflicts=True),
        Route("PUT", f"/{kind}/{_PATH}Minimal", minimal, answers_conflicts=True),
    ]


def _answer(
    tx: Transaction,
    call: Call,
    kind: str,
    entity_id: str,
    asked: EntityRequests,
    result: Callable[[Call, Json], Json],
) -> Json:
    entity = tx.get(kind, entity_id)
    if entity is None:
        return _all_rejected(asked, entity_id, 404, "There is no entity of this id")
    if not can_read(call, kind, entity):
        return _all_rejected(asked, entity_id, 403, "You are not allowed to read this entity")
    rights = Rights(names_for_sharing(call, kind), may_ask_root(call, kind, entity))
    outcome = applied(secure_delegations(entity), asked, rights)
    # The revision before, as the backend answers it: the new one is that of the updated entity.
    answer: Json = {"entityId": entity_id, "entityRev": entity["rev"]}
    if call.saves_nothing:
        _let_somebody_save_first(tx, kind, entity, outcome)
    elif outcome.accepted:
        answer |= result(call, _save(tx, kind, entity, outcome))
    if outcome.rejected:
        answer["rejectedRequests"] = outcome.rejected
    return answer


def _save(tx: Transaction, kind: str, entity: Json, outcome: Outcome) -> Json:
    metadata = {"secureDelegations": outcome.delegations}
    for key, encrypted_ids in outcome.maps.items():
        add_to_map(tx, key, encrypted_ids)
    return entities.put_next(tx, kind, {**entity, SECURITY_METADATA: metadata})


def _let_somebody_save_first(tx: Transaction, kind: str, entity: Json, outcome: Outcome) -> None:
    entities.put_next(tx, kind, {**entity})
    reason = "The entity was saved by somebody else at the same time"
    outcome.rejected |= dict.fromkeys(outcome.accepted, rejection(409, reason, should_retry=True))


def _all_rejected(asked: EntityRequests, entity_id: str, code: int, reason: str) -> Json:
    rejected = dict.fromkeys(asked.ids, rejection(code, reason))
    return {"entityId": entity_id, "rejectedRequests": rejected}
