"""The requests that share entities in today's flavour.

Source: docs/spec/today.md §5, §8 and §11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from icure_async.crypto.threads import Turns
from icure_async.entities.delegations import has_legacy_metadata
from icure_async.entities.secure_delegations import (
    contents_of,
    delegations_naming,
    has_secure_delegations,
    sealed_contents,
    secure_delegations_of,
)
from icure_async.entities.secure_keys import SecureKeys
from icure_async.entities.shared_secrets import SharedSecrets, difference_of, is_empty
from icure_async.errors import CryptoError, ICureError, NotFoundError
from icure_async.foreign_text import printable
from icure_async.rest.shared_metadata import MetadataRequests

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from icure_async.crypto.protocol import Crypto
    from icure_async.entities.exchange_data import UsableExchangeData
    from icure_async.entities.kinds import EntityKind
    from icure_async.entities.metadata import Granted, ReadableEntity
    from icure_async.entities.secrets import SecretFinder
    from icure_async.entities.secure_delegations import Parties
    from icure_async.entities.secure_keys import OpenDelegation
    from icure_async.keys.exchange_data import ExchangeDataDirectory
    from icure_async.keys.exchange_data_maps import ExchangeDataMaps
    from icure_async.keys.own_document import OwnDocument

__all__ = ["SharePlan", "SharePlanner", "ShareRequest"]


@attrs.frozen(eq=False, repr=False)
class _Recipient:
    """A data owner to share with.

    Attributes:
        data: the exchange data from us to it.
        key: the delegation key.
        access_key: proves access to entities of the kind.
        named: the members of delegations that name data owners.
        map_entry: the id of the exchange data for a map, encrypted, where one of both is named. The
            backend writes the map with the share.
    """

    data: UsableExchangeData
    key: str
    access_key: bytes
    named: Parties
    map_entry: Mapping[str, str]


@attrs.frozen(eq=False, repr=False)
class ShareRequest:
    """A request about one entity.

    Attributes:
        body: a ``share`` or an ``update`` as JSON.
        key: the delegation key.
        asked: the members that the delegation must have afterwards.
        delegate_id: whom it is for.
    """

    body: Mapping[str, Any]
    key: str
    asked: Mapping[str, Any]
    delegate_id: str


@attrs.define(eq=False, repr=False)
class SharePlan:
    """The requests about one entity, and the access of delegates once they are carried out.

    Attributes:
        secrets: of the entity.
        access: delegate id → its access, or the reason why it gets none.
        requests: by their ids.
        parents: delegation keys from which new delegations may follow.
    """

    secrets: SharedSecrets
    access: dict[str, Granted | ICureError] = attrs.field(factory=dict[str, "Granted | ICureError"])
    requests: dict[str, ShareRequest] = attrs.field(factory=dict[str, ShareRequest])
    parents: list[str] = attrs.field(factory=list[str])

    @property
    def document(self) -> Mapping[str, Any]:
        """The entity as it was before."""
        return self.secrets.entity.document

    @property
    def entity_id(self) -> str:
        """The id of the entity."""
        return str(self.document["id"])

    def add(self, request: ShareRequest) -> None:
        """Add a request under the next number."""
        self.requests[str(len(self.requests))] = request

    def to_send(self) -> MetadataRequests:
        """Return the requests as they go out."""
        bodies = {name: request.body for name, request in self.requests.items()}
        return MetadataRequests(bodies, self.parents)


class SharePlanner:
    """Finds what delegates lack, and the requests that give it to them.

    Args:
        crypto: encrypts.
        directory: finds exchange data, and makes it.
        maps: of those who can't be named.
        own: the current data owner.
        legacy: finds secrets in delegations of 2023.
    """

    def __init__(
        self,
        crypto: Crypto,
        directory: ExchangeDataDirectory,
        maps: ExchangeDataMaps,
        own: OwnDocument,
        legacy: SecretFinder,
    ) -> None:
        self._crypto = crypto
        self._directory = directory
        self._maps = maps
        self._own = own
        self._legacy = legacy
        self._keys = SecureKeys(crypto, directory)

    async def plans(
        self,
        kind: EntityKind[Any, Any],
        entities: Sequence[ReadableEntity],
        delegates: Sequence[str],
    ) -> list[SharePlan]:
        """Return the requests for each entity; exchange data is looked up once for all.

        Raises:
            CryptoError: no key pair of the current data owner is in use.
        """
        plans = [SharePlan(secrets) for secrets in await self.secrets_of(entities, delegates)]
        lacking = [_lacking(kind, plan, delegates) for plan in plans]
        wanted = dict.fromkeys(name for names in lacking for name in names)
        if not wanted:
            return plans
        names = await self._directory.own_names()
        for plan in plans:
            plan.parents = self._parents(plan.document, names)
        root = await self._own.own_id()
        if any(lacks and not plan.parents for plan, lacks in zip(plans, lacking, strict=True)):
            wanted = {root: None, **wanted}
        recipients = await self._recipients(kind, list(wanted))
        turns = Turns()
        for plan, lacks in zip(plans, lacking, strict=True):
            await turns.give()
            if lacks and not plan.parents:
                await self._add_with_root(plan, lacks, recipients, root)
            else:
                await self._add_requests(plan, lacks, recipients)
        return plans

    async def secrets_of(
        self, entities: Sequence[ReadableEntity], delegates: Sequence[str]
    ) -> list[SharedSecrets]:
        """Return the secrets of entities that may be passed on, and those that delegates have."""
        found = [SharedSecrets(entity) for entity in entities]
        documents = [entity.document for entity in entities]
        await self._note_all(found, await self._keys.known(documents))
        lacking = [
            secrets
            for secrets in found
            if not secrets.can_be_shared and has_secure_delegations(secrets.entity.document)
        ]
        if lacking:
            documents = [secrets.entity.document for secrets in lacking]
            await self._note_all(lacking, await self._keys.all(documents))
        of_2023 = [secrets for secrets in found if has_legacy_metadata(secrets.entity.document)]
        if of_2023:
            legacy = await self._legacy.find([secrets.entity for secrets in of_2023])
            for secrets, one in zip(of_2023, legacy, strict=True):
                secrets.note_legacy(one, delegates)
        return found

    async def _note_all(
        self, found: Sequence[SharedSecrets], delegations: Sequence[Sequence[OpenDelegation]]
    ) -> None:
        turns = Turns()
        for secrets, of_entity in zip(found, delegations, strict=True):
            await turns.give()
            for delegation in of_entity:
                contents = await delegation.contents(self._crypto)
                if not is_empty(contents):
                    may_be_given = await self._directory.may_write_with(delegation.data)
                    secrets.note_secure(
                        contents, delegation.data.members, may_be_given=may_be_given
                    )

    def _parents(self, document: Mapping[str, Any], names: Collection[str]) -> list[str]:
        """Return the delegations that new ones may follow from: those from us, and to us."""
        delegations = secure_delegations_of(document)
        ours = set(self._directory.known(delegations))
        for name in names:
            ours.update(delegations_naming(document, name))
        return [key for key in delegations if key in ours]

    async def _recipients(
        self, kind: EntityKind[Any, Any], delegates: Sequence[str]
    ) -> dict[str, _Recipient | ICureError]:
        found: dict[str, _Recipient | ICureError] = {}
        for name, data in (await self._directory.to_write_with(delegates)).items():
            try:
                found[name] = (
                    data if isinstance(data, ICureError) else await self._recipient(kind, data)
                )
            except (CryptoError, NotFoundError) as error:
                found[name] = error
        return found

    async def _recipient(self, kind: EntityKind[Any, Any], data: UsableExchangeData) -> _Recipient:
        key = data.secrets.delegation_key(kind.secure_type)
        access_key = data.secrets.access_control_key(kind.secure_type)
        entry = await self._maps.entry(data)
        return _Recipient(data, key, access_key, await self._maps.parties(data), entry)

    async def _add_with_root(
        self,
        plan: SharePlan,
        lacking: Sequence[str],
        recipients: Mapping[str, _Recipient | ICureError],
        root: str,
    ) -> None:
        """Add requests, after one for ourselves: we have no delegation to share from (§11)."""
        own = recipients[root]
        if isinstance(own, ICureError):
            plan.access.update(dict.fromkeys(lacking, own))
            return
        await self._add_share(plan, own, "ROOT", root)
        others = [name for name in lacking if name != root]
        await self._add_requests(plan, others, recipients)
        if root in lacking:
            plan.access[root] = "given"
        elif len(plan.requests) == 1:
            # Nobody is left to share with.
            plan.requests.clear()

    async def _add_requests(
        self,
        plan: SharePlan,
        lacking: Sequence[str],
        recipients: Mapping[str, _Recipient | ICureError],
    ) -> None:
        """Add the requests for those who lack something."""
        delegations = secure_delegations_of(plan.document)
        for name in lacking:
            recipient = recipients[name]
            if isinstance(recipient, ICureError):
                plan.access[name] = recipient
            elif recipient.key not in delegations:
                plan.access[name] = "given"
                await self._add_share(plan, recipient, "MAX_WRITE", name)
            else:
                await self._add_update(plan, recipient, name, delegations[recipient.key])

    async def _add_share(
        self, plan: SharePlan, recipient: _Recipient, permissions: str, delegate_id: str
    ) -> None:
        named = recipient.named
        secrets = await sealed_contents(
            self._crypto, recipient.data.secrets.exchange_key, plan.secrets.held
        )
        members: dict[str, Any] = {
            "explicitDelegator": named.delegator,
            "explicitDelegate": named.delegate,
            "accessControlKeys": [recipient.access_key.hex()],
            **secrets,
            "exchangeDataId": named.exchange_data_id,
            "encryptedExchangeDataId": recipient.map_entry or None,
            "requestedPermissions": permissions,
        }
        share = {name: value for name, value in members.items() if value is not None}
        asked = {**named.members(), **secrets}
        if permissions == "ROOT":
            asked["permissions"] = "WRITE"
        plan.add(ShareRequest({"share": share}, recipient.key, asked, delegate_id))

    async def _add_update(
        self,
        plan: SharePlan,
        recipient: _Recipient,
        delegate_id: str,
        present: Mapping[str, Any],
    ) -> None:
        """Add a request for what a delegation lacks that is there; none where it lacks nothing.

        No recording shows such a request (docs/spec/not-verified.md).
        """
        exchange_key = recipient.data.secrets.exchange_key
        had = await contents_of(self._crypto, exchange_key, present)
        missing = difference_of(plan.secrets.missing(delegate_id), had)
        if is_empty(missing):
            return
        plan.access[delegate_id] = "given"
        entries = await sealed_contents(self._crypto, exchange_key, missing)
        update: dict[str, Any] = {"metadataAccessControlHash": recipient.key}
        update |= {name: dict.fromkeys(values, "CREATE") for name, values in entries.items()}
        asked = {
            name: present[name]
            for name in ("delegator", "delegate", "exchangeDataId")
            if present.get(name)
        }
        plan.add(ShareRequest({"update": update}, recipient.key, {**asked, **entries}, delegate_id))


def _lacking(kind: EntityKind[Any, Any], plan: SharePlan, delegates: Sequence[str]) -> list[str]:
    """Return the delegates who lack something that we may pass on."""
    if not plan.secrets.can_be_shared:
        plan.access = dict.fromkeys(delegates, _refusal(kind, plan.document))
        return []
    plan.access = dict.fromkeys(delegates, "present")
    return [name for name in delegates if not is_empty(plan.secrets.missing(name))]


def _refusal(kind: EntityKind[Any, Any], document: Mapping[str, Any]) -> CryptoError:
    name = f"{kind.noun.capitalize()} {printable(document['id'])}"
    return CryptoError(
        f"{name} can't be shared: the current data owner has no key of it that may be passed on, "
        "or nothing in it is encrypted that would prove the key. Nothing was sent. Have somebody "
        "with access share it with this user first; save it again where it has no content."
    )
