"""A backend in a dict, and the people of the golden world who read from it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from icure_async.crypto.exchange_keys import (
    WrappedKey,
    add_exchange_key,
    exchange_keys_in_view,
    exchange_keys_to,
    public_keys_of,
)
from icure_async.crypto.key_ring import KeyRing
from icure_async.crypto.protocol import Crypto
from icure_async.crypto.software import SoftwareCrypto
from icure_async.entities.legacy_keys import LegacyKeys
from icure_async.entities.sealing import EntityCrypto
from icure_async.entities.ways import KeyDirectory
from icure_async.models.key_pair import KeyPair
from tests.support.golden import WORLD

CRYPTO = SoftwareCrypto()

HCP, NED, ARYA, NED_LOST = (
    KeyPair(pair["publicKey"], pair["privateKey"])
    for name in ("hcp", "ned", "arya", "nedLost")
    for pair in WORLD["users"][name]["keyPairs"]
)


def key_pairs_of(user: str) -> list[KeyPair]:
    return [
        KeyPair(pair["publicKey"], pair["privateKey"]) for pair in WORLD["users"][user]["keyPairs"]
    ]


def owners_at(stage: str) -> dict[str, dict[str, Any]]:
    entities = WORLD["stages"][stage]["entities"]
    owners: dict[str, dict[str, Any]] = {}
    for kind in ("patient", "hcparty", "device"):
        owners |= entities[kind]
    return owners


def view_towards(owners: Mapping[str, Mapping[str, Any]], delegate_id: str) -> dict[str, Any]:
    """Return the answer to ``GET …/{delegate_id}/aesExchangeKeys`` (cryptography.md §3.6)."""
    view: dict[str, Any] = {}
    for owner_id, owner in owners.items():
        by_key = {
            public_key[-32:]: {name[-32:]: text for name, text in by_delegate[delegate_id].items()}
            for public_key, by_delegate in owner.get("aesExchangeKeys", {}).items()
            if delegate_id in by_delegate
        }
        public_key = owner.get("publicKey")
        legacy = owner.get("hcPartyKeys", {}).get(delegate_id)
        if public_key and legacy and public_key[-32:] not in by_key:
            by_key[public_key[-32:]] = {"": legacy[1]}
        if by_key:
            view[owner_id] = by_key
    return view


class DictDirectory:
    """A KeyDirectory over the documents of all data owners."""

    def __init__(self, own_id: str, owners: Mapping[str, Mapping[str, Any]]) -> None:
        self._own_id = own_id
        self.owners = owners
        self.refreshed = 0

    async def own_id(self) -> str:
        return self._own_id

    async def hierarchy(self) -> Mapping[str, Mapping[str, Any]]:
        own = self.owners[self._own_id]
        parent = own.get("parentId")
        return {self._own_id: own} | ({parent: self.owners.get(parent, {})} if parent else {})

    async def exchange_keys_towards(
        self, delegate_id: str, delegator_ids: Sequence[str]
    ) -> Mapping[str, Sequence[WrappedKey]]:
        others = {name: owner for name, owner in self.owners.items() if name != self._own_id}
        view = view_towards(others, delegate_id)
        return {
            delegator_id: exchange_keys_to(self.owners[self._own_id], delegate_id)
            if delegator_id == self._own_id
            else exchange_keys_in_view(view, delegator_id)
            for delegator_id in delegator_ids
        }

    async def refresh(self) -> None:
        self.refreshed += 1

    @property
    def has_policy(self) -> bool:
        return True

    async def may_write_with(self, owner_id: str, delegate_id: str, exchange_key: bytes) -> bool:
        return True


async def ring_of(*pairs: KeyPair, crypto: Crypto = CRYPTO) -> KeyRing:
    ring = KeyRing(crypto)
    for pair in pairs:
        await ring.add(pair)
    return ring


class Reader(EntityCrypto):
    """Opens and seals entities with legacy keys."""

    def __init__(self, key_ring: KeyRing, directory: KeyDirectory) -> None:
        self.keys = LegacyKeys(CRYPTO, key_ring, directory)
        super().__init__(CRYPTO, self.keys)


async def reader(own_id: str, owners: Mapping[str, Mapping[str, Any]], *pairs: KeyPair) -> Reader:
    return Reader(await ring_of(*pairs), DictDirectory(own_id, owners))


async def reader_at(stage: str, user: str) -> Reader:
    own_id = WORLD["users"][user]["dataOwnerId"]
    return await reader(own_id, owners_at(stage), *key_pairs_of(user))


def owner(owner_id: str, *pairs: KeyPair, **members: Any) -> dict[str, Any]:
    """A data owner's document without exchange keys."""
    return {"id": owner_id, "publicKey": pairs[0].public_key, "aesExchangeKeys": {}} | members


async def share(
    delegator: dict[str, Any], delegate: Mapping[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """The delegator's document with an exchange key to the delegate, and that key."""
    exchange_key = os.urandom(32)
    public_keys = [*public_keys_of(delegator), *public_keys_of(delegate)]
    wrapped = await KeyRing(CRYPTO).wrap(exchange_key, public_keys)
    changed = add_exchange_key(
        delegator,
        delegate["id"],
        owner_key=delegator["publicKey"],
        wrapped=wrapped,
        delegate_public_key=delegate.get("publicKey"),
    )
    return changed, exchange_key
