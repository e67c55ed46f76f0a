"""AES-CBC over streams: encrypted and decrypted piece by piece, in bounded memory.

The bytes are those of :meth:`~icure_async.crypto.software.SoftwareCrypto.aes_encrypt`: the IV, and
then AES-CBC with PKCS#7 padding (cryptography.md §1.5). Size and SHA-256 of the plaintext are taken
on the way.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Protocol

import attrs
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from icure_async.crypto.software import BLOCK_BYTES, padding_of, unpadded
from icure_async.crypto.threads import in_thread_if_large, slices

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable

__all__ = [
    "PIECE_BYTES",
    "Decryptor",
    "Encryptor",
    "Measured",
    "Meter",
    "Passing",
    "Transform",
    "encrypted_size",
    "pieces",
    "transformed",
]

PIECE_BYTES: Final = 256 * 1024
"""Bytes that are worked on at a time, and so about as much as is in memory."""


@attrs.frozen
class Measured:
    """The size and the hash of a plaintext. Both are secrets: they tell known files.

    Attributes:
        size: in bytes.
        sha256: in hex.
    """

    size: int = attrs.field(repr=False)
    sha256: str = attrs.field(repr=False)


class Meter:
    """Takes the size and the hash of a plaintext that passes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size: int = 0

    def add(self, data: bytes | memoryview) -> None:
        """Take more of it."""
        self._hash.update(data)
        self.size += len(data)

    def result(self) -> Measured:
        """Return the size and the hash of all that has passed."""
        return Measured(self.size, self._hash.hexdigest())


class Transform(Protocol):
    """Takes a stream piece by piece, and returns another one."""

    meter: Meter
    """Measures the plaintext of the two."""

    def add(self, data: bytes | memoryview, /) -> bytes:
        """Take more of it, and return what is finished."""
        ...

    def end(self) -> bytes:
        """Return the last of the other one.

        Raises:
            ValueError: the stream can't have been whole.
        """
        ...


class Passing:
    """Passes a plaintext on as it is."""

    def __init__(self) -> None:
        self.meter: Meter = Meter()

    def add(self, data: bytes | memoryview) -> bytes:
        """Take more of it."""
        for piece in slices(data):
            self.meter.add(piece)
        return bytes(data)

    def end(self) -> bytes:
        """Return nothing."""
        return b""


class Encryptor:
    """Encrypts one plaintext.

    Args:
        key: an AES key.
        iv: random, and used for this plaintext alone.
    """

    def __init__(self, key: bytes, iv: bytes) -> None:
        self.meter: Meter = Meter()
        self._iv = iv
        self._encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()

    def add(self, plaintext: bytes | memoryview) -> bytes:
        """Encrypt more of it, and return the bytes that are finished."""
        encrypted, self._iv = [self._iv], b""
        for piece in slices(plaintext):
            self.meter.add(piece)
            encrypted.append(self._encryptor.update(piece))
        return b"".join(encrypted)

    def end(self) -> bytes:
        """Return the last bytes."""
        last = self._encryptor.update(padding_of(self.meter.size)) + self._encryptor.finalize()
        start, self._iv = self._iv, b""
        return start + last


class Decryptor:
    """Undoes the work of an :class:`Encryptor`, and keeps back the bytes that may be padding.

    Args:
        key: an AES key.
    """

    def __init__(self, key: bytes) -> None:
        self.meter: Meter = Meter()
        self._key = key
        self._iv = b""
        self._decryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(BLOCK_BYTES))).decryptor()
        self._last = b""

    def add(self, ciphertext: bytes | memoryview) -> bytes:
        """Decrypt more of it, and return the plaintext that is known by now."""
        data = memoryview(ciphertext)
        missing = BLOCK_BYTES - len(self._iv)
        if missing:
            self._iv += bytes(data[:missing])
            data = data[missing:]
            if len(self._iv) < BLOCK_BYTES:
                return b""
            self._decryptor = Cipher(algorithms.AES(self._key), modes.CBC(self._iv)).decryptor()
        found = [self._last, *(self._decryptor.update(piece) for piece in slices(data))]
        plaintext = b"".join(found)
        self._last = plaintext[-BLOCK_BYTES:]
        return self._counted(plaintext[:-BLOCK_BYTES])

    def end(self) -> bytes:
        """Return the last of the plaintext.

        Raises:
            ValueError: it has an impossible length, or wrong padding.
        """
        return self._counted(unpadded(self._last + self._decryptor.finalize()))

    def _counted(self, plaintext: bytes) -> bytes:
        for piece in slices(plaintext):
            self.meter.add(piece)
        return plaintext


def encrypted_size(size: int) -> int:
    """Return how many bytes a plaintext of so many has when it is encrypted."""
    return BLOCK_BYTES + size + len(padding_of(size))


async def transformed(
    transform: Transform, chunks: AsyncIterable[bytes]
) -> AsyncGenerator[bytes, None]:
    """Pass on what becomes of a stream, but for its end.

    The caller adds that, once it has seen that all of the stream was right.
    """
    async for piece in pieces(chunks):
        found = await in_thread_if_large(len(piece), transform.add, piece)
        if found:
            yield found


async def pieces(
    chunks: AsyncIterable[bytes], size: int = PIECE_BYTES
) -> AsyncGenerator[bytes | memoryview, None]:
    """Yield the bytes of a stream in pieces of one size, whatever the sizes of its chunks.

    Args:
        chunks: the stream. Empty chunks are none.
        size: of each piece but the last.
    """
    waiting: list[bytes | memoryview] = []
    length = 0
    async for chunk in chunks:
        left = memoryview(chunk)
        while length + len(left) >= size:
            taken = size - length
            yield b"".join([*waiting, left[:taken]]) if waiting else left[:taken]
            waiting, length, left = [], 0, left[taken:]
        if left:
            waiting.append(left)
            length += len(left)
    if waiting:
        yield b"".join(waiting)
