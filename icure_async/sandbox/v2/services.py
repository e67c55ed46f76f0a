"""Data samples of rest/v2 (§10.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.sandbox.service_routes import service_routes
from icure_async.sandbox.tables import EMBEDDED
from icure_async.sandbox.v2.forms import Form

if TYPE_CHECKING:
    from icure_async.sandbox.calls import Call, Route
    from icure_async.sandbox.store import Json

__all__ = ["ROUTES", "show_service"]

_FORM: Final = Form("Service", EMBEDDED["Service"], has_full_form=True)


def show_service(call: Call, service: Json) -> Json:
    """Return a data sample as it is answered to this caller."""
    return _FORM.show(call, service)


def _without_sizes(page: Json) -> Json:
    return {name: page[name] for name in ("rows", "nextKeyPair") if name in page}


ROUTES: Final[list[Route]] = service_routes(show_service, _without_sizes)
"""Endpoints under ``/contact/service``."""
