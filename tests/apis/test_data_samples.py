"""Data samples in the flavour of 2023: those of the reference, and ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import aiohttp
import attrs
import pytest

from icure_async import (
    CodingReference,
    Content,
    DataSample,
    DataSampleFilter,
    EncryptedDataSample,
    Event,
    KeyPair,
    Measure,
    MedTechApi,
    TimeSeries,
)
from icure_async.errors import (
    ConflictError,
    CryptoError,
    DecryptionError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD2
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, stage

ROOT: Final = "/rest/v1"
STAGE: Final = "12-data-samples"
IDS: Final[dict[str, str]] = {
    name: user["dataOwnerId"] for name, user in WORLD2["users"].items() if name != "master"
}
PATIENT: Final = "11511416-6010-4537-945a-574e43209de8"
"""A patient of hcpA, who has shared it with hcpB."""
NED: Final = IDS["ned"]
FEVER: Final = "cfa91eb2-a2c7-4d3f-a370-106293d11f20"
COUGH: Final = "1e37fb30-c16f-41b5-80f0-a59861fda5a5"

GOLDEN: Final = [each for each in WORLD2["expected"] if each["stage"] == STAGE]
BY_KIND: Final[dict[str, str]] = {
    each["kind"]: each["id"] for each in GOLDEN if "kind" in each and each["type"] == "dataSample"
}
DELETED_BY_THE_REFERENCE: Final = BY_KIND["deleted"]
LISTS: Final = [each for each in GOLDEN if each["type"] == "dataSamplesForPatient"]


@attrs.define
class Clinic:
    """A stage of the second world on a sandbox, and its people."""

    sandbox: Sandbox
    session: aiohttp.ClientSession
    log: RequestLog
    _open: dict[str, MedTechApi] = attrs.field(factory=dict[str, MedTechApi])

    async def user(self, name: str, url: str | None = None) -> MedTechApi:
        """The API of a golden user with its key pair, opened once."""
        key = f"{name} {url or ''}"
        if key not in self._open:
            opener = Opener(url or self.sandbox.icure_url, WORLD2, self.session)
            self._open[key] = await opener.golden(name)
        return self._open[key]

    async def contact(self, contact_id: str | None) -> Json:
        stored = await self.sandbox.stored("contact", str(contact_id))
        assert stored is not None
        return stored

    async def change(self, document: Json, kind: str = "contact") -> None:
        """Change a contact, or another record, behind everybody's back."""
        master = self.sandbox.master_hcp
        async with self.session.put(
            f"{self.sandbox.icure_url}/{kind}",
            json=document,
            headers={"Authorization": aiohttp.encode_basic_auth(master.login, master.password)},
        ) as answer:
            assert answer.status == 200, await answer.text()

    async def post(self, contact: Json) -> None:
        master = self.sandbox.master_hcp
        async with self.session.post(
            f"{self.sandbox.icure_url}/contact",
            json=contact,
            headers={"Authorization": aiohttp.encode_basic_auth(master.login, master.password)},
        ) as answer:
            assert answer.status in (200, 201), await answer.text()

    async def create(
        self, *texts: str, by: str = "hcpA", patient_id: str = PATIENT, **members: Any
    ) -> list[DataSample]:
        api = await self.user(by)
        return await api.data_sample_api.create_or_modify_data_samples_for(
            patient_id, [DataSample(content=text(one), **members) for one in texts]
        )

    async def read(self, sample_id: str, by: str = "hcpA") -> DataSample:
        return await (await self.user(by)).data_sample_api.get_data_sample(sample_id)

    async def save(
        self, sample: DataSample, by: str = "hcpA", patient_id: str = PATIENT
    ) -> DataSample:
        api = await self.user(by)
        return await api.data_sample_api.create_or_modify_data_sample_for(patient_id, sample)


def text(value: str) -> dict[str, Content]:
    return {"en": Content(string_value=value)}


def text_of(sample: object) -> str | None:
    assert isinstance(sample, DataSample)
    return sample.content["en"].string_value


@pytest.fixture
async def clinic(
    client_session: aiohttp.ClientSession, requests: RequestLog
) -> AsyncIterator[Clinic]:
    async with Sandbox(seed=stage(WORLD2, STAGE), jwt=False) as sandbox:
        yield Clinic(sandbox, client_session, requests)


@pytest.fixture
async def proxy(clinic: Clinic) -> AsyncIterator[Proxy]:
    async with Proxy(clinic.sandbox) as running:
        yield running


# --- Golden samples -------------------------------------------------------------------------------


async def test_every_golden_list_of_a_patient_is_found_with_its_deleted_ones(
    clinic: Clinic,
) -> None:
    for each in LISTS:
        api = (await clinic.user(each["reader"])).data_sample_api
        listed = await api.get_data_samples_for_patient(each["id"], include_deleted=True)
        assert sorted(one.id for one in listed) == sorted(
            {*each["fields"]["ids"], *each["fields"]["deleted"]}
        )
        assert sorted(one.id for one in listed if one.is_deleted) == sorted(
            each["fields"]["deleted"]
        )
        alive = await api.get_data_samples_for_patient(each["id"])
        assert not {one.id for one in alive} & set(each["fields"]["deleted"])


async def test_golden_samples_are_read_by_whom_they_are_meant_for_only(clinic: Clinic) -> None:
    for each in GOLDEN:
        if each["type"] != "dataSample":
            continue
        if each["fields"] is None:
            with pytest.raises((DecryptionError, PermissionDeniedError, NotFoundError)):
                await clinic.read(each["id"], each["reader"])
            continue
        sample = await clinic.read(each["id"], each["reader"])
        assert plain(sample.to_dict()["content"]) == plain(each["fields"].get("content", {}))
        assert sample.is_deleted is each["fields"].get("deleted", False)


def plain(value: Any) -> Any:
    """JSON without what only some SDKs write: empty lists, and empty metadata of nested samples."""
    if isinstance(value, dict):
        shown = {name: plain(item) for name, item in value.items() if name != "systemMetaData"}
        return {name: item for name, item in shown.items() if item != []}
    return [plain(item) for item in value] if isinstance(value, list) else value


# --- Requests -------------------------------------------------------------------------------------


async def test_creating_takes_two_requests_reading_and_listing_one(clinic: Clinic) -> None:
    api = await clinic.user("hcpA")
    await clinic.create("warm")
    patient = await api.patient_api.get_patient(PATIENT)
    clinic.log.take()
    sample = await clinic.save(DataSample(content=text("s"), healthcare_element_ids=[FEVER]))
    assert clinic.log.take() == [f"GET {ROOT}/patient/{PATIENT}", f"POST {ROOT}/contact"]
    await clinic.read(sample.id)
    assert clinic.log.take() == [f"POST {ROOT}/contact/service/byIds"]
    listed = await api.data_sample_api.get_data_samples_for_patient(patient)
    assert clinic.log.take() == [f"POST {ROOT}/contact/service/filter"]
    assert sample.id in [one.id for one in listed]
    sample.content = text("changed")
    await clinic.save(sample)
    assert clinic.log.take() == [
        f"POST {ROOT}/contact/service/byIds",
        f"GET {ROOT}/contact/{sample.batch_id}",
        f"PUT {ROOT}/contact",
    ]
    await api.data_sample_api.delete_data_sample(sample.id)
    assert clinic.log.take() == [f"POST {ROOT}/contact/service/byIds", f"POST {ROOT}/contact"]
    assert await api.data_sample_api.extract_patient_id(sample) == PATIENT
    assert clinic.log.take() == []


async def test_a_call_with_nothing_to_save_or_to_delete_sends_nothing(clinic: Clinic) -> None:
    api = (await clinic.user("hcpA")).data_sample_api
    clinic.log.take()
    assert await api.create_or_modify_data_samples_for(PATIENT, []) == []
    assert await api.delete_data_samples([]) == []
    assert clinic.log.take() == []


# --- What is stored -------------------------------------------------------------------------------

CONTENTS: Final = {
    "string": Content(string_value="nul\x00 żółć 🩺"),
    "number": Content(number_value=0),
    "boolean": Content(boolean_value=False),
    "instant": Content(instant_value=0),
    "fuzzy date": Content(fuzzy_date_value=20220200),
    "binary": Content(binary_value=bytes(range(256))),
    "document": Content(document_id="d"),
    "measure": Content(
        measure_value=Measure(
            value=1e-9,
            unit="mmHg",
            unit_codes=[CodingReference(id="UCUM|mm|1", type="UCUM", code="mm", version="1")],
        )
    ),
    "medication": Content(medication_value={"numberOfPackages": 2}),
    "time series": Content(time_series=TimeSeries(fields=["t"], samples=[[0, 1.5]])),
    "ratio": Content(ratio=[Measure(value=1), Measure(value=2)]),
    "range": Content(range=[Measure(value=1), Measure(value=2)]),
    "compound": Content(
        compound_value=[
            DataSample(content=text("inner")),
            DataSample(
                content={
                    "fr": Content(compound_value=[DataSample(content=text("innermost"))]),
                }
            ),
        ]
    ),
}


async def test_every_content_is_encrypted_and_comes_back_as_it_was(clinic: Clinic) -> None:
    api = (await clinic.user("hcpA")).data_sample_api
    given = [
        DataSample(content={"en": content, "nl": Content(string_value=name)})
        for name, content in CONTENTS.items()
    ]
    stored = await api.create_or_modify_data_samples_for(PATIENT, given)
    contact = await clinic.contact(stored[0].batch_id)
    assert not any(service.get("content") for service in contact["services"])
    for sample, saved in zip(given, stored, strict=True):
        read = await clinic.read(saved.id)
        assert plain(read.to_dict()["content"]) == plain(sample.to_dict()["content"])
        assert read == saved


async def test_a_sample_keeps_all_that_was_said_of_it(clinic: Clinic) -> None:
    given = DataSample(
        content=text("s"),
        labels=[CodingReference(type="LOINC", code="1", version="1")],
        codes=[CodingReference(type="SNOMED", code="2", version="1")],
        comment="c",
        qualified_links={"parent": {"1": BY_KIND["parent"]}},
        transaction_id="t",
        index=7,
        value_date=20220301120000,
        opening_date=20220301,
        closing_date=20220401,
        healthcare_element_ids=[FEVER, COUGH],
        canvases_ids=["form"],
    )
    saved = await clinic.save(given)
    read = await clinic.read(saved.id)
    for name in (
        *("comment", "qualified_links", "transaction_id", "index", "value_date", "opening_date"),
        *("closing_date", "healthcare_element_ids", "canvases_ids"),
    ):
        assert getattr(read, name) == getattr(given, name), name
    assert read.labels[0].code == "1"
    assert read.created == read.modified is not None
    assert read.author == WORLD2["users"]["hcpA"]["userId"]
    assert read.responsible == IDS["hcpA"]
    contact = await clinic.contact(saved.batch_id)
    assert (contact["openingDate"], contact["closingDate"]) == (20220301, 20220401)
    assert contact["encryptedSelf"]


async def test_samples_nested_in_others_bring_no_keys_of_their_own_along(clinic: Clinic) -> None:
    (other,) = await clinic.create("read elsewhere")
    assert other.system_meta_data is not None
    saved = await clinic.save(DataSample(content={"en": Content(compound_value=[other])}))
    (inner,) = (await clinic.read(saved.id)).content["en"].compound_value
    assert text_of(inner) == "read elsewhere"
    assert not inner.to_dict().get("systemMetaData", {}).get("encryptionKeys")


# --- Reference losses, not repeated ---------------------------------------------------------------


async def test_siblings_of_a_modified_sample_survive(clinic: Clinic) -> None:
    one, two, three = await clinic.create("1", "2", "3", healthcare_element_ids=[FEVER])
    before = await clinic.contact(one.batch_id)
    two.content = text("changed")
    saved = await clinic.save(two)
    after = await clinic.contact(one.batch_id)
    assert [service["id"] for service in after["services"]] == [one.id, two.id, three.id]
    assert after["services"][0] == before["services"][0]
    assert after["services"][2] == before["services"][2]
    assert saved.batch_id == one.batch_id
    assert text_of(await clinic.read(two.id)) == "changed"
    assert (await clinic.read(two.id)).healthcare_element_ids == [FEVER]


async def test_modified_moves_of_the_sample_and_of_its_batch(clinic: Clinic) -> None:
    (sample,) = await clinic.create("s")
    before = await clinic.contact(sample.batch_id)
    created, modified = sample.created, sample.modified
    assert modified is not None
    sample.content = text("changed")
    saved = await clinic.save(sample)
    assert saved.created == created
    assert saved.modified is not None
    assert saved.modified > modified
    assert (await clinic.contact(sample.batch_id))["modified"] > before["modified"]


async def test_two_devices_that_change_different_samples_of_a_batch_both_win(
    clinic: Clinic, proxy: Proxy
) -> None:
    one, two = await clinic.create("1", "2")
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api

    async def other_device(_: Exchange) -> None:
        two.content = text("of the other device")
        await clinic.save(two)

    proxy.before("PUT /contact", other_device)
    one.content = text("of this device")
    await api.create_or_modify_data_sample_for(PATIENT, one)
    assert text_of(await clinic.read(one.id)) == "of this device"
    assert text_of(await clinic.read(two.id)) == "of the other device"


async def test_two_devices_that_change_the_same_sample_do_not_overwrite_each_other(
    clinic: Clinic,
) -> None:
    (sample,) = await clinic.create("s")
    other = await clinic.read(sample.id)
    other.content = text("of the other device")
    await clinic.save(other)
    sample.content = text("of this device")
    with pytest.raises(ConflictError, match="changed by somebody else"):
        await clinic.save(sample)
    assert text_of(await clinic.read(sample.id)) == "of the other device"


async def test_the_same_sample_changed_between_reading_and_writing_is_a_conflict(
    clinic: Clinic, proxy: Proxy
) -> None:
    (sample,) = await clinic.create("s")
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api

    async def other_device(_: Exchange) -> None:
        other = await clinic.read(sample.id)
        other.content = text("of the other device")
        await clinic.save(other)

    proxy.before("PUT /contact", other_device)
    sample.content = text("of this device")
    with pytest.raises(ConflictError, match="changed by somebody else"):
        await api.create_or_modify_data_sample_for(PATIENT, sample)
    assert text_of(await clinic.read(sample.id)) == "of the other device"


async def test_a_sample_that_another_sdk_has_moved_to_a_new_contact_is_changed_there(
    clinic: Clinic,
) -> None:
    stale, sibling = await clinic.create("s", "sibling", healthcare_element_ids=[FEVER])
    contact = await clinic.contact(stale.batch_id)
    contact["services"] = contact["services"][:1]
    contact["services"][0]["modified"] += 1000
    del contact["rev"]
    await clinic.post(contact | {"id": "moved"})
    moved = await clinic.read(stale.id)
    assert moved.batch_id == "moved"
    assert moved.healthcare_element_ids == [FEVER]
    stale.content = text("lost?")
    with pytest.raises(ConflictError, match="changed by somebody else"):
        await clinic.save(stale)
    moved.content = text("changed")
    assert (await clinic.save(moved)).batch_id == "moved"
    assert text_of(await clinic.read(stale.id)) == "changed"
    assert text_of(await clinic.read(sibling.id)) == "sibling"
    await (await clinic.user("hcpA")).data_sample_api.delete_data_sample(stale.id)
    assert (await clinic.read(stale.id)).is_deleted


async def test_a_stale_contact_is_read_again_after_sharing(clinic: Clinic) -> None:
    (sample,) = await clinic.create("s")
    api = (await clinic.user("hcpA")).data_sample_api
    shared = await api.give_access_to(sample, IDS["hcpB"])
    assert text_of(await clinic.read(sample.id, "hcpB")) == "s"
    assert await api.extract_patient_id(shared) == PATIENT
    sample.content = text("saved as it was read before it was shared")
    await clinic.save(sample)
    assert (
        text_of(await clinic.read(sample.id, "hcpB")) == "saved as it was read before it was shared"
    )


async def test_modifying_what_was_deleted_is_refused_clearly(clinic: Clinic) -> None:
    (sample,) = await clinic.create("s")
    await (await clinic.user("hcpA")).data_sample_api.delete_data_sample(sample.id)
    sample.content = text("changed")
    with pytest.raises(ConflictError, match="was deleted"):
        await clinic.save(sample)
    assert (await clinic.read(sample.id)).is_deleted


async def test_a_deleted_sample_that_was_shared_reads_as_deleted_for_its_delegates(
    clinic: Clinic,
) -> None:
    api = (await clinic.user("hcpA")).data_sample_api
    (sample,) = await clinic.create("s")
    await api.give_access_to(sample, IDS["hcpB"])
    await api.delete_data_sample(sample.id)
    seen = await clinic.read(sample.id, "hcpB")
    assert seen.is_deleted
    assert seen.content == {}
    theirs = (await clinic.user("hcpB")).data_sample_api
    assert sample.id not in [one.id for one in await theirs.get_data_samples_for_patient(PATIENT)]


async def test_a_delegate_deletes_for_the_owner_too(clinic: Clinic) -> None:
    api = (await clinic.user("hcpA")).data_sample_api
    (sample,) = await clinic.create("s")
    await api.give_access_to(sample, IDS["hcpB"])
    await (await clinic.user("hcpB")).data_sample_api.delete_data_sample(sample.id)
    assert (await clinic.read(sample.id)).is_deleted


async def test_a_sample_that_a_delegate_had_modified_in_a_new_contact_can_be_deleted(
    clinic: Clinic,
) -> None:
    sample_id = BY_KIND["modified by a delegate"]
    await (await clinic.user("hcpA")).data_sample_api.delete_data_sample(sample_id)
    assert (await clinic.read(sample_id)).is_deleted
    assert (await clinic.read(sample_id, "hcpB")).is_deleted


async def test_one_unreadable_sample_does_not_break_a_page(clinic: Clinic) -> None:
    one, two = await clinic.create("1", "2")
    contact = await clinic.contact(one.batch_id)
    contact["services"][0]["encryptedSelf"] = contact["services"][0]["encryptedSelf"][::-1]
    await clinic.change(contact)
    api = (await clinic.user("hcpA")).data_sample_api
    wanted = DataSampleFilter().by_ids([one.id, two.id])
    found = {each.id: each async for each in api.filter_data_sample(wanted)}
    assert isinstance(found[one.id], EncryptedDataSample)
    assert text_of(found[two.id]) == "2"
    with pytest.raises(DecryptionError):
        await clinic.read(one.id)


async def test_what_could_not_be_opened_is_never_overwritten(clinic: Clinic) -> None:
    one, two = await clinic.create("1", "2")
    contact = await clinic.contact(one.batch_id)
    contact["services"][0]["encryptedSelf"] = contact["services"][0]["encryptedSelf"][::-1]
    await clinic.change(contact)
    closed = contact["services"][0]["encryptedSelf"]
    one.content = text("changed")
    with pytest.raises(DecryptionError):
        await clinic.save(one)
    two.content = text("changed")
    await clinic.save(two)
    stored = await clinic.contact(one.batch_id)
    assert stored["services"][0]["encryptedSelf"] == closed
    assert text_of(await clinic.read(two.id)) == "changed"


async def test_an_unknown_sample_is_not_found(clinic: Clinic) -> None:
    api = (await clinic.user("hcpA")).data_sample_api
    with pytest.raises(NotFoundError):
        await api.get_data_sample("unknown")
    with pytest.raises(NotFoundError):
        await api.delete_data_samples([BY_KIND["number"], "unknown"])
    assert not (await clinic.read(BY_KIND["number"])).is_deleted


@pytest.mark.parametrize("kind", ["range", "ratio", "timeSeries", "instantZero"])
async def test_what_the_reference_left_in_clear_is_encrypted_when_it_is_saved(
    clinic: Clinic, kind: str
) -> None:
    sample = await clinic.read(BY_KIND[kind])
    content = sample.content
    sample.comment = "changed"
    saved = await clinic.save(sample)
    assert saved.content == content
    contact = await clinic.contact(saved.batch_id)
    (service,) = [one for one in contact["services"] if one["id"] == sample.id]
    assert not service.get("content")
    assert service["encryptedSelf"]


@pytest.mark.parametrize(
    "kind",
    [
        *("modified, same contact", "modified, new contact", "modified by a delegate"),
        *("with attachments", "binary, written with @icure/api"),
        "legacy encryptedContent, made by hand (@icure/api form)",
    ],
)
async def test_golden_samples_of_every_history_can_be_modified(clinic: Clinic, kind: str) -> None:
    sample = await clinic.read(BY_KIND[kind])
    languages = {**sample.content, "de": Content(string_value="neu")}
    sample.content = languages
    saved = await clinic.save(sample)
    assert saved.batch_id == sample.batch_id
    read = await clinic.read(sample.id)
    assert read.content == languages
    stored = await clinic.contact(saved.batch_id)
    (service,) = [one for one in stored["services"] if one["id"] == sample.id]
    assert "encryptedContent" not in service


async def test_links_change_and_others_stay(clinic: Clinic) -> None:
    one, two = await clinic.create("1", "2", healthcare_element_ids=[FEVER])
    one.healthcare_element_ids = [COUGH]
    saved = await clinic.save(one)
    assert saved.healthcare_element_ids == [COUGH]
    assert (await clinic.read(two.id)).healthcare_element_ids == [FEVER]


# --- Patients as users ----------------------------------------------------------------------------


async def test_patients_create_get_modify_and_delete_their_samples(clinic: Clinic) -> None:
    (sample,) = await clinic.create("mine", by="ned", patient_id=NED)
    read = await clinic.read(sample.id, "ned")
    read.content = text("changed")
    await clinic.save(read, "ned", NED)
    assert text_of(await clinic.read(sample.id, "ned")) == "changed"
    api = (await clinic.user("ned")).data_sample_api
    assert await api.delete_data_samples([sample.id]) == [sample.id]
    assert (await clinic.read(sample.id, "ned")).is_deleted


# --- Repeated calls -------------------------------------------------------------------------------


async def test_a_creation_whose_answer_was_lost_is_finished_by_repeating_it(
    clinic: Clinic, proxy: Proxy
) -> None:
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api
    samples = [DataSample(content=text("1")), DataSample(content=text("2"))]
    proxy.lose("POST /contact")
    with pytest.raises(NetworkError):
        await api.create_or_modify_data_samples_for(PATIENT, samples)
    saved = await api.create_or_modify_data_samples_for(PATIENT, samples)
    assert [text_of(one) for one in saved] == ["1", "2"]
    assert len(proxy.sent("POST /contact")) == 1
    samples[0].content = text("another")
    with pytest.raises(ConflictError, match="in use"):
        await api.create_or_modify_data_samples_for(PATIENT, samples)


async def test_a_modification_whose_answer_was_lost_is_finished_by_repeating_it(
    clinic: Clinic, proxy: Proxy
) -> None:
    (sample,) = await clinic.create("s")
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api
    sample.content = text("changed")
    proxy.lose("PUT /contact")
    with pytest.raises(NetworkError):
        await api.create_or_modify_data_sample_for(PATIENT, sample)
    saved = await api.create_or_modify_data_sample_for(PATIENT, sample)
    assert text_of(saved) == "changed"
    assert len(proxy.sent("PUT /contact")) == 1


async def test_a_deletion_whose_answer_was_lost_is_finished_by_repeating_it(
    clinic: Clinic, proxy: Proxy
) -> None:
    (sample,) = await clinic.create("s")
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api
    proxy.lose("POST /contact")
    with pytest.raises(NetworkError):
        await api.delete_data_sample(sample.id)
    assert await api.delete_data_sample(sample.id) == sample.id
    assert len(proxy.sent("POST /contact")) == 1


async def test_samples_of_several_batches_are_deleted_with_one_request_where_that_can_be(
    clinic: Clinic,
) -> None:
    api = (await clinic.user("hcpA")).data_sample_api
    (one,) = await clinic.create("1")
    (two,) = await clinic.create("2")
    (shared,) = await clinic.create("3")
    await api.give_access_to(shared, IDS["hcpB"])
    clinic.log.take()
    await api.delete_data_samples([one.id, two.id, shared.id, one.id])
    assert clinic.log.take().count(f"POST {ROOT}/contact") == 2
    for sample in (one, two, shared):
        assert (await clinic.read(sample.id)).is_deleted


# --- Arguments ------------------------------------------------------------------------------------


async def test_malformed_arguments_are_refused_before_anything_is_sent(clinic: Clinic) -> None:
    api = (await clinic.user("hcpA")).data_sample_api
    one, two = await clinic.create("1"), await clinic.create("2")
    looped = DataSample()
    looped.content = {"en": Content(compound_value=[looped])}
    clinic.log.take()
    for given in (
        [one[0], two[0]],
        [one[0], DataSample(content=text("new"))],
        [one[0], one[0]],
        [DataSample(content={"en": Content()})],
        [DataSample(id="a,b", content=text("s"))],
        [looped],
        "text",
        [None],
    ):
        with pytest.raises(ValidationError):
            await api.create_or_modify_data_samples_for(PATIENT, given)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        await api.create_or_modify_data_sample_for("", DataSample(content=text("s")))
    with pytest.raises(ValidationError):
        await api.give_access_to(DataSample(id="x"), IDS["hcpB"])
    wrongs: list[Any] = [None, {}, "x"]
    for wrong in wrongs:
        with pytest.raises(ValidationError):
            await api.give_access_to(wrong, IDS["hcpB"])
        with pytest.raises(ValidationError):
            await api.extract_patient_id(wrong)
    assert clinic.log.take() == []


async def test_a_sample_can_not_be_moved_to_another_patient(clinic: Clinic) -> None:
    (sample,) = await clinic.create("s")
    sample.content = text("changed")
    with pytest.raises(ValidationError, match="another patient"):
        await clinic.save(sample, patient_id=NED)
    assert text_of(await clinic.read(sample.id)) == "s"


async def test_a_sample_of_a_merged_patient_is_changed_as_one_of_the_patient_who_is_left(
    clinic: Clinic,
) -> None:
    (sample,) = await clinic.create("s")
    ned = await clinic.sandbox.stored("patient", NED)
    assert ned is not None
    await clinic.change({**ned, "mergedIds": [PATIENT]}, "patient")
    sample.content = text("changed")
    await clinic.save(sample, patient_id=NED)
    assert text_of(await clinic.read(sample.id)) == "changed"


async def test_a_sample_created_for_another_patient_does_not_count_as_created(
    clinic: Clinic, proxy: Proxy
) -> None:
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api
    mine = DataSample(id="mine", content=text("s"))
    proxy.lose("POST /contact")
    with pytest.raises(NetworkError):
        await api.create_or_modify_data_sample_for(PATIENT, mine)
    (other,) = await clinic.create("of ned", patient_id=NED)
    stored, of_ned = await clinic.contact(_batch_of(proxy)), await clinic.contact(other.batch_id)
    # The keys are those of the sample, and the patient is another one.
    await clinic.change({**stored, "cryptedForeignKeys": of_ned["cryptedForeignKeys"]})
    with pytest.raises(ConflictError, match="in use"):
        await api.create_or_modify_data_sample_for(PATIENT, mine)


def _batch_of(proxy: Proxy) -> str:
    (sent,) = proxy.sent("POST /contact")
    return str(sent["id"])


async def test_a_sample_of_a_patient_one_can_not_read_is_refused(clinic: Clinic) -> None:
    api = (await clinic.user("hcpC")).data_sample_api
    with pytest.raises(CryptoError, match="no secret id"):
        await api.create_or_modify_data_sample_for(PATIENT, DataSample(content=text("s")))


# --- Hostile answers ------------------------------------------------------------------------------


async def test_a_sample_of_another_patient_in_a_list_is_refused(
    clinic: Clinic, proxy: Proxy
) -> None:
    (mine,) = await clinic.create("of the patient")
    (other,) = await clinic.create("of ned", by="hcpA", patient_id=NED)
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api
    wanted = DataSampleFilter().by_ids([other.id])
    rows: list[Any] = []

    async def keep(exchange: Exchange) -> None:
        rows.extend(exchange.answer["rows"])

    proxy.after("POST /contact/service/filter", keep)
    _ = [one async for one in api.filter_data_sample(wanted)]

    async def plant(exchange: Exchange) -> None:
        exchange.answer["rows"] += rows

    proxy.after("POST /contact/service/filter", plant)
    with pytest.raises(InvalidResponseError, match="does not belong"):
        await api.get_data_samples_for_patient(PATIENT)
    stored = await clinic.contact(mine.batch_id)
    rows[0]["secretForeignKeys"] = stored["secretForeignKeys"]
    proxy.after("POST /contact/service/filter", plant)
    listed = await api.get_data_samples_for_patient(PATIENT)
    assert other.id not in [one.id for one in listed]


async def test_a_sample_said_to_be_in_another_contact_changes_nothing_there(
    clinic: Clinic, proxy: Proxy
) -> None:
    (sample,) = await clinic.create("s")
    (victim,) = await clinic.create("victim")
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api

    async def misplace(exchange: Exchange) -> None:
        exchange.answer[0]["contactId"] = victim.batch_id

    proxy.after("POST /contact/service/byIds", misplace)
    misplaced = await api.get_data_sample(sample.id)
    before = await clinic.contact(victim.batch_id)
    misplaced.content = text("changed")
    proxy.after("POST /contact/service/byIds", misplace)
    with pytest.raises(ConflictError):
        await api.create_or_modify_data_sample_for(PATIENT, misplaced)
    with pytest.raises(ConflictError):
        await api.give_access_to(misplaced, IDS["hcpC"])
    assert await clinic.contact(victim.batch_id) == before


@pytest.mark.parametrize(
    "member",
    [
        {"id": "another"},
        {"contactId": None},
        {"contactId": 7},
        {"encryptedSelf": 7},
        {"content": {"en": {"compoundValue": "x"}}},
        {"modified": "now"},
        {"healthElementsIds": [1]},
        {"delegations": []},
    ],
    ids=str,
)
async def test_a_malformed_answer_is_an_error_that_names_it(
    clinic: Clinic, proxy: Proxy, member: Json
) -> None:
    (sample,) = await clinic.create("s")
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api

    async def spoil(exchange: Exchange) -> None:
        exchange.answer[0] |= member

    proxy.after("POST /contact/service/byIds", spoil)
    with pytest.raises(InvalidResponseError, match="server"):
        await api.get_data_sample(sample.id)


async def test_a_sample_with_the_keys_of_another_contact_stays_closed(
    clinic: Clinic, proxy: Proxy
) -> None:
    (sample,) = await clinic.create("s")
    (other,) = await clinic.create("other")
    contact = await clinic.contact(other.batch_id)
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api

    async def swap(exchange: Exchange) -> None:
        exchange.answer[0]["encryptionKeys"] = contact["encryptionKeys"]

    proxy.after("POST /contact/service/byIds", swap)
    found = await api.get_data_sample_and_try_decrypt(sample.id)
    assert isinstance(found, EncryptedDataSample)
    assert found.content == {}


async def test_a_deletion_gives_nothing_to_those_whom_only_the_backend_names(
    clinic: Clinic, proxy: Proxy
) -> None:
    (sample,) = await clinic.create("s")
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api

    async def plant(exchange: Exchange) -> None:
        planted = {"owner": IDS["hcpA"], "delegatedTo": IDS["hcpC"], "key": "00" * 64}
        for name in ("delegations", "encryptionKeys", "cryptedForeignKeys"):
            exchange.answer[0][name][IDS["hcpC"]] = [planted]

    proxy.after("POST /contact/service/byIds", plant)
    await api.delete_data_sample(sample.id)
    (sent,) = proxy.sent("POST /contact")
    assert set(sent["delegations"]) == {IDS["hcpA"]}


async def test_many_samples_are_read_in_pages(clinic: Clinic) -> None:
    api = (await clinic.user("hcpA")).data_sample_api
    samples = await clinic.create(*map(str, range(10)))
    wanted = DataSampleFilter().by_ids([one.id for one in samples])
    clinic.log.take()
    found = [one async for one in api.filter_data_sample(wanted, page_size=4)]
    assert sorted(str(text_of(one)) for one in found) == sorted(map(str, range(10)))
    assert clinic.log.take() == [f"POST {ROOT}/contact/service/filter"] * 3


async def test_an_answer_with_other_content_than_was_sent_is_refused(
    clinic: Clinic, proxy: Proxy
) -> None:
    (sample,) = await clinic.create("s")
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api
    old = await clinic.contact(sample.batch_id)

    async def keep_the_old(exchange: Exchange) -> None:
        exchange.answer["services"] = old["services"]

    proxy.after("PUT /contact", keep_the_old)
    sample.content = text("changed")
    with pytest.raises(InvalidResponseError):
        await api.create_or_modify_data_sample_for(PATIENT, sample)


async def test_an_older_version_in_another_contact_is_never_taken_for_the_latest(
    clinic: Clinic,
) -> None:
    sample = await clinic.read(BY_KIND["modified, new contact"])
    assert sample.content["en"].number_value == pytest.approx(84.913)
    sample.content["en"].number_value = 1
    saved = await clinic.save(sample)
    assert (await clinic.read(sample.id)).content["en"].number_value == 1
    assert saved.batch_id == sample.batch_id


@pytest.mark.parametrize("kind", ["modified, new contact", "modified by a delegate", "string"])
async def test_golden_samples_of_every_history_can_be_shared(clinic: Clinic, kind: str) -> None:
    api = (await clinic.user("hcpA")).data_sample_api
    await (await clinic.user("hcpA")).patient_api.give_access_to(
        await (await clinic.user("hcpA")).patient_api.get_patient(PATIENT), IDS["hcpC"]
    )
    sample = await clinic.read(BY_KIND[kind])
    shared = await api.give_access_to(sample, IDS["hcpC"])
    assert shared.content == sample.content
    assert (await clinic.read(sample.id, "hcpC")).content == sample.content
    theirs = (await clinic.user("hcpC")).data_sample_api
    listed = await theirs.get_data_samples_for_patient(PATIENT)
    assert sample.id in [one.id for one in listed]
    clinic.log.take()
    await api.give_access_to(shared, IDS["hcpC"])
    assert not [line for line in clinic.log.take() if line.startswith("PUT")]


async def test_events_about_samples_come_decrypted(clinic: Clinic) -> None:
    api = (await clinic.user("hcpA")).data_sample_api
    async with api.subscribe_to_data_sample_events(["CREATE"], DataSampleFilter()) as events:
        (sample,) = await clinic.create("s")
        event = await events.get(timeout=10)
        assert isinstance(event, Event)
        assert event.record.id == sample.id
        assert event.record.batch_id == sample.batch_id
        assert text_of(event.record) == "s"


async def test_deletion_and_creation_go_by_the_latest_clock(clinic: Clinic) -> None:
    (sample,) = await clinic.create("s")
    contact = await clinic.contact(sample.batch_id)
    ahead = contact["services"][0]["modified"] + 3_600_000
    contact["services"][0]["modified"] = ahead
    await clinic.change(contact)
    read = await clinic.read(sample.id)
    read.content = text("changed")
    saved = await clinic.save(read)
    assert saved.modified == ahead + 1
    await (await clinic.user("hcpA")).data_sample_api.delete_data_sample(sample.id)
    assert (await clinic.read(sample.id)).is_deleted


# --- Devices and children as users ----------------------------------------------------------------


async def test_devices_and_children_get_list_change_and_delete_samples(
    client_session: aiohttp.ClientSession, requests: RequestLog
) -> None:
    async with Sandbox(seed=stage(WORLD2, "14-people"), jwt=False) as sandbox:
        clinic = Clinic(sandbox, client_session, requests)
        child = WORLD2["users"]["hcpBchild"]
        for pair in child["extraKeyPairs"]:
            api = await clinic.user("hcpBchild")
            await api.add_key_pair(
                pair["dataOwnerId"], KeyPair(pair["publicKey"], pair["privateKey"])
            )
        for each in WORLD2["expected"]:
            if each["stage"] != "14-people" or each["type"] != "dataSample" or not each["fields"]:
                continue
            if each["reader"] not in ("device", "hcpBchild"):
                continue
            sample = await clinic.read(each["id"], each["reader"])
            assert plain(sample.to_dict()["content"]) == plain(each["fields"]["content"])
            samples = (await clinic.user(each["reader"])).data_sample_api
            patient_id = await samples.extract_patient_id(sample)
            sample.content = text("changed")
            await clinic.save(sample, each["reader"], patient_id)
            (new,) = await clinic.create("new", by=each["reader"], patient_id=patient_id)
            listed = await samples.get_data_samples_for_patient(patient_id)
            assert new.id in [one.id for one in listed]
            assert await samples.delete_data_samples([new.id, sample.id]) == [new.id, sample.id]
            assert (await clinic.read(sample.id, each["reader"])).is_deleted


def _without_sibling(contact: Json) -> None:
    contact["services"] = contact["services"][:1]


def _without_content_of_sibling(contact: Json) -> None:
    del contact["services"][1]["encryptedSelf"]


def _with_clear_sibling_changed(contact: Json) -> None:
    contact["services"][1]["comment"] = "forged"


def _with_content_of_the_sample(contact: Json) -> None:
    one, two = contact["services"]
    two["encryptedSelf"] = one["encryptedSelf"]


def _without_links(contact: Json) -> None:
    contact["subContacts"] = []


@pytest.mark.parametrize(
    "trick",
    [
        _without_sibling,
        _without_content_of_sibling,
        _with_clear_sibling_changed,
        _with_content_of_the_sample,
        _without_links,
    ],
)
@pytest.mark.parametrize("call", ["modify", "share"])
async def test_an_answer_that_lacks_a_part_of_a_batch_never_goes_back(
    clinic: Clinic, proxy: Proxy, trick: Callable[[Json], None], call: str
) -> None:
    sample, _ = await clinic.create("sample", "sibling", healthcare_element_ids=[FEVER])
    before = await clinic.contact(sample.batch_id)
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api

    async def cut(exchange: Exchange) -> None:
        trick(exchange.answer)

    proxy.after("GET /contact/*", cut)
    if call == "modify":
        sample.content = text("changed")
    with pytest.raises(InvalidResponseError, match="two things"):
        await (
            api.create_or_modify_data_sample_for(PATIENT, sample)
            if call == "modify"
            else api.give_access_to(sample, IDS["hcpC"])
        )
    assert await clinic.contact(sample.batch_id) == before


async def test_what_was_seen_to_be_whole_is_not_read_twice(clinic: Clinic, proxy: Proxy) -> None:
    (sample,) = await clinic.create("s")
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api
    for times in (2, 1):
        proxy.exchanges.clear()
        sample.content = text(f"changed {times}")
        sample = await api.create_or_modify_data_sample_for(PATIENT, sample)
        reads = [one for one in proxy.exchanges if one.path == f"/contact/{sample.batch_id}"]
        assert len(reads) == times


async def test_a_sample_that_others_have_stored_in_another_form_is_not_overwritten(
    clinic: Clinic,
) -> None:
    (sample,) = await clinic.create("s")
    sealed = await clinic.contact(sample.batch_id)
    contact = await clinic.contact(sample.batch_id)
    del contact["services"][0]["encryptedSelf"]
    contact["services"][0]["content"] = {"en": {"timeSeries": {"samples": [[1]]}}}
    await clinic.change(contact)
    stale = await clinic.read(sample.id)
    # The other SDK leaves ``modified`` as it was.
    now = await clinic.contact(sample.batch_id)
    await clinic.change({**sealed, "rev": now["rev"]})
    stale.content = text("lost?")
    with pytest.raises(ConflictError, match="changed by somebody else"):
        await clinic.save(stale)
    assert text_of(await clinic.read(sample.id)) == "s"


async def test_a_sample_is_never_deleted_as_one_of_another_patient(
    clinic: Clinic, proxy: Proxy
) -> None:
    (sample,) = await clinic.create("s")
    (of_ned,) = await clinic.create("of ned", patient_id=NED)
    contact = await clinic.contact(of_ned.batch_id)
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api

    async def misplace(exchange: Exchange) -> None:
        keys = ("delegations", "encryptionKeys", "cryptedForeignKeys", "secretForeignKeys")
        exchange.answer[0] |= {"contactId": contact["id"], **{name: contact[name] for name in keys}}

    proxy.after("POST /contact/service/byIds", misplace)
    with pytest.raises(InvalidResponseError, match="two things about its batch"):
        await api.delete_data_sample(sample.id)
    assert proxy.sent("POST /contact") == []
    assert text_of(await clinic.read(sample.id)) == "s"


async def test_a_sample_that_is_stored_in_clear_or_malformed_can_be_deleted(
    clinic: Clinic,
) -> None:
    samples = await clinic.create("in clear", "malformed")
    contact = await clinic.contact(samples[0].batch_id)
    clear, malformed = contact["services"]
    del clear["encryptedSelf"]
    clear["content"] = {"en": {"timeSeries": {"samples": [[1]]}}}
    malformed["encryptedSelf"] = "AAAA" * 16
    await clinic.change(contact)
    api = (await clinic.user("hcpA")).data_sample_api
    await api.delete_data_samples([one.id for one in samples])
    for one in samples:
        assert (await clinic.read(one.id)).is_deleted


async def test_filters_for_patients_find_nothing_of_others(clinic: Clinic, proxy: Proxy) -> None:
    (mine,) = await clinic.create("of the patient")
    (other,) = await clinic.create("of ned", patient_id=NED)
    contact = await clinic.contact(other.batch_id)
    contact["secretForeignKeys"] += (await clinic.contact(mine.batch_id))["secretForeignKeys"]
    await clinic.change(contact)
    api = (await clinic.user("hcpA", proxy.url)).data_sample_api
    of_patient = DataSampleFilter().for_patients([PATIENT])
    both = DataSampleFilter().for_patients([PATIENT, NED])
    named = DataSampleFilter().by_ids([mine.id, other.id])
    assert {mine.id} == {
        one.id async for one in api.filter_data_sample(of_patient.by_ids([mine.id, other.id]))
    }
    found = {one.id async for one in api.filter_data_sample(of_patient)}
    assert mine.id in found
    assert other.id not in found
    found = {one.id async for one in api.filter_data_sample(both)}
    assert {mine.id, other.id} <= found
    either = of_patient.build() | named.build()
    assert other.id in {one.id async for one in api.filter_data_sample(either)}

    async def plant(exchange: Exchange) -> None:
        for row in exchange.answer["rows"]:
            row["secretForeignKeys"] = ["of somebody else"]

    proxy.after("POST /contact/service/filter", plant)
    with pytest.raises(InvalidResponseError, match="does not belong to the patient"):
        _ = [one async for one in api.filter_data_sample(of_patient)]
