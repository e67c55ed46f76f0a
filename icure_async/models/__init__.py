"""The records users see, as plain mutable values.

They know nothing of HTTP, keys or encryption. :mod:`icure_async.models.wire` turns them into
the JSON of the documentation and of the wire, and back.
"""

from icure_async.models.access_request import AccessAnswer, AccessRequest
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
    ComplementFilter,
    Filter,
    IntersectionFilter,
    NotificationFilter,
    NotificationsAfterDateFilter,
    NotificationsByIdentifiersFilter,
    NotificationsByIdsFilter,
    NotificationsByTypeFilter,
    UnionFilter,
)
from icure_async.models.key_change import AccessGivenBack, KeyPairUpdate, KeyPairUpdateNotice
from icure_async.models.key_pair import KeyPair
from icure_async.models.key_question import KeyHistory, KeyKind, KeyQuestion
from icure_async.models.key_report import KeyReport, KeyStatus, PublishedKey
from icure_async.models.key_share import KeyShare, KeySplit
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
    SystemMetaDataOwnerEncrypted,
)
from icure_async.models.user import AuthenticationToken, User
from icure_async.models.user_token import LogoutResult, UserToken

__all__ = [
    "AccessAnswer",
    "AccessGivenBack",
    "AccessRequest",
    "AccessToAllData",
    "Address",
    "AddressType",
    "AuthenticationToken",
    "BatchItem",
    "BatchProgress",
    "BatchResult",
    "CodingReference",
    "ComplementFilter",
    "DataAccess",
    "DataOwner",
    "DataOwnerType",
    "DeactivationReason",
    "Delegation",
    "EmailMessage",
    "EncryptedNotification",
    "EncryptedPatient",
    "Filter",
    "Gender",
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
    "PatientHealthCareParty",
    "PatientHealthCarePartyType",
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
    "SMSMessage",
    "ShareItem",
    "ShareResult",
    "ShareStatus",
    "SharedDataType",
    "SystemMetaDataEncrypted",
    "SystemMetaDataOwnerEncrypted",
    "Telecom",
    "TelecomType",
    "TypedValueObject",
    "UnionFilter",
    "User",
    "UserToken",
]
