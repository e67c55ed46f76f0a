"""A recovery key: the way back to lost key pairs that a person keeps on paper."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

import attrs

from icure_async.errors import ValidationError
from icure_async.mistakes import explained

__all__ = ["RecoveryKey"]

_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{32}){1,2}")
_BASE_32: Final = re.compile(r"(?:[A-Z2-7]{26}|[A-Z2-7]{52})")
_BASE_32_GROUP: Final = 8
_SEPARATORS: Final = re.compile(r"[\s-]+")


def _canonical(text: object) -> str:
    """Return a recovery key as Cardinal writes it."""
    return base64.b32encode(_bytes_of(text)).decode("ascii")


def _bytes_of(text: object) -> bytes:
    if isinstance(text, str):
        compact = _SEPARATORS.sub("", text)
        if _HEX.fullmatch(compact):
            return bytes.fromhex(compact)
        letters = compact.rstrip("=").upper()
        if _BASE_32.fullmatch(letters):
            missing = -len(letters) % _BASE_32_GROUP
            try:
                decoded = base64.b32decode(letters + "=" * missing)
            except binascii.Error:
                decoded = b""
            # The last letter holds bits that say nothing: others would be the same key.
            if base64.b32encode(decoded).decode("ascii").rstrip("=") == letters:
                return decoded
    raise ValidationError(
        "This is not a recovery key: it has 52 letters and digits (A to Z, 2 to 7), or 64 hex "
        "digits. Compare it with what was written down when it was created."
    )


@explained
@attrs.frozen
class RecoveryKey:
    """A key that opens copies of key pairs on the backend (today.md §10).

    A person who has it, and may log in as the user, can read the user's records: show it to the
    user once, and keep it away from the device. It is never in a repr.

    Attributes:
        text: to be written down or printed: base32, as today's clients take it. Spaces, hyphens,
            small letters and missing signs at the end do no harm, and hex is taken, too.

    Example:
        >>> RecoveryKey("A" * 52)
        RecoveryKey()
    """

    text: str = attrs.field(repr=False, converter=_canonical)

    def to_bytes(self) -> bytes:
        """Return the key itself: 32 bytes, or 16 where another client has made it."""
        return base64.b32decode(self.text)

    def __repr__(self) -> str:
        return "RecoveryKey()"
