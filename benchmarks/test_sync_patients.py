"""The cost of blocking: icure_sync against icure_async, with the same sandbox in its own process.

One patient is read over loopback, by one caller, and by eight at once who share a client: threads
there, tasks here. The third side, threads on ``asyncio.run_coroutine_threadsafe()`` and nothing of
what icure_sync guarantees, is what any thread pays for waiting for a loop in another one. Much of
it is the way from one core to another, so the eight are measured on one core, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import icure_async
import icure_sync
from benchmarks.people import KEY_PAIR, NED, patient_id
from benchmarks.sandbox_process import serving

PATIENT_ID = patient_id(0)
OWN_KEY_PAIR = icure_sync.KeyPair(KEY_PAIR["publicKey"], KEY_PAIR["privateKey"])
CALLERS = 8
READS_EACH = 8


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(1) as served:
        yield served


def configured(builder: Any, url: str) -> Any:
    return builder.with_icure_base_url(url).with_user_name(NED["login"]).with_password(NED["token"])


async def opened(url: str) -> icure_async.MedTechApi:
    api: icure_async.MedTechApi = await configured(icure_async.MedTechApiBuilder(), url).build()
    await api.init_user_crypto(OWN_KEY_PAIR)
    return api


@pytest.fixture
def blocking_api(url: str) -> Iterator[icure_sync.MedTechApi]:
    with configured(icure_sync.MedTechApiBuilder(), url).build() as api:
        api.init_user_crypto(OWN_KEY_PAIR)
        yield api


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def async_api(url: str, loop: asyncio.Runner) -> Iterator[icure_async.MedTechApi]:
    api = loop.run(opened(url))
    yield api
    loop.run(api.aclose())


@pytest.fixture
def bare_bridge(url: str) -> Iterator[tuple[icure_async.MedTechApi, asyncio.AbstractEventLoop]]:
    """A client, and the loop that runs it in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    api = asyncio.run_coroutine_threadsafe(opened(url), loop).result()
    yield api, loop
    asyncio.run_coroutine_threadsafe(api.aclose(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.benchmark(group="read a patient 20 times")
def test_one_blocking_caller(
    benchmark: BenchmarkFixture, blocking_api: icure_sync.MedTechApi
) -> None:
    def read() -> None:
        for _ in range(20):
            blocking_api.patient_api.get_patient(PATIENT_ID)

    benchmark(read)


@pytest.mark.benchmark(group="read a patient 20 times")
def test_one_async_caller(
    benchmark: BenchmarkFixture, async_api: icure_async.MedTechApi, loop: asyncio.Runner
) -> None:
    async def read() -> None:
        for _ in range(20):
            await async_api.patient_api.get_patient(PATIENT_ID)

    benchmark(lambda: loop.run(read()))


@contextlib.contextmanager
def staying_on(cores: set[int]) -> Iterator[None]:
    """Keep all threads of this process, and those that it starts from then on, on some cores."""
    before = os.sched_getaffinity(0)

    def stay_on(some: set[int]) -> None:
        for task in Path("/proc/self/task").iterdir():
            # A thread of an earlier measurement may just be ending.
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), some)

    stay_on(cores)
    try:
        yield
    finally:
        stay_on(before)


needs_affinity = pytest.mark.skipif(sys.platform != "linux", reason="waits for Linux: affinity")
on_cores = pytest.mark.parametrize("cores", ["all", pytest.param("one", marks=needs_affinity)])


def at_once(benchmark: BenchmarkFixture, cores: str, function: Callable[[], object]) -> None:
    benchmark.group = f"eight share a client, cores: {cores}"
    with contextlib.ExitStack() as stack:
        if cores == "one":
            stack.enter_context(staying_on({min(os.sched_getaffinity(0))}))
        benchmark(function)


@on_cores
def test_threads_that_share_a_client(
    benchmark: BenchmarkFixture, blocking_api: icure_sync.MedTechApi, cores: str
) -> None:
    def read(_: int) -> None:
        for _ in range(READS_EACH):
            blocking_api.patient_api.get_patient(PATIENT_ID)

    with ThreadPoolExecutor(CALLERS) as executor:
        at_once(benchmark, cores, lambda: list(executor.map(read, range(CALLERS))))


@on_cores
def test_threads_on_a_bare_bridge(
    benchmark: BenchmarkFixture,
    bare_bridge: tuple[icure_async.MedTechApi, asyncio.AbstractEventLoop],
    cores: str,
) -> None:
    api, loop = bare_bridge

    def read(_: int) -> None:
        for _ in range(READS_EACH):
            reading = api.patient_api.get_patient(PATIENT_ID)
            asyncio.run_coroutine_threadsafe(reading, loop).result()

    with ThreadPoolExecutor(CALLERS) as executor:
        at_once(benchmark, cores, lambda: list(executor.map(read, range(CALLERS))))


@on_cores
def test_tasks_that_share_a_client(
    benchmark: BenchmarkFixture,
    async_api: icure_async.MedTechApi,
    loop: asyncio.Runner,
    cores: str,
) -> None:
    async def read() -> None:
        for _ in range(READS_EACH):
            await async_api.patient_api.get_patient(PATIENT_ID)

    async def all_of_them() -> None:
        await asyncio.gather(*(read() for _ in range(CALLERS)))

    at_once(benchmark, cores, lambda: loop.run(all_of_them()))
