"""The sandbox itself: its server, and the questions of tests and demos."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING, Any, Final, Literal, Self
from weakref import WeakKeyDictionary

from aiohttp import WSCloseCode, web

from icure_async.sandbox import chance, totp
from icure_async.sandbox import seed as seeding
from icure_async.sandbox.app import (
    GATEWAY_ROOT,
    REST_ROOT,
    REST_V2_ROOT,
    SANDBOX_ROOT,
    Backend,
    build_app,
)
from icure_async.sandbox.auth import Tickets, second_factor_secret
from icure_async.sandbox.calls import Settings
from icure_async.sandbox.clock import Clock
from icure_async.sandbox.control.codes import FixedCodes
from icure_async.sandbox.control.desk import Desk
from icure_async.sandbox.control.endpoints import ControlEndpoints
from icure_async.sandbox.control.feed import DataWatcher, Watchers
from icure_async.sandbox.control.people import Wishes, owner_ids_of
from icure_async.sandbox.control.seeds import replant
from icure_async.sandbox.control.state import State
from icure_async.sandbox.database import IN_MEMORY
from icure_async.sandbox.events import Events
from icure_async.sandbox.faults import Fault, InjectedFault
from icure_async.sandbox.gateway import SPEC_ID, Gateway
from icure_async.sandbox.links import LINKS_VERSION, link_entity
from icure_async.sandbox.master import (
    MasterHcp,
    create_master,
    generate_key_pair,
    keep_master,
    load_master,
)
from icure_async.sandbox.proof_of_work import HARDEST
from icure_async.sandbox.services import derive_services
from icure_async.sandbox.store import KINDS, Json, Store, Transaction
from icure_async.sandbox.tokens import TokenSigner, generate_signing_key
from icure_async.sandbox.visitors import Visitors, is_wildcard
from icure_async.sandbox.workers import Workers, in_new_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from icure_async.models.key_pair import KeyPair
    from icure_async.sandbox.control.messages import Message
    from icure_async.sandbox.control.people import PersonKind, SandboxPerson
    from icure_async.sandbox.control.requests import Request

__all__ = ["Sandbox", "is_running_in"]

_LOGGER = logging.getLogger("icure_async.sandbox")
# aiohttp logs the path of a malformed request, which may contain a code.
_SILENT = logging.Logger("icure_async.sandbox.http")  # noqa: LOG001 - connected to nothing
_SILENT.addHandler(logging.NullHandler())
_DEFAULT_GROUP = "sandbox"
_SHUTDOWN_TIMEOUT = 1.0
_STRANGERS_AT_ONCE = 4
# The access control keys of an owner of 10,000 exchange data.
_LONGEST_HEADER = 256 * 1024
_ROOTS: Final = {
    "icureUrl": REST_ROOT,
    "icureV2Url": REST_V2_ROOT,
    "backendUrl": "",
    "msgGwUrl": GATEWAY_ROOT,
    "controlUrl": SANDBOX_ROOT,
}
_NOT_RUNNING: Final = "The sandbox is not running: start it first, best with a `with` statement"


_running: WeakKeyDictionary[Sandbox, asyncio.AbstractEventLoop] = WeakKeyDictionary()


def is_running_in(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether a sandbox needs this event loop to answer."""
    return any(theirs is loop for theirs in list(_running.values()))


class Sandbox:
    """A local iCure backend with its message gateway, on loopback.

    It enforces what the real backend enforces, for every caller. Use it as a context manager::

        async with Sandbox() as sandbox:
            print(sandbox.icure_url)

    Args:
        database: path of an SQLite file that keeps everything, by default in memory. It survives
            a kill and a loss of power, for one sandbox at a time. It is for development and tests:
            no production backend, and no place for real data.
        port: port to listen on, by default a free one.
        seed: what a new database starts with: a dict of the form that `export` returns, or the path
            of a JSON file that contains one. A database that has content already is left as it is.
            ``{"entities": …, "tokens": …, "groups": {"clinic": {"entities": …, "tokens": …}}}``
            makes further groups, whose users see nothing of each other's. ``"attachments"`` next
            to ``"entities"`` are the bytes of documents: document id → attachment id → base64.
        host: address to listen on.
        jwt: False for a backend that does not issue tokens, so that clients fall back to Basic.
        profile: "legacy" lets healthcare parties read and change all data, as in 2022-23; "strict"
            asks everybody for a delegation.
        code_validity: seconds during which a code can be validated.
        access_token_validity: seconds during which an access token is accepted.
        refresh_token_validity: seconds during which a refresh token is accepted.
        max_code_attempts: wrong codes after which a process is refused for good.
        captcha: the only captcha solution to accept, by default any that is not empty.
        lenient: True to let new patients register without a healthcare professional to share with.
        allow_hosts: further host names it is called by, for example in a network of containers.
            Requests under any other name than those of loopback, and its own address, are refused.
        allow_origins: origins of web pages that may call it, like ``"http://localhost:3000"``.
            Requests of pages of any other origin are refused.
        difficulty: hashes that each of the ten nonces of a captcha by proof of work takes on
            average.
        ping_interval: seconds from one ``ping`` that subscribers to events are sent to the next;
            None for none.
        codes: fixed codes, for contacts that are always sent the same one, in any spelling:
            ``{"+32470000001": "123456"}``.
        random_seed: makes the codes, ids and tokens of the sandbox the same in each run, for the
            same requests in the same order: then anybody can guess them. Keys are never repeated.

    Raises:
        TypeError: if ``allow_hosts`` or ``allow_origins`` is one text instead of several, or
            ``codes`` is no mapping.
        ValueError: if the profile, a host name, an origin, the difficulty, the interval or a fixed
            code makes no sense.

    Example:
        >>> async with Sandbox() as sandbox:
        ...     builder = MedTechApiBuilder().with_icure_base_url(sandbox.icure_url)
    """

    patient_process_by_sms_id = "patient-sms"
    patient_process_by_email_id = "patient-email"
    hcp_process_by_sms_id = "hcp-sms"
    hcp_process_by_email_id = "hcp-email"
    spec_id = SPEC_ID

    def __init__(
        self,
        *,
        database: str | Path | None = None,
        port: int = 0,
        seed: str | Path | dict[str, Any] | None = None,
        host: str = "127.0.0.1",
        jwt: bool = True,
        profile: Literal["legacy", "strict"] = "legacy",
        code_validity: float = 600.0,
        access_token_validity: float = 3600.0,
        refresh_token_validity: float = 86400.0,
        max_code_attempts: int = 5,
        captcha: str | None = None,
        lenient: bool = False,
        allow_hosts: Iterable[str] = (),
        allow_origins: Iterable[str] = (),
        difficulty: int = 100,
        ping_interval: float | None = 12.0,
        codes: Mapping[str, str] | None = None,
        random_seed: int | None = None,
    ) -> None:
        if profile not in ("legacy", "strict"):
            raise ValueError(f'profile must be "legacy" or "strict", not {profile!r}')
        if ping_interval is not None and not ping_interval > 0:
            raise ValueError(f"ping_interval must be positive, or None, not {ping_interval}")
        if not 1 <= difficulty <= HARDEST:
            raise ValueError(f"difficulty must be from 1 to {HARDEST}, not {difficulty}")
        self._difficulty = difficulty
        self._ping_interval = ping_interval
        self._database = IN_MEMORY if database is None else str(database)
        self._port = port
        self._host = host
        self._seed = seed
        self._jwt = jwt
        self._settings = Settings(
            profile=profile,
            code_validity=code_validity,
            access_token_validity=access_token_validity,
            refresh_token_validity=refresh_token_validity,
            max_code_attempts=max_code_attempts,
            captcha=captcha,
            lenient=lenient,
        )
        self._visitors = Visitors(host, allow_hosts, allow_origins)
        self._clock = Clock()
        self._desk = Desk(self._clock, FixedCodes(codes or {}))
        self._random_seed = random_seed
        self._events: Events | None = None
        self._store: Store | None = None
        self._workers: Workers | None = None
        self._runner: web.AppRunner | None = None
        self._master: MasterHcp | None = None
        self._master_at_start: MasterHcp | None = None
        self._restore: Callable[[Callable[[], None]], Awaitable[None]] | None = None

    def __repr__(self) -> str:
        where = self._address if self._runner is not None else "not running"
        return f"<Sandbox {where}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Open the database and start to listen.

        Raises:
            ImportError: if joserfc is missing: install ``icure-async[sandbox]``.
            OSError: if the port is in use, or the database can't be used: because another sandbox
                uses it, it is damaged or of a newer version, or others can read it.
            RuntimeError: if it runs already.
            ValueError: if the seed is malformed.

        Example:
            >>> sandbox = Sandbox()
            >>> await sandbox.start()
            >>> await sandbox.aclose()
        """
        if self._runner is not None:
            raise RuntimeError("The sandbox is running already")
        _running[self] = asyncio.get_running_loop()
        try:
            await self._start()
        except BaseException:
            await self.aclose()
            raise
        _LOGGER.info("The iCure sandbox listens on %s", self._address)
        if self._random_seed is not None:
            _LOGGER.warning(
                "The sandbox has a random seed: its codes, ids and tokens can be guessed"
            )

    async def _start(self) -> None:
        seed = None if self._seed is None else await in_new_thread(seeding.read_seed, self._seed)
        tickets = Tickets()
        events = self._events = Events(
            self._clock, self._settings, tickets, ping_interval=self._ping_interval
        )
        desk = self._desk
        desk.open()
        watchers = Watchers(events, DataWatcher(desk.feed))
        store = self._store = Store(self._database, link_entity, watchers, derive_services)
        await store.open()
        workers = self._workers = Workers()
        await self._repeat_from("start")
        signing_key = await self._prepare(store, seed)
        await self._repeat_from("reset")
        signer = None
        if signing_key is not None:
            signer = await in_new_thread(
                TokenSigner,
                signing_key,
                self._clock,
                access_validity=self._settings.access_token_validity,
                refresh_validity=self._settings.refresh_token_validity,
            )
        self._restore = await store.snapshot()
        self._master_at_start = self._master
        gateway = Gateway(desk.mailbox, desk.codes, self._difficulty)
        backend = Backend(
            store=store,
            workers=workers,
            visitors=self._visitors,
            clock=self._clock,
            settings=self._settings,
            signer=signer,
            gateway=gateway,
            desk=desk,
            control=ControlEndpoints(
                desk,
                store,
                State(_ROOTS, None if self._database == IN_MEMORY else self._database),
                reset=self.reset,
                export=self.export,
                load=self.load,
            ),
            tickets=tickets,
            events=events,
            door=asyncio.Semaphore(_STRANGERS_AT_ONCE),
        )
        runner = web.AppRunner(
            build_app(backend),
            access_log=None,
            logger=_SILENT,
            auto_decompress=False,
            max_field_size=_LONGEST_HEADER,
            shutdown_timeout=_SHUTDOWN_TIMEOUT,
        )
        self._runner = runner
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise OSError(
                errno.EADDRINUSE,
                f"Port {self._port} of {self._host} is in use, perhaps by another sandbox: stop "
                "that one, or choose another port: 0 takes a free one",
            ) from None

    async def _prepare(self, store: Store, seed: seeding.Seed | None) -> str | None:
        """Give the database a master and a signing key, unless it has them; return the key."""
        master, signing_key = await store.run(lambda tx: (load_master(tx), tx.meta("jwt")))
        adopted = master is None and seed is not None and seed.master is not None
        needs_master = master is None and not adopted
        needs_key = self._jwt and signing_key is None
        new_pair, new_key = await asyncio.gather(
            in_new_thread(generate_key_pair) if needs_master else _nothing(),
            in_new_thread(generate_signing_key) if needs_key else _nothing(),
        )

        def prepare(tx: Transaction) -> MasterHcp:
            if master is None:
                group_id = (seed.group_id if seed is not None else None) or _DEFAULT_GROUP
                tx.set_meta("group", group_id)
                tx.set_meta("links", LINKS_VERSION)
                if seed is not None:
                    seeding.plant(tx, seed)
                if new_pair is not None:
                    keep_master(tx, create_master(tx, new_pair, self._clock.now_ms()))
            if new_key is not None:
                tx.set_meta("jwt", new_key)
            if tx.meta("links") != LINKS_VERSION:
                for group in tx.groups():
                    for kind in KINDS:
                        group.relink(kind)
                tx.set_meta("links", LINKS_VERSION)
            prepared = load_master(tx)
            if prepared is None:
                raise RuntimeError("The database has no master")
            return prepared

        self._master = await store.run(prepare)
        return (signing_key or new_key) if self._jwt else None

    async def aclose(self) -> None:
        """Stop to listen and close the database; does nothing when it is closed already.

        Requests under way are finished and answered, those that have not begun are dropped.

        Example:
            >>> await Sandbox().aclose()
        """
        _running.pop(self, None)
        runner, self._runner = self._runner, None
        parts = [part for part in (self._workers, self._store) if part is not None]
        self._workers = self._store = None
        for part in parts:
            part.stop()
        try:
            if runner is not None:
                await runner.cleanup()
        finally:
            for part in parts:
                await part.close()

    @property
    def _address(self) -> str:
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError(_NOT_RUNNING)
        host, port = self._runner.addresses[0][:2]
        if is_wildcard(host):
            host = "::1" if ":" in host else "127.0.0.1"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def _open_store(self) -> Store:
        if self._store is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._store

    @property
    def icure_url(self) -> str:
        """Base URL of the REST API."""
        return self._address + REST_ROOT

    @property
    def icure_v2_url(self) -> str:
        """Base URL of the REST API that today's SDKs call, rest/v2."""
        return self._address + REST_V2_ROOT

    @property
    def backend_url(self) -> str:
        """URL of the backend without the path of an API, as today's SDKs are told it."""
        return self._address

    @property
    def msg_gw_url(self) -> str:
        """Base URL of the message gateway."""
        return self._address + GATEWAY_ROOT

    @property
    def page_url(self) -> str:
        """URL of the sandbox's page, with the token that opens the sandbox's own API to it.

        The token is another one after each start, and is kept in memory only. It is in the
        fragment, which browsers send to nobody. Treat it as a password of an administrator.
        """
        return f"{self._address}/#{self._desk.token.reveal()}"

    @property
    def control_url(self) -> str:
        """Base URL of the sandbox's own API, which administrators call with Basic credentials.

        ``docs/sandbox.md`` lists all of it; pages send ``Authorization: Sandbox`` and the token of
        `page_url` instead.

        ``POST {control_url}/faults`` injects a fault, or a list of them, described as in
        ``{"kind": "status", "status": 429, "retryAfter": 1, "method": "PUT",
        "path": "/rest/v1/patient", "nth": [2], "times": 1}``; all but ``kind`` and what belongs
        to it is optional (see `Fault`). ``GET`` lists those injected with ``matched`` and
        ``struck``, the numbers of requests they were for and did strike; ``DELETE`` clears them.
        No fault strikes these requests.
        """
        return self._address + SANDBOX_ROOT

    @property
    def master_hcp(self) -> MasterHcp:
        """The healthcare party that administers the group."""
        if self._master is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._master

    @property
    def environment(self) -> dict[str, str]:
        """The same as environment variables, as samples and demos read them."""
        return {
            "ICURE_URL": self.icure_url,
            "ICURE_MSG_GTW_URL": self.msg_gw_url,
            "SPEC_ID": self.spec_id,
            "AUTH_BY_EMAIL_HCP_PROCESS_ID": self.hcp_process_by_email_id,
            "AUTH_BY_SMS_HCP_PROCESS_ID": self.hcp_process_by_sms_id,
            "AUTH_BY_EMAIL_PATIENT_PROCESS_ID": self.patient_process_by_email_id,
            "AUTH_BY_SMS_PATIENT_PROCESS_ID": self.patient_process_by_sms_id,
        }

    async def wait_for_code(self, contact: str, timeout: float = 5.0) -> str:
        """Return the newest code sent to a contact that was not returned here before.

        Args:
            contact: the email address or phone number the code goes to.
            timeout: seconds to wait for it.

        Raises:
            TimeoutError: that names the contact, if no code is sent in time.

        Example:
            >>> process = await anonymous_api.authentication_api.start_authentication(
            ...     captcha, phone_number="+32470333333", healthcare_professional_id=professional_id
            ... )
            >>> len(await sandbox.wait_for_code("+32 470 33 33 33"))
            6
        """
        return await self._desk.mailbox.wait_for_code(contact, timeout)

    async def wait_for_message(self, contact: str, timeout: float = 5.0) -> Json:
        """Return the newest message to a contact that was not returned here before.

        Args:
            contact: the email address or phone number the message goes to.
            timeout: seconds to wait for it.

        Returns:
            ``from``, ``subject`` and ``html`` of an email, ``message`` of a text message.

        Raises:
            TimeoutError: that names the contact, if no message is sent in time.

        Example:
            >>> await api.message_gateway_api.send_sms(
            ...     "+32470444444", SMSMessage(message="Tomorrow at 9.")
            ... )
            >>> (await sandbox.wait_for_message("+32 470 44 44 44"))["message"]
            'Tomorrow at 9.'
        """
        return await self._desk.mailbox.wait_for_message(contact, timeout)

    async def create_group(self, group_id: str, *, name: str | None = None) -> MasterHcp:
        """Add a group: users of their own, who see nothing of what the others have.

        A user of one group and a user of another one may have the same login, and the same secret:
        ``user/matches`` of rest/v2 then lists both, and ``auth/switch`` goes from one to the other.

        Args:
            group_id: its id.
            name: its name, which ``user/matches`` tells.

        Returns:
            The administrator of the group, who may create users in it.

        Raises:
            ValueError: if there is a group of this id, or the id makes no sense.

        Example:
            >>> master = await sandbox.create_group("clinic")
        """
        pair = await in_new_thread(generate_key_pair)

        def create(tx: Transaction) -> MasterHcp:
            if not seeding.is_group_id(group_id) or group_id in tx.group_ids():
                raise ValueError(f"{group_id!r} is the id of another group, or can't be one")
            return create_master(tx.add_group(group_id, name), pair, self._clock.now_ms())

        return await self._open_store.run(create)

    async def register(
        self,
        kind: PersonKind,
        *,
        first_name: str | None = None,
        last_name: str | None = None,
        phone_number: str | None = None,
        email: str | None = None,
        key_pair: KeyPair | None = None,
        flavour: Literal["medtech", "cardinal"] = "medtech",
        group_id: str | None = None,
        shares_with: Iterable[str | SandboxPerson | MasterHcp] | None = None,
    ) -> SandboxPerson:
        """Place somebody in the sandbox, as a registration by SMS or email would leave them.

        It sends no message and makes no request, and takes milliseconds. Key pairs come from a
        pool that this user of the machine keeps for the next run: they are for tests only.

        Args:
            kind: "patient", "professional", or "device".
            first_name: the first name; one is made up by default.
            last_name: the last name; one is made up by default.
            phone_number: the phone number. Where there is no email either, one is made up.
            email: the email address, which is the login then.
            key_pair: the key pair; by default one of the pool.
            flavour: the flavour of iCure in which the keys are published, and the record of a
                patient is encrypted.
            group_id: id of the group; by default the main one.
            shares_with: the professionals who a patient's record is shared with now, and everything
                later automatically; ids or people. By default the administrator of the group for a
                patient, and nobody for others.

        Returns:
            Everything to log in with: login, token and key pair.

        Raises:
            TypeError: if something is of the wrong type.
            ValueError: if something makes no sense: an unknown group or professional, a contact
                that another user has.

        Example:
            >>> person = await sandbox.register("patient", first_name="Arya", last_name="Stark")
            >>> builder = MedTechApiBuilder.from_env()
            >>> builder = builder.with_user_name(person.login).with_password(person.token)
            >>> async with builder.build() as api:
            ...     await api.init_user_crypto(person.key_pair) == [person.key_pair]
            True
        """
        wishes = Wishes(
            kind=kind,
            first_name=first_name,
            last_name=last_name,
            phone_number=phone_number,
            email=email,
            flavour=flavour,
            group_id=group_id,
            shares_with=None if shares_with is None else owner_ids_of(shares_with),
        )
        return await self._desk.place(self._open_store, wishes, key_pair)

    async def stored(
        self, kind: str, entity_id: str, *, group_id: str | None = None
    ) -> Json | None:
        """Return an entity exactly as the server stores it, or None.

        Args:
            kind: "user", "patient", "hcparty", "device", "maintenancetask", …
            entity_id: its id.
            group_id: its group; by default the main one.

        Raises:
            ValueError: if there is no such kind.

        Example:
            >>> "note" in await sandbox.stored("patient", patient.id)  # encrypted: in encryptedSelf
            False
        """
        if kind not in KINDS:
            raise ValueError(f"There is no kind {kind!r}, only {', '.join(KINDS)}")

        def read(tx: Transaction) -> Json | None:
            group = tx if group_id is None else tx.in_group(group_id)
            return None if group is None else group.get(kind, entity_id)

        return await self._open_store.run(read)

    async def export(self) -> Json:
        """Return everything the sandbox contains, in the form that ``seed`` takes.

        The result contains the credentials and the private key of the master.

        Example:
            >>> seed = await sandbox.export()
            >>> async with Sandbox(seed=seed) as copy:
            ...     print(copy.master_hcp.login == sandbox.master_hcp.login)
            True
        """
        return await self._open_store.run(seeding.export)

    async def second_factor_code(self, user_name: str) -> str:
        """Return the code that the authenticator app of a user shows now.

        Args:
            user_name: id, login, email or phone number of a user with ``use2fa`` and a ``secret``.

        Raises:
            ValueError: if there is no such user.

        Example:
            >>> try:
            ...     await sandbox.second_factor_code(login)
            ... except ValueError:
            ...     print("That user has no second factor")
            That user has no second factor
        """
        secret = await self._open_store.run(lambda tx: second_factor_secret(tx, user_name))
        if secret is None:
            raise ValueError("There is no user of this name with a second factor")
        return totp.code_at(secret, self._clock.now())

    async def disconnect_subscribers(self) -> int:
        """Close the connections of all that have subscribed to events, as a restart would.

        Returns:
            How many there were.

        Example:
            >>> async with api.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
            ...     closed = await sandbox.disconnect_subscribers()
        """
        if self._events is None:
            return 0
        return self._events.disconnect_all(WSCloseCode.SERVICE_RESTART, "Disconnected by a test")

    def advance_clock(self, seconds: float) -> None:
        """Move the sandbox's clock forward, to see codes and tokens expire.

        Example:
            >>> sandbox.advance_clock(1)
        """
        self._desk.advance_clock(seconds)

    def set_clock(self, moment: float | datetime) -> None:
        """Move the sandbox's clock forward to a moment.

        It never goes back: revisions, codes and tokens of a later time would then be in use.

        Args:
            moment: seconds since the epoch, or a datetime with a time zone.

        Raises:
            ValueError: if the clock is past this moment, or a datetime has no time zone.

        Example:
            >>> import time
            >>> async with Sandbox() as sandbox:
            ...     sandbox.set_clock(time.time() + 3600)
        """
        self._desk.set_clock(moment)

    def messages(self, contact: str | None = None) -> list[Message]:
        """Return the emails and text messages that were sent, the oldest first.

        The newest 1,000 are kept.

        Args:
            contact: the email address or phone number they went to, in any spelling; by default
                anybody's.

        Example:
            >>> process = await anonymous_api.authentication_api.start_authentication(
            ...     captcha, phone_number="+32470333334", healthcare_professional_id=professional_id
            ... )
            >>> [message.state for message in sandbox.messages("+32470333334")]
            ['open']
        """
        return self._desk.messages(contact)

    def requests(self) -> list[Request]:
        """Return the requests that were answered, the oldest first.

        The newest 1,000 are kept, without those to the sandbox's own API and its page. Their paths
        contain no code and no token.

        Example:
            >>> user = await api.user_api.get_logged_user()
            >>> sandbox.requests()[-1].path
            '/rest/v1/user/current'
        """
        return self._desk.request_log.requests

    def set_codes(self, codes: Mapping[str, str]) -> None:
        """Fix the codes of these contacts, and of no others, from now on.

        Args:
            codes: as for the sandbox itself.

        Raises:
            TypeError: if it is no mapping of texts.
            ValueError: if a contact or a code makes no sense.

        Example:
            >>> sandbox.set_codes({"+32470000001": "123456"})
        """
        self._desk.codes.replace(codes)

    async def reset(self) -> None:
        """Bring everything back to the state right after the start.

        That is the database, messages, requests, faults, fixed codes, and the clock, which shows
        system time again. Open subscriptions to events are closed, as a restart would close them.

        Example:
            >>> async with Sandbox() as sandbox:
            ...     await sandbox.reset()
        """
        restore, events = self._restore, self._events
        if self._store is None or restore is None or events is None:
            raise RuntimeError(_NOT_RUNNING)

        def restored() -> None:
            self._master = self._master_at_start
            self._desk.reset()
            events.disconnect_all(WSCloseCode.SERVICE_RESTART, "The sandbox was reset")

        await self._repeat_from("reset")
        await restore(restored)

    async def _repeat_from(self, moment: str) -> None:
        """Let random values be those that followed this moment in an earlier run."""
        seed = self._random_seed
        if seed is not None:
            await self._open_store.run(lambda _tx: chance.repeat_from(f"{seed} {moment}"))

    async def load(self, seed: str | Path | dict[str, Any]) -> None:
        """Replace everything that the sandbox contains.

        Where the seed has no master, the present one stays. Open subscriptions to events are
        closed; messages, requests, faults and the clock stay as they are.

        Args:
            seed: everything, in the form that `export` returns, or the path of a JSON file.

        Raises:
            ValueError: that says what is wrong with the seed; nothing is changed then.

        Example:
            >>> seed = await sandbox.export()
            >>> async with Sandbox() as other:
            ...     await other.load(seed)
        """
        store, events = self._open_store, self._events
        checked = await in_new_thread(seeding.read_seed, seed)

        masters: list[MasterHcp] = []

        def replace(tx: Transaction) -> None:
            replant(tx, checked)
            master = load_master(tx)
            if master is None:
                raise RuntimeError("The database has no master")
            masters.append(master)

        def replaced() -> None:
            # Here and not after the waiting: a reset may come first, or nobody may wait any more.
            self._master = masters[-1]
            self._desk.feed.tell("reset", self._desk.time())
            if events is not None:
                events.disconnect_all(WSCloseCode.SERVICE_RESTART, "The sandbox was replaced")

        await store.run(replace, committed=replaced)

    def inject_fault(self, fault: Fault) -> InjectedFault:
        """Let something go wrong with coming requests, of any caller.

        Of several faults that are for the same request, the one injected first happens.

        Args:
            fault: what, to which requests, and how often.

        Returns:
            The fault with its counters: how many requests matched, and how many it struck.

        Raises:
            TypeError: if it is no `Fault`.

        Example:
            >>> fault = sandbox.inject_fault(
            ...     Fault(kind="status", status=503, path="/rest/v1/nothing")
            ... )
        """
        return self._desk.inject([_checked(fault)])[0]

    def fault(self, fault: Fault) -> AbstractContextManager[InjectedFault]:
        """Let something go wrong inside of a ``with`` statement, and no more after it.

        ::

            with sandbox.fault(Fault("status", status=503, times=1)) as injected:
                ...  # what has to survive it
            assert injected.struck == 1

        Args:
            fault: as for `inject_fault`.

        Returns:
            A context manager that yields the fault with its counters. Other faults stay.

        Raises:
            TypeError: if it is no `Fault`.

        Example:
            >>> from icure_async.errors import ServerError
            >>> fault = Fault(kind="status", status=500, method="DELETE", path="/rest/v1/patient/*")
            >>> with sandbox.fault(fault) as injected:
            ...     try:
            ...         await api.patient_api.delete_patient(patient.id)
            ...     except ServerError:
            ...         print(injected.struck > 0)
            True
        """
        return self._desk.fault(_checked(fault))

    def clear_faults(self) -> None:
        """Let no injected fault happen any more; the counters of each stay as they are.

        Example:
            >>> sandbox.clear_faults()
        """
        self._desk.clear_faults()


def _checked(fault: Fault) -> Fault:
    if not isinstance(fault, Fault):
        raise TypeError(f"fault must be a Fault, not {type(fault).__name__}")
    return fault


async def _nothing() -> None:
    return None
