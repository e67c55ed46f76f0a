"""Users of rest/v2 (§14.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.sandbox.calls import Call, Route
from icure_async.sandbox.users import ROUTES as AS_BEFORE
from icure_async.sandbox.users import show_user
from icure_async.sandbox.v2.auth import matching_users

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json, Transaction

__all__ = ["ROUTES"]


def _current(_tx: Transaction, call: Call) -> Json:
    return show_user(call.caller.user)


ROUTES: list[Route] = [
    Route("GET", "/user/current", _current),
    Route("GET", "/user/matches", matching_users),
    *AS_BEFORE,
]
"""Endpoints under ``/user``."""
