"""The cost of blocking on the loop thread: each group compares ways side by side, in one run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from pytest_benchmark.fixture import BenchmarkFixture

from icure_sync._iterators import iterate
from icure_sync._runtime import run

AT_ONCE = 8
EACH = 200


async def no_op() -> None:
    await asyncio.sleep(0)


async def repeat_no_op() -> None:
    for _ in range(EACH):
        await no_op()


async def items() -> AsyncIterator[int]:
    for number in range(EACH):
        await no_op()
        yield number


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as started:
        yield started


@pytest.mark.benchmark(group=f"{EACH} calls, one after another")
@pytest.mark.parametrize("way", ["awaited", "icure_sync", "bare portal of anyio"])
def test_calls_one_after_another(
    benchmark: BenchmarkFixture, portal: BlockingPortal, way: str
) -> None:
    def repeat_run() -> None:
        for _ in range(EACH):
            run(no_op)

    def repeat_portal() -> None:
        for _ in range(EACH):
            portal.call(no_op)

    with asyncio.Runner() as runner:
        benchmark(
            {
                "awaited": lambda: runner.run(repeat_no_op()),
                "icure_sync": repeat_run,
                "bare portal of anyio": repeat_portal,
            }[way]
        )


@pytest.mark.benchmark(group=f"{AT_ONCE} times {EACH} calls at once")
@pytest.mark.parametrize("way", ["tasks", "threads"])
def test_calls_at_once(benchmark: BenchmarkFixture, way: str) -> None:
    async def in_tasks() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(repeat_no_op())

    def in_thread(_: int) -> None:
        for _ in range(EACH):
            run(no_op)

    with asyncio.Runner() as runner, ThreadPoolExecutor(AT_ONCE) as pool:
        benchmark(
            {
                "tasks": lambda: runner.run(in_tasks()),
                "threads": lambda: list(pool.map(in_thread, range(AT_ONCE))),
            }[way]
        )


@pytest.mark.benchmark(group=f"iteration over {EACH} items")
@pytest.mark.parametrize("way", ["async for", "icure_sync"])
def test_iteration(benchmark: BenchmarkFixture, way: str) -> None:
    async def iterate_async() -> list[int]:
        return [item async for item in items()]

    with asyncio.Runner() as runner:
        benchmark(
            {
                "async for": lambda: runner.run(iterate_async()),
                "icure_sync": lambda: list(iterate(items)),
            }[way]
        )
