"""The gain of doing work once: each group compares two ways side by side, in one run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import people
from benchmarks.people import OWNER_ID, STAGE, WORLD
from icure_async import KeyPair
from icure_async.crypto.key_ring import KeyRing
from icure_async.crypto.software import SoftwareCrypto
from icure_async.models.base import Model
from icure_async.models.patient import Patient
from icure_async.models.wire import from_wire, prepare, to_wire
from icure_async.storage import MemoryStorage, StorageKeyStorage

OWNER = WORLD["stages"][STAGE]["entities"]["patient"][OWNER_ID]
KEY_PAIR = KeyPair(people.KEY_PAIR["publicKey"], people.KEY_PAIR["privateKey"])
WRAPPED = OWNER["aesExchangeKeys"][KEY_PAIR.public_key][OWNER_ID]


@pytest.fixture
def run(benchmark: BenchmarkFixture) -> Callable[[Callable[[], Awaitable[Any]]], None]:
    def measure(step: Callable[[], Awaitable[Any]]) -> None:
        with asyncio.Runner() as runner:

            async def once() -> Any:
                return await step()

            benchmark(lambda: runner.run(once()))

    return measure


@pytest.mark.benchmark(group="exchange key")
@pytest.mark.parametrize("known", [True, False], ids=["kept", "decrypted again"])
def test_opening_an_exchange_key(
    run: Callable[[Callable[[], Awaitable[Any]]], None], known: bool
) -> None:
    crypto = SoftwareCrypto()
    kept = KeyRing(crypto)

    async def step() -> bytes | None:
        ring = kept if known else KeyRing(crypto)
        await ring.add(KEY_PAIR)
        return await ring.open(WRAPPED)

    run(step)


@pytest.mark.benchmark(group="private key")
@pytest.mark.parametrize("known", [True, False], ids=["kept", "parsed again"])
def test_loading_a_private_key(
    run: Callable[[Callable[[], Awaitable[Any]]], None], known: bool
) -> None:
    kept = SoftwareCrypto()

    async def step() -> None:
        await (kept if known else SoftwareCrypto()).load_key_pair(KEY_PAIR)

    run(step)


@pytest.mark.benchmark(group="key storage")
@pytest.mark.parametrize("known", [True, False], ids=["checked before", "checked again"])
def test_reading_a_stored_key(
    run: Callable[[Callable[[], Awaitable[Any]]], None], known: bool
) -> None:
    storage = MemoryStorage()
    kept = StorageKeyStorage(storage)
    asyncio.run(kept.store_key_pair("ned", KEY_PAIR))

    async def step() -> KeyPair | None:
        key_storage = kept if known else StorageKeyStorage(storage)
        return await key_storage.get_key_pair("ned", KEY_PAIR.fingerprint)

    run(step)


@pytest.mark.benchmark(group="patient of 15 kB")
@pytest.mark.parametrize("step", ["json.loads", "from the wire", "to the wire"])
def test_converting_a_patient(benchmark: BenchmarkFixture, step: str) -> None:
    prepare(Model)
    text = json.dumps(OWNER)
    patient = from_wire(Patient, OWNER)
    steps: dict[str, Callable[[], object]] = {
        "json.loads": lambda: json.loads(text),
        "from the wire": lambda: from_wire(Patient, OWNER),
        "to the wire": lambda: to_wire(patient),
    }
    benchmark(steps[step])
