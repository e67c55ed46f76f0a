"""The numbers of requests about clinical records. One may go down; one that goes up is a mistake.

Shown with ``pytest -s``. The reference's numbers are in second-world.md §5.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from icure_async import Coding, Content, DataSample, HealthcareElement, MedTechApi, Patient
from icure_async.keys import current_user
from icure_async.models.flavour import Flavour
from tests.support.counts import Count
from tests.support.our_sdk import saved
from tests.support.people_of_today import Town, town
from tests.support.request_log import RequestLog

__all__ = ["town"]

FLAVOURS: Final[list[Flavour]] = ["medtech", "cardinal"]
BYTES: Final = b"0123456789" * 1000

# Name of the call → the most requests of it, of somebody who knows the exchange keys already.
LIMITS: Final = {
    "create a condition": 2,
    "get a condition": 1,
    "modify a condition": 1,
    "conditions of a patient": 1,
    "create 20 conditions": 3,
    "share a condition": 2,
    "create a sample": 2,
    "create 20 samples": 2,
    "get a sample": 1,
    "modify a sample": 3,
    "samples of a patient": 1,
    "share a sample": 3,
    "delete a sample": 2,
    "set an attachment": 4,
    "document of an attachment": 2,
    "content of an attachment": 2,
    "delete an attachment": 5,
    "create a coding": 1,
    "create 20 codings": 2,
    "get a coding": 1,
}


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the list of automatic delegates stay fresh: an older one costs one request."""
    monkeypatch.setattr(current_user, "_MAX_AGE_OF_SHARING_SECONDS", 300.0)


class Counting:
    """Counts the requests of calls, and holds them against the limits."""

    def __init__(self, requests: RequestLog) -> None:
        self._requests = requests
        self.counts: dict[str, int] = {}
        requests.take()

    def took(self, call: str) -> None:
        """Say which call has just been made."""
        lines = self._requests.take()
        print(f"{call}: {len(lines)}", *lines, sep="\n    ")
        self.counts[call] = len(lines)

    def check(self, count: Count, flavour: Flavour, *calls: str) -> None:
        count(f"requests ({flavour}): {self.counts}")
        assert self.counts.keys() == set(calls)
        assert all(0 < number <= LIMITS[call] for call, number in self.counts.items())


def sample(number: float) -> DataSample:
    return DataSample(content={"en": Content(number_value=number)})


async def patient_of(api: MedTechApi) -> Patient:
    return await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_conditions(town: Town, requests: RequestLog, count: Count, flavour: Flavour) -> None:
    other, _ = await town.registered(professional=True, flavour=flavour)
    _, api = await town.registered(professional=True, flavour=flavour)
    conditions, patient = api.healthcare_element_api, await patient_of(api)
    patient = await api.patient_api.give_access_to(patient, other.owner_id)
    counting = Counting(requests)
    created = await conditions.create_or_modify_healthcare_element(
        HealthcareElement(description="d"), str(patient.id)
    )
    counting.took("create a condition")
    read = await conditions.get_healthcare_element(str(created.id))
    counting.took("get a condition")
    changed = await conditions.create_or_modify_healthcare_element(read.evolve(note="n"))
    counting.took("modify a condition")
    found = await conditions.get_healthcare_elements_for_patient(patient)
    counting.took("conditions of a patient")
    assert [one.note for one in found] == ["n"]
    many = [HealthcareElement(description=str(number)) for number in range(20)]
    result = await conditions.create_or_modify_healthcare_elements(many, str(patient.id))
    counting.took("create 20 conditions")
    assert len(saved(result)) == 20
    await conditions.give_access_to(changed, other.owner_id)
    counting.took("share a condition")
    counting.check(count, flavour, *list(LIMITS)[:6])


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_samples(town: Town, requests: RequestLog, count: Count, flavour: Flavour) -> None:
    other, _ = await town.registered(professional=True, flavour=flavour)
    _, api = await town.registered(professional=True, flavour=flavour)
    samples, patient = api.data_sample_api, await patient_of(api)
    patient = await api.patient_api.give_access_to(patient, other.owner_id)
    counting = Counting(requests)
    created = await samples.create_or_modify_data_sample_for(str(patient.id), sample(1))
    counting.took("create a sample")
    result = await samples.create_or_modify_data_samples_for(
        str(patient.id), [sample(number) for number in range(20)]
    )
    counting.took("create 20 samples")
    assert len(result) == 20
    read = await samples.get_data_sample(str(created.id))
    counting.took("get a sample")
    read.content["en"].number_value = 2
    changed = await samples.create_or_modify_data_sample_for(str(patient.id), read)
    counting.took("modify a sample")
    found = await samples.get_data_samples_for_patient(patient)
    counting.took("samples of a patient")
    assert len(found) == 21
    shared = await samples.give_access_to(changed, other.owner_id)
    counting.took("share a sample")
    await samples.delete_data_sample(str(shared.id))
    counting.took("delete a sample")
    counting.check(count, flavour, *list(LIMITS)[6:13])


@pytest.mark.parametrize("professional", [True, False], ids=["professional", "patient"])
@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_attachments(
    town: Town, requests: RequestLog, count: Count, flavour: Flavour, professional: bool
) -> None:
    person, api = await town.registered(professional=professional, flavour=flavour)
    samples = api.data_sample_api
    patient_id = person.owner_id if not professional else str((await patient_of(api)).id)
    created = await samples.create_or_modify_data_sample_for(patient_id, sample(1))
    place: dict[str, Any] = {"document_name": "a.bin", "document_language": "fr"}
    # The first document of a patient of today takes one more: it makes the exchange data maps.
    await samples.set_data_sample_attachment(str(created.id), BYTES, document_language="nl")
    counting = Counting(requests)
    document = await samples.set_data_sample_attachment(str(created.id), BYTES, **place)
    counting.took("set an attachment")
    ids = (str(created.id), str(document.id))
    assert (await samples.get_data_sample_attachment_document(*ids)).name == "a.bin"
    counting.took("document of an attachment")
    assert await samples.get_data_sample_attachment_content(*ids) == BYTES
    counting.took("content of an attachment")
    await samples.delete_attachment(*ids)
    counting.took("delete an attachment")
    counting.check(count, flavour, *list(LIMITS)[13:17])


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_codings(town: Town, requests: RequestLog, count: Count, flavour: Flavour) -> None:
    _, api = await town.registered(professional=True, flavour=flavour)
    codings = api.coding_api
    counting = Counting(requests)
    created = await codings.create_or_modify_coding(Coding(type="T", code="A", version="1"))
    counting.took("create a coding")
    many = [Coding(type="T", code=f"B{number}", version="1") for number in range(20)]
    assert len(saved(await codings.create_or_modify_codings(many))) == 20
    counting.took("create 20 codings")
    await codings.get_coding(str(created.id))
    counting.took("get a coding")
    counting.check(count, flavour, *list(LIMITS)[17:])


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_all_data_of_a_patient_with_two_conditions_and_two_contacts(
    town: Town, requests: RequestLog, count: Count, flavour: Flavour
) -> None:
    """The reference takes 18. Here somebody is given access who was never given any before."""
    other, delegate = await town.registered(professional=True, flavour=flavour)
    _, api = await town.registered(professional=True, flavour=flavour)
    patient_id = str((await patient_of(api)).id)
    for number in range(2):
        await api.healthcare_element_api.create_or_modify_healthcare_element(
            HealthcareElement(description=str(number)), patient_id
        )
        await api.data_sample_api.create_or_modify_data_sample_for(patient_id, sample(number))
    requests.take()
    given = await api.patient_api.give_access_to_all_data_of(patient_id, other.owner_id)
    lines = requests.take()
    print(*lines, sep="\n")
    given.raise_for_failures()
    count(f"all data of a patient ({flavour}): {len(lines)} requests")
    # Today one more asks whether there are exchange data.
    assert len(lines) <= (10 if flavour == "medtech" else 11)
    found = await delegate.data_sample_api.get_data_samples_for_patient(patient_id)
    assert sorted(one.content["en"].number_value or 0 for one in found) == [0, 1]
    conditions = await delegate.healthcare_element_api.get_healthcare_elements_for_patient(
        patient_id
    )
    assert sorted(one.description or "" for one in conditions) == ["0", "1"]
