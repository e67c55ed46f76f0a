"""Requests to share an entity, and the secure delegations that they make (§14.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from icure_async.sandbox.dto import Schema, sparse
from icure_async.sandbox.errors import ApiError, bad_request
from icure_async.sandbox.secure_delegations import (
    ancestors_of,
    check_members,
    delegation_key,
    names_in,
)
from icure_async.sandbox.shapes import is_object, is_string_list, list_in
from icure_async.sandbox.v2.exchange_data import check_fingerprints
from icure_async.sandbox.v2.exchange_data_maps import key_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from icure_async.sandbox.store import Json

__all__ = ["EntityRequests", "Outcome", "Rights", "applied", "read_requests", "rejection"]

_ROOT: Final = "ROOT"
_READS: Final = ("MAX_READ", "FULL_READ")
_FULL_WRITE: Final = "FULL_WRITE"
_LISTS: Final = ("secretIds", "encryptionKeys", "owningEntityIds")
_SHARE: Final = {
    "explicitDelegator": "string",
    "explicitDelegate": "string",
    "accessControlKeys": "string[]!",
    **dict.fromkeys(_LISTS, "string[] = []"),
    "exchangeDataId": "string",
    "encryptedExchangeDataId": "{string: string} = {}",
    "requestedPermissions": "RequestedPermission = MAX_WRITE",
}
_UPDATE: Final = {
    "metadataAccessControlHash": "string!",
    **dict.fromkeys(_LISTS, "{string: EntryUpdateType} = {}"),
}

Level = Literal["READ", "WRITE"]


@attrs.frozen
class Share:
    """A request for a new delegation.

    Attributes:
        keys: all delegation keys of the access control keys in the request.
        delegation: the new delegation, but for its permissions and its parents.
        permissions: those asked for.
        encrypted_ids: the exchange data map of the delegation.
    """

    keys: frozenset[str]
    delegation: Json = attrs.field(repr=False)
    permissions: str
    encrypted_ids: Json = attrs.field(repr=False)

    @property
    def key(self) -> str:
        """The delegation key of the new delegation."""
        return min(self.keys)


@attrs.frozen
class Update:
    """A request to change the lists of a delegation; the changes say CREATE or DELETE."""

    key: str
    changes: dict[str, dict[str, str]] = attrs.field(repr=False)


@attrs.frozen
class EntityRequests:
    """All requests for one entity."""

    shares: dict[str, Share]
    updates: dict[str, Update]
    parents: frozenset[str]

    @property
    def ids(self) -> list[str]:
        """Ids of all requests."""
        return [*self.shares, *self.updates]


@attrs.frozen
class Rights:
    """The rights of the caller to an entity.

    Attributes:
        names: whose delegations the caller may use; None for all of them.
        may_ask_root: whether it may ask for a delegation without parents.
    """

    names: frozenset[str] | None
    may_ask_root: bool

    def may_use(self, key: str, delegation: Json) -> bool:
        """Return whether the caller may give on what a delegation gave."""
        return self.names is None or not self.names.isdisjoint(names_in(key, delegation))


@attrs.define
class Outcome:
    """The delegations of an entity after its requests, and what became of each request."""

    delegations: dict[str, Json] = attrs.field(repr=False)
    maps: dict[str, Json] = attrs.field(factory=dict[str, "Json"], repr=False)
    accepted: list[str] = attrs.field(factory=list[str])
    rejected: dict[str, Json] = attrs.field(factory=dict[str, "Json"])


def rejection(code: int, reason: str, *, should_retry: bool = False) -> Json:
    """Return the answer to a request that was rejected."""
    retry = {"shouldRetry": True} if should_retry else {}
    return {"code": code, **retry, "reason": reason}


# Reading.


def read_requests(body: Json) -> dict[str, EntityRequests]:
    """Return the requests in a body, by the id of the entity.

    Raises:
        ApiError: 400 if it is malformed, or has a property that nobody knows; 500 if several
            requests for an entity ask for a root delegation.
    """
    by_id = _members(body, "requestsByEntityId", "requestsByEntityId").get("requestsByEntityId")
    if not is_object(by_id):
        raise bad_request("requestsByEntityId must be an object")
    return {entity_id: _read_entity(asked, entity_id) for entity_id, asked in by_id.items()}


def _members(value: Any, path: str, *known: str) -> Json:
    if not is_object(value):
        raise bad_request(f"{path} must be an object")
    if unknown := value.keys() - set(known):
        raise bad_request(f"{path} has no property {min(unknown)}")
    return value


def _read_entity(asked: Any, entity_id: str) -> EntityRequests:
    members = _members(asked, entity_id, "requests", "potentialParentDelegations")
    requests, parents = members.get("requests"), list_in(members, "potentialParentDelegations")
    if not is_object(requests) or not is_string_list(parents):
        raise bad_request(f"{entity_id}: requests or potentialParentDelegations is malformed")
    shares: dict[str, Share] = {}
    updates: dict[str, Update] = {}
    for request_id, request in requests.items():
        path = f"{entity_id}.{request_id}"
        given = sparse(_members(request, path, "share", "update"))
        if given.keys() == {"share"}:
            shares[request_id] = _read_share(given["share"], path)
        elif given.keys() == {"update"}:
            updates[request_id] = _read_update(given["update"], path)
        else:
            raise bad_request(f"{path} must be a share or an update")
    if sum(share.permissions == _ROOT for share in shares.values()) > 1:
        raise ApiError(500, f"{entity_id}: only one request may ask for {_ROOT}")
    return EntityRequests(shares, updates, frozenset(parents))


def _read_share(body: Any, path: str) -> Share:
    read = Schema("share", _SHARE).read(_members(body, path, *_SHARE), path)
    keys = frozenset(delegation_key(key_bytes(key)) for key in read["accessControlKeys"])
    if not keys:
        raise bad_request(f"{path}: accessControlKeys must not be empty")
    delegator, delegate = read.get("explicitDelegator"), read.get("explicitDelegate")
    encrypted_ids = read["encryptedExchangeDataId"]
    check_fingerprints(encrypted_ids, "encryptedExchangeDataId")
    check_members(delegator, delegate, read.get("exchangeDataId"), path)
    if bool(encrypted_ids) != (bool(delegator) != bool(delegate)):
        raise bad_request(f"{path}: encryptedExchangeDataId is for one explicit member of two")
    delegation = {
        "delegator": delegator,
        "delegate": delegate,
        **{name: list(dict.fromkeys(read[name])) for name in _LISTS},
        "exchangeDataId": read.get("exchangeDataId"),
    }
    return Share(keys, sparse(delegation), read["requestedPermissions"], encrypted_ids)


def _read_update(body: Any, path: str) -> Update:
    read = Schema("update", _UPDATE).read(_members(body, path, *_UPDATE), path)
    return Update(read["metadataAccessControlHash"], {name: read[name] for name in _LISTS})


# Applying.


def applied(delegations: Mapping[str, Json], asked: EntityRequests, rights: Rights) -> Outcome:
    """Return what becomes of requests for an entity with these delegations."""
    outcome = Outcome(dict(delegations))
    parents = {
        key for key in asked.parents & delegations.keys() if rights.may_use(key, delegations[key])
    }
    most: Level = "READ"
    if any(delegations[key].get("permissions") == "WRITE" for key in parents):
        most = "WRITE"
    # A root comes first: it is a parent of the others.
    for request_id, share in sorted(
        asked.shares.items(), key=lambda one: one[1].permissions != _ROOT
    ):
        is_root = share.permissions == _ROOT
        refusal = _refusal(outcome, share, parents, most, rights)
        if refusal is not None:
            outcome.rejected[request_id] = refusal
            continue
        _add(outcome, share, set[str]() if is_root else parents, most)
        outcome.accepted.append(request_id)
        if is_root:
            parents.add(share.key)
            most = "WRITE"
    for request_id, update in asked.updates.items():
        _update(outcome, request_id, update, rights)
    return outcome


def _refusal(
    outcome: Outcome, share: Share, parents: set[str], most: Level, rights: Rights
) -> Json | None:
    if not share.keys.isdisjoint(outcome.delegations):
        return rejection(400, "The entity has a delegation of these access control keys already")
    if share.permissions == _ROOT:
        if rights.may_ask_root:
            return None
        return rejection(403, "Only a legacy delegate, or the patient himself, may ask for ROOT")
    if not parents:
        return rejection(400, "None of the potential parents is a delegation that you may use")
    if share.permissions == _FULL_WRITE and most != "WRITE" and rights.names is not None:
        return rejection(403, "You can't give the right to write, which you do not have")
    return None


def _add(outcome: Outcome, share: Share, parents: set[str], most: Level) -> None:
    # Those nearest to the root: of a parent and its descendants, the parent.
    nearest = [
        key for key in sorted(parents) if parents.isdisjoint(ancestors_of(outcome.delegations, key))
    ]
    permissions: Level = "READ" if share.permissions in _READS else "WRITE"
    if share.permissions == "MAX_WRITE":
        permissions = most
    outcome.delegations[share.key] = sparse(
        {**share.delegation, "parentDelegations": nearest, "permissions": permissions}
    )
    if share.encrypted_ids:
        outcome.maps[share.key] = share.encrypted_ids


def _update(outcome: Outcome, request_id: str, update: Update, rights: Rights) -> None:
    delegation = outcome.delegations.get(update.key)
    if delegation is None:
        outcome.rejected[request_id] = rejection(404, "The entity has no such delegation")
    elif not rights.may_use(update.key, delegation):
        outcome.rejected[request_id] = rejection(403, "This delegation is not yours to change")
    elif not all(_fits(list_in(delegation, name), update.changes[name]) for name in _LISTS):
        outcome.rejected[request_id] = rejection(
            400, "An entry to create is there already, or one to delete is not"
        )
    else:
        changed = {
            name: _changed(list_in(delegation, name), update.changes[name]) for name in _LISTS
        }
        outcome.delegations[update.key] = sparse({**delegation, **changed})
        outcome.accepted.append(request_id)


def _fits(entries: list[str], changes: Mapping[str, str]) -> bool:
    return all((kind == "DELETE") == (entry in entries) for entry, kind in changes.items())


def _changed(entries: list[str], changes: Mapping[str, str]) -> list[str]:
    created = [entry for entry, kind in changes.items() if kind == "CREATE"]
    return [*(entry for entry in entries if changes.get(entry) != "DELETE"), *created]
