"""The endpoints of data samples, in both dialects: they answer the latest versions (§10.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.sandbox.access import can_read, require_read
from icure_async.sandbox.calls import Call, Endpoint, Route
from icure_async.sandbox.dto import Schema
from icure_async.sandbox.errors import bad_request, not_found
from icure_async.sandbox.filters import find
from icure_async.sandbox.pages import filter_page, match_ids
from icure_async.sandbox.services import SERVICE, each_service
from icure_async.sandbox.shapes import object_in
from icure_async.sandbox.tables import EMBEDDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from icure_async.sandbox.store import Json, Transaction

    Show = Callable[[Call, Json], Json]
    Paged = Callable[[Json], Json]

__all__ = ["ROUTES", "service_routes", "show_service"]

_SCHEMA: Final = Schema("Service", EMBEDDED["Service"])
_ROOT: Final = "/contact/service"


def show_service(_call: Call, service: Json) -> Json:
    """Return a data sample as rest/v1 answers it."""
    return _SCHEMA.show(service)


def service_routes(show: Show, paged: Paged) -> list[Route]:
    """Return the endpoints of data samples.

    Args:
        show: makes the form of a sample that a caller reads.
        paged: makes the form of a page that a caller reads.
    """

    def readable(tx: Transaction, call: Call, ids: Iterable[str]) -> list[Json]:
        found = each_service(tx, ids)
        return [show(call, one) for one in found if can_read(call, SERVICE, one)]

    def by_ids(tx: Transaction, call: Call) -> list[Json]:
        return readable(tx, call, call.id_list())

    def by_filter(tx: Transaction, call: Call) -> Json:
        return paged(filter_page(tx, call, SERVICE, lambda _kind, one: show(call, one)))

    def match(tx: Transaction, call: Call) -> list[str]:
        return match_ids(tx, call, SERVICE)

    def get(tx: Transaction, call: Call) -> Json:
        found = each_service(tx, [call.params["id"]])
        if not found:
            raise not_found(f"Service with id {call.params['id']} not found")
        require_read(call, SERVICE, found[0])
        return show(call, found[0])

    def found_by(name: str, parameter: str, *, in_path: bool) -> Endpoint:
        def answer(tx: Transaction, call: Call) -> list[Json]:
            value = (call.params if in_path else call.query).get(parameter)
            if not value:
                raise bad_request(f"{parameter} is missing")
            body = {"$type": name, "healthElementIds": [value], "associationId": value}
            if owner := call.query.get("hcPartyId"):
                body["healthcarePartyId"] = owner
            return readable(tx, call, find(tx, call, SERVICE, body).all(tx))

        return answer

    of_condition = found_by("ServiceByHcPartyHealthElementIdsFilter", "id", in_path=True)
    associated = found_by("ServiceByAssociationIdFilter", "associationId", in_path=False)

    def linked_to(tx: Transaction, call: Call) -> list[Json]:
        kind = call.query.get("linkType")
        found: dict[str, Json] = {}
        for target in call.id_list():
            body = {"$type": "ServiceByAssociationIdFilter", "associationId": target}
            for one in each_service(tx, find(tx, call, SERVICE, body).all(tx)):
                links = object_in(one, "qualifiedLinks")
                if any(
                    target in by_target for name, by_target in links.items() if kind in (None, name)
                ):
                    found[one["id"]] = one
        return [show(call, one) for one in found.values() if can_read(call, SERVICE, one)]

    return [
        Route("POST", f"{_ROOT}/filter", by_filter),
        Route("POST", f"{_ROOT}/match", match),
        Route("POST", f"{_ROOT}/byIds", by_ids),
        Route("POST", f"{_ROOT}/linkedTo", linked_to),
        Route("GET", f"{_ROOT}/associationId", associated),
        Route("GET", f"{_ROOT}/healthElementId/{{id}}", of_condition),
        Route("GET", f"{_ROOT}/{{id}}", get),
        Route("POST", _ROOT, by_ids),
    ]


def _empty_content(_tx: Transaction, _call: Call) -> Json:
    return {}


def _whole(page: Json) -> Json:
    return page


ROUTES: Final[list[Route]] = [
    Route("GET", f"{_ROOT}/content/empty", _empty_content),
    *service_routes(show_service, _whole),
]
"""Endpoints under ``/contact/service`` of rest/v1."""
