"""Scenes in which one request goes wrong: a sandbox, people, programs, and what must hold."""

from __future__ import annotations

import contextlib
import re
import traceback
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import aiohttp
import pytest

from icure_async import (
    AuthenticationProcess,
    AuthenticationResult,
    KeyPair,
    MedTechApi,
    MedTechApiBuilder,
    Patient,
)
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import (
    AuthenticationProcessError,
    CaptchaRefusedError,
    CodeExpiredError,
    DecryptionError,
    ICureError,
    TooManyAttemptsError,
    UnknownProcessError,
)
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox
from tests.support.aftermath import Inspector, State, state_of
from tests.support.builders import anonymous_builder_for, builder_for
from tests.support.newcomers import Newcomers
from tests.support.shortcuts import HandedOutCrypto

Json = dict[str, Any]

NOTE = "You must keep one's head"
LATER_NOTE = "You must keep one's head, and the other's"

_VARIABLE = re.compile(r"[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(-\d+)?|\+\d+")
_ADVICE = re.compile(
    r"\b(try again|start again|check|call|wait|log in again|get another|ask for another|start a new"
    r"|read it again)",
    re.IGNORECASE,
)


class Place(Newcomers):
    """A sandbox of its own, so that a fault strikes nobody but the program it is meant for."""

    def __init__(
        self,
        folder: Path,
        parsed: SoftwareCrypto,
        key_pairs: list[KeyPair],
        flavour: Flavour = "medtech",
    ) -> None:
        super().__init__(folder)
        self.flavour: Flavour = flavour
        self.sandbox = Sandbox()
        self.key_pairs = key_pairs
        self.inspector = Inspector(key_pairs, flavour)
        self.requests: list[str] = []
        self.secrets: set[str] = set()
        self.codes: set[str] = set()
        self._parsed = parsed
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._record)
        self.session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[trace]
        )
        await self._stack.enter_async_context(self.sandbox)
        await self._stack.enter_async_context(self.session)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _record(
        self, session: aiohttp.ClientSession, context: Any, params: aiohttp.TraceRequestStartParams
    ) -> None:
        path = _VARIABLE.sub("*", params.url.path)
        self.requests.append(f"{params.method} {path}")
        for name in ("Authorization", "Refresh-Token", "token"):
            if name in params.headers:
                self.secrets.add(params.headers[name].split()[-1])

    @property
    def hcp_id(self) -> str:
        return self.sandbox.master_hcp.data_owner_id

    def forget(self) -> None:
        """Forget what was seen so far."""
        for seen in (self.requests, self.secrets, self.codes):
            seen.clear()

    def crypto(self, key_pairs: list[KeyPair]) -> HandedOutCrypto:
        return HandedOutCrypto(key_pairs, parsed=self._parsed)

    def builder_for(self, login: str, password: str) -> MedTechApiBuilder:
        return builder_for(self.sandbox.icure_url, login, password, flavour=self.flavour)

    async def state(self, phone: str) -> State:
        return await state_of(self.sandbox, phone)

    def check_said(self, said: str, everything: str) -> None:
        """Check that what was said helps, and gives nothing away.

        Args:
            said: the message.
            everything: whatever is known of the error, causes included.
        """
        assert _ADVICE.search(said), f"it says not what to do: {said}"
        assert not any(secret in everything for secret in self.secrets), f"a secret is in: {said}"
        # Codes have few digits, which may be part of an id by chance.
        numbers = set(re.findall(r"(?<![0-9a-f])\d+(?![0-9a-f])", everything))
        assert not numbers & self.codes, f"a code is in: {said}"


class Program:
    """A careful application: it remembers what it must, and does what an error says."""

    def __init__(
        self,
        place: Place,
        phone: str,
        folder: Path,
        *key_pairs: KeyPair,
        earlier: tuple[str, ...] = (),
    ) -> None:
        """Set up a program.

        Args:
            place: where it runs.
            phone: of its person.
            folder: of its device.
            key_pairs: those it would make, in this order.
            earlier: ids of patients it has to be able to read.
        """
        self.place = place
        self.phone = phone
        self.folder = folder
        self.patient = Patient(id=str(uuid4()), first_name="Robb", last_name="Stark", note=NOTE)
        self.processes = 0
        self.result: AuthenticationResult | None = None
        self.timeout = 30.0
        self.made_at_most = 1
        self.opens_own_record = True
        self._crypto = place.crypto(list(key_pairs))
        self._earlier = earlier
        self._process: AuthenticationProcess | None = None
        self._code: str | None = None
        self._resends = False
        self._undelivered = False
        self._created: Patient | None = None

    async def run(self) -> list[str]:
        """Do everything that is still to be done, and return what was reported as undone."""
        if self.result is None:
            self.result = await self._log_in()
            notices = self.result.key_notices
        elif self._undelivered:
            (key_pair, *_) = self.result.key_pairs
            notices = await self.result.med_tech_api.data_owner_api.notify_key_pair_update(
                key_pair.public_key
            )
        else:
            notices = []
        self._undelivered = not all(notice.delivered for notice in notices)
        await self._work(self.result.med_tech_api)
        return [str(notice.problem) for notice in notices if not notice.delivered]

    async def _log_in(self) -> AuthenticationResult:
        place, sandbox = self.place, self.place.sandbox
        builder = (
            anonymous_builder_for(sandbox, flavour=place.flavour)
            .with_crypto(self._crypto)
            .with_storage_directory(self.folder)
            .with_client_session(place.session)
            .with_timeout(self.timeout)
        )
        async with builder.build() as anonymous:
            api = anonymous.authentication_api
            if self._process is None:
                self._process = await api.start_authentication(
                    "a-captcha-solution",
                    phone_number=self.phone,
                    first_name="Ned",
                    last_name="Stark",
                    healthcare_professional_id=place.hcp_id,
                )
                self._code = None
            elif self._resends:
                self._process = await api.resend(self._process, "a-captcha-solution")
                self._code = None
                self._resends = False
            if self._code is None:
                self._code = await sandbox.wait_for_code(self.phone)
                self.processes += 1
                place.codes.add(self._code)
            return await api.complete_authentication(self._process, self._code)

    async def _work(self, api: MedTechApi) -> None:
        patients = api.patient_api
        if self._created is None:
            self._created = await patients.create_or_modify_patient(self.patient)
        changed = self._created.evolve(note=LATER_NOTE)
        await patients.create_or_modify_patient(changed)
        for patient_id in (str(self.patient.id), *self._earlier):
            assert (await patients.get_patient(patient_id)).note == LATER_NOTE

    def heed(self, error: ICureError) -> None:
        """Take the step that an error advises, as in the table of the README."""
        if isinstance(error, AuthenticationProcessError) and error.process is not None:
            self._process = error.process
        if isinstance(error, CodeExpiredError | TooManyAttemptsError):
            self._resends = True
        elif isinstance(error, UnknownProcessError | CaptchaRefusedError):
            self._process = None

    async def check(self, before: State, *, delegates: set[str]) -> None:
        """Check what must hold when the program has come to its end."""
        now = await self.place.state(self.phone)
        tokens = range(1, 1 + self.processes)
        await self.place.inspector.check_whole(
            before, now, self.folder, delegates=delegates, tokens=tokens
        )
        await self.read_after_a_restart()

    async def read_after_a_restart(self, *more: str) -> None:
        """Read all patients in a new program on the same device; it makes no key pair."""
        assert self.result is not None
        builder = (
            self.place.builder_for(self.phone, self.result.token)
            .with_crypto(self.place.crypto([]))
            .with_storage_directory(self.folder)
            .with_client_session(self.place.session)
        )
        async with builder.build() as api:
            await api.init_user_crypto()
            ids = [str(self.patient.id), *self._earlier, *more]
            for patient in await api.patient_api.get_patients(ids):
                assert patient.note == LATER_NOTE
            own_id = str((await api.user_api.get_logged_user()).patient_id)
            if self.opens_own_record:
                await api.patient_api.get_patient(own_id)
            else:
                with pytest.raises(DecryptionError):
                    await api.patient_api.get_patient(own_id)


def everything_of(error: BaseException) -> str:
    """Return whatever a log or a person may get to see of an error."""
    process = getattr(error, "process", None)
    return "".join([*traceback.format_exception(error), repr(error), repr(process)])
