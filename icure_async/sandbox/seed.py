"""A whole sandbox as JSON, to start from and to export."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import orjson

from icure_async.sandbox.dto import SCHEMAS
from icure_async.sandbox.entities import first_revision
from icure_async.sandbox.errors import ApiError
from icure_async.sandbox.gateway import PROCESSES
from icure_async.sandbox.master import MASTER_PROPERTIES, adopt_master, master_record
from icure_async.sandbox.shapes import is_integer, is_object, is_string_list, object_in
from icure_async.sandbox.store import KINDS, Json, Transaction
from icure_async.sandbox.stored_bytes import decoded, exported_bytes, plant_bytes
from icure_async.sandbox.v2.forms import FORMS, NEW_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Seed", "export", "is_group_id", "plant", "read_seed"]

_MEMBERS = frozenset({"entities", "tokens", "name", "attachments"})
_OWN_KIND = "sandbox"
_MASTER = "master"
_TEXTS_OF_PROCESS = ("code", "email", "mobilePhone", "firstName", "lastName", "hcpId", "deployment")
_GROUP_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@attrs.frozen
class Seed:
    """A checked seed.

    Attributes:
        entities: kind → id → JSON.
        tokens: user id → secrets that log the user in for ever.
        master: the master of the sandbox this was exported from, if it was.
        processes: request id → authentication process of the message gateway.
        name: the name of the group.
        groups: group id → what a further group has.
        attachments: document id → attachment id → bytes.
    """

    entities: dict[str, dict[str, Json]] = attrs.field(repr=False)
    tokens: dict[str, list[str]] = attrs.field(repr=False)
    master: Json | None = attrs.field(default=None, repr=False)
    processes: dict[str, Json] = attrs.field(factory=dict[str, Json], repr=False)
    name: str | None = None
    groups: dict[str, Seed] = attrs.field(factory=dict[str, "Seed"], repr=False)
    attachments: dict[str, dict[str, bytes]] = attrs.field(
        factory=dict[str, dict[str, bytes]], repr=False
    )

    @property
    def group_id(self) -> str | None:
        """The group that the seeded users are in."""
        return next((user["groupId"] for user in self.users if user.get("groupId")), None)

    @property
    def users(self) -> Iterable[Json]:
        """The users of the group."""
        return self.entities.get("user", {}).values()


def read_seed(source: str | Path | dict[str, Any]) -> Seed:
    """Check a seed, given as JSON or as the path of a JSON file.

    Raises:
        ValueError: that says what is wrong with it.
    """
    if not isinstance(source, str | Path):
        return _check(_copied(source))
    try:
        content = orjson.loads(Path(source).read_bytes())
    except OSError as error:
        raise _malformed(f"The seed can't be read: {error}") from error
    except orjson.JSONDecodeError as error:
        raise _malformed(f"The seed {source} is no JSON: {error}") from error
    return _check(content)


def _copied(source: dict[str, Any]) -> Any:
    """Return what JSON keeps of a seed, which is the caller's own object otherwise."""
    try:
        return orjson.loads(orjson.dumps(source))
    except (TypeError, orjson.JSONDecodeError) as error:
        raise _malformed(f"The seed contains something that is no JSON: {error}") from error


def _malformed(message: str) -> ValueError:
    return ValueError(message)


def _check(content: Any) -> Seed:
    if not is_object(content):
        raise _malformed('A seed must be an object with "entities" and "tokens"')
    if "stages" in content:
        raise _malformed('This seed has several "stages": pass one of them')
    unknown = content.keys() - {*_MEMBERS, "processes", "groups"}
    if unknown:
        raise _malformed(f"A seed has no {sorted(unknown)!r}, only entities and tokens")
    main = attrs.evolve(
        _check_group(content), processes=_check_processes(content.get("processes", {}))
    )
    groups = content.get("groups", {})
    if not is_object(groups):
        raise _malformed('The "groups" of a seed must be an object: group id → entities and tokens')
    return attrs.evolve(
        main, groups={group_id: _check_further(group_id, main, groups) for group_id in groups}
    )


def _check_further(group_id: str, main: Seed, groups: Json) -> Seed:
    content = groups[group_id]
    if not is_group_id(group_id) or group_id == main.group_id:
        raise _malformed(f"{group_id!r} is the main group of this seed, or can't be the id of one")
    if not is_object(content) or content.keys() - _MEMBERS:
        raise _malformed(f"The group {group_id} of the seed must have entities and tokens only")
    checked = _check_group(content)
    if any(user.get("groupId", group_id) != group_id for user in checked.users):
        raise _malformed(f"A user of the group {group_id} of the seed has the id of another group")
    return checked


def is_group_id(text: str) -> bool:
    """Return whether this may be the id of a group: it has to fit in a path."""
    return bool(_GROUP_ID.fullmatch(text))


def _check_group(content: Json) -> Seed:
    name = content.get("name")
    if name is not None and not isinstance(name, str):
        raise _malformed('The "name" of a group must be a string')
    given = content.get("entities")
    if not is_object(given):
        raise _malformed('A seed needs "entities": kind → id → JSON')
    own = given.get(_OWN_KIND)
    entities = {
        kind: _check_entities(kind, by_id) for kind, by_id in given.items() if kind != _OWN_KIND
    }
    tokens = _check_tokens(object_in(content, "tokens"), entities.get("user", {}))
    master = _check_master(own, entities)
    attachments = decoded(content.get("attachments", {}), entities.get("document", {}))
    return Seed(entities, tokens, master, name=name, attachments=attachments)


def _check_entities(kind: str, by_id: Any) -> dict[str, Json]:
    if kind not in KINDS:
        raise _malformed(f"The seed has entities of the unknown kind {kind!r}")
    if not is_object(by_id):
        raise _malformed(f"The {kind} entities of the seed must be an object: id → JSON")
    for entity_id, entity in by_id.items():
        if not is_object(entity):
            raise _malformed(f"The {kind} {entity_id} of the seed must be a JSON object")
        if entity.get("id") != entity_id:
            raise _malformed(f"The {kind} {entity_id} of the seed has the id {entity.get('id')!r}")
        if not isinstance(entity.get("rev", ""), str):
            raise _malformed(f"The rev of the {kind} {entity_id} of the seed must be a string")
        form = FORMS[kind] if kind in NEW_KINDS else SCHEMAS.get(kind)
        if form is not None:
            try:
                form.read(entity)
            except ApiError as error:
                raise _malformed(f"The {kind} {entity_id} of the seed: {error}") from error
    return by_id


def _check_tokens(tokens: Any, users: dict[str, Json]) -> dict[str, list[str]]:
    if not is_object(tokens):
        raise _malformed('The "tokens" of a seed must be an object: user id → list of strings')
    for user_id, secrets in tokens.items():
        if user_id not in users:
            raise _malformed(f"The seed has tokens of the user {user_id}, who is not in it")
        if not is_string_list(secrets):
            raise _malformed(f"The tokens of the user {user_id} must be a list of strings")
    return tokens


def _check_master(own: Any, entities: dict[str, dict[str, Json]]) -> Json | None:
    if own is None:
        return None
    master = own.get(_MASTER) if is_object(own) else None
    if not is_object(master) or not all(
        isinstance(master.get(prop), str) for prop in MASTER_PROPERTIES
    ):
        raise _malformed(f"The {_OWN_KIND} entities of the seed must be an exported master")
    if master["userId"] not in entities.get("user", {}):
        raise _malformed(f"The master user {master['userId']} is not in the seed")
    if master["dataOwnerId"] not in entities.get("hcparty", {}):
        raise _malformed(f"The master healthcare party {master['dataOwnerId']} is not in the seed")
    return master


def _check_processes(processes: Any) -> dict[str, Json]:
    if not is_object(processes):
        raise _malformed('The "processes" of a seed must be an object: request id → JSON')
    for request_id, process in processes.items():
        if not is_object(process) or not _is_process(process):
            raise _malformed(f"The process {request_id} of the seed must be an exported one")
    return processes


def _is_process(process: Json) -> bool:
    return (
        any(process.get("process") == process_id for process_id in PROCESSES)
        and is_integer(process.get("created"))
        and is_integer(process.get("attempts"))
        and isinstance(process.get("validated"), bool)
        and all(isinstance(process.get(name), str) for name in _TEXTS_OF_PROCESS)
    )


def plant(tx: Transaction, seed: Seed) -> None:
    """Store what a seed contains in an empty database.

    Raises:
        ValueError: if an entity is so malformed that nobody could find it.
    """
    _plant_group(tx, seed)
    for request_id, process in seed.processes.items():
        tx.put_process(request_id, process)
    if seed.name is not None:
        tx.set_meta("group name", seed.name)
    if seed.master is not None:
        adopt_master(tx, seed.master)
    for group_id, group in seed.groups.items():
        _plant_group(tx.add_group(group_id, group.name), group)


def _plant_group(tx: Transaction, seed: Seed) -> None:
    for kind, by_id in seed.entities.items():
        for entity in by_id.values():
            _plant_entity(tx, kind, {**entity, "rev": entity.get("rev") or first_revision()})
    for document_id, attachments in seed.attachments.items():
        for attachment_id, content in attachments.items():
            plant_bytes(tx, document_id, attachment_id, content)
    tokens = {**seed.tokens}
    if seed.master is not None:
        master_id = seed.master["userId"]
        tokens[master_id] = [*tokens.get(master_id, ()), seed.master["password"]]
    for user_id, secrets in tokens.items():
        tx.set_seeded_tokens(user_id, secrets)


def _plant_entity(tx: Transaction, kind: str, entity: Json) -> None:
    try:
        tx.put(kind, entity)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _malformed(
            f"The {kind} {entity['id']} of the seed has a member of the wrong form"
        ) from error


def export(tx: Transaction) -> Json:
    """Everything as one seed.

    Secrets made at run time are only known as hashes and stay in the users; the credentials and
    the private key of the master are kept under a kind of their own, ``sandbox``. Session tokens
    end with the sandbox that signed them.
    """
    main, *others = tx.groups()
    exported = _export_group(main)
    master = master_record(tx)
    if master is not None:
        exported["entities"][_OWN_KIND] = {_MASTER: master}
        exported["tokens"] = _without_password(exported["tokens"], master)
    processes = tx.processes()
    if processes:
        exported["processes"] = processes
    if others:
        exported["groups"] = {group.group_id: _export_group(group) for group in others}
    return exported


def _without_password(tokens: Json, master: Json) -> Json:
    """Return the tokens without the one that the record of the master has already."""
    user_id, password = master["userId"], master["password"]
    kept = {**tokens, user_id: [t for t in tokens.get(user_id, ()) if t != password]}
    return {user_id: secrets for user_id, secrets in kept.items() if secrets}


def _export_group(tx: Transaction) -> Json:
    entities: dict[str, Json] = {
        kind: {entity["id"]: entity for entity in tx.everything(kind)} for kind in KINDS
    }
    name = tx.group_name()
    named: Json = {} if name is None else {"name": name}
    if attachments := exported_bytes(tx):
        named["attachments"] = attachments
    return {**named, "entities": entities, "tokens": tx.all_seeded_tokens()}
