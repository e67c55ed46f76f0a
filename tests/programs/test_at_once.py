"""Two programs register or log in at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import pytest

from icure_async import AnonymousMedTechApiBuilder, KeyPair
from tests.support.aftermath import State
from tests.support.ground import Device, Ground, Json, ProgramServer
from tests.support.samples import all_wanted, today

pytestmark = pytest.mark.timeout(900)

# By how many seconds the second program starts later: half of them a day.
_ALL_DELAYS = (0.0, 0.002, 0.01, 0.02, 0.04, 0.08, 0.16)
DELAYS = _ALL_DELAYS if all_wanted("ICURE_KILLING") else _ALL_DELAYS[today() % 2 :: 2]
# How long the making of a key pair takes, in seconds: time for the other to come in between.
_KEY_PAIR_TAKES = 0.05
# How long it may take until both have their job, in seconds.
_HEAD_START = 0.15

Build = Callable[[], AnonymousMedTechApiBuilder]


@attrs.frozen
class Round:
    """The outcome of two programs that ran at the same time.

    Attributes:
        jobs: of the programs.
        outcomes: how each of them ended.
        before: what the backend knew of their user before.
        now: what it knew afterwards.
    """

    jobs: list[Json]
    outcomes: list[Json]
    before: State
    now: State


class AtOnce:
    """Runs two programs at the same time."""

    def __init__(self, ground: Ground, servers: list[ProgramServer], build: Build) -> None:
        self.ground = ground
        self.servers = servers
        self._build = build

    async def at_each_delay(self, go: Callable[[float], Awaitable[None]]) -> None:
        """Do this with the second program starting at the same time, or more or less later."""
        for delay in DELAYS:
            try:
                await go(delay)
            except AssertionError as error:
                error.add_note(f"The second program started {delay} s later.")
                raise

    async def log_in(
        self,
        devices: Sequence[Device],
        key_pairs: Sequence[KeyPair],
        processes: int,
        delay: float,
        **options: Any,
    ) -> Round:
        """Let both programs log in, and check what they leave.

        Args:
            devices: that of each program; they may share one.
            key_pairs: the one that each would make.
            processes: whether they complete the same process (1) or one each (2).
            delay: by how many seconds the second one starts later.
            options: of both jobs.
        """
        phone = devices[0].phone
        before = await self.ground.state(phone)
        started = await self._start_processes(devices[0], processes)
        jobs = [
            self.ground.job(device, key_pair, **started[-number], **options)
            for number, (device, key_pair) in enumerate(zip(devices, key_pairs, strict=True))
        ]
        outcomes = await self._run(jobs, delay)
        now = await self.ground.state(phone)
        most = sum(1 + outcome["again"] for outcome in outcomes)
        different = dict.fromkeys(devices)
        await self.ground.check_whole(before, now, *different, tokens=range(1, 1 + most))
        return Round(jobs, outcomes, before, now)

    async def _start_processes(self, device: Device, count: int) -> list[Json]:
        """Return that many processes with their codes, as options of a job."""
        processes: list[Json] = []
        async with self._build().with_storage_directory(device.folder.parent).build() as anonymous:
            for _ in range(count):
                process = await anonymous.authentication_api.start_authentication(
                    "a-captcha-solution",
                    phone_number=device.phone,
                    first_name="Ned",
                    last_name="Stark",
                    healthcare_professional_id=self.ground.sandbox.master_hcp.data_owner_id,
                )
                code = await self.ground.sandbox.wait_for_code(device.phone)
                processes.append({"process": process.to_json(), "code": code})
        return processes

    async def _run(self, jobs: Sequence[Json], delay: float) -> list[Json]:
        """Run the jobs, the second one that much later, and return how each ended."""
        start = time.monotonic() + _HEAD_START
        starts = (start + number * delay for number in range(len(jobs)))
        return await asyncio.gather(
            *(
                server.finish(job | {"starts_at": starts_at, "key_pair_takes": _KEY_PAIR_TAKES})
                for server, job, starts_at in zip(self.servers, jobs, starts, strict=True)
            )
        )

    async def give_each_other_access(self, jobs: Sequence[Json]) -> None:
        for server, job, other in zip(self.servers, jobs, reversed(jobs), strict=True):
            ((public_key, _),) = other["keys"]
            await server.finish(job | {"helps": [public_key], "keys": []})

    async def read_everything(self, jobs: Sequence[Json], outcomes: Sequence[Json]) -> None:
        """Let each of the programs read what all have written, and write once more."""
        patients = [outcome["patient"] for outcome in outcomes]
        for server, job in zip(self.servers, jobs, strict=True):
            later = {"reads": patients, "opens_own_record": True, "keys": []}
            await server.finish(job | later)


@pytest.fixture
def at_once(ground: Ground, servers: list[ProgramServer], anonymous_builder: Build) -> AtOnce:
    return AtOnce(ground, servers, anonymous_builder)


@pytest.mark.parametrize("processes", [1, 2])
async def test_two_programs_on_a_device_register_the_same_user(
    at_once: AtOnce, key_pairs: list[KeyPair], processes: int
) -> None:
    async def go(delay: float) -> None:
        device = at_once.ground.new_device(at_once.ground.new_phone())
        done = await at_once.log_in([device] * 2, key_pairs[:2], processes, delay)
        await at_once.read_everything(done.jobs, done.outcomes)

    await at_once.at_each_delay(go)


async def test_two_programs_on_a_device_log_in_as_the_same_user(
    at_once: AtOnce, key_pairs: list[KeyPair]
) -> None:
    ground = at_once.ground
    device = ground.new_device(ground.new_phone())
    own, *unused = key_pairs[:3]
    await at_once.servers[0].finish(ground.job(device, own))

    async def go(delay: float) -> None:
        done = await at_once.log_in([device] * 2, unused, 2, delay)
        assert done.now.published == done.before.published
        await at_once.read_everything(done.jobs, done.outcomes)

    await at_once.at_each_delay(go)


@pytest.mark.parametrize("processes", [1, 2])
async def test_two_devices_register_the_same_user(
    at_once: AtOnce, key_pairs: list[KeyPair], processes: int
) -> None:
    async def go(delay: float) -> None:
        phone = at_once.ground.new_phone()
        devices = [at_once.ground.new_device(phone) for _ in range(2)]
        done = await at_once.log_in(
            devices, key_pairs[:2], processes, delay, opens_own_record=False
        )
        await at_once.give_each_other_access(done.jobs)
        await at_once.read_everything(done.jobs, done.outcomes)

    await at_once.at_each_delay(go)


@pytest.mark.parametrize("processes", [1, 2])
async def test_two_new_devices_log_in_as_the_same_user(
    at_once: AtOnce, key_pairs: list[KeyPair], processes: int
) -> None:
    ground, (server, _) = at_once.ground, at_once.servers
    own, *new = key_pairs[:3]

    async def go(delay: float) -> None:
        phone = ground.new_phone()
        helper = ground.new_device(phone)
        helped = await server.finish(ground.job(helper, own))
        devices = [ground.new_device(phone) for _ in range(2)]
        done = await at_once.log_in(devices, new, processes, delay, opens_own_record=False)
        new_keys = list(done.now.published - done.before.published)
        await server.finish(ground.job(helper, helps=new_keys))
        await at_once.give_each_other_access(done.jobs)
        await at_once.read_everything(done.jobs, [*done.outcomes, helped])

    await at_once.at_each_delay(go)
