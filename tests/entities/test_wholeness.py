"""Documents that look whole, and documents that look cut off."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from icure_async.entities.wholeness import (
    ENTITY_METADATA,
    has_key_material,
    looks_whole,
    owner_looks_whole,
    same_material,
)
from tests.support.cardinal_world import STAGES, TYPES, entities_at

Json = dict[str, Any]


def stored(world: Json, stage: str, name: str) -> Json:
    owner_id = world["users"][name]["dataOwnerId"]
    entities = world["stages"][stage]["entities"]
    found: Json = entities["patient"].get(owner_id) or entities["hcparty"][owner_id]
    return copy.deepcopy(found)


def test_what_the_reference_has_written_looks_whole(world: Json) -> None:
    for stage in world["stages"].values():
        for kind in ("patient", "maintenancetask"):
            assert all(map(looks_whole, stage["entities"][kind].values()))
    for name in ("ned", "arya", "hcp"):
        assert owner_looks_whole(stored(world, "1-shared", name))


def test_documents_that_nobody_has_encrypted_look_whole() -> None:
    nothing: list[Any] = [None, {}, []]
    for empty in nothing:
        assert looks_whole({"id": "p", "delegations": empty or {}, "encryptedSelf": None})
    assert owner_looks_whole({"id": "p", "aesExchangeKeys": {}, "hcPartyKeys": {}})
    assert owner_looks_whole({"id": "p", "publicKey": "30" * 294})


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for step, item in items:
        yield from _paths(item, (*path, step))


def _around(document: Json, path: tuple[Any, ...]) -> Any:
    around: Any = document
    for step in path[:-1]:
        around = around[step]
    return around


def _deleted(document: Json, path: tuple[Any, ...]) -> None:
    del _around(document, path)[path[-1]]


def _emptied(document: Json, path: tuple[Any, ...]) -> None:
    _around(document, path)[path[-1]] = None


def _spoilt(document: Json, path: tuple[Any, ...]) -> None:
    _around(document, path)[path[-1]] = "A" * 20_001


def _typed(document: Json, path: tuple[Any, ...]) -> None:
    """Put what has the length of a ciphertext there, and is none."""
    around, last = _around(document, path), path[-1]
    length = len(around[last]) if isinstance(around[last], str) else 128
    around[last] = "a" * length


DAMAGES = [_deleted, _emptied, _spoilt, _typed]


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_can_be_taken_from_an_entity_unnoticed(
    world: Json, damage: Callable[[Json, tuple[Any, ...]], None]
) -> None:
    entity = stored(world, "1-shared", "ned")
    material = {name: entity[name] for name in ("delegations", "encryptionKeys", "encryptedSelf")}
    for path in _paths(material):
        changed = copy.deepcopy(entity)
        damage(changed, path)
        assert not looks_whole(changed), path
        assert not same_material(entity, changed, ENTITY_METADATA), path


@pytest.mark.parametrize("damage", DAMAGES)
def test_nothing_can_be_taken_from_a_data_owner_with_one_key_unnoticed(
    world: Json, damage: Callable[[Json, tuple[Any, ...]], None]
) -> None:
    for name in ("ned", "hcp"):
        owner = stored(world, "1-shared", name)
        material = {key: owner[key] for key in ("publicKey", "aesExchangeKeys", "hcPartyKeys")}
        for path in _paths(material):
            changed = copy.deepcopy(owner)
            damage(changed, path)
            assert not owner_looks_whole(changed), path


def test_transfer_keys_may_be_none_or_all(world: Json) -> None:
    owner = stored(world, "2-key-lost", "ned")
    first, (second,) = owner["publicKey"], owner["aesExchangeKeys"].keys() - {owner["publicKey"]}
    levels = owner["aesExchangeKeys"]
    people = levels[first].keys() & levels[second].keys()
    owner["aesExchangeKeys"] = {
        key: {name: level[name] for name in people} for key, level in levels.items()
    }
    for strictly in (False, True):
        assert owner_looks_whole(owner, with_transfers=strictly)
    without = {name: value for name, value in owner.items() if name != "transferKeys"}
    assert owner_looks_whole(without)
    assert not owner_looks_whole(without, with_transfers=True)
    spoilt = owner | {"transferKeys": {first: {second: "x"}}}
    assert not owner_looks_whole(spoilt)


def test_forms_of_the_past_are_looked_at_twice(world: Json) -> None:
    entity = stored(world, "1-shared", "ned")
    forms: list[Json] = [
        {"encryptionKeys": {}},
        {"encryptedSelf": None},
        {"secretForeignKeys": ["s"]},
        {"securityMetadata": {"secureDelegations": {}}},
    ]
    for changes in forms:
        assert not looks_whole(entity | changes)
    owner = stored(world, "1-shared", "ned")
    assert not owner_looks_whole(owner | {"aesExchangeKeys": {}})
    assert not owner_looks_whole(owner | {"privateKeyShamirPartitions": {"n": "0a"}})


def test_empty_members_and_spellings_of_content_make_no_difference() -> None:
    ours = {"encryptedSelf": "-_-_", "delegations": {"d": [{"owner": "o", "key": "0a"}]}}
    theirs = {
        "encryptedSelf": "+/+/",
        "encryptionKeys": {},
        "delegations": {"d": [{"owner": "o", "key": "0a", "tags": [], "delegatedTo": None}]},
    }
    assert same_material(ours, theirs, ENTITY_METADATA)
    assert not same_material(ours, theirs | {"encryptedSelf": "+/+A"}, ENTITY_METADATA)
    assert not same_material(ours, {}, ENTITY_METADATA)


def test_who_has_keys_is_a_data_owner() -> None:
    assert has_key_material({"publicKey": "30"})
    assert not has_key_material({"aesExchangeKeys": {}, "publicKey": ""})


# --- Today's metadata -----------------------------------------------------------------------------


def secured() -> Iterator[Json]:
    for stage in STAGES:
        for kind in TYPES:
            for document in entities_at(stage)[kind].values():
                if document.get("securityMetadata"):
                    yield document


def test_what_todays_clients_have_written_looks_whole() -> None:
    found = list(secured())
    assert len(found) > 40
    assert all(map(looks_whole, found))


def test_what_todays_clients_have_written_and_is_cut_does_not_look_whole() -> None:
    for document in secured():
        has_child = len(document["securityMetadata"]["secureDelegations"]) > 1
        assert not looks_whole({**document, "encryptedSelf": None})
        assert not looks_whole({**document, "encryptedSelf": document["encryptedSelf"][:20]})
        # With whole metadata of 2023 as well, nothing shows it.
        assert looks_whole({**document, "securityMetadata": {}}) is ("delegations" in document)
        for key, delegation in document["securityMetadata"]["secureDelegations"].items():
            for name in ("encryptionKeys", "permissions", "exchangeDataId", "delegate"):
                if delegation.get(name) and delegation.get("exchangeDataId"):
                    cut = copy.deepcopy(document)
                    del cut["securityMetadata"]["secureDelegations"][key][name]
                    assert not looks_whole(cut)
            if not delegation.get("parentDelegations") and has_child:
                cut = copy.deepcopy(document)
                del cut["securityMetadata"]["secureDelegations"][key]
                if not cut.get("delegations"):
                    assert not looks_whole(cut)
        if document.get("secretForeignKeys"):
            assert not looks_whole({**document, "secretForeignKeys": []})


def test_a_document_with_both_kinds_of_metadata_is_whole_if_both_are() -> None:
    both = [document for document in secured() if document.get("delegations")]
    assert both
    for document in both:
        assert looks_whole(document)
        assert not looks_whole({**document, "delegations": {}})
        assert not looks_whole({**document, "encryptionKeys": {}})


def test_the_order_in_todays_metadata_says_nothing() -> None:
    for document in secured():
        other = copy.deepcopy(document)
        for delegation in other["securityMetadata"]["secureDelegations"].values():
            for name in ("parentDelegations", "secretIds"):
                if delegation.get(name):
                    delegation[name].reverse()
        assert same_material(document, other, ENTITY_METADATA)
        delegation["encryptionKeys"] = ["AAAA"]
        assert not same_material(document, other, ENTITY_METADATA)
