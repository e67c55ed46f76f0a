"""The captcha that a program solves by computing: "Kerberus", a proof of work (today.md §15).

For each salt of a challenge the smallest number is wanted whose hash is as large as the difficulty
says. Nobody has to click anywhere.
"""

from __future__ import annotations

import hashlib
import time
from itertools import count
from typing import TYPE_CHECKING, Final, TypeAlias

from icure_async.mistakes import awaited
from icure_async.models.captcha import CaptchaProgress
from icure_async.threads import OTHERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from icure_async.rest.message_gateway import Challenge

__all__ = ["Progress", "smallest_nonce", "solved"]

Progress: TypeAlias = "Callable[[CaptchaProgress], Awaitable[None]]"
"""An async function. Its error ends the call."""

_MAX: Final = 2**128 - 1
_DIGEST_BYTES: Final = 16
# About ten milliseconds: a cancelled call ends after that.
_SLICE: Final = 1 << 14
_TURN: Final = 1 << 10


async def solved(
    challenge: Challenge, text: str, progress: Progress | None
) -> dict[str, str | list[str]]:
    """Return the solution of a challenge, computed in a worker thread.

    Args:
        challenge: of the gateway, checked.
        text: that the proof is about: the spec id.
        progress: called after each salt.
    """
    nonces: list[str] = []
    for salt in challenge.salts:
        nonces.append(await _nonce(text, salt, challenge.difficulty_factor))
        if progress is not None:
            state = CaptchaProgress(solved=len(nonces), total=len(challenge.salts))
            await awaited(progress(state), "progress", "Write it with `async def`.")
    return {"id": challenge.id, "nonces": nonces}


async def _nonce(text: str, salt: str, difficulty_factor: int) -> str:
    """Return the nonce for a salt. Between two slices a cancellation ends the search."""
    for start in count(1, _SLICE):
        numbers = range(start, start + _SLICE)
        found = await OTHERS.run(smallest_nonce, text, salt, difficulty_factor, numbers)
        if found is not None:
            return str(found)
    raise AssertionError  # pragma: no cover - the numbers do not end


def smallest_nonce(text: str, salt: str, difficulty_factor: int, numbers: range) -> int | None:
    """Return the first of some numbers that is a nonce, or None where there is none."""
    least = (_MAX - _MAX // difficulty_factor).to_bytes(_DIGEST_BYTES, "big")
    prefix = hashlib.sha256(hashlib.sha256((salt + text).encode()).digest())
    for turn in range(0, len(numbers), _TURN):
        for number in numbers[turn : turn + _TURN]:
            attempt = prefix.copy()
            attempt.update(b"%d" % number)
            if attempt.digest()[:_DIGEST_BYTES] >= least:
                return number
        # The event loop stands in line for the interpreter's lock.
        time.sleep(0)
    return None
