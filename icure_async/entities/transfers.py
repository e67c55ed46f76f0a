"""Attachments on their way: encrypted while they are sent, decrypted and checked on arrival."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from icure_async.crypto.software import BLOCK_BYTES
from icure_async.crypto.streams import (
    PIECE_BYTES,
    Decryptor,
    Encryptor,
    Passing,
    encrypted_size,
    transformed,
)
from icure_async.crypto.threads import in_thread_if_large
from icure_async.errors import DecryptionError, InvalidResponseError, ValidationError
from icure_async.mistakes import awaited
from icure_async.models.transfer import TransferProgress

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from icure_async.crypto.protocol import Crypto
    from icure_async.crypto.streams import Measured, Transform
    from icure_async.entities.attachment_bodies import Source
    from icure_async.entities.attachment_targets import Target

__all__ = ["AttachmentDownload", "AttachmentUpload", "InClearError", "Transfer"]

Transfer: TypeAlias = Callable[[TransferProgress], Awaitable[None]]
"""An async function that is told how far a transfer is. Its error ends the call."""


_SHORTEST: Final = encrypted_size(0)


class InClearError(Exception):
    """The bytes were taken for encrypted ones, and turned out to be in clear: read them again."""


class AttachmentUpload:
    """The bytes of an attachment as they are sent.

    Args:
        source: the bytes in clear.
        crypto: makes the IV, another one for each attempt.
        key: of the document; None where the bytes stay in clear.
        known: size and hash of the bytes, where they are known already.
        progress: called after each piece.

    Attributes:
        sent: size and hash of the bytes that were sent, once the last of them are on their way;
            None before.
    """

    def __init__(
        self,
        source: Source,
        *,
        crypto: Crypto,
        key: bytes | None,
        known: Measured | None,
        progress: Transfer | None,
    ) -> None:
        self.sent: Measured | None = None
        self._source = source
        self._crypto = crypto
        self._key = key
        self._known = known
        self._progress = progress
        self._is_begun = False

    @property
    def size(self) -> int | None:
        """The number of bytes to send; None where that is not known."""
        if self._known is None:
            return None
        size = self._known.size
        return size if self._key is None else encrypted_size(size)

    @property
    def is_spent(self) -> bool:
        """True if the source has been read, and can't be read again."""
        return self._is_begun and self._source.is_once

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Return the bytes to send.

        Raises:
            ValidationError: they can't be read, or have changed since they were measured.
        """
        self._is_begun = True
        self.sent = None
        transform = await self._transform()
        # Kept back until it is known to be right: a server that has the last of it may answer.
        last, done = b"", 0
        async with (
            contextlib.aclosing(self._source.chunks()) as plaintext,
            contextlib.aclosing(transformed(transform, plaintext)) as finished,
        ):
            async for piece in finished:
                self._check_growth(transform.meter.size)
                if last:
                    yield last
                    await self._report(done)
                last, done = piece, transform.meter.size
        found = transform.meter.result()
        if self._known not in (None, found):
            raise _changed()
        ending = transform.end()
        self.sent = found
        if last and ending:
            yield last
            await self._report(done)
            last = b""
        if last or ending:
            yield last + ending
        await self._report(found.size)

    def _check_growth(self, size: int) -> None:
        if self._known is not None and size > self._known.size:
            raise _changed()

    async def _transform(self) -> Transform:
        if self._key is None:
            return Passing()
        return Encryptor(self._key, await self._crypto.random_bytes(BLOCK_BYTES))

    async def _report(self, done: int) -> None:
        total = None if self._known is None else self._known.size
        await _report(self._progress, done, total)


class AttachmentDownload:
    """Takes the bytes of an attachment, and sees that they are the right ones.

    Args:
        name: of the attachment, for messages.
        target: gets the bytes in clear. Until :meth:`end` they are not proven.
        key: of the document; None where the bytes are in clear.
        expected: size and hash of the bytes in clear; None where nobody has said.
        size: how many bytes the backend says there are, where nobody else has said.
        is_guess: whether the bytes may be in clear in spite of the key.
        progress: called after each piece.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        *,
        key: bytes | None,
        expected: Measured | None,
        size: int | None = None,
        is_guess: bool = False,
        progress: Transfer | None,
    ) -> None:
        self._name = name
        self._target = target
        self._key = key
        self._expected = expected
        self._total = size if expected is None else expected.size
        self._is_guess = is_guess
        self._is_guessed = False
        self._progress = progress
        self._transform: Transform = Passing()
        self._waiting: list[bytes] = []
        self._length = 0

    async def begin(self, size: int | None, /) -> None:
        """Forget what came before.

        Raises:
            InvalidResponseError: the body that begins has not the right size.
        """
        self._is_guessed = self._is_guess and _may_be_encrypted(size)
        key = None if self._is_guess and not self._is_guessed else self._key
        self._transform = Passing() if key is None else Decryptor(key)
        self._waiting, self._length = [], 0
        expected = self._expected
        if expected is not None and size is not None:
            right = expected.size if self._key is None else encrypted_size(expected.size)
            if size != right:
                raise self._wrong()
        await self._target.begin(size if expected is None else expected.size)

    async def take(self, chunk: bytes, /) -> None:
        """Take more of the body.

        Raises:
            InvalidResponseError: there is more than there should be.
        """
        self._waiting.append(chunk)
        self._length += len(chunk)
        if self._length >= PIECE_BYTES:
            await self._flush()

    async def end(self, *, is_framed: bool) -> None:
        """See that all bytes have come, and that they are the right ones.

        Raises:
            InvalidResponseError: they are not, or it can't be told.
            DecryptionError: they can't be decrypted.
            InClearError: they can't, and need not be encrypted.
        """
        await self._flush()
        try:
            last = self._transform.end()
        except ValueError:
            last = None
        if last is None and self._is_guessed:
            raise InClearError
        if last is None:
            raise DecryptionError(
                f"Could not read {self._name}: the stored bytes can't be decrypted with the key of "
                "the document. They are cut, or are others. Have it attached again by somebody who "
                "has the file.",
                entity_type="document",
            )
        await self._target.add(last)
        found = self._transform.meter.result()
        if self._expected is not None:
            if found != self._expected:
                raise self._wrong()
        elif not is_framed and found.size != self._total:
            raise InvalidResponseError(
                f"Could not read {self._name}: the connection ended, and nothing says whether all "
                "of its bytes have come. Try again, and have a look at the proxies on the way."
            )
        await _report(self._progress, found.size, self._total)

    async def _flush(self) -> None:
        data = b"".join(self._waiting)
        self._waiting, self._length = [], 0
        if not data:
            return
        found = await in_thread_if_large(len(data), self._transform.add, data)
        expected = self._expected
        if expected is not None and self._transform.meter.size > expected.size:
            raise self._wrong()
        await self._target.add(found)
        await _report(self._progress, self._transform.meter.size, self._total)

    def _wrong(self) -> InvalidResponseError:
        return InvalidResponseError(
            f"Could not read {self._name}: the stored bytes have another size or hash than those "
            "that were attached. Try again; where it stays so, have it attached again by somebody "
            "who has the file, and call the administrator of the backend."
        )


def _may_be_encrypted(size: int | None) -> bool:
    """Return whether so many bytes can be encrypted ones; they can where the number is unknown."""
    return size is None or (size >= _SHORTEST and size % BLOCK_BYTES == 0)


def _changed() -> ValidationError:
    return ValidationError(
        "The file to attach has changed while it was sent. No data sample has it: attach it again "
        "once nothing writes to it."
    )


async def _report(progress: Transfer | None, done: int, total: int | None) -> None:
    if progress is not None:
        consequence = "Write it with `async def`. The transfer was given up."
        await awaited(progress(TransferProgress(done=done, total=total)), "progress", consequence)
