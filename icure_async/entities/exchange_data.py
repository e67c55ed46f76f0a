"""Exchange data whose secrets are known, and the keys of entities that it leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from icure_async.crypto.exchange_data import ExchangeSecrets

__all__ = ["ExchangeDataKeys", "UsableExchangeData"]


@attrs.frozen(eq=False, repr=False)
class UsableExchangeData:
    """Exchange data that a key pair in use opens. Its repr shows no secret.

    Attributes:
        document: wire JSON, as it is stored.
        secrets: what it hides.
    """

    document: Mapping[str, Any]
    secrets: ExchangeSecrets

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.document["id"])

    @property
    def delegator(self) -> str:
        """Id of the data owner who made it."""
        return str(self.document["delegator"])

    @property
    def delegate(self) -> str:
        """Id of the data owner for whom it was made."""
        return str(self.document["delegate"])

    @property
    def members(self) -> set[str]:
        """Both of them."""
        return {self.delegator, self.delegate}

    def __repr__(self) -> str:
        return f"UsableExchangeData(id={self.id!r})"


class ExchangeDataKeys(Protocol):
    """The exchange data that the current data owner and its parents can open."""

    @property
    def has_policy(self) -> bool:
        """True where the application decides which keys are written with."""
        ...

    async def own_names(self) -> Collection[str]:
        """Return the ids of the current data owner and its parents."""
        ...

    def known(self, delegation_keys: Iterable[str]) -> Mapping[str, Sequence[UsableExchangeData]]:
        """Return what is known already, by delegation key; nothing is empty, or asked for."""
        ...

    def known_by_ids(self, ids: Iterable[str]) -> Mapping[str, UsableExchangeData]:
        """Return what is known already, by id; no request is made."""
        ...

    async def by_ids(self, ids: Iterable[str]) -> Mapping[str, UsableExchangeData]:
        """Return what can be opened among exchange data with these ids."""
        ...

    async def by_maps(self, delegation_keys: Iterable[str]) -> Mapping[str, UsableExchangeData]:
        """Return what maps lead to, by delegation key."""
        ...

    async def look_again(self, delegation_keys: Iterable[str]) -> None:
        """Look for exchange data that has come up, where delegations do not name it."""
        ...

    async def may_write_with(self, data: UsableExchangeData) -> bool:
        """Return whether keys that came by this exchange data may protect new content."""
        ...
