"""Patients whose deletion is taken back."""

from __future__ import annotations

from typing import Any, cast

import pytest

from icure_async import MedTechApi, Patient
from icure_async.errors import (
    ConflictError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    ValidationError,
)
from icure_async.sandbox import Fault, Sandbox
from tests.support.golden_sandbox import Opener
from tests.support.json_proxy import Exchange, Proxy
from tests.support.request_log import RequestLog

NOTE = "the young wolf"


@pytest.fixture
async def hcp(opener: Opener) -> MedTechApi:
    return await opener.golden("hcp")


@pytest.fixture
async def robb(hcp: MedTechApi) -> Patient:
    return await hcp.patient_api.create_or_modify_patient(
        Patient(first_name="Robb", last_name="Stark", note=NOTE)
    )


async def test_an_undeleted_patient_is_as_it_was(
    hcp: MedTechApi, robb: Patient, requests: RequestLog
) -> None:
    await hcp.patient_api.delete_patient(robb.id)
    assert robb.id not in await hcp.patient_api.match_patients()
    requests.take()
    assert await hcp.patient_api.undelete_patient(robb.id) == robb.id
    assert requests.take() == [f"PUT /rest/v1/patient/undelete/{robb.id}"]
    assert robb.id in await hcp.patient_api.match_patients()
    read = await hcp.patient_api.get_patient(robb.id)
    assert read.deletion_date is None
    assert read.evolve(rev=robb.rev) == robb
    # Its revision is another one now.
    with pytest.raises(ConflictError):
        await hcp.patient_api.create_or_modify_patient(robb.evolve(profession="king"))
    await hcp.patient_api.create_or_modify_patient(read.evolve(profession="king"))


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "truncate"])
@pytest.mark.usefixtures("no_pauses")
async def test_an_answer_that_was_lost(
    kind: Any, hcp: MedTechApi, robb: Patient, sandbox: Sandbox
) -> None:
    await hcp.patient_api.delete_patient(robb.id)
    sandbox.inject_fault(Fault(kind, method="PUT", path="*/patient/undelete/*", times=3))
    with pytest.raises(NetworkError):
        await hcp.patient_api.undelete_patient(robb.id)
    await hcp.patient_api.undelete_patient(robb.id)
    assert (await hcp.patient_api.get_patient(robb.id)).note == NOTE


async def test_who_may_not_change_a_patient_does_not_undelete_it(
    hcp: MedTechApi, robb: Patient, opener: Opener
) -> None:
    await hcp.patient_api.delete_patient(robb.id)
    ned = await opener.golden("ned")
    for api, patient_id in ((hcp, "no-such-patient"), (ned, robb.id)):
        with pytest.raises(NotFoundError, match="Could not undelete patient"):
            await api.patient_api.undelete_patient(patient_id)


@pytest.mark.parametrize("patient_id", ["", "a,b", "a/b", "..", None, 5])
async def test_malformed_ids_are_refused_before_any_request(
    patient_id: Any, hcp: MedTechApi, requests: RequestLog
) -> None:
    requests.take()
    with pytest.raises(ValidationError):
        await hcp.patient_api.undelete_patient(cast("str", patient_id))
    assert requests.take() == []


@pytest.mark.parametrize(
    "answer", [None, {}, "done", [{"id": "another"}], [5], [{"id": "a"}, {"id": "a"}], [{}]]
)
async def test_hostile_answers(
    answer: Any, opener: Opener, sandbox: Sandbox, world: dict[str, Any]
) -> None:
    async def reply(exchange: Exchange) -> None:
        exchange.status, exchange.answer = 200, answer

    async with Proxy(sandbox) as proxy:
        hcp = world["users"]["hcp"]
        api = await opener.plain(hcp["login"], hcp["token"], url=proxy.url)
        proxy.before("PUT /patient/undelete/a", reply)
        with pytest.raises(InvalidResponseError):
            await api.patient_api.undelete_patient("a")
        await api.aclose()
