"""The reasons why nothing can be shared with a data owner, in either flavour."""

from __future__ import annotations

from icure_async.errors import CryptoError, NotFoundError
from icure_async.foreign_text import printable

__all__ = ["no_usable_key", "unreachable", "without_key"]


def unreachable(owner_id: str) -> NotFoundError:
    """Return the error about a data owner that can't be read."""
    return NotFoundError(
        f"Nothing can be shared with data owner {printable(owner_id)}: it does not exist, was "
        "deleted, or may not be read by the current user. Check the id."
    )


def without_key(owner_id: str) -> CryptoError:
    """Return the error about a data owner that has published nothing yet."""
    return CryptoError(
        f"Nothing can be shared with data owner {printable(owner_id)} yet: it has no public key. "
        "Share again once it has logged in for the first time."
    )


def no_usable_key(owner_id: str) -> CryptoError:
    """Return the error about a data owner whose public keys are not such, or not confirmed."""
    return CryptoError(
        f"Nothing can be shared with data owner {printable(owner_id)}: none of its public keys can "
        "be used. They are malformed, or not confirmed by the policy given to "
        "with_public_key_policy(). Compare PublicKey.digest with the person, and confirm the key."
    )
