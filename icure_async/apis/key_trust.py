"""Whether a public key is encrypted for: the application's say."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from icure_async.models.public_key import PublicKey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["KeyTrust"]

_log: Final = logging.getLogger(__name__)


class KeyTrust:
    """Asks the policy given to the builder about every public key, once for each.

    Without a policy the backend is believed, as the reference does. What was confirmed is kept for
    the life of the API object; what was not is asked about again.
    """

    def __init__(self, policy: Callable[[PublicKey], Awaitable[bool]] | None) -> None:
        self._policy = policy
        self._confirmed: set[PublicKey] = set()

    async def confirms(self, data_owner_id: str, public_key: str) -> bool:
        """Return whether a public key may be encrypted for."""
        if self._policy is None:
            return True
        key = PublicKey(data_owner_id, public_key.lower())
        if key not in self._confirmed:
            if not await self._policy(key):
                _log.warning(
                    "The public key %s of data owner %s is not confirmed: nothing is encrypted "
                    "for it",
                    key.fingerprint,
                    data_owner_id,
                )
                return False
            self._confirmed.add(key)
        return True
