"""Captchas by proof of work, as today's gateway asks for them ("Kerberus")."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.sandbox import chance
from icure_async.sandbox.errors import bad_request, forbidden
from icure_async.sandbox.shapes import is_object, is_string_list

if TYPE_CHECKING:
    from icure_async.sandbox.store import Json

__all__ = ["HARDEST", "Challenges"]

HARDEST: Final = 1_000_000
"""The largest difficulty that a sandbox may be given."""

_SALTS: Final = 10
_VALID_MS: Final = 5 * 60 * 1000
_MOST: Final = 10_000
_LARGEST: Final = 2**128 - 1
_NONCE: Final = re.compile(r"[1-9][0-9]{0,19}")


def _is_proof(salt: str, text: str, nonce: str, difficulty: int) -> bool:
    """Return whether a nonce is one in about ``difficulty`` that solve a challenge."""
    prefix = hashlib.sha256(salt.encode() + text.encode()).digest()
    digest = hashlib.sha256(prefix + nonce.encode()).digest()
    return int.from_bytes(digest[:16], "big") >= _LARGEST - _LARGEST // difficulty


@attrs.frozen
class _Challenge:
    salts: list[str]
    difficulty: int
    ends_ms: int


class Challenges:
    """The challenges that were handed out, each for one solution.

    Args:
        text: what is hashed, together with a salt.
        difficulty: how many hashes a nonce takes on average.
    """

    def __init__(self, text: str, difficulty: int) -> None:
        self._text = text
        self._difficulty = difficulty
        self._issued: dict[str, _Challenge] = {}

    def issue(self, now_ms: int) -> Json:
        """Hand out a new challenge."""
        challenge_id = chance.new_id()
        salts = [chance.token_hex(16) for _ in range(_SALTS)]
        self._issued[challenge_id] = _Challenge(salts, self._difficulty, now_ms + _VALID_MS)
        while len(self._issued) > _MOST:
            del self._issued[next(iter(self._issued))]
        return {"id": challenge_id, "salts": salts, "difficultyFactor": self._difficulty}

    def redeem(self, solution: Any, now_ms: int) -> None:
        """Accept the solution of a challenge, which is used up then, right or wrong.

        Raises:
            ApiError: 400 if it is malformed, 403 if it is wrong, too late or used.
        """
        if not is_object(solution) or not isinstance(solution.get("id"), str):
            raise bad_request("kerberus-response must be an object with id and nonces")
        nonces = solution.get("nonces")
        if not is_string_list(nonces) or not all(map(_NONCE.fullmatch, nonces)):
            raise bad_request("nonces must be a list of numbers, as strings")
        challenge = self._issued.pop(solution["id"], None)
        if challenge is None or now_ms > challenge.ends_ms:
            raise forbidden("There is no such challenge, or it was used, or is too old")
        if len(nonces) != len(challenge.salts) or not all(
            _is_proof(salt, self._text, nonce, challenge.difficulty)
            for salt, nonce in zip(challenge.salts, nonces, strict=True)
        ):
            raise forbidden("The solution of the captcha was refused")
