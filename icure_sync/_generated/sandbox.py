# Written by "python tools/gen_sync.py" from icure_async/sandbox/server.py.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""The sandbox itself: its server, and the questions of tests and demos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from icure_async.sandbox.gateway import SPEC_ID
from icure_async.sandbox.server import Sandbox as AsyncSandbox
from icure_sync._twins import Twin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from icure_async.models.key_pair import KeyPair
    from icure_async.sandbox.control.messages import Message
    from icure_async.sandbox.control.people import PersonKind, SandboxPerson
    from icure_async.sandbox.control.requests import Request
    from icure_async.sandbox.faults import Fault, InjectedFault
    from icure_async.sandbox.master import MasterHcp
    from icure_async.sandbox.store import Json

__all__ = ["Sandbox"]


class Sandbox(Twin[AsyncSandbox]):
    """A local iCure backend with its message gateway, on loopback.

    It enforces what the real backend enforces, for every caller. Use it as a context manager::

        with Sandbox() as sandbox:
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
        >>> with Sandbox() as sandbox:
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
        self._hold(
            AsyncSandbox(
                database=database,
                port=port,
                seed=seed,
                host=host,
                jwt=jwt,
                profile=profile,
                code_validity=code_validity,
                access_token_validity=access_token_validity,
                refresh_token_validity=refresh_token_validity,
                max_code_attempts=max_code_attempts,
                captcha=captcha,
                lenient=lenient,
                allow_hosts=allow_hosts,
                allow_origins=allow_origins,
                difficulty=difficulty,
                ping_interval=ping_interval,
                codes=codes,
                random_seed=random_seed,
            )
        )

    def __enter__(self) -> Self:
        self._run(self._inner.__aenter__)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close(self._inner.__aexit__, exc_type, exc, traceback)

    def start(self) -> None:
        """Open the database and start to listen.

        Raises:
            ImportError: if joserfc is missing: install ``icure-async[sandbox]``.
            OSError: if the port is in use, or the database can't be used: because another sandbox
                uses it, it is damaged or of a newer version, or others can read it.
            RuntimeError: if it runs already.
            ValueError: if the seed is malformed.

        Example:
            >>> sandbox = Sandbox()
            >>> sandbox.start()
            >>> sandbox.close()
        """
        self._run(self._inner.start)

    def close(self) -> None:
        """Stop to listen and close the database; does nothing when it is closed already.

        Requests under way are finished and answered, those that have not begun are dropped.

        Example:
            >>> Sandbox().close()
        """
        self._close(self._inner.aclose)

    @property
    def icure_url(self) -> str:
        """Base URL of the REST API."""
        return self._inner.icure_url

    @property
    def icure_v2_url(self) -> str:
        """Base URL of the REST API that today's SDKs call, rest/v2."""
        return self._inner.icure_v2_url

    @property
    def backend_url(self) -> str:
        """URL of the backend without the path of an API, as today's SDKs are told it."""
        return self._inner.backend_url

    @property
    def msg_gw_url(self) -> str:
        """Base URL of the message gateway."""
        return self._inner.msg_gw_url

    @property
    def page_url(self) -> str:
        """URL of the sandbox's page, with the token that opens the sandbox's own API to it.

        The token is another one after each start, and is kept in memory only. It is in the
        fragment, which browsers send to nobody. Treat it as a password of an administrator.
        """
        return self._inner.page_url

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
        return self._inner.control_url

    @property
    def master_hcp(self) -> MasterHcp:
        """The healthcare party that administers the group."""
        return self._inner.master_hcp

    @property
    def environment(self) -> dict[str, str]:
        """The same as environment variables, as samples and demos read them."""
        return self._inner.environment

    def wait_for_code(self, contact: str, timeout: float = 5.0) -> str:
        """Return the newest code sent to a contact that was not returned here before.

        Args:
            contact: the email address or phone number the code goes to.
            timeout: seconds to wait for it.

        Raises:
            TimeoutError: that names the contact, if no code is sent in time.

        Example:
            >>> process = anonymous_api.authentication_api.start_authentication(
            ...     captcha, phone_number="+32470333333", healthcare_professional_id=professional_id
            ... )
            >>> len(sandbox.wait_for_code("+32 470 33 33 33"))
            6
        """
        return self._run(self._inner.wait_for_code, contact, timeout)

    def wait_for_message(self, contact: str, timeout: float = 5.0) -> Json:
        """Return the newest message to a contact that was not returned here before.

        Args:
            contact: the email address or phone number the message goes to.
            timeout: seconds to wait for it.

        Returns:
            ``from``, ``subject`` and ``html`` of an email, ``message`` of a text message.

        Raises:
            TimeoutError: that names the contact, if no message is sent in time.

        Example:
            >>> api.message_gateway_api.send_sms(
            ...     "+32470444444", SMSMessage(message="Tomorrow at 9.")
            ... )
            >>> sandbox.wait_for_message("+32 470 44 44 44")["message"]
            'Tomorrow at 9.'
        """
        return self._run(self._inner.wait_for_message, contact, timeout)

    def create_group(self, group_id: str, *, name: str | None = None) -> MasterHcp:
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
            >>> master = sandbox.create_group("clinic")
        """
        return self._run(self._inner.create_group, group_id, name=name)

    def register(
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
            >>> person = sandbox.register("patient", first_name="Arya", last_name="Stark")
            >>> builder = MedTechApiBuilder.from_env()
            >>> builder = builder.with_user_name(person.login).with_password(person.token)
            >>> with builder.build() as api:
            ...     api.init_user_crypto(person.key_pair) == [person.key_pair]
            True
        """
        return self._run(
            self._inner.register,
            kind,
            first_name=first_name,
            last_name=last_name,
            phone_number=phone_number,
            email=email,
            key_pair=key_pair,
            flavour=flavour,
            group_id=group_id,
            shares_with=shares_with,
        )

    def stored(self, kind: str, entity_id: str, *, group_id: str | None = None) -> Json | None:
        """Return an entity exactly as the server stores it, or None.

        Args:
            kind: "user", "patient", "hcparty", "device", "maintenancetask", …
            entity_id: its id.
            group_id: its group; by default the main one.

        Raises:
            ValueError: if there is no such kind.

        Example:
            >>> "note" in sandbox.stored("patient", patient.id)  # encrypted: in encryptedSelf
            False
        """
        return self._run(self._inner.stored, kind, entity_id, group_id=group_id)

    def export(self) -> Json:
        """Return everything the sandbox contains, in the form that ``seed`` takes.

        The result contains the credentials and the private key of the master.

        Example:
            >>> seed = sandbox.export()
            >>> with Sandbox(seed=seed) as copy:
            ...     print(copy.master_hcp.login == sandbox.master_hcp.login)
            True
        """
        return self._run(self._inner.export)

    def second_factor_code(self, user_name: str) -> str:
        """Return the code that the authenticator app of a user shows now.

        Args:
            user_name: id, login, email or phone number of a user with ``use2fa`` and a ``secret``.

        Raises:
            ValueError: if there is no such user.

        Example:
            >>> try:
            ...     sandbox.second_factor_code(login)
            ... except ValueError:
            ...     print("That user has no second factor")
            That user has no second factor
        """
        return self._run(self._inner.second_factor_code, user_name)

    def disconnect_subscribers(self) -> int:
        """Close the connections of all that have subscribed to events, as a restart would.

        Returns:
            How many there were.

        Example:
            >>> with api.patient_api.subscribe_to_patient_events(["CREATE"]) as events:
            ...     closed = sandbox.disconnect_subscribers()
        """
        return self._run(self._inner.disconnect_subscribers)

    def advance_clock(self, seconds: float) -> None:
        """Move the sandbox's clock forward, to see codes and tokens expire.

        Example:
            >>> sandbox.advance_clock(1)
        """
        self._call(self._inner.advance_clock, seconds)

    def set_clock(self, moment: float | datetime) -> None:
        """Move the sandbox's clock forward to a moment.

        It never goes back: revisions, codes and tokens of a later time would then be in use.

        Args:
            moment: seconds since the epoch, or a datetime with a time zone.

        Raises:
            ValueError: if the clock is past this moment, or a datetime has no time zone.

        Example:
            >>> import time
            >>> with Sandbox() as sandbox:
            ...     sandbox.set_clock(time.time() + 3600)
        """
        self._call(self._inner.set_clock, moment)

    def messages(self, contact: str | None = None) -> list[Message]:
        """Return the emails and text messages that were sent, the oldest first.

        The newest 1,000 are kept.

        Args:
            contact: the email address or phone number they went to, in any spelling; by default
                anybody's.

        Example:
            >>> process = anonymous_api.authentication_api.start_authentication(
            ...     captcha, phone_number="+32470333334", healthcare_professional_id=professional_id
            ... )
            >>> [message.state for message in sandbox.messages("+32470333334")]
            ['open']
        """
        return self._call(self._inner.messages, contact)

    def requests(self) -> list[Request]:
        """Return the requests that were answered, the oldest first.

        The newest 1,000 are kept, without those to the sandbox's own API and its page. Their paths
        contain no code and no token.

        Example:
            >>> user = api.user_api.get_logged_user()
            >>> sandbox.requests()[-1].path
            '/rest/v1/user/current'
        """
        return self._call(self._inner.requests)

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
        self._call(self._inner.set_codes, codes)

    def reset(self) -> None:
        """Bring everything back to the state right after the start.

        That is the database, messages, requests, faults, fixed codes, and the clock, which shows
        system time again. Open subscriptions to events are closed, as a restart would close them.

        Example:
            >>> with Sandbox() as sandbox:
            ...     sandbox.reset()
        """
        self._run(self._inner.reset)

    def load(self, seed: str | Path | dict[str, Any]) -> None:
        """Replace everything that the sandbox contains.

        Where the seed has no master, the present one stays. Open subscriptions to events are
        closed; messages, requests, faults and the clock stay as they are.

        Args:
            seed: everything, in the form that `export` returns, or the path of a JSON file.

        Raises:
            ValueError: that says what is wrong with the seed; nothing is changed then.

        Example:
            >>> seed = sandbox.export()
            >>> with Sandbox() as other:
            ...     other.load(seed)
        """
        self._run(self._inner.load, seed)

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
        return self._call(self._inner.inject_fault, fault)

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
            >>> from icure_sync.errors import ServerError
            >>> fault = Fault(kind="status", status=500, method="DELETE", path="/rest/v1/patient/*")
            >>> with sandbox.fault(fault) as injected:
            ...     try:
            ...         api.patient_api.delete_patient(patient.id)
            ...     except ServerError:
            ...         print(injected.struck > 0)
            True
        """
        return self._call(self._inner.fault, fault)

    def clear_faults(self) -> None:
        """Let no injected fault happen any more; the counters of each stay as they are.

        Example:
            >>> sandbox.clear_faults()
        """
        self._call(self._inner.clear_faults)
