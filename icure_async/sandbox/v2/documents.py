"""The endpoints that all kinds of documents have in rest/v2 (§14.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from icure_async.sandbox import entities
from icure_async.sandbox.access import can_read, can_write, require_read, require_write
from icure_async.sandbox.calls import Call, Endpoint, Route
from icure_async.sandbox.errors import ApiError, bad_request, not_found
from icure_async.sandbox.pages import filter_page, match_ids
from icure_async.sandbox.shapes import is_list, is_object
from icure_async.sandbox.store import Json, Transaction
from icure_async.sandbox.stored_bytes import detach
from icure_async.sandbox.v2.forms import FORMS

__all__ = ["Documents", "Save", "Show", "show"]

Save = Callable[[Transaction, Call, str, Any], Json]
"""Stores what the body of a request holds, or the successor of an entity, and returns it."""

Show = Callable[[Call, str, Json], Json]
"""Returns an entity as it is answered to a caller."""


def show(call: Call, kind: str, entity: Json) -> Json:
    """Return an entity as it is answered to this caller."""
    return FORMS[kind].show(call, entity)


def _id_and_rev(_call: Call, _kind: str, entity: Json) -> Json:
    return entities.id_and_rev(entity)


@attrs.frozen
class Documents:
    """The endpoints of the documents of one kind, and how these are stored and shown.

    Attributes:
        kind: it.
        create: stores a new one.
        modify: stores the next revision of one.
        show: what is answered.
    """

    kind: str
    create: Save
    modify: Save
    show: Show = show

    def routes(self) -> list[Route]:
        """Return the endpoints that all kinds have; those with a fixed path come first."""
        return [*self.saving_routes(), *self.searching_routes(), *self.deleting_routes()]

    def saving_routes(self) -> list[Route]:
        """Return the endpoints that create and modify."""
        routes: list[Route] = []
        for method, save in (("POST", self.create), ("PUT", self.modify)):
            routes += [
                Route(method, f"/{self.kind}", self._save_one(save)),
                Route(method, f"/{self.kind}/batch", self._save_all(save, self.show)),
                Route(method, f"/{self.kind}/batch/full", self._save_all(save, self.show)),
                Route(method, f"/{self.kind}/batch/minimal", self._save_all(save, _id_and_rev)),
            ]
        return routes

    def bulk_routes(self) -> list[Route]:
        """Return the endpoints by which devices are saved, many at a time."""
        return [
            Route(method, f"/{self.kind}/bulk", self._save_all(save, self.show))
            for method, save in (("POST", self.create), ("PUT", self.modify))
        ]

    def searching_routes(self) -> list[Route]:
        """Return the endpoints that read many."""
        return [
            Route("POST", f"/{self.kind}/byIds", self._by_ids),
            Route("POST", f"/{self.kind}/filter", self._filter),
            Route("POST", f"/{self.kind}/match", self._match),
        ]

    def deleting_routes(self) -> list[Route]:
        """Return the endpoints that delete and restore, and the one that reads by id."""
        kind, show, short = self.kind, self.show, _id_and_rev
        return [
            Route(
                "POST",
                f"/{kind}/delete/batch",
                self._change_all(_deleted, short, with_revisions=False),
            ),
            Route("POST", f"/{kind}/delete/batch/withrev", self._change_all(_deleted, short)),
            Route("POST", f"/{kind}/undelete/batch", self._change_all(_undeleted, show)),
            Route("POST", f"/{kind}/undelete/{{id}}", self._change_one(_undeleted, show)),
            Route("POST", f"/{kind}/purge/batch", self._change_all(_purged, short)),
            Route("DELETE", f"/{kind}/purge/{{id}}", self._change_one(_purged, short)),
            Route("DELETE", f"/{kind}/{{id}}", self._change_one(_deleted, short)),
            Route("GET", f"/{kind}/{{id}}", self._get),
        ]

    def known(self, tx: Transaction, entity_id: str) -> Json:
        """Return a stored document, deleted ones included.

        Raises:
            ApiError: 404 if there is none of this id.
        """
        entity = tx.get(self.kind, entity_id)
        if entity is None:
            raise not_found(f"Entity with id {entity_id} not found")
        return entity

    def page(self, page: Json) -> Json:
        """Return a page as rest/v2 answers it: without sizes."""
        return {name: page[name] for name in ("rows", "nextKeyPair") if name in page}

    def _save_one(self, save: Save) -> Endpoint:
        return lambda tx, call: self.show(
            call, self.kind, save(tx, call, self.kind, call.json_object())
        )

    def _save_all(self, save: Save, answer: Show) -> Endpoint:
        """Save many; those that can't be saved are left out of the answer."""

        def answers(tx: Transaction, call: Call) -> list[Json]:
            bodies = call.json_list()
            for body in bodies:
                FORMS[self.kind].read(body)
            saved: list[Json] = []
            for body in bodies:
                try:
                    saved.append(answer(call, self.kind, save(tx, call, self.kind, body)))
                except ApiError:
                    continue
            return saved

        return answers

    def _get(self, tx: Transaction, call: Call) -> Json:
        entity = self.known(tx, call.params["id"])
        require_read(call, self.kind, entity)
        return self.show(call, self.kind, entity)

    def _by_ids(self, tx: Transaction, call: Call) -> list[Json]:
        return [
            self.show(call, self.kind, entity)
            for entity in tx.each(self.kind, call.id_list())
            if can_read(call, self.kind, entity)
        ]

    def _filter(self, tx: Transaction, call: Call) -> Json:
        return self.page(
            filter_page(tx, call, self.kind, lambda kind, entity: self.show(call, kind, entity))
        )

    def _match(self, tx: Transaction, call: Call) -> list[str]:
        return match_ids(tx, call, self.kind)

    def _change_one(self, change: Save, answer: Show) -> Endpoint:
        def answers(tx: Transaction, call: Call) -> Json:
            entity = self.known(tx, call.params["id"])
            require_write(call, self.kind, entity)
            if rev := call.query.get("rev"):
                entities.check_revision(self.kind, entity, {**entity, "rev": rev})
            return answer(call, self.kind, change(tx, call, self.kind, entity))

        return answers

    def _change_all(self, change: Save, answer: Show, *, with_revisions: bool = True) -> Endpoint:
        """Change many; unknown, inaccessible and outdated ones are left out of the answer."""

        def answers(tx: Transaction, call: Call) -> list[Json]:
            revisions = _revisions(call) if with_revisions else dict.fromkeys(call.id_list())
            return [
                answer(call, self.kind, change(tx, call, self.kind, entity))
                for entity in tx.each(self.kind, revisions)
                if can_write(call, self.kind, entity)
                and revisions[entity["id"]] in (None, entity["rev"])
            ]

        return answers


# The changes of a deletion.


def _deleted(tx: Transaction, call: Call, kind: str, entity: Json) -> Json:
    return entities.put_next(tx, kind, {**entity, "deletionDate": call.now_ms})


def _undeleted(tx: Transaction, _call: Call, kind: str, entity: Json) -> Json:
    kept = {name: value for name, value in entity.items() if name != "deletionDate"}
    return entities.put_next(tx, kind, kept)


def _purged(tx: Transaction, _call: Call, kind: str, entity: Json) -> Json:
    tx.remove(kind, entity["id"])
    if kind == "document":
        detach(tx, entity["id"])
    return entity


def _revisions(call: Call) -> dict[str, str | None]:
    pairs = call.json_object().get("ids")
    if not is_list(pairs) or not all(map(_is_id_and_rev, pairs)):
        raise bad_request("ids must be a list of objects with id and rev")
    return {one["id"]: one.get("rev") for one in pairs}


def _is_id_and_rev(value: Any) -> bool:
    return (
        is_object(value)
        and isinstance(value.get("id"), str)
        and isinstance(value.get("rev"), str | None)
    )
