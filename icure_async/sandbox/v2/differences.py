"""The differences between entities of rest/v1, of rest/v2 and of today's model (§14.1, §14.2)."""

from __future__ import annotations

from typing import Final

__all__ = ["NOT_STANDARD", "ONLY_V1", "ONLY_V2"]

ONLY_V1: Final[dict[str, frozenset[str]]] = {
    "hcparty": frozenset({"userId"}),
    "user": frozenset({"applicationTokens"}),
}
"""Kind → properties that rest/v2 does not have."""

ONLY_V2: Final[dict[str, dict[str, str]]] = {
    "hcparty": {"publicProperties": "PropertyStub[]"},
    "patient": {"parentId": "string"},
}
"""Kind → properties that rest/v1 does not have, in the notation of `tables`."""

NOT_STANDARD: Final[dict[str, frozenset[str]]] = {
    "patient": frozenset(
        {
            "birthCountry",
            "comment",
            "employementInfos",
            "encryptedAdministrativesDocuments",
            "endOfLife",
            "externalId",
            "fatherBirthCountry",
            "mainSourceOfIncome",
            "medicalLocationId",
            "nativeCountry",
            "nonDuplicateIds",
            "picture",
            "preferredUserId",
            "schoolingInfos",
            "socialStatus",
            "warning",
        }
    ),
    "user": frozenset({"secret", "type", "use2fa"}),
    "hcparty": frozenset(
        {
            "billingType",
            "cbe",
            "contactPerson",
            "contactPersonHcpId",
            "convention",
            "ehp",
            "flatRateTarifications",
            "importedData",
            "nihii",
            "nihiiSpecCode",
            "options",
            "picture",
            "sendFormats",
            "statusHistory",
            "statuses",
            "supervisorId",
            "type",
        }
    ),
    "device": frozenset({"endOfLife", "externalId", "medicalLocationId", "picture"}),
    "maintenancetask": frozenset({"endOfLife", "medicalLocationId"}),
    "helement": frozenset({"medicalLocationId", "status"}),
    "contact": frozenset(
        {"externalId", "healthcarePartyId", "medicalLocationId", "modifiedContactId"}
    ),
    "document": frozenset(
        {
            "documentLocation",
            "endOfLife",
            "externalUuid",
            "medicalLocationId",
            "storedICureDocumentId",
        }
    ),
    "CodeStub": frozenset({"label"}),
    "Measure": frozenset({"max", "min"}),
    "PropertyStub": frozenset({"deletionDate"}),
    "Partnership": frozenset(
        {"meToOtherRelationshipDescription", "otherToMeRelationshipDescription"}
    ),
    "PatientHealthCareParty": frozenset({"referral"}),
    "Service": frozenset(
        {"dataClassName", "encryptedContent", "formId", "medicalLocationId", "status"}
    ),
    "SubContact": frozenset({"classificationId", "endOfLife", "medicalLocationId", "status"}),
}
"""Kind, or embedded type → properties that today's model lacks, and its clients refuse."""
