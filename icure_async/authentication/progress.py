"""The progress of ``complete_authentication``, in case the program dies under it.

A code is accepted once, and a token that was created but never returned would be an orphan. So the
token is chosen and written down before the code is sent: a repeated call finds it, and creates the
same one again, or, where the code has expired since, goes on with it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.encoding import new_uuid
from icure_async.json_shapes import parse_json_object
from icure_async.rest.user_tokens import token_key_of
from icure_async.storage.locks import StorageLock, lock_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from icure_async.crypto.protocol import Crypto
    from icure_async.storage.protocols import Storage

__all__ = ["Progress", "ProgressStore"]

_PREFIX: Final = "icure.authentication."
_VERSION: Final = 1
_MAX_WRONG_CODES: Final = 5
_SHORTEST_TOKEN: Final = 32


@attrs.frozen(kw_only=True)
class Progress:
    """The completion of one process, as far as it has come on this device.

    Attributes:
        token_key: names the long-lived token among the user's tokens.
        token: the long-lived token. Never in a repr.
        proofs: HMACs, under the token, of the validation codes that may have been accepted, so that
            only one of these goes on. There are several where the program died while a wrong code
            was being checked. Never in a repr.
        proven: whether the backend has taken the code as a password. Then there is one proof.
        wrong_codes: how many other codes were tried since.
        expires_at: when the token ends at the earliest, in epoch milliseconds; None as long as it
            cannot exist. It may exist since a process that ``resend()`` replaced.
    """

    token_key: str
    token: str = attrs.field(repr=False)
    proofs: tuple[str, ...] = attrs.field(repr=False)
    proven: bool = False
    wrong_codes: int = 0
    expires_at: int | None = None

    def is_for(self, validation_code: str) -> bool:
        """Return whether this code was tried before."""
        proof = _proof(self.token, validation_code)
        return any(hmac.compare_digest(proof, known) for known in self.proofs)


class ProgressStore:
    """Progress by request id, in the storage given to the builder."""

    def __init__(self, storage: Storage, crypto: Crypto) -> None:
        self._storage = storage
        self._crypto = crypto

    def lock(self, request_id: str) -> AbstractAsyncContextManager[StorageLock]:
        """Return the lock to complete a process under, where the storage has locks."""
        return lock_of(self._storage, _PREFIX + request_id)

    async def load(self, request_id: str) -> Progress | None:
        """Return the progress of a process, or None where there is none or it is unreadable."""
        return _from_members(parse_json_object(await self._storage.get_item(_PREFIX + request_id)))

    async def begin(
        self, request_id: str, validation_code: str, earlier: Progress | None
    ) -> Progress:
        """Write down that a code is about to be tried, before anything is sent.

        The token is chosen with the first code of a process, and stays the same for the others.
        """
        if earlier is None:
            token = await new_uuid(self._crypto)
            earlier = Progress(token_key=token_key_of(token), token=token, proofs=())
        proof = _proof(earlier.token, validation_code)
        progress = attrs.evolve(earlier, proofs=(*earlier.proofs, proof))
        await self._save(request_id, progress)
        return progress

    async def code_proven(
        self, request_id: str, progress: Progress, validation_code: str, *, expires_at: int
    ) -> Progress:
        """Write down that the code is the right one, before the token is created."""
        proof = _proof(progress.token, validation_code)
        proven = attrs.evolve(progress, proofs=(proof,), proven=True, expires_at=expires_at)
        await self._save(request_id, proven)
        return proven

    async def code_refused(self, request_id: str, progress: Progress, validation_code: str) -> None:
        """Write down that a code leads nowhere.

        Progress with other codes is kept, and a token that may exist since a former process.
        """
        proof = _proof(progress.token, validation_code)
        others = tuple(known for known in progress.proofs if known != proof)
        if others or (progress.expires_at is not None and not progress.proven):
            await self._save(request_id, attrs.evolve(progress, proofs=others))
        else:
            await self.forget(request_id)

    async def wrong_code(self, request_id: str, progress: Progress) -> bool:
        """Count a wrong code where the right one is known, and return whether another may follow.

        The gateway is not asked then, so the limit to guessing has to be here.
        """
        counted = attrs.evolve(progress, wrong_codes=progress.wrong_codes + 1)
        if counted.wrong_codes < _MAX_WRONG_CODES:
            await self._save(request_id, counted)
            return True
        await self.forget(request_id)
        return False

    async def hand_over(self, request_id: str, successor_id: str) -> None:
        """Forget a process that another one replaces.

        A token that may exist is the other's from now on, or nobody would ever be given it.
        """
        progress = await self.load(request_id)
        if progress is not None and progress.expires_at is not None:
            handed_over = attrs.evolve(progress, proofs=(), proven=False, wrong_codes=0)
            await self._save(successor_id, handed_over)
        await self.forget(request_id)

    async def forget(self, request_id: str) -> None:
        """Forget a process that is over."""
        await self._storage.remove_item(_PREFIX + request_id)

    async def _save(self, request_id: str, progress: Progress) -> None:
        members = {"version": _VERSION} | attrs.asdict(progress)
        await self._storage.set_item(_PREFIX + request_id, json.dumps(members))


def _proof(token: str, validation_code: str) -> str:
    return hmac.new(token.encode(), validation_code.encode(), hashlib.sha256).hexdigest()


def _from_members(members: Any) -> Progress | None:
    match members:
        case {
            "version": 1,
            "token_key": str(token_key),
            "token": str(token),
            "proofs": [*proofs],
            "proven": bool(proven),
            "wrong_codes": int(wrong_codes),
        } if _is_well_formed(token, proofs):
            expires_at = members.get("expires_at")
            if type(expires_at) is not int:
                # Earlier versions wrote down that a token may exist, and not for how long.
                expires_at = 0 if proven or members.get("inherited") is True else None
            return Progress(
                token_key=token_key,
                token=token,
                proofs=tuple(proofs),
                proven=proven,
                wrong_codes=wrong_codes,
                expires_at=expires_at,
            )
        case _:
            return None


def _is_well_formed(token: str, proofs: Sequence[object]) -> bool:
    # Earlier versions kept the backend's answer, which may be a piece of a token.
    if len(token) < _SHORTEST_TOKEN:
        return False
    return all(isinstance(text, str) and text.isascii() for text in [token, *proofs])
