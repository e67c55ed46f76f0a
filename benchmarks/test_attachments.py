"""100 MiB attached and read again: time side by side with bare AES, and memory."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.people import KEY_PAIR, NED, OWNER_ID
from benchmarks.sandbox_process import serving
from icure_async import DataSample, KeyPair, MedTechApi, MedTechApiBuilder
from icure_async.crypto.streams import PIECE_BYTES, Encryptor

MIB = 1 << 20
SIZE = 100 * MIB
MOST_MIB = 40
"""MiB of memory that a transfer may take, of whatever size."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as running:
        yield running


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[MedTechApi, str]]:
    """Yield the API of the user, and the id of a new data sample."""
    builder = MedTechApiBuilder().with_icure_base_url(url)
    async with builder.with_user_name(NED["login"]).with_password(NED["token"]).build() as api:
        await api.init_user_crypto(KeyPair(KEY_PAIR["publicKey"], KEY_PAIR["privateKey"]))
        sample = await api.data_sample_api.create_or_modify_data_sample_for(OWNER_ID, DataSample())
        yield api, str(sample.id)


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def bare(size: int) -> None:
    encryptor, piece = Encryptor(bytes(16), bytes(16)), bytes(PIECE_BYTES)
    for _ in range(size // PIECE_BYTES):
        encryptor.add(piece)
    encryptor.end()


@pytest.mark.benchmark(group="100 MiB")
@pytest.mark.parametrize("way", ["bare AES and hash", "attached", "written to a file"])
def test_a_large_attachment(
    benchmark: BenchmarkFixture, url: str, tmp_path: Path, way: str
) -> None:
    source, copy = tmp_path / "scan", tmp_path / "copy"
    with source.open("wb") as file:
        for _ in range(SIZE // MIB):
            file.write(bytes(MIB))

    async def attached() -> None:
        async with opened(url) as (api, sample_id):
            before = peak_mib()
            samples = api.data_sample_api
            document = await samples.set_data_sample_attachment(sample_id, source)
            if way != "attached":
                await samples.save_data_sample_attachment_content(sample_id, str(document.id), copy)
                assert copy.stat().st_size == SIZE
            assert peak_mib() - before < MOST_MIB

    with asyncio.Runner() as runner:
        step = (lambda: bare(SIZE)) if way.startswith("bare") else lambda: runner.run(attached())
        benchmark.pedantic(step, rounds=1)  # type: ignore[no-untyped-call]
