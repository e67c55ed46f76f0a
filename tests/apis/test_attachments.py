"""Files attached to data samples: sent, received, checked and removed, in both flavours."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from icure_async import Content, DataSample, Document, MedTechApi, Patient, TransferProgress
from icure_async.crypto.software import aes_cbc_encrypt
from icure_async.crypto.streams import PIECE_BYTES
from icure_async.entities.records import Records
from icure_async.errors import (
    ConflictError,
    DecryptionError,
    ICureError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    ResponseTooLargeError,
    ValidationError,
)
from icure_async.sandbox import Fault, Sandbox
from icure_async.storage import _disk
from tests.support.attachment_scenes import PATIENT, Ward, ward
from tests.support.builders import builder_for
from tests.support.golden import WORLD2
from tests.support.golden_sandbox import Opener
from tests.support.request_log import RequestLog
from tests.support.seeds import Json, key_pair_of, stage, with_attachments

__all__ = ["ward"]

SCAN = b"%PDF-1.7 " + bytes(range(256)) * 20
GOLDEN = [each for each in WORLD2["expected"] if each["type"] == "attachment"]
IDS = {name: user["dataOwnerId"] for name, user in WORLD2["users"].items() if name != "master"}


async def attach(
    ward: Ward, sample: DataSample, body: Any = SCAN, *, by: str = "hcpA", **options: Any
) -> Document:
    api = await ward.user(by)
    return await api.data_sample_api.set_data_sample_attachment(str(sample.id), body, **options)


async def read(ward: Ward, sample: DataSample, document: Document, by: str = "hcpA") -> bytes:
    api = await ward.user(by)
    return await api.data_sample_api.get_data_sample_attachment_content(
        str(sample.id), str(document.id)
    )


async def content(ward: Ward, sample: DataSample, by: str = "hcpA") -> dict[str, Content]:
    api = await ward.user(by)
    return (await api.data_sample_api.get_data_sample(str(sample.id))).content


def names_in(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


# --- The reference's ------------------------------------------------------------------------------


@pytest.mark.parametrize("stage_name", sorted({each["stage"] for each in GOLDEN}))
async def test_files_of_the_reference_are_read_by_everybody_who_should(
    stage_name: str, client_session: aiohttp.ClientSession
) -> None:
    async with Sandbox(seed=with_attachments(WORLD2, stage_name), jwt=False) as sandbox:
        opener = Opener(sandbox.icure_url, WORLD2, client_session)
        for each in GOLDEN:
            if each["stage"] != stage_name:
                continue
            samples = (await opener.golden(each["reader"])).data_sample_api
            wanted, ids = each["fields"], (each["dataSampleId"], each["id"])
            document = await samples.get_data_sample_attachment_document(*ids)
            assert (document.name, document.size) == (wanted["name"], wanted["size"])
            found = await samples.get_data_sample_attachment_content(*ids)
            named = await samples.get_data_sample_attachment_content(*ids, each["attachmentId"])
            assert found == named
            assert hashlib.sha256(found).hexdigest() == each["attachmentId"]


async def test_a_file_in_clear_is_what_the_reference_writes_and_reads(ward: Ward) -> None:
    sample = await ward.sample()
    document = await attach(
        ward, sample, in_clear=True, document_name="scan.pdf", document_version="1"
    )
    stored = await ward.stored("document", document.id)
    assert (stored["name"], stored["version"]) == ("scan.pdf", "1")
    assert not any(stored.get(name) for name in ("delegations", "encryptionKeys", "encryptedSelf"))
    assert await ward.bytes_of(str(document.id)) == SCAN
    assert await read(ward, sample, document) == SCAN


# --- Sending and receiving ------------------------------------------------------------------------


async def test_a_file_is_encrypted_and_read_by_those_who_have_the_sample(ward: Ward) -> None:
    api = await ward.user("hcpA")
    sample = await ward.sample("en")
    sample = await api.data_sample_api.give_access_to(sample, IDS["hcpB"])
    document = await attach(
        ward, sample, document_language="fr", document_name="scan.pdf", document_external_uuid="x"
    )

    assert (document.size, document.sha256) == (len(SCAN), hashlib.sha256(SCAN).hexdigest())
    assert (await content(ward, sample))["fr"].document_id == document.id
    assert (await content(ward, sample))["en"].string_value == "en"
    stored = await ward.stored("document", document.id)
    assert str(document.sha256) not in str(stored)
    assert SCAN[:16] not in await ward.bytes_of(str(document.id))
    contact = await ward.stored("contact", sample.batch_id)
    assert stored["secretForeignKeys"] == contact["secretForeignKeys"]
    for reader in ("hcpA", "hcpB"):
        assert await read(ward, sample, document, reader) == SCAN
    with pytest.raises(DecryptionError):
        await read(ward, sample, document, "hcpC")


async def test_a_sample_that_is_shared_later_is_shared_with_its_files(ward: Ward) -> None:
    api = await ward.user("hcpA")
    sample = await ward.sample()
    document = await attach(ward, sample)
    with pytest.raises(DecryptionError):
        await read(ward, sample, document, "hcpB")
    sample = await api.data_sample_api.get_data_sample(str(sample.id))
    for _ in range(2):
        sample = await api.data_sample_api.give_access_to(sample, IDS["hcpB"])
    assert await read(ward, sample, document, "hcpB") == SCAN


async def test_a_file_comes_in_any_form(ward: Ward, tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(SCAN)
    opened = io.BytesIO(b"skipped" + SCAN)
    opened.seek(7)
    once = io.BytesIO(SCAN)
    once.seekable = lambda: False  # type: ignore[method-assign]
    bodies: dict[str, Any] = {
        "bytes": bytearray(SCAN),
        "path": path,
        "file": opened,
        "pipe": once,
        "stream": stream(SCAN[:10], b"", SCAN[10:]),
        "nothing": b"",
    }
    for form, body in bodies.items():
        sample = await ward.sample()
        document = await attach(ward, sample, body)
        wanted = b"" if form == "nothing" else SCAN
        found = await read(ward, sample, document)
        assert (found, document.size) == (wanted, len(wanted)), form
        assert document.sha256 == hashlib.sha256(wanted).hexdigest(), form


async def test_requests_are_few(ward: Ward) -> None:
    await ward.user("hcpA")
    sample = await ward.sample()
    ward.log.take()
    document = await attach(ward, sample)
    assert ward.log.take() == [
        "POST /rest/v1/contact/filter",
        "POST /rest/v1/document",
        f"PUT /rest/v1/document/{document.id}/attachment",
        "PUT /rest/v1/contact",
    ]
    await read(ward, sample, document)
    assert ward.log.take() == [
        f"GET /rest/v1/document/{document.id}",
        f"GET /rest/v1/document/{document.id}/attachment/{document.attachment_id}",
    ]
    await attach(ward, sample, stream(b"a", b"b"))
    # Size and hash are known when the bytes have been sent.
    assert [line.partition("/document/")[0] for line in ward.log.take()] == [
        "POST /rest/v1/contact/filter",
        "POST /rest/v1/document",
        "PUT /rest/v1",
        "PUT /rest/v1/document",
        "PUT /rest/v1/contact",
    ]


async def test_progress_is_told_of_both_directions(ward: Ward, tmp_path: Path) -> None:
    body = bytes(PIECE_BYTES * 2 + 5)
    told: list[TransferProgress] = []

    async def progress(state: TransferProgress) -> None:
        told.append(state)

    sample = await ward.sample()
    document = await attach(ward, sample, body, progress=progress)
    whole = TransferProgress(done=len(body), total=len(body))
    assert (len(told), told[-1]) == (3, whole)
    assert [state.done for state in told] == sorted(state.done for state in told)
    told.clear()
    samples = (await ward.user("hcpA")).data_sample_api
    target = tmp_path / "copy"
    await samples.save_data_sample_attachment_content(
        str(sample.id), str(document.id), target, progress=progress
    )
    assert told[-1] == whole
    assert target.read_bytes() == body
    assert target.stat().st_mode & 0o777 == 0o600
    assert names_in(tmp_path) == [target.name]


async def test_an_error_of_progress_ends_the_call(ward: Ward) -> None:
    async def progress(_: TransferProgress) -> None:
        raise ZeroDivisionError

    sample = await ward.sample()
    with pytest.raises(ZeroDivisionError):
        await attach(ward, sample, progress=progress)
    assert await content(ward, sample) == {}


@pytest.mark.parametrize("by", ["ned", "device", "hcpBchild"])
async def test_a_patient_and_a_device_attach_files_too(
    by: str, client_session: aiohttp.ClientSession, requests: RequestLog
) -> None:
    """The reference fails after it has changed the sample."""
    async with Sandbox(seed=stage(WORLD2, "14-people"), jwt=False) as sandbox:
        ward = Ward(sandbox, client_session, requests)
        api = await ward.user(by)
        if by == "ned":
            patient_id = IDS["ned"]
        else:
            patient = await api.patient_api.create_or_modify_patient(Patient(last_name="Stark"))
            patient_id = str(patient.id)
        sample = await ward.sample(by=by, patient_id=patient_id)
        document = await attach(ward, sample, by=by)
        assert await read(ward, sample, document, by) == SCAN
        assert (
            await api.data_sample_api.delete_attachment(str(sample.id), str(document.id))
            == document.id
        )


# --- Bytes that are not the right ones ------------------------------------------------------------


def _flipped(data: bytes) -> bytes:
    return data[:40] + bytes([data[40] ^ 1]) + data[41:]


WRONG: dict[str, Callable[[bytes], bytes]] = {
    "cut by a byte": lambda data: data[:-1],
    "cut by a block": lambda data: data[:-16],
    "cut to the iv": lambda data: data[:16],
    "nothing": lambda data: b"",
    "longer": lambda data: data + bytes(16),
    "a bit flipped": _flipped,
    "blocks swapped": lambda data: data[:32] + data[48:64] + data[32:48] + data[64:],
    "in clear": lambda data: SCAN,
    "another key": lambda data: aes_cbc_encrypt(bytes(16), bytes(16), SCAN),
    "a page": lambda data: b"<html>" + bytes(len(data) - 6),
}


async def test_bytes_that_are_not_those_that_were_attached_are_refused(
    ward: Ward, tmp_path: Path
) -> None:
    sample = await ward.sample()
    document = await attach(ward, sample)
    ids = str(sample.id), str(document.id)
    right = await ward.bytes_of(ids[1])
    samples = (await ward.user("hcpA")).data_sample_api
    target = tmp_path / "scan.pdf"
    target.write_bytes(b"before")
    for change in WRONG.values():
        await ward.replace_bytes(ids[1], change(right))
        with pytest.raises((InvalidResponseError, DecryptionError)) as caught:
            await samples.get_data_sample_attachment_content(*ids)
        assert str(document.id) in str(caught.value)
        with pytest.raises((InvalidResponseError, DecryptionError)):
            await samples.save_data_sample_attachment_content(*ids, target)
        assert target.read_bytes() == b"before"
        assert names_in(tmp_path) == [target.name]
    await ward.replace_bytes(ids[1], right)
    assert await read(ward, sample, document) == SCAN


async def test_a_hash_in_clear_is_not_believed(ward: Ward) -> None:
    sample = await ward.sample()
    document = await attach(ward, sample, in_clear=True)
    stored = await ward.stored("document", document.id)
    stored["sha256"] = hashlib.sha256(b"forged").hexdigest()
    await ward.as_master("PUT", "/document", stored)
    assert await read(ward, sample, document) == SCAN


async def test_a_document_without_bytes_and_one_that_is_not_there_say_so(ward: Ward) -> None:
    sample = await ward.sample()
    document = await attach(ward, sample)
    await ward.as_master("DELETE", f"/document/{document.id}/attachment")
    with pytest.raises(NotFoundError, match="there are no bytes"):
        await read(ward, sample, document)
    samples = (await ward.user("hcpA")).data_sample_api
    with pytest.raises(NotFoundError, match="there are no bytes"):
        await samples.get_data_sample_attachment_content(
            str(sample.id), str(document.id), "another"
        )
    with pytest.raises(NotFoundError):
        await samples.get_data_sample_attachment_document(str(sample.id), "unknown")


@pytest.mark.parametrize("odd", ["..", "a" * 300, "\ud800"])
async def test_an_odd_name_of_the_bytes_is_the_fault_of_the_answer(
    odd: str, ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = await ward.sample()
    document = await attach(ward, sample)
    read_record = Records.read

    async def renamed(self: Any, record_id: str) -> Json:
        return {**await read_record(self, record_id), "attachmentId": odd}

    monkeypatch.setattr(Records, "read", renamed)
    with pytest.raises(InvalidResponseError, match="no id"):
        await read(ward, sample, document)


async def test_an_answer_that_is_cut_is_asked_for_again(ward: Ward) -> None:
    sample = await ward.sample()
    document = await attach(ward, sample)
    ward.sandbox.inject_fault(
        Fault("truncate", method="GET", path=f"*/document/{document.id}/attachment/*", times=1)
    )
    assert await read(ward, sample, document) == SCAN
    ward.sandbox.inject_fault(
        Fault("truncate", method="GET", path=f"*/document/{document.id}/attachment/*")
    )
    with pytest.raises(NetworkError):
        await read(ward, sample, document)


async def test_the_type_that_the_backend_tells_changes_nothing(ward: Ward) -> None:
    sample = await ward.sample()
    body = b'{"a": "\xe9"}\r\n'
    document = await attach(ward, sample, body, in_clear=True)
    for uti in ("public.plain-text", "public.json", "com.adobe.pdf"):
        stored = await ward.stored("document", document.id)
        await ward.as_master("PUT", "/document", {**stored, "mainUti": uti})
        assert await read(ward, sample, document) == body


async def test_a_file_that_is_too_large_for_memory_is_written_to_a_path(
    ward: Ward, tmp_path: Path
) -> None:
    sample = await ward.sample()
    document = await attach(ward, sample, bytes(200_000))
    user = WORLD2["users"]["hcpA"]
    builder = builder_for(ward.sandbox.icure_url, user["login"], user["token"])
    async with builder.with_max_response_size(100_000).build() as api:
        await api.init_user_crypto(key_pair_of(WORLD2, "hcpA"))
        ids = str(sample.id), str(document.id)
        with pytest.raises(ResponseTooLargeError, match="save_data_sample_attachment_content"):
            await api.data_sample_api.get_data_sample_attachment_content(*ids)
        await api.data_sample_api.save_data_sample_attachment_content(*ids, str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == bytes(200_000)


# --- Failures, and calls that are repeated --------------------------------------------------------

STEPS = {
    "document": Fault("drop-after", method="POST", path="*/document", times=1),
    "bytes": Fault("drop-after", method="PUT", path="*/attachment", times=3),
    "bytes not sent": Fault("status", method="PUT", path="*/attachment", status=500),
    "sample": Fault("drop-after", method="PUT", path="*/contact", times=1),
    "sample not saved": Fault("status", method="PUT", path="*/contact", status=500),
}


@pytest.mark.parametrize("step", STEPS)
async def test_a_repeated_call_finishes_the_job_with_one_document(step: str, ward: Ward) -> None:
    sample = await ward.sample("en")
    before = len((await ward.sandbox.export())["entities"]["document"])
    ward.sandbox.inject_fault(STEPS[step])
    with pytest.raises(ICureError) as caught:
        await attach(ward, sample, document_language="fr")
    found = await content(ward, sample)
    if "fr" in found:
        # No data sample points to a document without bytes.
        await ward.bytes_of(str(found["fr"].document_id))
    ward.sandbox.clear_faults()
    document = await attach(ward, sample, document_language="fr")
    if step != "document":
        assert str(document.id) in "".join(caught.value.__notes__)
    assert await read(ward, sample, document) == SCAN
    assert len((await ward.sandbox.export())["entities"]["document"]) == before + 1


async def test_a_repeated_call_finishes_the_job_for_those_who_have_the_sample_by_then(
    ward: Ward,
) -> None:
    samples = (await ward.user("hcpA")).data_sample_api
    sample = await ward.sample()
    ward.sandbox.inject_fault(STEPS["bytes not sent"])
    with pytest.raises(ICureError):
        await attach(ward, sample)
    ward.sandbox.clear_faults()
    await samples.give_access_to(await samples.get_data_sample(str(sample.id)), IDS["hcpB"])
    document = await attach(ward, sample)
    assert await read(ward, sample, document, "hcpB") == SCAN


async def test_what_is_cut_on_its_way_is_not_stored_and_sent_again(ward: Ward) -> None:
    sample = await ward.sample()
    ward.sandbox.inject_fault(Fault("drop-before", method="PUT", path="*/attachment", times=1))
    document = await attach(ward, sample)
    assert await read(ward, sample, document) == SCAN


async def test_a_stream_that_fails_leaves_the_sample_as_it_was_and_names_the_document(
    ward: Ward,
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield SCAN
        raise ZeroDivisionError

    sample = await ward.sample("en")
    with pytest.raises(ZeroDivisionError) as caught:
        await attach(ward, sample, failing(), document_language="fr")
    assert set(await content(ward, sample)) == {"en"}
    documents = (await ward.sandbox.export())["entities"]["document"]
    (orphan,) = [each for each in documents.values() if "encryptedSelf" in each]
    assert "attachmentId" not in orphan
    assert orphan["id"] in "".join(caught.value.__notes__)


async def test_a_file_that_changes_while_it_is_sent_is_refused(ward: Ward) -> None:
    class Changing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(size).replace(b"1", b"2") if self.tell() else super().read(size)

    class Growing(io.BytesIO):
        passes = 0

        def seek(self, offset: int, whence: int = 0, /) -> int:
            self.passes += 1
            if self.passes > 1:
                super().seek(0, 2)
                self.write(b"more")
            return super().seek(offset, whence)

    sample = await ward.sample()
    with pytest.raises(ValidationError, match="has changed"):
        await attach(ward, sample, Growing(SCAN))
    assert await content(ward, sample) == {}


@pytest.mark.parametrize("in_clear", [False, True])
async def test_a_file_that_grows_without_end_while_it_is_sent_is_refused(
    in_clear: bool, ward: Ward
) -> None:
    """Although the backend has as many bytes as were announced, and answers."""

    class Growing(io.BytesIO):
        passes = 0

        def seek(self, offset: int, whence: int = 0, /) -> int:
            self.passes += 1
            return super().seek(offset, whence)

        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(size) or bytes(PIECE_BYTES if self.passes > 1 else 0)

    sample = await ward.sample()
    with pytest.raises(ValidationError, match="has changed"):
        await asyncio.wait_for(attach(ward, sample, Growing(SCAN), in_clear=in_clear), 10)
    assert await content(ward, sample) == {}


async def test_two_who_attach_at_once_both_succeed(ward: Ward) -> None:
    sample = await ward.sample("en")
    bodies = {"fr": b"one", "nl": b"two", "de": b"three"}
    await asyncio.gather(
        *(attach(ward, sample, body, document_language=tag) for tag, body in bodies.items())
    )
    found = await content(ward, sample)
    assert set(found) == {"en", *bodies}
    for tag, body in bodies.items():
        api = (await ward.user("hcpA")).data_sample_api
        document_id = str(found[tag].document_id)
        assert await api.get_data_sample_attachment_content(str(sample.id), document_id) == body


# --- The reference's losses -----------------------------------------------------------------------


async def test_siblings_of_a_sample_survive_an_attachment(ward: Ward) -> None:
    """Bug 1: they are removed from the contact."""
    api = (await ward.user("hcpA")).data_sample_api
    batch = [DataSample(content={"en": Content(number_value=n)}) for n in range(3)]
    first, *siblings = await api.create_or_modify_data_samples_for(PATIENT, batch)
    document = await attach(ward, first, document_language="fr")
    await api.delete_attachment(str(first.id), str(document.id))
    for number, sibling in enumerate(siblings, 1):
        assert (await content(ward, sibling))["en"].number_value == number


async def test_links_survive_delete_attachment(ward: Ward) -> None:
    """Bug 2: they are dropped."""
    api = await ward.user("hcpA")
    element = "cfa91eb2-a2c7-4d3f-a370-106293d11f20"
    sample = await api.data_sample_api.create_or_modify_data_sample_for(
        PATIENT,
        DataSample(content={"en": Content(string_value="Tired")}, healthcare_element_ids=[element]),
    )
    document = await attach(ward, sample, document_language="fr")
    await api.data_sample_api.delete_attachment(str(sample.id), str(document.id))
    found = await api.data_sample_api.get_data_sample(str(sample.id))
    assert found.healthcare_element_ids == [element]
    assert {tag: each.string_value for tag, each in found.content.items()} == {"en": "Tired"}


async def test_set_data_sample_attachment_without_language_overwrites_no_content(
    ward: Ward,
) -> None:
    """Bug 3: that of "en" is lost."""
    sample = await ward.sample("en")
    ward.log.take()
    with pytest.raises(ValidationError, match="document_language") as caught:
        await attach(ward, sample)
    assert "'en'" in str(caught.value)
    assert len(ward.log.take()) == 1
    several = await ward.sample("en", "fr")
    with pytest.raises(ValidationError):
        await attach(ward, several)
    assert set(await content(ward, several)) == {"en", "fr"}


async def test_without_language_a_file_replaces_a_file_in_its_language(ward: Ward) -> None:
    sample = await ward.sample()
    await attach(ward, sample, document_language="nl")
    second = await attach(ward, sample, b"the next version")
    assert {tag: each.document_id for tag, each in (await content(ward, sample)).items()} == {
        "nl": second.id
    }


async def test_a_sample_in_two_contacts_is_changed_in_the_latest(ward: Ward) -> None:
    """Bug 5: the old one is changed, and the attachment is still there."""
    api = (await ward.user("hcpA")).data_sample_api
    sample = await ward.sample("en")
    document = await attach(ward, sample, document_language="fr")
    contact = await ward.stored("contact", sample.batch_id)
    later = [{**service, "modified": service["modified"] + 5} for service in contact["services"]]
    for new_id in ("0" * 8 + str(sample.id)[8:], "f" * 8 + str(sample.id)[8:]):
        copied = {name: value for name, value in contact.items() if name != "rev"}
        await ward.as_master("POST", "/contact", {**copied, "id": new_id, "services": later})
        later = [{**service, "modified": service["modified"] + 5} for service in later]
    await api.delete_attachment(str(sample.id), str(document.id))
    assert set(await content(ward, sample)) == {"en"}
    again = await attach(ward, sample, b"again", document_language="fr")
    assert await read(ward, sample, again) == b"again"


# --- Removing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Fault("drop-after", method="PUT", path="*/contact", times=1),
        Fault("status", method="DELETE", path="*/attachment", status=500, times=3),
        Fault("status", method="DELETE", path="*/document/*", status=500),
    ],
)
async def test_a_repeated_removal_finishes_the_job(fault: Fault, ward: Ward) -> None:
    api = (await ward.user("hcpA")).data_sample_api
    sample = await ward.sample()
    document = await attach(ward, sample)
    ids = str(sample.id), str(document.id)
    ward.sandbox.inject_fault(fault)
    with pytest.raises(ICureError):
        await api.delete_attachment(*ids)
    ward.sandbox.clear_faults()
    for _ in range(2):
        assert await api.delete_attachment(*ids) == document.id
    assert await content(ward, sample) == {}
    stored = await ward.stored("document", document.id)
    assert "attachmentId" not in stored
    assert stored["deletionDate"]


async def test_the_file_of_another_sample_is_not_removed(ward: Ward) -> None:
    api = (await ward.user("hcpA")).data_sample_api
    sample, other = await ward.sample(), await ward.sample()
    document = await attach(ward, sample)
    with pytest.raises(ConflictError, match="not attached to this data sample"):
        await api.delete_attachment(str(other.id), str(document.id))
    assert await read(ward, sample, document) == SCAN


async def test_a_file_in_clear_that_no_sample_has_is_not_said_to_be_removable(ward: Ward) -> None:
    """Nothing in its document tells whose it is."""
    sample = await ward.sample()
    fault = Fault("status", method="PUT", path="*/contact", status=500)
    with ward.sandbox.fault(fault), pytest.raises(ICureError) as caught:
        await attach(ward, sample, in_clear=True)
    assert "delete_attachment" not in "".join(caught.value.__notes__)
    document = await attach(ward, sample, in_clear=True)
    assert str(document.id) in "".join(caught.value.__notes__)
    api = (await ward.user("hcpA")).data_sample_api
    fault = Fault("status", method="DELETE", path="*/attachment", status=500)
    with ward.sandbox.fault(fault), pytest.raises(ICureError) as caught:
        await api.delete_attachment(str(sample.id), str(document.id))
    assert "in clear" in "".join(caught.value.__notes__)
    with pytest.raises(ConflictError, match="in clear"):
        await api.delete_attachment(str(sample.id), str(document.id))


async def test_a_file_that_a_sibling_has_too_keeps_its_bytes(ward: Ward) -> None:
    api = (await ward.user("hcpA")).data_sample_api
    first, second = await api.create_or_modify_data_samples_for(
        PATIENT, [DataSample(), DataSample()]
    )
    document = await attach(ward, first)
    second = await api.get_data_sample(str(second.id))
    second.content = {"en": Content(document_id=document.id)}
    await api.create_or_modify_data_sample_for(PATIENT, second)
    await api.delete_attachment(str(first.id), str(document.id))
    assert await content(ward, first) == {}
    assert await read(ward, second, document) == SCAN


async def test_a_deleted_sample_gets_no_file(ward: Ward) -> None:
    api = (await ward.user("hcpA")).data_sample_api
    sample = await ward.sample()
    await api.delete_data_sample(str(sample.id))
    with pytest.raises(ConflictError, match="was deleted"):
        await attach(ward, sample)


# --- Bad input, and secrets -----------------------------------------------------------------------


async def test_what_can_t_be_attached_is_refused_before_any_request(ward: Ward) -> None:
    sample = await ward.sample()
    ward.log.take()
    odd: list[Any] = ["a text", 7, None, object(), io.StringIO("text")]
    for body in (*odd, Path("/no/such/file"), Path("/")):
        with pytest.raises(ValidationError):
            await attach(ward, sample, body)
    assert ward.log.take() == []


async def test_odd_arguments_are_refused_before_any_request(ward: Ward, tmp_path: Path) -> None:
    api: MedTechApi = await ward.user("hcpA")
    samples = api.data_sample_api
    ward.log.take()
    odd: Any = 7
    calls = [
        samples.set_data_sample_attachment("a,b", SCAN),
        samples.set_data_sample_attachment("id", SCAN, document_name=odd),
        samples.set_data_sample_attachment("id", SCAN, progress=odd),
        samples.get_data_sample_attachment_content("id", ""),
        samples.get_data_sample_attachment_content("id", "id", odd),
        samples.get_data_sample_attachment_document("", "id"),
        samples.save_data_sample_attachment_content("id", "id", odd),
        samples.save_data_sample_attachment_content("id", "id", tmp_path),
        samples.save_data_sample_attachment_content("id", "id", tmp_path / "no" / "folder"),
        samples.delete_attachment("id", "../id"),
    ]
    for call in calls:
        with pytest.raises(ICureError):
            await call
    assert ward.log.take() == []
    with pytest.raises(NotFoundError):
        await samples.set_data_sample_attachment("unknown", SCAN)


async def test_paths_at_which_there_can_be_no_file_are_refused_before_any_request(
    ward: Ward, tmp_path: Path
) -> None:
    """A program that runs as root would replace the device by a file, for everybody."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    odd: Any = attrs.make_class("Odd", [], bases=(os.PathLike,))
    odd.__fspath__, odd.__abstractmethods__ = (lambda _: 5), frozenset()
    samples = (await ward.user("hcpA")).data_sample_api
    ward.log.take()
    places = [pipe, tmp_path / "link", "a\0b", "\ud800", tmp_path / ("x" * 300), odd()]
    for place in places:
        with pytest.raises(ValidationError):
            await samples.save_data_sample_attachment_content("id", "id", place)
    with pytest.raises(ValidationError):
        await samples.set_data_sample_attachment("id", odd())
    assert ward.log.take() == []
    assert pipe.is_fifo()
    assert sorted(names_in(tmp_path)) == ["link", "pipe"]


async def test_a_call_that_is_cancelled_while_its_file_is_made_leaves_none(
    ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = (await ward.user("hcpA")).data_sample_api
    begun, going_on, made = (threading.Event() for _ in range(3))
    create = _disk.create

    def slow(path: Path) -> Any:
        begun.set()
        going_on.wait(10)
        try:
            return create(path)
        finally:
            made.set()

    monkeypatch.setattr(_disk, "create", slow)
    call = asyncio.ensure_future(
        samples.save_data_sample_attachment_content("id", "id", tmp_path / "copy")
    )
    assert await asyncio.to_thread(begun.wait, 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    removed = threading.Event()

    def unlink(path: Path) -> None:
        path.unlink()
        removed.set()

    monkeypatch.setattr(_disk, "unlink", unlink)
    going_on.set()
    assert await asyncio.to_thread(made.wait, 10)
    assert await asyncio.to_thread(removed.wait, 10)
    assert names_in(tmp_path) == []


async def test_no_key_hash_or_byte_of_a_file_is_in_a_log_or_a_url(
    ward: Ward, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        sample = await ward.sample()
        document = await attach(ward, sample, b"a very secret file", document_name="hiv.pdf")
        await read(ward, sample, document)
    lines = "\n".join([*ward.log.take(), caplog.text, repr(document)])
    for secret in ("very secret", "hiv.pdf", str(document.sha256), "enckeys"):
        assert secret not in lines
