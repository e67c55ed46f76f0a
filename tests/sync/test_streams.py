"""Files of blocking callers: plain iterables are stepped in worker threads, and closed."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from icure_sync import DataSample, MedTechApiBuilder
from icure_sync._plain import stepped
from icure_sync.errors import ValidationError
from icure_sync.sandbox import Sandbox
from tests.support.attachment_scenes import PATIENT, STAGE
from tests.support.golden import WORLD2
from tests.support.seeds import key_pair_of, stage

SCAN = b"%PDF-1.7 " + bytes(1000)


async def test_steps_of_a_plain_iterable_are_taken_in_worker_threads() -> None:
    threads: list[int] = []
    closed: list[bool] = []

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                threads.append(threading.get_ident())
                yield b"chunk"
        finally:
            closed.append(True)

    stream = aiter(stepped(chunks()))
    assert [await anext(stream), await anext(stream)] == [b"chunk"] * 2
    assert threading.get_ident() not in threads
    await stream.aclose()
    assert closed == [True]


@pytest.mark.parametrize("body", [b"bytes", "text", Path("path"), io.BytesIO(), 7, None])
def test_what_is_no_plain_iterable_stays_as_it_is(body: Any) -> None:
    assert stepped(body) is body
    assert stepped(stepped([b"a"])) is not None


def test_a_blocking_caller_attaches_bytes_files_and_iterables(tmp_path: Path) -> None:
    user = WORLD2["users"]["hcpA"]
    with Sandbox(seed=stage(WORLD2, STAGE), jwt=False) as sandbox:
        builder = MedTechApiBuilder().with_icure_base_url(sandbox.icure_url)
        builder.with_user_name(user["login"]).with_password(user["token"])
        with builder.build() as api:
            api.init_user_crypto(key_pair_of(WORLD2, "hcpA"))
            samples = api.data_sample_api
            sample = samples.create_or_modify_data_sample_for(PATIENT, DataSample())
            ids = str(sample.id)

            def calling() -> Iterator[bytes]:
                yield SCAN[:5]
                # A generator may make blocking calls itself.
                assert samples.get_data_sample(ids).id == ids
                yield SCAN[5:]

            path = tmp_path / "scan.pdf"
            path.write_bytes(SCAN)
            told: list[object] = []
            for body in (SCAN, path, io.BytesIO(SCAN), [SCAN[:9], SCAN[9:]], calling()):
                document = samples.set_data_sample_attachment(ids, body, progress=told.append)
                names = ids, str(document.id)
                assert samples.get_data_sample_attachment_content(*names) == SCAN
                assert told
                told.clear()
            samples.save_data_sample_attachment_content(*names, tmp_path / "copy")
            assert (tmp_path / "copy").read_bytes() == SCAN

            def failing() -> Iterator[bytes]:
                yield SCAN
                raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                samples.set_data_sample_attachment(ids, failing())
            with pytest.raises(ValidationError):
                samples.set_data_sample_attachment(ids, ["text"])  # type: ignore[list-item]
            assert samples.delete_attachment(*names) == document.id


def test_steps_of_an_async_iterable_are_left_to_the_event_loop() -> None:
    async def chunks() -> Any:
        yield b"a"

    stream = chunks()
    assert stepped(stream) is stream
    asyncio.run(stream.aclose())
