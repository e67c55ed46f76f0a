"""The two builders: collect options, check them, build."""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
import os
import re
import ssl
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, Self, TypeVar, cast

import aiohttp
import attrs
import yarl

from icure_async.cautions import InsecureConnectionWarning, warn_once
from icure_async.crypto.protocol import METHODS_OF_TODAY, Crypto
from icure_async.environment import (
    FLAVOUR,
    GATEWAY_URL,
    GROUP_ID,
    PROJECT_ID,
    SPEC_ID,
    URL,
    process_variable,
    value_of,
)
from icure_async.errors import (
    ConfigurationError,
    UnknownNameError,
    ValidationError,
    WrongArgumentsError,
)
from icure_async.hooks import Hook
from icure_async.medtech import AnonymousMedTechApi, MedTechApi, Settings
from icure_async.mistakes import explained
from icure_async.models.base import Model
from icure_async.models.flavour import FLAVOURS, Flavour
from icure_async.models.wire import prepare
from icure_async.rest import retries
from icure_async.rest.connection import Connection, ConnectionOptions, require_asyncio
from icure_async.rest.dialects import dialect_of
from icure_async.rest.proxies import Proxy, is_loopback
from icure_async.rest.transport import DEFAULT_MAX_RESPONSE_SIZE, DEFAULT_TIMEOUT
from icure_async.rest.urls import (
    DEFAULT_GATEWAY_URL,
    normalise_base_url,
    normalise_gateway_url,
    path,
    root_of,
)
from icure_async.secret_holders import SecretHolder
from icure_async.storage.files import FileStorage
from icure_async.storage.key_storage import FileKeyStorage, MemoryKeyStorage
from icure_async.storage.memory import MemoryStorage
from icure_async.storage.protocols import KeyStorage, Storage
from icure_async.threads import OTHERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Generator, Mapping
    from types import TracebackType

    from icure_async.entities.kinds import EntityKind
    from icure_async.models.key_question import KeyQuestion
    from icure_async.models.patient import EncryptedPatient, Patient

__all__ = [
    "AnonymousMedTechApiBuilder",
    "Building",
    "MedTechApiBuilder",
    "UserType",
    "sharing_connection",
]

UserType = Literal["hcp", "patient"]
"""The people that a process registers: healthcare professionals or patients."""

_USER_TYPES: Final[tuple[UserType, ...]] = ("hcp", "patient")
_USED_BY_BUILT_APIS: Final = (
    "icure_async.authentication.progress",
    "icure_async.crypto.software",
    "icure_async.parts",
    "icure_async.rest.message_gateway",
    "icure_async.rest.second_factor",
    "icure_async.rest.session",
)
_DIGEST: Final = re.compile("[0-9a-f]{64}")

_NOT_BUILT: Final = (
    "The API object is not built yet: write `async with builder.build() as api:`, or "
    "`api = await builder.build()` and `await api.aclose()` at the end. Code without async uses "
    "icure_sync."
)

ApiT = TypeVar("ApiT", bound=AnonymousMedTechApi | MedTechApi)
BuilderT = TypeVar("BuilderT", bound="_Builder")


class Building(Generic[ApiT]):
    """An API object about to be built: await it, or enter it with ``async with``."""

    def __init__(
        self,
        make: Callable[[Connection], ApiT],
        connect: Callable[[], Connection],
    ) -> None:
        self._make = make
        self._connect = connect
        self._api: ApiT | None = None

    def __await__(self) -> Generator[object, None, ApiT]:
        return self._build().__await__()

    async def __aenter__(self) -> ApiT:
        self._api = await self._build()
        return self._api

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._api is not None:
            await self._api.aclose()

    if not TYPE_CHECKING:
        # Type checkers say it themselves.

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):
                raise AttributeError(name)
            raise UnknownNameError(_NOT_BUILT, name=name, obj=self)

        def __enter__(self) -> NoReturn:
            raise WrongArgumentsError(_NOT_BUILT)

        def __exit__(self, *_: object) -> None:
            """Never reached; ``with`` asks whether it is there."""

    async def _build(self) -> ApiT:
        require_asyncio()
        await OTHERS.run(_warm_up)
        return self._make(self._connect())


async def _is_pinned(digests: Container[str], question: KeyQuestion) -> bool:
    return question.digest in digests


async def _is_expected(
    confirm_change: Callable[[KeyQuestion], Awaitable[bool]], question: KeyQuestion
) -> bool:
    from icure_async.keys.trust import answer_of

    return question.history != "changed" or await answer_of(
        confirm_change, question, "with_trust_on_first_use"
    )


@explained
class _Builder(SecretHolder):
    """The options both builders have."""

    def __init__(self) -> None:
        self._base_url: str | None = None
        self._flavour: Flavour = "medtech"
        self._project_id: str | None = None
        self._group_id: str | None = None
        self._msg_gw_url = DEFAULT_GATEWAY_URL
        self._msg_gw_spec_id: str | None = None
        self._auth_process_by_email_id: str | None = None
        self._auth_process_by_sms_id: str | None = None
        self._crypto: Crypto | None = None
        self._storage: Storage | None = None
        self._key_storage: KeyStorage | None = None
        self._prevent_cookie_usage = False
        self._key_policy: Callable[[KeyQuestion], Awaitable[bool]] | None = None
        self._policy_needs_memory = False
        self._on_key_change: Callable[[KeyQuestion], Awaitable[None]] | None = None
        self._in_memory_keys_are_meant = False
        self._patient_kind: EntityKind[Patient, EncryptedPatient] | None = None
        self._timeout = DEFAULT_TIMEOUT
        self._max_response_size = DEFAULT_MAX_RESPONSE_SIZE
        self._client_session: aiohttp.ClientSession | None = None
        self._proxy: Proxy | None = None
        self._ssl_context: ssl.SSLContext | None = None
        self._connection_limit: int | None = None
        self._hooks: tuple[Hook, ...] = ()
        self._shared_connection: Connection | None = None

    def __copy__(self) -> Self:
        # Options to start from; in this program, they show nobody anything.
        builder = type(self).__new__(type(self))
        builder.__dict__.update(self.__dict__)
        return builder

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._base_url!r})"

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
        self._base_url = normalise_base_url(icure_base_url, "with_icure_base_url")
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
        if flavour not in FLAVOURS:
            raise ConfigurationError("with_flavour() needs 'medtech' or 'cardinal'.")
        self._flavour = flavour
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
        self._project_id = _segment(project_id, "with_project_id", "of a project")
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
        self._group_id = _segment(group_id, "with_group_id", "of a group")
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
        self._msg_gw_url = normalise_gateway_url(msg_gw_url, "with_msg_gw_url")
        return self

    def with_msg_gw_spec_id(self, msg_gw_spec_id: str) -> Self:
        """Set the id of the application at the message gateway.

        Raises:
            ConfigurationError: it is empty, or can't be part of a URL.

        Example:
            >>> builder = AnonymousMedTechApiBuilder().with_msg_gw_spec_id("my-app")
        """
        self._msg_gw_spec_id = _gateway_id(msg_gw_spec_id, "with_msg_gw_spec_id")
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
        self._auth_process_by_email_id = _gateway_id(
            auth_process_by_email_id, "with_auth_process_by_email_id"
        )
        return self

    def with_auth_process_by_sms_id(self, auth_process_by_sms_id: str) -> Self:
        """Set the id of the gateway's process that sends codes by SMS.

        Raises:
            ConfigurationError: it is empty, or can't be part of a URL.

        Example:
            >>> builder = AnonymousMedTechApiBuilder().with_auth_process_by_sms_id("patient-sms")
        """
        self._auth_process_by_sms_id = _gateway_id(
            auth_process_by_sms_id, "with_auth_process_by_sms_id"
        )
        return self

    def with_crypto(self, crypto: Crypto) -> Self:
        """Set the cryptographic primitives; the default is software.

        Raises:
            ConfigurationError: it lacks a method of ``Crypto`` that is not of today's flavour only.

        Example:
            >>> MedTechApiBuilder().with_crypto(object())
            Traceback (most recent call last):
            ConfigurationError: ...
        """
        _check_methods(crypto, Crypto, "with_crypto", optional=METHODS_OF_TODAY)
        self._crypto = crypto
        return self

    def with_storage(self, storage: Storage) -> Self:
        """Set where state lives, such as a completion under way; the default is memory.

        Raises:
            ConfigurationError: it lacks a method of ``Storage``.

        Example:
            >>> from icure_async.storage import FileStorage
            >>> builder = MedTechApiBuilder.from_env().with_storage(FileStorage(folder / "state"))
        """
        _check_methods(storage, Storage, "with_storage")
        self._storage = storage
        return self

    def with_key_storage(self, key_storage: KeyStorage) -> Self:
        """Set where private keys live.

        The default is memory: keys are lost with the program, and so are the records encrypted
        for them, unless the caller keeps ``AuthenticationResult.key_pairs``.

        Raises:
            ConfigurationError: it lacks a method of ``KeyStorage``.

        Example:
            >>> from icure_async.storage import FileKeyStorage
            >>> builder = MedTechApiBuilder.from_env().with_key_storage(
            ...     FileKeyStorage(folder / "keys")
            ... )
        """
        _check_methods(key_storage, KeyStorage, "with_key_storage")
        self._key_storage = key_storage
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
        if not isinstance(directory, str | os.PathLike) or not os.fspath(directory):
            raise ConfigurationError("with_storage_directory() needs the path of a folder.")
        try:
            folder = Path(directory).expanduser()
        except RuntimeError:
            raise ConfigurationError(
                "with_storage_directory() needs a path whose ~ stands for a known user's folder."
            ) from None
        self._storage = FileStorage(folder / "state")
        self._key_storage = FileKeyStorage(folder / "keys")
        return self

    def with_timeout(self, seconds: float) -> Self:
        """Set the time limit of one request with its answer; the default is 30 s.

        It does not count the wait for a free connection, see :meth:`with_connection_limit`.

        Raises:
            ConfigurationError: it is not positive.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_timeout(10)
        """
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not 0 < seconds < float("inf"):
            raise ConfigurationError("with_timeout() needs a positive number of seconds.")
        self._timeout = float(seconds)
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
        self._max_response_size = _positive(size, "with_max_response_size", "of bytes")
        return self

    def with_connection_limit(self, limit: int) -> Self:
        """Set how many connections there may be at a time; the default is 100.

        Further requests wait for a free one, and their time limits begin when they have it.

        Raises:
            ConfigurationError: it is not a positive whole number.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_connection_limit(10)
        """
        self._connection_limit = _positive(limit, "with_connection_limit", "of connections")
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
            >>> from icure_async.services import Hook
            >>> builder = MedTechApiBuilder.from_env().with_hooks(Hook())
        """
        for hook in hooks:
            if not isinstance(hook, Hook):
                raise ConfigurationError(
                    "with_hooks() needs objects of classes that derive from Hook, of the service "
                    "kit."
                )
            if any(map(inspect.iscoroutinefunction, (hook.start, hook.end))):
                raise ConfigurationError(
                    f"Nobody would await start() or end() of {type(hook).__name__}: write def, and "
                    "not async def."
                )
        self._hooks += hooks
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
        self._proxy = Proxy.parse(
            proxy, source="The URL given to with_proxy()", name="the proxy given to with_proxy()"
        )
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
        if (
            not isinstance(ssl_context, ssl.SSLContext)
            or ssl_context.protocol == ssl.PROTOCOL_TLS_SERVER
        ):
            raise ConfigurationError(
                "with_ssl_context() needs an ssl.SSLContext for clients, for example from "
                "ssl.create_default_context()."
            )
        self._ssl_context = ssl_context
        return self

    def with_client_session(self, client_session: aiohttp.ClientSession) -> Self:
        """Use a client session of the caller's, which is never closed by the SDK.

        It brings its own proxies, certificates and number of connections, so it can't be combined
        with the options for these.

        Raises:
            ConfigurationError: it is no aiohttp client session, or is closed.

        Example:
            >>> import aiohttp
            >>> async with aiohttp.ClientSession() as session:
            ...     builder = MedTechApiBuilder.from_env().with_client_session(session)
            ...     async with builder.with_user_name(login).with_password(token).build() as api:
            ...         user_id, group_id = await api.identify()
        """
        if not isinstance(client_session, aiohttp.ClientSession) or client_session.closed:
            raise ConfigurationError("with_client_session() needs an open aiohttp.ClientSession.")
        self._client_session = client_session
        return self

    def with_public_key_policy(self, policy: Callable[[KeyQuestion], Awaitable[bool]]) -> Self:
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
            >>> async def is_right(question):
            ...     return question.digest in {"the digests that people have read to you"}
            >>> builder = MedTechApiBuilder.from_env().with_public_key_policy(is_right)
        """
        if not callable(policy):
            raise ConfigurationError("with_public_key_policy() needs an async function.")
        self._key_policy = policy
        self._policy_needs_memory = False
        return self

    def with_pinned_keys(self, digests: Iterable[str]) -> Self:
        """Write only with keys that were made on this device, or have one of these digests.

        Args:
            digests: SHA-256 of each whole key, in hex (64 characters): ``PublicKey.digest`` of
                public keys, ``KeyQuestion.digest`` of exchange keys.

        Raises:
            ConfigurationError: one of them is no such digest.

        Example:
            >>> keys = await api.data_owner_api.get_public_keys_of(colleague_id)
            >>> builder = MedTechApiBuilder.from_env().with_pinned_keys(key.digest for key in keys)
        """
        if isinstance(digests, str) or not isinstance(digests, Iterable):
            raise ConfigurationError("with_pinned_keys() needs a list of digests.")
        pinned = {digest.lower() if isinstance(digest, str) else "" for digest in digests}
        if not all(map(_DIGEST.fullmatch, pinned)):
            raise ConfigurationError(
                "with_pinned_keys() needs whole digests: SHA-256 in hex, 64 characters each."
            )
        self.with_public_key_policy(functools.partial(_is_pinned, pinned))
        return self

    def with_trust_on_first_use(
        self, confirm_change: Callable[[KeyQuestion], Awaitable[bool]]
    ) -> Self:
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
            >>> async def confirm_change(question):
            ...     return False  # or ask the person, who compares question.digest
            >>> builder = MedTechApiBuilder.from_env().with_storage_directory(folder)
            >>> builder = builder.with_trust_on_first_use(confirm_change)
        """
        if not callable(confirm_change):
            raise ConfigurationError("with_trust_on_first_use() needs an async function.")
        self.with_public_key_policy(functools.partial(_is_expected, confirm_change))
        self._policy_needs_memory = True
        return self

    def on_key_change(self, notify: Callable[[KeyQuestion], Awaitable[None]]) -> Self:
        """Have a function told of each public key of another data owner that has changed.

        For programs without a policy, which encrypt for the new key all the same. The change is in
        the log too, and in ``AuthenticationResult.warnings``.

        Args:
            notify: called before anything is encrypted for the new key; what it raises ends the
                call.

        Raises:
            ConfigurationError: it cannot be called.

        Example:
            >>> async def tell(question):
            ...     print("A key of", question.data_owner_id, "is new")
            >>> builder = MedTechApiBuilder.from_env().on_key_change(tell)
        """
        if not callable(notify):
            raise ConfigurationError("on_key_change() needs an async function.")
        self._on_key_change = notify
        return self

    def with_in_memory_keys(self) -> Self:
        """Say that keys in memory are meant: the program keeps them elsewhere, or needs no record.

        Without it, publishing a key pair that is in memory only gives a
        :class:`~icure_async.KeysInMemoryWarning`.

        Example:
            >>> builder = AnonymousMedTechApiBuilder.from_env().with_in_memory_keys()
        """
        self._in_memory_keys_are_meant = True
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
            patient: attributes of :class:`~icure_async.Patient`, for example
                ``["first_name", "last_name", "addresses", "date_of_birth"]``. A later call replaces
                them.

        Raises:
            ValidationError: one is unknown, or backends need it in clear, such as ``id``, ``rev``,
                ``labels`` and ``active``.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_encrypted_fields(patient=["addresses"])
        """
        from icure_async.entities.encrypted_fields import encrypting
        from icure_async.entities.kinds import PATIENT

        self._patient_kind = encrypting(PATIENT, patient)
        return self

    def prevent_cookie_usage(self) -> Self:
        """Use Basic authentication on every request, as the reference does under this name.

        Example:
            >>> builder = MedTechApiBuilder.from_env().prevent_cookie_usage()
        """
        self._prevent_cookie_usage = True
        return self

    def _read_env(self, user_type: UserType | None) -> None:
        """Take every option that the environment has."""
        if user_type not in (None, *_USER_TYPES):
            raise ConfigurationError("user_type must be 'hcp' or 'patient', or left out.")
        registered = user_type or _user_type_in_env()
        for name, method in (
            (URL, self.with_icure_base_url),
            (FLAVOUR, self._with_flavour_of_env),
            (PROJECT_ID, self.with_project_id),
            (GROUP_ID, self.with_group_id),
            (GATEWAY_URL, self.with_msg_gw_url),
            (SPEC_ID, self.with_msg_gw_spec_id),
            (process_variable("EMAIL", registered), self.with_auth_process_by_email_id),
            (process_variable("SMS", registered), self.with_auth_process_by_sms_id),
        ):
            value = value_of(name)
            if value:
                try:
                    method(value)
                except ConfigurationError as error:
                    raise ConfigurationError(f"{name} is malformed: {error}") from None

    def _with_flavour_of_env(self, flavour: str) -> Self:
        known: Mapping[str, Flavour] = {name: name for name in FLAVOURS}
        return self.with_flavour(known.get(flavour.lower(), cast("Flavour", flavour)))

    def _check_flavour(self) -> None:
        """Refuse options that the flavour does not have.

        Raises:
            ConfigurationError: there are such.
        """
        if self._flavour == "cardinal":
            if self._prevent_cookie_usage:
                raise ConfigurationError(
                    "prevent_cookie_usage() can't be combined with with_flavour('cardinal'), which "
                    "has no Basic authentication: leave it out."
                )
            return
        todays = {"with_project_id": self._project_id, "with_group_id": self._group_id}
        chosen = [f"{method}()" for method, value in todays.items() if value is not None]
        if chosen:
            raise ConfigurationError(
                f"{' and '.join(chosen)} needs with_flavour('cardinal'): call it, or leave this "
                "out."
            )

    def _settings(self) -> Callable[[], Settings]:
        """Return a function that makes the settings, to be called after :func:`_warm_up`."""
        self._check_flavour()
        if self._base_url is None:
            raise ConfigurationError(
                "The URL of the backend is missing: call with_icure_base_url(), or set ICURE_URL "
                "and use from_env()."
            )
        # An empty storage may count as false.
        storage = MemoryStorage() if self._storage is None else self._storage
        key_storage = MemoryKeyStorage() if self._key_storage is None else self._key_storage
        if self._policy_needs_memory and type(storage) is MemoryStorage:
            raise ConfigurationError(
                "with_trust_on_first_use() needs a storage that outlives the program, or every "
                "start would be the first use: call with_storage_directory() or with_storage()."
            )
        if self._msg_gw_spec_id is not None:
            _warn_if_insecure(self._msg_gw_url, "with_msg_gw_url")
        _warn_if_insecure(self._base_url, "with_icure_base_url")
        return functools.partial(
            _make_settings,
            crypto=self._crypto,
            base_url=root_of(self._base_url) + dialect_of(self._flavour).root,
            flavour=self._flavour,
            project_id=self._project_id,
            group_id=self._group_id,
            storage=storage,
            key_storage=key_storage,
            msg_gw_url=self._msg_gw_url,
            msg_gw_spec_id=self._msg_gw_spec_id,
            auth_process_by_email_id=self._auth_process_by_email_id,
            auth_process_by_sms_id=self._auth_process_by_sms_id,
            prevent_cookie_usage=self._prevent_cookie_usage,
            key_policy=self._key_policy,
            on_key_change=self._on_key_change,
            in_memory_keys_are_meant=self._in_memory_keys_are_meant,
            patient_kind=self._patient_kind,
            timeout=self._timeout,
            max_response_size=self._max_response_size,
            hooks=self._hooks,
        )

    def _connect(self) -> Callable[[], Connection]:
        """Return a function that makes the connection, to be called in its event loop.

        Raises:
            ConfigurationError: options contradict each other.
        """
        shared = self._shared_connection
        if shared is not None:
            return lambda: shared
        ours = {
            "with_proxy": self._proxy,
            "with_ssl_context": self._ssl_context,
            "with_connection_limit": self._connection_limit,
        }
        chosen = [f"{method}()" for method, value in ours.items() if value is not None]
        if self._client_session is not None and chosen:
            raise ConfigurationError(
                f"with_client_session() can't be combined with {' and '.join(chosen)}: set these "
                "on the client session, or leave it out."
            )
        options = ConnectionOptions(proxy=self._proxy, ssl_context=self._ssl_context)
        if self._connection_limit is not None:
            options = attrs.evolve(options, limit=self._connection_limit)
        return functools.partial(Connection, self._client_session, options)


def sharing_connection(builder: BuilderT) -> tuple[BuilderT, Connection]:
    """Return a copy of a builder, whose API objects all use one connection, and that connection.

    It belongs to the running event loop, and is open as long as somebody has acquired it.

    Raises:
        ConfigurationError: options contradict each other.
    """
    shared = copy.copy(builder)
    connection: Connection = attrgetter("_connect")(builder)()()
    vars(shared)["_shared_connection"] = connection
    return shared, connection


@explained
class AnonymousMedTechApiBuilder(_Builder):
    """Builds an :class:`AnonymousMedTechApi`: for registering, and for logging in with a code.

    Example:
        >>> builder = AnonymousMedTechApiBuilder.from_env(user_type="patient")
        >>> async with builder.with_storage_directory(folder).build() as anonymous_api:
        ...     process = await anonymous_api.authentication_api.start_authentication(
        ...         captcha, phone_number="+32470666666", healthcare_professional_id=professional_id
        ...     )
    """

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
        builder = cls()
        builder._read_env(user_type)
        names = [
            process_variable(channel, user_type or _user_type_in_env())
            for channel in ("EMAIL", "SMS")
        ]
        process_id = builder._auth_process_by_email_id or builder._auth_process_by_sms_id
        _require_env(
            {
                URL: builder._base_url,
                SPEC_ID: builder._msg_gw_spec_id,
                " or ".join(names): process_id,
            }
        )
        return builder

    def build(self) -> Building[AnonymousMedTechApi]:
        """Return the API object to await or to enter. Makes no request.

        Raises:
            ConfigurationError: an option is missing; the message names the method to call.

        Example:
            >>> async with AnonymousMedTechApiBuilder.from_env().build() as anonymous_api:
            ...     key_pair = await anonymous_api.generate_rsa_keypair()
            >>> len(key_pair.fingerprint)
            32
        """
        settings = self._settings()
        spec_id = self._msg_gw_spec_id
        if spec_id is None:
            raise ConfigurationError(
                "The spec id of the message gateway is missing: call with_msg_gw_spec_id()."
            )
        if not (self._auth_process_by_email_id or self._auth_process_by_sms_id):
            raise ConfigurationError(
                "An authentication process is missing: call with_auth_process_by_email_id() or "
                "with_auth_process_by_sms_id(), or both."
            )
        return Building(
            lambda connection: AnonymousMedTechApi(settings(), connection, spec_id=spec_id),
            self._connect(),
        )


@explained
class MedTechApiBuilder(_Builder):
    """Builds a :class:`MedTechApi` from a user name and a password or token.

    Example:
        >>> builder = (
        ...     MedTechApiBuilder.from_env()
        ...     .with_storage_directory(folder)
        ...     .with_user_name(login)
        ...     .with_password(token)
        ... )
        >>> async with builder.build() as api:
        ...     user = await api.user_api.get_logged_user()
    """

    def __init__(self) -> None:
        super().__init__()
        self._user_name: str | None = None
        self._password: str | None = None
        self._token_expires_at: int | None = None
        self._get_code: Callable[[], Awaitable[str]] | None = None

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
        builder = cls()
        builder._read_env(user_type)
        _require_env({URL: builder._base_url})
        return builder

    def with_user_name(self, user_name: str) -> Self:
        """Set the user name: login, email address, phone number or user id.

        Raises:
            ConfigurationError: it is empty.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_user_name("+32470123456")
        """
        self._user_name = _without_blanks_around(user_name, "with_user_name")
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
        self._password = _non_empty(password, "with_password")
        if expires_at is not None:
            _positive(expires_at, "with_password", "of milliseconds as expires_at")
        self._token_expires_at = expires_at
        if password != password.strip("\r\n"):
            raise ConfigurationError(
                "The password given to with_password() begins or ends with a line break, as the "
                "content of a file often does: remove it."
            )
        return self

    def with_second_factor(self, get_code: Callable[[], Awaitable[str]]) -> Self:
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
            >>> async def ask():
            ...     return input("Code of your authenticator app: ")
            >>> builder = MedTechApiBuilder.from_env().with_second_factor(ask)
        """
        if not callable(get_code):
            raise ConfigurationError("with_second_factor() needs an async function.")
        self._get_code = get_code
        return self

    def build(self) -> Building[MedTechApi]:
        """Return the API object to await or to enter. Makes no request.

        Raises:
            ConfigurationError: an option is missing; the message names the method to call.

        Example:
            >>> builder = MedTechApiBuilder.from_env().with_user_name(login).with_password(token)
            >>> async with builder.build() as api:
            ...     user_id, group_id = await api.identify()
        """
        settings = self._settings()
        user_name, password = self._user_name, self._password
        if user_name is None:
            raise ConfigurationError("The user name is missing: call with_user_name().")
        if password is None:
            raise ConfigurationError("The password is missing: call with_password().")
        if self._get_code is not None and self._prevent_cookie_usage:
            raise ConfigurationError(
                "with_second_factor() can't be combined with prevent_cookie_usage(): each request "
                "would need a code. Leave out one of them, or log in with a token."
            )
        make = functools.partial(
            MedTechApi,
            user_name=user_name,
            password=password,
            token_expires_at=self._token_expires_at,
            get_code=self._get_code,
        )
        return Building(
            lambda connection: make(settings(), connection),
            self._connect(),
        )


def _warm_up() -> None:
    """Import modules and generate converters in a thread: both are slow at first use."""
    for module in _USED_BY_BUILT_APIS:
        importlib.import_module(module)
    retries.warm_up()
    prepare(Model)


def _make_settings(*, crypto: Crypto | None, **options: Any) -> Settings:
    from icure_async.crypto.software import SoftwareCrypto

    return Settings(crypto=crypto or SoftwareCrypto(), **options)


def _non_empty(value: object, method: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{method}() needs a text that is not empty.")
    return value


def _without_blanks_around(value: object, method: str) -> str:
    text = _non_empty(value, method)
    if text != text.strip():
        raise ConfigurationError(
            f"The text given to {method}() begins or ends with a blank or a line break: remove it."
        )
    return text


def _positive(value: object, method: str, of_what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{method}() needs a positive whole number {of_what}.")
    return value


def _warn_if_insecure(url: str, method: str) -> None:
    """Warn, once per process, of a URL that sends passwords over a network in clear."""
    parsed = yarl.URL(url)
    if parsed.scheme != "http" or is_loopback(parsed.host or ""):
        return
    warn_once(
        f"The URL given to {method}() begins with http://: passwords, tokens, and the "
        "unencrypted parts of records go over the network in clear. Use https://.",
        InsecureConnectionWarning,
    )


def _gateway_id(value: object, method: str) -> str:
    return _segment(value, method, "of the message gateway")


def _segment(value: object, method: str, of_what: str) -> str:
    segment = _without_blanks_around(value, method)
    try:
        path(segment)
    except ValidationError:
        raise ConfigurationError(f"{method}() needs an id {of_what}.") from None
    return segment


def _check_methods(
    implementation: object, protocol: type, method: str, *, optional: Container[str] = ()
) -> None:
    if isinstance(implementation, type):
        name = implementation.__name__
        raise ConfigurationError(
            f"{method}() needs an object, and was given the class {name}: pass {name}(...)."
        )
    for name in vars(protocol):
        if name.startswith("_") or name in optional:
            continue
        if not callable(getattr(implementation, name, None)):
            raise ConfigurationError(
                f"{method}() needs a {protocol.__name__}, and {type(implementation).__name__} has "
                f"no method {name}()."
            )


def _user_type_in_env() -> UserType:
    for user_type in _USER_TYPES:
        if any(value_of(process_variable(name, user_type)) for name in ("EMAIL", "SMS")):
            return user_type
    return "hcp"


def _require_env(values: Mapping[str, str | None]) -> None:
    missing = [name for name, value in values.items() if not value]
    if len(missing) == 1:
        raise ConfigurationError(f"The environment variable {missing[0]} is missing: set it.")
    if missing:
        raise ConfigurationError(
            f"These environment variables are missing: {', '.join(missing)}: set them."
        )
