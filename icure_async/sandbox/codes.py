"""Codes, which everybody may read (§10.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox import entities
from icure_async.sandbox.calls import Call, Endpoint, Route
from icure_async.sandbox.dto import SCHEMAS
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.pages import filter_page, match_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from icure_async.sandbox.store import Json, Transaction

    Save = Callable[[Transaction, Call, str, Any], Json]

__all__ = ["ROUTES", "read_code"]

_KIND: Final = "code"
_PARTS: Final = ("type", "code", "version")


def read_code(body: Json, *, creating: bool) -> Json:
    """Return a code that a client sends under the id that its parts make.

    Raises:
        ApiError: 400 if one of its parts is missing, or the id of a stored one is another one.
    """
    code = SCHEMAS[_KIND].read(body if body.get("id") is not None else {**body, "id": ""})
    if not all(code.get(part) for part in _PARTS):
        raise bad_request(f"Code {code['id']}: type, code and version are mandatory")
    code_id = "|".join(code[part] for part in _PARTS)
    if not creating and code["id"] != code_id:
        raise bad_request(f"Code {code['id']}: the id must be type|code|version: {code_id}")
    return {**code, "id": code_id}


def _create(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    SCHEMAS[kind].read(body)
    return entities.create(tx, call, kind, read_code(body, creating=True))


def _modify(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    SCHEMAS[kind].read(body)
    return entities.modify(tx, call, kind, read_code(body, creating=False))


def _save(save: Save) -> Endpoint:
    return lambda tx, call: save(tx, call, _KIND, call.json_object())


def _save_all(save: Save) -> Endpoint:
    return lambda tx, call: entities.save_each(tx, call, _KIND, save)


def _get(tx: Transaction, call: Call) -> Json:
    return entities.get(tx, call, _KIND, call.params["id"])


def _by_parts(tx: Transaction, call: Call) -> Json:
    return entities.get(tx, call, _KIND, "|".join(call.params[part] for part in _PARTS))


def _by_ids(tx: Transaction, call: Call) -> list[Json]:
    return entities.get_many(tx, call, _KIND, call.id_list())


def _by_path_ids(tx: Transaction, call: Call) -> list[Json]:
    return entities.get_many(tx, call, _KIND, call.path_ids())


def _filter(tx: Transaction, call: Call) -> Json:
    return filter_page(tx, call, _KIND, entities.show)


def _match(tx: Transaction, call: Call) -> list[str]:
    return match_ids(tx, call, _KIND)


ROUTES: Final[list[Route]] = [
    Route("POST", "/code/filter", _filter),
    Route("POST", "/code/match", _match),
    Route("POST", "/code/byIds", _by_ids),
    Route("GET", "/code/byIds/{ids}", _by_path_ids),
    Route("POST", "/code/batch", _save_all(_create)),
    Route("PUT", "/code/batch", _save_all(_modify)),
    Route("POST", "/code", _save(_create)),
    Route("PUT", "/code", _save(_modify)),
    Route("GET", "/code/{type}/{code}/{version}", _by_parts),
    Route("GET", "/code/{id}", _get),
]
"""Endpoints under ``/code``."""
