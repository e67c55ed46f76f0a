"""All endpoints of rest/v2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.sandbox.v2 import (
    auth,
    codes,
    data_owners,
    delegation_key_maps,
    exchange_data,
    exchange_data_maps,
    records,
    recovery_data,
    services,
    users,
)

if TYPE_CHECKING:
    from icure_async.sandbox.calls import Route

__all__ = ["ROUTES"]

ROUTES: Final[list[Route]] = [
    *auth.ROUTES,
    *users.ROUTES,
    *data_owners.ROUTES,
    *exchange_data.ROUTES,
    *exchange_data_maps.ROUTES,
    *recovery_data.ROUTES,
    *delegation_key_maps.ROUTES,
    *services.ROUTES,
    *records.ROUTES,
    *codes.ROUTES,
]
"""Endpoints below the root of rest/v2; of two that match, the first one answers."""
