"""The logged-in user, looked up once and kept for a while."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from icure_async.errors import ConflictError, CryptoError
from icure_async.json_shapes import as_object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from icure_async.rest.data_owners import DataOwnerKind
    from icure_async.rest.users import UserResource

__all__ = [
    "CurrentUser",
    "data_owner_of",
]

_MAX_AGE_SECONDS: Final = 300.0
# Another device may change the user's sharing, and the change is to hold at once. A user who shares
# with nobody needs no request: old knowledge shares nothing.
_MAX_AGE_OF_SHARING_SECONDS: Final = 5.0
_MAX_ROUNDS: Final = 3

Prepared = TypeVar("Prepared")

_OWNER_MEMBERS: Final[tuple[tuple[str, DataOwnerKind], ...]] = (
    ("healthcarePartyId", "hcparty"),
    ("patientId", "patient"),
    ("deviceId", "device"),
)


class CurrentUser:
    """The logged-in user as wire JSON."""

    def __init__(self, users: UserResource, *, clock: Callable[[], float]) -> None:
        self._users = users
        self._clock = clock
        self._user: dict[str, Any] | None = None
        self._read_at = 0.0
        self._changes = 0
        self._lock = anyio.Lock()
        self._refreshing = anyio.Lock()

    async def get(self, *, fresh: bool = False) -> Mapping[str, Any]:
        """Return the user; ``fresh`` asks the backend even where one is kept."""
        async with self._lock:
            while fresh or self._user is None or not self._is_younger_than(_MAX_AGE_SECONDS):
                # The answer may have been on its way for a while, and be from before a change.
                asked_at, changes = self._clock(), self._changes
                self._user = await self._users.current()
                fresh = changes != self._changes
                if not fresh:
                    self._read_at = asked_at
            return self._user

    async def learn(self, user: dict[str, Any]) -> None:
        """Take note of the user as the backend just gave it, in answer to a change."""
        async with self._lock:
            self._user = user
            self._read_at = self._clock()

    def notice(self, user: Mapping[str, Any]) -> None:
        """Take note of a user that was read or stored elsewhere: it may be this one, changed."""
        known = self._user or {}
        if known and user.get("id") == known["id"] and user.get("rev") != known.get("rev"):
            self.changed()

    def changed(self) -> None:
        """Have the backend asked before the user is used again."""
        self._changes += 1
        self._read_at = -math.inf

    async def get_for_sharing(self) -> Mapping[str, Any]:
        """Return the user; where it shares with anybody, as the backend has it now."""
        user = await self.get()
        if self._is_fresh_for_sharing(user):
            return user
        async with self._refreshing:
            # If many tasks need it at once, one asks the backend.
            user = await self.get()
            return user if self._is_fresh_for_sharing(user) else await self.get(fresh=True)

    async def sharing(
        self, prepare: Callable[[Mapping[str, Any]], Awaitable[Prepared]]
    ) -> Prepared:
        """Return the result of preparing for those with whom the user shares automatically.

        Where preparing takes so long that they may have changed, the backend is asked again, and
        where they have, all is prepared anew.

        Raises:
            ConflictError: it keeps changing.
        """
        user = await self.get_for_sharing()
        for _ in range(_MAX_ROUNDS):
            prepared = await prepare(user)
            if self._is_fresh_for_sharing(user):
                return prepared
            latest = await self.get_for_sharing()
            if latest.get("autoDelegations") == user.get("autoDelegations"):
                return prepared
            user = latest
        raise ConflictError(
            f"The user's sharing was changed {_MAX_ROUNDS} times in a row. Nothing was stored. "
            "Try again.",
            retryable=True,
        )

    def _is_fresh_for_sharing(self, user: Mapping[str, Any]) -> bool:
        shares = any(as_object(user.get("autoDelegations")).values())
        return not shares or (
            user is self._user and self._is_younger_than(_MAX_AGE_OF_SHARING_SECONDS)
        )

    def _is_younger_than(self, seconds: float) -> bool:
        # A clock that was set back does not tell the age.
        return 0 <= self._clock() - self._read_at <= seconds

    @property
    def known(self) -> Mapping[str, Any] | None:
        """The user, where it has been looked up already."""
        return self._user


def data_owner_of(user: Mapping[str, Any]) -> tuple[DataOwnerKind, str]:
    """Return the kind and the id of a user's data owner.

    Raises:
        CryptoError: the user is neither a healthcare professional, a patient nor a device.
    """
    for member, kind in _OWNER_MEMBERS:
        owner_id = user.get(member)
        if isinstance(owner_id, str) and owner_id:
            return kind, owner_id
    raise CryptoError(
        "The current user is not a data owner: it must be a healthcare professional, a patient or "
        "a device to hold keys. Log in as one, or have an administrator link this user to one."
    )
