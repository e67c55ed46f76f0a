"""Files attached to data samples in today's flavour."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from icure_async import DataSample, Patient
from icure_async.errors import ICureError, NotFoundError
from icure_async.sandbox import Fault
from tests.support.people_of_today import Town, town

__all__ = ["town"]

SCAN = b"%PDF-1.7 " + bytes(range(256)) * 20


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize("in_clear", [False, True])
@pytest.mark.parametrize("professional", [False, True])
async def test_files_in_todays_flavour(
    professional: bool, in_clear: bool, town: Town, tmp_path: Path
) -> None:
    person, api = await town.registered(professional=professional)
    patient_id = person.owner_id
    if professional:
        patient = await api.patient_api.create_or_modify_patient(Patient(last_name="Stark"))
        patient_id = str(patient.id)
    samples = api.data_sample_api
    sample = await samples.create_or_modify_data_sample_for(patient_id, DataSample())
    for body in (SCAN, stream(SCAN)):
        document = await samples.set_data_sample_attachment(
            str(sample.id), body, document_name="a", in_clear=in_clear
        )
        ids = str(sample.id), str(document.id)
        assert await samples.get_data_sample_attachment_content(*ids) == SCAN
        await samples.save_data_sample_attachment_content(*ids, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == SCAN
    stored = await town.sandbox.stored("document", str(document.id))
    assert stored is not None
    assert stored["securityMetadata"]
    assert await samples.delete_attachment(*ids) == document.id
    assert (await samples.get_data_sample(str(sample.id))).content == {}


async def test_a_file_is_shared_with_its_sample_and_a_repeated_call_finishes_the_job(
    town: Town,
) -> None:
    _, api = await town.registered(professional=True)
    colleague, other = await town.registered(professional=True)
    patient = await api.patient_api.create_or_modify_patient(Patient(last_name="Stark"))
    samples = api.data_sample_api
    sample = await samples.create_or_modify_data_sample_for(str(patient.id), DataSample())
    # The backend stores the bytes, and the answer gets lost: the revision is another one then.
    lost = Fault("drop-after", method="PUT", path="*/attachment", times=1)
    with town.sandbox.fault(lost), pytest.raises(ICureError):
        await samples.set_data_sample_attachment(str(sample.id), SCAN)
    document = await samples.set_data_sample_attachment(str(sample.id), SCAN)
    ids = str(sample.id), str(document.id)
    sample = await samples.get_data_sample(ids[0])
    with pytest.raises(ICureError):
        await other.data_sample_api.get_data_sample_attachment_content(*ids)
    await samples.give_access_to(sample, colleague.owner_id)
    assert await other.data_sample_api.get_data_sample_attachment_content(*ids) == SCAN


async def test_an_attachment_that_is_not_that_of_the_document_is_not_answered_by_that_one(
    town: Town,
) -> None:
    """The route of today has no place for the id."""
    person, api = await town.registered(professional=False)
    samples = api.data_sample_api
    sample = await samples.create_or_modify_data_sample_for(person.owner_id, DataSample())
    document = await samples.set_data_sample_attachment(str(sample.id), SCAN)
    ids = str(sample.id), str(document.id)
    assert await samples.get_data_sample_attachment_content(*ids, document.attachment_id) == SCAN
    with pytest.raises(NotFoundError, match="there are no bytes"):
        await samples.get_data_sample_attachment_content(*ids, "a-former-one")
