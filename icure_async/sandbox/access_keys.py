"""The header by which a caller shows its access control keys (§14.7)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.secure_delegations import delegation_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["ACCESS_KEYS_HEADER", "delegation_keys_in"]

ACCESS_KEYS_HEADER: Final = "Icure-Access-Control-Keys"
_KEY_BYTES: Final = 16
_MOST_KEYS: Final = 360


def delegation_keys_in(lines: Iterable[str]) -> frozenset[str]:
    """Return the delegation keys that belong to the keys in the header.

    Args:
        lines: the values of all header lines of that name, each with one value or several.

    Raises:
        ApiError: 400 if a value is malformed.
    """
    values = (value.strip() for line in lines for value in line.split(","))
    return frozenset(delegation_key(key) for value in values for key in _keys_in(value))


def _keys_in(value: str) -> Iterator[bytes]:
    try:
        keys = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise bad_request(f"{ACCESS_KEYS_HEADER} must be base64") from None
    if not keys or len(keys) % _KEY_BYTES or len(keys) > _MOST_KEYS * _KEY_BYTES:
        raise bad_request(
            f"{ACCESS_KEYS_HEADER} must be 1 to {_MOST_KEYS} keys of {_KEY_BYTES} bytes in a value"
        )
    for start in range(0, len(keys), _KEY_BYTES):
        yield keys[start : start + _KEY_BYTES]
