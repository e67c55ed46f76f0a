"""Today's flavour of metadata, on the exchange data of the current data owner."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import attrs

from icure_async.crypto.encoding import new_uuid
from icure_async.crypto.threads import Turns
from icure_async.entities.delegations import has_keys
from icure_async.entities.encrypted_self import encrypt_members, encrypted_parts
from icure_async.entities.metadata import not_encryptable
from icure_async.entities.secure_delegations import (
    SECURITY_METADATA,
    Contents,
    has_secure_delegations,
    secure_delegation,
    security_metadata,
)
from icure_async.entities.secure_keys import SecureKeys
from icure_async.entities.wholeness import ENTITY_METADATA
from icure_async.errors import CryptoError, ICureError, NotFoundError
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.exchange_data import UsableExchangeData
    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.manifests import Manifest
    from icure_async.entities.metadata import Parent, ReadableEntity, Readers, Shared
    from icure_async.entities.secure_delegations import Parties
    from icure_async.keys.exchange_data import ExchangeDataDirectory
    from icure_async.keys.exchange_data_maps import ExchangeDataMaps
    from icure_async.keys.own_document import OwnDocument
    from icure_async.keys.secure_shares import SecureShares

__all__ = ["SecureMetadata"]

_log: Final = logging.getLogger(__name__)

_ENTITY_KEY_BYTES: Final = 32


@attrs.frozen(eq=False, repr=False)
class _Delegation:
    """A delegation that new entities get.

    Attributes:
        key: names it.
        data: its exchange data.
        named: the data owners that it names.
        key_only: whether it gives the key without the secret ids.
    """

    key: str
    data: UsableExchangeData
    named: Parties
    key_only: bool = False


class SecureMetadata(SecureKeys):
    """Secure delegations, with exchange data that is made where it is missing."""

    def __init__(
        self,
        crypto: Crypto,
        exchange_data: ExchangeDataDirectory,
        maps: ExchangeDataMaps,
        own: OwnDocument,
        shares: SecureShares,
    ) -> None:
        super().__init__(crypto, exchange_data)
        self._directory = exchange_data
        self._maps = maps
        self._own = own
        self._shares = shares

    async def prepare(
        self, kind: EntityKind[Any, Any], documents: Sequence[Mapping[str, Any]], readers: Readers
    ) -> list[dict[str, Any] | CryptoError]:
        """Return new entities ready to be stored; exchange data is looked up once for all.

        Raises:
            CryptoError: the current data owner, or a required delegate, could not read them.
        """
        delegations = await self._delegations(
            kind, readers.delegates, readers.key_only, readers.required
        )
        await self._maps.write(kind.secure_type, [one.data for one in delegations])
        prepared: list[dict[str, Any] | CryptoError] = []
        turns = Turns()
        for document in documents:
            await turns.give()
            clear = {name: value for name, value in document.items() if name not in ENTITY_METADATA}
            if readers.parent is not None:
                clear["secretForeignKeys"] = list(readers.parent.secret_ids)
            try:
                sealed = await self._sealed(
                    clear, _manifest_of(kind, clear), delegations, parent=readers.parent
                )
            except ValueError:
                prepared.append(not_encryptable(kind.noun))
            else:
                prepared.append(sealed)
        return prepared

    async def add_key(
        self, kind: EntityKind[Any, Any], document: Mapping[str, Any], delegates: Sequence[str]
    ) -> dict[str, Any]:
        """Return an entity that never had a key with one, for all who have access to it.

        Raises:
            ValueError: it has keys of 2023, or is encrypted: a new key would make it unreadable.
            CryptoError: it has delegations, which can't be changed this way, or nobody could read
                it.
        """
        return await self.add_first_delegations(kind, document, delegates)

    async def add_first_delegations(
        self,
        kind: EntityKind[Any, Any],
        document: Mapping[str, Any],
        delegates: Sequence[str],
        *,
        secret_ids: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Return an entity without keys as :meth:`add_key`.

        Args:
            kind: what it is.
            document: wire JSON in clear.
            delegates: those who get access, besides those with delegations of 2023.
            secret_ids: those that it has already; a new one is made where there are none.
        """
        if has_secure_delegations(document):
            raise CryptoError(
                f"{kind.noun.capitalize()} {printable(document['id'])} has delegations without a "
                "key, and can't be encrypted. Nothing was sent. Save its content as a new "
                f"{kind.noun}."
            )
        if has_keys(document) or encrypted_parts(document):
            message = "the entity has a key already"
            raise ValueError(message)
        own = await self._own.own()
        is_own = (kind.route, document["id"]) == (own.kind, own.id)
        readers = dict.fromkeys([*delegates, *as_object(document.get("delegations"))])
        delegations = await self._delegations(kind, list(readers))
        await self._maps.write(kind.secure_type, [one.data for one in delegations])
        manifest = _manifest_of(kind, document, is_own=is_own)
        return await self._sealed(document, manifest, delegations, secret_ids=secret_ids)

    async def share(
        self,
        kind: EntityKind[Any, Any],
        entities: Sequence[ReadableEntity],
        delegates: Sequence[str],
    ) -> Sequence[Shared]:
        """Share entities with delegates, and return them as they are stored."""
        return await self._shares.share(kind, entities, delegates)

    async def _delegations(
        self,
        kind: EntityKind[Any, Any],
        delegates: Iterable[str],
        key_only: Collection[str] = (),
        required: Collection[str] = (),
    ) -> list[_Delegation]:
        """Return the delegations of new entities, the current data owner's own first.

        Raises:
            CryptoError: there is none to the current data owner, or a required delegate.
        """
        own_id = await self._own.own_id()
        names = list(dict.fromkeys([own_id, *delegates, *key_only]))
        delegations: list[_Delegation] = []
        for name, data in (await self._directory.to_write_with(names)).items():
            delegation = await self._delegation(kind, data, key_only=name in key_only)
            if isinstance(delegation, _Delegation):
                delegations.append(delegation)
            elif name == own_id or name in required:
                raise CryptoError(f"The {kind.noun} was not created. {delegation}") from delegation
            else:
                _log.warning("Not sharing with data owner %s: %s", printable(name), delegation)
        return delegations

    async def _delegation(
        self, kind: EntityKind[Any, Any], data: UsableExchangeData | ICureError, *, key_only: bool
    ) -> _Delegation | ICureError:
        """Return the delegation that goes with exchange data, or why there is none."""
        if isinstance(data, ICureError):
            return data
        try:
            named = await self._maps.parties(data)
        except NotFoundError as error:
            return error
        return _Delegation(data.secrets.delegation_key(kind.secure_type), data, named, key_only)

    async def _sealed(
        self,
        document: Mapping[str, Any],
        manifest: Manifest,
        delegations: Sequence[_Delegation],
        *,
        parent: Parent | None = None,
        secret_ids: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Return an entity encrypted with a new key, with its first delegations."""
        key = await self._crypto.random_bytes(_ENTITY_KEY_BYTES)
        contents = Contents(
            secret_ids=secret_ids or [await new_uuid(self._crypto)],
            encryption_keys=[key],
            owning_entity_ids=[] if parent is None else [parent.entity_id],
        )
        root = delegations[0].key
        by_key = {
            one.key: await secure_delegation(
                self._crypto,
                one.data.secrets.exchange_key,
                Contents(encryption_keys=[key]) if one.key_only else contents,
                one.named,
                parents=[] if one.key == root else [root],
            )
            for one in delegations
        }
        sealed = await encrypt_members(
            self._crypto, key, document, manifest.members, manifest.inside
        )
        return sealed | {SECURITY_METADATA: security_metadata(by_key)}


def _manifest_of(
    kind: EntityKind[Any, Any], document: Mapping[str, Any], *, is_own: bool = False
) -> Manifest:
    """Return what is to be encrypted in an entity that is about to get secure delegations."""
    return kind.manifest_of({**document, SECURITY_METADATA: True}, is_own=is_own)
