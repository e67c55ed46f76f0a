"""Records of today's flavour: read, written and shared, as other people's clients see them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import pytest

from icure_async import EncryptedPatient, Notification, Patient, Property
from icure_async.errors import (
    CryptoError,
    DecryptionError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
)
from icure_async.models.relations import Partnership
from icure_async.sandbox import Sandbox
from tests.support.cardinal_sandbox import TodayWorld, of_stage, owner_of
from tests.support.request_log import RequestLog
from tests.support.seeds import Json

ROBB: Final = "4449666c-53f6-583f-9a89-0119613666f0"
NO_NOTE: Final = "9b7c63f9-228a-525a-a52b-1004a9b76cdc"
OF_PAT1: Final = "fb4e2fcd-d446-5973-8e94-d4b6235a44bd"
ROOT_V2: Final = "/rest/v2"


@pytest.fixture
def seed() -> Json:
    return of_stage("3-more-entities")


@pytest.fixture
async def sandbox(seed: Json) -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=seed, profile="strict") as running:
        yield running


@pytest.fixture
def today(sandbox: Sandbox, client_session: aiohttp.ClientSession) -> TodayWorld:
    return TodayWorld(sandbox, client_session)


@pytest.fixture
async def open_world(
    seed: Json, client_session: aiohttp.ClientSession
) -> AsyncIterator[TodayWorld]:
    """A backend on which professionals read what they have no key of."""
    async with Sandbox(seed=seed) as running:
        yield TodayWorld(running, client_session)


@pytest.fixture
async def closed_lists(
    seed: Json, client_session: aiohttp.ClientSession
) -> AsyncIterator[TodayWorld]:
    """A backend with patients that have no content of their own."""
    for patient_id in (ROBB, NO_NOTE):
        del seed["entities"]["patient"][patient_id]["encryptedSelf"]
    async with Sandbox(seed=seed) as running:
        yield TodayWorld(running, client_session)


def in_clear(document: Json) -> str:
    """The text of a document without what is encrypted."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: without(one) for name, one in value.items() if name != "encryptedSelf"}
        return [without(one) for one in value] if isinstance(value, list) else value

    return json.dumps(without(document))


async def test_a_patient_is_created_and_read_by_others(today: TodayWorld) -> None:
    doc1 = await today.user("doc1")
    created = await doc1.patient_api.create_or_modify_patient(
        Patient(
            first_name="Sansa",
            note="SECRET note",
            company_name="SECRET firm",
            partnerships=[Partnership(partner_id="SECRET partner")],
        )
    )
    stored = await today.stored(created.id)
    assert "SECRET" not in in_clear(stored)
    assert not {"created", "modified", "_type", "delegations", "encryptionKeys"} & stored.keys()
    assert stored["partnerships"][0].keys() == {"encryptedSelf"}
    read = await today.read_by("doc1", created.id)
    assert read is not None
    assert (read["note"], read["companyName"]) == ("SECRET note", "SECRET firm")
    assert read["partnerships"][0]["partnerId"] == "SECRET partner"
    assert await doc1.patient_api.get_patient(created.id) == created
    assert (await today.audit()).problems == []
    doc2 = await today.user("doc2")
    with pytest.raises(PermissionDeniedError):
        await doc2.patient_api.get_patient(created.id)


@pytest.mark.parametrize("flavour", ["cardinal", "medtech"])
async def test_a_modified_patient_is_read_by_all_and_nothing_of_it_gets_into_clear(
    today: TodayWorld, flavour: str
) -> None:
    """The reference of 2023 writes in clear what it does not encrypt itself."""
    doc2 = await today.user("doc2", flavour)
    before = await today.stored(ROBB)
    robb = await doc2.patient_api.get_patient(ROBB)
    robb.note = "SECRET by doc2"
    robb.civility = "SECRET civility"
    saved = await doc2.patient_api.create_or_modify_patient(robb)
    assert saved.note == "SECRET by doc2"
    stored = await today.stored(ROBB)
    shown = in_clear(stored)
    assert not any(text in shown for text in ("SECRET", "ACME", "insuranceId", "md note"))
    # Nothing of it has changed.
    for name in ("insurabilities", "notes"):
        assert stored[name][0]["encryptedSelf"] == before[name][0]["encryptedSelf"]
    assert stored["securityMetadata"] == before["securityMetadata"]
    for name in ("doc1", "doc2", "doc3"):
        read = await today.read_by(name, ROBB)
        assert read is not None
        assert (read["note"], read["civility"]) == ("SECRET by doc2", "SECRET civility")
        assert read["companyName"] == "ACME"
        assert read["modified"] >= read["created"]
    assert (await today.audit()).problems == []


async def test_sharing_is_one_request_and_repeating_it_none(
    today: TodayWorld, requests: RequestLog
) -> None:
    doc1 = await today.user("doc1")
    doc2_id = owner_of("doc2")
    patients = [
        await doc1.patient_api.create_or_modify_patient(Patient(first_name=f"N{number}"))
        for number in range(3)
    ]
    await doc1.patient_api.give_access_to(patients[0], doc2_id)
    requests.take()
    shared = await doc1.patient_api.give_access_to(patients[1], doc2_id)
    assert requests.take() == [f"PUT {ROOT_V2}/patient/bulkSharedMetadataUpdate"]
    assert shared == patients[1].evolve(rev=shared.rev)
    assert await doc1.patient_api.give_access_to(shared, doc2_id) is shared
    assert requests.take() == []
    for patient in patients[:2]:
        read = await today.read_by("doc2", patient.id)
        assert read is not None
        assert read["firstName"] == patient.first_name
    assert await today.read_by("doc2", patients[2].id) is None
    # The patient as it was before: the backend refuses it, and it is seen to be shared.
    again = await doc1.patient_api.give_access_to(patients[1], doc2_id)
    assert again == shared
    assert (await today.audit()).problems == []


async def test_many_are_shared_with_many_by_one_request(
    today: TodayWorld, requests: RequestLog
) -> None:
    doc1 = await today.user("doc1")
    delegates = [owner_of("doc2"), owner_of("doc3"), owner_of("pat1")]
    result = await doc1.patient_api.create_patients(
        [Patient(first_name=f"N{number}") for number in range(20)]
    )
    result.raise_for_failures()
    patients = [item.record for item in result if item.record is not None]
    await doc1.patient_api.share_many(patients[:1], delegates)
    requests.take()
    shared = await doc1.patient_api.share_many(patients, delegates)
    shared.raise_for_failures()
    assert len(shared.shared) == 57
    assert len(shared.shared_before) == 3
    puts = [f"PUT {ROOT_V2}/patient/bulkSharedMetadataUpdate"]
    # The first one is refused, since it was passed as it was before.
    assert requests.take() == [*puts, f"POST {ROOT_V2}/patient/byIds"]
    for name in ("doc2", "doc3", "pat1"):
        assert await today.read_by(name, patients[7].id) is not None
    again = await doc1.patient_api.share_many(list(shared.records), delegates)
    assert len(again.shared_before) == 60
    assert requests.take() == []
    assert (await today.audit()).problems == []


async def test_an_anonymous_owner_shares_and_is_shared_with(today: TodayWorld) -> None:
    pat1 = await today.user("pat1")
    own = await pat1.patient_api.get_patient(OF_PAT1)
    stored = await today.stored(own.id)
    await pat1.patient_api.give_access_to(own, owner_of("doc2"))
    named = json.dumps((await today.stored(own.id))["securityMetadata"])
    assert owner_of("pat1") not in named
    assert owner_of("doc2") in named
    assert (await today.stored(own.id))["encryptedSelf"] == stored["encryptedSelf"]
    doc2 = await today.user("doc2")
    assert (await doc2.patient_api.get_patient(own.id)).note == own.note
    assert (await today.audit()).problems == []


async def test_one_without_a_key_has_nothing_to_share(today: TodayWorld) -> None:
    doc1, doc3 = await today.user("doc1"), await today.user("doc3")
    robb = await doc1.patient_api.get_patient(NO_NOTE)
    with pytest.raises((CryptoError, PermissionDeniedError)):
        await doc3.patient_api.give_access_to(robb, owner_of("doc2"))
    assert await today.read_by("doc2", NO_NOTE) is None


async def test_a_patient_is_deleted_with_its_revision_and_restored(
    today: TodayWorld, requests: RequestLog
) -> None:
    doc1 = await today.user("doc1")
    requests.take()
    assert await doc1.patient_api.delete_patient(ROBB) == ROBB
    assert requests.take() == [
        f"GET {ROOT_V2}/patient/{ROBB}",
        f"DELETE {ROOT_V2}/patient/{ROBB}",
    ]
    assert (await today.stored(ROBB))["deletionDate"]
    assert await doc1.patient_api.undelete_patient(ROBB) == ROBB
    assert not (await today.stored(ROBB)).get("deletionDate")
    with pytest.raises(NotFoundError):
        await doc1.patient_api.delete_patient("nobody")


async def test_reading_costs_one_request(today: TodayWorld, requests: RequestLog) -> None:
    doc1 = await today.user("doc1")
    await doc1.patient_api.get_patient(ROBB)
    requests.take()
    await doc1.patient_api.get_patient(ROBB)
    assert requests.take() == [f"GET {ROOT_V2}/patient/{ROBB}"]
    await doc1.patient_api.get_patients([ROBB, NO_NOTE])
    assert requests.take() == [f"POST {ROOT_V2}/patient/byIds"]
    created = await doc1.patient_api.create_or_modify_patient(Patient(first_name="N"))
    requests.take()
    created.note = "x"
    await doc1.patient_api.create_or_modify_patient(created)
    assert requests.take() == [f"PUT {ROOT_V2}/patient"]


async def test_all_data_of_a_patient_is_looked_at(today: TodayWorld) -> None:
    """Doctor 2 can read the condition and the contact, and patient 1 nothing so far."""
    doc1 = await today.user("doc1")
    access = await doc1.patient_api.give_access_to_all_data_of(ROBB, owner_of("doc2"))
    access.raise_for_failures()
    assert access.patient.shared_before == 1
    assert access.healthcare_elements.shared_before == access.data_samples.shared_before == 1
    access = await doc1.patient_api.give_access_to_all_data_of(ROBB, owner_of("pat1"))
    assert access.patient.shared == 1
    assert access.healthcare_elements.shared == access.data_samples.shared == 1
    access.raise_for_failures()
    assert await today.read_by("pat1", ROBB) is not None


async def test_a_notification_reaches_its_reader_who_answers_and_deletes_it(
    today: TodayWorld,
) -> None:
    doc1, doc2 = await today.user("doc1"), await today.user("doc2")
    for reader_name, reader in (("doc2", doc2), ("pat1", await today.user("pat1"))):
        told = await doc1.notification_api.create_or_modify_notification(
            Notification(type="OTHER", properties=[Property(id="SECRET property")]),
            owner_of(reader_name),
        )
        stored = await today.stored(told.id, "maintenancetask")
        assert "SECRET" not in in_clear(stored)
        assert stored["securityMetadata"]
        read = await reader.notification_api.get_notification(told.id)
        assert [one.id for one in read.properties or ()] == ["SECRET property"]
        changed = await reader.notification_api.update_notification_status(read, "ongoing")
        assert (changed.status, changed.properties) == ("ongoing", read.properties)
        assert (await doc1.notification_api.get_notification(told.id)).status == "ongoing"
        found = [one.id async for one in reader.notification_api.filter_notifications()]
        assert told.id in found
        assert await reader.notification_api.delete_notification(told.id) == told.id
        assert (await today.stored(told.id, "maintenancetask"))["deletionDate"]
    assert (await today.audit()).problems == []


@pytest.mark.parametrize("name", ["doc1", "pat1"])
async def test_everything_that_a_user_reads_is_exported(today: TodayWorld, name: str) -> None:
    api = await today.user(name)
    items = [item async for item in api.user_api.export_data()]
    assert items[-1]["undecryptable"]["patient"] == 0
    patients = {item["id"]: item for item in items if item["kind"] == "patient"}
    assert len(patients) == items[-1]["counts"]["patient"] > 0
    assert "securityMetadata" not in json.dumps(items)
    assert "encryptedSelf" not in {*items[-2], *items[-2]["content"], *items[-2].get("unknown", {})}


async def test_many_are_modified_by_one_request(today: TodayWorld, requests: RequestLog) -> None:
    doc1 = await today.user("doc1")
    result = await doc1.patient_api.create_patients(
        [Patient(first_name=f"N{number}", note="SECRET") for number in range(5)]
    )
    result.raise_for_failures()
    patients = [item.record for item in result if item.record is not None]
    for patient in patients:
        patient.note = f"SECRET of {patient.first_name}"
    requests.take()
    changed = await doc1.patient_api.modify_patients(patients)
    changed.raise_for_failures()
    assert requests.take() == [f"PUT {ROOT_V2}/patient/batch/full"]
    for patient in patients:
        read = await today.read_by("doc1", patient.id)
        assert read is not None
        assert read["note"] == patient.note
        assert "SECRET" not in in_clear(await today.stored(patient.id))


async def test_a_patient_who_was_given_access_since_reads_without_starting_anew(
    today: TodayWorld,
) -> None:
    doc1, pat3 = await today.user("doc1"), await today.user("pat3")
    created = await doc1.patient_api.create_or_modify_patient(Patient(first_name="N", note="n"))
    await pat3.patient_api.match_patients()
    await doc1.patient_api.give_access_to(created, owner_of("pat3"))
    assert (await pat3.patient_api.get_patient(created.id)).note == "n"
    assert [one.note for one in await pat3.patient_api.get_patients([created.id])] == ["n"]


@pytest.mark.parametrize("flavour", ["cardinal", "medtech"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("note", "SECRET"),
        ("company_name", "SECRET"),
        ("languages", ["SECRET"]),
        ("partnerships", [Partnership(partner_id="SECRET")]),
    ],
)
async def test_one_who_cannot_read_a_patient_puts_nothing_into_clear(
    open_world: TodayWorld, flavour: str, name: str, value: Any
) -> None:
    doc3 = await open_world.user("doc3", flavour)
    closed = await doc3.patient_api.get_patient_and_try_decrypt(NO_NOTE)
    assert isinstance(closed, EncryptedPatient)
    before = await open_world.stored(NO_NOTE)
    with pytest.raises(DecryptionError):
        await doc3.patient_api.modify_potentially_encrypted_patient(closed.evolve(**{name: value}))
    assert await open_world.stored(NO_NOTE) == before
    changed = await doc3.patient_api.modify_potentially_encrypted_patient(
        closed.evolve(first_name="Other")
    )
    assert changed.first_name == "Other"
    stored = await open_world.stored(NO_NOTE)
    assert stored["encryptedSelf"] == before["encryptedSelf"]
    assert stored["securityMetadata"] == before["securityMetadata"]
    if flavour == "cardinal":
        assert not {"created", "modified"} & stored.keys()


@pytest.mark.parametrize("flavour", ["cardinal", "medtech"])
@pytest.mark.parametrize("changed", [None, "company_name", "partnerships"])
async def test_what_somebody_else_has_decrypted_is_not_put_into_clear_without_a_key(
    open_world: TodayWorld, flavour: str, changed: str | None
) -> None:
    doc1, doc3 = await open_world.user("doc1", flavour), await open_world.user("doc3", flavour)
    before = await open_world.stored(NO_NOTE)
    read = await doc1.patient_api.get_patient(NO_NOTE)
    assert read.note is None
    values = {"company_name": "SECRET", "partnerships": [Partnership(partner_id="SECRET")]}
    changes: dict[str, Any] = {} if changed is None else {changed: values[changed]}
    patient = read.evolve(first_name="Other", created=None, **changes)
    with contextlib.suppress(DecryptionError):
        await doc3.patient_api.modify_potentially_encrypted_patient(patient)
    stored = await open_world.stored(NO_NOTE)
    assert "SECRET" not in in_clear(stored)
    assert not {"created", "modified"} & stored.keys() or stored["modified"] != read.modified
    assert stored["encryptedSelf"] == before["encryptedSelf"]
    assert (stored == before) or changed is None


@pytest.mark.parametrize("flavour", ["cardinal", "medtech"])
async def test_content_stays_encrypted_where_other_clients_have_encrypted_lists_alone_or_nothing(
    closed_lists: TodayWorld, flavour: str
) -> None:
    today = closed_lists
    doc1 = await today.user("doc1", flavour)
    shown = in_clear(await today.stored(ROBB))
    robb = await doc1.patient_api.get_patient(ROBB)
    other = robb.evolve(first_name="Other")
    await doc1.patient_api.modify_potentially_encrypted_patient(other)
    stored = await today.stored(ROBB)
    assert "ins-1" not in shown + in_clear(stored)
    assert stored["insurabilities"][0].keys() <= {"encryptedSelf", "parameters"}
    none = await doc1.patient_api.get_patient(NO_NOTE)
    none.civility, none.partnerships = "SECRET", [Partnership(partner_id="SECRET")]
    saved = await doc1.patient_api.modify_potentially_encrypted_patient(none)
    assert saved.civility == "SECRET"
    assert "SECRET" not in in_clear(await today.stored(NO_NOTE))


async def test_a_lost_answer_is_no_second_patient(
    today: TodayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    doc1 = await today.user("doc1")
    new = Patient(first_name="Sansa", note="n")
    resource = doc1.patient_api._patients.resource
    create = type(resource).create

    async def lose(self: Any, document: Json) -> Json:
        await create(self, document)
        raise NetworkError("Could not create it: no answer.")

    with monkeypatch.context() as patched:
        patched.setattr(type(resource), "create", lose)
        with pytest.raises(NetworkError):
            await doc1.patient_api.create_or_modify_patient(new)
    saved = await doc1.patient_api.create_or_modify_patient(new)
    assert (saved.id, saved.note) == (new.id, "n")
    assert saved.rev.startswith("1-")
    saved.note = "m"
    again = await doc1.patient_api.create_or_modify_patient(saved)
    # And for a modification: the same record once more.
    assert (await doc1.patient_api.create_or_modify_patient(saved)).rev == again.rev


async def test_further_fields_are_encrypted_in_addition_to_todays(today: TodayWorld) -> None:
    fields = ["first_name", "last_name", "birth_sex", "partnerships", "date_of_birth"]
    doc1 = await today.user("doc1", encrypted=fields)
    created = await doc1.patient_api.create_or_modify_patient(
        Patient(
            first_name="SECRET",
            last_name="SECRET",
            civility="SECRET",
            date_of_birth=19871231,
            birth_sex="female",
            partnerships=[Partnership(partner_id="SECRET")],
        )
    )
    shown = in_clear(await today.stored(created.id))
    assert not any(text in shown for text in ("SECRET", "1987", "female"))
    assert "partnerships" not in json.loads(shown)
    plain = await today.user("doc1")
    read = await plain.patient_api.get_patient(created.id)
    assert (read.first_name, read.date_of_birth, read.birth_sex) == ("SECRET", 19871231, "female")
    read.civility = "SECRET too"
    await plain.patient_api.create_or_modify_patient(read)
    # An API object without the option keeps encrypted what was.
    shown = in_clear(await today.stored(created.id))
    assert not any(text in shown for text in ("SECRET", "1987", "female"))


@pytest.mark.parametrize(
    "members",
    [
        {"insurabilities": []},
        {"notes": None},
        {"insurabilities": [{"encryptedSelf": "AAAA"}]},
        {"securityMetadata": None},
        {"encryptedSelf": "AAAA"},
    ],
)
async def test_an_answer_that_lacks_encrypted_content_is_refused(
    today: TodayWorld, monkeypatch: pytest.MonkeyPatch, members: Json
) -> None:
    doc1 = await today.user("doc1")
    robb = await doc1.patient_api.get_patient(ROBB)
    resource: Any = type(doc1.patient_api._patients.resource)
    modify, update = resource.modify, resource.update_metadata

    async def cut(self: Any, document: Json) -> Json:
        return {**await modify(self, document), **members}

    async def cut_share(self: Any, requests: Any) -> Any:
        results = await update(self, requests)
        results[ROBB].entity.update(members)
        return results

    monkeypatch.setattr(resource, "modify", cut)
    monkeypatch.setattr(resource, "update_metadata", cut_share)
    with pytest.raises(InvalidResponseError):
        await doc1.patient_api.give_access_to(robb, owner_of("pat1"))
    robb = await doc1.patient_api.get_patient(ROBB)
    robb.note = "changed"
    with pytest.raises(InvalidResponseError):
        await doc1.patient_api.create_or_modify_patient(robb)
