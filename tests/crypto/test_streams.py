"""Streams in AES-CBC: the bytes of the whole, in any pieces, and bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icure_async.crypto.software import aes_cbc_decrypt, aes_cbc_encrypt
from icure_async.crypto.streams import (
    PIECE_BYTES,
    Decryptor,
    Encryptor,
    Passing,
    Transform,
    encrypted_size,
    pieces,
    transformed,
)

KEY = bytes(range(16))
IV = bytes(range(100, 116))
LARGE = bytes(range(256)) * 3000

cuts = st.lists(st.integers(min_value=0, max_value=40), max_size=12)


async def stream(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def cut(data: bytes, lengths: Iterable[int]) -> list[bytes]:
    chunks: list[bytes] = []
    for length in lengths:
        chunks.append(data[:length])
        data = data[length:]
    return [*chunks, data]


async def whole(transform: Transform, chunks: AsyncIterator[bytes]) -> bytes:
    return await joined(transformed(transform, chunks)) + transform.end()


async def joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


@given(plaintext=st.binary(max_size=100), lengths=cuts)
def test_a_stream_has_the_bytes_of_the_whole_however_it_is_cut(
    plaintext: bytes, lengths: list[int]
) -> None:
    encryptor = Encryptor(KEY, IV)
    ciphertext = b"".join([encryptor.add(chunk) for chunk in cut(plaintext, lengths)])
    ciphertext += encryptor.end()

    assert ciphertext == aes_cbc_encrypt(KEY, IV, plaintext)
    assert len(ciphertext) == encrypted_size(len(plaintext))
    assert encryptor.meter.result().size == len(plaintext)
    assert encryptor.meter.result().sha256 == hashlib.sha256(plaintext).hexdigest()


@given(plaintext=st.binary(max_size=100), lengths=cuts)
def test_a_ciphertext_is_decrypted_however_it_is_cut(plaintext: bytes, lengths: list[int]) -> None:
    decryptor = Decryptor(KEY)
    ciphertext = aes_cbc_encrypt(KEY, IV, plaintext)
    found = b"".join([decryptor.add(chunk) for chunk in cut(ciphertext, lengths)])

    assert found + decryptor.end() == plaintext
    assert decryptor.meter.result().sha256 == hashlib.sha256(plaintext).hexdigest()


@given(plaintext=st.binary(max_size=70), length=st.integers(min_value=0, max_value=95))
def test_a_ciphertext_cut_short_is_never_taken_for_the_whole(plaintext: bytes, length: int) -> None:
    ciphertext = aes_cbc_encrypt(KEY, IV, plaintext)
    decryptor = Decryptor(KEY)
    found = decryptor.add(ciphertext[: min(length, len(ciphertext) - 1)])
    try:
        found += decryptor.end()
    except ValueError:
        return
    # By chance the block before may end like padding: size and hash say the rest.
    assert decryptor.meter.size < len(plaintext)


async def test_large_chunks_and_many_small_ones_give_the_same_bytes() -> None:
    large = await whole(Encryptor(KEY, IV), stream([LARGE]))
    small = [LARGE[start : start + 1000] for start in range(0, len(LARGE), 1000)]
    pieced = await whole(Encryptor(KEY, IV), stream(small))

    assert large == pieced == aes_cbc_encrypt(KEY, IV, LARGE)
    assert await whole(Decryptor(KEY), stream([large])) == LARGE
    assert aes_cbc_decrypt(KEY, pieced) == LARGE


async def test_another_key_is_noticed_at_the_end_at_the_latest() -> None:
    ciphertext = aes_cbc_encrypt(KEY, IV, b"a secret of sixteen and more")
    with pytest.raises(ValueError, match="padding"):
        await whole(Decryptor(bytes(16)), stream([ciphertext]))


async def test_no_more_than_a_piece_is_taken_before_it_is_asked_for() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(PIECE_BYTES // 4)

    ciphertext = transformed(Encryptor(KEY, IV), endless())
    for count in range(1, 5):
        await anext(ciphertext)
        assert taken == count * 4
    await ciphertext.aclose()


async def test_a_stream_in_clear_is_measured_on_its_way() -> None:
    passing = Passing()
    assert await whole(passing, stream([b"ab", b"", LARGE])) == b"ab" + LARGE
    assert passing.meter.result().sha256 == hashlib.sha256(b"ab" + LARGE).hexdigest()
    assert "sha256" not in repr(passing.meter.result())


@given(
    chunks=st.lists(st.binary(max_size=30), max_size=8), size=st.integers(min_value=1, max_value=20)
)
async def test_pieces_have_one_size(chunks: list[bytes], size: int) -> None:
    found = [bytes(piece) async for piece in pieces(stream(chunks), size)]
    assert b"".join(found) == b"".join(chunks)
    assert all(len(piece) == size for piece in found[:-1])
    assert all(0 < len(piece) <= size for piece in found[-1:])
