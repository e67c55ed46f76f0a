"""Answers to requests for access: who is believed, and what is shared with whom."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from icure_async import (
    AuthenticationResult,
    EncryptedNotification,
    MedTechApi,
    Notification,
    Patient,
)
from icure_async.errors import (
    ConflictError,
    CryptoError,
    DecryptionError,
    ICureError,
    NetworkError,
    NotFoundError,
    ValidationError,
)
from icure_async.models.key_question import KeyQuestion
from icure_async.sandbox import Fault
from icure_async.storage import MemoryKeyStorage
from tests.support.invitations import EMAIL, NOTE, Clinic, by_email, clinic
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog

__all__ = ["clinic"]

Json = dict[str, Any]

OTHER = "mallory@winterfell.example"


@contextlib.asynccontextmanager
async def asked(clinic: Clinic, email: str = EMAIL) -> AsyncIterator[AuthenticationResult]:
    """An invited patient who has asked for access."""
    async with clinic.logged_in(await clinic.invited(email), email) as result:
        yield result


async def request_of(api: MedTechApi, patient_id: str | None = None) -> Notification:
    found = [
        one
        for one in await api.notification_api.get_pending_notifications_after()
        if one.type == "NEW_USER_OWN_DATA_ACCESS" and patient_id in (None, one.responsible)
    ]
    (request,) = found
    assert isinstance(request, Notification)
    return request


async def change(clinic: Clinic, kind: str, entity_id: str, **members: Any) -> None:
    """Change a stored document behind everybody's back."""
    stored = await clinic.sandbox.stored(kind, entity_id)
    await clinic.sandbox._open_store.run(lambda tx: tx.put(kind, {**(stored or {}), **members}))


async def readers_of(clinic: Clinic, patient_id: str) -> set[str]:
    """The data owners that have the key of a patient."""
    stored = await clinic.sandbox.stored("patient", patient_id)
    assert stored
    return {name for name, entries in stored["encryptionKeys"].items() if entries}


async def refused(
    clinic: Clinic, request: Notification, error: type[ICureError], match: str
) -> None:
    """Check that a request is refused, and that nothing comes of it."""
    before = (await clinic.sandbox.export())["entities"]
    with pytest.raises(error, match=match):
        await clinic.hcp.data_owner_api.answer_access_request(request)
    after = (await clinic.sandbox.export())["entities"]
    for kind in ("patient", "hcparty", "maintenancetask"):
        assert after[kind] == before[kind], kind


# --- The answer -----------------------------------------------------------------------------------


async def test_an_answer_gives_the_patient_its_own_record_and_nobody_else_anything(
    clinic: Clinic, requests: RequestLog
) -> None:
    async with asked(clinic) as result:
        own_id = result.data_owner_id
        request = await request_of(clinic.hcp)
        requests.take()
        answer = await clinic.hcp.data_owner_api.answer_access_request(request)
        lines = requests.take()
        print(f"answer: {len(lines)}", *lines, sep="\n    ")
        assert len(lines) <= 14
        assert answer.access.success
        assert answer.access.patient.shared == 1
        assert answer.notification.status == "completed"
        assert await readers_of(clinic, own_id) == {clinic.hcp_id, own_id}
        assert (await result.med_tech_api.patient_api.get_patient(own_id)).note == NOTE


@pytest.mark.parametrize("step", ["PUT /rest/v1/hcparty", "PUT /rest/v1/patient"])
@pytest.mark.parametrize("kind", ["drop-before", "drop-after"])
async def test_an_answer_that_broke_is_finished_by_the_next(
    clinic: Clinic, no_pauses: None, step: str, kind: Any
) -> None:
    async with asked(clinic) as result:
        request = await request_of(clinic.hcp)
        method, path = step.split()
        clinic.sandbox.inject_fault(Fault(kind, method=method, path=path, nth=range(1, 9)))
        with pytest.raises(NetworkError):
            await clinic.hcp.data_owner_api.answer_access_request(request)
        clinic.sandbox.clear_faults()
        answer = await clinic.hcp.data_owner_api.answer_access_request(request)
        assert answer.notification.status == "completed"
        own = await clinic.sandbox.stored("patient", result.data_owner_id)
        assert own
        assert len(own["encryptionKeys"][result.data_owner_id]) == 1
        assert len(own["delegations"][result.data_owner_id]) == 2


async def test_a_status_that_could_not_be_set_is_set_by_the_next(
    clinic: Clinic, no_pauses: None
) -> None:
    async with asked(clinic):
        request = await request_of(clinic.hcp)
        clinic.sandbox.inject_fault(
            Fault(
                "status",
                method="PUT",
                path="/rest/v1/maintenancetask",
                status=409,
                nth=range(1, 99),
            )
        )
        with pytest.raises(ConflictError):
            await clinic.hcp.data_owner_api.answer_access_request(request)
        clinic.sandbox.clear_faults()
        answer = await clinic.hcp.data_owner_api.answer_access_request(request)
        assert answer.access.patient.shared_before == 1
        assert answer.notification.status == "completed"


async def test_a_request_stays_pending_where_not_all_could_be_shared(clinic: Clinic) -> None:
    async with asked(clinic) as result:
        request = await request_of(clinic.hcp)
        clinic.sandbox.inject_fault(
            Fault(
                "status",
                method="GET",
                path="/rest/v1/helement/byHcPartySecretForeignKeys",
                status=403,
            )
        )
        answer = await clinic.hcp.data_owner_api.answer_access_request(request)
        assert not answer.access.success
        assert answer.access.patient.success
        assert answer.notification.status == "pending"
        assert (await result.med_tech_api.patient_api.get_patient(result.data_owner_id)).note
        clinic.sandbox.clear_faults()
        again = await clinic.hcp.data_owner_api.answer_access_request(request)
        assert again.notification.status == "completed"


async def test_each_of_two_professionals_answers(
    clinic: Clinic, client_session: aiohttp.ClientSession
) -> None:
    async with clinic.colleague(client_session, "b") as (b, b_id):
        patient = await clinic.patient()
        await clinic.hcp.patient_api.give_access_to(patient, b_id)
        await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
        async with clinic.logged_in(await clinic.token()) as result:
            for api in (b, clinic.hcp):
                answer = await api.data_owner_api.answer_access_request(await request_of(api))
                assert answer.notification.status == "completed"
                own = await result.med_tech_api.patient_api.get_patient(result.data_owner_id)
                assert own.note == NOTE


# --- Lies -----------------------------------------------------------------------------------------


async def test_a_patient_who_asks_in_the_name_of_another_gets_nothing(clinic: Clinic) -> None:
    victim = await clinic.patient()
    async with asked(clinic, OTHER) as mallory:
        request = await request_of(clinic.hcp)
        await change(clinic, "maintenancetask", request.id, responsible=victim.id)
        await refused(clinic, request, ValidationError, "who has not written it")
        assert await readers_of(clinic, str(victim.id)) == {clinic.hcp_id}
        assert mallory.data_owner_id not in await readers_of(clinic, str(victim.id))


async def test_a_patient_who_claims_to_be_the_author_of_an_entry_gets_nothing(
    clinic: Clinic,
) -> None:
    """The exchange key to the professional is not that of the other patient."""
    async with asked(clinic) as victim, asked(clinic, OTHER) as mallory:
        request = await request_of(clinic.hcp, mallory.data_owner_id)
        stored = await clinic.sandbox.stored("maintenancetask", request.id)
        assert stored
        for member in ("delegations", "encryptionKeys"):
            (entry,) = stored[member][clinic.hcp_id]
            entry["owner"] = victim.data_owner_id
        lie = {"responsible": victim.data_owner_id, "author": victim.user_id}
        await change(clinic, "maintenancetask", request.id, **stored | lie)
        await refused(clinic, request, DecryptionError, "can't be decrypted")


async def test_a_copy_of_the_entries_of_another_request_proves_nothing(clinic: Clinic) -> None:
    async with asked(clinic) as victim, asked(clinic, OTHER) as mallory:
        real = await clinic.sandbox.stored(
            "maintenancetask", (await request_of(clinic.hcp, victim.data_owner_id)).id
        )
        request = await request_of(clinic.hcp, mallory.data_owner_id)
        assert real
        copied = {
            name: real[name]
            for name in ("delegations", "encryptionKeys", "encryptedSelf", "responsible", "author")
        }
        await change(clinic, "maintenancetask", request.id, **copied)
        await refused(clinic, request, DecryptionError, "can't be decrypted")


async def test_the_author_must_be_the_user_of_the_patient(clinic: Clinic) -> None:
    async with asked(clinic), asked(clinic, OTHER) as mallory:
        request = await request_of(clinic.hcp, mallory.data_owner_id)
        (victim,) = (
            user
            for user in (await clinic.sandbox.export())["entities"]["user"].values()
            if user.get("login") == EMAIL
        )
        await change(clinic, "maintenancetask", request.id, author=victim["id"])
        await refused(clinic, request, ValidationError, "is not the user of the patient")
        await change(clinic, "maintenancetask", request.id, author="nobody-known")
        await refused(clinic, request, ValidationError, "is not the user of the patient")
        await change(clinic, "maintenancetask", request.id, author=None)
        await refused(clinic, request, ValidationError, "names no author")


async def test_a_data_owner_of_another_kind_with_the_id_of_a_patient_gets_nothing(
    clinic: Clinic, client_session: aiohttp.ClientSession
) -> None:
    """Ids are chosen by those who create documents, and each kind has its own."""
    async with asked(clinic) as result:
        request = await request_of(clinic.hcp)

        async def lie(exchange: Exchange) -> None:
            exchange.answer["type"] = "hcp"

        master = clinic.sandbox.master_hcp
        async with Proxy(clinic.sandbox) as proxy:
            builder = clinic.builder(master.login, master.password).with_icure_base_url(proxy.url)
            async with builder.build() as api:
                await api.init_user_crypto(master.key_pair)
                proxy.after(f"GET /dataowner/{result.data_owner_id}", lie)
                with pytest.raises(ValidationError, match="is not a patient"):
                    await api.data_owner_api.answer_access_request(request)
        assert await readers_of(clinic, result.data_owner_id) == {clinic.hcp_id}


async def test_only_the_patient_whom_the_professional_has_seen_gets_anything(
    clinic: Clinic,
) -> None:
    """Mallory names the victim until the professional has called the victim, and then herself."""
    victim = await clinic.patient()
    async with asked(clinic, OTHER) as mallory:
        seen = await request_of(clinic.hcp)
        seen.responsible = victim.id
        await refused(clinic, seen, ValidationError, "names another patient than before")
        assert await readers_of(clinic, mallory.data_owner_id) == {clinic.hcp_id}
        assert await readers_of(clinic, str(victim.id)) == {clinic.hcp_id}


async def test_a_request_for_a_patient_that_she_cannot_read_is_an_error(clinic: Clinic) -> None:
    async with asked(clinic) as result:
        request = await request_of(clinic.hcp)
        own = await clinic.sandbox.stored("patient", result.data_owner_id)
        assert own
        for name in ("delegations", "encryptionKeys"):
            own[name][clinic.hcp_id] = [{**own[name][clinic.hcp_id][0], "key": "00"}]
        await change(clinic, "patient", result.data_owner_id, **own)
        with pytest.raises(CryptoError):
            await clinic.hcp.data_owner_api.answer_access_request(request)
        assert (await request_of(clinic.hcp)).status == "pending"


async def test_a_policy_decides_about_the_key_of_the_patient(clinic: Clinic) -> None:
    async with asked(clinic) as result:
        request = await request_of(clinic.hcp)
        questions: list[str] = []

        async def policy(question: KeyQuestion) -> bool:
            questions.append(question.data_owner_id)
            return question.data_owner_id == clinic.hcp_id

        master, keys = clinic.sandbox.master_hcp, MemoryKeyStorage()
        builder = clinic.builder(master.login, master.password).with_key_storage(keys)
        async with builder.with_public_key_policy(policy).build() as api:
            await api.init_user_crypto(master.key_pair)
            with pytest.raises(CryptoError):
                await api.data_owner_api.answer_access_request(request)
        assert result.data_owner_id in questions
        assert await readers_of(clinic, result.data_owner_id) == {clinic.hcp_id}


# --- Mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"taskType": "OTHER"}, "no request for access"),
        ({"taskType": None}, "no request for access"),
        ({"status": "cancelled"}, "deleted or cancelled"),
        ({"deletionDate": 1}, "deleted or cancelled"),
        ({"responsible": None}, "names no patient"),
        ({"responsible": "a/b"}, "names no patient"),
    ],
)
async def test_other_notifications_are_no_requests(
    clinic: Clinic, members: Json, match: str
) -> None:
    async with asked(clinic):
        request = await request_of(clinic.hcp)
        await change(clinic, "maintenancetask", request.id, **members)
        await refused(clinic, request, ValidationError, match)


async def test_arguments_are_checked(clinic: Clinic, requests: RequestLog) -> None:
    requests.take()
    answer: Any = clinic.hcp.data_owner_api.answer_access_request
    for wrong in (None, "an-id", Patient(id="p")):
        with pytest.raises(ValidationError, match="must be a Notification"):
            await answer(wrong)
    with pytest.raises(ValidationError, match="notification id"):
        await answer(Notification(type="NEW_USER_OWN_DATA_ACCESS"))
    assert requests.take() == []
    with pytest.raises(NotFoundError):
        await answer(Notification(id="unknown"))


async def test_nobody_answers_its_own_request(clinic: Clinic) -> None:
    async with asked(clinic) as result:
        request = await request_of(result.med_tech_api)
        with pytest.raises(ValidationError, match="own request"):
            await result.med_tech_api.data_owner_api.answer_access_request(request)


async def test_without_a_key_pair_nothing_is_answered(clinic: Clinic) -> None:
    async with asked(clinic):
        request = await request_of(clinic.hcp)
        master = clinic.sandbox.master_hcp
        async with clinic.builder(master.login, master.password).build() as api:
            sealed = EncryptedNotification(id=request.id)
            with pytest.raises(DecryptionError, match="can't be decrypted"):
                await api.data_owner_api.answer_access_request(sealed)
