"""Records that belong to a patient, as today's clients have them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import pytest

from icure_async import HealthcareElement, HealthcareElementFilter, Patient
from icure_async.entities.metadata import Parent
from icure_async.errors import ValidationError
from icure_async.sandbox import Sandbox
from tests.support.cardinal_sandbox import TodayWorld, of_stage, owner_of
from tests.support.request_log import RequestLog
from tests.support.seeds import Json

ROBB: Final = "4449666c-53f6-583f-9a89-0119613666f0"
CONDITION: Final = "01106835-f1ab-5390-b2a5-5e292f115a54"
ROOT: Final = "/rest/v2"


@pytest.fixture
async def today(client_session: aiohttp.ClientSession) -> AsyncIterator[TodayWorld]:
    async with Sandbox(seed=of_stage("3-more-entities"), profile="strict") as running:
        yield TodayWorld(running, client_session)


async def test_a_condition_of_another_client_is_read(today: TodayWorld) -> None:
    for name in ("doc1", "doc2"):
        elements = (await today.user(name)).healthcare_element_api
        read = await elements.get_healthcare_element(CONDITION)
        assert (read.description, read.note) == ("made-up condition", "he note")
        assert read.healthcare_element_id == CONDITION
        listed = await elements.get_healthcare_elements_for_patient(ROBB)
        assert listed == [read]


async def test_a_condition_belongs_to_its_patient_and_only_readers_know_to_whom(
    today: TodayWorld, requests: RequestLog
) -> None:
    doc1 = await today.user("doc1")
    elements = doc1.healthcare_element_api
    # With its exchange data known.
    await elements.get_healthcare_elements_for_patient(ROBB)
    await doc1.patient_api.create_or_modify_patient(Patient(first_name="A"))
    requests.take()
    condition = await elements.create_or_modify_healthcare_element(
        HealthcareElement(description="SECRET", note="n"), ROBB
    )
    assert len(requests.take()) == 2
    stored = await today.stored(condition.id, "helement")
    patients = doc1._parts.patients
    secret_ids = await patients.metadata.secret_ids_of(await patients.read(ROBB))
    assert len(stored["secretForeignKeys"]) == 1
    assert set(stored["secretForeignKeys"]) <= set(secret_ids)
    assert ROBB not in str(stored)
    assert "SECRET" not in str(stored)
    read = await today.read_by("doc1", condition.id, "helement")
    assert read is not None
    assert read["descr"] == "SECRET"

    requests.take()
    shared = await elements.give_access_to(condition, owner_of("doc2"))
    lines = requests.take()
    assert lines[0] == f"GET {ROOT}/patient/{ROBB}"
    # Others look up the exchange data.
    assert lines[-1] == f"PUT {ROOT}/helement/bulkSharedMetadataUpdate"
    assert await elements.give_access_to(shared, owner_of("doc2")) is shared
    assert requests.take() == []
    doc2 = await today.user("doc2")
    assert await doc2.healthcare_element_api.get_healthcare_element(condition.id) == shared
    listed = await doc2.healthcare_element_api.get_healthcare_elements_for_patient(ROBB)
    assert {each.id for each in listed} == {CONDITION, condition.id}
    delegations: Json = (await today.stored(condition.id, "helement"))["securityMetadata"]
    assert [len(one["owningEntityIds"]) for one in delegations["secureDelegations"].values()] == [
        1,
        1,
    ]
    # A record of which nothing is missing is changed and shared without another look.
    requests.take()
    changed = await elements.create_or_modify_healthcare_element(shared.evolve(note="m"))
    assert requests.take() == [f"PUT {ROOT}/helement"]
    assert changed.note == "m"
    access = await doc1.patient_api.give_access_to_all_data_of(ROBB, owner_of("doc2"))
    assert access.healthcare_elements.shared_before == 2
    assert (await today.audit()).problems == []

    patient = await doc1.patient_api.get_patient(ROBB)
    requests.take()
    assert len(await elements.get_healthcare_elements_for_patient(patient)) == 2
    assert requests.take() == [f"POST {ROOT}/helement/filter"]
    wanted = HealthcareElementFilter().for_patients([patient])
    assert set(await elements.match_healthcare_element(wanted)) == {CONDITION, condition.id}
    assert await elements.delete_healthcare_element(condition.id) == condition.id
    assert await elements.match_healthcare_element(wanted) == [CONDITION]


async def test_conditions_are_created_and_changed_together(
    today: TodayWorld, requests: RequestLog
) -> None:
    doc1 = await today.user("doc1")
    elements = doc1.healthcare_element_api
    await elements.get_healthcare_elements_for_patient(ROBB)
    await doc1.patient_api.create_or_modify_patient(Patient(first_name="A"))
    new = [HealthcareElement(description=text, note="n") for text in ("a", "b", "c")]
    requests.take()
    result = await elements.create_or_modify_healthcare_elements(new, ROBB)
    assert requests.take() == [f"GET {ROOT}/patient/{ROBB}", f"POST {ROOT}/helement/batch"]
    result.raise_for_failures()
    changed = [each.evolve(note="m") for each in result.saved]
    again = await elements.create_or_modify_healthcare_elements(changed)
    assert requests.take() == [f"PUT {ROOT}/helement/batch"]
    assert [each.note for each in again.saved] == ["m"] * 3
    assert (await today.audit()).problems == []


async def test_a_patient_of_today_writes_what_those_with_access_find(
    today: TodayWorld, requests: RequestLog
) -> None:
    """The patient is anonymous: no record says who it is from."""
    pat1, doc1 = await today.user("pat1"), await today.user("doc1")
    own_id = owner_of("pat1")
    await pat1.patient_api.give_access_to_all_data_of(own_id, owner_of("doc1"))
    elements = pat1.healthcare_element_api
    condition = await elements.create_or_modify_healthcare_element(
        HealthcareElement(description="mine"), own_id
    )
    condition = await elements.give_access_to(condition, owner_of("doc1"))
    stored = await today.stored(condition.id, "helement")
    assert own_id not in str(stored["securityMetadata"])
    listed = await elements.get_healthcare_elements_for_patient(own_id)
    assert condition in listed
    theirs = await doc1.healthcare_element_api.get_healthcare_elements_for_patient(own_id)
    assert condition in theirs


async def test_all_data_of_a_patient_is_shared_with_few_requests(
    today: TodayWorld, requests: RequestLog
) -> None:
    doc1 = await today.user("doc1")
    await doc1.healthcare_element_api.create_or_modify_healthcare_element(
        HealthcareElement(description="second"), ROBB
    )
    requests.take()
    access = await doc1.patient_api.give_access_to_all_data_of(ROBB, owner_of("pat1"))
    lines = requests.take()
    print(f"give access to all data: {len(lines)}", *lines, sep="\n    ")
    access.raise_for_failures()
    assert access.patient.shared == 1
    assert (access.healthcare_elements.shared, access.data_samples.shared) == (2, 1)
    # Three of them make the exchange data with the delegate.
    assert len(lines) <= 11
    assert len([line for line in lines if "exchangedata" in line or "stub" in line]) == 3
    pat1 = (await today.user("pat1")).healthcare_element_api
    assert len(await pat1.get_healthcare_elements_for_patient(ROBB)) == 2
    assert (await today.audit()).problems == []
    requests.take()
    access = await doc1.patient_api.give_access_to_all_data_of(ROBB, owner_of("pat1"))
    assert (access.healthcare_elements.shared_before, access.data_samples.shared_before) == (2, 1)
    assert not any("PUT" in line for line in requests.take())


async def test_a_parent_is_named_for_what_has_one_and_for_nothing_else(today: TodayWorld) -> None:
    doc1 = await today.user("doc1")
    elements = doc1._parts.healthcare_elements
    with pytest.raises(ValidationError, match="belongs to another record"):
        await elements.create(HealthcareElement(description="x"))
    patients = doc1._parts.patients
    with pytest.raises(ValidationError, match="belongs to no other record"):
        await patients.create(patients.kind.clear(first_name="x"), parent=Parent("p", ["s"]))
