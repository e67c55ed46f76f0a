"""Professionals and devices of one SDK, read and modified by the other."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from icure_async import (
    Address,
    HealthcareProfessional,
    HealthcareProfessionalFilter,
    MedicalDevice,
    Patient,
    Property,
    PropertyType,
    Telecom,
)
from icure_async.errors import ConflictError
from tests.support.our_sdk import sdk
from tests.support.reference_steps import log_in_as_master

if TYPE_CHECKING:
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import ReferenceSdk

pytestmark = pytest.mark.interop

PICTURE = bytes(range(256))


async def test_our_professional_is_read_renamed_and_read_again(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    hcp = sandbox.master_hcp
    await log_in_as_master(reference, sandbox)
    async with sdk(sandbox, hcp.login, hcp.password) as api:
        professionals = api.healthcare_professional_api
        ours = await professionals.create_or_modify_healthcare_professional(
            HealthcareProfessional(
                first_name="Brienne",
                last_name="Tarth",
                picture=PICTURE,
                addresses=[
                    Address(
                        address_type="work",
                        description="d",
                        telecoms=[Telecom(telecom_type="email", telecom_number="b@c.example")],
                    )
                ],
                properties=[Property(id="p", type=PropertyType(type="STRING"), deleted=9)],
            )
        )
        theirs = await reference.get_professional(ours.id)
        assert (theirs["name"], theirs["lastName"]) == ("Tarth Brienne", "Tarth")
        assert theirs["picture"] == base64.b64encode(PICTURE).decode()
        assert theirs["addresses"][0]["descr"] == "d"
        assert theirs["properties"][0]["deletionDate"] == 9
        assert await reference.find_professionals(
            **{"$type": "HealthcarePartyByNameFilter", "name": "Tarth"}
        ) == [ours.id]

        # Its package can't send the bytes that it has made of a picture.
        picture = base64.b64encode(PICTURE).decode()
        await reference.modify_professional(ours.id, lastName="Mormont", picture=picture)
        read = await professionals.get_healthcare_professional(ours.id)
        assert (read.last_name, read.name, read.picture) == ("Mormont", "Tarth Brienne", PICTURE)
        read.last_name = "Stark"
        await professionals.create_or_modify_healthcare_professional(read)
        theirs = await reference.get_professional(ours.id)
        assert theirs["name"] == theirs["names"][0]["text"] == "Stark Brienne"
        assert theirs["names"][0]["lastName"] == "Stark"


async def test_the_references_professional_is_read_and_modified(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    hcp = sandbox.master_hcp
    await log_in_as_master(reference, sandbox)
    theirs = await reference.create_professional(
        id="c0ffee00-0000-4000-8000-000000000001", lastName="Mormont", firstName="Jeor", nihii="1"
    )
    async with sdk(sandbox, hcp.login, hcp.password) as api:
        professionals = api.healthcare_professional_api
        by_name = HealthcareProfessionalFilter().by_matches("Mormont")
        assert await professionals.match_healthcare_professional_by(by_name) == [theirs["id"]]
        read = await professionals.get_healthcare_professional(theirs["id"])
        assert (read.name, read.names[0].text) == ("Mormont Jeor", "Mormont Jeor")
        read.speciality = "command"
        await professionals.create_or_modify_healthcare_professional(read)
    modified = await reference.get_professional(theirs["id"])
    changed = {"rev", "modified", "speciality"}
    assert modified["speciality"] == "command"
    assert {name: value for name, value in modified.items() if name not in changed} == {
        name: value for name, value in theirs.items() if name not in changed
    }


async def test_devices_go_both_ways(sandbox: Sandbox, reference: ReferenceSdk) -> None:
    hcp = sandbox.master_hcp
    await log_in_as_master(reference, sandbox)
    (theirs,) = await reference.create_devices(
        {"id": "c0ffee00-0000-4000-8000-000000000002", "name": "theirs", "model": "T1"}
    )
    async with sdk(sandbox, hcp.login, hcp.password) as api:
        devices = api.medical_device_api
        read = await devices.get_medical_device(theirs["id"])
        assert (read.name, read.model) == ("theirs", "T1")
        result = await devices.create_or_modify_medical_devices(
            [read.evolve(name="changed"), MedicalDevice(name="ours", picture=PICTURE)]
        )
        result.raise_for_failures()
        assert (await reference.get_device(theirs["id"]))["name"] == "changed"
        ours = result.saved[1]
        assert (await reference.get_device(ours.id))["name"] == "ours"
        await reference.modify_device(theirs["id"], brand="Acme")
        with pytest.raises(ConflictError):
            await devices.create_or_modify_medical_device(result.saved[0].evolve(brand="other"))
        again = await devices.get_medical_device(theirs["id"])
        assert (again.name, again.brand) == ("changed", "Acme")


async def test_a_renamed_owner_is_read_by_the_reference_and_goes_on_sharing(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    """Our rename of the logged-in professional leaves its keys as the reference needs them."""
    hcp = sandbox.master_hcp
    await log_in_as_master(reference, sandbox)
    before = await reference.create_patient(firstName="A", lastName="B", note="before")
    async with sdk(sandbox, hcp.login, hcp.password) as api:
        await api.init_user_crypto(hcp.key_pair)
        own = await api.healthcare_professional_api.get_healthcare_professional(
            await api.data_owner_id()
        )
        await api.healthcare_professional_api.create_or_modify_healthcare_professional(
            own.evolve(last_name="Renamed")
        )
        assert (await api.patient_api.get_patient(before["id"])).note == "before"
        ours = await api.patient_api.create_or_modify_patient(Patient(last_name="C", note="after"))
    await log_in_as_master(reference, sandbox)
    assert (await reference.get_patient(ours.id))["note"] == "after"
    assert (await reference.get_patient(before["id"]))["note"] == "before"
