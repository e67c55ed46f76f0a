# Written by "python tools/gen_sync.py" from icure_async/builders.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""The two builders: collect options, check them, build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from icure_async.builders import AnonymousMedTechApiBuilder as AsyncAnonymousMedTechApiBuilder
from icure_async.builders import MedTechApiBuilder as AsyncMedTechApiBuilder
from icure_async.builders import UserType
from icure_sync._generated import crypto as _crypto
from icure_sync._generated import medtech as _medtech
from icure_sync._generated import storage as _storage
from icure_sync._plain import adapt, callback
from icure_sync._twins import Twin

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Callable, Iterable

    from icure_async.crypto.protocol import Crypto
    from icure_async.hooks import Hook
    from icure_async.models.flavour import Flavour
    from icure_async.models.key_question import KeyQuestion
    from icure_async.storage.protocols import KeyStorage, Storage
    from icure_sync._generated.crypto import BlockingCrypto
    from icure_sync._generated.medtech import AnonymousMedTechApi, MedTechApi
    from icure_sync._generated.storage import BlockingKeyStorage, BlockingStorage

__all__ = ["AnonymousMedTechApiBuilder", "MedTechApiBuilder"]


class AnonymousMedTechApiBuilder(Twin[AsyncAnonymousMedTechApiBuilder]):
    """Builds an :class:`AnonymousMedTechApi`: for registering, and for logging in with a code.

    Example:
        >>> builder = AnonymousMedTechApiBuilder.from_env(user_type="patient")
        >>> with builder.with_storage_directory(folder).build() as anonymous_api:
        ...     process = anonymous_api.authentication_api.start_authentication(
        ...         captcha, phone_number="+32470666666", healthcare_professional_id=professional_id
        ...     )
    """

    _portable = True

    def __init__(self) -> None:
        self._hold(AsyncAnonymousMedTechApiBuilder())

    def with_icure_base_url(self, icure_base_url: str) -> Self:
        """Set the URL of the backend, with or without ``/rest/v1`` or ``/rest/v2`` at its end.

        Which of the two is spoken is the matter of :meth:`with_flavour`.

        Args:
            icure_base_url: ``http(s)://host[:port][/path]``. The host may be an IPv6 address in
                brackets, or have letters outside of ASCII.

        Raises:
            ConfigurationError: it is malformed.

        Example:
            >>> MedTechApiBuilder().with_icure_base_url("https://kraken.example/rest/v1")
            MedTechApiBuilder(base_url='https://kraken.example/rest/v1')
        """
        self._call(self._inner.with_icure_base_url, icure_base_url)
        return self

    def with_flavour(self, flavour: Flavour) -> Self:
        """Set which iCure is spoken with; the default is that of 2023.

        It decides about paths, login, and the form in which keys and records are written. Records
        of both forms are read in either flavour.

        Args:
            flavour: ``"medtech"`` for the iCure of 2023 (rest/v1), ``"cardinal"`` for today's
                (rest/v2), with which the Cardinal SDK works.

        Raises:
            ConfigurationError: it is another one.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_flavour("cardinal")
        """
        self._call(self._inner.with_flavour, flavour)
        return self

    def with_project_id(self, project_id: str) -> Self:
        """Set the project (application) that users log in to, in the cardinal flavour.

        Raises:
            ConfigurationError: it is empty, or can't be part of a URL.

        Example:
            >>> builder = (
            ...     MedTechApiBuilder.from_env().with_flavour("cardinal").with_project_id("my-app")
            ... )
        """
        self._call(self._inner.with_project_id, project_id)
        return self

    def with_group_id(self, group_id: str) -> Self:
        """Set the group to work in, in the cardinal flavour: for users of more than one.

        A login whose user is not in this group fails, before anything else is sent.

        Raises:
            ConfigurationError: it is empty, or can't be part of a URL.

        Example:
            >>> builder = (
            ...     MedTechApiBuilder.from_env().with_flavour("cardinal").with_group_id("clinic")
            ... )
        """
        self._call(self._inner.with_group_id, group_id)
        return self

    def with_msg_gw_url(self, msg_gw_url: str) -> Self:
        """Set the URL of the message gateway; the default is iCure's.

        Args:
            msg_gw_url: ``http(s)://host[:port][/path]``, as for the backend.

        Raises:
            ConfigurationError: it is malformed.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_msg_gw_url("https://gateway.example")
        """
        self._call(self._inner.with_msg_gw_url, msg_gw_url)
        return self

    def with_msg_gw_spec_id(self, msg_gw_spec_id: str) -> Self:
        """Set the id of the application at the message gateway.

        Raises:
            ConfigurationError: it is empty, or can't be part of a URL.

        Example:
            >>> builder = AnonymousMedTechApiBuilder().with_msg_gw_spec_id("my-app")
        """
        self._call(self._inner.with_msg_gw_spec_id, msg_gw_spec_id)
        return self

    def with_auth_process_by_email_id(self, auth_process_by_email_id: str) -> Self:
        """Set the id of the gateway's process that sends codes by email.

        Raises:
            ConfigurationError: it is empty, or can't be part of a URL.

        Example:
            >>> builder = AnonymousMedTechApiBuilder().with_auth_process_by_email_id(
            ...     "patient-email"
            ... )
        """
        self._call(self._inner.with_auth_process_by_email_id, auth_process_by_email_id)
        return self

    def with_auth_process_by_sms_id(self, auth_process_by_sms_id: str) -> Self:
        """Set the id of the gateway's process that sends codes by SMS.

        Raises:
            ConfigurationError: it is empty, or can't be part of a URL.

        Example:
            >>> builder = AnonymousMedTechApiBuilder().with_auth_process_by_sms_id("patient-sms")
        """
        self._call(self._inner.with_auth_process_by_sms_id, auth_process_by_sms_id)
        return self

    def with_crypto(self, crypto: BlockingCrypto | Crypto) -> Self:
        """Set the cryptographic primitives; the default is software.

        Raises:
            ConfigurationError: it lacks a method of ``Crypto`` that is not of today's flavour only.

        Example:
            >>> MedTechApiBuilder().with_crypto(object())
            Traceback (most recent call last):
            ConfigurationError: ...
        """
        self._call(self._inner.with_crypto, adapt(crypto, _crypto.CRYPTO_METHODS))
        return self

    def with_storage(self, storage: BlockingStorage | Storage) -> Self:
        """Set where state lives, such as a completion under way; the default is memory.

        Raises:
            ConfigurationError: it lacks a method of ``Storage``.

        Example:
            >>> from icure_sync.storage import FileStorage
            >>> builder = MedTechApiBuilder.from_env().with_storage(FileStorage(folder / "state"))
        """
        self._call(self._inner.with_storage, adapt(storage, _storage.STORAGE_METHODS))
        return self

    def with_key_storage(self, key_storage: BlockingKeyStorage | KeyStorage) -> Self:
        """Set where private keys live.

        The default is memory: keys are lost with the program, and so are the records encrypted
        for them, unless the caller keeps ``AuthenticationResult.key_pairs``.

        Raises:
            ConfigurationError: it lacks a method of ``KeyStorage``.

        Example:
            >>> from icure_sync.storage import FileKeyStorage
            >>> builder = MedTechApiBuilder.from_env().with_key_storage(
            ...     FileKeyStorage(folder / "keys")
            ... )
        """
        self._call(self._inner.with_key_storage, adapt(key_storage, _storage.KEY_STORAGE_METHODS))
        return self

    def with_storage_directory(self, directory: str | os.PathLike[str]) -> Self:
        """Keep state and private keys in files of a folder that only this user can read.

        Raises:
            ConfigurationError: it is no path.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_storage_directory(
            ...     "~/.local/share/my-app"
            ... )
        """
        self._call(self._inner.with_storage_directory, directory)
        return self

    def with_timeout(self, seconds: float) -> Self:
        """Set the time limit of one request with its answer; the default is 30 s.

        It does not count the wait for a free connection, see :meth:`with_connection_limit`.

        Raises:
            ConfigurationError: it is not positive.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_timeout(10)
        """
        self._call(self._inner.with_timeout, seconds)
        return self

    def with_max_response_size(self, size: int) -> Self:
        """Set how large an answer may be; the default is 64 MiB.

        A larger one is not read to its end, and the call raises a ``ResponseTooLargeError``. Calls
        that read many records ask for fewer at a time then.

        Args:
            size: bytes, after decompression.

        Raises:
            ConfigurationError: it is not a positive whole number.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_max_response_size(8 * 1024 * 1024)
        """
        self._call(self._inner.with_max_response_size, size)
        return self

    def with_connection_limit(self, limit: int) -> Self:
        """Set how many connections there may be at a time; the default is 100.

        Further requests wait for a free one, and their time limits begin when they have it.

        Raises:
            ConfigurationError: it is not a positive whole number.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_connection_limit(10)
        """
        self._call(self._inner.with_connection_limit, limit)
        return self

    def with_hooks(self, *hooks: Hook) -> Self:
        """Have hooks told of each attempt to make a request, for traces and metrics.

        They see routes and never an id, a login, a code, a header or a body.
        ``opentelemetry_hooks()`` of the service kit returns some for OpenTelemetry.

        Args:
            hooks: objects of classes derived from ``Hook``, in addition to those given before.

        Raises:
            ConfigurationError: one is something else, or its methods are not plain functions.

        Example:
            >>> from icure_sync.services import Hook
            >>> builder = MedTechApiBuilder.from_env().with_hooks(Hook())
        """
        self._call(self._inner.with_hooks, *hooks)
        return self

    def with_proxy(self, proxy: str) -> Self:
        """Set the HTTP proxy for all requests, whatever the environment says.

        By default the proxies that ``HTTPS_PROXY`` and ``HTTP_PROXY`` name are used, except for the
        hosts that ``NO_PROXY`` names, and for loopback addresses.

        Args:
            proxy: ``http(s)://[user:password@]host[:port]``, with %-escapes in user name and
                password. It is in no message and no repr.

        Raises:
            ConfigurationError: it is malformed.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_proxy(
            ...     "http://proxy.clinic.example:3128"
            ... )
        """
        self._call(self._inner.with_proxy, proxy)
        return self

    def with_ssl_context(self, ssl_context: ssl.SSLContext) -> Self:
        """Set what certificates are checked with, for a private authority or a client certificate.

        By default the certificates are trusted that the system trusts, or those in the file that
        ``SSL_CERT_FILE`` names.

        Args:
            ssl_context: made by ``ssl.create_default_context()``, for example.

        Raises:
            ConfigurationError: it is no SSL context, or is one for servers.

        Example:
            >>> import ssl
            >>> builder = MedTechApiBuilder.from_env().with_ssl_context(
            ...     ssl.create_default_context()
            ... )
        """
        self._call(self._inner.with_ssl_context, ssl_context)
        return self

    def with_public_key_policy(self, policy: Callable[[KeyQuestion], bool]) -> Self:
        """Have the application confirm every key before anything is written with it.

        The policy is asked about public keys, of other data owners and of the user's other devices,
        and about exchange keys that are there already: in short, about each key that was not made
        on this device. Where it says no, nothing is written that this key opens. Confirmed keys are
        remembered in the storage, so that a device asks once. By default every key that the backend
        names is trusted, as in the reference.

        Args:
            policy: returns whether the key is what it is said to be. Compare
                ``KeyQuestion.digest`` with the data owner by another channel.

        Raises:
            ConfigurationError: it cannot be called.

        Example:
            >>> def is_right(question):
            ...     return question.digest in {"the digests that people have read to you"}
            >>> builder = MedTechApiBuilder.from_env().with_public_key_policy(is_right)
        """
        self._call(self._inner.with_public_key_policy, callback(policy))
        return self

    def with_pinned_keys(self, digests: Iterable[str]) -> Self:
        """Write only with keys that were made on this device, or have one of these digests.

        Args:
            digests: SHA-256 of each whole key, in hex (64 characters): ``PublicKey.digest`` of
                public keys, ``KeyQuestion.digest`` of exchange keys.

        Raises:
            ConfigurationError: one of them is no such digest.

        Example:
            >>> keys = api.data_owner_api.get_public_keys_of(colleague_id)
            >>> builder = MedTechApiBuilder.from_env().with_pinned_keys(key.digest for key in keys)
        """
        self._call(self._inner.with_pinned_keys, digests)
        return self

    def with_trust_on_first_use(self, confirm_change: Callable[[KeyQuestion], bool]) -> Self:
        """Trust the first keys that the backend names for somebody, and have changes confirmed.

        Keys that were used are remembered in the storage, which has to outlive the program. Other
        public keys of the user's own count as changed where one of its key pairs is on this device.
        Keys that were used before, without a policy, are trusted as well.

        Args:
            confirm_change: asked about a key of somebody for whom this device remembers others;
                returns whether it is right.

        Raises:
            ConfigurationError: it cannot be called. ``build()`` raises it where the storage is in
                memory.

        Example:
            >>> def confirm_change(question):
            ...     return False  # or ask the person, who compares question.digest
            >>> builder = MedTechApiBuilder.from_env().with_storage_directory(folder)
            >>> builder = builder.with_trust_on_first_use(confirm_change)
        """
        self._call(self._inner.with_trust_on_first_use, callback(confirm_change))
        return self

    def on_key_change(self, notify: Callable[[KeyQuestion], None]) -> Self:
        """Have a function told of each public key of another data owner that has changed.

        For programs without a policy, which encrypt for the new key all the same. The change is in
        the log too, and in ``AuthenticationResult.warnings``.

        Args:
            notify: called before anything is encrypted for the new key; what it raises ends the
                call.

        Raises:
            ConfigurationError: it cannot be called.

        Example:
            >>> def tell(question):
            ...     print("A key of", question.data_owner_id, "is new")
            >>> builder = MedTechApiBuilder.from_env().on_key_change(tell)
        """
        self._call(self._inner.on_key_change, callback(notify))
        return self

    def with_in_memory_keys(self) -> Self:
        """Say that keys in memory are meant: the program keeps them elsewhere, or needs no record.

        Without it, publishing a key pair that is in memory only gives a
        :class:`~icure_sync.KeysInMemoryWarning`.

        Example:
            >>> builder = AnonymousMedTechApiBuilder.from_env().with_in_memory_keys()
        """
        self._call(self._inner.with_in_memory_keys)
        return self

    def with_encrypted_fields(self, *, patient: Iterable[str] = ()) -> Self:
        """Have further fields of records encrypted, beyond those that always are.

        All with whom a record is shared read them as before: with this SDK, with or without this
        option, with the reference and with today's iCure. The backend does not, so that a filter
        by one of them is refused. Where one of ``first_name``, ``last_name``, ``maiden_name`` and
        ``alias`` is encrypted, ``names``, which repeats them, is too. Where ``names`` is chosen
        itself, saving fills those of the four that stay in clear from it no more.

        Other SDKs write these fields in clear again when they save a record. That is seen on
        reading: it is in the log, ``exposed_fields`` of the record names them, and saving the
        record encrypts them again. So it is with records that were created without this option.

        It is not for the user's own record, of which the gateway and the backend need the fields in
        clear: there they stay so, and changing one of them is refused. Change it with an API object
        that was built without this option.

        Args:
            patient: attributes of :class:`~icure_sync.Patient`, for example
                ``["first_name", "last_name", "addresses", "date_of_birth"]``. A later call replaces
                them.

        Raises:
            ValidationError: one is unknown, or backends need it in clear, such as ``id``, ``rev``,
                ``labels`` and ``active``.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_encrypted_fields(patient=["addresses"])
        """
        self._call(self._inner.with_encrypted_fields, patient=patient)
        return self

    def prevent_cookie_usage(self) -> Self:
        """Use Basic authentication on every request, as the reference does under this name.

        Example:
            >>> builder = MedTechApiBuilder.from_env().prevent_cookie_usage()
        """
        self._call(self._inner.prevent_cookie_usage)
        return self

    @classmethod
    def from_env(cls, *, user_type: UserType | None = None) -> Self:
        """Return a builder with the options found in the environment.

        Read are ``ICURE_URL``, ``ICURE_MSG_GTW_URL``, ``SPEC_ID`` and the process ids
        ``AUTH_BY_EMAIL_HCP_PROCESS_ID`` and ``AUTH_BY_SMS_HCP_PROCESS_ID``, or, for patients,
        ``AUTH_BY_EMAIL_PATIENT_PROCESS_ID`` and ``AUTH_BY_SMS_PATIENT_PROCESS_ID``; and
        ``ICURE_FLAVOUR``, ``ICURE_PROJECT_ID`` and ``ICURE_GROUP_ID``.

        Args:
            user_type: whose process ids to take; by default those of healthcare professionals if
                there are any, else those of patients.

        Raises:
            ConfigurationError: one is missing or malformed, and the message names it; or the user
                type is unknown.

        Example:
            >>> builder = AnonymousMedTechApiBuilder.from_env(user_type="patient")
        """
        return cls._made_by("from_env", user_type=user_type)

    def build(self) -> AnonymousMedTechApi:
        """Return the API object; entered with ``with``, it is closed at the end. Makes no request.

        Raises:
            ConfigurationError: an option is missing; the message names the method to call.

        Example:
            >>> with AnonymousMedTechApiBuilder.from_env().build() as anonymous_api:
            ...     key_pair = anonymous_api.generate_rsa_keypair()
            >>> len(key_pair.fingerprint)
            32
        """
        return _medtech.AnonymousMedTechApi._wrap(self._run(self._inner.build))


class MedTechApiBuilder(Twin[AsyncMedTechApiBuilder]):
    """Builds a :class:`MedTechApi` from a user name and a password or token.

    Example:
        >>> builder = (
        ...     MedTechApiBuilder.from_env()
        ...     .with_storage_directory(folder)
        ...     .with_user_name(login)
        ...     .with_password(token)
        ... )
        >>> with builder.build() as api:
        ...     user = api.user_api.get_logged_user()
    """

    _portable = True

    def __init__(self) -> None:
        self._hold(AsyncMedTechApiBuilder())

    def with_icure_base_url(self, icure_base_url: str) -> Self:
        """Set the URL of the backend, with or without ``/rest/v1`` or ``/rest/v2`` at its end.

        Which of the two is spoken is the matter of :meth:`with_flavour`.

        Args:
            icure_base_url: ``http(s)://host[:port][/path]``. The host may be an IPv6 address in
                brackets, or have letters outside of ASCII.

        Raises:
            ConfigurationError: it is malformed.

        Example:
            >>> MedTechApiBuilder().with_icure_base_url("https://kraken.example/rest/v1")
            MedTechApiBuilder(base_url='https://kraken.example/rest/v1')
        """
        self._call(self._inner.with_icure_base_url, icure_base_url)
        return self

    def with_flavour(self, flavour: Flavour) -> Self:
        """Set which iCure is spoken with; the default is that of 2023.

        It decides about paths, login, and the form in which keys and records are written. Records
        of both forms are read in either flavour.

        Args:
            flavour: ``"medtech"`` for the iCure of 2023 (rest/v1), ``"cardinal"`` for today's
                (rest/v2), with which the Cardinal SDK works.

        Raises:
            ConfigurationError: it is another one.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_flavour("cardinal")
        """
        self._call(self._inner.with_flavour, flavour)
        return self

    def with_project_id(self, project_id: str) -> Self:
        """Set the project (application) that users log in to, in the cardinal flavour.

        Raises:
            ConfigurationError: it is empty, or can't be part of a URL.

        Example:
            >>> builder = (
            ...     MedTechApiBuilder.from_env().with_flavour("cardinal").with_project_id("my-app")
            ... )
        """
        self._call(self._inner.with_project_id, project_id)
        return self

    def with_group_id(self, group_id: str) -> Self:
        """Set the group to work in, in the cardinal flavour: for users of more than one.

        A login whose user is not in this group fails, before anything else is sent.

        Raises:
            ConfigurationError: it is empty, or can't be part of a URL.

        Example:
            >>> builder = (
            ...     MedTechApiBuilder.from_env().with_flavour("cardinal").with_group_id("clinic")
            ... )
        """
        self._call(self._inner.with_group_id, group_id)
        return self

    def with_msg_gw_url(self, msg_gw_url: str) -> Self:
        """Set the URL of the message gateway; the default is iCure's.

        Args:
            msg_gw_url: ``http(s)://host[:port][/path]``, as for the backend.

        Raises:
            ConfigurationError: it is malformed.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_msg_gw_url("https://gateway.example")
        """
        self._call(self._inner.with_msg_gw_url, msg_gw_url)
        return self

    def with_msg_gw_spec_id(self, msg_gw_spec_id: str) -> Self:
        """Set the id of the application at the message gateway.

        Raises:
            ConfigurationError: it is empty, or can't be part of a URL.

        Example:
            >>> builder = AnonymousMedTechApiBuilder().with_msg_gw_spec_id("my-app")
        """
        self._call(self._inner.with_msg_gw_spec_id, msg_gw_spec_id)
        return self

    def with_auth_process_by_email_id(self, auth_process_by_email_id: str) -> Self:
        """Set the id of the gateway's process that sends codes by email.

        Raises:
            ConfigurationError: it is empty, or can't be part of a URL.

        Example:
            >>> builder = AnonymousMedTechApiBuilder().with_auth_process_by_email_id(
            ...     "patient-email"
            ... )
        """
        self._call(self._inner.with_auth_process_by_email_id, auth_process_by_email_id)
        return self

    def with_auth_process_by_sms_id(self, auth_process_by_sms_id: str) -> Self:
        """Set the id of the gateway's process that sends codes by SMS.

        Raises:
            ConfigurationError: it is empty, or can't be part of a URL.

        Example:
            >>> builder = AnonymousMedTechApiBuilder().with_auth_process_by_sms_id("patient-sms")
        """
        self._call(self._inner.with_auth_process_by_sms_id, auth_process_by_sms_id)
        return self

    def with_crypto(self, crypto: BlockingCrypto | Crypto) -> Self:
        """Set the cryptographic primitives; the default is software.

        Raises:
            ConfigurationError: it lacks a method of ``Crypto`` that is not of today's flavour only.

        Example:
            >>> MedTechApiBuilder().with_crypto(object())
            Traceback (most recent call last):
            ConfigurationError: ...
        """
        self._call(self._inner.with_crypto, adapt(crypto, _crypto.CRYPTO_METHODS))
        return self

    def with_storage(self, storage: BlockingStorage | Storage) -> Self:
        """Set where state lives, such as a completion under way; the default is memory.

        Raises:
            ConfigurationError: it lacks a method of ``Storage``.

        Example:
            >>> from icure_sync.storage import FileStorage
            >>> builder = MedTechApiBuilder.from_env().with_storage(FileStorage(folder / "state"))
        """
        self._call(self._inner.with_storage, adapt(storage, _storage.STORAGE_METHODS))
        return self

    def with_key_storage(self, key_storage: BlockingKeyStorage | KeyStorage) -> Self:
        """Set where private keys live.

        The default is memory: keys are lost with the program, and so are the records encrypted
        for them, unless the caller keeps ``AuthenticationResult.key_pairs``.

        Raises:
            ConfigurationError: it lacks a method of ``KeyStorage``.

        Example:
            >>> from icure_sync.storage import FileKeyStorage
            >>> builder = MedTechApiBuilder.from_env().with_key_storage(
            ...     FileKeyStorage(folder / "keys")
            ... )
        """
        self._call(self._inner.with_key_storage, adapt(key_storage, _storage.KEY_STORAGE_METHODS))
        return self

    def with_storage_directory(self, directory: str | os.PathLike[str]) -> Self:
        """Keep state and private keys in files of a folder that only this user can read.

        Raises:
            ConfigurationError: it is no path.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_storage_directory(
            ...     "~/.local/share/my-app"
            ... )
        """
        self._call(self._inner.with_storage_directory, directory)
        return self

    def with_timeout(self, seconds: float) -> Self:
        """Set the time limit of one request with its answer; the default is 30 s.

        It does not count the wait for a free connection, see :meth:`with_connection_limit`.

        Raises:
            ConfigurationError: it is not positive.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_timeout(10)
        """
        self._call(self._inner.with_timeout, seconds)
        return self

    def with_max_response_size(self, size: int) -> Self:
        """Set how large an answer may be; the default is 64 MiB.

        A larger one is not read to its end, and the call raises a ``ResponseTooLargeError``. Calls
        that read many records ask for fewer at a time then.

        Args:
            size: bytes, after decompression.

        Raises:
            ConfigurationError: it is not a positive whole number.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_max_response_size(8 * 1024 * 1024)
        """
        self._call(self._inner.with_max_response_size, size)
        return self

    def with_connection_limit(self, limit: int) -> Self:
        """Set how many connections there may be at a time; the default is 100.

        Further requests wait for a free one, and their time limits begin when they have it.

        Raises:
            ConfigurationError: it is not a positive whole number.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_connection_limit(10)
        """
        self._call(self._inner.with_connection_limit, limit)
        return self

    def with_hooks(self, *hooks: Hook) -> Self:
        """Have hooks told of each attempt to make a request, for traces and metrics.

        They see routes and never an id, a login, a code, a header or a body.
        ``opentelemetry_hooks()`` of the service kit returns some for OpenTelemetry.

        Args:
            hooks: objects of classes derived from ``Hook``, in addition to those given before.

        Raises:
            ConfigurationError: one is something else, or its methods are not plain functions.

        Example:
            >>> from icure_sync.services import Hook
            >>> builder = MedTechApiBuilder.from_env().with_hooks(Hook())
        """
        self._call(self._inner.with_hooks, *hooks)
        return self

    def with_proxy(self, proxy: str) -> Self:
        """Set the HTTP proxy for all requests, whatever the environment says.

        By default the proxies that ``HTTPS_PROXY`` and ``HTTP_PROXY`` name are used, except for the
        hosts that ``NO_PROXY`` names, and for loopback addresses.

        Args:
            proxy: ``http(s)://[user:password@]host[:port]``, with %-escapes in user name and
                password. It is in no message and no repr.

        Raises:
            ConfigurationError: it is malformed.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_proxy(
            ...     "http://proxy.clinic.example:3128"
            ... )
        """
        self._call(self._inner.with_proxy, proxy)
        return self

    def with_ssl_context(self, ssl_context: ssl.SSLContext) -> Self:
        """Set what certificates are checked with, for a private authority or a client certificate.

        By default the certificates are trusted that the system trusts, or those in the file that
        ``SSL_CERT_FILE`` names.

        Args:
            ssl_context: made by ``ssl.create_default_context()``, for example.

        Raises:
            ConfigurationError: it is no SSL context, or is one for servers.

        Example:
            >>> import ssl
            >>> builder = MedTechApiBuilder.from_env().with_ssl_context(
            ...     ssl.create_default_context()
            ... )
        """
        self._call(self._inner.with_ssl_context, ssl_context)
        return self

    def with_public_key_policy(self, policy: Callable[[KeyQuestion], bool]) -> Self:
        """Have the application confirm every key before anything is written with it.

        The policy is asked about public keys, of other data owners and of the user's other devices,
        and about exchange keys that are there already: in short, about each key that was not made
        on this device. Where it says no, nothing is written that this key opens. Confirmed keys are
        remembered in the storage, so that a device asks once. By default every key that the backend
        names is trusted, as in the reference.

        Args:
            policy: returns whether the key is what it is said to be. Compare
                ``KeyQuestion.digest`` with the data owner by another channel.

        Raises:
            ConfigurationError: it cannot be called.

        Example:
            >>> def is_right(question):
            ...     return question.digest in {"the digests that people have read to you"}
            >>> builder = MedTechApiBuilder.from_env().with_public_key_policy(is_right)
        """
        self._call(self._inner.with_public_key_policy, callback(policy))
        return self

    def with_pinned_keys(self, digests: Iterable[str]) -> Self:
        """Write only with keys that were made on this device, or have one of these digests.

        Args:
            digests: SHA-256 of each whole key, in hex (64 characters): ``PublicKey.digest`` of
                public keys, ``KeyQuestion.digest`` of exchange keys.

        Raises:
            ConfigurationError: one of them is no such digest.

        Example:
            >>> keys = api.data_owner_api.get_public_keys_of(colleague_id)
            >>> builder = MedTechApiBuilder.from_env().with_pinned_keys(key.digest for key in keys)
        """
        self._call(self._inner.with_pinned_keys, digests)
        return self

    def with_trust_on_first_use(self, confirm_change: Callable[[KeyQuestion], bool]) -> Self:
        """Trust the first keys that the backend names for somebody, and have changes confirmed.

        Keys that were used are remembered in the storage, which has to outlive the program. Other
        public keys of the user's own count as changed where one of its key pairs is on this device.
        Keys that were used before, without a policy, are trusted as well.

        Args:
            confirm_change: asked about a key of somebody for whom this device remembers others;
                returns whether it is right.

        Raises:
            ConfigurationError: it cannot be called. ``build()`` raises it where the storage is in
                memory.

        Example:
            >>> def confirm_change(question):
            ...     return False  # or ask the person, who compares question.digest
            >>> builder = MedTechApiBuilder.from_env().with_storage_directory(folder)
            >>> builder = builder.with_trust_on_first_use(confirm_change)
        """
        self._call(self._inner.with_trust_on_first_use, callback(confirm_change))
        return self

    def on_key_change(self, notify: Callable[[KeyQuestion], None]) -> Self:
        """Have a function told of each public key of another data owner that has changed.

        For programs without a policy, which encrypt for the new key all the same. The change is in
        the log too, and in ``AuthenticationResult.warnings``.

        Args:
            notify: called before anything is encrypted for the new key; what it raises ends the
                call.

        Raises:
            ConfigurationError: it cannot be called.

        Example:
            >>> def tell(question):
            ...     print("A key of", question.data_owner_id, "is new")
            >>> builder = MedTechApiBuilder.from_env().on_key_change(tell)
        """
        self._call(self._inner.on_key_change, callback(notify))
        return self

    def with_in_memory_keys(self) -> Self:
        """Say that keys in memory are meant: the program keeps them elsewhere, or needs no record.

        Without it, publishing a key pair that is in memory only gives a
        :class:`~icure_sync.KeysInMemoryWarning`.

        Example:
            >>> builder = AnonymousMedTechApiBuilder.from_env().with_in_memory_keys()
        """
        self._call(self._inner.with_in_memory_keys)
        return self

    def with_encrypted_fields(self, *, patient: Iterable[str] = ()) -> Self:
        """Have further fields of records encrypted, beyond those that always are.

        All with whom a record is shared read them as before: with this SDK, with or without this
        option, with the reference and with today's iCure. The backend does not, so that a filter
        by one of them is refused. Where one of ``first_name``, ``last_name``, ``maiden_name`` and
        ``alias`` is encrypted, ``names``, which repeats them, is too. Where ``names`` is chosen
        itself, saving fills those of the four that stay in clear from it no more.

        Other SDKs write these fields in clear again when they save a record. That is seen on
        reading: it is in the log, ``exposed_fields`` of the record names them, and saving the
        record encrypts them again. So it is with records that were created without this option.

        It is not for the user's own record, of which the gateway and the backend need the fields in
        clear: there they stay so, and changing one of them is refused. Change it with an API object
        that was built without this option.

        Args:
            patient: attributes of :class:`~icure_sync.Patient`, for example
                ``["first_name", "last_name", "addresses", "date_of_birth"]``. A later call replaces
                them.

        Raises:
            ValidationError: one is unknown, or backends need it in clear, such as ``id``, ``rev``,
                ``labels`` and ``active``.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_encrypted_fields(patient=["addresses"])
        """
        self._call(self._inner.with_encrypted_fields, patient=patient)
        return self

    def prevent_cookie_usage(self) -> Self:
        """Use Basic authentication on every request, as the reference does under this name.

        Example:
            >>> builder = MedTechApiBuilder.from_env().prevent_cookie_usage()
        """
        self._call(self._inner.prevent_cookie_usage)
        return self

    @classmethod
    def from_env(cls, *, user_type: UserType | None = None) -> Self:
        """Return a builder with the options found in the environment.

        ``ICURE_URL`` is needed; the others of :meth:`AnonymousMedTechApiBuilder.from_env` are taken
        where they are set. User name and password are never read from the environment.

        Args:
            user_type: whose process ids to take, as for the anonymous builder.

        Raises:
            ConfigurationError: ``ICURE_URL`` is missing, one is malformed, or the user type is
                unknown.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_user_name(login).with_password(token)
        """
        return cls._made_by("from_env", user_type=user_type)

    def with_user_name(self, user_name: str) -> Self:
        """Set the user name: login, email address, phone number or user id.

        Raises:
            ConfigurationError: it is empty.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_user_name("+32470123456")
        """
        self._call(self._inner.with_user_name, user_name)
        return self

    def with_password(self, password: str, *, expires_at: int | None = None) -> Self:
        """Set the password or token of the user.

        Args:
            password: the password, or a token.
            expires_at: when a token ends, in epoch milliseconds, where the application has kept
                that: ``token_expires_at`` of the API object then says it from the beginning.

        Raises:
            ConfigurationError: it is empty, or the moment is no integer.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_user_name(login).with_password(token)
        """
        self._call(self._inner.with_password, password, expires_at=expires_at)
        return self

    def with_second_factor(self, get_code: Callable[[], str]) -> Self:
        """Have a function supply the code of a user who logs in with a second factor.

        It is called at each login with the password that the backend wants a code for: at the first
        call of the API object, and again when its session can't be renewed, after a day. A code is
        sent once. Tokens need no code: a program that runs unattended logs in with one of
        ``user_api.create_token()``.

        Args:
            get_code: returns the code, as a text; what it raises ends the call. It must not use the
                API object, which waits for it.

        Raises:
            ConfigurationError: it cannot be called. ``build()`` raises it next to
                ``prevent_cookie_usage()``, where each request would need a code.

        Example:
            >>> def ask():
            ...     return input("Code of your authenticator app: ")
            >>> builder = MedTechApiBuilder.from_env().with_second_factor(ask)
        """
        self._call(self._inner.with_second_factor, callback(get_code))
        return self

    def build(self) -> MedTechApi:
        """Return the API object; entered with ``with``, it is closed at the end. Makes no request.

        Raises:
            ConfigurationError: an option is missing; the message names the method to call.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_user_name(login).with_password(token)
            >>> with builder.build() as api:
            ...     user_id, group_id = api.identify()
        """
        return _medtech.MedTechApi._wrap(self._run(self._inner.build))
