"""Captchas by proof of work (today.md §15): challenges that are given out, and their solutions."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from typing import TYPE_CHECKING, Final

from icure_async.sandbox.errors import bad_request

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json

__all__ = ["Challenges"]

_SALTS: Final = 10
# Solved within milliseconds: real gateways ask for fifty times as much.
_DIFFICULTY_FACTOR: Final = 1000
_MOST_OPEN: Final = 1000
_MAX: Final = 2**128 - 1
_NONCE: Final = re.compile(r"[1-9][0-9]{0,19}")


class Challenges:
    """The challenges that nobody has answered yet."""

    def __init__(self) -> None:
        self._open: dict[str, list[str]] = {}

    def new(self) -> Json:
        """Return a challenge as the gateway answers it."""
        challenge_id, salts = str(uuid.uuid4()), [secrets.token_hex(16) for _ in range(_SALTS)]
        while len(self._open) >= _MOST_OPEN:
            del self._open[next(iter(self._open))]
        self._open[challenge_id] = salts
        return {"id": challenge_id, "salts": salts, "difficultyFactor": _DIFFICULTY_FACTOR}

    def accept(self, solution: object, text: str) -> bool:
        """Return whether a solution is right; its challenge serves no more.

        Args:
            solution: as it was sent.
            text: that the proof is about: the spec id.

        Raises:
            ApiError: it is malformed.
        """
        match solution:
            case {"id": str(challenge_id), "nonces": [*nonces]} if all(map(_is_nonce, nonces)):
                salts = self._open.pop(challenge_id, None)
            case _:
                raise bad_request("kerberus-response must be an object of an id and nonces")
        if salts is None or len(salts) != len(nonces):
            return False
        return all(map(_is_hard_enough, [text] * len(salts), salts, nonces))


def _is_nonce(nonce: object) -> bool:
    return isinstance(nonce, str) and _NONCE.fullmatch(nonce) is not None


def _is_hard_enough(text: str, salt: str, nonce: str) -> bool:
    prefix = hashlib.sha256(salt.encode() + text.encode()).digest()
    number = int.from_bytes(hashlib.sha256(prefix + nonce.encode()).digest()[:16], "big")
    return number >= _MAX - _MAX // _DIFFICULTY_FACTOR
