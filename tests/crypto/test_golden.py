"""Data written by the reference, read and written again."""

from __future__ import annotations

from typing import Any

import pytest

from icure_async.crypto.encoding import decode_base64, encode_base64
from icure_async.crypto.software import aes_cbc_encrypt
from icure_async.entities.encrypted_self import javascript_json
from icure_async.entities.kinds import PATIENT
from icure_async.entities.sealing import OpenedEntity
from icure_async.models.key_pair import KeyPair
from tests.support.golden import WORLD
from tests.support.golden_people import owners_at, reader, reader_at

EXPECTED: list[dict[str, Any]] = WORLD["expected"]
READABLE = [case for case in EXPECTED if case["fields"] is not None]
SHARED = [case for case in READABLE if case["stage"] == "1-shared"]


def name_of(case: Any) -> str:
    return f"{case['stage']}/{case['reader']}/{case['patientId']}"


def stored(case: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = owners_at(case["stage"])[case["patientId"]]
    return document


async def opened(case: dict[str, Any]) -> OpenedEntity:
    entity = await (await reader_at(case["stage"], case["reader"])).open(stored(case))
    assert entity is not None
    return entity


def content_of(entity: OpenedEntity) -> dict[str, Any]:
    document = entity.document
    return {name: document[name] for name in PATIENT.encrypted if name in document}


def sealed_with_the_iv_of(original: str, key: bytes, content: dict[str, Any]) -> str:
    return encode_base64(
        aes_cbc_encrypt(key, decode_base64(original)[:16], javascript_json(content))
    )


def test_the_expectations_are_all_there() -> None:
    assert len(EXPECTED) == 22
    assert len(READABLE) == 20


@pytest.mark.parametrize("case", EXPECTED, ids=name_of)
async def test_a_reader_sees_what_the_reference_shows(case: dict[str, Any]) -> None:
    entity = await (await reader_at(case["stage"], case["reader"])).open(stored(case))
    if case["fields"] is None:
        assert entity is None
        return
    assert entity is not None
    names = ("firstName", "lastName", "note")
    seen = {name: entity.document[name] for name in names if name in entity.document}
    assert seen == case["fields"]
    assert entity.key is not None


@pytest.mark.parametrize("case", READABLE, ids=name_of)
async def test_what_was_read_encrypts_to_the_very_bytes_of_the_reference(
    case: dict[str, Any],
) -> None:
    entity = await opened(case)
    assert entity.key is not None
    original = stored(case)["encryptedSelf"]
    assert sealed_with_the_iv_of(original, entity.key, content_of(entity)) == original


@pytest.mark.parametrize("case", SHARED, ids=name_of)
async def test_what_one_reader_saves_all_others_still_read(case: dict[str, Any]) -> None:
    entity = await opened(case)
    assert entity.key is not None
    writer = await reader_at(case["stage"], case["reader"])
    changed = entity.document | {"note": f"changed by {case['reader']} ✓"}
    sealed = await writer.seal_again(changed, PATIENT.encrypted, entity.key)
    assert "note" not in sealed
    original = stored(case)
    assert {**sealed, "encryptedSelf": ""} == {**original, "encryptedSelf": ""}
    assert sealed["encryptedSelf"] != original["encryptedSelf"]
    others = [other for other in SHARED if other["patientId"] == case["patientId"]]
    assert case in others
    for other in others:
        again = await (await reader_at(other["stage"], other["reader"])).open(sealed)
        assert again is not None
        assert again.document["note"] == changed["note"]


async def test_patients_read_themselves(world: dict[str, Any]) -> None:
    for user in ("ned", "arya"):
        own_id = world["users"][user]["dataOwnerId"]
        entity = await (await reader_at("1-shared", user)).open(owners_at("1-shared")[own_id])
        assert entity is not None
        assert entity.key is not None


async def test_many_patients_are_opened_in_order(world: dict[str, Any]) -> None:
    owners = owners_at("3-access-given-back")
    ids = [
        case["patientId"]
        for case in EXPECTED
        if (case["stage"], case["reader"]) == ("3-access-given-back", "nedLost")
    ]
    entities = await (await reader_at("3-access-given-back", "nedLost")).open_many(
        [owners[patient_id] for patient_id in ids]
    )
    assert [entity and entity.document["id"] for entity in entities] == [
        None if patient_id.startswith("fe3d336e") else patient_id for patient_id in ids
    ]


async def test_what_the_reference_sent_while_registering_is_byte_for_byte_ours(
    transcript: dict[str, Any],
) -> None:
    pairs = [KeyPair(pair["publicKey"], pair["privateKey"]) for pair in transcript["keyPairs"]]
    bodies = [
        request["body"]
        for step in transcript["steps"]
        for request in step["requests"]
        if isinstance(request.get("body"), dict) and "encryptedSelf" in request["body"]
    ]
    assert len(bodies) == 2
    own = bodies[0]
    entities = await reader(own["id"], {own["id"]: own}, *pairs)
    contents = []
    for body in bodies:
        entity = await entities.open(body)
        assert entity is not None
        assert entity.key is not None
        contents.append(content_of(entity))
        original = body["encryptedSelf"]
        assert sealed_with_the_iv_of(original, entity.key, contents[-1]) == original
    assert contents == [{}, {"note": "You must keep one's head"}]


async def test_a_new_patient_has_the_members_of_one_of_the_reference(
    transcript: dict[str, Any],
) -> None:
    bodies = [
        request["body"]
        for step in transcript["steps"]
        for request in step["requests"]
        if isinstance(request.get("body"), dict) and "encryptedSelf" in request["body"]
    ]
    own, theirs = bodies
    pairs = [KeyPair(pair["publicKey"], pair["privateKey"]) for pair in transcript["keyPairs"]]
    entities = await reader(own["id"], {own["id"]: own}, *pairs)
    metadata = {"delegations", "encryptionKeys", "cryptedForeignKeys", "encryptedSelf"}
    clear = {name: value for name, value in theirs.items() if name not in metadata}
    ours = await entities.keys.seal_new(
        clear | {"note": "x"},
        PATIENT.encrypted,
        {delegate: bytes(32) for delegate in theirs["delegations"]},
    )
    assert ours.keys() == theirs.keys()
    assert ours["cryptedForeignKeys"] == theirs["cryptedForeignKeys"] == {}
    for name in ("delegations", "encryptionKeys"):
        assert list(ours[name]) == list(theirs[name])
        for delegate, entries in theirs[name].items():
            assert [entry | {"key": ""} for entry in ours[name][delegate]] == [
                entry | {"key": ""} for entry in entries
            ]
            assert [list(entry) for entry in ours[name][delegate]] == [list(e) for e in entries]
            assert len(ours[name][delegate][0]["key"]) == len(entries[0]["key"]) == 192
