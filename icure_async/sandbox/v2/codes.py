"""Codes of rest/v2 (§10.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from icure_async.sandbox import entities
from icure_async.sandbox.codes import read_code
from icure_async.sandbox.v2.documents import Documents
from icure_async.sandbox.v2.forms import FORMS

if TYPE_CHECKING:
    from icure_async.sandbox.calls import Call, Route
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES"]


def _create(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    code = FORMS[kind].read(read_code(body, creating=True))
    entities.require_creatable(call, kind, code)
    return entities.save_new(tx, call, kind, code)


def _modify(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    code = FORMS[kind].read(read_code(body, creating=False))
    current = entities.existing(tx, kind, code)
    entities.require_changeable(call, kind, current, code)
    return entities.save_changed(tx, call, kind, {**FORMS[kind].unknown_to(call, current), **code})


ROUTES: Final[list[Route]] = Documents("code", _create, _modify).routes()
"""Endpoints under ``/code``."""
