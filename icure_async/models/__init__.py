"""The records users see, as plain mutable values.

They know nothing of HTTP, keys or encryption. :mod:`icure_async.models.wire` turns them into
the JSON of the documentation and of the wire, and back.
"""

from icure_async.models.addresses import Address, Telecom
from icure_async.models.batch import BatchItem, BatchProgress, BatchResult
from icure_async.models.codes import CodingReference, Identifier
from icure_async.models.enums import (
    AddressType,
    DeactivationReason,
    Gender,
    NotificationStatus,
    NotificationType,
    PartnershipStatus,
    PartnershipType,
    PatientHealthCarePartyType,
    PersonalStatus,
    PersonNameUse,
    PropertyTypeName,
    SharedDataType,
    TelecomType,
)
from icure_async.models.filters import (
    AllHealthcareProfessionalsFilter,
    AllMedicalDevicesFilter,
    AllPatientsFilter,
    AllUsersFilter,
    Combinable,
    ComplementFilter,
    Filter,
    HealthcareProfessionalFilter,
    HealthcareProfessionalsByIdsFilter,
    HealthcareProfessionalsByLabelCodeFilter,
    HealthcareProfessionalsByNameFilter,
    IntersectionFilter,
    MedicalDeviceFilter,
    MedicalDevicesByIdsFilter,
    NotificationFilter,
    NotificationsAfterDateFilter,
    NotificationsByIdentifiersFilter,
    NotificationsByIdsFilter,
    NotificationsByTypeFilter,
    PatientFilter,
    PatientsByDateOfBirthFilter,
    PatientsByGenderEducationProfessionFilter,
    PatientsByIdentifiersFilter,
    PatientsByIdsFilter,
    PatientsByNameFilter,
    PatientsBySsinsFilter,
    UnionFilter,
    UserFilter,
    UsersByIdsFilter,
    UsersByPatientIdFilter,
)
from icure_async.models.key_change import AccessGivenBack, KeyPairUpdate, KeyPairUpdateNotice
from icure_async.models.key_pair import KeyPair
from icure_async.models.key_question import KeyHistory, KeyKind, KeyQuestion
from icure_async.models.key_report import KeyReport, KeyStatus, PublishedKey
from icure_async.models.key_share import KeyShare, KeySplit
from icure_async.models.missing_key import MissingKey, MissingKeyPolicy
from icure_async.models.names import PersonName
from icure_async.models.notification import (
    EncryptedNotification,
    Notification,
    PotentiallyEncryptedNotification,
)
from icure_async.models.patient import EncryptedPatient, Patient, PotentiallyEncryptedPatient
from icure_async.models.properties import Property, PropertyType, TypedValueObject
from icure_async.models.public_key import PublicKey
from icure_async.models.relations import Partnership, PatientHealthCareParty
from icure_async.models.system_meta_data import (
    Delegation,
    SystemMetaDataEncrypted,
    SystemMetaDataOwnerEncrypted,
)
from icure_async.models.user import AuthenticationToken, User
from icure_async.models.user_token import LogoutResult, UserToken

__all__ = [
    "AccessGivenBack",
    "Address",
    "AddressType",
    "AllHealthcareProfessionalsFilter",
    "AllMedicalDevicesFilter",
    "AllPatientsFilter",
    "AllUsersFilter",
    "AuthenticationToken",
    "BatchItem",
    "BatchProgress",
    "BatchResult",
    "CodingReference",
    "Combinable",
    "ComplementFilter",
    "DeactivationReason",
    "Delegation",
    "EncryptedNotification",
    "EncryptedPatient",
    "Filter",
    "Gender",
    "HealthcareProfessionalFilter",
    "HealthcareProfessionalsByIdsFilter",
    "HealthcareProfessionalsByLabelCodeFilter",
    "HealthcareProfessionalsByNameFilter",
    "Identifier",
    "IntersectionFilter",
    "KeyHistory",
    "KeyKind",
    "KeyPair",
    "KeyPairUpdate",
    "KeyPairUpdateNotice",
    "KeyQuestion",
    "KeyReport",
    "KeyShare",
    "KeySplit",
    "KeyStatus",
    "LogoutResult",
    "MedicalDeviceFilter",
    "MedicalDevicesByIdsFilter",
    "MissingKey",
    "MissingKeyPolicy",
    "Notification",
    "NotificationFilter",
    "NotificationStatus",
    "NotificationType",
    "NotificationsAfterDateFilter",
    "NotificationsByIdentifiersFilter",
    "NotificationsByIdsFilter",
    "NotificationsByTypeFilter",
    "Partnership",
    "PartnershipStatus",
    "PartnershipType",
    "Patient",
    "PatientFilter",
    "PatientHealthCareParty",
    "PatientHealthCarePartyType",
    "PatientsByDateOfBirthFilter",
    "PatientsByGenderEducationProfessionFilter",
    "PatientsByIdentifiersFilter",
    "PatientsByIdsFilter",
    "PatientsByNameFilter",
    "PatientsBySsinsFilter",
    "PersonName",
    "PersonNameUse",
    "PersonalStatus",
    "PotentiallyEncryptedNotification",
    "PotentiallyEncryptedPatient",
    "Property",
    "PropertyType",
    "PropertyTypeName",
    "PublicKey",
    "PublishedKey",
    "SharedDataType",
    "SystemMetaDataEncrypted",
    "SystemMetaDataOwnerEncrypted",
    "Telecom",
    "TelecomType",
    "TypedValueObject",
    "UnionFilter",
    "User",
    "UserFilter",
    "UserToken",
    "UsersByIdsFilter",
    "UsersByPatientIdFilter",
]
