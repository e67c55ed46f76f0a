"""Keys of entities in secure delegations: found there.

Each source asks for more than the one before it: nothing, exchange data by the ids that delegations
name, and the maps that lead to it where delegations name one side only. Source: today.md §5 and §7.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.threads import SHORT_STEPS, Turns
from icure_async.entities.delegations import entity_key_of
from icure_async.entities.encrypted_self import encrypted_parts, opens
from icure_async.entities.secure_delegations import (
    Contents,
    contents_of,
    delegations_naming,
    has_secure_delegations,
    parties_of,
    secure_delegations_of,
)
from icure_async.errors import CryptoError
from icure_async.foreign_text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.exchange_data import ExchangeDataKeys, UsableExchangeData
    from icure_async.entities.metadata import KeySource
    from icure_async.entities.secure_delegations import Parties

__all__ = ["OpenDelegation", "SecureKeys"]

Documents = Sequence[Mapping[str, Any]]
_Find = Callable[[Documents], Awaitable[list[list["OpenDelegation"]]]]

_LONGEST_SECRET_ID: Final = 256


@attrs.frozen(eq=False, repr=False)
class OpenDelegation:
    """A delegation, and exchange data that may open it. Its repr shows neither.

    Attributes:
        key: names the delegation in its entity.
        delegation: as it is in the entity.
        data: the exchange data.
    """

    key: str
    delegation: Mapping[str, Any]
    data: UsableExchangeData

    async def contents(self, crypto: Crypto) -> Contents:
        """Return the secrets in it; none where the exchange data is another's."""
        return await contents_of(crypto, self.data.secrets.exchange_key, self.delegation)


@attrs.frozen(eq=False, repr=False)
class _Source:
    """Keys in the delegations that can be opened in one way."""

    crypto: Crypto
    find: _Find

    async def keys_of(self, documents: Documents, /) -> list[list[bytes]]:
        """Return the keys for each document, without doubles."""
        turns = Turns()
        keys: list[list[bytes]] = []
        for delegations in await self.find(documents):
            await turns.give()
            found: dict[bytes, None] = {}
            for delegation in delegations:
                contents = await delegation.contents(self.crypto)
                found.update(dict.fromkeys(contents.encryption_keys))
            keys.append(list(found))
        return keys


class SecureKeys:
    """Finds keys in secure delegations.

    Attributes:
        sources: what is known by delegation key; what delegations name by id, and all that an
            anonymous data owner has; what maps lead to.
    """

    def __init__(self, crypto: Crypto, exchange_data: ExchangeDataKeys) -> None:
        self._crypto = crypto
        self._exchange_data = exchange_data
        self.sources: Sequence[KeySource] = tuple(
            _Source(crypto, find) for find in (self.known, self.fetched, self.mapped)
        )

    def has_keys(self, document: Mapping[str, Any], /) -> bool:
        """Return whether some delegation has a key."""
        return any(
            delegation.get("encryptionKeys")
            for delegation in secure_delegations_of(document).values()
        )

    def delegates_of(self, document: Mapping[str, Any], /) -> set[str]:
        """Return the ids of the data owners with access, as far as they are named or known."""
        delegations = secure_delegations_of(document)
        named = {
            name
            for delegation in delegations.values()
            for name in (parties_of(delegation).delegator, parties_of(delegation).delegate)
            if name is not None
        }
        known = self._exchange_data.known(delegations).values()
        return named.union(*(data.members for found in known for data in found))

    async def check_key(self, document: Mapping[str, Any], key: bytes, /) -> None:
        """Refuse the key of an entity if it came with no exchange data that may be written with.

        Raises:
            CryptoError: all of it has a wrong signature, or is not confirmed; or there is a policy,
                and nothing in the entity proves that the key is its own: a delegation says nothing
                about the entity that it stands in, and may be copied from another one.
        """
        if self._exchange_data.has_policy and not encrypted_parts(document):
            raise _not_proven(document)
        refused: set[str] = set()
        for find in (self.known, self.fetched, self.mapped):
            for delegation in (await find([document]))[0]:
                data = delegation.data
                contents = await delegation.contents(self._crypto)
                if key not in contents.encryption_keys or data.id in refused:
                    continue
                if await self._exchange_data.may_write_with(data):
                    return
                refused.add(data.id)
        raise CryptoError(
            f"Entity {printable(document['id'])} is encrypted with a key that came with exchange "
            "data whose signature is wrong, or which was neither made on this device nor confirmed "
            "by the policy given to with_public_key_policy(): somebody else might read what is "
            "written. Nothing was sent. Have the exchange data confirmed by the data owner who "
            "shared it, or save the content as a new entity."
        )

    async def authors_of(self, document: Mapping[str, Any]) -> set[str]:
        """Return the ids of those who have given us, or our parents, the key of an entity.

        Where something in the entity is encrypted, the key opens it: a delegation says nothing
        about the entity that it stands in, and may be copied from another one.
        """
        found: set[str] = set()
        parts = encrypted_parts(document)
        for one in (await self.all([document]))[0]:
            contents = await one.contents(self._crypto)
            opening = [
                key
                for key in contents.encryption_keys
                if not parts or await opens(self._crypto, key, document, parts)
            ]
            if opening and await self._exchange_data.may_write_with(one.data):
                found.add(one.data.delegator)
        return found

    async def secret_ids_of(self, document: Mapping[str, Any], /) -> list[str]:
        """Return the secret ids of an entity, without doubles and without a key of it.

        They are shown to the backend, and entries of keys have the same form.
        """
        return list(await self.holders_of_secret_ids(document))

    async def holders_of_secret_ids(self, document: Mapping[str, Any], /) -> dict[str, set[str]]:
        """Return the secret ids as :meth:`secret_ids_of`, with those who are known to have them."""
        found: dict[str, set[str]] = {}
        keys: set[bytes] = set()
        for delegation in (await self.all([document]))[0]:
            contents = await delegation.contents(self._crypto)
            for secret_id in contents.secret_ids:
                found.setdefault(secret_id, set()).update(delegation.data.members)
            keys.update(contents.encryption_keys)
        return {
            secret: holders
            for secret, holders in found.items()
            if _may_be_shown(secret) and not await self._is_key(document, secret, keys)
        }

    async def owning_ids_of(self, documents: Documents, /) -> list[list[str]]:
        """Return for each entity the ids that its delegations hide, without doubles."""
        turns = Turns()
        owning: list[list[str]] = []
        known = await self.known(documents)
        unknown = [one for one, found in zip(documents, known, strict=True) if not found]
        others = iter(await self.all(unknown) if unknown else ())
        for delegations in known:
            await turns.give()
            found: dict[str, None] = {}
            for delegation in delegations or next(others):
                contents = await delegation.contents(self._crypto)
                found.update(dict.fromkeys(contents.owning_entity_ids))
            owning.append(list(found))
        return owning

    async def lacking(self, documents: Documents, delegate_id: str, /) -> list[bool]:
        """Return for each entity whether a delegate is not known to have all of our access."""
        turns = Turns()
        lacking: list[bool] = []
        for delegations in await self.all(documents):
            await turns.give()
            ours: set[object] = set()
            theirs: set[object] = set()
            for delegation in delegations:
                contents = await delegation.contents(self._crypto)
                secrets = {
                    *contents.secret_ids,
                    *contents.encryption_keys,
                    *contents.owning_entity_ids,
                }
                ours |= secrets
                # The author of a delegation has what it hides.
                if delegate_id in delegation.data.members:
                    theirs |= secrets
            lacking.append(not ours or not ours <= theirs)
        return lacking

    # --- Delegations, and what opens them ---

    async def known(self, documents: Documents) -> list[list[OpenDelegation]]:
        """Return the delegations that known exchange data may open."""
        turns = Turns()
        found: list[list[OpenDelegation]] = []
        for index, document in enumerate(documents):
            if not index % SHORT_STEPS:
                await turns.give()
            found.append(self._known_in(document))
        return found

    async def fetched(self, documents: Documents) -> list[list[OpenDelegation]]:
        """Return the same after a look for exchange data that delegations name, or hide."""
        await self._fetch(documents)
        await self._look_again(documents)
        return await self.known(documents)

    async def mapped(self, documents: Documents) -> list[list[OpenDelegation]]:
        """Return the delegations that can be opened by exchange data that maps lead to."""
        names = await self._names(documents)
        wanted = {
            key: None
            for document in documents
            for key, named in self._naming_us(document, names).items()
            if named.in_map is not None
        }
        unknown = [key for key in wanted if not self._exchange_data.known([key])]
        led_to: Mapping[str, UsableExchangeData] = {}
        if unknown:
            led_to = await self._exchange_data.by_maps(unknown)
        return [
            [
                OpenDelegation(key, delegation, led_to[key])
                for key, delegation in secure_delegations_of(document).items()
                if key in led_to
            ]
            for document in documents
        ]

    async def all(self, documents: Documents) -> list[list[OpenDelegation]]:
        """Return all delegations that can be opened."""
        await self._fetch(documents)
        await self._look_again([one for one in documents if not self._known_in(one)])
        known, mapped = await self.known(documents), await self.mapped(documents)
        return [one + other for one, other in zip(known, mapped, strict=True)]

    async def _fetch(self, documents: Documents) -> None:
        """Ask for all exchange data that delegations from or to us name."""
        names = await self._names(documents)
        wanted = {
            named.exchange_data_id: None
            for document in documents
            for named in self._naming_us(document, names).values()
            if named.exchange_data_id is not None
        }
        if wanted:
            await self._exchange_data.by_ids(wanted)

    def _known_in(self, document: Mapping[str, Any]) -> list[OpenDelegation]:
        delegations = secure_delegations_of(document)
        if not delegations:
            return []
        by_key = self._exchange_data.known(delegations)
        found: list[OpenDelegation] = []
        for key, delegation in delegations.items():
            named_id = parties_of(delegation).exchange_data_id
            by_id = self._exchange_data.known_by_ids([named_id] if named_id else ())
            candidates = {data.id: data for data in (*by_key.get(key, ()), *by_id.values())}
            found += [OpenDelegation(key, delegation, data) for data in candidates.values()]
        return found

    async def _look_again(self, documents: Documents) -> None:
        """Look for exchange data of delegations that hide whom they are for."""
        wanted: dict[str, None] = {}
        for document in documents:
            delegations = secure_delegations_of(document)
            known = self._exchange_data.known(delegations)
            for key, delegation in delegations.items():
                named = parties_of(delegation)
                if key not in known and None in (named.delegator, named.delegate):
                    wanted[key] = None
        if wanted:
            await self._exchange_data.look_again(wanted)

    def _naming_us(self, document: Mapping[str, Any], names: Iterable[str]) -> dict[str, Parties]:
        return {
            key: named
            for name in names
            for key, named in delegations_naming(document, name).items()
        }

    async def _names(self, documents: Documents) -> Sequence[str]:
        """Return our id and those of our parents; nothing where no document has delegations."""
        if not any(map(has_secure_delegations, documents)):
            return ()
        return list(await self._exchange_data.own_names())

    async def _is_key(self, document: Mapping[str, Any], secret: str, keys: set[bytes]) -> bool:
        """Return whether a secret id is a key of the entity."""
        key = entity_key_of(secret)
        candidates = {secret.encode(), *([key] if key else [])}
        if not candidates.isdisjoint(keys):
            return True
        parts = encrypted_parts(document)
        return key is not None and bool(parts) and await opens(self._crypto, key, document, parts)


def _not_proven(document: Mapping[str, Any]) -> CryptoError:
    return CryptoError(
        f"Nothing in entity {printable(document['id'])} is encrypted, so nothing proves that the "
        "key in its delegations is its own: somebody may have copied it from another entity, which "
        "others read. With a policy nothing is written with such a key. Nothing was sent. Save the "
        "content as a new entity."
    )


def _may_be_shown(secret: str) -> bool:
    return len(secret) <= _LONGEST_SECRET_ID and secret.isprintable()
