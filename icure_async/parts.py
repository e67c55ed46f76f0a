"""The parts of a logged-in user's API, put together. The builders' warm-up imports them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from icure_async.crypto.key_ring import KeyRing
from icure_async.entities.attachments import Attachments
from icure_async.entities.batches import Batches
from icure_async.entities.child_records import ChildRecords
from icure_async.entities.child_shares import ChildShares
from icure_async.entities.data_sample_changes import DataSampleChanges
from icure_async.entities.data_sample_deletion import DataSampleDeletion
from icure_async.entities.data_samples import DATA_SAMPLE, SERVICE_ROUTE, DataSamples
from icure_async.entities.event_feed import Feeds
from icure_async.entities.event_source import EventBackend, EventSource
from icure_async.entities.events import USER_EVENTS, events_of
from icure_async.entities.flavours import Flavours
from icure_async.entities.kinds import (
    CONTACT,
    DOCUMENT,
    HEALTHCARE_ELEMENT,
    NOTIFICATION,
    PATIENT,
    of_today,
)
from icure_async.entities.patient_children import PatientChildren
from icure_async.entities.patient_data import AllDataOfPatients
from icure_async.entities.plain_kinds import (
    CODING,
    HEALTHCARE_PROFESSIONAL,
    MEDICAL_DEVICE,
    USER,
)
from icure_async.entities.plain_records import PlainRecords
from icure_async.entities.repository import Repository
from icure_async.entities.shares import Shares
from icure_async.keys.access_answers import AccessAnswers
from icure_async.keys.access_back import AccessBack
from icure_async.keys.access_requests import AccessRequests
from icure_async.keys.automatic_sharing import AutomaticSharing
from icure_async.keys.backup import OwnKeyBackup
from icure_async.keys.cardinal_start import CardinalKeyRegistration
from icure_async.keys.counterparts import Counterparts
from icure_async.keys.current_user import CurrentUser
from icure_async.keys.data_export import DataExport
from icure_async.keys.exchange_data import ExchangeDataDirectory
from icure_async.keys.exchange_data_gifts import ExchangeDataGifts
from icure_async.keys.exchange_data_maps import ExchangeDataMaps
from icure_async.keys.known_keys import KnownKeys
from icure_async.keys.legacy_metadata import LegacyMetadata
from icure_async.keys.notaries import KeyNotaries
from icure_async.keys.notices import KeyNotices
from icure_async.keys.own_account import OwnAccount
from icure_async.keys.own_document import OwnDocument
from icure_async.keys.own_record import OwnRecord
from icure_async.keys.parents import ParentKeys
from icure_async.keys.public_owners import PublicDataOwners
from icure_async.keys.recovery import KeyRecovery
from icure_async.keys.recovery_keys import RecoveryKeys
from icure_async.keys.report import KeyExaminer
from icure_async.keys.secure_metadata import SecureMetadata
from icure_async.keys.secure_shares import SecureShares
from icure_async.keys.share_plans import SharePlanner
from icure_async.keys.start import InitialisedKeys, KeyRegistration, RegistrationParts
from icure_async.keys.todays_transfers import TodaysTransfers
from icure_async.keys.trust import KeyTrust
from icure_async.keys.user_tokens import Logout, UserTokens
from icure_async.keys.users import Users
from icure_async.keys.whole_owners import WholeDataOwners
from icure_async.models.base import EntityModel
from icure_async.models.filters import HealthcareElementsByPatientsFilter
from icure_async.rest.exchange_data import ExchangeDataMapResource, ExchangeDataResource
from icure_async.rest.recovery_data import RecoveryDataResource
from icure_async.rest.resources import (
    code_resource,
    device_resource,
    document_resource,
    entity_resource,
    patient_data_resource,
    professional_resource,
    user_resource,
)
from icure_async.rest.shared_metadata import SharedMetadataResource
from icure_async.secret_holders import SecretHolder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.metadata import EncryptionMetadata
    from icure_async.entities.plain_kinds import PlainKind
    from icure_async.medtech import Settings
    from icure_async.rest.entities import EntityResource
    from icure_async.rest.session import Session

__all__ = ["Parts"]

Clear = TypeVar("Clear", bound=EntityModel)
Record = TypeVar("Record", bound=EntityModel)
Sealed = TypeVar("Sealed", bound=EntityModel)


class Parts(SecretHolder):
    """The repositories and the key service of one user."""

    def __init__(self, settings: Settings, session: Session) -> None:
        self._settings = settings
        self._session = session
        self._is_of_today = settings.flavour == "cardinal"
        crypto, clock = settings.crypto, settings.clock

        # --- The user ---
        self.logout: Final = Logout(session, clock=clock)
        self.users: Final = user_resource(session)
        self.current_user: Final = CurrentUser(self.users, clock=clock)
        self.tokens: Final = UserTokens(self.users, self.current_user, clock=clock)
        self.user_records: Final = Users(
            USER,
            self.users,
            crypto=crypto,
            learn=lambda _, user: self.current_user.notice(user),
        )
        self.account: Final = OwnAccount(
            session,
            self.users,
            self.current_user,
            records=self.user_records,
            crypto=crypto,
            clock=clock,
        )

        # --- Keys ---
        key_ring = KeyRing(crypto)
        self.trust: Final = KeyTrust(
            KnownKeys(settings.storage, key_ring),
            policy=settings.key_policy,
            on_key_change=settings.on_key_change,
        )
        self.own_document: Final = OwnDocument(
            WholeDataOwners(session),
            self.current_user,
            key_ring,
            KeyRecovery(crypto, key_ring, settings.key_storage, self.trust),
            crypto=crypto,
            trust=self.trust,
        )

        # --- Exchange data, which every flavour reads ---
        resource, map_resource = ExchangeDataResource(session), ExchangeDataMapResource(session)
        self.exchange_data: Final = ExchangeDataDirectory(
            resource, map_resource, self.own_document, flavour=settings.flavour
        )
        maps = ExchangeDataMaps(crypto, map_resource, self.exchange_data)
        counterparts = Counterparts(resource, self.exchange_data, self.own_document)
        gifts = ExchangeDataGifts(resource, self.exchange_data, maps, self.own_document)
        transfers = None
        if self._is_of_today:
            transfers = TodaysTransfers(resource, self.exchange_data, self.own_document)
            self.own_document.recovery.transfers = transfers

        # --- Records ---
        legacy = LegacyMetadata(crypto, key_ring, self.own_document)
        metadata = self._both_flavours(legacy, maps)
        self.patients: Final = self.repository(settings.patient_kind or PATIENT, metadata)
        self.patient_batches: Final = Batches(self.patients)
        self.patient_shares: Final = Shares(self.patients, crypto=crypto, own=self.own_document)
        self.children: Final = PatientChildren(self.patients, self.own_document)
        self.all_data: Final = AllDataOfPatients(
            self.patient_shares,
            patient_data_resource(session, self.exchange_data),
            self.children,
            {"helement": HEALTHCARE_ELEMENT, "contact": CONTACT, "document": DOCUMENT},
            crypto=crypto,
            metadata=metadata,
            own=self.own_document,
        )
        self.contacts: Final = self.child_repository(CONTACT, metadata)
        self.data_samples: Final = DataSamples(
            self.contacts,
            entity_resource(
                session,
                SERVICE_ROUTE,
                DATA_SAMPLE,
                secure_type=CONTACT.secure_type,
                access=self.exchange_data,
            ),
            self.children,
            self.child_shares(self.contacts),
            crypto=crypto,
            own=self.own_document,
        )
        self.data_sample_changes: Final = DataSampleChanges(
            self.data_samples,
            self.contacts,
            self.children,
            crypto=crypto,
            own=self.own_document,
            clock=clock,
        )
        self.data_sample_deletion: Final = DataSampleDeletion(
            self.data_samples,
            self.contacts,
            own=self.own_document,
            user=self.current_user,
            clock=clock,
        )
        documents = self.child_repository(DOCUMENT, metadata)
        self.attachments: Final = Attachments(
            self.data_samples,
            self.data_sample_changes,
            self.contacts,
            documents,
            document_resource(
                session,
                DOCUMENT.noun,
                secure_type=DOCUMENT.secure_type,
                access=self.exchange_data,
            ),
            self.child_shares(documents),
            crypto=crypto,
            own=self.own_document,
            user=self.current_user,
            max_size=settings.max_response_size,
        )
        self.notifications: Final = self.repository(NOTIFICATION, metadata)
        self.healthcare_elements: Final = self.child_repository(HEALTHCARE_ELEMENT, metadata)
        self.healthcare_elements_of_patients: Final = ChildRecords(
            self.healthcare_elements,
            self.children,
            self.child_shares(self.healthcare_elements),
            lambda patient: HealthcareElementsByPatientsFilter(patients=[patient.id]),
        )
        self.professionals: Final = self.plain_records(
            HEALTHCARE_PROFESSIONAL, professional_resource(session, HEALTHCARE_PROFESSIONAL.noun)
        )
        self.devices: Final = self.plain_records(
            MEDICAL_DEVICE, device_resource(session, MEDICAL_DEVICE.noun)
        )
        self.device_batches: Final = Batches(self.devices)
        self.codings: Final = self.plain_records(CODING, code_resource(session, CODING.noun))
        self.coding_batches: Final = Batches(self.codings)
        self.data_export: Final = DataExport(
            self.current_user,
            self.own_document,
            patients=self.patients,
            notifications=self.notifications,
            healthcare_elements=self.healthcare_elements,
            data_samples=self.data_samples,
        )

        # --- Events ---
        self.feeds: Final = Feeds()
        backend = EventBackend(
            session=session,
            own_id=self.own_document.own_id,
            feeds=self.feeds,
            clock=clock,
            max_bytes=settings.max_response_size,
            access_headers=self._access_to_events,
        )
        about_patients = events_of(self.patients)
        about_notifications = events_of(self.notifications)
        about_elements = events_of(self.healthcare_elements)
        self.patient_events: Final = EventSource(backend, about_patients)
        self.notification_events: Final = EventSource(
            backend, about_notifications, records=self.notifications
        )
        self.healthcare_element_events: Final = EventSource(backend, about_elements)
        self.data_sample_events: Final = EventSource(backend, self.data_samples.events)
        self.user_events: Final = EventSource(backend, USER_EVENTS)

        # --- The start of the keys, and the ways back to lost ones ---
        self.key_notices: Final = KeyNotices(
            storage=settings.storage,
            notifications=self.notifications,
            metadata=metadata,
            directory=self.own_document,
            current_user=self.current_user,
            counterparts=counterparts,
        )
        self.recovery_keys: Final = RecoveryKeys(RecoveryDataResource(session), self.own_document)
        self.parent_keys: Final = ParentKeys(self.own_document, settings.key_storage)
        self.key_registration: Final = self._key_registration(legacy, metadata, transfers)
        self.initialised: InitialisedKeys = InitialisedKeys([], [], [], [])
        self.key_backup: Final = OwnKeyBackup(self.own_document, settings.key_storage)
        self.access_back: Final = AccessBack(self.own_document, gifts, transfers)
        self.examiner: Final = KeyExaminer(
            self.own_document,
            crypto=crypto,
            key_storage=settings.key_storage,
            storage=settings.storage,
            notices=self.key_notices,
            exchange_data=resource,
            flavour=settings.flavour,
        )
        self.notaries: Final = KeyNotaries(self.own_document, self.exchange_data)
        self.access_requests: Final = AccessRequests(
            own_document=self.own_document,
            notifications=self.notifications,
            metadata=metadata,
            current_user=self.current_user,
        )
        self.access_answers: Final = AccessAnswers(
            own_document=self.own_document,
            notifications=self.notifications,
            all_data=self.all_data,
            metadata=metadata,
            users=self.users,
        )
        self.owners: Final = PublicDataOwners(self.own_document)
        self.automatic_sharing: Final = AutomaticSharing(
            self.users, self.current_user, self.own_document
        )

    async def _access_to_events(self, entity_type: str) -> Mapping[str, str]:
        """Return the access control keys of now: they go with the first text of a connection."""
        await self.exchange_data.look_again()
        return await self.exchange_data.access_headers(entity_type)

    def child_repository(
        self, kind: EntityKind[Clear, Sealed], metadata: EncryptionMetadata
    ) -> Repository[Clear, Sealed]:
        """Return the repository of a kind of entity that belongs to patients."""
        return self.repository(kind, metadata, self.children)

    def child_shares(self, repository: Repository[Clear, Sealed]) -> ChildShares[Clear, Sealed]:
        """Return what shares the records of a kind that belongs to patients."""
        shares = Shares(repository, crypto=self._settings.crypto, own=self.own_document)
        return ChildShares(repository, shares, self.children)

    def repository(
        self,
        kind: EntityKind[Clear, Sealed],
        metadata: EncryptionMetadata,
        children: PatientChildren | None = None,
    ) -> Repository[Clear, Sealed]:
        """Return the repository of one kind of entity, as the flavour of the user writes it."""
        return Repository(
            of_today(kind) if self._is_of_today else kind,
            entity_resource(
                self._session,
                kind.route,
                kind.noun,
                secure_type=kind.secure_type,
                access=self.exchange_data,
            ),
            crypto=self._settings.crypto,
            metadata=metadata,
            own=self.own_document,
            user=self.current_user,
            clock=self._settings.clock,
            fill=None if children is None else children.filled,
        )

    def _key_registration(
        self,
        legacy: LegacyMetadata,
        metadata: EncryptionMetadata,
        transfers: TodaysTransfers | None,
    ) -> KeyRegistration:
        """Return the work of ``init_user_crypto`` in the flavour of the user."""
        settings = self._settings
        parts = RegistrationParts(
            key_storage=settings.key_storage,
            current_user=self.current_user,
            metadata=legacy,
            notices=self.key_notices,
            parents=self.parent_keys,
            recovery_keys=self.recovery_keys,
            in_memory_is_meant=settings.in_memory_keys_are_meant,
        )
        if transfers is None:
            return KeyRegistration(self.own_document, **parts)
        own_record = OwnRecord(
            self.own_document,
            kind=self.patients.kind,
            patients=self.patients.resource,
            metadata=metadata,
            current_user=self.current_user,
        )
        return CardinalKeyRegistration(
            self.own_document, transfers=transfers, own_record=own_record, **parts
        )

    def _both_flavours(self, legacy: LegacyMetadata, maps: ExchangeDataMaps) -> Flavours:
        """Return the metadata of entities, written in the flavour of the user."""
        crypto, own = self._settings.crypto, self.own_document
        planner = SharePlanner(crypto, self.exchange_data, maps, own, legacy.secret_finder)
        shares = SecureShares(planner, maps, self._metadata_resource)
        secure = SecureMetadata(crypto, self.exchange_data, maps, own, shares)
        return Flavours(legacy, secure, writes=self._settings.flavour)

    def _metadata_resource(self, kind: EntityKind[Any, Any]) -> SharedMetadataResource:
        return SharedMetadataResource(
            self._session,
            kind.route,
            kind.noun,
            secure_type=kind.secure_type,
            access=self.exchange_data,
        )

    def plain_records(
        self, kind: PlainKind[Record], resource: EntityResource
    ) -> PlainRecords[Record]:
        """Return the records of one kind that is not encrypted."""
        return PlainRecords(
            kind,
            resource,
            crypto=self._settings.crypto,
            learn=self.own_document.learn,
            read_owner=self.own_document.read_document_anew,
            of_today=self._settings.flavour == "cardinal",
        )
