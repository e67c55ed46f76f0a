"""Professionals and devices that the reference wrote, and the requests that it makes for them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from icure_async import (
    Address,
    HealthcareProfessional,
    HealthcareProfessionalFilter,
    MedicalDevice,
    MedicalDeviceFilter,
    MedTechApi,
    Patient,
    Property,
    PropertyType,
)
from icure_async.entities.stored_members import without_empty
from icure_async.sandbox import Sandbox
from tests.support.golden import GOLDEN, WORLD2
from tests.support.golden_sandbox import Opener
from tests.support.request_log import RequestLog
from tests.support.seeds import stage

Json = dict[str, Any]

STAGE = "14-people"
TYPES = {"healthcareProfessional": "hcparty", "medicalDevice": "device"}
EXPECTED: list[Json] = [
    entry for entry in WORLD2["expected"] if entry["stage"] == STAGE and entry["type"] in TYPES
]
STORED: Json = WORLD2["stages"][STAGE]["entities"]
TRANSCRIPT: Json = json.loads((GOLDEN / "transcript2.json").read_text("utf-8"))
BUGS: dict[str, Json] = {bug["name"]: bug["observed"] for bug in TRANSCRIPT["bugs"]}
CALLS: dict[tuple[str, str], Json] = {
    (call["method"].partition(".")[2], call.get("note", "")): call for call in TRANSCRIPT["calls"]
}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=stage(WORLD2, STAGE), jwt=False) as running:
        yield running


@pytest.fixture
def opener(sandbox: Sandbox, client_session: aiohttp.ClientSession) -> Opener:
    return Opener(sandbox.icure_url, WORLD2, client_session)


@pytest.fixture
async def api(opener: Opener, requests: RequestLog) -> MedTechApi:
    opened = await opener.golden("hcpA")
    requests.take()
    return opened


@pytest.mark.parametrize("entry", EXPECTED, ids=lambda entry: f"{entry['reader']}-{entry['id']}")
async def test_every_reader_reads_what_is_expected(opener: Opener, entry: Json) -> None:
    reader = await opener.golden(entry["reader"])
    record: HealthcareProfessional | MedicalDevice
    if entry["type"] == "medicalDevice":
        record = await reader.medical_device_api.get_medical_device(entry["id"])
    else:
        record = await reader.healthcare_professional_api.get_healthcare_professional(entry["id"])
    read = record.to_dict()
    assert {name: read.get(name) for name in entry["fields"]} == entry["fields"]


async def test_everything_of_the_stage_is_found(api: MedTechApi) -> None:
    found = {
        person.id
        async for person in api.healthcare_professional_api.filter_healthcare_professional_by()
    }
    devices = {device.id async for device in api.medical_device_api.filter_medical_devices()}
    assert [entry["type"] for entry in EXPECTED].count("medicalDevice") == 2
    assert len(EXPECTED) == 5
    for ids, kind in ((found, "hcparty"), (devices, "device")):
        stored = STORED[kind].values()
        assert ids >= {one["id"] for one in stored if not one.get("deletionDate")}
        assert ids.isdisjoint(one["id"] for one in stored if one.get("deletionDate"))


async def test_everything_of_the_stage_can_be_written_back(
    api: MedTechApi, sandbox: Sandbox
) -> None:
    """Nothing of a document changes but its revision, and its official name where it has none."""
    professionals, devices = api.healthcare_professional_api, api.medical_device_api
    for kind in TYPES.values():
        for record_id in STORED[kind]:
            before = without_empty(await sandbox.stored(kind, record_id))
            if kind == "device":
                device = await devices.get_medical_device(record_id)
                await devices.create_or_modify_medical_device(device)
            else:
                person = await professionals.get_healthcare_professional(record_id)
                await professionals.create_or_modify_healthcare_professional(person)
            after = without_empty(await sandbox.stored(kind, record_id))
            differing = {
                name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
            }
            # The last one is a default of the sandbox.
            assert differing - {"rev", "modified", "public"} <= {"names", "name"} - before.keys()


async def test_a_name_that_the_reference_left_stale_is_right_after_a_rename(
    api: MedTechApi,
) -> None:
    """It had been renamed from Tarth64 with the reference (second-world.md §2.6)."""
    professionals = api.healthcare_professional_api
    (person_id,) = {
        entry["id"] for entry in EXPECTED if entry["fields"].get("lastName") == "Mormont17"
    }
    person = await professionals.get_healthcare_professional(person_id)
    assert person.name == person.names[0].text == "Tarth64 Brienne86"
    person.last_name = "Stark"
    renamed = await professionals.create_or_modify_healthcare_professional(person)
    assert renamed.name == renamed.names[0].text == "Stark Brienne86"
    assert renamed.names[0].last_name == "Stark"


# --- Calls of the reference -----------------------------------------------------------------------


def recorded(method: str, note: str = "") -> tuple[int, Json]:
    call = CALLS[method, note]
    return call["cold"], call["coldRequests"][0] if call["coldRequests"] else {}


def line_of(request: Json) -> str:
    return f"{request['method']} {request['path']}"


def without_ids(body: Json) -> Json:
    return {name: value for name, value in body.items() if name != "id"}


async def test_a_professional_is_created_with_the_recorded_request(
    api: MedTechApi, sandbox: Sandbox, requests: RequestLog
) -> None:
    count, request = recorded("createOrModifyHealthcareProfessional", "create")
    created = await api.healthcare_professional_api.create_or_modify_healthcare_professional(
        HealthcareProfessional(first_name="x", last_name="y")
    )
    assert requests.take() == [line_of(request)] * count
    stored = await sandbox.stored("hcparty", created.id)
    assert stored is not None
    sent = without_ids(request["body"])
    assert {name: stored.get(name) for name in sent if sent[name]} == {
        name: value for name, value in sent.items() if value
    } | {"names": [sent["names"][0] | {"prefix": [], "suffix": []}]}


async def test_counts_of_requests_for_professionals(api: MedTechApi, requests: RequestLog) -> None:
    professionals = api.healthcare_professional_api
    created = await professionals.create_or_modify_healthcare_professional(
        HealthcareProfessional(last_name="y")
    )
    by_id = HealthcareProfessionalFilter().by_ids([created.id])
    counts: dict[tuple[str, str], int] = {("createOrModifyHealthcareProfessional", "create"): 1}
    requests.take()
    await professionals.create_or_modify_healthcare_professional(created.evolve(notes="n"))
    counts["createOrModifyHealthcareProfessional", "modify"] = len(requests.take())
    await professionals.get_healthcare_professional(created.id)
    counts["getHealthcareProfessional", ""] = len(requests.take())
    assert [one.id async for one in professionals.filter_healthcare_professional_by(by_id)]
    counts["filterHealthcareProfessionalBy", ""] = len(requests.take())
    assert await professionals.match_healthcare_professional_by(by_id) == [created.id]
    counts["matchHealthcareProfessionalBy", ""] = len(requests.take())
    await professionals.delete_healthcare_professional(created.id)
    counts["deleteHealthcareProfessional", ""] = len(requests.take())
    assert_at_most_as_many_as_recorded(counts)


async def test_counts_of_requests_for_devices(api: MedTechApi, requests: RequestLog) -> None:
    devices = api.medical_device_api
    counts: dict[tuple[str, str], int] = {}
    created = await devices.create_or_modify_medical_device(MedicalDevice(name="dev"))
    counts["createOrModifyMedicalDevice", "create"] = len(requests.take())
    await devices.create_or_modify_medical_device(created.evolve(name="d"))
    counts["createOrModifyMedicalDevice", "modify"] = len(requests.take())
    assert list(counts.values()) == [1, 1]
    result = await devices.create_or_modify_medical_devices(
        [MedicalDevice(name="dev"), MedicalDevice(name="dev")]
    )
    counts["createOrModifyMedicalDevices", ""] = len(requests.take())
    assert counts["createOrModifyMedicalDevices", ""] == 2
    await devices.get_medical_device(created.id)
    counts["getMedicalDevice", ""] = len(requests.take())
    by_id = MedicalDeviceFilter().by_ids([created.id])
    assert [one.id async for one in devices.filter_medical_devices(by_id)] == [created.id]
    counts["filterMedicalDevices", ""] = len(requests.take())
    await devices.delete_medical_device(created.id)
    counts["deleteMedicalDevice", ""] = len(requests.take())
    await devices.delete_medical_devices([device.id for device in result.saved])
    counts["deleteMedicalDevices", ""] = len(requests.take())
    assert_at_most_as_many_as_recorded(counts)


def assert_at_most_as_many_as_recorded(counts: dict[tuple[str, str], int]) -> None:
    for call, count in counts.items():
        assert 0 < count <= CALLS[call]["cold"], call


# --- Bugs of the reference ------------------------------------------------------------------------


async def test_devices_are_matched(api: MedTechApi) -> None:
    assert CALLS["matchMedicalDevices", ""]["coldError"].startswith("No mapper")
    ids = list(STORED["device"])[:2]
    by_ids = MedicalDeviceFilter().by_ids(ids)
    assert await api.medical_device_api.match_medical_devices(by_ids) == ids


async def test_pictures_are_saved(api: MedTechApi) -> None:
    assert set(BUGS["hcp / device / patient with a picture"]) == {"hcp", "device", "patient"}
    picture = b"\x89PNG\r\n\x1a\n"
    professional = await api.healthcare_professional_api.create_or_modify_healthcare_professional(
        HealthcareProfessional(last_name="y", picture=picture)
    )
    device = await api.medical_device_api.create_or_modify_medical_device(
        MedicalDevice(picture=picture)
    )
    patient = await api.patient_api.create_or_modify_patient(
        Patient(last_name="y", picture=picture)
    )
    assert professional.picture == device.picture == patient.picture == picture


async def test_the_description_of_an_address_and_the_deletion_of_a_property_are_saved(
    api: MedTechApi, sandbox: Sandbox
) -> None:
    lost = BUGS["hcp address description and property deleted on save"]
    created = await api.healthcare_professional_api.create_or_modify_healthcare_professional(
        HealthcareProfessional(
            last_name="y",
            addresses=[Address(city="x", description="d")],
            properties=[Property(id="p", type=PropertyType(type="STRING"), deleted=9)],
        )
    )
    stored = await sandbox.stored("hcparty", created.id)
    assert stored is not None
    assert without_empty(stored["addresses"]) == [
        without_empty(lost["addresses"][0]) | {"descr": "d"}
    ]
    assert stored["properties"][0]["deletionDate"] == 9
