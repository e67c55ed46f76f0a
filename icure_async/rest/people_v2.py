"""The resources of healthcare professionals and devices of today's backend.

Source: server-behaviour.md §14.2. Which routes are in no recording of another SDK is in
docs/spec/not-verified.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.rest.dialects import CARDINAL
from icure_async.rest.entities_v2 import EntityResourceV2, NoAccess
from icure_async.rest.people import DeviceResource, ProfessionalResource

if TYPE_CHECKING:
    from icure_async.rest.entities import EntityResource
    from icure_async.rest.session import Session

__all__ = ["device_resource", "professional_resource"]


def professional_resource(session: Session, noun: str) -> EntityResource:
    """Return the healthcare professionals of a session's backend, in its dialect."""
    if session.dialect is not CARDINAL:
        return ProfessionalResource(session, noun)
    return EntityResourceV2(
        session, "hcparty", noun, secure_type="HealthcareParty", access=NoAccess()
    )


def device_resource(session: Session, noun: str) -> EntityResource:
    """Return the devices of a session's backend, in its dialect."""
    if session.dialect is not CARDINAL:
        return DeviceResource(session, noun)
    return EntityResourceV2(session, "device", noun, secure_type="Device", access=NoAccess())
