"""Asyncio SDK for iCure: authentication by code, and end-to-end encrypted patient records."""

from icure_async import errors, storage
from icure_async.apis.data_owners import DataOwnerApi
from icure_async.apis.patients import PatientApi
from icure_async.apis.users import UserApi
from icure_async.authentication.api import AuthenticationApi
from icure_async.authentication.process import AuthenticationProcess, AuthenticationState
from icure_async.authentication.result import AuthenticationResult
from icure_async.builders import AnonymousMedTechApiBuilder, MedTechApiBuilder
from icure_async.crypto.protocol import Crypto
from icure_async.errors import ICureError
from icure_async.medtech import AnonymousMedTechApi, MedTechApi
from icure_async.models import (
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
    SharedDataType,
    SystemMetaDataOwnerEncrypted,
    Telecom,
    TelecomType,
    TypedValueObject,
    User,
)
from icure_async.storage import KeyStorage, Storage

__all__ = [
    "Address",
    "AddressType",
    "AnonymousMedTechApi",
    "AnonymousMedTechApiBuilder",
    "AuthenticationApi",
    "AuthenticationProcess",
    "AuthenticationResult",
    "AuthenticationState",
    "AuthenticationToken",
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
    "KeyStorage",
    "MedTechApi",
    "MedTechApiBuilder",
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
