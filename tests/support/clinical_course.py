"""A program that keeps clinical records of a patient, step by step, and what must hold then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

import attrs

from icure_async import Content, DataSample, HealthcareElement, MedTechApi
from icure_async.errors import NotFoundError

SAID: Final = "The fever of the patient"
LATER: Final = "The fever of the patient is gone"
BYTES: Final = b"an x-ray of the patient" * 40
LANGUAGE: Final = "fr"


def _new_id() -> str:
    return str(uuid4())


@attrs.define
class Ids:
    """The ids of the records, chosen before anything is sent."""

    condition: str = attrs.field(factory=_new_id)
    short_condition: str = attrs.field(factory=_new_id)
    sample: str = attrs.field(factory=_new_id)
    short_sample: str = attrs.field(factory=_new_id)


@attrs.define
class Course:
    """The steps; each may be repeated until it is done, in another process, too.

    Attributes:
        patient_id: whose records they are.
        ids: of the records.
        done: how many steps were taken.
        took: is told when another step was taken.
    """

    patient_id: str
    ids: Ids = attrs.field(factory=Ids)
    done: int = 0
    took: Callable[[int], Awaitable[None]] | None = None

    async def go_on(self, api: MedTechApi) -> None:
        """Take the steps that are left."""
        steps = (
            self._create_conditions,
            self._modify_condition,
            self._delete_condition,
            self._create_samples,
            self._modify_sample,
            self._attach,
            self._detach,
            self._delete_sample,
        )
        for step in steps[self.done :]:
            await step(api)
            self.done += 1
            if self.took is not None:
                await self.took(self.done)

    async def _create_conditions(self, api: MedTechApi) -> None:
        result = await api.healthcare_element_api.create_or_modify_healthcare_elements(
            [
                HealthcareElement(id=one, description=SAID)
                for one in (self.ids.condition, self.ids.short_condition)
            ],
            self.patient_id,
        )
        result.raise_for_failures()

    async def _modify_condition(self, api: MedTechApi) -> None:
        conditions = api.healthcare_element_api
        read = await conditions.get_healthcare_element(self.ids.condition)
        read.description = LATER
        await conditions.create_or_modify_healthcare_element(read)

    async def _delete_condition(self, api: MedTechApi) -> None:
        await api.healthcare_element_api.delete_healthcare_element(self.ids.short_condition)

    async def _create_samples(self, api: MedTechApi) -> None:
        await api.data_sample_api.create_or_modify_data_samples_for(
            self.patient_id,
            [
                DataSample(
                    id=one,
                    content={"en": Content(string_value=SAID)},
                    healthcare_element_ids=[self.ids.condition],
                )
                for one in (self.ids.sample, self.ids.short_sample)
            ],
        )

    async def _modify_sample(self, api: MedTechApi) -> None:
        samples = api.data_sample_api
        read = await samples.get_data_sample(self.ids.sample)
        read.content["en"].string_value = LATER
        await samples.create_or_modify_data_sample_for(self.patient_id, read)

    async def _attach(self, api: MedTechApi) -> None:
        samples, sample_id = api.data_sample_api, self.ids.sample
        document = await samples.set_data_sample_attachment(
            sample_id, BYTES, document_language=LANGUAGE
        )
        content = await samples.get_data_sample_attachment_content(sample_id, str(document.id))
        assert content == BYTES

    async def _detach(self, api: MedTechApi) -> None:
        samples, sample_id = api.data_sample_api, self.ids.sample
        read = await samples.get_data_sample(sample_id)
        if LANGUAGE in read.content:
            await samples.delete_attachment(sample_id, str(read.content[LANGUAGE].document_id))

    async def _delete_sample(self, api: MedTechApi) -> None:
        await api.data_sample_api.delete_data_sample(self.ids.short_sample)

    async def check(self, *readers: MedTechApi) -> None:
        """Check that everything was done, once, as each of these reads it."""
        for api in readers:
            await self._check(api)

    async def _check(self, api: MedTechApi) -> None:
        ids = self.ids
        conditions, samples = api.healthcare_element_api, api.data_sample_api
        of_patient = await conditions.get_healthcare_elements_for_patient(self.patient_id)
        found = [one for one in of_patient if one.id in (ids.condition, ids.short_condition)]
        assert [(one.id, one.description) for one in found] == [(ids.condition, LATER)]
        read = await samples.get_data_sample(ids.sample)
        assert list(read.content) == ["en"], "the attachment is still there"
        assert read.content["en"].string_value == LATER
        assert read.healthcare_element_ids == [ids.condition]
        listed = await samples.get_data_samples_for_patient(self.patient_id)
        ours = [one for one in listed if one.id in (ids.sample, ids.short_sample)]
        left = [one.id for one in ours if not one.is_deleted]
        assert left == [ids.sample], f"{len(left)} of the samples are listed"
        try:
            deleted = await samples.get_data_sample(ids.short_sample)
        except NotFoundError:
            return
        assert deleted.is_deleted
        assert not deleted.content
