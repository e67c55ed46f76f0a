"""The cost of people and of a reset in a sandbox, next to that of a registration."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any, Self

import aiohttp
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from icure_async.sandbox import Sandbox
from tests.support.bare_client import World

FEW, MANY = 3, 100


class Place:
    """A sandbox, on an event loop of its own."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.sandbox = Sandbox()

    def __enter__(self) -> Self:
        self.runner.run(self.sandbox.start())
        return self

    def __exit__(self, *error: object) -> None:
        self.runner.run(self.sandbox.aclose())
        self.runner.close()


@pytest.fixture
def place() -> Iterator[Place]:
    with Place() as running:
        yield running


@pytest.mark.benchmark(group="a person in a sandbox")
@pytest.mark.parametrize("flavour", ["medtech", "cardinal"])
@pytest.mark.parametrize("kind", ["patient", "professional"])
def test_placing(benchmark: BenchmarkFixture, place: Place, kind: Any, flavour: Any) -> None:
    """Place somebody whose key pair is in the pool, as in each run but the first one."""

    def again() -> None:
        # Else the pool would run out.
        place.runner.run(place.sandbox.reset())

    def register() -> None:
        place.runner.run(place.sandbox.register(kind, flavour=flavour))

    register()
    benchmark.pedantic(register, setup=again, rounds=100)  # type: ignore[no-untyped-call]


@pytest.mark.benchmark(group="a person in a sandbox")
def test_registering_by_sms(benchmark: BenchmarkFixture, place: Place) -> None:
    """Register at the gateway, without the making and the publishing of keys."""
    numbers = itertools.count()

    async def register() -> None:
        async with aiohttp.ClientSession() as session:
            await World(place.sandbox, session).register(f"+3247{next(numbers):07}")

    benchmark(lambda: place.runner.run(register()))


@pytest.mark.benchmark(group="back to the start")
@pytest.mark.parametrize("people", [FEW, MANY], ids="with {} people".format)
@pytest.mark.parametrize("seeded", [False, True], ids=["placed since", "there at the start"])
def test_reset(benchmark: BenchmarkFixture, people: int, seeded: bool) -> None:
    """Reset a sandbox, in which people were placed before its start or since."""

    async def place_all(sandbox: Sandbox) -> None:
        for number in range(people):
            await sandbox.register("patient", phone_number=f"+3247{number:07}")

    with Place() as place:
        if seeded:
            place.runner.run(place_all(place.sandbox))
            seed = place.runner.run(place.sandbox.export())
            place.runner.run(place.sandbox.aclose())
            place.sandbox = Sandbox(seed=seed)
            place.runner.run(place.sandbox.start())

        def dirty() -> None:
            if not seeded:
                place.runner.run(place_all(place.sandbox))

        def reset() -> None:
            place.runner.run(place.sandbox.reset())

        benchmark.pedantic(reset, setup=dirty, rounds=20)  # type: ignore[no-untyped-call]
