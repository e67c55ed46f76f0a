"""The properties of medical records in ``rest/v2``, in the notation of `tables` (§14.2)."""

from __future__ import annotations

from typing import Final

from icure_async.sandbox.tables import ENCRYPTABLE

__all__ = ["RECORD_TABLES"]

_STORED: Final[dict[str, str]] = {
    "id": "string!",
    "rev": "string",
    "created": "integer",
    "modified": "integer",
    "author": "string",
    "responsible": "string",
    "medicalLocationId": "string",
    "tags": "CodeStub[] = []",
    "codes": "CodeStub[] = []",
    "endOfLife": "integer",
    "deletionDate": "integer",
}
_HEALTH_ELEMENT: Final[dict[str, str]] = {
    **_STORED,
    "identifiers": "Identifier[] = []",
    "healthElementId": "string",
    "valueDate": "integer",
    "openingDate": "integer",
    "closingDate": "integer",
    "descr": "string",
    "note": "string",
    "notes": "Annotation[] = []",
    "relevant": "boolean = true",
    "idOpeningContact": "string",
    "idClosingContact": "string",
    "idService": "string",
    "status": "hidden integer = 0",
    "laterality": "Laterality",
    "plansOfAction": "PlanOfAction[] = []",
    "episodes": "Episode[] = []",
    "careTeam": "CareTeamMember[] = []",
    "qualifiedLinks": "HealthElementQualifiedLink[] = []",
    "asserters": "HealthElementAsserter[] = []",
    **ENCRYPTABLE,
}
_CONTACT: Final[dict[str, str]] = {
    **_STORED,
    "identifier": "Identifier[] = []",
    "groupId": "string",
    "openingDate": "integer",
    "closingDate": "integer",
    "descr": "string",
    "location": "string",
    "externalId": "string",
    "encounterType": "CodeStub",
    "encounterLocation": "Address",
    "subContacts": "SubContact[] = []",
    "services": "Service[] = []",
    "participantList": "ContactParticipant[] = []",
    "healthcarePartyId": "string",
    "modifiedContactId": "string",
    "notes": "Annotation[] = []",
    **ENCRYPTABLE,
}
_DOCUMENT: Final[dict[str, str]] = {
    **_STORED,
    "documentLocation": "string",
    "documentType": "string",
    "documentStatus": "string",
    "externalUri": "string",
    "name": "string",
    "version": "string",
    "storedICureDocumentId": "string",
    "externalUuid": "string",
    "size": "integer",
    "hash": "string",
    "openingContactId": "string",
    "attachmentId": "string",
    "objectStoreReference": "string",
    "mainUti": "string",
    "otherUtis": "string[] = []",
    "mainAttachmentStoredDataSize": "integer",
    "extraMainAttachmentInfo": "DocumentExtraMainAttachmentInfo",
    "secondaryAttachments": "{string: DataAttachment} = {}",
    "deletedAttachments": "DeletedAttachment[] = []",
    **ENCRYPTABLE,
}

RECORD_TABLES: Final[dict[str, dict[str, str]]] = {
    "helement": _HEALTH_ELEMENT,
    "contact": _CONTACT,
    "document": _DOCUMENT,
}
"""Kind → property → type."""
