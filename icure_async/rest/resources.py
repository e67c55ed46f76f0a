"""The resources of a session's backend, each in the dialect of the session.

Source of today's: server-behaviour.md §14.2. Which routes are in no recording of another SDK is in
docs/spec/not-verified.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.rest.attachments import DocumentResource, DocumentResourceV2
from icure_async.rest.codes import CodeResource, CodeResourceV2
from icure_async.rest.dialects import CARDINAL
from icure_async.rest.entities import EntityResource
from icure_async.rest.entities_v2 import EntityResourceV2, NoAccess
from icure_async.rest.patient_data import PatientDataResource
from icure_async.rest.patient_data_v2 import PatientDataResourceV2
from icure_async.rest.people import DeviceResource, ProfessionalResource
from icure_async.rest.shared_metadata import SharedMetadataResource
from icure_async.rest.users import UserResource
from icure_async.rest.users_v2 import UserResourceV2

if TYPE_CHECKING:
    from icure_async.rest.entities_v2 import AccessHeaders
    from icure_async.rest.session import Session

__all__ = [
    "code_resource",
    "device_resource",
    "document_resource",
    "entity_resource",
    "patient_data_resource",
    "professional_resource",
    "user_resource",
]


def user_resource(session: Session) -> UserResource:
    """Return the users."""
    return UserResourceV2(session) if session.dialect is CARDINAL else UserResource(session)


def professional_resource(session: Session, noun: str) -> EntityResource:
    """Return the healthcare professionals."""
    if session.dialect is not CARDINAL:
        return ProfessionalResource(session, noun)
    return EntityResourceV2(
        session, "hcparty", noun, secure_type="HealthcareParty", access=NoAccess()
    )


def device_resource(session: Session, noun: str) -> EntityResource:
    """Return the devices."""
    if session.dialect is not CARDINAL:
        return DeviceResource(session, noun)
    return EntityResourceV2(session, "device", noun, secure_type="Device", access=NoAccess())


def code_resource(session: Session, noun: str) -> EntityResource:
    """Return the codings."""
    return (CodeResourceV2 if session.dialect is CARDINAL else CodeResource)(session, noun)


def entity_resource(
    session: Session, route: str, noun: str, *, secure_type: str, access: AccessHeaders
) -> EntityResource:
    """Return the encrypted entities of one kind; the arguments are those of the classes."""
    if session.dialect is not CARDINAL:
        return EntityResource(session, route, noun)
    return SharedMetadataResource(session, route, noun, secure_type=secure_type, access=access)


def document_resource(
    session: Session, noun: str, *, secure_type: str, access: AccessHeaders
) -> DocumentResource:
    """Return the documents and their attachments; the arguments are those of the classes."""
    if session.dialect is not CARDINAL:
        return DocumentResource(session, "document", noun)
    return DocumentResourceV2(session, "document", noun, secure_type=secure_type, access=access)


def patient_data_resource(session: Session, access: AccessHeaders) -> PatientDataResource:
    """Return the lists of the medical data of patients."""
    if session.dialect is not CARDINAL:
        return PatientDataResource(session)
    return PatientDataResourceV2(session, access)
