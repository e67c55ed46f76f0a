"""Each of the 36 things that the reference was seen to do wrong has a test of ours.

Sources: second-world.md §4, and the ``bugs`` of transcript2.json. Those about keys and people
are in tests/apis/test_reference_losses.py.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from icure_async import Content, DataSample, HealthcareElement, MedTechApi, Patient
from icure_async.errors import ICureError, ValidationError
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox
from tests.support.golden import GOLDEN
from tests.support.our_sdk import saved
from tests.support.people_of_today import Town, town

__all__ = ["town"]

FLAVOURS: Final[list[Flavour]] = ["medtech", "cardinal"]
BUGS: Final[list[str]] = [
    one["name"] for one in json.loads((GOLDEN / "transcript2.json").read_text("utf-8"))["bugs"]
]

_ATTACHMENTS: Final = "test_attachments.py"
_CONDITIONS: Final = "test_healthcare_elements.py"
_HERE: Final = "test_clinical_losses.py"
_SAMPLES: Final = "test_data_samples.py"

# The beginning of the name of a bug → the file of the test, and its name.
TESTS: Final[dict[str, tuple[str, str]]] = {
    "modify one cached sample": (_SAMPLES, "test_siblings_of_a_modified_sample_survive"),
    "setDataSampleAttachment on one cached": (
        _ATTACHMENTS,
        "test_siblings_of_a_sample_survive_an_attachment",
    ),
    "deleteAttachment drops": (_ATTACHMENTS, "test_links_survive_delete_attachment"),
    "setDataSampleAttachment without language": (
        _ATTACHMENTS,
        "test_set_data_sample_attachment_without_language_overwrites_no_content",
    ),
    "giveAccessTo(sample) leaves the contact cache stale": (
        _SAMPLES,
        "test_a_stale_contact_is_read_again_after_sharing",
    ),
    "giveAccessTo(sample) returns": (_HERE, "test_a_shared_sample_still_knows_its_patient"),
    "a deleted sample that had been shared": (
        _SAMPLES,
        "test_a_deleted_sample_that_was_shared_reads_as_deleted_for_its_delegates",
    ),
    "stale contact cache: other session": (
        _SAMPLES,
        "test_two_devices_that_change_different_samples_of_a_batch_both_win",
    ),
    "limit=1 on": (_ATTACHMENTS, "test_a_sample_in_two_contacts_is_changed_in_the_latest"),
    "modify after delete": (_SAMPLES, "test_modifying_what_was_deleted_is_refused_clearly"),
    "modify in place does not move": (
        _SAMPLES,
        "test_modified_moves_of_the_sample_and_of_its_batch",
    ),
    "three health elements at once": (
        _HERE,
        "test_three_conditions_at_once_by_somebody_without_any_exchange_key",
    ),
    "getHealthcareElementsForPatient / getDataSamplesForPatient by a child": (
        _CONDITIONS,
        "test_it_finds_what_its_organisation_was_given",
    ),
    "getDataSample of an unknown id": (_SAMPLES, "test_an_unknown_sample_is_not_found"),
    "filterDataSample where one service": (
        _SAMPLES,
        "test_one_unreadable_sample_does_not_break_a_page",
    ),
    "getDataSampleAttachmentContent as a patient": (
        _ATTACHMENTS,
        "test_a_patient_and_a_device_attach_files_too",
    ),
    "what the failed setDataSampleAttachment": (
        _ATTACHMENTS,
        "test_a_patient_and_a_device_attach_files_too",
    ),
    "document with encryption keys": (
        _ATTACHMENTS,
        "test_no_key_hash_or_byte_of_a_file_is_in_a_log_or_a_url",
    ),
    "createOrModifyHealthcareElement new without": (
        _CONDITIONS,
        "test_bad_input_is_refused_before_anything_is_sent",
    ),
    "createOrModifyHealthcareElement modify by": (
        _CONDITIONS,
        "test_without_a_key_a_condition_is_not_replaced_and_the_error_says_so",
    ),
    "createOrModifyDataSampleFor linked to an unknown": (
        _HERE,
        "test_a_link_to_a_condition_that_cannot_be_read_is_kept",
    ),
    "createOrModifyDataSamplesFor with two batch ids": (
        _HERE,
        "test_samples_of_two_batches_are_refused_before_anything_is_sent",
    ),
    "createOrModifyDataSampleFor for another patient": (
        _SAMPLES,
        "test_a_sample_can_not_be_moved_to_another_patient",
    ),
    "createOrModifyDataSampleFor with a batchId": (
        _HERE,
        "test_a_batch_that_does_not_exist_is_a_clear_error",
    ),
    "1001 samples": (_HERE, "test_1001_samples_in_one_call"),
    "deleteDataSamples with ids of two batches": (
        _SAMPLES,
        "test_samples_of_several_batches_are_deleted_with_one_request_where_that_can_be",
    ),
    "modify a health element": (
        _CONDITIONS,
        "test_a_delegate_shares_onward_and_the_first_one_still_reads",
    ),
    "giveAccessTo(he) a second time": (
        _CONDITIONS,
        "test_a_delegate_reads_a_shared_condition_and_a_repeated_call_sends_nothing",
    ),
    "giveAccessToAllDataOf by a patient": (
        _HERE,
        "test_a_patient_gives_access_to_all_data_of_its_own",
    ),
    "device user reads": (_SAMPLES, "test_devices_and_children_get_list_change_and_delete_samples"),
    "coding: search terms": ("test_codings.py", "test_search_terms_are_saved"),
    "coding without version": ("test_codings.py", "test_bad_members"),
    "hcp address description": (
        "test_healthcare_professionals.py",
        "test_nothing_that_the_reference_loses_is_lost",
    ),
    "hcp / device / patient with a picture": (
        "test_reference_losses.py",
        "test_a_patient_with_a_picture_can_never_finish_a_first_login",
    ),
    "range is read from ratio": (
        _SAMPLES,
        "test_every_content_is_encrypted_and_comes_back_as_it_was",
    ),
    "compound read, modified": (_HERE, "test_a_compound_that_is_changed_keeps_its_inner_ids"),
}


def test_every_recorded_bug_has_a_test() -> None:
    folder = Path(__file__).parent
    assert len(BUGS) == len(TESTS) == 36
    for beginning, (file, name) in TESTS.items():
        assert len([bug for bug in BUGS if bug.startswith(beginning)]) == 1, beginning
        assert f"def {name}(" in (folder / file).read_text("utf-8"), f"{file} has no {name}"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


def sample(number: float, **members: object) -> DataSample:
    return DataSample(content={"en": Content(number_value=number)}, **members)  # type: ignore[arg-type]


async def patient_of(api: MedTechApi) -> str:
    patient = await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    return str(patient.id)


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_shared_sample_still_knows_its_patient(town: Town, flavour: Flavour) -> None:
    other, _ = await town.registered(professional=True, flavour=flavour)
    _, api = await town.registered(professional=True, flavour=flavour)
    patient_id = await patient_of(api)
    samples = api.data_sample_api
    created = await samples.create_or_modify_data_sample_for(patient_id, sample(1))
    shared = await samples.give_access_to(created, other.owner_id)
    assert shared.system_meta_data is not None
    assert await samples.extract_patient_id(shared) == patient_id


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_three_conditions_at_once_by_somebody_without_any_exchange_key(
    town: Town, flavour: Flavour
) -> None:
    person, api = await town.registered(flavour=flavour)
    conditions = api.healthcare_element_api
    new = [HealthcareElement(description=text) for text in "abc"]
    created = saved(await conditions.create_or_modify_healthcare_elements(new, person.owner_id))
    read = [(await conditions.get_healthcare_element(str(one.id))).description for one in created]
    assert read == ["a", "b", "c"]


async def test_a_link_to_a_condition_that_cannot_be_read_is_kept(town: Town) -> None:
    """It may be one that this user has no access to; the reference refuses to save."""
    _, api = await town.registered(professional=True, flavour="medtech")
    samples, unknown = api.data_sample_api, "00000000-0000-4000-8000-000000000000"
    created = await samples.create_or_modify_data_sample_for(
        await patient_of(api), sample(1, healthcare_element_ids=[unknown])
    )
    read = await samples.get_data_sample(str(created.id))
    assert read.healthcare_element_ids == [unknown]


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_samples_of_two_batches_are_refused_before_anything_is_sent(
    town: Town, flavour: Flavour
) -> None:
    _, api = await town.registered(professional=True, flavour=flavour)
    samples, patient_id = api.data_sample_api, await patient_of(api)
    both = [
        await samples.create_or_modify_data_sample_for(patient_id, sample(number))
        for number in (1, 2)
    ]
    for one in both:
        one.content["en"].number_value = 7
    with pytest.raises(ValidationError, match=r"one batch can be saved together.*Nothing was sent"):
        await samples.create_or_modify_data_samples_for(patient_id, both)
    found = await samples.get_data_samples_for_patient(patient_id)
    assert sorted(one.content["en"].number_value or 0 for one in found) == [1, 2]


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_batch_that_does_not_exist_is_a_clear_error(town: Town, flavour: Flavour) -> None:
    _, api = await town.registered(professional=True, flavour=flavour)
    patient_id = await patient_of(api)
    lost = sample(1, batch_id="00000000-0000-4000-8000-000000000000")
    lost.id = "00000000-0000-4000-8000-000000000001"
    with pytest.raises(ICureError) as caught:
        await api.data_sample_api.create_or_modify_data_sample_for(patient_id, lost)
    assert "XHR" not in str(caught.value)
    assert await api.data_sample_api.get_data_samples_for_patient(patient_id) == []


async def test_1001_samples_in_one_call(town: Town) -> None:
    _, api = await town.registered(professional=True, flavour="medtech")
    samples, patient_id = api.data_sample_api, await patient_of(api)
    created = await samples.create_or_modify_data_samples_for(
        patient_id, [sample(number) for number in range(1001)]
    )
    assert len({one.id for one in created}) == 1001
    found = await samples.get_data_samples_for_patient(patient_id)
    assert sorted(one.content["en"].number_value or 0 for one in found) == [*range(1001)]


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_patient_gives_access_to_all_data_of_its_own(town: Town, flavour: Flavour) -> None:
    other, delegate = await town.registered(professional=True, flavour=flavour)
    person, api = await town.registered(flavour=flavour)
    created = await api.data_sample_api.create_or_modify_data_sample_for(person.owner_id, sample(7))
    given = await api.patient_api.give_access_to_all_data_of(person.owner_id, other.owner_id)
    given.raise_for_failures()
    read = await delegate.data_sample_api.get_data_sample(str(created.id))
    assert read.content["en"].number_value == 7


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_a_compound_that_is_changed_keeps_its_inner_ids(town: Town, flavour: Flavour) -> None:
    _, api = await town.registered(professional=True, flavour=flavour)
    samples, patient_id = api.data_sample_api, await patient_of(api)
    around = DataSample(content={"en": Content(compound_value=[sample(1), sample(2)])})
    created = await samples.create_or_modify_data_sample_for(patient_id, around)
    read = await samples.get_data_sample(str(created.id))
    ids = [one.id for one in read.content["en"].compound_value]
    read.content["en"].compound_value[0].content["en"].number_value = 7
    await samples.create_or_modify_data_sample_for(patient_id, read)
    again = (await samples.get_data_sample(str(created.id))).content["en"].compound_value
    assert [one.id for one in again] == ids
    assert [one.content["en"].number_value for one in again] == [7, 2]
