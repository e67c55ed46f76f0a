"""Records that our SDK and today's write for each other, on one sandbox."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest

from icure_async import Partnership, Patient
from icure_async.sandbox import Sandbox
from tests.support.cardinal_sandbox import TodayWorld, of_stage, owner_of
from tests.support.cardinal_sdk import write_device_key
from tests.support.cardinal_world import CARDINAL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cardinal_sdk import CardinalSdk, StartCardinal

pytestmark = pytest.mark.interop

Json = dict[str, Any]

ROBB: Final = "4449666c-53f6-583f-9a89-0119613666f0"
ZOE: Final = "25127947-bfc8-4e56-b3e4-580d75f5eee4"


async def cardinal_of(
    name: str, sandbox: Sandbox, start: StartCardinal, folder: Path
) -> CardinalSdk:
    """Today's SDK as somebody of the golden world."""
    user = CARDINAL["users"][name]
    for pair in user["keyPairs"]:
        write_device_key(folder / name, user["dataOwnerId"], pair["publicKey"], pair["privateKey"])
    cardinal = await start()
    await cardinal.start(
        sandbox.backend_url, user["login"], user["token"], folder / name, new_key="deny"
    )
    return cardinal


def full() -> Patient:
    return Patient(
        first_name="Sansa",
        note="a note",
        company_name="a firm",
        languages=["en", "fr"],
        civility="Ms",
        nationality="BE",
        partnerships=[Partnership(partner_id="a partner")],
    )


def differences(read: Json | None) -> list[str]:
    expected = {"note": "a note", "companyName": "a firm", "languages": ["en", "fr"]}
    expected |= {"civility": "Ms", "nationality": "BE"}
    if read is None:
        return ["it is not there"]
    wrong = [name for name, value in expected.items() if read.get(name) != value]
    if [one.get("partnerId") for one in read["partnerships"]] != ["a partner"]:
        wrong.append("partnerships")
    return wrong


async def test_what_ours_creates_and_shares_the_other_reads_changes_and_shares_on(
    start_cardinal: StartCardinal, client_session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with Sandbox(seed=of_stage("3-more-entities"), profile="strict") as sandbox:
        world = TodayWorld(sandbox, client_session)
        doc1 = await world.user("doc1")
        created = await doc1.patient_api.create_or_modify_patient(full())
        shared = await doc1.patient_api.give_access_to(created, owner_of("doc2"))
        shared = await doc1.patient_api.give_access_to(shared, owner_of("pat1"))
        data = (await sandbox.export())["entities"]["exchangedata"]
        doc2 = await cardinal_of("doc2", sandbox, start_cardinal, tmp_path)
        pat1 = await cardinal_of("pat1", sandbox, start_cardinal, tmp_path)
        for other in (doc2, pat1):
            assert differences(await other.get_patient(created.id)) == []
        assert (await sandbox.export())["entities"]["exchangedata"] == data
        await doc2.modify_patient(created.id, note="by doctor 2")
        read = await doc1.patient_api.get_patient(created.id)
        assert (read.note, read.company_name) == ("by doctor 2", "a firm")
        assert [one.partner_id for one in read.partnerships] == ["a partner"]
        read.languages = ["nl"]
        saved = await doc1.patient_api.create_or_modify_patient(read)
        again = await pat1.get_patient(created.id)
        assert again is not None
        assert (again["note"], again["languages"]) == ("by doctor 2", ["nl"])
        # The other shares on, and ours reads it as the third.
        await doc2.share_patient(created.id, owner_of("doc3"))
        doc3 = await world.user("doc3")
        assert await doc3.patient_api.get_patient(created.id) == saved.evolve(
            rev=(await world.stored(created.id))["rev"]
        )
        assert (await world.audit()).problems == []


async def test_ours_changes_nested_content_of_the_others_and_nothing_of_it_gets_into_clear(
    start_cardinal: StartCardinal, client_session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with Sandbox(seed=of_stage("3-more-entities"), profile="strict") as sandbox:
        world = TodayWorld(sandbox, client_session)
        for flavour in ("cardinal", "medtech"):
            doc2 = await world.user("doc2", flavour)
            robb = await doc2.patient_api.get_patient(ROBB)
            robb.note, robb.civility = f"by {flavour}", "Mr"
            await doc2.patient_api.create_or_modify_patient(robb)
            doc1 = await cardinal_of("doc1", sandbox, start_cardinal, tmp_path)
            read = await doc1.get_patient(ROBB)
            assert read is not None
            assert (read["note"], read["civility"]) == (f"by {flavour}", "Mr")
            assert read["insurabilities"][0]["insuranceId"]
            assert read["notes"][0]["markdown"]
            assert "ACME" not in json.dumps(await world.stored(ROBB))


async def test_a_record_of_2023_that_ours_migrates_is_the_others_from_then_on(
    start_cardinal: StartCardinal, client_session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with Sandbox(seed=of_stage("legacy-2-cardinal")) as sandbox:
        world = TodayWorld(sandbox, client_session)
        hcp = await world.user("hcp")
        zoe = await hcp.patient_api.get_patient(ZOE)
        await hcp.patient_api.give_access_to(zoe, owner_of("newdoc"))
        newdoc = await cardinal_of("newdoc", sandbox, start_cardinal, tmp_path)
        read = await newdoc.get_patient(ZOE)
        assert read is not None
        assert read["note"] == zoe.note
        await newdoc.modify_patient(ZOE, note="by newdoc")
        for name, flavour in (("hcp", "cardinal"), ("ned", "cardinal"), ("ned", "medtech")):
            other = await world.user(name, flavour)
            assert (await other.patient_api.get_patient(ZOE)).note == "by newdoc"
