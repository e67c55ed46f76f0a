"""Random ids, revisions, codes and tokens, which tests can make repeatable.

A store has a thread of its own, and all of these are made in it: so the numbers of a thread are
those of one sandbox. Keys are never made here.
"""

from __future__ import annotations

import base64
import random
import secrets
import threading
import uuid
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["digits", "new_id", "one_of", "repeat_from", "token_hex", "token_urlsafe"]

_SYSTEM: Final = secrets.SystemRandom()


class _OfThread(threading.local):
    source: random.Random = _SYSTEM


_of_thread = _OfThread()


def repeat_from(seed: str) -> None:
    """Make this thread's values repeatable, and no secret any more, from here on."""
    _of_thread.source = random.Random(seed)  # noqa: S311 - on request


def _bytes(count: int) -> bytes:
    return _of_thread.source.randbytes(count)


def new_id() -> str:
    """Return a random UUID."""
    return str(uuid.UUID(bytes=_bytes(16), version=4))


def token_hex(count: int) -> str:
    """Return so many random bytes in hex."""
    return _bytes(count).hex()


def token_urlsafe(count: int) -> str:
    """Return so many random bytes as a text that URLs may contain."""
    return base64.urlsafe_b64encode(_bytes(count)).rstrip(b"=").decode("ascii")


def one_of(values: Sequence[str]) -> str:
    """Return one of several texts."""
    return _of_thread.source.choice(values)


def digits(count: int) -> str:
    """Return so many random digits."""
    return "".join(_of_thread.source.choices("0123456789", k=count))
