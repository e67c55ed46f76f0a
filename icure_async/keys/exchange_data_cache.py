"""A cache of exchange data, by id and by all its delegation keys."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.entities.exchange_data import UsableExchangeData

__all__ = ["ENTITY_TYPES", "ExchangeDataCache"]

ENTITY_TYPES: Final = (
    "Article",
    "AccessLog",
    "CalendarItem",
    "Classification",
    "ClassificationTemplate",
    "Contact",
    "Service",
    "Document",
    "Form",
    "HealthElement",
    "Invoice",
    "MaintenanceTask",
    "Message",
    "Patient",
    "Receipt",
    "Topic",
)
"""The types of entities that access control keys are made for (today.md §5)."""


class ExchangeDataCache:
    """Keeps exchange data; what was not used for longest goes first. Its repr shows none.

    Args:
        limit: how many to keep; None for all.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._by_id: OrderedDict[str, UsableExchangeData] = OrderedDict()
        # A member of exchange data can make more of it with the same secret: all of it counts.
        self._ids_by_key: defaultdict[str, dict[str, None]] = defaultdict(dict)

    def put(self, data: UsableExchangeData) -> None:
        """Keep exchange data; anything known of it before is replaced."""
        self.drop(data.id)
        self._by_id[data.id] = data
        for key in _delegation_keys(data):
            self._ids_by_key[key][data.id] = None
        while self.limit is not None and len(self._by_id) > self.limit:
            self.drop(next(iter(self._by_id)))

    def get(self, data_id: str) -> UsableExchangeData | None:
        """Return exchange data by its id, and count it as used."""
        data = self._by_id.get(data_id)
        if data is not None:
            self._by_id.move_to_end(data_id)
        return data

    def get_by_key(self, delegation_key: str) -> list[UsableExchangeData]:
        """Return exchange data by one of its delegation keys, and count it as used."""
        ids = self._ids_by_key.get(delegation_key, ())
        return [data for data_id in ids if (data := self.get(data_id)) is not None]

    def drop(self, data_id: str) -> None:
        """Drop exchange data, if it is there."""
        data = self._by_id.pop(data_id, None)
        for key in _delegation_keys(data) if data is not None else ():
            self._ids_by_key[key].pop(data_id, None)
            if not self._ids_by_key[key]:
                del self._ids_by_key[key]

    def clear(self) -> None:
        """Drop everything."""
        self._by_id.clear()
        self._ids_by_key.clear()

    @property
    def values(self) -> list[UsableExchangeData]:
        """All that is kept, what was used last at the end."""
        return list(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def __repr__(self) -> str:
        return f"ExchangeDataCache({len(self)} of {self.limit})"


def _delegation_keys(data: UsableExchangeData) -> Iterable[str]:
    return map(data.secrets.delegation_key, ENTITY_TYPES)
