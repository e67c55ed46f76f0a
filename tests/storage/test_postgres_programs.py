"""Programs that share a database: they register a user once, and lose nothing when one is killed.

A run tries some moments to kill at, other ones the next day; ``ICURE_POSTGRES=all`` tries more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from anyio import to_thread

from icure_async import AnonymousMedTechApiBuilder, KeyPair
from icure_async.models.key_pair import fingerprint_of
from icure_async.sandbox import Sandbox
from icure_async.storage import PostgresStorage
from tests.support.ground import Ground, Json, ProgramServer
from tests.support.killable_program import keys_in
from tests.support.postgres import PostgresServer
from tests.support.postgres_programs import COUNTER
from tests.support.samples import all_wanted, today
from tests.support.shortcuts import make_key_pairs

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(900)]

PROGRAMS: Final = 8
ROUNDS: Final = 12 if all_wanted("ICURE_POSTGRES") else 1
COUNTS: Final = 400 if all_wanted("ICURE_POSTGRES") else 15

Build = Callable[[], AnonymousMedTechApiBuilder]


class Programs(ProgramServer):
    """A process that forks for each program."""

    module = "tests.support.postgres_programs"

    async def begin(self, jobs: Sequence[Json]) -> list[int]:
        """Start programs at the same time, and return their process ids."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(jobs).encode() + b"\n")
        pids: list[int] = await self._line()
        return pids

    async def outcomes(self) -> list[Json]:
        """Wait for the programs, and return how each of them ended."""
        outcomes: list[Json] = await self._line()
        for outcome in outcomes:
            assert "error" not in outcome, outcome["error"]
        return outcomes

    async def _line(self) -> Any:
        assert self._process is not None
        assert self._process.stdout is not None
        return json.loads(await self._process.stdout.readline())


@pytest.fixture
async def programs() -> AsyncIterator[Programs]:
    async with Programs() as programs:
        yield programs


@pytest.fixture(scope="module")
def key_pairs() -> list[KeyPair]:
    return asyncio.run(make_key_pairs(PROGRAMS))


@pytest.fixture
def ground(
    cheap_hashes: None, sandbox: Sandbox, tmp_path: Path, key_pairs: list[KeyPair]
) -> Ground:
    return Ground(sandbox, tmp_path, key_pairs)


class Registration:
    """A new user, who registers with several programs at the same time."""

    def __init__(self, ground: Ground, url: str, build: Build) -> None:
        self.phone = ground.new_phone()
        self._ground = ground
        self._url = url
        self._build = build
        self._device = ground.new_device(self.phone)

    async def jobs(self, count: int) -> list[Json]:
        """Return jobs that complete the same process, each with a key pair it would make."""
        async with PostgresStorage(self._url) as storage:
            builder = self._build().with_storage(storage)
            async with builder.with_key_storage(keys_in(storage, self.phone)).build() as anonymous:
                process = await anonymous.authentication_api.start_authentication(
                    "a-captcha-solution",
                    phone_number=self.phone,
                    first_name="Ned",
                    last_name="Stark",
                    healthcare_professional_id=self._ground.hcp_id,
                )
        code = await self._ground.sandbox.wait_for_code(self.phone)
        return [
            self._ground.job(
                self._device,
                pair,
                database=self._url,
                process=process.to_json(),
                code=code,
                key_pair_takes=0.02,
            )
            for pair in self._ground.key_pairs[:count]
        ]

    async def check(self, programs: Programs, jobs: list[Json], outcomes: list[Json]) -> None:
        """See that there is one user with one key, which is stored and opens every record."""
        state = await self._ground.state(self.phone)
        assert len(state.published) == 1
        patient_id = state.owner["id"]
        assert len(await self._ground.users_of(patient_id)) == 1
        async with PostgresStorage(self._url) as storage:
            (pair,) = await keys_in(storage, self.phone).list_key_pairs(patient_id)
            assert {fingerprint_of(key) for key in state.published} == {pair.fingerprint}
            left = [name for name in await storage.list_items() if "known_keys" not in name]
            assert left == []
        patients = [outcome["patient"] for outcome in outcomes]
        assert len(set(patients)) == len(jobs)
        # Each of them reads what all have written.
        later = [job | {"reads": patients, "keys": []} for job in jobs[:2]]
        await programs.begin(later)
        await programs.outcomes()


@pytest.fixture
def registration(
    ground: Ground, postgres_url: str, anonymous_builder: Build
) -> Callable[[], Registration]:
    return lambda: Registration(ground, postgres_url, anonymous_builder)


async def test_eight_programs_register_the_same_user_once(
    registration: Callable[[], Registration], programs: Programs
) -> None:
    user = registration()
    jobs = await user.jobs(PROGRAMS)
    await programs.begin(jobs)
    outcomes = await programs.outcomes()
    assert [outcome["again"] for outcome in outcomes] == [0] * PROGRAMS
    await user.check(programs, jobs, outcomes)


async def test_programs_are_killed_and_the_others_go_on(
    registration: Callable[[], Registration], programs: Programs
) -> None:
    chance = random.Random(today())
    for _ in range(ROUNDS):
        user = registration()
        jobs = await user.jobs(4)
        delay = chance.uniform(0.02, 0.4)
        pids = await programs.begin(jobs)
        await asyncio.sleep(delay)
        for pid in pids[:2]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        outcomes = await programs.outcomes()
        assert [outcome["killed"] for outcome in outcomes[2:]] == [False, False], delay
        # Those that died are started again.
        await programs.begin(jobs)
        await user.check(programs, jobs, await programs.outcomes())


async def test_the_server_is_killed_while_programs_register(
    registration: Callable[[], Registration],
    programs: Programs,
    postgres_server: PostgresServer,
) -> None:
    chance = random.Random(today() + 1)
    for _ in range(ROUNDS):
        user = registration()
        jobs = await user.jobs(4)
        await programs.begin(jobs)
        for _ in range(2):
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            await restart(postgres_server)
        outcomes = await programs.outcomes()
        await user.check(programs, jobs, outcomes)


async def test_the_server_is_killed_while_programs_count(
    programs: Programs, postgres_server: PostgresServer, postgres_url: str
) -> None:
    jobs = [{"counts": COUNTS, "database": postgres_url, "name": str(n)} for n in range(PROGRAMS)]
    await programs.begin(jobs)
    running = asyncio.create_task(programs.outcomes())
    for number in range(ROUNDS):
        # Two thirds of them are counted when it is killed for the last time.
        await counted_to(2 * PROGRAMS * COUNTS * (1 + number) // (3 * ROUNDS), postgres_url)
        assert not running.done()
        await restart(postgres_server)
    outcomes = await running
    assert all(len(outcome["numbers"]) == COUNTS for outcome in outcomes)
    numbers = [number for outcome in outcomes for number in outcome["numbers"]]
    # No two programs were inside of the lock, and nothing that was acknowledged is lost.
    assert len(set(numbers)) == len(numbers) == PROGRAMS * COUNTS
    async with PostgresStorage(postgres_url) as storage:
        counted = int(await storage.get_item(COUNTER) or 0)
        assert max(numbers) <= counted <= sum(outcome["attempts"] for outcome in outcomes)
        stored = set(await storage.list_items())
        written = {f"{n}.{number}" for n, o in enumerate(outcomes) for number in o["numbers"]}
        assert written <= stored


async def counted_to(number: int, url: str) -> None:
    async with PostgresStorage(url) as storage:
        for _ in range(6000):
            if int(await storage.get_item(COUNTER) or 0) >= number:
                return
            await asyncio.sleep(0.01)


async def restart(server: PostgresServer) -> None:
    await to_thread.run_sync(server.kill)
    await to_thread.run_sync(server.start)
