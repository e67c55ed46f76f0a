"""The legacy flavour of metadata, on the exchange keys of the current data owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icure_async.crypto.threads import Turns
from icure_async.entities.legacy_keys import LegacyKeys
from icure_async.entities.metadata import Shared, not_encryptable
from icure_async.errors import CryptoError
from icure_async.foreign_text import printable
from icure_async.json_shapes import as_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from icure_async.crypto.key_ring import KeyRing
    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.metadata import Granted, ReadableEntity, Readers
    from icure_async.entities.secrets import EntitySecrets
    from icure_async.errors import ICureError
    from icure_async.keys.own_document import OwnDocument

__all__ = ["LegacyMetadata"]


class LegacyMetadata(LegacyKeys):
    """Delegations, encrypted with exchange keys that are made where they are missing."""

    def __init__(self, crypto: Crypto, key_ring: KeyRing, own_document: OwnDocument) -> None:
        super().__init__(crypto, key_ring, own_document)
        self._own_keys = own_document

    async def prepare(
        self, kind: EntityKind[Any, Any], documents: Sequence[Mapping[str, Any]], readers: Readers
    ) -> list[dict[str, Any] | CryptoError]:
        """Return new entities ready to be stored; exchange keys are looked up once for all.

        Raises:
            CryptoError: the current data owner, or a required delegate, could not read them.
        """
        delegates = [*readers.delegates, *readers.key_only]
        exchange_keys = await self._own_keys.exchange_keys_for(delegates)
        for delegate_id in readers.required:
            if delegate_id not in exchange_keys:
                raise CryptoError(
                    f"Data owner {delegate_id} can't be given a {kind.noun}: it can't be read, or "
                    "has no public key of 2023. Check the id, try again once it has logged in, or "
                    'log in with with_flavour("cardinal") on the builder where it is of today. '
                    f"The {kind.noun} was not created."
                )
        prepared: list[dict[str, Any] | CryptoError] = []
        turns = Turns()
        for document in documents:
            await turns.give()
            try:
                sealed = await self.seal_new(
                    document,
                    kind.encrypted,
                    exchange_keys,
                    key_only=readers.key_only,
                    inside=kind.encrypted_in,
                    parent=readers.parent,
                )
            except CryptoError as error:
                prepared.append(error)
            except ValueError:
                prepared.append(not_encryptable(kind.noun))
            else:
                prepared.append(sealed)
        return prepared

    async def add_key(
        self, kind: EntityKind[Any, Any], document: Mapping[str, Any], delegates: Sequence[str]
    ) -> dict[str, Any]:
        """Return an entity that never had a key, encrypted for all who have access to it."""
        readers = [*delegates, *as_object(document.get("delegations"))]
        if await self._is_own(kind, document):
            # Our exchange keys are on this very document, and go out with it.
            prepared, exchange_keys = await self._own_keys.prepare(dict(document), readers)
            members = kind.always_encrypted
        else:
            prepared, members = dict(document), kind.encrypted
            exchange_keys = await self._own_keys.exchange_keys_for(readers)
        return await self.seal_with_first_key(
            prepared, members, exchange_keys, inside=kind.encrypted_in
        )

    async def share(
        self,
        kind: EntityKind[Any, Any],
        entities: Sequence[ReadableEntity],
        delegates: Sequence[str],
    ) -> list[Shared]:
        """Return entities with entries for delegates; exchange keys are made once for all.

        Raises:
            CryptoError: no key pair of the current data owner is in use.
            ConflictError: its document keeps changing under our hands.
        """
        found = await self.secret_finder.find(entities)
        refused = [await self._refusal(kind, secrets) for secrets in found]
        for secrets, error in zip(found, refused, strict=True):
            if kind.has_parent and error is None and secrets.entity.key is not None:
                await secrets.complete_link(self._crypto)
        lacking = [
            [] if error else [name for name in delegates if secrets.missing(name)]
            for secrets, error in zip(found, refused, strict=True)
        ]
        if lacking and lacking[0] and await self._is_own(kind, entities[0].document):
            # Our exchange keys are on this very document, and go out with it.
            return [await self._share_own(found[0], delegates, lacking[0])]
        wanted = list(dict.fromkeys(name for names in lacking for name in names))
        exchange_keys = await self._own_keys.exchange_keys_to_each(wanted) if wanted else {}
        shared: list[Shared] = []
        turns = Turns()
        for secrets, error in zip(found, refused, strict=True):
            await turns.give()
            shared.append(
                Shared(secrets.entity.document, dict.fromkeys(delegates, error))
                if error
                else await self._with_entries(secrets, delegates, exchange_keys)
            )
        return shared

    async def _share_own(
        self, secrets: EntitySecrets, delegates: Sequence[str], lacking: Sequence[str]
    ) -> Shared:
        """Return our own document with entries for delegates, and with the exchange keys."""
        document = secrets.entity.document
        prepared, exchange_keys = await self._own_keys.prepare_each(dict(document), lacking)
        return await self._with_entries(secrets, delegates, exchange_keys, prepared)

    async def _with_entries(
        self,
        secrets: EntitySecrets,
        delegates: Sequence[str],
        exchange_keys: Mapping[str, bytes | ICureError],
        prepared: Mapping[str, Any] | None = None,
    ) -> Shared:
        access: dict[str, Granted | ICureError] = dict.fromkeys(delegates, "present")
        usable: dict[str, bytes] = {}
        for name in filter(secrets.missing, delegates):
            exchange_key = exchange_keys[name]
            if isinstance(exchange_key, bytes):
                usable[name] = exchange_key
            else:
                access[name] = exchange_key
        document = secrets.entity.document
        if usable:
            own_id = await self._own_keys.own_id()
            changed, given = await self.secret_finder.give(
                secrets if prepared is None else secrets.on(prepared), usable, own_id
            )
            access |= dict.fromkeys(given, "given")
            document = changed if given else document
        return Shared(document, access)

    async def _refusal(
        self, kind: EntityKind[Any, Any], secrets: EntitySecrets
    ) -> CryptoError | None:
        """Return the reason why an entity can't be shared with anybody."""
        entity = secrets.entity
        if entity.key is not None and not secrets.has_key:
            try:
                await self.check_key(entity.document, entity.key)
            except CryptoError as error:
                return error
        if secrets.held and secrets.has_key:
            return None
        name = f"{kind.noun.capitalize()} {printable(entity.document['id'])}"
        return CryptoError(
            f"{name} can't be shared: the current data owner has neither a key of it nor a secret "
            "id that may be passed on. Nothing was sent. Have somebody with access share it with "
            "this user first."
        )

    async def _is_own(self, kind: EntityKind[Any, Any], document: Mapping[str, Any]) -> bool:
        own = await self._own_keys.own()
        return (kind.route, document["id"]) == (own.kind, own.id)
