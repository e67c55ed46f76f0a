"""The numbers of requests with today's iCure. One may go down; one that goes up is a mistake.

Shown with ``pytest -s``. Cardinal takes 9 to 10 to start (today.md §0 item 9, §3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from icure_async import AnonymousMedTechApiBuilder, MedTechApiBuilder, Patient, PatientFilter
from icure_async.errors import PermissionDeniedError
from icure_async.keys import current_user, exchange_data
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage
from tests.flows.test_request_counts import LIMITS as LIMITS_OF_2023
from tests.support.counts import Count
from tests.support.people_of_today import Town, town
from tests.support.request_log import RequestLog
from tests.support.story import tell

__all__ = ["town"]

# Step of the story → the most requests it may take, logins included.
LIMITS = [
    ("start", 2),
    ("complete", 20),
    ("create", 1),
    ("re-open", 4),
    ("first read", 2),
    ("next read", 1),
    ("start", 2),
    ("complete", 9),
    ("read again", 2),
]


def bare(lines: list[str]) -> list[str]:
    """Methods and kinds of paths, without ids."""
    return [
        " ".join([line.split(" ")[0], line.split("/rest/v2/")[-1].split("/")[0]]) for line in lines
    ]


async def test_the_story(
    sandbox: Sandbox,
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    builder: Callable[[str, str], MedTechApiBuilder],
    requests: RequestLog,
    count: Count,
) -> None:
    steps: list[tuple[str, list[str]]] = []
    await tell(
        sandbox,
        anonymous_builder().with_flavour("cardinal").with_key_storage(MemoryKeyStorage()),
        lambda login, secret: builder(login, secret).with_flavour("cardinal"),
        told=lambda step: steps.append((step, requests.take())),
        captcha=None,
    )
    for step, lines in steps:
        print(f"{step}: {len(lines)}", *lines, sep="\n    ")
    counts = [len(lines) for _, lines in steps]
    count(f"requests of today's story: {sum(counts)} ({', '.join(map(str, counts))})")
    assert [step for step, _ in steps] == [step for step, _ in LIMITS]
    assert [step for step, _ in LIMITS_OF_2023] == [step for step, _ in LIMITS]
    for (step, limit), number in zip(LIMITS, counts, strict=True):
        assert 0 < number <= limit, step
    lines = [line for _, step_lines in steps for line in step_lines]
    assert not [line for line in lines if "/rest/v1/" in line]
    # No key, and no exchange data, is ever made twice.
    assert len([line for line in lines if line.startswith("PUT /rest/v2/dataowner/stub")]) == 1
    assert len([line for line in lines if line.startswith("POST /rest/v2/exchangedata")]) == 2


async def test_a_start_with_a_stored_key(town: Town, requests: RequestLog) -> None:
    patient, _ = await town.registered()
    professional, _ = await town.registered(professional=True)
    for person, limit in ((professional, 4), (patient, 5)):
        requests.take()
        api = await town.opened(person)
        started = requests.take()
        await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
        print(*started, *requests.take(), sep="\n    ")
        assert 0 < len(started) <= limit
        assert not [line for line in started if line.startswith("PUT")]


@pytest.mark.parametrize("professional", [False, True], ids=["patient", "professional"])
async def test_what_is_known_is_not_asked_for_again(
    professional: bool, town: Town, requests: RequestLog
) -> None:
    delegate, delegates_api = await town.registered()
    _, api = await town.registered(professional=professional)
    patients = api.patient_api
    first = await patients.create_or_modify_patient(Patient(first_name="A", note="n"))
    first = await patients.give_access_to(first, delegate.owner_id)

    requests.take()
    second = await patients.create_or_modify_patient(Patient(first_name="B", note="n"))
    assert requests.take() == ["POST /rest/v2/patient"]
    assert second.id is not None
    second = await patients.give_access_to(second, delegate.owner_id)
    assert requests.take() == ["PUT /rest/v2/patient/bulkSharedMetadataUpdate"]
    await patients.give_access_to(second, delegate.owner_id)
    assert requests.take() == []
    read = await patients.get_patient(str(second.id))
    assert requests.take() == [f"GET /rest/v2/patient/{second.id}"]
    read.note = "changed"
    await patients.create_or_modify_patient(read)
    assert requests.take() == ["PUT /rest/v2/patient"]

    await delegates_api.patient_api.get_patient(str(first.id))
    requests.take()
    assert (await delegates_api.patient_api.get_patient(str(second.id))).note == "changed"
    assert requests.take() == [f"GET /rest/v2/patient/{second.id}"]


async def test_an_older_list_of_automatic_delegates_costs_one_request(
    town: Town, requests: RequestLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, api = await town.registered()
    await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    requests.take()
    monkeypatch.setattr(current_user, "_MAX_AGE_OF_SHARING_SECONDS", 0.05)
    await asyncio.sleep(0.1)
    await api.patient_api.create_or_modify_patient(Patient(first_name="B", note="n"))
    assert requests.take() == ["GET /rest/v2/user/current", "POST /rest/v2/patient"]


async def test_a_patient_who_was_given_access_meanwhile_sees_it(
    town: Town, requests: RequestLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cardinal sees a refusal until it is opened again (today.md §4.1)."""
    patient, ned = await town.registered()
    hcp = await town.opened(town.master)
    wanted = PatientFilter().for_data_owner(patient.owner_id)
    before = [one.id async for one in ned.patient_api.filter_patients(wanted)]

    async def shared() -> str:
        made = await hcp.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
        await hcp.patient_api.give_access_to(made, patient.owner_id)
        requests.take()
        return str(made.id)

    first = await shared()
    assert (await ned.patient_api.get_patient(first)).note == "n"
    assert bare(requests.take()) == ["GET patient", "GET exchangedata", "GET patient"]
    monkeypatch.setattr(exchange_data, "_FRESH_SECONDS", 0.0)
    await shared()
    after = [one.id async for one in ned.patient_api.filter_patients(wanted)]
    assert len(after) == len(before) + 2
    # Somebody whom nobody gave access costs one look.
    made = await hcp.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    requests.take()
    with pytest.raises(PermissionDeniedError):
        await ned.patient_api.get_patient(str(made.id))
    assert bare(requests.take()) == ["GET patient", "GET exchangedata"]


async def test_many_are_read_with_one_request_of_each_kind(
    town: Town, requests: RequestLog
) -> None:
    _, ned = await town.registered()
    made = [
        await ned.patient_api.create_or_modify_patient(Patient(first_name=f"P{i}", note=f"n{i}"))
        for i in range(5)
    ]
    hcp = await town.opened(town.master)
    requests.take()
    read = await hcp.patient_api.get_patients([str(one.id) for one in made])
    assert [one.note for one in read] == [f"n{i}" for i in range(5)]
    assert bare(requests.take()) == [
        "POST patient",
        "POST exchangedatamap",
        "POST exchangedata",
    ]


async def test_reads_at_once_share_what_they_look_up(town: Town, requests: RequestLog) -> None:
    _, ned = await town.registered()
    made = await ned.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
    hcp = await town.opened(town.master)
    requests.take()
    get_patient = hcp.patient_api.get_patient
    read = await asyncio.gather(*(get_patient(str(made.id)) for _ in range(8)))
    assert {one.note for one in read} == {"n"}
    lines = requests.take()
    assert len([line for line in lines if line == f"GET /rest/v2/patient/{made.id}"]) == 8
    print(*lines, sep="\n    ")
