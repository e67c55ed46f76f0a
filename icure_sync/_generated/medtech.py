# Written by "python tools/gen_sync.py" from icure_async/medtech.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""The two API objects: they hold the APIs together and own their share of the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from icure_async.medtech import AnonymousMedTechApi as AsyncAnonymousMedTechApi
from icure_async.medtech import MedTechApi as AsyncMedTechApi
from icure_sync._generated import authentication as _authentication
from icure_sync._generated import codings as _codings
from icure_sync._generated import data_owners as _data_owners
from icure_sync._generated import data_samples as _data_samples
from icure_sync._generated import healthcare_elements as _healthcare_elements
from icure_sync._generated import healthcare_professionals as _healthcare_professionals
from icure_sync._generated import medical_devices as _medical_devices
from icure_sync._generated import message_gateway as _message_gateway
from icure_sync._generated import notifications as _notifications
from icure_sync._generated import patients as _patients
from icure_sync._generated import users as _users
from icure_sync._plain import callback
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from icure_async.models.key_change import KeyPairUpdateNotice
    from icure_async.models.key_pair import KeyPair
    from icure_async.models.key_question import KeyQuestion
    from icure_async.models.missing_key import MissingKey, MissingKeyPolicy
    from icure_async.models.public_key import PublicKey
    from icure_async.models.recovery_key import RecoveryKey
    from icure_async.models.user_token import LogoutResult
    from icure_sync._generated.authentication import AuthenticationApi
    from icure_sync._generated.codings import CodingApi
    from icure_sync._generated.data_owners import DataOwnerApi
    from icure_sync._generated.data_samples import DataSampleApi
    from icure_sync._generated.healthcare_elements import HealthcareElementApi
    from icure_sync._generated.healthcare_professionals import HealthcareProfessionalApi
    from icure_sync._generated.medical_devices import MedicalDeviceApi
    from icure_sync._generated.message_gateway import AnonymousMessageGatewayApi, MessageGatewayApi
    from icure_sync._generated.notifications import NotificationApi
    from icure_sync._generated.patients import PatientApi
    from icure_sync._generated.users import UserApi

__all__ = ["AnonymousMedTechApi", "MedTechApi"]


class AnonymousMedTechApi(Twin[AsyncAnonymousMedTechApi]):
    """The API for a user who is not logged in. Built by ``AnonymousMedTechApiBuilder``.

    Attributes:
        authentication_api: authentication processes.
        message_gateway_api: the gateway's processes; messages need a user who is logged in.

    Example:
        >>> with AnonymousMedTechApiBuilder.from_env().build() as anonymous_api:
        ...     key_pair = anonymous_api.generate_rsa_keypair()
    """

    @property
    def authentication_api(self) -> AuthenticationApi:
        """Authentication processes."""
        return _authentication.AuthenticationApi._wrap(
            self._inner.authentication_api, pid=self._pid
        )

    @property
    def message_gateway_api(self) -> AnonymousMessageGatewayApi:
        """The gateway's processes; messages need a user who is logged in."""
        return _message_gateway.AnonymousMessageGatewayApi._wrap(
            self._inner.message_gateway_api, pid=self._pid
        )

    def close(self) -> None:
        """Refuse new calls, let those under way finish, and let go of the connection.

        Subscriptions are closed first.

        Calls under way have as long as the time limit of a request, see ``with_timeout()`` of the
        builder; those that take longer end with a ``NetworkError``. Calling it again does nothing.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_user_name(login).with_password(token)
            >>> api = builder.build()
            >>> api.close()
        """
        self._close(self._inner.aclose)

    def __enter__(self) -> Self:
        self._run(self._inner.__aenter__)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close(self._inner.__aexit__, exc_type, exc_value, traceback)

    def generate_rsa_keypair(self) -> KeyPair:
        """Return a new RSA key pair. It is neither stored nor published.

        Example:
            >>> len(api.generate_rsa_keypair().fingerprint)
            32
        """
        return self._run(self._inner.generate_rsa_keypair)


class MedTechApi(Twin[AsyncMedTechApi]):
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
        >>> with builder.build() as api:
        ...     key_pairs = api.init_user_crypto(key_pair)
        ...     patients = [each for each in api.patient_api.filter_patients()]
    """

    @property
    def patient_api(self) -> PatientApi:
        """Patients."""
        return _patients.PatientApi._wrap(self._inner.patient_api, pid=self._pid)

    @property
    def notification_api(self) -> NotificationApi:
        """Notifications."""
        return _notifications.NotificationApi._wrap(self._inner.notification_api, pid=self._pid)

    @property
    def data_sample_api(self) -> DataSampleApi:
        """Data samples, which are what was measured, observed or said."""
        return _data_samples.DataSampleApi._wrap(self._inner.data_sample_api, pid=self._pid)

    @property
    def healthcare_element_api(self) -> HealthcareElementApi:
        """Healthcare elements, which are the conditions of patients."""
        return _healthcare_elements.HealthcareElementApi._wrap(
            self._inner.healthcare_element_api, pid=self._pid
        )

    @property
    def healthcare_professional_api(self) -> HealthcareProfessionalApi:
        """Healthcare professionals."""
        return _healthcare_professionals.HealthcareProfessionalApi._wrap(
            self._inner.healthcare_professional_api, pid=self._pid
        )

    @property
    def medical_device_api(self) -> MedicalDeviceApi:
        """Medical devices."""
        return _medical_devices.MedicalDeviceApi._wrap(
            self._inner.medical_device_api, pid=self._pid
        )

    @property
    def coding_api(self) -> CodingApi:
        """Codes of terminologies, described."""
        return _codings.CodingApi._wrap(self._inner.coding_api, pid=self._pid)

    @property
    def user_api(self) -> UserApi:
        """Users."""
        return _users.UserApi._wrap(self._inner.user_api, pid=self._pid)

    @property
    def data_owner_api(self) -> DataOwnerApi:
        """Data owners."""
        return _data_owners.DataOwnerApi._wrap(self._inner.data_owner_api, pid=self._pid)

    def close(self) -> None:
        """Refuse new calls, let those under way finish, and let go of the connection.

        Subscriptions are closed first.

        Calls under way have as long as the time limit of a request, see ``with_timeout()`` of the
        builder; those that take longer end with a ``NetworkError``. Calling it again does nothing.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_user_name(login).with_password(token)
            >>> api = builder.build()
            >>> api.close()
        """
        self._close(self._inner.aclose)

    def __enter__(self) -> Self:
        self._run(self._inner.__aenter__)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close(self._inner.__aexit__, exc_type, exc_value, traceback)

    def generate_rsa_keypair(self) -> KeyPair:
        """Return a new RSA key pair. It is neither stored nor published.

        Example:
            >>> len(api.generate_rsa_keypair().fingerprint)
            32
        """
        return self._run(self._inner.generate_rsa_keypair)

    @property
    def authentication_api(self) -> AuthenticationApi:
        """Authentication processes, where the builder was given the gateway's settings.

        Raises:
            ConfigurationError: it was not.
        """
        return _authentication.AuthenticationApi._wrap(
            self._inner.authentication_api, pid=self._pid
        )

    @property
    def message_gateway_api(self) -> MessageGatewayApi:
        """Emails, text messages and processes, where the builder was given the gateway's settings.

        Raises:
            ConfigurationError: it was not.
        """
        return _message_gateway.MessageGatewayApi._wrap(
            self._inner.message_gateway_api, pid=self._pid
        )

    @property
    def key_notices(self) -> Sequence[KeyPairUpdateNotice]:
        """The outcome of the notifications that the last ``init_user_crypto()`` had to send.

        Empty unless this device has published another key pair of the user. One not delivered
        is sent again by ``data_owner_api.notify_key_pair_update()``, and where trying again may
        help, by the next ``init_user_crypto()``.
        """
        return self._inner.key_notices

    @property
    def unknown_public_keys(self) -> Sequence[PublicKey]:
        """The user's published keys that are neither on this device nor confirmed by the policy.

        Usually those of the user's other devices, or of lost ones. Where the user has no other,
        somebody has put the key there, to read what others share with the user from now on.
        """
        return self._inner.unknown_public_keys

    @property
    def key_changes(self) -> Sequence[KeyQuestion]:
        """The public keys of other data owners that have changed, and were encrypted for.

        Empty where ``with_public_key_policy()`` or one of its like decides about them.
        """
        return self._inner.key_changes

    @property
    def warnings(self) -> Sequence[str]:
        """Warnings about this user's keys and sharing, in plain sentences; empty for none.

        They are about the last ``init_user_crypto()``, and about public keys of others that have
        changed since. No call failed because of them.
        """
        return self._inner.warnings

    @property
    def token_expires_at(self) -> int | None:
        """The end of the token that this object logs in with, in epoch milliseconds.

        None for a password, for a token that never ends, and before anything is known about it: the
        backend says it of tokens that this SDK has created, once the user was read. A session goes
        on for up to an hour after that.
        """
        return self._inner.token_expires_at

    def data_owner_id(self) -> str:
        """Return the id of the data owner the user is: the patient or the healthcare professional.

        The backend is asked once.

        Raises:
            AuthenticationError: the credentials are refused.
            CryptoError: the user is not a data owner.

        Example:
            >>> data_owner = api.data_owner_api.get_data_owner(api.data_owner_id())
        """
        return self._run(self._inner.data_owner_id)

    def init_user_crypto(
        self,
        key_pair: KeyPair | None = None,
        *,
        missing_key: MissingKeyPolicy = "refuse",
        parent_key_pairs: Mapping[str, Sequence[KeyPair]] | None = None,
        recovery_key: RecoveryKey | str | None = None,
        find_key: Callable[[MissingKey], KeyPair | RecoveryKey | None] | None = None,
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
            >>> with builder.build() as api:
            ...     key_pairs = api.init_user_crypto(key_pair)
            >>> key_pairs == [key_pair]
            True
        """
        return self._run(
            self._inner.init_user_crypto,
            key_pair,
            missing_key=missing_key,
            parent_key_pairs=parent_key_pairs,
            recovery_key=recovery_key,
            find_key=None if find_key is None else callback(find_key),
        )

    def add_key_pair(self, data_owner_id: str, key_pair: KeyPair) -> None:
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
            >>> api.add_key_pair(api.data_owner_id(), key_pair)
        """
        self._run(self._inner.add_key_pair, data_owner_id, key_pair)

    def export_keys(self, passphrase: str) -> bytes:
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
            >>> backup = api.export_keys("correct horse battery staple")
            >>> (folder / "keys.backup").write_bytes(backup) > 0
            True
        """
        return self._run(self._inner.export_keys, passphrase)

    def import_keys(self, data: bytes | str, passphrase: str) -> list[KeyPair]:
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
            >>> backup = api.export_keys("correct horse battery staple")
            >>> api.import_keys(backup, "correct horse battery staple") == [key_pair]
            True
        """
        return self._run(self._inner.import_keys, data, passphrase)

    def identify(self) -> tuple[str, str | None]:
        """Log in, and return the ids of the user and, where the backend tells it, its group.

        Raises:
            AuthenticationError: the credentials are refused.

        Example:
            >>> user_id, group_id = api.identify()
        """
        return self._run(self._inner.identify)

    def logout(self) -> LogoutResult:
        """End the session: forget the password and tokens here, and revoke the token.

        Subscriptions are closed first.

        From then on every other call that needs the backend is refused, whatever the network does.
        The token that this object logs in with is looked for among the user's and revoked: that
        works for tokens that ``complete_authentication()`` and ``user_api.create_token()`` have
        created. The result says where it did not work, and why. If the network breaks midway,
        calling again tries again; the token is remembered until then, for nothing else.

        An access token that is under way to the backend, or was stolen, ends by itself within its
        hour. Private keys stay where they are stored. The object still has to be closed, with
        ``close()``.

        Returns:
            Whether the token was revoked at the backend, and why not.

        Raises:
            ConfigurationError: the object was closed before. The session has ended here.

        Example:
            >>> own_api.logout().token_revoked
            True
        """
        return self._run(self._inner.logout)
