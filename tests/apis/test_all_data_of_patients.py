"""Patients shared with everything that belongs to them: conditions, contacts, documents."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, cast

import aiohttp
import pytest

from icure_async import MedTechApi, Patient
from icure_async.entities.kinds import CONTACT, DOCUMENT
from icure_async.errors import (
    BatchError,
    CryptoError,
    DecryptionError,
    InvalidResponseError,
    NetworkError,
)
from icure_async.models.contact import Contact
from icure_async.models.document import Document
from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD2
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog
from tests.support.second_world import IDS, PATIENT, SecondWorld, without_tags
from tests.support.seeds import Json, add_hcp, stage

ENTRIES: Final = ("delegations", "encryptionKeys", "cryptedForeignKeys")


@pytest.fixture
def stage_name() -> str:
    return "12-data-samples"


@pytest.fixture
async def world(
    stage_name: str, client_session: aiohttp.ClientSession
) -> AsyncIterator[SecondWorld]:
    seed = stage(WORLD2, stage_name)
    add_hcp(seed, "keyless")
    async with Sandbox(seed=seed, jwt=False) as sandbox:
        yield SecondWorld(sandbox, client_session)


@pytest.fixture
async def proxy(world: SecondWorld) -> AsyncIterator[Proxy]:
    async with Proxy(world.sandbox) as running:
        yield running


def writes(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("GET")]


async def new_patient(api: MedTechApi) -> Patient:
    patient = Patient(first_name="Arya", last_name="Stark", note="n")
    return await api.patient_api.create_or_modify_patient(patient)


async def new_contact(api: MedTechApi, patient_id: str, **content: Any) -> Contact:
    """A contact with one sample."""
    parts = api._parts
    contacts = parts.child_repository(CONTACT, parts.patients.metadata)
    service = {"id": str(uuid.uuid4()), "content": {"en": {"stringValue": "SECRET", **content}}}
    parent = await parts.children.parent(patient_id)
    return contacts.readable(await contacts.create(Contact(services=[service]), parent=parent))


async def new_document(api: MedTechApi, patient_id: str) -> Document:
    parts = api._parts
    documents = parts.child_repository(DOCUMENT, parts.patients.metadata)
    parent = await parts.children.parent(patient_id)
    new = Document(name="scan.pdf", size=7, sha256="ab")
    return documents.readable(await documents.create(new, parent=parent))


async def contact_of(api: MedTechApi, contact_id: str) -> Contact:
    parts = api._parts
    return await parts.child_repository(CONTACT, parts.patients.metadata).get(contact_id)


async def document_of(api: MedTechApi, document_id: str) -> Document:
    parts = api._parts
    return await parts.child_repository(DOCUMENT, parts.patients.metadata).get(document_id)


# --- What is shared -------------------------------------------------------------------------------


async def test_all_that_the_reference_wrote_for_a_patient_is_read_by_the_delegate(
    world: SecondWorld, requests: RequestLog
) -> None:
    """Contacts that were made anew, whose entries name the old one, among it."""
    api, delegate = await world.user("hcpA"), IDS["hcpC"]
    given = await api.patient_api.give_access_to_all_data_of(PATIENT, delegate)
    given.raise_for_failures()
    assert given.patient.shared == 1
    conditions = await world.listed("hcpA")
    assert given.healthcare_elements.shared == len(conditions) == 7
    contacts = {
        contact_id
        for contact_id, one in (await world.sandbox.export())["entities"]["contact"].items()
        if await api._parts.patients.metadata.owning_ids_of([one]) == [[PATIENT]]
    }
    assert given.data_samples.shared == len(contacts) == 20
    assert (given.documents.shared, given.documents.not_shared) == (0, ())

    reader = await world.user("hcpC")
    assert await world.listed("hcpC") == conditions
    for condition_id in conditions:
        found = await reader.healthcare_element_api.get_healthcare_element(condition_id)
        assert found == await api.healthcare_element_api.get_healthcare_element(condition_id)
    for contact_id in contacts:
        read = await contact_of(reader, contact_id)
        assert read.services == (await contact_of(api, contact_id)).services
        stored = await world.stored("contact", contact_id)
        assert all(stored[name][delegate] for name in ENTRIES)
        assert await reader._parts.patients.metadata.owning_ids_of([stored]) == [[PATIENT]]

    before = await world.sandbox.export()
    requests.take()
    again = await api.patient_api.give_access_to_all_data_of(PATIENT, delegate)
    assert again.success
    assert again.healthcare_elements.shared_before == len(conditions)
    assert again.data_samples.shared_before == len(contacts)
    assert (again.healthcare_elements.shared, again.data_samples.shared) == (0, 0)
    assert set(writes(requests.take())) <= {"POST /rest/v1/document/batch"}
    assert (await world.sandbox.export())["entities"] == before["entities"]


async def test_data_that_the_delegate_has_counts_as_shared_before(world: SecondWorld) -> None:
    api = await world.user("hcpA")
    entities = (await world.sandbox.export())["entities"]
    given = await api.patient_api.give_access_to_all_data_of(PATIENT, IDS["hcpB"])
    given.raise_for_failures()
    assert given.patient.shared_before == 1
    for kind, access in (("helement", given.healthcare_elements), ("contact", given.data_samples)):
        assert access.shared > 0
        assert access.shared_before > 0
        stored = (await world.sandbox.export())["entities"][kind]
        for entity_id, one in entities[kind].items():
            for name in ENTRIES:
                present = without_tags(one[name]).items()
                kept = without_tags(stored[entity_id][name])
                assert all(entry in kept[who] for who, listed in present for entry in listed)


async def test_it_takes_few_requests(world: SecondWorld, requests: RequestLog) -> None:
    """The reference takes 18."""
    api = await world.user("hcpA")
    patient = await new_patient(api)
    for _ in range(2):
        await world.create("hcpA", patient_id=patient.id)
        await new_contact(api, patient.id)
    requests.take()
    given = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpC"])
    lines = requests.take()
    print(f"give access to all data: {len(lines)}", *lines, sep="\n    ")
    given.raise_for_failures()
    assert (given.healthcare_elements.shared, given.data_samples.shared) == (2, 2)
    # Two of them make the exchange key.
    assert len(lines) <= 10
    again = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpC"])
    assert (again.healthcare_elements.shared_before, again.data_samples.shared_before) == (2, 2)
    lines = requests.take()
    assert len(lines) <= 5
    assert writes(lines) == []


async def test_a_patient_shares_all_that_belongs_to_it(world: SecondWorld) -> None:
    """The reference looks the patient up as a professional, and fails."""
    api = await world.user("ned")
    await world.create("ned", patient_id=IDS["ned"])
    given = await api.patient_api.give_access_to_all_data_of(IDS["ned"], IDS["hcpC"])
    given.raise_for_failures()
    assert given.healthcare_elements.shared == 3
    assert await world.listed("hcpC", IDS["ned"]) == await world.listed("ned", IDS["ned"])


async def test_all_data_of_a_patient_without_any(world: SecondWorld, requests: RequestLog) -> None:
    for name in ("hcpA", "ned"):
        api = await world.user(name)
        patient = await new_patient(api)
        given = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpC"])
        assert given.success
        given.raise_for_failures()
        assert (given.patient.shared, given.patient.shared_before) == (1, 0)
        reader = await world.user("hcpC")
        assert (await reader.patient_api.get_patient(patient.id)).note == "n"
        requests.take()
        again = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpC"])
        assert (again.patient.shared, again.patient.shared_before) == (0, 1)
        assert writes(requests.take()) == []


# --- Documents ------------------------------------------------------------------------------------


async def test_documents_go_with_the_contacts_that_refer_to_them(
    world: SecondWorld, requests: RequestLog
) -> None:
    api = await world.user("hcpA")
    patient = await new_patient(api)
    document = await new_document(api, patient.id)
    inner = {"id": str(uuid.uuid4()), "content": {"en": {"documentId": document.id}}}
    await new_contact(api, patient.id, compoundValue=[inner])
    requests.take()
    given = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    print(len(requests.take()))
    given.raise_for_failures()
    assert given.documents.shared == 1
    read = await document_of(await world.user("hcpB"), document.id)
    assert (read.size, read.sha256) == (7, "ab")
    again = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    assert (again.documents.shared, again.documents.shared_before) == (0, 1)


async def test_a_document_of_another_patient_is_not_shared(world: SecondWorld) -> None:
    """A contact can refer to any document."""
    api = await world.user("hcpA")
    patient, other = await new_patient(api), await new_patient(api)
    document = await new_document(api, other.id)
    await new_contact(api, patient.id, documentId=document.id)
    await new_contact(api, patient.id, documentId="unknown")
    given = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    assert given.data_samples.shared == 2
    assert given.documents.not_shared == (document.id,)
    assert isinstance(given.documents.error, CryptoError)
    assert not given.success
    with pytest.raises(DecryptionError):
        await document_of(await world.user("hcpB"), document.id)


# --- What can't be shared, or not yet -------------------------------------------------------------


async def test_data_of_merged_patients_is_not_claimed_to_be_shared(world: SecondWorld) -> None:
    api = await world.user("hcpA")
    one, other = await new_patient(api), await new_patient(api)
    stored, of_other = (
        await world.stored("patient", one.id),
        await world.stored("patient", other.id),
    )
    entries = stored["delegations"][IDS["hcpA"]] + of_other["delegations"][IDS["hcpA"]]
    await world.change("patient", one.id, mergedIds=[other.id], delegations={IDS["hcpA"]: entries})
    given = await api.patient_api.give_access_to_all_data_of(one.id, IDS["hcpB"])
    assert given.patient.success
    with pytest.raises(BatchError, match="merged"):
        given.raise_for_failures()
    assert len((await world.stored("patient", one.id))["delegations"][IDS["hcpB"]]) == 1


async def test_what_one_cannot_read_is_named(world: SecondWorld) -> None:
    """A condition whose key was given to nobody else."""
    api = await world.user("hcpA")
    patient = await new_patient(api)
    hidden = await world.create("hcpA", patient_id=patient.id)
    await world.create("hcpA", patient_id=patient.id)
    (entry,) = (await world.stored("helement", hidden.id))["encryptionKeys"][IDS["hcpA"]]
    broken = {IDS["hcpA"]: [{**entry, "key": "00" * 96}]}
    await world.change("helement", hidden.id, encryptionKeys=broken)
    given = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    assert given.healthcare_elements.shared == 1
    assert given.healthcare_elements.not_shared == (hidden.id,)
    assert isinstance(given.healthcare_elements.error, DecryptionError)
    assert given.data_samples.success


@pytest.mark.parametrize("kind", ["helement", "contact"])
async def test_an_answer_that_got_lost_is_an_error_and_a_repeated_call_finishes_the_job(
    world: SecondWorld, proxy: Proxy, kind: str
) -> None:
    api = await world.user("hcpA", proxy.url)
    patient = await new_patient(api)
    await world.create("hcpA", patient_id=patient.id)
    await new_contact(api, patient.id)

    async def refuse(exchange: Exchange) -> None:
        exchange.status, exchange.answer = 403, {"message": "no"}

    proxy.before(f"POST /{kind}/delegations", refuse)
    given = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    by_kind = {"helement": given.healthcare_elements, "contact": given.data_samples}
    assert by_kind.pop(kind).error is not None
    assert next(iter(by_kind.values())).shared == 1
    again = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    again.raise_for_failures()
    by_kind = {"helement": again.healthcare_elements, "contact": again.data_samples}
    assert by_kind[kind].shared == 1
    assert len(await world.listed("hcpB", patient.id)) == 1


async def test_after_a_broken_connection_the_rest_is_not_tried(
    world: SecondWorld, proxy: Proxy
) -> None:
    api = await world.user("hcpA", proxy.url)
    patient = await new_patient(api)
    await world.create("hcpA", patient_id=patient.id)
    for _ in range(5):
        proxy.lose("POST /helement/delegations")
    given = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    assert isinstance(given.healthcare_elements.error, NetworkError)
    assert not given.success
    again = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    assert again.healthcare_elements.success


ANSWERS: list[tuple[str, Callable[[Any], Any], type[Exception]]] = [
    ("POST", lambda _: [], InvalidResponseError),
    ("POST", lambda answer: [{**answer[0], "delegations": {}}], InvalidResponseError),
    ("POST", lambda answer: [{**answer[0], "id": "other"}], InvalidResponseError),
    ("POST", lambda _: {"rows": []}, InvalidResponseError),
    ("GET", lambda answer: [{**answer[0], "secretForeignKeys": []}], InvalidResponseError),
    ("GET", lambda answer: [{**answer[0], "secretForeignKeys": ["x"]}], InvalidResponseError),
    ("GET", lambda answer: [{**answer[0], "encryptionKeys": {}}], DecryptionError),
    ("GET", lambda answer: [{**answer[0], "cryptedForeignKeys": {}}], CryptoError),
    ("GET", lambda answer: [{**answer[0], "delegations": 7}], InvalidResponseError),
]


@pytest.mark.parametrize(("method", "spoil", "error"), ANSWERS)
async def test_answers_that_are_not_right_are_never_called_shared(
    world: SecondWorld,
    proxy: Proxy,
    method: str,
    spoil: Callable[[Any], Any],
    error: type[Exception],
) -> None:
    api = await world.user("hcpA", proxy.url)
    patient = await new_patient(api)
    condition = await world.create("hcpA", patient_id=patient.id)

    async def trick(exchange: Exchange) -> None:
        exchange.answer = spoil(exchange.answer)

    listing = "GET /helement/byHcPartySecretForeignKeys"
    proxy.after(listing if method == "GET" else "POST /helement/delegations", trick)
    before = await world.stored("helement", condition.id)
    given = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    assert given.healthcare_elements.shared == 0
    assert isinstance(given.healthcare_elements.error, error)
    if method == "GET":
        assert await world.stored("helement", condition.id) == before
    again = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    again.raise_for_failures()
    for name in ENTRIES:
        stored = (await world.stored("helement", condition.id))[name]
        assert before[name].items() <= stored.items()
        assert len(stored[IDS["hcpB"]]) == 1


async def test_entries_that_an_answer_lacks_are_not_lost(world: SecondWorld, proxy: Proxy) -> None:
    """All entries of a delegate go back together."""
    api = await world.user("hcpA", proxy.url)
    patient = await new_patient(api)
    condition = await world.create("hcpA", patient_id=patient.id)
    elements = api.healthcare_element_api
    await elements.give_access_to(condition, IDS["ned"])
    before = await world.stored("helement", condition.id)

    async def cut(exchange: Exchange) -> None:
        del exchange.answer[0]["delegations"][IDS["ned"]]

    proxy.after("GET /helement/byHcPartySecretForeignKeys", cut)
    given = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    assert isinstance(given.healthcare_elements.error, InvalidResponseError)
    assert await world.stored("helement", condition.id) == before


async def test_lists_that_fail_are_not_empty(world: SecondWorld, proxy: Proxy) -> None:
    api = await world.user("hcpA", proxy.url)
    patient = await new_patient(api)
    answers: dict[str, Callable[[Exchange], None]] = {
        "GET /helement/byHcPartySecretForeignKeys": lambda one: setattr(
            one, "answer", {"rows": []}
        ),
        "GET /contact/byHcPartySecretForeignKeys": lambda one: setattr(one, "status", 403),
        "GET /form/byHcPartySecretForeignKeys/delegations": lambda one: setattr(
            one, "answer", [{"id": "a", "rev": "1-a", "delegations": []}]
        ),
    }
    for line, spoil in answers.items():

        async def trick(exchange: Exchange, spoil: Callable[[Exchange], None] = spoil) -> None:
            spoil(exchange)

        proxy.after(line, trick)
    given = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    assert given.patient.success
    assert isinstance(given.healthcare_elements.error, InvalidResponseError)
    assert given.data_samples.error is not None
    # Nobody knows which there are.
    assert given.documents.error is not None
    assert isinstance(given.forms.error, InvalidResponseError)
    assert given.invoices.success
    assert not given.success


async def test_forms_are_looked_for_and_not_shared(world: SecondWorld, proxy: Proxy) -> None:
    api = await world.user("hcpA", proxy.url)
    patient = await new_patient(api)
    condition = await world.create("hcpA", patient_id=patient.id)
    form: Json = {**await world.stored("helement", condition.id), "id": "form"}

    async def answer(exchange: Exchange) -> None:
        exchange.answer = [form]

    proxy.after("GET /form/byHcPartySecretForeignKeys/delegations", answer)
    given = await api.patient_api.give_access_to_all_data_of(patient.id, IDS["hcpB"])
    assert given.healthcare_elements.success
    assert given.forms.not_shared == ("form",)
    assert "does not share forms" in str(given.forms.error)
    assert cast("Any", given.forms).shared == 0
