"""Attachments of which nothing says whether they are encrypted, in both flavours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from icure_async import DataSample, Patient, TransferProgress
from icure_async.apis.data_samples import DataSampleApi
from icure_async.crypto.software import aes_cbc_encrypt
from icure_async.crypto.streams import PIECE_BYTES
from icure_async.errors import ICureError
from icure_async.sandbox import Fault, Sandbox
from tests.support.attachment_scenes import STAGE, Ward
from tests.support.cardinal_sandbox import TodayWorld, of_stage
from tests.support.cardinal_world import Reader, private_keys_of
from tests.support.golden import WORLD2
from tests.support.request_log import RequestLog
from tests.support.seeds import key_pair_of, stage

IV = bytes(range(16))
SCAN = b"%PDF-1.7 " + bytes(range(256)) * 20
BLOCKS = SCAN[: 16 * 200]
"""A file in clear that may be an encrypted one by its length."""


@attrs.frozen
class Bedside:
    """A data sample, and the document of its file, whose key is known.

    Attributes:
        samples: of the doctor.
        ids: of the data sample and the document.
        key: of the document.
        ward: the sandbox.
    """

    samples: DataSampleApi
    ids: tuple[str, str]
    key: bytes
    ward: Ward

    async def store(self, body: bytes) -> None:
        """Store bytes as another SDK does."""
        await self.ward.replace_bytes(self.ids[1], body)
        self.ward.log.take()

    def downloads(self) -> int:
        """Return the number of requests for the bytes since they were stored."""
        return sum("/attachment" in line for line in self.ward.log.take())

    async def read(self) -> bytes:
        return await self.samples.get_data_sample_attachment_content(*self.ids)

    async def save(self, path: Path, **options: Any) -> None:
        await self.samples.save_data_sample_attachment_content(*self.ids, path, **options)


@pytest.fixture(params=["medtech", "cardinal"])
async def ward(
    request: pytest.FixtureRequest, client_session: aiohttp.ClientSession, requests: RequestLog
) -> AsyncIterator[Ward]:
    """A sandbox with golden people of one of the flavours."""
    is_of_today = request.param == "cardinal"
    seed = of_stage("3-more-entities") if is_of_today else stage(WORLD2, STAGE)
    async with Sandbox(seed=seed, jwt=is_of_today) as sandbox:
        yield Ward(sandbox, client_session, requests)


@pytest.fixture
async def ours(request: pytest.FixtureRequest, ward: Ward) -> Bedside:
    """A file that we attached in clear."""
    return await _bedside(ward, request.node.callspec.params["ward"], in_clear=True)


@pytest.fixture
async def others(request: pytest.FixtureRequest, ward: Ward) -> Bedside:
    """A document of another SDK: it has a key, and no hash."""
    bedside = await _bedside(ward, request.node.callspec.params["ward"], in_clear=False)
    document = await ward.stored("document", bedside.ids[1])
    del document["encryptedSelf"]
    await ward.as_master("PUT", "/document", document)
    return bedside


async def _bedside(ward: Ward, flavour: str, *, in_clear: bool) -> Bedside:
    if flavour == "medtech":
        api, private_keys = await ward.user("hcpA"), [key_pair_of(WORLD2, "hcpA").private_key]
    else:
        api = await TodayWorld(ward.sandbox, ward.session).user("doc1")
        private_keys = private_keys_of("doc1")
    patient = await api.patient_api.create_or_modify_patient(Patient(last_name="Stark"))
    samples = api.data_sample_api
    sample = await samples.create_or_modify_data_sample_for(str(patient.id), DataSample())
    document = await samples.set_data_sample_attachment(str(sample.id), SCAN, in_clear=in_clear)
    assert (document.sha256 is None) == in_clear
    reader = Reader((await ward.sandbox.export())["entities"], *private_keys)
    keys = set(reader.keys_of("document", str(document.id)))
    # The 2023 flavour makes no key for what is in clear.
    assert len(keys) == (0 if in_clear and flavour == "medtech" else 1)
    key = keys.pop() if keys else bytes(16)
    return Bedside(samples, (str(sample.id), str(document.id)), key, ward)


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def sealed(bedside: Bedside, plaintext: bytes) -> bytes:
    return aes_cbc_encrypt(bedside.key, IV, plaintext)


async def test_what_another_sdk_has_encrypted_without_a_hash_is_decrypted(
    others: Bedside, tmp_path: Path
) -> None:
    for plaintext in (SCAN, BLOCKS, b""):
        await others.store(sealed(others, plaintext))
        assert await others.read() == plaintext
        assert others.downloads() == 1
        await others.save(tmp_path / "scan.pdf")
        assert (tmp_path / "scan.pdf").read_bytes() == plaintext


async def test_what_is_in_clear_is_read_as_it_is_whatever_its_length(
    others: Bedside, tmp_path: Path
) -> None:
    assert len(BLOCKS) % 16 == 0
    for body, downloads in ((SCAN, 1), (BLOCKS, 2), (bytes(16), 1), (bytes(32), 2), (b"", 1)):
        await others.store(body)
        assert await others.read() == body
        assert others.downloads() == downloads
        await others.save(tmp_path / "scan.pdf")
        assert (tmp_path / "scan.pdf").read_bytes() == body
        assert names_in(tmp_path) == ["scan.pdf"]


async def test_nothing_of_a_wrong_attempt_is_left(others: Bedside, tmp_path: Path) -> None:
    body = bytes(PIECE_BYTES * 3)
    await others.store(body)
    told: list[int] = []

    async def progress(state: TransferProgress) -> None:
        told.append(state.done)

    await others.save(tmp_path / "large", progress=progress)
    assert (tmp_path / "large").read_bytes() == body
    assert others.downloads() == 2
    assert max(told) == len(body)
    assert told[-1] == len(body)


async def test_a_second_request_that_fails_leaves_no_file(others: Bedside, tmp_path: Path) -> None:
    await others.store(BLOCKS)

    async def progress(_: TransferProgress) -> None:
        # During the wrong attempt: the next request is the second one.
        fault = Fault("status", method="GET", path="*/attachment*", status=500)
        others.ward.sandbox.inject_fault(fault)

    (tmp_path / "scan.pdf").write_bytes(b"before")
    with pytest.raises(ICureError):
        await others.save(tmp_path / "scan.pdf", progress=progress)
    assert others.downloads() > 1
    assert (tmp_path / "scan.pdf").read_bytes() == b"before"
    assert names_in(tmp_path) == ["scan.pdf"]


async def test_what_we_attached_in_clear_is_never_tried(ours: Bedside) -> None:
    # Bytes that the key would open, so that an attempt would succeed.
    body = sealed(ours, SCAN)
    await ours.store(body)
    assert await ours.read() == body
    assert ours.downloads() == 1


async def test_a_stream_in_clear_is_marked_before_its_bytes_are_there(ours: Bedside) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield BLOCKS

    document = await ours.samples.set_data_sample_attachment(ours.ids[0], stream(), in_clear=True)
    assert (document.size, document.sha256) == (len(BLOCKS), None)
    ours.ward.log.take()
    found = await ours.samples.get_data_sample_attachment_content(ours.ids[0], str(document.id))
    assert found == BLOCKS
    assert ours.downloads() == 1


async def test_a_hash_in_clear_that_says_so_is_not_believed(others: Bedside) -> None:
    document = await others.ward.stored("document", others.ids[1])
    await others.ward.as_master("PUT", "/document", {**document, "hash": "in clear"})
    await others.store(sealed(others, SCAN))
    assert await others.read() == SCAN
