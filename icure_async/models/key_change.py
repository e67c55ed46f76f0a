"""A new key pair: the notification about it, its delivery, and access given back."""

from __future__ import annotations

from typing import Final

import attrs

__all__ = [
    "CONCERNED_KEY_PROPERTY",
    "CONCERNED_OWNER_PROPERTY",
    "AccessGivenBack",
    "KeyPairUpdate",
    "KeyPairUpdateNotice",
]

CONCERNED_OWNER_PROPERTY: Final = "dataOwnerConcernedId"
"""Id of the property that names the data owner (data-model.md §4.3)."""
CONCERNED_KEY_PROPERTY: Final = "dataOwnerConcernedPubKey"
"""Id of the property that holds the new public key (data-model.md §4.3)."""


@attrs.frozen(kw_only=True)
class KeyPairUpdate:
    """Content of a notification of type ``KEY_PAIR_UPDATE``: the arguments of giving access back.

    Attributes:
        data_owner_id: who has a new key pair; oneself for one's own other device.
        public_key: hex of the SPKI of the new key pair.
    """

    data_owner_id: str
    public_key: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class KeyPairUpdateNotice:
    """One data owner to be told that the current one has a new key pair.

    Attributes:
        recipient_id: the data owner; the current one itself stands for its other devices.
        public_key: hex of the SPKI of the new key pair.
        notification_id: id of the notification of type ``KEY_PAIR_UPDATE``.
        delivered: whether it reached the backend.
        problem: why it did not, or None.
    """

    recipient_id: str
    public_key: str = attrs.field(repr=False)
    notification_id: str
    delivered: bool
    problem: str | None = None


@attrs.frozen(kw_only=True)
class AccessGivenBack:
    """The exchange keys that a data owner can open again with a new key pair.

    Attributes:
        data_owner_id: whose key pair it is.
        fingerprint: of the key pair (32 hex characters).
        given: how many exchange keys were encrypted for it just now.
        present: how many were for it before.
        closed: how many the helper itself could not open with its key pairs.
    """

    data_owner_id: str
    fingerprint: str
    given: int
    present: int
    closed: int
