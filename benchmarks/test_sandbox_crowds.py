"""The cost of a crowd for the others at a sandbox, side by side in one run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from icure_async.sandbox import Sandbox
from icure_async.sandbox.store import Store
from tests.support.bare_client import World, basic
from tests.support.counts import Count

PEOPLE = 200
FEW, MANY = 3, 100
LOGIN = {"username": "ned", "password": "winter-is-coming"}
CROWD = """
import asyncio, sys
from types import SimpleNamespace
import aiohttp
from tests.support.bare_client import Client, World

async def main(url, gateway, professional, people):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        sandbox = SimpleNamespace(
            icure_url=url, msg_gw_url=gateway, spec_id="ic",
            patient_process_by_sms_id="patient-sms",
            master_hcp=SimpleNamespace(data_owner_id=professional),
        )
        world = World(sandbox, session)

        async def register(number):
            phone = f"+3247{number:07d}"
            request_id = await world.start(phone)
            code = (await world.gateway.get(f"/lastSMS/{phone}")).body["message"]
            assert (await world.validate(request_id, code)).status == 200
            person = await world.login(phone, code)
            user = (await person.get("/user/current")).body
            token = (await person.post(f"/user/token/{user['id']}/key")).body
            person = await world.login(phone, token)
            patient = (await person.get(f"/patient/{user['patientId']}")).body
            changed = await person.put("/patient", {**patient, "publicKey": "00ff"})
            assert changed.status == 200

        print("ready", flush=True)
        await asyncio.gather(*map(register, range(people)))

asyncio.run(main(*sys.argv[1:4], int(sys.argv[4])))
"""


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@pytest.mark.benchmark(group="closing a sandbox")
@pytest.mark.parametrize("abandoned", [FEW, MANY], ids="after {} abandoned logins".format)
def test_closing(benchmark: BenchmarkFixture, runner: asyncio.Runner, abandoned: int) -> None:
    async def begin() -> tuple[tuple[Sandbox], dict[str, Any]]:
        sandbox = Sandbox(jwt=False)
        await sandbox.start()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            world = World(sandbox, session)
            master = sandbox.master_hcp
            session.headers.update(
                {"Authorization": aiohttp.encode_basic_auth(master.login, master.password)}
            )
            user = {"login": LOGIN["username"], "passwordHash": LOGIN["password"]}
            await world.anonymous.created("/user", user)
            logins = [
                asyncio.create_task(world.anonymous.post("/auth/login", LOGIN))
                for _ in range(abandoned)
            ]
            await asyncio.sleep(0.02)
            for login in logins:
                login.cancel()
            await asyncio.gather(*logins, return_exceptions=True)
        return (sandbox,), {}

    benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda sandbox: runner.run(sandbox.aclose()),
        setup=lambda: runner.run(begin()),
        rounds=5,
    )


class Reader:
    """Reads again and again, and notes the time and the jobs until each answer.

    Attributes:
        seconds: by the clock on the wall.
        processor_seconds: of this process, which a busy machine does not change much.
        jobs: done for others at the database.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.seconds: list[float] = []
        self.processor_seconds: list[float] = []
        self.jobs: list[int] = []
        self._begun = 0

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        transact = Store._transact

        def counted(store: Store, connection: Any, job: Callable[[Any], Any]) -> Any:
            self._begun += 1
            return transact(store, connection, job)

        monkeypatch.setattr(Store, "_transact", counted)

    async def read_until(self, over: Callable[[], bool]) -> None:
        master = self._world.sandbox.master_hcp
        reader = self._world.with_headers(basic(master.login, master.password))
        path = f"/hcparty/{master.data_owner_id}"
        while not over():
            begun, start, used = self._begun, time.perf_counter(), time.process_time()
            assert (await reader.get(path)).status == 200
            self.seconds.append(time.perf_counter() - start)
            self.processor_seconds.append(time.process_time() - used)
            self.jobs.append(self._begun - begun - 1)
            await asyncio.sleep(0.002)


def percentile(values: list[Any], percent: int) -> Any:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


@pytest.mark.benchmark(group="reading while others register")
def test_reading_while_200_people_register(
    benchmark: BenchmarkFixture,
    runner: asyncio.Runner,
    monkeypatch: pytest.MonkeyPatch,
    count: Count,
) -> None:
    async def story() -> Reader:
        async with Sandbox() as sandbox, aiohttp.ClientSession() as session:
            reader = Reader(World(sandbox, session))
            reader.watch(monkeypatch)
            crowd = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-c", CROWD, sandbox.icure_url, sandbox.msg_gw_url),
                *(sandbox.master_hcp.data_owner_id, str(PEOPLE)),
                cwd=Path(__file__).parents[1],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            assert crowd.stdout is not None
            assert await crowd.stdout.readline() == b"ready\n"
            ended = asyncio.create_task(crowd.communicate())
            await reader.read_until(ended.done)
            _, errors = await ended
            assert not crowd.returncode, errors.decode()
            return reader

    reader = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: runner.run(story()), rounds=1
    )
    wall, processor = (
        percentile(values, 99) / percentile(values, 50)
        for values in (reader.seconds, reader.processor_seconds)
    )
    count(
        f"{len(reader.jobs)} reads while {PEOPLE} people register: p99 is {wall:.1f} times the "
        f"median, {processor:.1f} times in processor time; other jobs until the answer: median "
        f"{percentile(reader.jobs, 50)}, p99 {percentile(reader.jobs, 99)}"
    )
