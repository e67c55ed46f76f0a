"""The question to a callback that supplies a missing key."""

from __future__ import annotations

from typing import Final, Literal, get_args

import attrs

__all__ = ["MISSING_KEY_POLICIES", "MissingKey", "MissingKeyPolicy"]

MissingKeyPolicy = Literal["allow", "refuse"]
"""Permission to make a new key pair when no published one is on this device."""

MISSING_KEY_POLICIES: Final[tuple[MissingKeyPolicy, ...]] = get_args(MissingKeyPolicy)


@attrs.frozen
class MissingKey:
    """A data owner has published keys, and none of their private halves is on this device.

    Attributes:
        data_owner_id: whose keys they are.
        fingerprints: fingerprints (32 hex characters each) of the published keys.
    """

    data_owner_id: str
    fingerprints: tuple[str, ...]
