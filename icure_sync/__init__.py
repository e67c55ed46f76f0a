"""SDK for iCure without ``async``: what ``icure_async`` does, for callers that block.

The classes that do input and output have twins here, written by a generator; models, errors and the
authentication process are the same objects in both packages.
"""

from icure_async.authentication.process import AuthenticationProcess, AuthenticationState
from icure_async.crypto.protocol import Crypto
from icure_async.errors import ICureError
from icure_async.models import (
    AccessGivenBack,
    Address,
    AddressType,
    AuthenticationToken,
    CodingReference,
    DeactivationReason,
    Delegation,
    EncryptedPatient,
    Gender,
    Identifier,
    KeyPair,
    KeyPairUpdateNotice,
    KeyShare,
    KeySplit,
    MissingKey,
    MissingKeyPolicy,
    Partnership,
    PartnershipStatus,
    PartnershipType,
    Patient,
    PatientHealthCareParty,
    PatientHealthCarePartyType,
    PersonalStatus,
    PersonName,
    PersonNameUse,
    PotentiallyEncryptedPatient,
    Property,
    PropertyType,
    PropertyTypeName,
    PublicKey,
    SharedDataType,
    SystemMetaDataOwnerEncrypted,
    Telecom,
    TelecomType,
    TypedValueObject,
    User,
)
from icure_async.storage import KeyStorage, Storage
from icure_sync import errors, storage
from icure_sync._generated.authentication import AuthenticationApi
from icure_sync._generated.authentication_result import AuthenticationResult
from icure_sync._generated.builders import AnonymousMedTechApiBuilder, MedTechApiBuilder
from icure_sync._generated.crypto import BlockingCrypto
from icure_sync._generated.data_owners import DataOwnerApi
from icure_sync._generated.medtech import AnonymousMedTechApi, MedTechApi
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
    "BlockingCrypto",
    "BlockingKeyStorage",
    "BlockingStorage",
    "CodingReference",
    "Crypto",
    "DataOwnerApi",
    "DeactivationReason",
    "Delegation",
    "EncryptedPatient",
    "Gender",
    "ICureError",
    "Identifier",
    "KeyPair",
    "KeyPairUpdateNotice",
    "KeyShare",
    "KeySplit",
    "KeyStorage",
    "MedTechApi",
    "MedTechApiBuilder",
    "MissingKey",
    "MissingKeyPolicy",
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
    "PotentiallyEncryptedPatient",
    "Property",
    "PropertyType",
    "PropertyTypeName",
    "PublicKey",
    "SharedDataType",
    "Storage",
    "SystemMetaDataOwnerEncrypted",
    "Telecom",
    "TelecomType",
    "TypedValueObject",
    "User",
    "UserApi",
    "errors",
    "storage",
]
