"""Conditions, data samples, attachments and codings that either SDK writes for the other one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from icure_async import Coding, Content, DataSample, HealthcareElement, KeyPair
from icure_async.errors import DecryptionError, NotFoundError, PermissionDeniedError
from tests.support.notes import MARKER
from tests.support.our_sdk import register_with_sdk, sdk
from tests.support.reference_clinic import ReferenceClinic
from tests.support.reference_sdk import ReferenceSdkError
from tests.support.reference_steps import log_in_as_master, register_with_reference
from tests.support.sample_contents import BYTES, CONTENTS, said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from icure_async import MedTechApi
    from icure_async.sandbox import Sandbox
    from tests.support.reference_sdk import ReferenceSdk, StartReference

pytestmark = pytest.mark.interop

Json = dict[str, Any]

PHONE, OTHER_PHONE = "+32588235595", "+32470123456"
LARGE = BYTES * 1000


@attrs.frozen
class Meeting:
    """A patient who uses our SDK, and the professional it shares with, who uses the reference."""

    ned: MedTechApi
    ned_id: str
    theirs: ReferenceClinic
    hcp_id: str


@pytest.fixture
async def meeting(sandbox: Sandbox, reference: ReferenceSdk) -> AsyncIterator[Meeting]:
    result = await register_with_sdk(sandbox, PHONE)
    await log_in_as_master(reference, sandbox)
    async with result.med_tech_api as ned:
        own_id = str((await ned.user_api.get_logged_user()).patient_id)
        hcp_id = sandbox.master_hcp.data_owner_id
        yield Meeting(ned, own_id, ReferenceClinic(reference), hcp_id)


@contextlib.asynccontextmanager
async def stranger(
    sandbox: Sandbox, start_reference: StartReference
) -> AsyncIterator[tuple[ReferenceClinic, str, MedTechApi]]:
    """A professional with whom nothing is shared yet, with the reference and with ours."""
    reference = await start_reference()
    user = await register_with_reference(reference, sandbox, OTHER_PHONE, professional=True)
    async with sdk(sandbox, user.login, user.token) as api:
        await api.init_user_crypto(KeyPair(user.key_pair.public_key, user.key_pair.private_key))
        yield ReferenceClinic(reference), user.data_owner_id, api


async def stored(sandbox: Sandbox) -> str:
    """Everything that the backend has of clinical records, as a text."""
    entities = (await sandbox.export())["entities"]
    return str([entities.get(kind) for kind in ("helement", "contact", "document")])


async def test_the_reference_reads_changes_shares_and_deletes_our_conditions(
    sandbox: Sandbox, meeting: Meeting, start_reference: StartReference
) -> None:
    ours, theirs = meeting.ned.healthcare_element_api, meeting.theirs
    created = await ours.create_or_modify_healthcare_element(
        HealthcareElement(description=MARKER, note="n", opening_date=20220101), meeting.ned_id
    )
    assert MARKER not in await stored(sandbox)
    read = await theirs.get_condition(str(created.id))
    assert (read["descr"], read["note"], read["openingDate"]) == (MARKER, "n", 20220101)
    assert [one["id"] for one in await theirs.conditions_of(meeting.ned_id)] == [created.id]

    await theirs.modify_condition(str(created.id), note="by the professional")
    mine = await ours.get_healthcare_element(str(created.id))
    assert (mine.description, mine.note) == (MARKER, "by the professional")
    mine.note = "by the patient"
    await ours.create_or_modify_healthcare_element(mine)
    assert (await theirs.get_condition(str(created.id)))["note"] == "by the patient"

    async with stranger(sandbox, start_reference) as (third, third_id, of_third):
        with pytest.raises(ReferenceSdkError):
            await third.get_condition(str(created.id))
        with pytest.raises((DecryptionError, PermissionDeniedError)):
            await of_third.healthcare_element_api.get_healthcare_element(str(created.id))
        await theirs.give_condition_access(str(created.id), third_id)
        assert (await third.get_condition(str(created.id)))["descr"] == MARKER
        shared = await of_third.healthcare_element_api.get_healthcare_element(str(created.id))
        assert shared.note == "by the patient"
    await theirs.delete_conditions(str(created.id))
    assert await ours.get_healthcare_elements_for_patient(meeting.ned_id) == []


async def test_we_read_change_share_and_delete_conditions_of_the_reference(
    sandbox: Sandbox, meeting: Meeting, start_reference: StartReference
) -> None:
    ours, theirs = meeting.ned.healthcare_element_api, meeting.theirs
    # The professional's records are not shared with anybody by themselves.
    one, two = await theirs.create_conditions(
        meeting.ned_id, {"descr": MARKER, "note": "n"}, {"descr": "second"}
    )
    for condition in (one, two):
        await theirs.give_condition_access(condition["id"], meeting.ned_id)
    read = await ours.get_healthcare_element(one["id"])
    assert (read.description, read.note) == (MARKER, "n")
    found = await ours.get_healthcare_elements_for_patient(meeting.ned_id)
    assert {condition.id for condition in found} == {one["id"], two["id"]}

    read.note = "by the patient"
    changed = await ours.create_or_modify_healthcare_element(read)
    after = await theirs.get_condition(one["id"])
    assert (after["descr"], after["note"]) == (MARKER, "by the patient")
    async with stranger(sandbox, start_reference) as (third, third_id, _):
        await ours.give_access_to(changed, third_id)
        assert (await third.get_condition(one["id"]))["note"] == "by the patient"
    await theirs.modify_condition(one["id"], note="again")
    assert (await ours.get_healthcare_element(one["id"])).note == "again"
    await ours.delete_healthcare_element(two["id"])
    assert [left["id"] for left in await theirs.conditions_of(meeting.ned_id)] == [one["id"]]


async def test_the_reference_reads_every_content_that_we_write(
    sandbox: Sandbox, meeting: Meeting
) -> None:
    ours, theirs = meeting.ned.data_sample_api, meeting.theirs
    samples = [DataSample.from_dict({"content": content}) for content in CONTENTS.values()]
    result = await ours.create_or_modify_data_samples_for(meeting.ned_id, samples)
    created = dict(zip(CONTENTS, result, strict=True))
    assert len({sample.batch_id for sample in created.values()}) == 1
    backend = await stored(sandbox)
    assert all(
        word not in backend for word in ("SECRET", "numberValue", "timeSeries", "ratio", "range")
    )
    wrong = [
        kind
        for kind, sample in created.items()
        if said((await theirs.get_sample(str(sample.id)))["content"]) != said(CONTENTS[kind])
    ]
    assert wrong == []
    listed = await theirs.samples_of(meeting.ned_id)
    assert {one["id"] for one in listed} == {sample.id for sample in created.values()}


async def test_the_reference_changes_shares_and_deletes_our_samples(
    sandbox: Sandbox, meeting: Meeting, start_reference: StartReference
) -> None:
    ours, theirs = meeting.ned.data_sample_api, meeting.theirs
    condition = await meeting.ned.healthcare_element_api.create_or_modify_healthcare_element(
        HealthcareElement(description="d"), meeting.ned_id
    )
    result = await ours.create_or_modify_data_samples_for(
        meeting.ned_id,
        [
            DataSample(
                content={"en": Content(number_value=number)},
                comment=f"comment {number}",
                healthcare_element_ids=[str(condition.id)],
            )
            for number in (1, 2, 3)
        ],
    )
    one, two, three = (str(sample.id) for sample in result)
    for sample_id, into_new_contact, number in ((one, False, 11), (two, True, 12)):
        await theirs.modify_sample(
            sample_id, into_new_contact=into_new_contact, content={"en": {"numberValue": number}}
        )
        read = await ours.get_data_sample(sample_id)
        assert read.content["en"].number_value == number
        assert read.healthcare_element_ids == [condition.id]
        # A sample that they changed is changed again, wherever it stands by now.
        read.content["en"].number_value = number + 10
        await ours.create_or_modify_data_sample_for(meeting.ned_id, read)
        after = await theirs.get_sample(sample_id)
        assert said(after["content"]) == {"en": {"numberValue": number + 10}}
        assert after["comment"].startswith("comment")
    assert said((await theirs.get_sample(three))["content"]) == {"en": {"numberValue": 3}}

    async with stranger(sandbox, start_reference) as (third, third_id, of_third):
        with pytest.raises(ReferenceSdkError):
            await third.get_sample(three)
        await ours.give_access_to(await ours.get_data_sample(three), third_id)
        read = await of_third.data_sample_api.get_data_sample(three)
        assert read.content["en"].number_value == 3
        assert said((await third.get_sample(three))["content"]) == {"en": {"numberValue": 3}}
        # A deleted sample reads as deleted for everybody who had it.
        await ours.delete_data_sample(three)
        for clinic in (theirs, third):
            gone = await clinic.get_sample(three)
            assert gone["endOfLife"]
            assert not gone.get("content")
    await theirs.delete_sample(meeting.ned_id, one)
    left_over = await ours.get_data_samples_for_patient(meeting.ned_id)
    assert {sample.id for sample in left_over if not sample.is_deleted} == {two}


async def test_we_read_every_content_of_the_reference(sandbox: Sandbox, meeting: Meeting) -> None:
    ours, theirs = meeting.ned.data_sample_api, meeting.theirs
    wanted = {kind: content for kind, content in CONTENTS.items() if "compound" not in kind}
    nested = {"id": "n1", "identifier": [], "codes": [], "tags": []}
    compound = {
        "en": {
            "compoundValue": [
                nested | {"content": {"en": {"stringValue": "inner"}}},
                nested | {"id": "n2", "content": {"en": {"timeSeries": {"fields": ["x"]}}}},
            ]
        }
    }
    wanted |= {
        "compound": compound,
        "mixed compound": {"en": compound["en"] | {"stringValue": "around"}},
        "compound in one of two languages": compound | {"fr": {"stringValue": "les deux"}},
    }
    created = await theirs.create_samples(
        meeting.ned_id, *({"content": content} for content in wanted.values())
    )
    await theirs.give_sample_access(created[0]["id"], meeting.ned_id)
    ids = dict(zip(wanted, (one["id"] for one in created), strict=True))
    wrong = [
        kind
        for kind, sample_id in ids.items()
        if said((await ours.get_data_sample(sample_id)).to_dict()["content"]) != said(wanted[kind])
    ]
    assert wrong == []
    listed = await ours.get_data_samples_for_patient(meeting.ned_id)
    assert {sample.id for sample in listed} == set(ids.values())
    assert all(isinstance(sample, DataSample) for sample in listed)


async def test_we_change_and_delete_samples_of_the_reference(
    sandbox: Sandbox, meeting: Meeting
) -> None:
    ours, theirs = meeting.ned.data_sample_api, meeting.theirs
    (condition,) = await theirs.create_conditions(meeting.ned_id, {"descr": "d"})
    one, two, three = await theirs.create_samples(
        meeting.ned_id,
        *(
            {
                "content": {"en": {"stringValue": text}},
                "comment": text,
                "healthElementsIds": [condition["id"]],
            }
            for text in ("a", "b", "c")
        ),
    )
    await theirs.give_sample_access(one["id"], meeting.ned_id)
    read = await ours.get_data_sample(one["id"])
    assert (read.comment, read.healthcare_element_ids) == ("a", [condition["id"]])
    assert await ours.extract_patient_id(read) == meeting.ned_id
    read.content = {"en": Content(boolean_value=False)}
    await ours.create_or_modify_data_sample_for(meeting.ned_id, read)
    assert said((await theirs.get_sample(one["id"]))["content"]) == {"en": {"booleanValue": False}}
    # Its siblings are as they were, and so are their links.
    for sibling, text in ((two, "b"), (three, "c")):
        left = await theirs.get_sample(sibling["id"])
        assert said(left["content"]) == {"en": {"stringValue": text}}
        mine = await ours.get_data_sample(sibling["id"])
        assert mine.healthcare_element_ids == [condition["id"]]
    await ours.delete_data_sample(two["id"])
    gone = await theirs.get_sample(two["id"])
    assert gone["endOfLife"]
    assert (await ours.get_data_sample(two["id"])).is_deleted
    # After that, what the other one deletes.
    await theirs.delete_sample(meeting.ned_id, three["id"])
    left_over = await ours.get_data_samples_for_patient(meeting.ned_id)
    assert {sample.id for sample in left_over if not sample.is_deleted} == {one["id"]}


async def test_the_reference_reads_the_attachments_that_we_write(
    sandbox: Sandbox, meeting: Meeting
) -> None:
    ours, theirs = meeting.ned.data_sample_api, meeting.theirs
    sample = await ours.create_or_modify_data_sample_for(
        meeting.ned_id, DataSample(content={"en": Content(string_value="with attachments")})
    )
    clear = await ours.set_data_sample_attachment(
        str(sample.id), LARGE, document_name="a.bin", document_language="fr", in_clear=True
    )
    assert await theirs.get_attachment(str(clear.id)) == LARGE
    sealed = await ours.set_data_sample_attachment(
        str(sample.id), LARGE, document_name="b.bin", document_language="nl"
    )
    # With its own crypto, and never with a key sent along.
    assert await theirs.get_attachment(str(sealed.id)) != LARGE
    assert await theirs.open_attachment(str(sealed.id)) == LARGE
    read = await theirs.get_sample(str(sample.id))
    assert said(read["content"]) == {
        "en": {"stringValue": "with attachments"},
        "fr": {"documentId": clear.id},
        "nl": {"documentId": sealed.id},
    }
    await ours.delete_attachment(str(sample.id), str(clear.id))
    read = await theirs.get_sample(str(sample.id))
    assert set(read["content"]) == {"en", "nl"}


@pytest.mark.parametrize("encrypted", [False, True], ids=["clear", "encrypted by the backend"])
async def test_we_read_the_attachments_of_the_reference(meeting: Meeting, encrypted: bool) -> None:
    ours, theirs = meeting.ned.data_sample_api, meeting.theirs
    document = await theirs.create_document("scan.bin", LARGE, encrypted=encrypted)
    (sample,) = await theirs.create_samples(
        meeting.ned_id, {"content": {"en": {"documentId": document["id"]}}}
    )
    await theirs.give_sample_access(sample["id"], meeting.ned_id)
    async with contextlib.AsyncExitStack() as stack:
        if encrypted:
            # Only the professional has the key of the document.
            stack.enter_context(pytest.raises((DecryptionError, PermissionDeniedError)))
        content = await ours.get_data_sample_attachment_content(sample["id"], document["id"])
        assert content == LARGE
        found = await ours.get_data_sample_attachment_document(sample["id"], document["id"])
        assert found.name == "scan.bin"
        await ours.delete_attachment(sample["id"], document["id"])
        assert not (await ours.get_data_sample(sample["id"])).content


async def test_an_attachment_that_the_reference_let_the_backend_encrypt_is_read_with_its_key(
    sandbox: Sandbox, meeting: Meeting
) -> None:
    theirs, master = meeting.theirs, sandbox.master_hcp
    document = await theirs.create_document("scan.bin", LARGE, encrypted=True)
    assert await theirs.get_attachment(document["id"], ask_backend_to_open=True) == LARGE
    (sample,) = await theirs.create_samples(
        meeting.ned_id, {"content": {"en": {"documentId": document["id"]}}}
    )
    async with sdk(sandbox, master.login, master.password) as hcp:
        await hcp.init_user_crypto(master.key_pair)
        api = hcp.data_sample_api
        content = await api.get_data_sample_attachment_content(sample["id"], document["id"])
        assert content == LARGE


async def test_codings_of_either_are_the_others(sandbox: Sandbox, meeting: Meeting) -> None:
    theirs, master = meeting.theirs, sandbox.master_hcp
    async with sdk(sandbox, master.login, master.password) as hcp:
        await hcp.init_user_crypto(master.key_pair)
        codings = hcp.coding_api
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
        assert created.id == "GOLD|FEVER|1"
        read = await theirs.get_code("GOLD|FEVER|1")
        assert (read["label"], sorted(read["searchTerms"]["en"])) == (
            {"en": "fever"},
            ["hot", "temperature"],
        )
        await theirs.modify_code("GOLD|FEVER|1", label={"en": "fever", "fr": "fièvre"})
        again = await codings.get_coding("GOLD|FEVER|1")
        assert again.description == {"en": "fever", "fr": "fièvre"}
        assert sorted((again.search_terms or {})["en"]) == ["hot", "temperature"]
        await theirs.create_code(
            id="GOLD|COUGH|1", type="GOLD", code="COUGH", version="1", label={"en": "cough"}
        )
        found = await codings.get_coding("GOLD|COUGH|1")
        assert found.description == {"en": "cough"}
        found.description = {"en": "a cough"}
        await codings.create_or_modify_coding(found)
        assert (await theirs.get_code("GOLD|COUGH|1"))["label"] == {"en": "a cough"}
        ids = ["GOLD|FEVER|1", "GOLD|COUGH|1"]
        rows = await theirs.find_codes({"$type": "CodeByIdsFilter", "ids": ids})
        assert sorted(row["id"] for row in rows) == sorted(ids)
        with pytest.raises(NotFoundError):
            await codings.get_coding("GOLD|NOTHING|1")
