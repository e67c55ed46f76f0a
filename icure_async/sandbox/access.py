"""Permissions (§7), in the legacy and in the strict profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from icure_async.sandbox.calls import Call, Caller, OwnerType
from icure_async.sandbox.errors import forbidden
from icure_async.sandbox.secure_delegations import name_of_key, names_in, secure_delegations
from icure_async.sandbox.shapes import is_object, list_in, object_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from icure_async.sandbox.store import Json, Transaction

__all__ = [
    "DATA_OWNER_KINDS",
    "OWNER_LINKS",
    "caller_of",
    "can_manage_user",
    "can_read",
    "can_write",
    "delegates_of",
    "links_of",
    "may_ask_root",
    "names_for_sharing",
    "names_of",
    "only_exchange_keys_differ",
    "owner_of",
    "readers_of",
    "reads_as",
    "require_own_authorship",
    "require_read",
    "require_write",
    "user_is_active",
    "user_is_admin",
]

Level = Literal["READ", "WRITE"]

OWNER_LINKS: tuple[tuple[str, OwnerType, str], ...] = (
    ("healthcarePartyId", "hcp", "hcparty"),
    ("patientId", "patient", "patient"),
    ("deviceId", "device", "device"),
)
"""Property of a user, type of data owner, kind of entity it names."""

DATA_OWNER_KINDS: dict[str, OwnerType] = {kind: owner for _, owner, kind in OWNER_LINKS}
"""Kind of entity → type of data owner."""

_EXCHANGE_KEYS = frozenset({"aesExchangeKeys", "hcPartyKeys", "transferKeys"})
_MEMBERS_ONLY: dict[str, tuple[str, ...]] = {
    "exchangedata": ("delegator", "delegate"),
    "recoverydata": ("recipient",),
}
"""Kinds that nobody has access to but their members, who are named in these properties."""

_MAP = "exchangedatamap"
_LONGEST_HIERARCHY = 32
_LEGACY_HCP = "legacy professionals"
_STRICT_HCP = "strict professionals"
# A document of 2023 belongs to nobody: it has neither delegations nor keys.
_OF_NOBODY = "legacy users"


def user_is_active(user: Json) -> bool:
    """Return whether this user may log in."""
    return not user.get("deletionDate") and user.get("status") in (None, "ACTIVE")


def user_is_admin(user: Json) -> bool:
    """Return whether this user was granted the administration of the group."""
    return any(
        is_object(grant) and grant.get("type") == "ADMIN"
        for permission in list_in(user, "permissions")
        for grant in list_in(permission, "grants")
    )


def owner_of(user: Json) -> tuple[str, OwnerType] | None:
    """Id and type of the data owner a user acts as."""
    for prop, owner_type, _kind in OWNER_LINKS:
        if user.get(prop):
            return user[prop], owner_type
    return None


def caller_of(
    tx: Transaction, user: Json, level: int = 0, matches: Iterable[tuple[str, str]] = ()
) -> Caller:
    """Return the caller that this user is, after it proved so by a secret of this level."""
    owner = owner_of(user)
    owner_id, owner_type = owner or (None, None)
    ancestors: list[str] = []
    if owner_type == "hcp" and owner_id is not None:
        current = tx.get("hcparty", owner_id)
        while (
            current and (parent := current.get("parentId")) and len(ancestors) < _LONGEST_HIERARCHY
        ):
            if parent in ancestors or parent == owner_id:
                break
            ancestors.append(parent)
            current = tx.get("hcparty", parent)
    return Caller(
        user=user,
        owner_id=owner_id,
        owner_type=owner_type,
        ancestors=tuple(ancestors),
        is_admin=user_is_admin(user),
        group_id=tx.group_id,
        level=level,
        matches=tuple(matches),
    )


def delegates_of(entity: Json) -> frozenset[str]:
    """Return data owners an entity belongs to: filters find it for them."""
    secure = secure_delegations(entity).items()
    return frozenset(
        [*object_in(entity, "delegations"), *(name for one in secure for name in names_in(*one))]
    )


def _accessors(kind: str, entity: Json) -> dict[str, Level]:
    levels: dict[str, Level] = {
        entity[member]: "WRITE" for member in _MEMBERS_ONLY.get(kind, ()) if entity.get(member)
    }
    for key, delegation in secure_delegations(entity).items():
        level: Level = "WRITE" if delegation.get("permissions") == "WRITE" else "READ"
        for name in names_in(key, delegation):
            if levels.get(name) != "WRITE":
                levels[name] = level
    for delegate, entries in object_in(entity, "delegations").items():
        levels[delegate] = "WRITE"
        levels.update({entry["owner"]: "WRITE" for entry in entries if entry.get("owner")})
    if kind == "patient":
        levels[entity["id"]] = "WRITE"
    return levels


def readers_of(kind: str, entity: Json) -> frozenset[str]:
    """Return the names under which an entity may be read; `reads_as` says who has which."""
    if kind == "user":
        return frozenset(_readers_of_user(entity))
    author = [_as_user(entity["author"])] if entity.get("author") else []
    named = frozenset([*_accessors(kind, entity), *(author if kind == "maintenancetask" else ())])
    return named or frozenset([_OF_NOBODY] if kind == "document" else [])


def reads_as(call: Call, kind: str) -> frozenset[str] | None:
    """Return the names under which a caller reads entities of a kind; None if it reads all."""
    caller = call.caller
    if caller.is_admin:
        return None
    user = _as_user(caller.user_id)
    if kind == "user":
        profile = _LEGACY_HCP if call.legacy else _STRICT_HCP
        return frozenset({user, profile} if caller.is_hcp else {user})
    if kind in ("hcparty", "device", "code") or _has_all(call, kind):
        return None
    return names_of(call) | {user} | (frozenset({_OF_NOBODY}) if call.legacy else frozenset[str]())


def names_of(call: Call) -> frozenset[str]:
    """Return the names under which a caller is given access: its identities and keys (§14.7)."""
    return call.caller.identities | {name_of_key(key) for key in call.delegation_keys}


def _has_all(call: Call, kind: str) -> bool:
    """Return whether the caller may read and change all entities of a kind."""
    caller = call.caller
    if caller.is_admin or kind == _MAP:
        return True
    return call.legacy and caller.is_hcp and kind not in _MEMBERS_ONLY


def _as_user(user_id: str) -> str:
    # No id of a data owner has a blank.
    return f"user {user_id}"


def _readers_of_user(user: Json) -> Iterator[str]:
    yield _as_user(user["id"])
    if not user_is_admin(user):
        yield _LEGACY_HCP
        if user.get("patientId") and not user.get("healthcarePartyId"):
            yield _STRICT_HCP


def can_read(call: Call, kind: str, entity: Json) -> bool:
    """Return whether the caller may see this entity."""
    names = reads_as(call, kind)
    return names is None or not names.isdisjoint(readers_of(kind, entity))


def can_write(call: Call, kind: str, entity: Json) -> bool:
    """Return whether the caller may change or delete this entity."""
    caller = call.caller
    if kind == "user":
        return can_manage_user(call, entity)
    if _has_all(call, kind):
        return True
    if kind in ("hcparty", "device"):
        return bool(entity["id"] == caller.owner_id)
    if kind == "code":
        return False
    if kind == "maintenancetask" and entity.get("author") == caller.user_id:
        return True
    levels = _accessors(kind, entity)
    if not levels and kind == "document" and call.legacy:
        return True
    return any(levels.get(name) == "WRITE" for name in names_of(call))


def names_for_sharing(call: Call, kind: str) -> frozenset[str] | None:
    """Return the names under which a caller has delegations to give on; None if it gives on all."""
    return None if _has_all(call, kind) else names_of(call)


def may_ask_root(call: Call, kind: str, entity: Json) -> bool:
    """Return whether the caller may ask for a secure delegation without parents (§14.6)."""
    if _has_all(call, kind):
        return True
    owners = {entity["id"]} if kind == "patient" else set[str]()
    for delegate, entries in object_in(entity, "delegations").items():
        owners |= {delegate, *(entry["owner"] for entry in entries if entry.get("owner"))}
    return not owners.isdisjoint(call.caller.identities)


def require_read(call: Call, kind: str, entity: Json) -> None:
    """Refuse with 403 what the caller may not see."""
    if not can_read(call, kind, entity):
        raise forbidden("You are not allowed to read this entity")


def require_write(call: Call, kind: str, entity: Json) -> None:
    """Refuse with 403 what the caller may not change."""
    if not can_write(call, kind, entity):
        raise forbidden("You are not allowed to change this entity")


def require_own_authorship(call: Call, current: Json, entity: Json) -> None:
    """Refuse with 403 to name somebody else as the author, or as responsible.

    In the legacy profile healthcare parties may; nobody has to own up to what was there before.
    """
    caller = call.caller
    if caller.is_admin or (call.legacy and caller.is_hcp):
        return
    own = {"author": {caller.user_id}, "responsible": caller.identities}
    for prop, allowed in own.items():
        if entity.get(prop) not in (None, current.get(prop), *allowed):
            raise forbidden(f"You are not allowed to name somebody else as {prop}")


def only_exchange_keys_differ(kind: str, current: Json, changed: Json) -> bool:
    """Return whether a change of a data owner does nothing but give exchange keys.

    Everybody may do that: it is how access is given back after a key was lost (§7.2). Official
    clients complete the name of a healthcare party on the way, which does not count.
    """
    differing = {
        prop
        for prop in (current.keys() | changed.keys()) - _EXCHANGE_KEYS - {"rev", "modified"}
        if current.get(prop) != changed.get(prop)
    }
    if kind == "hcparty":
        before, after = list_in(current, "names"), list_in(changed, "names")
        has_official = any(name.get("use") == "official" for name in before)
        if not has_official and after[: len(before)] == before:
            differing.discard("names")
        if not current.get("name"):
            differing.discard("name")
    return not differing


def can_manage_user(call: Call, user: Json) -> bool:
    """Return whether the caller may read, change and delete this user and create tokens for it."""
    caller = call.caller
    if caller.is_admin or user.get("id") == caller.user_id:
        return True
    if not caller.is_hcp or user_is_admin(user):
        return False
    if call.legacy:
        return True
    return bool(user.get("patientId")) and not user.get("healthcarePartyId")


def links_of(user: Json) -> dict[str, Any]:
    """Return the data owner links of a user, which decide what it may see."""
    return {prop: user.get(prop) for prop, _type, _kind in OWNER_LINKS}
