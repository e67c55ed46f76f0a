"""The logged-in user, looked up once and kept for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio

from icure_async.crypto.shapes import as_list, as_object
from icure_async.errors import CryptoError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from icure_async.rest.data_owners import DataOwnerKind
    from icure_async.rest.users import UserResource

__all__ = [
    "AUTO_DELEGATIONS_ON_CREATION",
    "KEY_ONLY_AUTO_DELEGATIONS",
    "CurrentUser",
    "auto_delegates_of",
    "data_owner_of",
]

# What the user shares with may be changed on another device: not believed for longer than this.
_MAX_AGE_SECONDS: Final = 300.0

AUTO_DELEGATIONS_ON_CREATION: Final = ("all", "medicalInformation")
"""Categories whose data owners get access to a new patient (cryptography.md §8)."""

KEY_ONLY_AUTO_DELEGATIONS: Final = ("anonymousMedicalInformation",)
"""Categories whose data owners get the key of a new patient, and no secret id."""

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
        self._lock = anyio.Lock()

    async def get(self, *, fresh: bool = False) -> Mapping[str, Any]:
        """Return the user; ``fresh`` asks the backend even where one is kept."""
        async with self._lock:
            if fresh or self._user is None or self._clock() - self._read_at > _MAX_AGE_SECONDS:
                self._user = await self._users.current()
                self._read_at = self._clock()
            return self._user

    @property
    def known(self) -> Mapping[str, Any] | None:
        """The user, where it has been looked up already."""
        return self._user


def auto_delegates_of(
    user: Mapping[str, Any], categories: Sequence[str] = AUTO_DELEGATIONS_ON_CREATION
) -> list[str]:
    """Return the data owners with whom the user shares what it creates, without doubles."""
    by_category = as_object(user.get("autoDelegations"))
    listed = [owner for category in categories for owner in as_list(by_category.get(category))]
    return list(dict.fromkeys(owner for owner in listed if isinstance(owner, str) and owner))


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
