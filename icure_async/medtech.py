"""The two API objects: they hold the APIs together and own their share of the connection."""

from __future__ import annotations

import time
import warnings
from operator import attrgetter
from typing import TYPE_CHECKING, Self

import attrs

from icure_async.apis.codings import CodingApi
from icure_async.apis.data_owners import DataOwnerApi
from icure_async.apis.data_samples import DataSampleApi
from icure_async.apis.healthcare_elements import HealthcareElementApi
from icure_async.apis.healthcare_professionals import HealthcareProfessionalApi
from icure_async.apis.medical_devices import MedicalDeviceApi
from icure_async.apis.notifications import NotificationApi
from icure_async.apis.patients import PatientApi
from icure_async.apis.users import UserApi
from icure_async.authentication.api import AuthenticationApi
from icure_async.authentication.gateway_api import AnonymousMessageGatewayApi, MessageGatewayApi
from icure_async.authentication.invites import Invites
from icure_async.authentication.sender import Sender
from icure_async.errors import ConfigurationError
from icure_async.mistakes import explained
from icure_async.rest.calls import Calls, guard_class
from icure_async.rest.dialects import dialect_of
from icure_async.rest.transport import DEFAULT_MAX_RESPONSE_SIZE, DEFAULT_TIMEOUT, Transport
from icure_async.rest.urls import root_of
from icure_async.secret_holders import SecretHolder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from icure_async.authentication.completion import Options
    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.kinds import EntityKind
    from icure_async.hooks import Hook
    from icure_async.models.access_request import AccessRequest
    from icure_async.models.flavour import Flavour
    from icure_async.models.key_change import KeyPairUpdateNotice
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.key_question import KeyQuestion
    from icure_async.models.missing_key import MissingKey, MissingKeyPolicy
    from icure_async.models.patient import EncryptedPatient, Patient
    from icure_async.models.public_key import PublicKey
    from icure_async.models.recovery_key import RecoveryKey
    from icure_async.models.user_token import LogoutResult
    from icure_async.parts import Parts
    from icure_async.rest.connection import Connection
    from icure_async.rest.message_gateway import MessageGateway
    from icure_async.rest.second_factor import SecondFactor
    from icure_async.rest.session import Session
    from icure_async.storage.protocols import KeyStorage, Storage

__all__ = ["AnonymousMedTechApi", "MedTechApi", "Settings"]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Settings:
    """The settings that the builders collect, checked and normalised.

    Attributes:
        base_url: of the backend, ending with ``/rest/v1`` or ``/rest/v2``.
        crypto: the cryptographic primitives.
        storage: where state lives.
        key_storage: where private keys live.
        msg_gw_url: of the message gateway.
        msg_gw_spec_id: names the application at the gateway; None where there is no gateway.
        auth_process_by_email_id: the gateway's process for codes by email.
        auth_process_by_sms_id: the gateway's process for codes by SMS.
        prevent_cookie_usage: use Basic authentication on every request.
        key_policy: asked before anything is written with a key that was not made on this device;
            None trusts the backend.
        on_key_change: told of a data owner's public key that has changed, where there is no policy.
        in_memory_keys_are_meant: whether the application looks after keys that live in memory.
        patient_kind: patients with further members encrypted; None where none are.
        timeout: seconds for one request with its answer, and for the calls under way at closing.
        max_response_size: bytes of an answer, decompressed.
        clock: epoch seconds.
        flavour: the iCure of 2023, or today's.
        project_id: names the application at login, in the cardinal flavour.
        group_id: of the group to work in, in the cardinal flavour.
        hooks: told of each attempt to make a request.
    """

    base_url: str
    crypto: Crypto
    storage: Storage
    key_storage: KeyStorage
    msg_gw_url: str
    msg_gw_spec_id: str | None = None
    auth_process_by_email_id: str | None = None
    auth_process_by_sms_id: str | None = None
    prevent_cookie_usage: bool = False
    key_policy: Callable[[KeyQuestion], Awaitable[bool]] | None = None
    on_key_change: Callable[[KeyQuestion], Awaitable[None]] | None = None
    in_memory_keys_are_meant: bool = False
    patient_kind: EntityKind[Patient, EncryptedPatient] | None = None
    timeout: float = DEFAULT_TIMEOUT
    max_response_size: int = DEFAULT_MAX_RESPONSE_SIZE
    clock: Callable[[], float] = time.time
    flavour: Flavour = "medtech"
    project_id: str | None = None
    group_id: str | None = None
    hooks: Sequence[Hook] = ()


class _Api(SecretHolder):
    """The base of both API objects: settings, and a share of the connection to let go of."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection.acquire()
        self._calls = Calls(f"This {type(self).__name__}", connection)
        self._transport = Transport(
            connection,
            timeout=settings.timeout,
            max_response_size=settings.max_response_size,
            clock=settings.clock,
            calls=self._calls,
            hooks=settings.hooks,
        )
        self._closed = False

    async def aclose(self) -> None:
        """Refuse new calls, let those under way finish, and let go of the connection.

        Subscriptions are closed first.

        Calls under way have as long as the time limit of a request, see ``with_timeout()`` of the
        builder; those that take longer end with a ``NetworkError``. Calling it again does nothing.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_user_name(login).with_password(token)
            >>> api = await builder.build()
            >>> await api.aclose()
        """
        if self._closed:
            return
        self._closed = True
        try:
            await self._end_subscriptions()
            await self._calls.close(self._settings.timeout)
        finally:
            await self._connection.release()

    async def _end_subscriptions(self) -> None:
        """Close what would never end by itself."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        state = vars(self)
        # Of one that could not be made there is nothing to say; a blocking twin speaks for its own.
        if state.get("_closed", True) or "_blocking_twin" in state:
            return
        if self._connection.is_left_open():
            warnings.warn(
                f"A {type(self).__name__} was not closed: use it in an async with statement, or "
                "await its aclose().",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    async def generate_rsa_keypair(self) -> KeyPair:
        """Return a new RSA key pair. It is neither stored nor published.

        Example:
            >>> len((await api.generate_rsa_keypair()).fingerprint)
            32
        """
        return await self._settings.crypto.generate_key_pair()

    def _open_session(
        self,
        user_name: str,
        password: str,
        token_expires_at: int | None = None,
        second_factor: SecondFactor | None = None,
    ) -> Session:
        from icure_async.rest.session import Session

        return Session(
            self._transport,
            base_url=self._settings.base_url,
            user_name=user_name,
            password=password,
            basic_only=self._settings.prevent_cookie_usage,
            token_expires_at=token_expires_at,
            second_factor=second_factor,
            dialect=dialect_of(self._settings.flavour),
            project_id=self._settings.project_id,
            group_id=self._settings.group_id,
        )

    def _make_gateway(self, spec_id: str) -> MessageGateway:
        from icure_async.rest.message_gateway import MessageGateway

        return MessageGateway(self._transport, url=self._settings.msg_gw_url, spec_id=spec_id)

    def _make_authentication_api(self, gateway: MessageGateway) -> AuthenticationApi:
        from icure_async.authentication.progress import ProgressStore

        settings = self._settings
        return AuthenticationApi(
            gateway,
            process_by_email_id=settings.auth_process_by_email_id,
            process_by_sms_id=settings.auth_process_by_sms_id,
            crypto=settings.crypto,
            progress=ProgressStore(settings.storage, settings.crypto),
            clock=settings.clock,
            deployment=deployment_of(settings),
            open_session=self._open_session,
            open_api=lambda user_name, token, expires_at: MedTechApi(
                settings,
                self._connection,
                user_name=user_name,
                password=token,
                token_expires_at=expires_at,
            ),
            start_invited=_start_invited,
        )


class AnonymousMedTechApi(_Api):
    """The API for a user who is not logged in. Built by ``AnonymousMedTechApiBuilder``.

    Attributes:
        authentication_api: authentication processes.
        message_gateway_api: the gateway's processes; messages need a user who is logged in.

    Example:
        >>> async with AnonymousMedTechApiBuilder.from_env().build() as anonymous_api:
        ...     key_pair = await anonymous_api.generate_rsa_keypair()
    """

    def __init__(self, settings: Settings, connection: Connection, *, spec_id: str) -> None:
        super().__init__(settings, connection)
        gateway = self._make_gateway(spec_id)
        self.authentication_api: AuthenticationApi = self._make_authentication_api(gateway)
        self.message_gateway_api: AnonymousMessageGatewayApi = AnonymousMessageGatewayApi(
            gateway,
            crypto=settings.crypto,
            clock=settings.clock,
            deployment=deployment_of(settings),
        )
        for api in (self.authentication_api, self.message_gateway_api):
            self._calls.guard(api)

    def __repr__(self) -> str:
        return f"AnonymousMedTechApi(base_url={self._settings.base_url!r})"


class MedTechApi(_Api):
    """A logged-in user's API. Built by ``MedTechApiBuilder`` or returned by authentication.

    Attributes:
        patient_api: patients.
        notification_api: notifications.
        data_sample_api: data samples, which are what was measured, observed or said.
        healthcare_element_api: healthcare elements, which are the conditions of patients.
        healthcare_professional_api: healthcare professionals.
        medical_device_api: medical devices.
        coding_api: codes of terminologies, described.
        user_api: users.
        data_owner_api: data owners.

    Example:
        >>> builder = MedTechApiBuilder.from_env().with_user_name(login).with_password(token)
        >>> async with builder.build() as api:
        ...     key_pairs = await api.init_user_crypto(key_pair)
        ...     patients = [each async for each in api.patient_api.filter_patients()]
    """

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        *,
        user_name: str,
        password: str,
        token_expires_at: int | None = None,
        get_code: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        super().__init__(settings, connection)
        # Imported by the builders' warm-up, in a thread.
        from icure_async.parts import Parts
        from icure_async.rest.second_factor import SecondFactor

        second_factor = None if get_code is None else SecondFactor(get_code)
        if second_factor is not None:
            self._calls.refuse_where(second_factor.check_not_asking)
        self._session = self._open_session(user_name, password, token_expires_at, second_factor)
        self._parts = parts = Parts(settings, self._session)
        self.patient_api: PatientApi = PatientApi(
            parts.patients,
            parts.patient_batches,
            parts.patient_shares,
            parts.all_data,
            events=parts.patient_events,
        )
        self.notification_api: NotificationApi = NotificationApi(
            parts.notifications, clock=settings.clock, events=parts.notification_events
        )
        self.data_sample_api: DataSampleApi = DataSampleApi(
            parts.data_samples,
            parts.data_sample_changes,
            parts.data_sample_deletion,
            parts.attachments,
            events=parts.data_sample_events,
        )
        self.healthcare_element_api: HealthcareElementApi = HealthcareElementApi(
            parts.healthcare_elements,
            parts.healthcare_elements_of_patients,
            events=parts.healthcare_element_events,
        )
        self.healthcare_professional_api: HealthcareProfessionalApi = HealthcareProfessionalApi(
            parts.professionals
        )
        self.medical_device_api: MedicalDeviceApi = MedicalDeviceApi(
            parts.devices, parts.device_batches
        )
        self.coding_api: CodingApi = CodingApi(parts.codings, parts.coding_batches)
        spec_id = settings.msg_gw_spec_id
        gateway = self._make_gateway(spec_id) if spec_id else None
        sender = Sender(gateway, self._session) if gateway else None
        self.user_api: UserApi = UserApi(
            parts.users,
            parts.current_user,
            records=parts.user_records,
            tokens=parts.tokens,
            account=parts.account,
            invites=Invites(
                parts.users,
                parts.patients.resource,
                sender=sender,
                crypto=settings.crypto,
                clock=settings.clock,
            ),
            automatic_sharing=parts.automatic_sharing,
            data_export=parts.data_export,
            crypto=settings.crypto,
            events=parts.user_events,
        )
        self.data_owner_api: DataOwnerApi = DataOwnerApi(
            access_back=parts.access_back,
            examiner=parts.examiner,
            key_notices=parts.key_notices,
            notaries=parts.notaries,
            access_requests=parts.access_requests,
            access_answers=parts.access_answers,
            owners=parts.owners,
            recovery_keys=parts.recovery_keys,
        )
        self._authentication_api = self._make_authentication_api(gateway) if gateway else None
        self._message_gateway_api = (
            MessageGatewayApi(
                gateway,
                sender=sender,
                crypto=settings.crypto,
                clock=settings.clock,
                deployment=deployment_of(settings),
            )
            if gateway and sender
            else None
        )
        for api in (
            self.patient_api,
            self.notification_api,
            self.data_sample_api,
            self.healthcare_element_api,
            self.healthcare_professional_api,
            self.medical_device_api,
            self.coding_api,
            self.user_api,
            self.data_owner_api,
            self._authentication_api,
            self._message_gateway_api,
        ):
            self._calls.guard(api)

    def __repr__(self) -> str:
        return f"MedTechApi(base_url={self._settings.base_url!r})"

    @property
    def authentication_api(self) -> AuthenticationApi:
        """Authentication processes, where the builder was given the gateway's settings.

        Raises:
            ConfigurationError: it was not.
        """
        if self._authentication_api is None:
            raise ConfigurationError(
                "authentication_api needs the message gateway: call with_msg_gw_spec_id() and "
                "with_auth_process_by_email_id() or with_auth_process_by_sms_id() on the builder."
            )
        return self._authentication_api

    async def _end_subscriptions(self) -> None:
        await self._parts.feeds.aclose()

    @property
    def message_gateway_api(self) -> MessageGatewayApi:
        """Emails, text messages and processes, where the builder was given the gateway's settings.

        Raises:
            ConfigurationError: it was not.
        """
        if self._message_gateway_api is None:
            raise ConfigurationError(
                "message_gateway_api needs the message gateway: call with_msg_gw_spec_id() on the "
                "builder."
            )
        return self._message_gateway_api

    @property
    def key_notices(self) -> Sequence[KeyPairUpdateNotice]:
        """The outcome of the notifications that the last ``init_user_crypto()`` had to send.

        Empty unless this device has published another key pair of the user. One not delivered
        is sent again by ``data_owner_api.notify_key_pair_update()``, and where trying again may
        help, by the next ``init_user_crypto()``.
        """
        return tuple(self._parts.initialised.notices)

    @property
    def unknown_public_keys(self) -> Sequence[PublicKey]:
        """The user's published keys that are neither on this device nor confirmed by the policy.

        Usually those of the user's other devices, or of lost ones. Where the user has no other,
        somebody has put the key there, to read what others share with the user from now on.
        """
        return tuple(self._parts.initialised.unknown_public_keys)

    @property
    def key_changes(self) -> Sequence[KeyQuestion]:
        """The public keys of other data owners that have changed, and were encrypted for.

        Empty where ``with_public_key_policy()`` or one of its like decides about them.
        """
        return self._parts.trust.changes

    @property
    def warnings(self) -> Sequence[str]:
        """Warnings about this user's keys and sharing, in plain sentences; empty for none.

        They are about the last ``init_user_crypto()``, and about public keys of others that have
        changed since. No call failed because of them.
        """
        return [*self._parts.initialised.warnings, *self._parts.trust.remarks]

    @property
    def token_expires_at(self) -> int | None:
        """The end of the token that this object logs in with, in epoch milliseconds.

        None for a password, for a token that never ends, and before anything is known about it: the
        backend says it of tokens that this SDK has created, once the user was read. A session goes
        on for up to an hour after that.
        """
        return self._session.token_expires_at

    async def data_owner_id(self) -> str:
        """Return the id of the data owner the user is: the patient or the healthcare professional.

        The backend is asked once.

        Raises:
            AuthenticationError: the credentials are refused.
            CryptoError: the user is not a data owner.

        Example:
            >>> data_owner = await api.data_owner_api.get_data_owner(await api.data_owner_id())
        """
        return await self._parts.own_document.own_id()

    async def init_user_crypto(
        self,
        key_pair: KeyPair | None = None,
        *,
        missing_key: MissingKeyPolicy = "refuse",
        parent_key_pairs: Mapping[str, Sequence[KeyPair]] | None = None,
        recovery_key: RecoveryKey | str | None = None,
        find_key: Callable[[MissingKey], Awaitable[KeyPair | RecoveryKey | None]] | None = None,
    ) -> list[KeyPair]:
        """Put the user's key pairs to use; before that, nothing can be encrypted or decrypted.

        The key pairs of this user on this device are used, and those they lead to. For a user who
        has never had one, the given or a new key pair is stored and then published. For a user who
        has key pairs, none of them on this device, one can be given, or supplied by ``find_key``;
        else a new one is only made if ``missing_key`` allows it: it reads what is encrypted for the
        old ones once somebody gives access back, and everybody concerned is notified.

        In the cardinal flavour, a new key pair is published among those of today, next to what is
        there, and a key pair of 2023 goes on working: nothing is published for its owner. A
        patient's own record that nobody has encrypted is encrypted then, once, and shared with
        those with whom the user shares automatically.

        Args:
            key_pair: one of the user's, for a device that does not have it yet. On a device that
                has others of the user's, it must be one of these, as in the reference.
            missing_key: ``"allow"`` or ``"refuse"``: whether a new key pair may be published where
                the published ones are not on this device.
            parent_key_pairs: id of a parent → its key pairs, for a professional inside an
                organisation (``parent_id``), who then reads what was shared with it. They are
                stored on this device like one given to :meth:`add_key_pair`.
            find_key: asked for the missing key pair first, for example in a backup, or for a
                recovery key; None in return leaves it to ``missing_key``, and so does a pair that
                is none of the published ones.
            recovery_key: what ``data_owner_api.create_recovery_key()`` returned on a device that
                had the key pairs, or its text. They are stored on this device then, as far as they
                are published.

        Returns:
            The user's key pairs in use, without those of parents.

        Raises:
            KeyPairNotFoundError: the user has keys, none of them is on this device, and none may be
                made. The message names their fingerprints and the ways back.
            ValidationError: the key pair is malformed, or is not the one on this device; or one of
                a parent is none of its published ones, or is of somebody who is not a parent.
            CryptoError: the user is not a data owner.
            NotFoundError: the backend has nothing for the recovery key: it was mistyped, revoked,
                or is of another user. Nothing was changed.
            DecryptionError: what the backend has for the recovery key is damaged.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_user_name(login).with_password(token)
            >>> async with builder.build() as api:
            ...     key_pairs = await api.init_user_crypto(key_pair)
            >>> key_pairs == [key_pair]
            True
        """
        self._parts.initialised = await self._parts.key_registration.initialise(
            key_pair,
            missing_key=missing_key,
            parent_key_pairs=parent_key_pairs,
            find_key=find_key,
            recovery_key=recovery_key,
        )
        return self._parts.initialised.key_pairs

    async def add_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
        """Store a key pair of a parent on this device, and read with it from now on.

        A professional inside an organisation (``parent_id``) reads with it what was shared with the
        organisation. Nothing is encrypted for it, nor published. It stays on this device under the
        parent's id, where the next ``init_user_crypto()`` finds it, and ``export_keys()`` leaves it
        out: the parent has its own backup. The reference keeps it until the program ends.

        With the id of the user's own data owner, another of the user's published key pairs is
        stored and put to use.

        Args:
            data_owner_id: id of a parent, however far up, or of the user's own data owner.
            key_pair: one that this data owner has published.

        Raises:
            ValidationError: an argument is malformed, the data owner is neither the user's own nor
                a parent, or has not published the key pair. Nothing was stored.
            CryptoError: the parent can't be read.
            StorageError: the key pair could not be stored. Repeat the call.

        Example:
            >>> await api.add_key_pair(await api.data_owner_id(), key_pair)
        """
        await self._parts.parent_keys.add(data_owner_id, key_pair)

    async def export_keys(self, passphrase: str) -> bytes:
        """Return a backup of all the user's key pairs that are on this device.

        Unpublished key pairs are in it, too, and ``init_user_crypto()`` need not have been called.
        Keep it in a file, away from this device. With both the file and the passphrase anybody can
        read the user's records; without the passphrase nobody can open the file. It is encrypted
        with AES-256-GCM, under a key that scrypt makes of the passphrase with 128 MiB of memory.
        The id of the user's data owner is in it in clear.

        Args:
            passphrase: at least 12 characters: four words, better more.

        Returns:
            The content of the file.

        Raises:
            ValidationError: the passphrase is too short.
            StorageError: the key storage cannot be read.
            BackupError: there are no key pairs, or one of them is not valid.
            CryptoError: the user is not a data owner.

        Example:
            >>> backup = await api.export_keys("correct horse battery staple")
            >>> (folder / "keys.backup").write_bytes(backup) > 0
            True
        """
        return await self._parts.key_backup.export(passphrase)

    async def import_keys(self, data: bytes | str, passphrase: str) -> list[KeyPair]:
        """Store the key pairs of a backup on this device, and put them to use.

        It is for a new device, on which ``init_user_crypto()`` does not find a key pair: call this
        first, and then that. It may be called later too, and repeated: what is on the device
        already stays as it is.

        Args:
            data: what ``export_keys()`` returned, on any device.
            passphrase: the one it was exported with.

        Returns:
            The key pairs of the backup, all of which are on this device now.

        Raises:
            ValidationError: an argument is malformed.
            BackupError: the passphrase is wrong, the backup was changed or damaged, is of another
                user or of a newer version; or the device has another key pair under the name of one
                in it. Nothing was written.
            StorageError: a key pair could not be stored. Repeat the call.
            CryptoError: the user is not a data owner.

        Example:
            >>> backup = await api.export_keys("correct horse battery staple")
            >>> await api.import_keys(backup, "correct horse battery staple") == [key_pair]
            True
        """
        return await self._parts.key_backup.restore(data, passphrase)

    async def identify(self) -> tuple[str, str | None]:
        """Log in, and return the ids of the user and, where the backend tells it, its group.

        Raises:
            AuthenticationError: the credentials are refused.

        Example:
            >>> user_id, group_id = await api.identify()
        """
        answer = await self._session.sign_in()
        if answer.user_id is not None:
            return answer.user_id, answer.group_id
        user = await self._parts.current_user.get()
        group_id = user.get("groupId")
        return str(user["id"]), group_id if isinstance(group_id, str) else None

    async def logout(self) -> LogoutResult:
        """End the session: forget the password and tokens here, and revoke the token.

        Subscriptions are closed first.

        From then on every other call that needs the backend is refused, whatever the network does.
        The token that this object logs in with is looked for among the user's and revoked: that
        works for tokens that ``complete_authentication()`` and ``user_api.create_token()`` have
        created. The result says where it did not work, and why. If the network breaks midway,
        calling again tries again; the token is remembered until then, for nothing else.

        An access token that is under way to the backend, or was stolen, ends by itself within its
        hour. Private keys stay where they are stored. The object still has to be closed, with
        ``aclose()``.

        Returns:
            Whether the token was revoked at the backend, and why not.

        Raises:
            ConfigurationError: the object was closed before. The session has ended here.

        Example:
            >>> (await own_api.logout()).token_revoked
            True
        """
        await self._end_subscriptions()
        return await self._parts.logout.run()


def deployment_of(settings: Settings) -> str | None:
    """Return the URL of the backend where the gateway has to be told; None in the older flavour."""
    return None if settings.flavour == "medtech" else root_of(settings.base_url)


async def _start_invited(
    api: MedTechApi, options: Options
) -> tuple[list[KeyPair], list[AccessRequest]]:
    """Put the key pairs of an invited user to use, and ask for access to the data of a patient."""
    parts: Parts = attrgetter("_parts")(api)
    parts.initialised = await parts.key_registration.initialise(
        missing_key=options.missing_key, find_key=options.find_key, invited=True
    )
    return parts.initialised.key_pairs, await parts.access_requests.ask_if_patient()


# Mistaken arguments are explained before a call is one, so that is the outer layer.
for _api in (AnonymousMedTechApi, MedTechApi):
    guard_class(_api, attrgetter("_calls"))
    explained(_api)
