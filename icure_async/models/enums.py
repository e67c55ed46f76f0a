"""The enumerations of the models, as types: their values are plain strings.

A newer backend may know constants this SDK does not: reading accepts any text, and only what is
about to be created is held to these lists (data-model.md §2, §3.1; server-behaviour.md §4.4).
"""

from typing import Literal, TypeAlias

__all__ = [
    "AddressType",
    "DeactivationReason",
    "Gender",
    "NotificationStatus",
    "NotificationType",
    "PartnershipStatus",
    "PartnershipType",
    "PatientHealthCarePartyType",
    "PersonNameUse",
    "PersonalStatus",
    "PropertyTypeName",
    "SharedDataType",
    "TelecomType",
]

AddressType: TypeAlias = Literal[
    "home",
    "work",
    "vacation",
    "hospital",
    "clinic",
    "hq",
    "other",
    "temporary",
    "postal",
    "diplomatic",
    "reference",
    "careaddress",
]
"""Purpose of an address."""

DeactivationReason: TypeAlias = Literal[
    "deceased", "moved", "other_doctor", "retired", "no_contact", "unknown", "none"
]
"""Reason why a patient is not followed any more."""

Gender: TypeAlias = Literal[
    "male", "female", "indeterminate", "changed", "changedToMale", "changedToFemale", "unknown"
]
"""Gender of a person, now or at birth."""

NotificationStatus: TypeAlias = Literal["pending", "ongoing", "cancelled", "completed"]
"""Progress of a notification."""

NotificationType: TypeAlias = Literal["KEY_PAIR_UPDATE", "NEW_USER_OWN_DATA_ACCESS", "OTHER"]
"""Subject of a notification."""

PartnershipStatus: TypeAlias = Literal["active", "complicated", "past"]
"""State of a relation between two persons."""

PartnershipType: TypeAlias = Literal[
    "primary_contact",
    "primary_contact_for",
    "family",
    "friend",
    "counselor",
    "contact",
    "brother",
    "brotherinlaw",
    "child",
    "daughter",
    "employer",
    "father",
    "grandchild",
    "grandparent",
    "husband",
    "lawyer",
    "mother",
    "neighbour",
    "notary",
    "partner",
    "sister",
    "sisterinlaw",
    "son",
    "spouse",
    "stepdaughter",
    "stepfather",
    "stepmother",
    "stepson",
    "tutor",
    "next_of_kin",
    "federal_agency",
    "insurance_company",
    "state_agency",
    "unknown",
    "seealso",
    "refer",
]
"""Relation of a person to a patient."""

PatientHealthCarePartyType: TypeAlias = Literal[
    "doctor",
    "referral",
    "medicalhouse",
    "retirementhome",
    "hospital",
    "other",
    "referringphysician",
    "managingorganization",
]
"""Relation of a healthcare party to a patient."""

PersonalStatus: TypeAlias = Literal[
    "single",
    "in_couple",
    "married",
    "separated",
    "divorced",
    "divorcing",
    "widowed",
    "widower",
    "complicated",
    "unknown",
    "contract",
    "other",
    "annulled",
    "polygamous",
]
"""Civil status of a patient."""

PersonNameUse: TypeAlias = Literal[
    "usual", "official", "temp", "nickname", "anonymous", "maiden", "old", "other"
]
"""Use of a name."""

PropertyTypeName: TypeAlias = Literal[
    "BOOLEAN", "INTEGER", "DOUBLE", "STRING", "DATE", "CLOB", "JSON"
]
"""Kind of value a property holds."""

SharedDataType: TypeAlias = Literal[
    "all",
    "administrativeData",
    "generalInformation",
    "financialInformation",
    "medicalInformation",
    "sensitiveInformation",
    "confidentialInformation",
    "anonymousMedicalInformation",
]
"""Category of data a user shares automatically (data-model.md §4.1).

Those of ``"anonymousMedicalInformation"`` can read a new record, and can't find what belongs to it.
"""

TelecomType: TypeAlias = Literal[
    "mobile",
    "phone",
    "email",
    "fax",
    "skype",
    "im",
    "medibridge",
    "ehealthbox",
    "apicrypt",
    "web",
    "print",
    "disk",
    "other",
    "pager",
]
"""Means of communication."""
