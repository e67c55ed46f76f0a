"""Codes: their ids, and the words by which they are found.

Source: server-behaviour.md §4.2, §9.4, §10.10.
"""

from __future__ import annotations

import pytest

from tests.support.bare_client import Client, Json, World, encoded

CODES: list[Json] = [
    {"type": "SNOMED", "code": "386661006", "version": "1", "regions": ["be", "fr"],
     "label": {"en": "Fever of the body", "fr": "Fièvre"}},
    {"type": "SNOMED", "code": "49727002", "version": "1", "regions": ["fr"],
     "label": {"en": "Cough"}, "searchTerms": {"en": ["feverless", "no"]}},
    {"type": "LOINC", "code": "8310-5", "version": "2", "label": {"en": "Body temperature"}},
]  # fmt: skip
FEVER, COUGH, TEMPERATURE = (f"{code['type']}|{code['code']}|{code['version']}" for code in CODES)


async def with_codes(world: World) -> Client:
    master = await world.master()
    for code in CODES:
        await master.created("/code", code)
    return master


async def test_the_id_of_a_code_is_made_of_its_parts(world: World) -> None:
    master = await world.master()
    created = await master.created("/code", {**CODES[0], "id": "anything"})
    assert created["id"] == FEVER
    assert created["searchTerms"] == {}
    assert created["disabled"] is False
    for path in (encoded(FEVER), "SNOMED/386661006/1", f"byIds/{encoded(FEVER)}"):
        found = (await master.get(f"/code/{path}")).body
        assert found in (created, [created])
    assert (await master.post("/code", {"id": FEVER, **CODES[0]})).status == 409
    assert (await master.get("/code/unknown")).status == 404


async def test_ids_of_codes_contain_what_their_parts_do(world: World) -> None:
    master = await world.master()
    code = {"type": "ICURE", "code": "UNIVERSE THERMAL DEATH", "version": "83/a%?"}
    created = await master.created("/code", code)
    assert created["id"] == "ICURE|UNIVERSE THERMAL DEATH|83/a%?"
    assert (await master.get(f"/code/{encoded(created['id'])}")).body == created


@pytest.mark.parametrize("missing", ["type", "code", "version"])
async def test_a_code_without_one_of_its_parts_is_refused(world: World, missing: str) -> None:
    master = await world.master()
    body = {name: value for name, value in CODES[0].items() if name != missing}
    answer = await master.post("/code", {"id": FEVER, **body})
    assert answer.status == 400
    assert "type, code and version" in answer.body["message"]


async def test_a_code_keeps_its_parts_when_it_is_modified(world: World) -> None:
    master = await with_codes(world)
    stored = (await master.get(f"/code/{encoded(FEVER)}")).body
    changed = await master.put("/code", {**stored, "label": {"en": "Heat"}})
    assert changed.body["label"] == {"en": "Heat"}
    assert (await master.put("/code", {**changed.body, "code": "other"})).status == 400
    assert (await master.put("/code", stored)).status == 409


async def test_codes_that_can_not_be_saved_are_left_out_of_a_batch(world: World) -> None:
    master = await world.master()
    await master.created("/code", CODES[0])
    bodies = [{"id": "x", **code} for code in CODES]
    answer = await master.post("/code/batch", bodies)
    assert [code["id"] for code in answer.body] == [COUGH, TEMPERATURE]
    changed = [{**code, "disabled": True} for code in answer.body]
    assert all(code["disabled"] for code in (await master.put("/code/batch", changed)).body)


BY_TEXT = "CodeByRegionTypeLabelLanguageFilter"


SEARCHES: list[tuple[Json, set[str]]] = [
        ({"$type": "AllCodesFilter"}, {FEVER, COUGH, TEMPERATURE}),
        ({"$type": "CodeByIdsFilter", "ids": [COUGH, "?"]}, {COUGH}),
        ({"$type": BY_TEXT, "region": "fr"}, {FEVER, COUGH}),
        ({"$type": BY_TEXT, "type": "SNOMED", "language": "fr"}, {FEVER}),
        ({"$type": BY_TEXT, "type": "SNOMED", "language": "en", "label": "FÉVER"}, {FEVER, COUGH}),
        ({"$type": BY_TEXT, "language": "fr", "label": "fiev"}, {FEVER}),
        ({"$type": BY_TEXT, "label": "fiev"}, {FEVER}),
        ({"$type": BY_TEXT, "region": "be", "language": "en", "label": "fever"}, {FEVER}),
        ({"$type": BY_TEXT, "language": "en", "label": "body"}, {FEVER, TEMPERATURE}),
        ({"$type": BY_TEXT, "language": "en", "label": "of"}, set()),
        ({"$type": BY_TEXT, "language": "en", "label": "38666"}, {FEVER}),
        ({"$type": "CodeIdsByTypeCodeVersionIntervalFilter", "startType": "SNOMED",
          "startCode": "38", "startVersion": "1", "endType": "SNOMED"}, {FEVER, COUGH}),
        ({"$type": "CodeIdsByTypeCodeVersionIntervalFilter", "startType": "LOINC",
          "endType": "LOINC", "endCode": "8310-5", "endVersion": "2"}, {TEMPERATURE}),
    ]  # fmt: skip


async def test_codes_are_found_by_their_filters(world: World) -> None:
    master = await with_codes(world)
    for query, found in SEARCHES:
        assert await master.filtered("/code", query) == sorted(found), query
        assert (await master.post("/code/match", query)).body == sorted(found), query


async def test_everybody_reads_codes_and_professionals_write_them(world: World) -> None:
    await with_codes(world)
    patient = await world.register("ned@winterfell.example")
    assert (await patient.get(f"/code/{encoded(FEVER)}")).status == 200
    assert len(await patient.filtered("/code", {"$type": "AllCodesFilter"})) == len(CODES)
    refused = await patient.post("/code", {"id": "x", "type": "T", "code": "c", "version": "1"})
    assert refused.status == 403
    stored = (await patient.get(f"/code/{encoded(FEVER)}")).body
    assert (await patient.put("/code", {**stored, "disabled": True})).status == 403


async def test_only_administrators_write_codes_in_the_strict_profile(strict: World) -> None:
    master = await with_codes(strict)
    doctor = await strict.register_hcp("doc@winterfell.example")
    stored = (await doctor.get(f"/code/{encoded(FEVER)}")).body
    assert (await doctor.put("/code", {**stored, "disabled": True})).status == 403
    assert (await master.put("/code", {**stored, "disabled": True})).status == 200


async def test_today_s_clients_store_and_find_codes(world: World) -> None:
    master = world.v2(await world.master()).standard
    created = await master.created("/code", {"id": FEVER, **CODES[0]})
    assert "disabled" not in created
    assert (await master.get(f"/code/{encoded(FEVER)}")).body == created
    assert (await master.post("/code/byIds", {"ids": [FEVER]})).body == [created]
    assert (await master.post("/code/match", {"$type": "AllCodesFilter"})).body == [FEVER]
    changed = await master.put("/code", {**created, "regions": ["be"]})
    assert changed.body["regions"] == ["be"]
    gone = await master.delete(f"/code/{encoded(FEVER)}?rev={changed.body['rev']}")
    assert gone.body["id"] == FEVER
