# ruff: noqa: INP001, T201
"""A patient measures at home and attaches a recording; a doctor reads both.

Runs on the sandbox that comes with the SDK: ``python examples/measurements.py``.
"""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from icure_async import (
    CodingReference,
    Content,
    DataSample,
    DataSampleFilter,
    HealthcareElement,
    Measure,
    MedTechApi,
    MedTechApiBuilder,
)
from icure_async.sandbox import Sandbox, SandboxPerson

PULSE = CodingReference(type="LOINC", code="8867-4", version="2")
ELECTROCARDIOGRAM = CodingReference(type="LOINC", code="11524-6", version="2")


async def logged_in(sandbox: Sandbox, person: SandboxPerson) -> MedTechApi:
    """Return the API of a person. A real app keeps the keys with with_storage_directory()."""
    builder = (
        MedTechApiBuilder()
        .with_icure_base_url(sandbox.icure_url)
        .with_user_name(person.login)
        .with_password(person.token)
        .with_in_memory_keys()
    )
    api = await builder.build()
    await api.init_user_crypto(person.key_pair)
    return api


async def write_condition(doctor: MedTechApi, patient_id: str) -> HealthcareElement:
    """Write a condition into the record of a patient, and share it with the patient."""
    condition = await doctor.healthcare_element_api.create_or_modify_healthcare_element(
        HealthcareElement(description="Atrial fibrillation", opening_date=20260901), patient_id
    )
    condition = await doctor.healthcare_element_api.give_access_to(condition, patient_id)
    print(f"Doctor: wrote down {condition.description}")
    return condition


async def measure(patient: MedTechApi, condition_id: str) -> str:
    """Save the pulse of three mornings with one call; return the id of their batch."""
    samples = [
        DataSample(
            labels=[PULSE],
            value_date=20261125080000 + day * 1_000_000,
            content={"en": Content(measure_value=Measure(value=value, unit="/min"))},
            healthcare_element_ids=[condition_id],
        )
        for day, value in enumerate((72, 118, 75))
    ]
    saved = await patient.data_sample_api.create_or_modify_data_samples_for(
        await patient.data_owner_id(), samples
    )
    print(f"Arya:   saved {len(saved)} measurements")
    return saved[0].batch_id or ""


async def record(patient: MedTechApi, file: Path) -> str:
    """Attach a recording to a new sample, piece by piece; return the id of the sample."""
    api = patient.data_sample_api
    sample = await api.create_or_modify_data_sample_for(
        await patient.data_owner_id(),
        DataSample(labels=[ELECTROCARDIOGRAM], value_date=20261126080500),
    )
    document = await api.set_data_sample_attachment(sample.id, file, document_name="recording.ecg")
    print(f"Arya:   attached {document.size} bytes")
    return sample.id


async def read(doctor: MedTechApi, patient_id: str, sample_id: str, folder: Path) -> Path:
    """Show what the patient has measured, and save the recording; return its path."""
    api = doctor.data_sample_api
    of_patient = DataSampleFilter().for_patients([patient_id])
    pulses = DataSampleFilter().by_label_code_date_filter(PULSE.type, PULSE.code)
    values = {
        each.value_date or 0: each.content["en"].measure_value
        async for each in api.filter_data_sample(of_patient & pulses)
    }
    for date, measured in sorted(values.items()):
        if measured is not None:
            print(f"Doctor: {date} {measured.value:.0f} {measured.unit}")
    path = folder / "received.ecg"
    sample = await api.get_data_sample(sample_id)
    for content in sample.content.values():
        if content.document_id is not None:
            await api.save_data_sample_attachment_content(sample_id, content.document_id, path)
    return path


def recording_in(folder: Path) -> Path:
    """Write the file that a device would have written."""
    path = folder / "recording.ecg"
    path.write_bytes(bytes(range(256)) * 4_000)
    return path


def compare(sent: Path, received: Path) -> None:
    """Show whether two files are the same."""
    print(f"Doctor: got the recording, {received.read_bytes() == sent.read_bytes()}")


async def tell(sandbox: Sandbox) -> None:
    """Run the story."""
    luwin = await sandbox.register("professional", last_name="Luwin")
    # Everything that Arya writes is shared with her doctor.
    arya = await sandbox.register("patient", first_name="Arya", shares_with=[luwin])
    with TemporaryDirectory() as folder:
        recording = recording_in(Path(folder))
        async with await logged_in(sandbox, luwin) as doctor, await logged_in(sandbox, arya) as own:
            condition = await write_condition(doctor, arya.data_owner_id)
            batch = await sandbox.stored("contact", await measure(own, condition.id)) or {}
            print(f"Server: reads in them {[each.get('content') for each in batch['services']]}")
            sample_id = await record(own, recording)
            received = await read(doctor, arya.data_owner_id, sample_id, Path(folder))
            compare(recording, received)


async def main() -> None:
    """Run the story on a sandbox of its own."""
    async with Sandbox() as sandbox:
        await tell(sandbox)


if __name__ == "__main__":
    asyncio.run(main())
