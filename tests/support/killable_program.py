"""A program that uses the SDK, which the tests run in a process of its own and kill.

It registers or logs in, writes a patient and reads it, or shares one. It keeps what it has to know
next time in a folder, so that starting it again after its death finishes the job: as a careful
application does.

Started once, it imports everything, and then runs each job that it is given, one line of JSON on
standard input, in a fork of itself. For each it writes one line of JSON: how the fork ended, and
what it said before.
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import gc
import json
import os
import signal
import sys
import threading
import time
import traceback
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import anyio
import anyio.to_thread

from icure_async import (
    AnonymousMedTechApi,
    AnonymousMedTechApiBuilder,
    AuthenticationProcess,
    ICureRegistrationSMS,
    KeyPair,
    MedTechApi,
    MedTechApiBuilder,
    Patient,
)
from icure_async.builders import _warm_up
from icure_async.crypto.encoding import new_uuid
from icure_async.errors import CodeExpiredError, InvalidCodeError
from icure_async.models.contacts import normalise_phone_number
from icure_async.storage import (
    EncryptedKeyStorage,
    FileStorage,
    PostgresStorage,
    derive_user_key,
    jwk,
)
from tests.support.clinical_course import Course, Ids
from tests.support.shortcuts import VALIDATED_ONCE, HandedOutCrypto

T = TypeVar("T")
Builder = TypeVar("Builder", AnonymousMedTechApiBuilder, MedTechApiBuilder)
Job = dict[str, Any]

NOTE = "You must keep one's head"
SERVICE_SECRET = "the secret of a service, 32 characters and more"


class Fate:
    """Counts the moments at which the program can be killed, and kills it at one of them."""

    def __init__(self, dies_at: int | None, last_words: Callable[[dict[str, Any]], None]) -> None:
        self._moments = 0
        self._dies_at = dies_at
        self._last_words = last_words
        self._counting = threading.Lock()

    def reach(self, describe: Callable[[], str]) -> None:
        with self._counting:
            self._moments += 1
            if self._moments == self._dies_at:
                self._last_words({"died": describe()})
                os.kill(os.getpid(), signal.SIGKILL)

    def haunt(self, module: Any, name: str) -> None:
        """Let the program die before or after any call of this function, in whatever thread."""
        function = getattr(module, name)

        @functools.wraps(function)
        def haunted(*args: Any, **options: Any) -> Any:
            self.reach(lambda: f"before {name}")
            result = function(*args, **options)
            self.reach(lambda: f"after {name}")
            return result

        setattr(module, name, haunted)


class Watched(Awaitable[T]):
    """Awaits a coroutine step by step, to let it die wherever it stops, and before it goes on."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], fate: Fate) -> None:
        self._coroutine = coroutine
        self._fate = fate

    def __await__(self) -> Generator[Any, Any, T]:
        resume = functools.partial(self._coroutine.send, None)
        while True:
            self._fate.reach(lambda: f"before going on in {self._place()}")
            try:
                awaited = resume()
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            self._fate.reach(lambda: f"waiting in {self._place()}")
            try:
                resume = functools.partial(self._coroutine.send, (yield awaited))
            except BaseException as error:
                resume = functools.partial(self._coroutine.throw, error)

    def _place(self) -> str:
        """Return the names of the coroutines that wait for each other, the SDK's only."""
        names: list[str] = []
        coroutine: Any = self._coroutine
        while coroutine is not None:
            code = getattr(coroutine, "cr_code", None)
            if code is not None and "icure_async" in code.co_filename:
                names.append(code.co_qualname)
            coroutine = getattr(coroutine, "cr_await", None)
        return " > ".join(names[-4:]) or "the program"


def key_pairs_of(job: Job) -> list[KeyPair]:
    """Return the key pairs that the program would make, in this order."""
    return [KeyPair(*halves) for halves in job["keys"]]


def keys_in(storage: PostgresStorage, phone: str) -> EncryptedKeyStorage:
    """Return the keys of a person in a database, sealed under a key of the person's own."""
    key = derive_user_key(SERVICE_SECRET, phone)
    return EncryptedKeyStorage.over(storage.with_namespace(phone), key=key)


class Program:
    """One life of the program."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._database = PostgresStorage(job["database"]) if "database" in job else None
        self._app = FileStorage(job["app"])
        self._crypto = HandedOutCrypto(key_pairs_of(job), seconds=job.get("key_pair_takes", 0))
        self.report: dict[str, Any] = {"again": 0}

    def _stored(self, builder: Builder) -> Builder:
        """Let an API keep its state and keys on the device, or in the database."""
        if self._database is None:
            return builder.with_storage_directory(self._job["device"])
        keys = keys_in(self._database, self._job["phone"])
        return builder.with_storage(self._database).with_key_storage(keys)

    async def run(self) -> dict[str, Any]:
        try:
            return await self._run()
        finally:
            if self._database is not None:
                await self._database.aclose()

    async def _run(self) -> dict[str, Any]:
        job = self._job
        builder = self._stored(
            AnonymousMedTechApiBuilder()
            .with_flavour(job["flavour"])
            .with_msg_gw_url(job["gateway"])
            .with_msg_gw_spec_id(job["spec"])
            .with_auth_process_by_sms_id(job["process_id"])
            .with_icure_base_url(job["url"])
            .with_crypto(self._crypto)
        )
        if "invites" in job:
            await self._invite()
            return self.report
        async with builder.build() as anonymous:
            api = await self._opened(anonymous)
            async with api:
                await self._work(api)
        return self.report

    async def _invite(self) -> None:
        """Invite a patient by text message, as the professional."""
        job = self._job
        builder = (
            MedTechApiBuilder()
            .with_icure_base_url(job["url"])
            .with_user_name(job["hcp_login"])
            .with_password(job["hcp_password"])
            .with_msg_gw_url(job["gateway"])
            .with_msg_gw_spec_id(job["spec"])
        )
        async with builder.build() as api:
            patient = await api.patient_api.get_patient_and_try_decrypt(job["invites"])
            inviter = Patient(last_name="Luwin")
            factory = ICureRegistrationSMS(inviter, "https://a.example", "Maester", patient)
            user = await api.user_api.create_and_invite_user(patient, factory)
            self.report["user"] = user.id

    async def _opened(self, anonymous: AnonymousMedTechApi) -> MedTechApi:
        """Return the user's API: with the token if there is one, else with a code."""
        token = self._job.get("token") or await self._app.get_item("token")
        if token is not None:
            builder = (
                MedTechApiBuilder()
                .with_flavour(self._job["flavour"])
                .with_icure_base_url(self._job["url"])
                .with_user_name(self._job["phone"])
                .with_password(token)
                .with_crypto(self._crypto)
            )
            api = await self._stored(builder).build()
            await api.init_user_crypto()
            return api
        if "invitation" in self._job:
            invited = await (
                anonymous.authentication_api.authenticate_and_ask_access_to_its_existing_data(
                    self._job["phone"], self._job["invitation"]
                )
            )
            await self._app.set_item("token", invited.token)
            return invited.med_tech_api
        result = None
        wrong = 0
        while result is None:
            process = await self._process(anonymous)
            await self._wait_for_the_others()
            try:
                result = await anonymous.authentication_api.complete_authentication(
                    process, self._code()
                )
            except CodeExpiredError:
                # It was completed: by us, who died before keeping what came of it, or by another.
                self.report["again"] += 1
                await self._app.remove_item("process")
            except InvalidCodeError:
                # The message of a process of which we lost track came after that of this one.
                wrong += 1
                if wrong > 3:
                    raise
                await self._app.remove_item("process")
        await self._app.set_item("token", result.token)
        return result.med_tech_api

    async def _process(self, anonymous: AnonymousMedTechApi) -> AuthenticationProcess:
        text = self._job.get("process") or await self._app.get_item("process")
        if text is not None and not self.report["again"]:
            return AuthenticationProcess.from_json(text)
        process = await anonymous.authentication_api.start_authentication(
            "a-captcha-solution",
            phone_number=self._job["phone"],
            first_name="Ned",
            last_name="Stark",
            healthcare_professional_id=self._job["hcp"],
        )
        await self._app.set_item("process", process.to_json())
        return process

    def _code(self) -> str:
        """Return the code of the last message, read by the person: the program does not wait."""
        if "code" in self._job and not self.report["again"]:
            return str(self._job["code"])
        phone = self._job["phone"].replace("+", "%2B")
        url = f"{self._job['gateway']}/{self._job['spec']}/lastSMS/{phone}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(json.load(answer)["message"])

    async def _wait_for_the_others(self) -> None:
        if "starts_at" in self._job:
            await asyncio.sleep(self._job["starts_at"] - time.monotonic())

    async def _work(self, api: MedTechApi) -> None:
        if "clinical" in self._job:
            await self._keep_records(api)
            return
        if "shares" in self._job:
            patient = await api.patient_api.get_patient(self._job["shares"])
            await api.patient_api.give_access_to(patient, self._job["delegate"])
            return
        own_id = str((await api.user_api.get_logged_user()).patient_id)
        for public_key in self._job.get("helps", []):
            await api.data_owner_api.give_access_back_to(own_id, public_key)
        for patient_id in self._job.get("reads", []):
            assert (await api.patient_api.get_patient(patient_id)).note == NOTE
        patient_id = await self._app.get_item("patient")
        if patient_id is None:
            patient_id = await new_uuid(self._crypto)
            await self._app.set_item("patient", patient_id)
        await api.patient_api.create_or_modify_patient(
            Patient(id=patient_id, first_name="Robb", last_name="Stark", note=NOTE)
        )
        assert (await api.patient_api.get_patient(patient_id)).note == NOTE
        if self._job.get("opens_own_record", True):
            # Decrypted, too, or this is an error.
            await api.patient_api.get_patient(own_id)
        self.report["patient"] = patient_id
        self.report["token"] = await self._app.get_item("token")

    async def _keep_records(self, api: MedTechApi) -> None:
        """Go on with clinical records at the step that was not finished."""

        async def remember(done: int) -> None:
            await self._app.set_item("step", str(done))

        course = Course(
            self._job["patient"],
            Ids(*self._job["clinical"]),
            int(await self._app.get_item("step") or 0),
            remember,
        )
        await course.go_on(api)


def live(job: Job, said: int) -> NoReturn:
    """Run a job in a fork, and end it."""

    def say(words: dict[str, Any]) -> None:
        os.write(said, json.dumps(words).encode())

    fate = Fate(job.get("dies_at"), say)
    for module, name in (
        (os, "fsync"),
        (os, "replace"),
        (os, "unlink"),
        (os, "mkdir"),
        (fcntl, "flock"),
    ):
        fate.haunt(module, name)

    async def main() -> dict[str, Any]:
        return await Watched(Program(job).run(), fate)

    try:
        report = asyncio.run(main())
    except BaseException:
        say({"error": traceback.format_exc()})
        os._exit(1)
    say(report)
    os._exit(0)


def run_in_a_fork(job: Job) -> dict[str, Any]:
    heard, said = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(heard)
        live(job, said)
    os.close(said)
    with os.fdopen(heard, "rb") as words:
        report = words.read()
    _, status = os.waitpid(pid, 0)
    outcome = {"killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL}
    return outcome | (json.loads(report) if report else {})


async def _use_a_thread() -> None:
    await anyio.to_thread.run_sync(int)


def warm_up() -> None:
    # All that is slow at first use; neither a thread nor an event loop may exist when it forks.
    _warm_up()
    anyio.run(_use_a_thread)
    for thread in set(threading.enumerate()) - {threading.current_thread()}:
        thread.join()
    normalise_phone_number("+32470123456")
    Path.home()
    for name, function in VALIDATED_ONCE.items():
        setattr(jwk, name, function)
    gc.freeze()


def main() -> None:
    warm_up()
    for line in sys.stdin:
        job: Job = json.loads(line)
        for key_pair in key_pairs_of(job):
            text, _ = jwk.validate(key_pair)
            jwk.key_pair_from_document(json.loads(text))
        print(json.dumps(run_in_a_fork(job)), flush=True)


if __name__ == "__main__":
    main()
