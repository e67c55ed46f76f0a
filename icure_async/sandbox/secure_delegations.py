"""Secure delegations in the security metadata of an entity: their form and their rules (§14.6)."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from icure_async.sandbox.dto import Schema
from icure_async.sandbox.errors import bad_request
from icure_async.sandbox.shapes import is_list, is_object, list_in
from icure_async.sandbox.tables import EMBEDDED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from icure_async.sandbox.store import Json

__all__ = [
    "SECURITY_METADATA",
    "ancestors_of",
    "check_members",
    "delegation_key",
    "name_of_key",
    "names_in",
    "read_metadata",
    "require_same_metadata",
    "secure_delegations",
]

SECURITY_METADATA: Final = "securityMetadata"
_DELEGATIONS: Final = "secureDelegations"
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_SCHEMA: Final = Schema("SecureDelegation", EMBEDDED["SecureDelegation"])


def delegation_key(access_control_key: bytes) -> str:
    """Return the delegation key that belongs to an access control key."""
    return hashlib.sha256(access_control_key).hexdigest()


def name_of_key(key: str) -> str:
    """Return the name of those who know the access control key of a delegation key."""
    # No id of a data owner has a blank.
    return f"key {key}"


def names_in(key: str, delegation: Json) -> Iterator[str]:
    """Yield the names of those whom a delegation gives access.

    Where one of its members is hidden, its key stands for him.
    """
    members = [delegation.get("delegator"), delegation.get("delegate")]
    for member in members:
        if member:
            yield member
    if not all(members):
        yield name_of_key(key)


def secure_delegations(entity: Json) -> dict[str, Json]:
    """Return the secure delegations of a stored entity, by delegation key."""
    metadata = entity.get(SECURITY_METADATA)
    delegations = metadata.get(_DELEGATIONS) if is_object(metadata) else None
    if not is_object(delegations):
        return {}
    return {key: delegation for key, delegation in delegations.items() if is_object(delegation)}


def read_metadata(metadata: Any) -> Json:
    """Check the security metadata that a client gives an entity, and leave out what is empty.

    Raises:
        ApiError: 400 that says which rule it breaks.
    """
    if not is_object(metadata) or not is_object(metadata.get(_DELEGATIONS)):
        raise bad_request(f"{SECURITY_METADATA} must be an object with {_DELEGATIONS}")
    if not metadata[_DELEGATIONS]:
        raise bad_request(f"{SECURITY_METADATA} must not be empty")
    delegations = {
        key: _read(key, delegation) for key, delegation in metadata[_DELEGATIONS].items()
    }
    _check_parents(delegations)
    return {_DELEGATIONS: delegations}


def _read(key: str, delegation: Any) -> Json:
    path = f"{SECURITY_METADATA}.{_DELEGATIONS}[{key}]"
    if not _KEY.fullmatch(key):
        raise bad_request(f"{path}: a delegation key is a SHA-256 hash in small hex digits")
    read = _SCHEMA.read(delegation, path)
    read = {name: value for name, value in read.items() if value not in ("", [])}
    check_members(read.get("delegator"), read.get("delegate"), read.get("exchangeDataId"), path)
    if not read.get("parentDelegations") and read["permissions"] != "WRITE":
        raise bad_request(f"{path}: a root delegation, without parents, must give WRITE")
    return read


def check_members(
    delegator: str | None, delegate: str | None, exchange_data_id: str | None, path: str
) -> None:
    """Refuse a delegation that shows its exchange data and hides a member, or the reverse."""
    both_explicit = bool(delegator and delegate)
    if both_explicit and not exchange_data_id:
        raise bad_request(f"{path}: exchangeDataId is missing, and both members are explicit")
    if exchange_data_id and not both_explicit:
        raise bad_request(f"{path}: exchangeDataId must be hidden where a member is")


def _check_parents(delegations: Mapping[str, Json]) -> None:
    parents = {key: set(list_in(one, "parentDelegations")) for key, one in delegations.items()}
    if unknown := set[str]().union(*parents.values()) - parents.keys():
        raise bad_request(f"There is no delegation {min(unknown)}, which is named as a parent")
    open_keys = set(parents)
    while settled := {key for key in open_keys if open_keys.isdisjoint(parents[key])}:
        open_keys -= settled
    if open_keys:
        raise bad_request("The parents of secure delegations must not go in a circle")


def ancestors_of(delegations: Mapping[str, Json], key: str) -> set[str]:
    """Return the keys of a delegation's parents, and of theirs, and so on."""
    found = set[str]()
    waiting = [key]
    while waiting:
        parents = set(list_in(delegations.get(waiting.pop(), {}), "parentDelegations")) - found
        found |= parents
        waiting.extend(parents)
    return found


def require_same_metadata(current: Json, entity: Json) -> None:
    """Refuse a change of the security metadata that an entity has already.

    Lists are compared as sets: clients send them back in another order.

    Raises:
        ApiError: 400 where they differ.
    """
    if current.get(SECURITY_METADATA) is None:
        return
    if _comparable(entity) != _comparable(current):
        raise bad_request("securityMetadata can only be changed by sharing the entity")


def _comparable(entity: Json) -> object:
    return {
        key: {
            name: frozenset(map(orjson.dumps, value)) if is_list(value) else value
            for name, value in delegation.items()
            if value not in (None, "", [])
        }
        for key, delegation in secure_delegations(entity).items()
    }
