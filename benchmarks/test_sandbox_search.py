"""A page of patients among many at a sandbox: the same question among few, side by side."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Client, World

MANY, FEW = 100_000, 1_000
OWNER = "a-professional"
MINE = {"filter": {"$type": "PatientByHcPartyFilter", "healthcarePartyId": OWNER}}


def patients(count: int) -> dict[str, Any]:
    """Return a seed with so many patients of one professional."""
    entry = [{"owner": OWNER, "delegatedTo": OWNER, "key": "00"}]
    ids = [f"{number:08x}" for number in range(count)]
    return {
        "entities": {
            "hcparty": {OWNER: {"id": OWNER, "lastName": "Luwin"}},
            "user": {"u": {"id": "u", "login": "luwin", "healthcarePartyId": OWNER}},
            "patient": {
                patient_id: {
                    "id": patient_id,
                    "firstName": patient_id,
                    "lastName": "Stark",
                    "delegations": {OWNER: entry},
                }
                for patient_id in ids
            },
        },
        "tokens": {"u": ["winter-is-coming"]},
    }


async def milliseconds_of_a_page(count: int) -> float:
    """Return the time of a page of 100, the best of ten."""
    async with Sandbox(seed=patients(count)) as sandbox, aiohttp.ClientSession() as session:
        client: Client = await World(sandbox, session).login("luwin", "winter-is-coming")
        times: list[float] = []
        for _ in range(10):
            started = time.perf_counter()
            page = await client.post("/patient/filter?limit=100", MINE)
            times.append(time.perf_counter() - started)
            assert (len(page.body["rows"]), page.body["totalSize"]) == (100, count)
    return min(times) * 1000


@pytest.mark.benchmark
def test_a_page_among_many(benchmark: BenchmarkFixture) -> None:
    few = asyncio.run(milliseconds_of_a_page(FEW))
    many = benchmark.pedantic(  # type: ignore[no-untyped-call]
        lambda: asyncio.run(milliseconds_of_a_page(MANY)), rounds=1
    )
    benchmark.extra_info |= {"patients": MANY, "ms": many, "ms_among_1000": few}
    print(f"\na page of 100: {few:.1f} ms among {FEW:,}, {many:.1f} ms among {MANY:,}")
