"""The records users see, as plain mutable values.

They know nothing of HTTP, keys or encryption. :mod:`icure_async.models.wire` turns them into
the JSON of the documentation and of the wire, and back.
"""

from icure_async.models.access_request import AccessAnswer, AccessRequest
from icure_async.models.addresses import Address, Telecom
from icure_async.models.batch import BatchItem, BatchProgress, BatchResult
from icure_async.models.captcha import CaptchaProgress
from icure_async.models.codes import CodingReference, Identifier
from icure_async.models.dates import to_date, to_datetime, to_fuzzy_date, to_fuzzy_datetime
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
from icure_async.models.events import (
    ConnectionChange,
    ConnectionState,
    Event,
    EventType,
    Reconnected,
    Reconnection,
    SubscriptionItem,
    UnreadableEvent,
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
from icure_async.models.flavour import Flavour
from icure_async.models.healthcare_professional import HealthcareProfessional
from icure_async.models.key_change import AccessGivenBack, KeyPairUpdate, KeyPairUpdateNotice
from icure_async.models.key_pair import KeyPair
from icure_async.models.key_question import KeyHistory, KeyKind, KeyQuestion
from icure_async.models.key_report import KeyReport, KeyStatus, PublishedKey
from icure_async.models.key_share import KeyShare, KeySplit
from icure_async.models.medical_device import MedicalDevice
from icure_async.models.messages import (
    EmailMessage,
    ICureRegistrationEmail,
    ICureRegistrationSMS,
    Inviter,
    Message,
    MessageFactory,
    SMSMessage,
)
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
from icure_async.models.recovery_key import RecoveryKey
from icure_async.models.relations import Partnership, PatientHealthCareParty
from icure_async.models.shares import (
    AccessToAllData,
    DataAccess,
    DataOwner,
    DataOwnerType,
    ShareItem,
    ShareResult,
    ShareStatus,
)
from icure_async.models.system_meta_data import (
    Delegation,
    SystemMetaDataEncrypted,
    SystemMetaDataOwner,
    SystemMetaDataOwnerEncrypted,
)
from icure_async.models.tables import Table, to_table
from icure_async.models.user import AuthenticationToken, User
from icure_async.models.user_token import LogoutResult, RenewedToken, UserToken
from icure_async.models.views import Revealed, reveal

__all__ = [
    "AccessAnswer",
    "AccessGivenBack",
    "AccessRequest",
    "AccessToAllData",
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
    "CaptchaProgress",
    "CodingReference",
    "Combinable",
    "ComplementFilter",
    "ConnectionChange",
    "ConnectionState",
    "DataAccess",
    "DataOwner",
    "DataOwnerType",
    "DeactivationReason",
    "Delegation",
    "EmailMessage",
    "EncryptedNotification",
    "EncryptedPatient",
    "Event",
    "EventType",
    "Filter",
    "Flavour",
    "Gender",
    "HealthcareProfessional",
    "HealthcareProfessionalFilter",
    "HealthcareProfessionalsByIdsFilter",
    "HealthcareProfessionalsByLabelCodeFilter",
    "HealthcareProfessionalsByNameFilter",
    "ICureRegistrationEmail",
    "ICureRegistrationSMS",
    "Identifier",
    "IntersectionFilter",
    "Inviter",
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
    "MedicalDevice",
    "MedicalDeviceFilter",
    "MedicalDevicesByIdsFilter",
    "Message",
    "MessageFactory",
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
    "Reconnected",
    "Reconnection",
    "RecoveryKey",
    "RenewedToken",
    "Revealed",
    "SMSMessage",
    "ShareItem",
    "ShareResult",
    "ShareStatus",
    "SharedDataType",
    "SubscriptionItem",
    "SystemMetaDataEncrypted",
    "SystemMetaDataOwner",
    "SystemMetaDataOwnerEncrypted",
    "Table",
    "Telecom",
    "TelecomType",
    "TypedValueObject",
    "UnionFilter",
    "UnreadableEvent",
    "User",
    "UserFilter",
    "UserToken",
    "UsersByIdsFilter",
    "UsersByPatientIdFilter",
    "reveal",
    "to_date",
    "to_datetime",
    "to_fuzzy_date",
    "to_fuzzy_datetime",
    "to_table",
]
