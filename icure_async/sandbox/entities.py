"""All kinds of entities: revisions, soft deletion, values filled in (§5, §6)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from icure_async.sandbox import chance
from icure_async.sandbox.access import (
    DATA_OWNER_KINDS,
    can_read,
    can_write,
    only_exchange_keys_differ,
    require_own_authorship,
    require_read,
    require_write,
)
from icure_async.sandbox.autofix import fill_in
from icure_async.sandbox.dto import SCHEMAS
from icure_async.sandbox.errors import ApiError, bad_request, conflict, forbidden, not_found
from icure_async.sandbox.secure_delegations import require_same_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from icure_async.sandbox.calls import Call
    from icure_async.sandbox.store import Json, Transaction

__all__ = [
    "batch",
    "check_revision",
    "create",
    "delete",
    "delete_each",
    "existing",
    "first_revision",
    "get",
    "get_many",
    "id_and_rev",
    "keep_attachment",
    "modify",
    "next_revision",
    "put_first",
    "put_next",
    "require_change_of_keys",
    "require_changeable",
    "require_creatable",
    "require_new",
    "save_changed",
    "save_each",
    "save_new",
    "show",
    "undelete_each",
]

_FORBIDDEN_IN_ID = re.compile(r"[/\\?#%\s\x00-\x1f\x7f]")
_RECORDS = frozenset({"patient", "maintenancetask", "helement", "contact", "document"})
_AUTHORED = _RECORDS | {"device"}
_LABELS = {
    "user": "User",
    "patient": "Patient",
    "hcparty": "Healthcare party",
    "device": "Device",
    "helement": "Health element",
    "contact": "Contact",
    "code": "Code",
}


def first_revision() -> str:
    """Return the revision of a new entity."""
    return f"1-{chance.token_hex(16)}"


def next_revision(rev: str) -> str:
    """Return the revision that follows."""
    generation = rev.partition("-")[0]
    return f"{int(generation) + 1 if generation.isdecimal() else 1}-{chance.token_hex(16)}"


def show(kind: str, entity: Json) -> Json:
    """Return an entity as it is answered."""
    return SCHEMAS[kind].show(entity)


def id_and_rev(entity: Json) -> Json:
    """Return the short answer of deletions and batches."""
    return {"id": entity["id"], "rev": entity["rev"]}


def save_new(tx: Transaction, call: Call, kind: str, entity: Json) -> Json:
    """Store an entity that must not exist yet; ``entity`` was read by its schema."""
    require_new(tx, kind, entity)
    fill_in(call, kind, entity)
    return put_first(tx, kind, entity)


def require_new(tx: Transaction, kind: str, entity: Json) -> None:
    """Refuse an entity that exists, or can't be the first revision of a new one."""
    if entity.get("rev") is not None:
        raise bad_request("An entity with a non-null revision is not valid for creation")
    # Ids of codes contain whatever their parts do (§4.2).
    if not entity["id"] or (kind != "code" and _FORBIDDEN_IN_ID.search(entity["id"])):
        raise bad_request("The id must not be empty nor contain blanks or any of / \\ ? # %")
    if tx.id_taken(kind, entity["id"]):
        raise conflict("Document update Conflict")


def put_first(tx: Transaction, kind: str, entity: Json) -> Json:
    """Store the first revision of an entity as it is."""
    entity["rev"] = first_revision()
    tx.put(kind, entity)
    return entity


def check_revision(kind: str, current: Json, entity: Json) -> None:
    """Refuse a change that was not made to the latest revision."""
    if entity["rev"] == current["rev"]:
        return
    if kind in _RECORDS:
        raise conflict(
            f"Rev of current entity is {current['rev']} but rev of updated is {entity['rev']}."
        )
    if kind == "user":
        raise conflict(f"Outdated revision for user {entity['id']}")
    raise conflict("Document update Conflict")


def existing(tx: Transaction, kind: str, entity: Json) -> Json:
    """Return the stored entity that ``entity`` wants to replace."""
    if entity.get("rev") is None:
        raise bad_request("An entity with a null revision is not valid for modification")
    current = tx.get(kind, entity["id"])
    if current is None:
        raise _unknown(kind, entity["id"])
    return current


def _unknown(kind: str, entity_id: str) -> ApiError:
    if kind == "document":
        return not_found("Document not found")
    return not_found(f"{_LABELS.get(kind, 'Entity')} with id {entity_id} not found")


def keep_attachment(kind: str, current: Json, entity: Json) -> None:
    """Let a document keep what the backend knows of its attachment, whatever a client sends."""
    if kind != "document":
        return
    for name in ("attachmentId", "mainAttachmentStoredDataSize", "deletedAttachments"):
        entity.pop(name, None)
        if current.get(name) is not None:
            entity[name] = current[name]
    if current.get("attachmentId") is not None:
        entity["size"] = current.get("size")


def save_changed(tx: Transaction, call: Call, kind: str, entity: Json) -> Json:
    """Store the successor of an entity whose revision was checked."""
    fill_in(call, kind, entity)
    return put_next(tx, kind, entity)


def put_next(tx: Transaction, kind: str, entity: Json) -> Json:
    """Store the next revision of an entity as it is."""
    entity["rev"] = next_revision(entity["rev"])
    tx.put(kind, entity)
    return entity


def create(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    """Create a data entity or a data owner."""
    entity = SCHEMAS[kind].read(body)
    require_creatable(call, kind, entity)
    keep_attachment(kind, {}, entity)
    return show(kind, save_new(tx, call, kind, entity))


def require_creatable(call: Call, kind: str, entity: Json) -> None:
    """Refuse a new entity without its content, or of a caller who may not create it."""
    _check_content(kind, entity, creating=True)
    _require_creation(call, kind)
    if kind in _AUTHORED:
        require_own_authorship(call, {}, entity)


def modify(tx: Transaction, call: Call, kind: str, body: Any) -> Json:
    """Replace a data entity or a data owner."""
    entity = SCHEMAS[kind].read(body)
    current = existing(tx, kind, entity)
    require_changeable(call, kind, current, entity)
    keep_attachment(kind, current, entity)
    return show(kind, save_changed(tx, call, kind, entity))


def require_changeable(call: Call, kind: str, current: Json, entity: Json) -> None:
    """Refuse the successor of an entity without its content, or of another revision or author."""
    _check_content(kind, entity, creating=False)
    require_change_of_keys(call, kind, current, entity)


def require_change_of_keys(call: Call, kind: str, current: Json, entity: Json) -> None:
    """Refuse the successor of an entity of another revision or author, whatever its content."""
    _require_change(call, kind, current, entity)
    check_revision(kind, current, entity)
    if kind in _AUTHORED:
        require_own_authorship(call, current, entity)
    require_same_metadata(current, entity)


def _check_content(kind: str, entity: Json, *, creating: bool) -> None:
    if kind == "patient":
        sufficient = ["firstName", "lastName", "encryptedSelf"]
        if not creating:
            sufficient.append("deletionDate")
        if not any(entity.get(prop) for prop in sufficient):
            raise bad_request("A patient must have a name: first name and last name are required")
    if kind == "hcparty" and not any(
        entity.get(prop) for prop in ("nihii", "ssin", "name", "lastName")
    ):
        raise bad_request("A healthcare party must have a nihii, a ssin, a name or a last name")


def _require_creation(call: Call, kind: str) -> None:
    caller = call.caller
    if caller.is_admin:
        return
    if kind in ("hcparty", "device", "code"):
        if not (call.legacy and caller.is_hcp):
            raise forbidden("You are not allowed to create healthcare parties, devices and codes")
    elif caller.owner_id is None:
        raise forbidden("Only data owners can create data")


def _require_change(call: Call, kind: str, current: Json, entity: Json) -> None:
    if kind in DATA_OWNER_KINDS and only_exchange_keys_differ(
        kind, show(kind, current), show(kind, entity)
    ):
        return
    require_write(call, kind, current)
    parent_changed = current.get("parentId") != entity.get("parentId")
    if kind == "hcparty" and parent_changed and not (call.legacy or call.caller.is_admin):
        raise forbidden("Only administrators change the parent of a healthcare party")


def get(tx: Transaction, call: Call, kind: str, entity_id: str) -> Json:
    """One entity by id, deleted ones included."""
    entity = tx.get(kind, entity_id)
    if entity is None:
        raise _unknown(kind, entity_id)
    require_read(call, kind, entity)
    return show(kind, entity)


def get_many(tx: Transaction, call: Call, kind: str, ids: Iterable[str]) -> list[Json]:
    """Entities in the order of their ids, without those that are unknown or inaccessible."""
    found = (tx.get(kind, entity_id) for entity_id in ids)
    return [show(kind, entity) for entity in found if entity and can_read(call, kind, entity)]


def batch(
    tx: Transaction,
    call: Call,
    kind: str,
    save: Callable[[Transaction, Call, str, Any], Json],
) -> list[Json]:
    """Create or modify many entities; those that can't be saved are left out of the answer."""
    return [id_and_rev(saved) for saved in save_each(tx, call, kind, save)]


def save_each(
    tx: Transaction,
    call: Call,
    kind: str,
    save: Callable[[Transaction, Call, str, Any], Json],
    left_out: frozenset[int] | None = None,
) -> list[Json]:
    """Create or modify many entities, and return those that were saved (§5.4).

    Args:
        tx: the transaction.
        call: its body has the entities.
        kind: their kind.
        save: saves one.
        left_out: refusals that leave one out of the answer, instead of refusing all; by default
            every refusal but that of a malformed body.
    """
    bodies = call.json_list()
    for body in bodies:
        SCHEMAS[kind].read(body)
    saved: list[Json] = []
    for body in bodies:
        try:
            saved.append(save(tx, call, kind, body))
        except ApiError as refusal:
            if left_out is not None and refusal.status not in left_out:
                raise
    return saved


def delete(tx: Transaction, call: Call, kind: str, entity: Json) -> Json:
    """Mark an entity as deleted."""
    entity = {**entity, "deletionDate": call.now_ms, "rev": next_revision(entity["rev"])}
    tx.put(kind, entity)
    return id_and_rev(entity)


def delete_each(tx: Transaction, call: Call, kind: str, ids: Iterable[str]) -> list[Json]:
    """Delete many entities; unknown ones are skipped, inaccessible ones refused."""
    known = [entity for entity in (tx.get(kind, item) for item in ids) if entity]
    for entity in known:
        require_write(call, kind, entity)
    return [delete(tx, call, kind, entity) for entity in known]


def undelete_each(tx: Transaction, call: Call, kind: str, ids: Iterable[str]) -> list[Json]:
    """Take the deletion of entities back; unknown and inaccessible ones are skipped."""
    restored: list[Json] = []
    for entity_id in ids:
        entity = tx.get(kind, entity_id)
        if entity is None or not can_write(call, kind, entity):
            continue
        entity.pop("deletionDate", None)
        entity["rev"] = next_revision(entity["rev"])
        tx.put(kind, entity)
        restored.append(id_and_rev(entity))
    return restored
