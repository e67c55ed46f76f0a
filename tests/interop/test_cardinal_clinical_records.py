"""Clinical records that our SDK and that of today write for each other, on one sandbox."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, Literal

import aiohttp
import attrs
import pytest

from icure_async import Coding, Content, DataSample, HealthcareElement
from icure_async.errors import DecryptionError, PermissionDeniedError
from icure_async.sandbox import Sandbox
from tests.support.cardinal_clinic import CardinalClinic
from tests.support.cardinal_sandbox import TodayWorld, of_stage, owner_of
from tests.support.cardinal_sdk import write_device_key
from tests.support.cardinal_world import CARDINAL
from tests.support.sample_contents import BYTES, CONTENTS, MARKER, said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.cardinal_sdk import StartCardinal

pytestmark = pytest.mark.interop

Json = dict[str, Any]

ROBB: Final = "4449666c-53f6-583f-9a89-0119613666f0"
LARGE: Final = BYTES * 1000
EVERYBODY: Final = ("doc2", "pat1")


@attrs.frozen
class Hospital:
    """The golden people of today on a sandbox, each with our SDK or today's."""

    world: TodayWorld
    start: StartCardinal
    folder: Path

    async def theirs(self, name: str) -> CardinalClinic:
        """Today's SDK as somebody."""
        user = CARDINAL["users"][name]
        folder = self.folder / name
        for pair in user["keyPairs"]:
            write_device_key(folder, user["dataOwnerId"], pair["publicKey"], pair["privateKey"])
        cardinal = await self.start()
        url = self.world.sandbox.backend_url
        await cardinal.start(url, user["login"], user["token"], folder, new_key="deny")
        return CardinalClinic(cardinal)

    async def stored(self) -> str:
        """Everything that the backend has of clinical records, as a text."""
        entities = (await self.world.sandbox.export())["entities"]
        return str([entities.get(kind) for kind in ("helement", "contact", "document")])

    async def check(self) -> None:
        """Check all metadata by the rules of today.md."""
        assert (await self.world.audit()).problems == []


@pytest.fixture
async def hospital(
    request: pytest.FixtureRequest,
    start_cardinal: StartCardinal,
    client_session: aiohttp.ClientSession,
    tmp_path: Path,
) -> AsyncIterator[Hospital]:
    profile: Literal["legacy", "strict"] = getattr(request, "param", "strict")
    async with Sandbox(seed=of_stage("3-more-entities"), profile=profile) as sandbox:
        yield Hospital(TodayWorld(sandbox, client_session), start_cardinal, tmp_path)


async def test_todays_client_reads_changes_shares_and_deletes_our_conditions(
    hospital: Hospital,
) -> None:
    doc1 = (await hospital.world.user("doc1")).healthcare_element_api
    created = await doc1.create_or_modify_healthcare_element(
        HealthcareElement(description=MARKER, note="n", opening_date=20220101), ROBB
    )
    for name in EVERYBODY:
        created = await doc1.give_access_to(created, owner_of(name))
    assert MARKER not in await hospital.stored()
    condition_id = str(created.id)
    doc2, pat1 = await hospital.theirs("doc2"), await hospital.theirs("pat1")
    for other in (doc2, pat1):
        read = await other.get_condition(condition_id)
        assert read is not None
        assert (read["descr"], read["note"], read["openingDate"]) == (MARKER, "n", 20220101)
    assert condition_id in {one["id"] for one in await doc2.conditions_of(ROBB)}

    await doc2.modify_condition(condition_id, note="by doctor 2")
    mine = await doc1.get_healthcare_element(condition_id)
    assert (mine.description, mine.note) == (MARKER, "by doctor 2")
    await doc1.create_or_modify_healthcare_element(mine.evolve(note="by doctor 1"))
    read = await pat1.get_condition(condition_id)
    assert read is not None
    assert (read["descr"], read["note"]) == (MARKER, "by doctor 1")

    doc3 = (await hospital.world.user("doc3")).healthcare_element_api
    with pytest.raises((DecryptionError, PermissionDeniedError)):
        await doc3.get_healthcare_element(condition_id)
    await doc2.share_condition(condition_id, owner_of("doc3"))
    assert (await doc3.get_healthcare_element(condition_id)).note == "by doctor 1"
    await hospital.check()
    await doc2.delete_condition(condition_id)
    left = await doc1.get_healthcare_elements_for_patient(ROBB)
    assert condition_id not in {one.id for one in left}


async def test_we_read_change_share_and_delete_conditions_of_todays_client(
    hospital: Hospital,
) -> None:
    doc1 = await hospital.theirs("doc1")
    created = await doc1.create_condition(
        ROBB, descr=MARKER, note="n", delegates={owner_of("doc2"): "Write"}
    )
    condition_id = created["id"]
    doc2 = (await hospital.world.user("doc2")).healthcare_element_api
    read = await doc2.get_healthcare_element(condition_id)
    assert (read.description, read.note) == (MARKER, "n")
    of_robb = await doc2.get_healthcare_elements_for_patient(ROBB)
    assert condition_id in {one.id for one in of_robb}
    changed = await doc2.create_or_modify_healthcare_element(read.evolve(note="by doctor 2"))
    after = await doc1.get_condition(condition_id)
    assert after is not None
    assert (after["descr"], after["note"]) == (MARKER, "by doctor 2")
    await doc2.give_access_to(changed, owner_of("doc3"))
    doc3 = await hospital.theirs("doc3")
    seen = await doc3.get_condition(condition_id)
    assert seen is not None
    assert seen["note"] == "by doctor 2"
    await doc1.modify_condition(condition_id, note="again")
    assert (await doc2.get_healthcare_element(condition_id)).note == "again"
    await hospital.check()
    await doc2.delete_healthcare_element(condition_id)
    assert condition_id not in {one["id"] for one in await doc1.conditions_of(ROBB)}


async def test_todays_client_reads_every_content_that_we_write(hospital: Hospital) -> None:
    doc1 = (await hospital.world.user("doc1")).data_sample_api
    samples = [
        DataSample.from_dict({"content": content, "comment": MARKER})
        for content in CONTENTS.values()
    ]
    result = await doc1.create_or_modify_data_samples_for(ROBB, samples)
    created = dict(zip(CONTENTS, result, strict=True))
    for name in EVERYBODY:
        await doc1.give_access_to(created["text"], owner_of(name))
    backend = await hospital.stored()
    assert all(
        word not in backend for word in ("SECRET", "numberValue", "timeSeries", "ratio", "range")
    )
    for name in EVERYBODY:
        other = await hospital.theirs(name)
        wrong: list[str] = []
        for kind, sample in created.items():
            read = await other.get_sample(str(sample.id))
            if read is None or said(read["content"]) != said(CONTENTS[kind]):
                wrong.append(kind)
            elif read["comment"] != MARKER:
                wrong.append(f"comment of {kind}")
        assert wrong == []
    await hospital.check()


async def test_todays_client_changes_and_shares_our_samples(hospital: Hospital) -> None:
    doc1 = await hospital.world.user("doc1")
    ours = doc1.data_sample_api
    condition = await doc1.healthcare_element_api.create_or_modify_healthcare_element(
        HealthcareElement(description="d"), ROBB
    )
    result = await ours.create_or_modify_data_samples_for(
        ROBB,
        [
            DataSample(
                content={"en": Content(number_value=number)},
                comment=f"comment {number}",
                healthcare_element_ids=[str(condition.id)],
            )
            for number in (1, 2)
        ],
    )
    one, two = result
    shared = await ours.give_access_to(one, owner_of("doc2"))
    batch_id = str(shared.batch_id)
    doc2 = await hospital.theirs("doc2")
    assert {one.id, two.id} <= {sample["id"] for sample in await doc2.samples_of(ROBB)}
    await doc2.modify_sample(batch_id, str(one.id), content={"en": {"numberValue": 11}})
    read = await ours.get_data_sample(str(one.id))
    assert (read.content["en"].number_value, read.comment) == (11, "comment 1")
    assert read.healthcare_element_ids == [condition.id]
    assert (await ours.get_data_sample(str(two.id))).content["en"].number_value == 2
    read.content["en"].number_value = 12
    await ours.create_or_modify_data_sample_for(ROBB, read)
    for sample_id, number in ((one.id, 12), (two.id, 2)):
        seen = await doc2.get_sample(str(sample_id))
        assert seen is not None
        assert said(seen["content"]) == {"en": {"numberValue": number}}
    await doc2.share_contact(batch_id, owner_of("doc3"))
    doc3 = await hospital.world.user("doc3")
    third = await doc3.data_sample_api.get_data_sample(str(two.id))
    assert third.content["en"].number_value == 2
    await ours.delete_data_sample(str(one.id))
    gone = await doc2.get_sample(str(one.id))
    assert gone is not None
    assert gone["endOfLife"]
    await hospital.check()


async def test_we_read_every_content_of_todays_client_and_change_it(hospital: Hospital) -> None:
    doc1 = await hospital.theirs("doc1")
    ids = {kind: f"22222222-0000-4000-8000-{number:012}" for number, kind in enumerate(CONTENTS)}
    samples = [
        {"id": ids[kind], "content": content, "comment": MARKER}
        for kind, content in CONTENTS.items()
    ]
    contact = await doc1.create_samples(ROBB, *samples, delegates={owner_of("doc2"): "Write"})
    doc2 = (await hospital.world.user("doc2")).data_sample_api
    wrong: list[str] = []
    for kind, sample_id in ids.items():
        read = await doc2.get_data_sample(sample_id)
        if said(read.to_dict()["content"]) != said(CONTENTS[kind]) or read.comment != MARKER:
            wrong.append(kind)
    assert wrong == []
    text = await doc2.get_data_sample(ids["text"])
    assert text.batch_id == contact["id"]
    assert await doc2.extract_patient_id(text) == ROBB
    text.content["en"].string_value = "by doctor 2"
    await doc2.create_or_modify_data_sample_for(ROBB, text)
    after = await doc1.get_contact(contact["id"])
    assert after is not None
    contents = {one["id"]: said(one["content"]) for one in after["services"]}
    assert contents == {
        sample_id: {"en": {"stringValue": "by doctor 2"}}
        if kind == "text"
        else said(CONTENTS[kind])
        for kind, sample_id in ids.items()
    }
    # Content that they encrypt stays encrypted.
    assert "SECRET" not in await hospital.stored()
    await hospital.check()


async def test_todays_client_reads_the_attachments_that_we_write(hospital: Hospital) -> None:
    ours = (await hospital.world.user("doc1")).data_sample_api
    sample = await ours.create_or_modify_data_sample_for(
        ROBB, DataSample(content={"en": Content(string_value="with attachments")})
    )
    await ours.give_access_to(sample, owner_of("doc2"))
    sealed = await ours.set_data_sample_attachment(
        str(sample.id), LARGE, document_name="b.bin", document_language="nl"
    )
    doc2 = await hospital.theirs("doc2")
    document = await doc2.get_document(str(sealed.id))
    assert document is not None
    assert (document["name"], document["size"]) == ("b.bin", len(LARGE))
    assert await doc2.get_attachment(str(sealed.id)) == LARGE
    assert await doc2.get_raw_attachment(str(sealed.id)) != LARGE
    clear = await ours.set_data_sample_attachment(
        str(sample.id), LARGE, document_language="fr", in_clear=True
    )
    assert await doc2.get_raw_attachment(str(clear.id)) == LARGE
    await hospital.check()


@pytest.mark.parametrize("encrypted", [True, False], ids=["encrypted", "clear"])
async def test_we_read_the_attachments_of_todays_client(
    hospital: Hospital, encrypted: bool
) -> None:
    body = LARGE + bytes(-len(LARGE) % 16)
    doc1 = await hospital.theirs("doc1")
    to_doc2: Any = {owner_of("doc2"): "Write"}
    document = await doc1.create_attachment(
        ROBB, "scan.bin", body, delegates=to_doc2, encrypted=encrypted
    )
    assert (await doc1.get_raw_attachment(document["id"]) == body) != encrypted
    sample_id = "33333333-0000-4000-8000-000000000001"
    await doc1.create_samples(
        ROBB,
        {"id": sample_id, "content": {"en": {"documentId": document["id"]}}},
        delegates=to_doc2,
    )
    ours = (await hospital.world.user("doc2")).data_sample_api
    found = await ours.get_data_sample_attachment_document(sample_id, document["id"])
    assert found.name == "scan.bin"
    content = await ours.get_data_sample_attachment_content(sample_id, document["id"])
    assert content == body
    other = await hospital.world.user("doc3")
    with contextlib.suppress(DecryptionError, PermissionDeniedError):
        # Nobody else gets at it, not even its ciphertext taken for content.
        content = await other.data_sample_api.get_data_sample_attachment_content(
            sample_id, document["id"]
        )
        pytest.fail(f"{len(content)} bytes were handed out")


# A strict backend lets administrators alone write codes.
@pytest.mark.parametrize("hospital", ["legacy"], indirect=True)
async def test_codings_of_either_are_the_others(hospital: Hospital) -> None:
    codings = (await hospital.world.user("doc1")).coding_api
    doc2 = await hospital.theirs("doc2")
    created = await codings.create_or_modify_coding(
        Coding(
            type="GOLD",
            code="FEVER",
            version="1",
            regions=["be"],
            description={"en": "fever"},
            search_terms={"en": ["hot", "temperature"]},
        )
    )
    read = await doc2.get_code(str(created.id))
    assert read is not None
    assert (read["label"], sorted(read["searchTerms"]["en"])) == (
        {"en": "fever"},
        ["hot", "temperature"],
    )
    await doc2.modify_code(str(created.id), label={"en": "fever", "fr": "fièvre"})
    again = await codings.get_coding(str(created.id))
    assert again.description == {"en": "fever", "fr": "fièvre"}
    await doc2.create_code(
        id="GOLD|COUGH|1", type="GOLD", code="COUGH", version="1", label={"en": "cough"}
    )
    found = await codings.get_coding("GOLD|COUGH|1")
    assert found.description == {"en": "cough"}
