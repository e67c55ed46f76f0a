"""The content that today's clients have encrypted: opened, written again, and never in clear."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from icure_async.entities.encrypted_self import as_encrypted, decrypt_members, encrypt_members
from icure_async.entities.kinds import NOTIFICATION, PATIENT, EntityKind, of_today
from icure_async.entities.manifests import (
    CONTACT_MANIFEST,
    HEALTH_ELEMENT_MANIFEST,
    PATIENT_MANIFEST,
    Manifest,
)
from icure_async.models.wire import from_wire, to_wire
from tests.support.cardinal_world import (
    STAGES,
    TYPES,
    Reader,
    entities_at,
    private_keys_of,
)
from tests.support.golden_people import CRYPTO

Json = dict[str, Any]

KINDS: Final[Mapping[str, EntityKind[Any, Any]]] = {
    "patient": PATIENT,
    "maintenancetask": NOTIFICATION,
}
OF_TODAY: Final[Mapping[str, Manifest]] = {
    "patient": PATIENT_MANIFEST,
    "maintenancetask": NOTIFICATION.of_today,
    "helement": HEALTH_ELEMENT_MANIFEST,
    "contact": CONTACT_MANIFEST,
}
OF_2023: Final[Mapping[str, Manifest]] = {
    "patient": Manifest(("note",)),
    "maintenancetask": Manifest(("properties",)),
    "helement": Manifest(("descr", "note")),
    "contact": Manifest(("descr",)),
}


@functools.cache
def readable(stage: str) -> tuple[tuple[str, Json, bytes], ...]:
    """Each encrypted entity of a stage that somebody can read, with its key. Not to be changed."""
    return tuple(_readable(stage))


def _readable(stage: str) -> Iterator[tuple[str, Json, bytes]]:
    entities = entities_at(stage)
    reader = Reader(entities, *private_keys_of())
    for kind, entity_type in TYPES.items():
        for document in entities[kind].values():
            keys = [*reader._keys_of(document, entity_type), *reader._legacy_keys_of(document)]
            if keys and document.get("encryptedSelf"):
                yield kind, document, keys[0]


def hidden(value: Any) -> Iterator[str]:
    """Each text in an ``encryptedSelf`` anywhere."""
    if isinstance(value, dict):
        if value.get("encryptedSelf"):
            yield value["encryptedSelf"]
        for inner in value.values():
            yield from hidden(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from hidden(inner)


def clear_members(value: Any) -> Iterator[str]:
    """Each member in clear, by its path without indexes."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from (f"{name}.{path}" for path in clear_members(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from clear_members(inner)


@pytest.mark.parametrize("stage", STAGES)
async def test_what_has_not_changed_is_written_byte_for_byte(stage: str) -> None:
    count = 0
    for kind, document, key in readable(stage):
        opened = await decrypt_members(CRYPTO, key, document)
        assert await as_encrypted(CRYPTO, key, opened) == document
        for manifest in (OF_TODAY[kind], OF_2023[kind]):
            if any(document.get(name) for name in manifest.members):
                # Clients before these encrypted less, and records of 2023 do.
                continue
            members = [name for name in manifest.members if opened.get(name)]
            again = await encrypt_members(CRYPTO, key, opened, members, manifest.inside)
            assert again == document
            count += 1
    assert count


@pytest.mark.parametrize("stage", STAGES)
async def test_what_was_encrypted_is_never_in_clear_in_either_flavour(stage: str) -> None:
    for kind, document, key in readable(stage):
        opened = await decrypt_members(CRYPTO, key, document)
        opened["note"] = opened["descr"] = "changed"
        if opened.get("insurabilities"):
            opened["insurabilities"][0]["insuranceId"] = "changed"
        for manifest in (OF_TODAY[kind], OF_2023[kind]):
            again = await encrypt_members(
                CRYPTO, key, opened, {*manifest.members, "note", "descr"}, manifest.inside
            )
            assert set(clear_members(again)) <= set(clear_members(document))
            reopened = await decrypt_members(CRYPTO, key, again)
            assert {name: v for name, v in reopened.items() if name != "encryptedSelf"}.keys() == {
                name: v for name, v in opened.items() if name != "encryptedSelf"
            }.keys()


@pytest.mark.parametrize("kind", ["patient", "maintenancetask"])
@pytest.mark.parametrize("flavour", ["medtech", "cardinal"])
async def test_records_go_through_their_models_unchanged(kind: str, flavour: str) -> None:
    """A repository writes a record that was read and saved, and not the document."""
    row = KINDS[kind] if flavour == "medtech" else of_today(KINDS[kind])
    for stage in STAGES:
        for name, document, key in readable(stage):
            if name != kind or any(document.get(one) for one in PATIENT_MANIFEST.members):
                continue
            opened = await decrypt_members(CRYPTO, key, document)
            wire = row.complete(to_wire(from_wire(row.clear, opened)))
            manifest = row.manifest_of(wire)
            again = await encrypt_members(CRYPTO, key, wire, manifest.members, manifest.inside)
            assert list(hidden(again)) == list(hidden(document))
            assert again.get("securityMetadata") == document.get("securityMetadata")


def test_todays_patients_have_28_encrypted_paths() -> None:
    inside = PATIENT_MANIFEST.inside
    paths = len(PATIENT_MANIFEST.members) + sum(len(names or ("*",)) for names in inside.values())
    assert paths == 28
    assert inside["notes"] == ("markdown",)
    assert inside["insurabilities"] is None
    assert CONTACT_MANIFEST.inside == {
        "notes": ("markdown",),
        "services": ("content", "comment"),
        "services.notes": ("markdown",),
    }


def test_what_has_todays_metadata_is_encrypted_by_both_flavours_as_today() -> None:
    of_2023 = PATIENT.manifest_of({"id": "p"})
    assert (of_2023.members, dict(of_2023.inside)) == (("note",), {})
    both = PATIENT.manifest_of({"id": "p", "securityMetadata": {"secureDelegations": {}}})
    # A member that is empty may be one that the backend has filled in.
    assert (both.members, both.inside) == ((), PATIENT_MANIFEST.inside)
    full = {name: {"x": "y"} for name in (*PATIENT_MANIFEST.members, "securityMetadata")}
    assert set(PATIENT.manifest_of(full).members) == set(PATIENT_MANIFEST.members)
    assert set(of_today(PATIENT).manifest_of(full).members) == set(PATIENT_MANIFEST.members)
    assert of_today(PATIENT).manifest_of({"id": "p"}).inside == PATIENT_MANIFEST.inside


def test_the_world_has_content_at_every_stage() -> None:
    found = [json.dumps(document) for stage in STAGES for _, document, _ in readable(stage)]
    assert len(found) > 50
    assert sum('"insurabilities": [{"encryptedSelf"' in text for text in found) >= 5
