"""Every request of a flow goes wrong in every way, and the flow comes to its end.

The requests are those of a run without fault. Each fault strikes one request once, and then that
request whenever it is made until the program gives up.

A run tries some of these troubles, so that each request and each fault has its turn, and others on
the next days; ``ICURE_FAULTS=all`` tries all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from icure_async.authentication import completion as authentication
from icure_async.crypto.software import SoftwareCrypto
from icure_async.errors import ICureError
from icure_async.models.flavour import Flavour
from icure_async.models.key_pair import KeyPair
from icure_async.sandbox import Fault
from tests.support.aftermath import State, check_notified, check_notified_today
from tests.support.clinical_programs import ClinicalProgram
from tests.support.counts import Count
from tests.support.fault_scenes import Place, Program, everything_of
from tests.support.invitation_scenes import InvitedProgram, InvitingProgram, new_patient
from tests.support.invitations import token_in
from tests.support.samples import all_wanted, one_a_day, today
from tests.support.sharing_scenes import SharingProgram, add_delegate, next_patient
from tests.support.shortcuts import make_key_pairs

pytestmark = pytest.mark.timeout(900)

OPTION = "ICURE_FAULTS"
SAMPLE = 12
PLACES = 4
KEY_PAIRS = 7
LATE_SECONDS = 2.5
PATIENCE_SECONDS = 2.0
UNTIL_CLEARED = 100

# How a request goes wrong → the arguments of the fault.
FAULTS: dict[str, dict[str, Any]] = {
    "delayed": {"kind": "delay", "seconds": 0.02},
    "handled too late": {"kind": "delay", "seconds": LATE_SECONDS},
    "dropped before": {"kind": "drop-before"},
    "dropped after": {"kind": "drop-after"},
    "401": {"kind": "status", "status": 401},
    "409": {"kind": "status", "status": 409},
    "429": {"kind": "status", "status": 429},
    "429 with Retry-After": {"kind": "status", "status": 429, "retry_after": 1},
    "500": {"kind": "status", "status": 500},
    "503": {"kind": "status", "status": 503},
    "truncated": {"kind": "truncate"},
}


@attrs.frozen
class Trouble:
    """A fault in a flow.

    Attributes:
        number: of the request, counted from 1.
        request: method and path of it, with asterisks for ids.
        nth: which of the requests that its asterisks stand for it is, counted from 1.
        fault: name of the fault.
        lasting: whether it goes on for all later requests like that.
    """

    number: int
    request: str
    nth: int
    fault: str
    lasting: bool

    def __str__(self) -> str:
        how_long = "from then on" if self.lasting else "once"
        return f"request {self.number} ({self.request}) {self.fault} {how_long}"

    def make(self) -> Fault:
        method, path = self.request.split()
        nth = range(self.nth, UNTIL_CLEARED) if self.lasting else self.nth
        return Fault(method=method, path=path, nth=nth, **FAULTS[self.fault])


def _is_like(request: str, pattern: str) -> bool:
    """Return whether the sandbox takes a request for one of those that a pattern stands for."""
    method, path = pattern.split()
    return Fault("drop-before", method=method, path=path).matches(*request.split())


class Flow:
    """A flow that a person repeats, each time with a program that knows nothing."""

    def __init__(self, place: Place) -> None:
        self.place = place

    async def next_program(self) -> Program:
        raise NotImplementedError

    async def passed(self, program: Program) -> None:
        """Take note of a program in which everything went well in the end."""

    async def finish(self) -> None:
        """Check what can be checked at the end only."""


class Registration(Flow):
    """Of a new user each time."""

    async def next_program(self) -> Program:
        place = self.place
        return Program(place, place.new_phone(), place.new_folder(), *place.key_pairs[:2])


class Login(Flow):
    """Of the same user, on the device that has the key."""

    _first: Program | None = None

    async def next_program(self) -> Program:
        place = self.place
        own, *others = place.key_pairs
        if self._first is None:
            self._first = Program(place, place.new_phone(), place.new_folder(), own)
            assert await self._first.run() == []
        first = self._first
        earlier = (str(first.patient.id),)
        return Program(place, first.phone, first.folder, *others, earlier=earlier)


class LoginWithoutKey(Flow):
    """Of the same few users, each on several new devices."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._first: Program | None = None
        self._spare: list[KeyPair] = []
        self._passed: list[Program] = []

    async def next_program(self) -> Program:
        place = self.place
        if len(self._spare) < 2:
            await self.finish()
            own, *self._spare = place.key_pairs
            self._first = Program(place, place.new_phone(), place.new_folder(), own)
            assert await self._first.run() == []
        assert self._first is not None
        pairs = self._spare.pop(), self._spare.pop()
        program = Program(place, self._first.phone, place.new_folder(), *pairs)
        program.opens_own_record = False
        return program

    async def passed(self, program: Program) -> None:
        self._passed.append(program)
        owner_id = (await self.place.state(program.phone)).owner["id"]
        check = check_notified if self.place.flavour == "medtech" else check_notified_today
        await check(self.place.sandbox, owner_id, key_pairs=len(self._passed))

    async def finish(self) -> None:
        """The user's first device gives access back, and everybody reads everything."""
        if self._first is None:
            return
        assert self._first.result is not None
        api = self._first.result.med_tech_api
        own_id = str((await api.user_api.get_logged_user()).patient_id)
        for program in self._passed:
            assert program.result is not None
            (pair,) = program.result.key_pairs
            await api.data_owner_api.give_access_back_to(own_id, pair.public_key)
            program.opens_own_record = True
        ids = [str(program.patient.id) for program in (self._first, *self._passed)]
        for program in (self._first, *self._passed):
            await program.read_after_a_restart(*ids)
        self._passed.clear()


class Invitation(Flow):
    """Of a new patient each time."""

    async def next_program(self) -> Program:
        phone = self.place.new_phone()
        return InvitingProgram(self.place, phone, await new_patient(self.place, phone))


class FirstLogin(Flow):
    """Of a new patient each time, who was invited."""

    async def next_program(self) -> Program:
        place, phone = self.place, self.place.new_phone()
        await InvitingProgram(place, phone, await new_patient(place, phone)).run()
        token = token_in(await place.sandbox.wait_for_message(phone))
        return InvitedProgram(place, phone, place.new_folder(), token, *place.key_pairs[:2])


class Sharing(Flow):
    """Of a new patient of the same user, with a new delegate each time."""

    _first: Program | None = None

    async def next_program(self) -> Program:
        place = self.place
        own, reader = place.key_pairs[:2]
        if self._first is None:
            self._first = Program(place, place.new_phone(), place.new_folder(), own)
            assert await self._first.run() == []
        patient = await next_patient(place, self._first)
        delegate_id = await add_delegate(place.sandbox, reader, place.flavour)
        return SharingProgram(self._first, patient, delegate_id, reader)


class ClinicalRecords(Flow):
    """Conditions, data samples and attachments of the same user, new ones each time."""

    _first: Program | None = None

    async def next_program(self) -> Program:
        place = self.place
        if self._first is None:
            own = place.key_pairs[0]
            self._first = Program(place, place.new_phone(), place.new_folder(), own)
            assert await self._first.run() == []
        owner_id = (await place.state(self._first.phone)).owner["id"]
        return ClinicalProgram(self._first, owner_id)


class Matrix:
    """Runs a flow with all its troubles, in several places at the same time."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []
        self._troubles: Iterator[Trouble] = iter(())

    async def run(self, make: type[Flow], places: list[Place]) -> None:
        flows = [make(place) for place in places]
        self.requests = await self._record(flows[0])
        self._troubles = self._chosen()
        await asyncio.gather(*map(self._go_on, flows))

    async def _record(self, flow: Flow) -> list[str]:
        """Return the requests of a run in which nothing goes wrong."""
        program = await flow.next_program()
        before = await flow.place.state(program.phone)
        flow.place.forget()
        assert await program.run() == []
        requests = list(flow.place.requests)
        await self._check(flow, program, before)
        return requests

    def _chosen(self) -> Iterator[Trouble]:
        """Return some troubles, other ones for each request, fault and day."""
        if all_wanted(OPTION):
            return self._all()
        step = 1 + 2 * len(FAULTS) * len(self.requests) // SAMPLE
        # A row for each fault is as long as there are requests: shifted by one, they take turns.
        return (
            trouble
            for index, trouble in enumerate(self._all())
            if (index // len(self.requests) + trouble.number + today()) % step == 0
        )

    def _all(self) -> Iterator[Trouble]:
        for lasting in (False, True):
            for fault in FAULTS:
                for number, request in enumerate(self.requests, start=1):
                    nth = sum(_is_like(other, request) for other in self.requests[:number])
                    yield Trouble(number, request, nth, fault, lasting)

    async def _go_on(self, flow: Flow) -> None:
        for trouble in self._troubles:
            outcome = "failed"
            try:
                outcome = await self._try(flow, trouble)
            except Exception as error:
                self.failures.append(f"{trouble}: {type(error).__name__}: {error}")
            self.outcomes[outcome] += 1
        try:
            await flow.finish()
        except Exception as error:
            self.failures.append(f"at the end: {type(error).__name__}: {error}")

    async def _try(self, flow: Flow, trouble: Trouble) -> str:
        place = flow.place
        program = await flow.next_program()
        before = await place.state(program.phone)
        late = trouble.fault == "handled too late"
        place.forget()
        if late:
            program.timeout = PATIENCE_SECONDS
            # A program that looks before the request of a dead one is handled can't see its work.
            program.made_at_most = 2
        injected = place.sandbox.inject_fault(trouble.make())
        outcome = "finished at once"
        try:
            problems = await program.run()
            for problem in problems:
                place.check_said(problem, problem)
        except ICureError as error:
            place.check_said(str(error), everything_of(error))
            program.heed(error)
            problems = [str(error)]
        finally:
            place.sandbox.clear_faults()
        assert injected.struck, "nothing was struck"
        if problems:
            outcome = "finished after a clear error"
            assert await program.run() == [], f"not finished after: {problems}"
        if late:
            await asyncio.sleep(LATE_SECONDS)
        await self._check(flow, program, before)
        return outcome

    async def _check(self, flow: Flow, program: Program, before: State) -> None:
        await program.check(before, delegates={flow.place.hcp_id})
        await flow.passed(program)


@pytest.fixture(scope="module")
def key_pairs() -> list[KeyPair]:
    """Keys made once: the tests are about their fate."""
    return asyncio.run(make_key_pairs(KEY_PAIRS))


@pytest.fixture
async def places(
    flavour: Flavour,
    keys_made_once: None,
    keys_validated_once: None,
    cheap_hashes: None,
    no_pauses: None,
    key_pairs: list[KeyPair],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[list[Place]]:
    monkeypatch.setattr(authentication, "SIGN_IN_PAUSE_SECONDS", 0)
    parsed = SoftwareCrypto()
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                Place(tmp_path / str(number), parsed, key_pairs, flavour)
            )
            for number in range(PLACES)
        ]


@pytest.mark.parametrize(
    ("make", "flavour"),
    [
        *itertools.product(
            [Registration, Login, LoginWithoutKey, Sharing], ["medtech", "cardinal"]
        ),
        *((ClinicalRecords, flavour) for flavour in one_a_day(["medtech", "cardinal"], OPTION)),
        (Invitation, "medtech"),
        (FirstLogin, "medtech"),
    ],
)
async def test_whatever_goes_wrong_with_a_request_the_flow_finishes(
    make: type[Flow], places: list[Place], flavour: Flavour, count: Count
) -> None:
    matrix = Matrix()
    await matrix.run(make, places)
    counts = ", ".join(f"{times} {outcome}" for outcome, times in matrix.outcomes.items())
    cases = f"{len(matrix.requests)} requests x {len(FAULTS)} faults"
    count(f"{make.__name__} in {flavour}: of {cases}: {counts}, {len(matrix.failures)} failed")
    assert matrix.failures == []
