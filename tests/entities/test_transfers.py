"""Attachments on their way take little memory, whatever their size."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from icure_async.crypto.software import SoftwareCrypto, aes_cbc_encrypt
from icure_async.crypto.streams import PIECE_BYTES, Measured
from icure_async.entities.attachment_bodies import source_of
from icure_async.entities.attachment_targets import MemoryTarget
from icure_async.entities.transfers import AttachmentDownload, AttachmentUpload, InClearError
from icure_async.errors import ValidationError
from icure_async.models.transfer import TransferProgress

KEY = bytes(16)
CHUNKS = 40
SIZE = PIECE_BYTES // 2
PLAINTEXT = bytes(CHUNKS * SIZE)


class Chunk(bytes):
    """Bytes that are counted while they are alive."""

    alive = 0

    def __del__(self) -> None:
        Chunk.alive -= 1


class Target:
    """Counts the chunks that are alive whenever something arrives."""

    def __init__(self) -> None:
        self.most = 0
        self.hash = hashlib.sha256()

    def chunk(self, data: bytes) -> Chunk:
        made = Chunk(data)
        Chunk.alive += 1
        self.most = max(self.most, Chunk.alive)
        return made

    async def begin(self, size: int | None, /) -> None:
        assert size == len(PLAINTEXT)

    async def add(self, data: bytes, /) -> None:
        self.hash.update(data)


async def test_an_upload_has_a_few_chunks_in_memory_at_a_time() -> None:
    target = Target()

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(CHUNKS):
            yield target.chunk(bytes([number]) * SIZE)

    upload = AttachmentUpload(
        source_of(chunks()), crypto=SoftwareCrypto(), key=KEY, known=None, progress=None
    )
    sent = 0
    async for piece in upload.chunks():
        sent += len(piece)
        assert len(piece) <= PIECE_BYTES + 16
    assert sent == len(PLAINTEXT) + 32
    assert upload.sent is not None
    assert upload.sent.size == len(PLAINTEXT)
    assert target.most <= 4


async def test_a_download_has_a_few_chunks_in_memory_at_a_time() -> None:
    target = Target()
    expected = Measured(len(PLAINTEXT), hashlib.sha256(PLAINTEXT).hexdigest())
    ciphertext = memoryview(aes_cbc_encrypt(KEY, bytes(16), PLAINTEXT))
    download = AttachmentDownload("it", target, key=KEY, expected=expected, progress=None)
    await download.begin(len(ciphertext))
    for start in range(0, len(ciphertext), 10_000):
        await download.take(target.chunk(bytes(ciphertext[start : start + 10_000])))
    await download.end(is_framed=True)
    assert target.hash.hexdigest() == expected.sha256
    assert target.most <= PIECE_BYTES // 10_000 + 2


async def test_of_a_wrong_guess_nothing_is_left_and_progress_begins_again() -> None:
    target = MemoryTarget(len(PLAINTEXT), "the attachment")
    told: list[int] = []

    async def progress(state: TransferProgress) -> None:
        told.append(state.done)

    async def receive(key: bytes | None) -> None:
        download = AttachmentDownload(
            "the attachment", target, key=key, expected=None, is_guess=True, progress=progress
        )
        # Some backends don't say how many bytes there are.
        await download.begin(None)
        for start in range(0, len(PLAINTEXT), SIZE):
            await download.take(PLAINTEXT[start : start + SIZE])
        await download.end(is_framed=True)

    with pytest.raises(InClearError):
        await receive(KEY)
    await receive(None)
    assert target.data() == PLAINTEXT
    assert sum(later < earlier for earlier, later in pairwise(told)) == 1
    assert told[-1] == len(PLAINTEXT)


async def test_the_last_bytes_of_an_upload_are_kept_back_until_all_are_known_to_be_right() -> None:
    for key in (KEY, None):
        for body in (PLAINTEXT + b"more", PLAINTEXT[:-1] + b"x", PLAINTEXT[:-1]):
            known = Measured(len(PLAINTEXT), hashlib.sha256(PLAINTEXT).hexdigest())
            upload = AttachmentUpload(
                source_of(body), crypto=SoftwareCrypto(), key=key, known=known, progress=None
            )
            sent: list[int] = []

            async def send(upload: AttachmentUpload = upload, sent: list[int] = sent) -> None:
                async for chunk in upload.chunks():
                    sent.append(len(chunk))

            with pytest.raises(ValidationError, match="has changed"):
                await send()
            assert upload.sent is None
            assert sum(sent) < len(PLAINTEXT)
