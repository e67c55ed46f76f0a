"""People who register with our SDK by SMS and go on with today's, on the same records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icure_async import Patient
from icure_async.storage.cardinal_keys import write_cardinal_folder
from tests.support.notes import MARKER
from tests.support.people_of_today import Town, town  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from pathlib import Path

    from icure_async import MedTechApi
    from tests.support.cardinal_sdk import CardinalSdk, StartCardinal
    from tests.support.people_of_today import Person

pytestmark = pytest.mark.interop


async def with_cardinal(
    place: Town, person: Person, start_cardinal: StartCardinal, folder: Path
) -> CardinalSdk:
    """Today's SDK with the keys of a person, of which it makes no new one."""
    pairs = await person.device.keys.list_key_pairs(person.owner_id)
    await write_cardinal_folder(folder / person.owner_id, person.owner_id, pairs)
    cardinal = await start_cardinal()
    await cardinal.start(
        place.sandbox.backend_url,
        person.login,
        person.secret,
        folder / person.owner_id,
        new_key="deny",
    )
    return cardinal


async def exchange_data_of(place: Town) -> set[str]:
    return set((await place.sandbox.export())["entities"]["exchangedata"])


async def note_of(api: MedTechApi, patient_id: str) -> str | None:
    return (await api.patient_api.get_patient(patient_id)).note


async def test_a_professional_and_a_patient_register_and_both_sdks_go_on(
    town: Town,  # noqa: F811 - the fixture
    start_cardinal: StartCardinal,
    tmp_path: Path,
) -> None:
    doctor, doctors = await town.registered(professional=True)
    patient, patients = await town.registered()
    created = await doctors.patient_api.create_or_modify_patient(
        Patient(first_name="Robb", last_name="Stark", note=MARKER)
    )
    robb = str(created.id)
    await doctors.patient_api.give_access_to(created, patient.owner_id)
    mine = await patients.patient_api.create_or_modify_patient(
        Patient(first_name="Bran", last_name="Stark", note="by the patient")
    )
    bran = str(mine.id)
    await patients.patient_api.give_access_to(mine, doctor.owner_id)
    before = await exchange_data_of(town)

    doctors_cardinal = await with_cardinal(town, doctor, start_cardinal, tmp_path)
    patients_cardinal = await with_cardinal(town, patient, start_cardinal, tmp_path)
    for cardinal in (doctors_cardinal, patients_cardinal):
        assert [(await cardinal.get_patient(one) or {})["note"] for one in (robb, bran)] == [
            MARKER,
            "by the patient",
        ]
    await patients_cardinal.modify_patient(robb, note="changed by the patient")
    assert await note_of(doctors, robb) == "changed by the patient"
    theirs = await doctors_cardinal.create_patient(
        firstName="Arya", note="by Cardinal", delegates={patient.owner_id: "Write"}
    )
    assert await note_of(doctors, theirs["id"]) == "by Cardinal"
    assert await note_of(patients, theirs["id"]) == "by Cardinal"
    # Its proof that ours was right: it wrote with our exchange data, and made none.
    assert await exchange_data_of(town) == before
