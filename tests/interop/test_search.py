"""Patients written with both SDKs, found by the same filters with each of them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from icure_async import Identifier, Patient, PatientFilter
from tests.support.our_sdk import register_with_sdk, sdk
from tests.support.reference_steps import log_in_as_master, may_meet_valid_padding

if TYPE_CHECKING:
    from icure_async.models.filters import Filter
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import JsonObject, ReferenceSdk

pytestmark = pytest.mark.interop

PHONE = "+32588235595"
BORN = 1987_06_18


async def found_by_reference(
    reference: ReferenceSdk, wanted: JsonObject
) -> list[tuple[str, str | None]]:
    found: list[JsonObject] = []
    start_id: str | None = None
    while True:
        rows, start_id = await reference.filter_patients(wanted, start_id=start_id, limit=2)
        found += rows
        if start_id is None:
            return [(row["id"], row.get("note")) for row in found]


@may_meet_valid_padding
async def test_both_find_and_read_the_same_patients(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    result = await register_with_sdk(sandbox, PHONE)
    async with result.med_tech_api as ned:
        ours = [
            await ned.patient_api.create_or_modify_patient(
                Patient(
                    first_name=f"Robb {number}",
                    last_name="Stárk",
                    gender="male" if number % 2 else "female",
                    date_of_birth=BORN + number,
                    ssin=f"8706{number}",
                    identifiers=[Identifier(system="ravens", value=str(number))],
                    note=f"our {number}",
                )
            )
            for number in range(4)
        ]
    master = sandbox.master_hcp
    await log_in_as_master(reference, sandbox)
    theirs = [
        await reference.create_patient(
            firstName="Jon",
            lastName="Snow",
            gender="male",
            dateOfBirth=BORN,
            ssin=f"8707{number}",
            note=f"their {number}",
        )
        for number in range(3)
    ]
    mine = PatientFilter()
    stark, male = mine.contains_fuzzy("STARK"), mine.by_gender_education_profession("male")
    today = dt.date(2027, 6, 18)
    searches: list[tuple[PatientFilter | Filter, int]] = [
        (mine, 8),
        (mine.for_data_owner(result.data_owner_id), 5),
        (stark, 5),
        (male, 5),
        (stark & male, 2),
        (stark | mine.with_ssins(["87070", "87071"]), 7),
        (mine.contains_fuzzy("snow") & ~mine.with_ssins(["87070", "8706"]), 2),
        (mine.date_of_birth_between(BORN + 1, dt.date(1987, 6, 20)), 2),
        (mine.of_age(40, today=today), 4),
        (mine.of_age(39, today=today), 3),
        (mine.by_identifiers([Identifier(system="ravens", value="2")]), 1),
        (mine.by_ids([ours[0].id, theirs[0]["id"], "unknown"]), 2),
        (mine.by_ids([]), 0),
    ]
    notes = {patient.id: patient.note for patient in ours}
    notes |= {row["id"]: row["note"] for row in theirs}
    async with sdk(sandbox, master.login, master.password) as hcp:
        await hcp.init_user_crypto(master.key_pair)
        for wanted, count in searches:
            found = [
                (patient.id, patient.note)
                async for patient in hcp.patient_api.filter_patients(wanted, page_size=2)
            ]
            on_wire = wanted.build().to_wire(master.data_owner_id)
            assert found == await found_by_reference(reference, on_wire)
            assert {known for known, _ in found} == set(await reference.match_patients(on_wire))
            assert {known for known, _ in found} == set(
                await hcp.patient_api.match_patients(wanted)
            )
            assert len(found) == await hcp.patient_api.count_patients(wanted) == count
            assert all(notes.get(known) == note for known, note in found)
