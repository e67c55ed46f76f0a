"""Data owners who have exchange data with the current one, and can give access back.

Source: today.md §10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icure_async.models.key_pair import fingerprint_v2

if TYPE_CHECKING:
    from icure_async.keys.exchange_data import ExchangeDataDirectory
    from icure_async.keys.own_document import OwnDocument
    from icure_async.rest.exchange_data import ExchangeDataResource

__all__ = ["Counterparts"]

# As today's clients write them, which find people among them only.
_TYPES: Final = ("Hcp", "Patient")


class Counterparts:
    """Finds them on the backend."""

    def __init__(
        self, resource: ExchangeDataResource, directory: ExchangeDataDirectory, own: OwnDocument
    ) -> None:
        self._resource = resource
        self._directory = directory
        self._own = own

    async def of(self, public_key: str) -> list[str]:
        """Return the ids of those who have something that is not encrypted for one of our keys."""
        own_id = await self._own.own_id()
        known_to = fingerprint_v2(public_key)
        found = await self._directory.ask(
            lambda: self._resource.counterparts(own_id, _TYPES, known_to=known_to)
        )
        return found or []
