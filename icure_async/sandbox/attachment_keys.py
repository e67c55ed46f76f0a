"""Keys that come with a request, by which the backend encrypts and decrypts an attachment.

The 2023 reference sends the key of a document along, ``?enckeys=…`` (second-world.md §2.5). It is
used for this request, and kept nowhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["key_in", "opened", "sealed"]

_BLOCK: Final = 16
_SIZES: Final = (16, 32)


def key_in(asked: str | None) -> bytes | None:
    """Return the first of the keys in a query, which are in hex; None where there is none."""
    for text in (asked or "").split(","):
        try:
            key = bytes.fromhex(text.replace("-", ""))
        except ValueError:
            continue
        if len(key) in _SIZES:
            return key
    return None


async def sealed(chunks: AsyncIterator[bytes], key: bytes) -> AsyncIterator[bytes]:
    """Yield an IV and the bytes, encrypted."""
    iv = os.urandom(_BLOCK)
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    padder = PKCS7(_BLOCK * 8).padder()
    yield iv
    async for chunk in chunks:
        yield cipher.update(padder.update(chunk))
    yield cipher.update(padder.finalize()) + cipher.finalize()


async def opened(chunks: AsyncIterator[bytes], key: bytes) -> AsyncIterator[bytes]:
    """Yield the bytes that were encrypted.

    Raises:
        ValueError: at the end, they were not encrypted with this key.
    """
    waiting, cipher = b"", None
    unpadder = PKCS7(_BLOCK * 8).unpadder()
    async for chunk in chunks:
        piece = chunk
        if cipher is None:
            waiting += chunk
            if len(waiting) < _BLOCK:
                continue
            iv, piece = waiting[:_BLOCK], waiting[_BLOCK:]
            cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        yield unpadder.update(cipher.update(piece))
    if cipher is None:
        raise ValueError("There is no IV")
    yield unpadder.update(cipher.finalize()) + unpadder.finalize()
