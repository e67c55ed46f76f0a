"""A whole sandbox as JSON, to start from and to export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import orjson

from icure_async.sandbox.dto import SCHEMAS
from icure_async.sandbox.entities import first_revision
from icure_async.sandbox.errors import ApiError
from icure_async.sandbox.master import MASTER_PROPERTIES, adopt_master, master_record
from icure_async.sandbox.shapes import is_object, is_string_list, object_in
from icure_async.sandbox.store import KINDS, Json, Transaction
from icure_async.sandbox.v2.forms import FORMS

__all__ = ["Seed", "export", "plant", "read_seed"]

_OWN_KIND = "sandbox"
_MASTER = "master"


@attrs.frozen
class Seed:
    """A checked seed.

    Attributes:
        entities: kind → id → JSON.
        tokens: user id → secrets that log the user in for ever.
        master: the master of the sandbox this was exported from, if it was.
    """

    entities: dict[str, dict[str, Json]] = attrs.field(repr=False)
    tokens: dict[str, list[str]] = attrs.field(repr=False)
    master: Json | None = attrs.field(repr=False)

    @property
    def group_id(self) -> str | None:
        """The group that the seeded users are in."""
        users = self.entities.get("user", {}).values()
        return next((user["groupId"] for user in users if user.get("groupId")), None)


def read_seed(source: str | Path | dict[str, Any]) -> Seed:
    """Check a seed, given as JSON or as the path of a JSON file.

    Raises:
        ValueError: that says what is wrong with it.
    """
    if not isinstance(source, str | Path):
        return _check(source)
    try:
        content = orjson.loads(Path(source).read_bytes())
    except OSError as error:
        raise _malformed(f"The seed can't be read: {error}") from error
    except orjson.JSONDecodeError as error:
        raise _malformed(f"The seed {source} is no JSON: {error}") from error
    return _check(content)


def _malformed(message: str) -> ValueError:
    return ValueError(message)


def _check(content: Any) -> Seed:
    if not is_object(content):
        raise _malformed('A seed must be an object with "entities" and "tokens"')
    if "stages" in content:
        raise _malformed('This seed has several "stages": pass one of them')
    unknown = content.keys() - {"entities", "tokens"}
    if unknown:
        raise _malformed(f"A seed has no {sorted(unknown)!r}, only entities and tokens")
    given = content.get("entities")
    if not is_object(given):
        raise _malformed('A seed needs "entities": kind → id → JSON')
    own = given.get(_OWN_KIND)
    entities = {
        kind: _check_entities(kind, by_id) for kind, by_id in given.items() if kind != _OWN_KIND
    }
    tokens = _check_tokens(object_in(content, "tokens"), entities.get("user", {}))
    return Seed(entities, tokens, _check_master(own, entities))


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
        form = FORMS.get(kind) or SCHEMAS.get(kind)
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


def plant(tx: Transaction, seed: Seed) -> None:
    """Store what a seed contains in an empty database."""
    for kind, by_id in seed.entities.items():
        for entity in by_id.values():
            tx.put(kind, {**entity, "rev": entity.get("rev") or first_revision()})
    for user_id, secrets in seed.tokens.items():
        tx.set_seeded_tokens(user_id, secrets)
    if seed.master is not None:
        adopt_master(tx, seed.master)


def export(tx: Transaction) -> Json:
    """Everything as one seed.

    Secrets made at run time are only known as hashes and stay in the users; the credentials and
    the private key of the master are kept under a kind of their own, ``sandbox``.
    """
    entities: dict[str, Json] = {
        kind: {entity["id"]: entity for entity in tx.everything(kind)} for kind in KINDS
    }
    master = master_record(tx)
    if master is not None:
        entities[_OWN_KIND] = {_MASTER: master}
    return {"entities": entities, "tokens": tx.all_seeded_tokens()}
