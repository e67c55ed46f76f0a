"""The state of a transfer of bytes."""

from __future__ import annotations

import attrs

__all__ = ["TransferProgress"]


@attrs.frozen(kw_only=True)
class TransferProgress:
    """The state of an attachment that is sent or received.

    Attributes:
        done: how many bytes of the file were encrypted and sent, or received and decrypted. It
            begins anew where a transfer has to be repeated.
        total: how many there are; None where that is not known.

    Example:
        >>> async def show(progress):
        ...     print(f"{progress.done} of {progress.total} bytes")
        >>> await show(TransferProgress(done=256, total=1024))
        256 of 1024 bytes
    """

    done: int
    total: int | None = None
