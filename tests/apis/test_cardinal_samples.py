"""Data samples in today's flavour: those of today's clients, and ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import pytest

from icure_async import Content, DataSample, EncryptedDataSample, Measure, Patient
from icure_async.errors import ConflictError, DecryptionError, NotFoundError
from icure_async.sandbox import Sandbox
from tests.support.cardinal_sandbox import TodayWorld, of_stage, owner_of
from tests.support.request_log import RequestLog

ROBB: Final = "4449666c-53f6-583f-9a89-0119613666f0"
SERVICE: Final = "83758d08-884e-5958-9fd8-838960f021ad"
CONTACT: Final = "fc64c1ca-475c-5211-8eb8-9d00258031ed"
ROOT: Final = "/rest/v2"


@pytest.fixture
async def today(client_session: aiohttp.ClientSession) -> AsyncIterator[TodayWorld]:
    async with Sandbox(seed=of_stage("3-more-entities"), profile="strict") as running:
        yield TodayWorld(running, client_session)


def text(value: str) -> dict[str, Content]:
    return {"en": Content(string_value=value)}


async def test_a_sample_of_another_client_is_read_and_changed(today: TodayWorld) -> None:
    doc1, doc2 = await today.user("doc1"), await today.user("doc2")
    samples = doc2.data_sample_api
    read = await samples.get_data_sample(SERVICE)
    assert read.batch_id == CONTACT
    (content,) = read.content.values()
    assert [each.id for each in await samples.get_data_samples_for_patient(ROBB)] == [SERVICE]
    assert await samples.extract_patient_id(read) == ROBB
    before = await today.stored(CONTACT, "contact")
    read.content = {"en": content, **text("changed")}
    read.comment = "SECRET"
    saved = await samples.create_or_modify_data_sample_for(ROBB, read)
    stored = await today.stored(CONTACT, "contact")
    assert stored["encryptedSelf"] == before["encryptedSelf"]
    assert stored["services"][0]["label"] == "temp"
    assert "SECRET" not in str(stored)
    assert saved.modified is not None
    again = await doc1.data_sample_api.get_data_sample(SERVICE)
    assert again.content == saved.content
    assert again.comment == "SECRET"
    contact = await today.read_by("doc1", CONTACT, "contact")
    assert contact is not None
    assert contact["services"][0]["content"]["en"]["stringValue"] == "changed"
    assert (await today.audit()).problems == []


async def test_samples_are_created_listed_shared_changed_and_deleted(
    today: TodayWorld, requests: RequestLog
) -> None:
    doc1 = await today.user("doc1")
    samples = doc1.data_sample_api
    await samples.get_data_samples_for_patient(ROBB)
    await doc1.patient_api.create_or_modify_patient(Patient(first_name="A"))
    requests.take()
    one, two = await samples.create_or_modify_data_samples_for(
        ROBB,
        [
            DataSample(content=text("SECRET"), comment="SECRET"),
            DataSample(content={"en": Content(range=[Measure(value=1), Measure(value=2)])}),
        ],
    )
    assert requests.take() == [f"GET {ROOT}/patient/{ROBB}", f"POST {ROOT}/contact"]
    stored = await today.stored(str(one.batch_id), "contact")
    assert "SECRET" not in str(stored)
    assert ROBB not in str(stored)
    assert not any(service.get("content") for service in stored["services"])
    assert await samples.get_data_sample(one.id) == one
    assert requests.take() == [f"POST {ROOT}/contact/service/byIds"]
    patient = await doc1.patient_api.get_patient(ROBB)
    requests.take()
    listed = await samples.get_data_samples_for_patient(patient)
    assert requests.take() == [f"POST {ROOT}/contact/service/filter"]
    assert {each.id for each in listed} == {SERVICE, one.id, two.id}

    shared = await samples.give_access_to(one, owner_of("doc2"))
    theirs = (await today.user("doc2")).data_sample_api
    assert await theirs.get_data_sample(one.id) == shared
    assert {each.id for each in await theirs.get_data_samples_for_patient(ROBB)} == {
        *(SERVICE, one.id, two.id)
    }
    one.content = text("changed")
    one = await samples.create_or_modify_data_sample_for(ROBB, one)
    assert (await theirs.get_data_sample(one.id)).content == text("changed")
    assert (await theirs.get_data_sample(two.id)).content == two.content

    await theirs.delete_data_sample(one.id)
    for api in (samples, theirs):
        assert (await api.get_data_sample(one.id)).is_deleted
        listed = await api.get_data_samples_for_patient(ROBB)
        assert {each.id for each in listed} == {SERVICE, two.id}
    with pytest.raises(ConflictError, match="was deleted"):
        await samples.create_or_modify_data_sample_for(ROBB, one)
    assert (await today.audit()).problems == []


async def test_strangers_read_nothing(today: TodayWorld) -> None:
    samples = (await today.user("doc3")).data_sample_api
    with pytest.raises((NotFoundError, DecryptionError)):
        await samples.get_data_sample(SERVICE)


async def test_an_anonymous_patient_writes_shares_and_sees_deletions(today: TodayWorld) -> None:
    own_id = owner_of("pat1")
    pat1 = await today.user("pat1")
    samples = pat1.data_sample_api
    sample = await samples.create_or_modify_data_sample_for(
        own_id, DataSample(content=text("mine"))
    )
    assert await samples.get_data_sample(sample.id) == sample
    stored = await today.stored(str(sample.batch_id), "contact")
    assert own_id not in str(stored["securityMetadata"])
    shared = await samples.give_access_to(sample, owner_of("doc1"))
    theirs = (await today.user("doc1")).data_sample_api
    read = await theirs.get_data_sample(sample.id)
    assert read == shared
    assert await theirs.extract_patient_id(read) == own_id
    read.content = text("corrected")
    await theirs.create_or_modify_data_sample_for(own_id, read)
    assert (await samples.get_data_sample(sample.id)).content == text("corrected")
    await theirs.delete_data_sample(sample.id)
    seen = await samples.get_data_sample(sample.id)
    assert not isinstance(seen, EncryptedDataSample)
    assert seen.is_deleted
    assert (await today.audit()).problems == []
