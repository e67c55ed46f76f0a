"""SDK for iCure without ``async``: what ``icure_async`` does, for callers that block.

The classes that do input and output have twins here, written by a generator; models, errors and the
authentication process are the same objects in both packages.

After ``os.fork()``, clients are made anew. The fork itself waits for the SDK's threads, since the
child would wait for ever for a lock that one of them holds: usually milliseconds, half a second
while a passphrase is used, and 15 seconds at most where they are stuck. Forking stays unsafe while
the application's own threads import modules or use TLS or ``cryptography``, and while one of its
callbacks or the system keyring is in the middle of that: fork before such threads start, or have
``multiprocessing`` use "spawn" or "forkserver".
"""

from icure_async._version import __version__ as __version__
from icure_async.authentication.process import AuthenticationProcess, AuthenticationState
from icure_async.cautions import BlockingCallWarning, InsecureConnectionWarning, KeysInMemoryWarning
from icure_async.crypto.protocol import Crypto
from icure_async.errors import ICureError
from icure_async.models import (
    AccessGivenBack,
    Address,
    AddressType,
    AuthenticationToken,
    CodingReference,
    ComplementFilter,
    DeactivationReason,
    Delegation,
    EncryptedNotification,
    EncryptedPatient,
    Filter,
    Gender,
    Identifier,
    IntersectionFilter,
    KeyHistory,
    KeyKind,
    KeyPair,
    KeyPairUpdate,
    KeyPairUpdateNotice,
    KeyQuestion,
    KeyReport,
    KeyShare,
    KeySplit,
    KeyStatus,
    LogoutResult,
    MissingKey,
    MissingKeyPolicy,
    Notification,
    NotificationFilter,
    NotificationsAfterDateFilter,
    NotificationsByIdentifiersFilter,
    NotificationsByIdsFilter,
    NotificationsByTypeFilter,
    NotificationStatus,
    NotificationType,
    Partnership,
    PartnershipStatus,
    PartnershipType,
    Patient,
    PatientHealthCareParty,
    PatientHealthCarePartyType,
    PersonalStatus,
    PersonName,
    PersonNameUse,
    PotentiallyEncryptedNotification,
    PotentiallyEncryptedPatient,
    Property,
    PropertyType,
    PropertyTypeName,
    PublicKey,
    PublishedKey,
    SharedDataType,
    SystemMetaDataEncrypted,
    SystemMetaDataOwnerEncrypted,
    Telecom,
    TelecomType,
    TypedValueObject,
    UnionFilter,
    User,
    UserToken,
)
from icure_async.storage import KeyStorage, Storage
from icure_sync import errors, storage
from icure_sync._generated.authentication import AuthenticationApi
from icure_sync._generated.authentication_result import AuthenticationResult
from icure_sync._generated.builders import AnonymousMedTechApiBuilder, MedTechApiBuilder
from icure_sync._generated.crypto import BlockingCrypto
from icure_sync._generated.data_owners import DataOwnerApi
from icure_sync._generated.medtech import AnonymousMedTechApi, MedTechApi
from icure_sync._generated.notifications import NotificationApi
from icure_sync._generated.patients import PatientApi
from icure_sync._generated.storage import BlockingKeyStorage, BlockingStorage
from icure_sync._generated.users import UserApi

__all__ = [
    "AccessGivenBack",
    "Address",
    "AddressType",
    "AnonymousMedTechApi",
    "AnonymousMedTechApiBuilder",
    "AuthenticationApi",
    "AuthenticationProcess",
    "AuthenticationResult",
    "AuthenticationState",
    "AuthenticationToken",
    "BlockingCallWarning",
    "BlockingCrypto",
    "BlockingKeyStorage",
    "BlockingStorage",
    "CodingReference",
    "ComplementFilter",
    "Crypto",
    "DataOwnerApi",
    "DeactivationReason",
    "Delegation",
    "EncryptedNotification",
    "EncryptedPatient",
    "Filter",
    "Gender",
    "ICureError",
    "Identifier",
    "InsecureConnectionWarning",
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
    "KeyStorage",
    "KeysInMemoryWarning",
    "LogoutResult",
    "MedTechApi",
    "MedTechApiBuilder",
    "MissingKey",
    "MissingKeyPolicy",
    "Notification",
    "NotificationApi",
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
    "PatientApi",
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
    "SharedDataType",
    "Storage",
    "SystemMetaDataEncrypted",
    "SystemMetaDataOwnerEncrypted",
    "Telecom",
    "TelecomType",
    "TypedValueObject",
    "UnionFilter",
    "User",
    "UserApi",
    "UserToken",
    "errors",
    "storage",
]
