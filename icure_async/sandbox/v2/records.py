"""Patients and medical records: the endpoints that all their kinds have (§14.2, §14.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox import entities
from icure_async.sandbox.access import can_read, can_write, names_of, require_read, require_write
from icure_async.sandbox.calls import Call, Endpoint, Route
from icure_async.sandbox.errors import ApiError, bad_request, not_found
from icure_async.sandbox.pages import filter_page, match_ids
from icure_async.sandbox.queries import exactly
from icure_async.sandbox.secure_delegations import read_metadata
from icure_async.sandbox.shapes import is_list, is_object
from icure_async.sandbox.v2.forms import FORMS
from icure_async.sandbox.v2.shared_metadata import sharing_routes

if TYPE_CHECKING:
    from collections.abc import Callable

    from icure_async.sandbox.store import Json, Transaction

    Save = Callable[[Transaction, Call, str, Any], Json]

__all__ = ["ROUTES", "create", "modify", "show"]

_KINDS: Final = ("patient", "maintenancetask", "helement", "contact", "document")
_METADATA: Final = "securityMetadata"


def show(kind: str, entity: Json) -> Json:
    """Return an entity as it is answered."""
    return FORMS[kind].show(entity)


def _read(kind: str, body: Any) -> Json:
    entity = FORMS[kind].read(body)
    if entity.get(_METADATA) is not None:
        entity[_METADATA] = read_metadata(entity[_METADATA])
    return entity


def create(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    """Store a new entity; nothing is filled in, since that could name a hidden author (§14.1)."""
    entity = _read(kind, body)
    entities.require_creatable(call, kind, entity)
    entities.require_new(tx, kind, entity)
    return entities.put_first(tx, kind, entity)


def modify(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    """Store the next revision of an entity; what only ``rest/v1`` knows of it stays."""
    entity = _read(kind, body)
    current = entities.existing(tx, kind, entity)
    entities.require_changeable(call, kind, current, entity)
    kept = {name: value for name, value in current.items() if not FORMS[kind].knows(name)}
    return entities.put_next(tx, kind, {**kept, **entity})


# One factory for each endpoint.


def _save_one(kind: str, save: Save) -> Endpoint:
    return lambda tx, call: show(kind, save(tx, call, kind, call.json_object()))


def _save_all(kind: str, save: Save, answer: Callable[[str, Json], Json]) -> Endpoint:
    """Save many; those that can't be saved are left out of the answer."""

    def answers(tx: Transaction, call: Call) -> list[Json]:
        bodies = call.json_list()
        for body in bodies:
            _read(kind, body)
        saved: list[Json] = []
        for body in bodies:
            try:
                saved.append(answer(kind, save(tx, call, kind, body)))
            except ApiError:
                continue
        return saved

    return answers


def _id_and_rev(_kind: str, entity: Json) -> Json:
    return entities.id_and_rev(entity)


def _get(kind: str) -> Endpoint:
    def answer(tx: Transaction, call: Call) -> Json:
        entity = _known(tx, kind, call.params["id"])
        require_read(call, kind, entity)
        return show(kind, entity)

    return answer


def _known(tx: Transaction, kind: str, entity_id: str) -> Json:
    entity = tx.get(kind, entity_id)
    if entity is None:
        raise not_found(f"Entity with id {entity_id} not found")
    return entity


def _by_ids(kind: str) -> Endpoint:
    return lambda tx, call: [
        show(kind, entity)
        for entity in tx.each(kind, call.id_list())
        if can_read(call, kind, entity)
    ]


def _filter(kind: str) -> Endpoint:
    def answer(tx: Transaction, call: Call) -> Json:
        page = filter_page(tx, call, kind, show)
        return {name: page[name] for name in ("rows", "nextKeyPair") if name in page}

    return answer


def _match(kind: str) -> Endpoint:
    return lambda tx, call: match_ids(tx, call, kind)


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


# Deletions. A change is one of these functions.


def _deleted(tx: Transaction, call: Call, kind: str, entity: Json) -> Json:
    return entities.put_next(tx, kind, {**entity, "deletionDate": call.now_ms})


def _undeleted(tx: Transaction, _call: Call, kind: str, entity: Json) -> Json:
    kept = {name: value for name, value in entity.items() if name != "deletionDate"}
    return entities.put_next(tx, kind, kept)


def _purged(tx: Transaction, _call: Call, kind: str, entity: Json) -> Json:
    tx.remove(kind, entity["id"])
    return entity


def _change_one(kind: str, change: Save, answer: Callable[[str, Json], Json]) -> Endpoint:
    def answers(tx: Transaction, call: Call) -> Json:
        entity = _known(tx, kind, call.params["id"])
        require_write(call, kind, entity)
        if rev := call.query.get("rev"):
            entities.check_revision(kind, entity, {**entity, "rev": rev})
        return answer(kind, change(tx, call, kind, entity))

    return answers


def _change_all(
    kind: str, change: Save, answer: Callable[[str, Json], Json], *, with_revisions: bool = True
) -> Endpoint:
    """Change many; unknown, inaccessible and outdated ones are left out of the answer."""

    def answers(tx: Transaction, call: Call) -> list[Json]:
        revisions = _revisions(call) if with_revisions else dict.fromkeys(call.id_list())
        return [
            answer(kind, change(tx, call, kind, entity))
            for entity in tx.each(kind, revisions)
            if can_write(call, kind, entity) and revisions[entity["id"]] in (None, entity["rev"])
        ]

    return answers


def _revisions(call: Call) -> dict[str, str | None]:
    pairs = call.json_object().get("ids")
    if not is_list(pairs) or not all(is_object(one) for one in pairs):
        raise bad_request("ids must be a list of objects with id and rev")
    revisions = {one.get("id"): one.get("rev") for one in pairs}
    if not all(
        isinstance(entity_id, str) and isinstance(rev, str | None)
        for entity_id, rev in revisions.items()
    ):
        raise bad_request("ids must be a list of objects with id and rev")
    return revisions


def _routes(kind: str) -> list[Route]:
    saves: tuple[tuple[str, Save], ...] = (("POST", create), ("PUT", modify))
    return [
        *(Route(method, f"/{kind}", _save_one(kind, save)) for method, save in saves),
        *(
            Route(method, f"/{kind}/{path}", _save_all(kind, save, answer))
            for method, save in saves
            for path, answer in (
                ("batch", show),
                ("batch/full", show),
                ("batch/minimal", _id_and_rev),
            )
        ),
        *sharing_routes(kind, show),
        Route("POST", f"/{kind}/byIds", _by_ids(kind)),
        Route("POST", f"/{kind}/filter", _filter(kind)),
        Route("POST", f"/{kind}/match", _match(kind)),
        Route(
            "POST",
            f"/{kind}/delete/batch",
            _change_all(kind, _deleted, _id_and_rev, with_revisions=False),
        ),
        Route("POST", f"/{kind}/delete/batch/withrev", _change_all(kind, _deleted, _id_and_rev)),
        Route("POST", f"/{kind}/undelete/batch", _change_all(kind, _undeleted, show)),
        Route("POST", f"/{kind}/undelete/{{id}}", _change_one(kind, _undeleted, show)),
        Route("POST", f"/{kind}/purge/batch", _change_all(kind, _purged, _id_and_rev)),
        Route("DELETE", f"/{kind}/purge/{{id}}", _change_one(kind, _purged, _id_and_rev)),
        Route("DELETE", f"/{kind}/{{id}}", _change_one(kind, _deleted, _id_and_rev)),
        Route("GET", f"/{kind}/{{id}}", _get(kind)),
    ]


ROUTES: Final[list[Route]] = [
    *(
        Route("POST", f"/{kind}/byDataOwnerPatientOpeningDate", _by_opening_date(kind))
        for kind in ("helement", "contact")
    ),
    *(route for kind in _KINDS for route in _routes(kind)),
]
"""Endpoints under ``/patient``, ``/helement``, ``/contact`` and the like."""
