"""Two programs register or log in at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import pytest

from icure_async import AnonymousMedTechApiBuilder, KeyPair

from .support import Device, Ground, Json, ProgramServer

# By how many seconds the second program starts later.
DELAYS = (0.0, 0.002, 0.01, 0.02, 0.04, 0.08, 0.16)
# How long the making of a key pair takes, in seconds: time for the other to come in between.
_KEY_PAIR_TAKES = 0.05
# How long it may take until both have their job, in seconds.
_HEAD_START = 0.15

Build = Callable[[], AnonymousMedTechApiBuilder]


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

    async def start_processes(self, device: Device, count: int) -> list[Json]:
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

    async def run(self, jobs: Sequence[Json], delay: float) -> list[Json]:
        """Run the jobs, the second one that much later, and return how each ended."""
        start = time.monotonic() + _HEAD_START
        starts = (start + number * delay for number in range(len(jobs)))
        return await asyncio.gather(
            *(
                server.finish(job | {"starts_at": starts_at, "key_pair_takes": _KEY_PAIR_TAKES})
                for server, job, starts_at in zip(self.servers, jobs, starts, strict=True)
            )
        )

    async def read_everything(self, jobs: Sequence[Json], outcomes: Sequence[Json]) -> None:
        """Let each of the programs read what all have written, and write once more."""
        patients = [outcome["patient"] for outcome in outcomes]
        for server, job in zip(self.servers, jobs, strict=True):
            later = {"reads": patients, "opens_own_record": True, "keys": []}
            await server.finish(job | later)


@pytest.fixture
def at_once(ground: Ground, servers: list[ProgramServer], anonymous_builder: Build) -> AtOnce:
    return AtOnce(ground, servers, anonymous_builder)


def _most_tokens(outcomes: Sequence[Json]) -> int:
    return sum(1 + outcome["again"] for outcome in outcomes)


async def _give_each_other_access(at_once: AtOnce, jobs: Sequence[Json]) -> None:
    for server, job, other in zip(at_once.servers, jobs, reversed(jobs), strict=True):
        ((public_key, _),) = other["keys"]
        await server.finish(job | {"helps": [public_key], "keys": []})


@pytest.mark.parametrize("processes", [1, 2])
async def test_two_programs_on_a_device_register_the_same_user(
    at_once: AtOnce, key_pairs: list[KeyPair], processes: int
) -> None:
    ground = at_once.ground

    async def go(delay: float) -> None:
        device = ground.new_device(ground.new_phone())
        before = await ground.state(device.phone)
        started = await at_once.start_processes(device, processes)
        jobs = [
            ground.job(device, key_pair, **started[-number])
            for number, key_pair in enumerate(key_pairs[:2])
        ]
        outcomes = await at_once.run(jobs, delay)
        now = await ground.state(device.phone)
        await ground.check_whole(before, now, device, tokens=range(1, 1 + _most_tokens(outcomes)))
        await at_once.read_everything(jobs, outcomes)

    await at_once.at_each_delay(go)


async def test_two_programs_on_a_device_log_in_as_the_same_user(
    at_once: AtOnce, key_pairs: list[KeyPair]
) -> None:
    ground = at_once.ground
    device = ground.new_device(ground.new_phone())
    own, *unused = key_pairs[:3]
    await at_once.servers[0].finish(ground.job(device, own))

    async def go(delay: float) -> None:
        before = await ground.state(device.phone)
        started = await at_once.start_processes(device, 2)
        jobs = [
            ground.job(device, key_pair, **options)
            for key_pair, options in zip(unused, started, strict=True)
        ]
        outcomes = await at_once.run(jobs, delay)
        now = await ground.state(device.phone)
        assert now.published == before.published
        await ground.check_whole(before, now, device, tokens=range(1, 1 + _most_tokens(outcomes)))
        await at_once.read_everything(jobs, outcomes)

    await at_once.at_each_delay(go)


@pytest.mark.parametrize("processes", [1, 2])
async def test_two_devices_register_the_same_user(
    at_once: AtOnce, key_pairs: list[KeyPair], processes: int
) -> None:
    ground = at_once.ground

    async def go(delay: float) -> None:
        phone = ground.new_phone()
        devices = [ground.new_device(phone) for _ in range(2)]
        before = await ground.state(phone)
        started = await at_once.start_processes(devices[0], processes)
        jobs = [
            ground.job(device, key_pair, **started[-number], opens_own_record=False)
            for number, (device, key_pair) in enumerate(zip(devices, key_pairs, strict=False))
        ]
        outcomes = await at_once.run(jobs, delay)
        now = await ground.state(phone)
        tokens = range(1, 1 + _most_tokens(outcomes))
        await ground.check_whole(before, now, *devices, tokens=tokens)
        await _give_each_other_access(at_once, jobs)
        await at_once.read_everything(jobs, outcomes)

    await at_once.at_each_delay(go)


@pytest.mark.parametrize("processes", [1, 2])
async def test_two_new_devices_log_in_as_the_same_user(
    at_once: AtOnce, key_pairs: list[KeyPair], processes: int
) -> None:
    ground = at_once.ground
    own, *new = key_pairs[:3]

    async def go(delay: float) -> None:
        phone = ground.new_phone()
        helper = ground.new_device(phone)
        helped = await at_once.servers[0].finish(ground.job(helper, own))
        before = await ground.state(phone)
        devices = [ground.new_device(phone) for _ in range(2)]
        started = await at_once.start_processes(devices[0], processes)
        jobs = [
            ground.job(device, key_pair, **started[-number], opens_own_record=False)
            for number, (device, key_pair) in enumerate(zip(devices, new, strict=True))
        ]
        outcomes = await at_once.run(jobs, delay)
        now = await ground.state(phone)
        tokens = range(1, 1 + _most_tokens(outcomes))
        await ground.check_whole(before, now, *devices, tokens=tokens)
        new_keys = list(now.published - before.published)
        await at_once.servers[0].finish(ground.job(helper, helps=new_keys))
        await _give_each_other_access(at_once, jobs)
        await at_once.read_everything(jobs, [*outcomes, helped])

    await at_once.at_each_delay(go)
