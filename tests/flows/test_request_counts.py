"""The numbers of requests. One may go down; one that goes up is a mistake.

Shown with ``pytest -s``. The reference's numbers are in wire-protocol.md §6.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp

from icure_async import AnonymousMedTechApiBuilder, MedTechApiBuilder, Patient, PatientFilter
from icure_async.sandbox import Sandbox
from tests.support.invitations import Clinic, by_email, clinic
from tests.support.request_log import RequestLog
from tests.support.sharing_scenes import add_delegate
from tests.support.story import NOTE, PHONE, Teller

__all__ = ["clinic"]

# Step of the story → the most requests it may take, logins included.
LIMITS = [
    ("start", 1),
    ("complete", 8),
    ("create", 2),
    ("re-open", 3),
    ("first read", 2),
    ("next read", 1),
    ("start", 1),
    ("complete", 5),
    ("read again", 2),
]
REGISTRATION_LIMIT = 9
STORY_LIMIT = 22


async def test_the_story(tell_story: Teller, requests: RequestLog) -> None:
    steps: list[tuple[str, list[str]]] = []
    await tell_story(lambda step: steps.append((step, requests.take())))

    for step, lines in steps:
        print(f"{step}: {len(lines)}", *lines, sep="\n    ")
    counts = [len(lines) for _, lines in steps]
    print("whole story:", sum(counts))

    assert [step for step, _ in steps] == [step for step, _ in LIMITS]
    for (step, limit), count in zip(LIMITS, counts, strict=True):
        assert 0 < count <= limit, step
    assert counts[0] + counts[1] <= REGISTRATION_LIMIT
    # The second read is not in the story as it is counted elsewhere.
    assert sum(counts) - counts[5] <= STORY_LIMIT
    # One write makes keys, delegations and content of a new patient user.
    assert [line for line in steps[1][1] if line.startswith("PUT")] == ["PUT /rest/v1/patient"]
    assert steps[2][1][-1] == "POST /rest/v1/patient"
    assert not any("PUT" in line for _, lines in steps[3:] for line in lines)


async def test_the_professional_reads_what_a_patient_shares(
    tell_story: Teller,
    sandbox: Sandbox,
    builder: Callable[[str, str], MedTechApiBuilder],
    requests: RequestLog,
) -> None:
    story = await tell_story(lambda _: None)
    master = sandbox.master_hcp
    async with builder(master.login, master.password).build() as api:
        requests.take()
        await api.init_user_crypto(master.key_pair)
        assert len(requests.take()) <= 3
        patient = await api.patient_api.get_patient(story.patient_id)
        lines = requests.take()
        print("the professional's first read:", *lines, sep="\n    ")
        assert len(lines) <= 2
        patient.note = "seen"
        await api.patient_api.create_or_modify_patient(patient)
        assert requests.take() == ["PUT /rest/v1/patient"]


async def test_reads_at_once_share_what_they_look_up(
    tell_story: Teller,
    sandbox: Sandbox,
    builder: Callable[[str, str], MedTechApiBuilder],
    requests: RequestLog,
) -> None:
    story = await tell_story(lambda _: None)
    master = sandbox.master_hcp
    async with builder(master.login, master.password).build() as api:
        await api.init_user_crypto(master.key_pair)
        requests.take()
        get_patient = api.patient_api.get_patient
        patients = await asyncio.gather(*(get_patient(story.patient_id) for _ in range(8)))
    assert {patient.note for patient in patients} == {NOTE}
    lines = requests.take()
    reads = [line for line in lines if line == f"GET /rest/v1/patient/{story.patient_id}"]
    assert len(reads) == 8
    assert len(lines) <= 8 + 1


async def test_a_login_without_the_key_and_access_given_back(
    tell_story: Teller,
    sandbox: Sandbox,
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    builder: Callable[[str, str], MedTechApiBuilder],
    requests: RequestLog,
) -> None:
    """The reference takes 24 requests to log in, and 4 to give access back (§6.6, §6.15)."""
    story = await tell_story(lambda _: None)
    async with anonymous_builder().build() as anonymous_api:
        process = await anonymous_api.authentication_api.start_authentication(
            "captcha", phone_number=PHONE
        )
        code = await sandbox.wait_for_code(PHONE)
        requests.take()
        result = await anonymous_api.authentication_api.complete_authentication(process, code)
    lines = requests.take()
    print("complete without the key:", *lines, sep="\n    ")
    # One of them asks who has exchange data of today.
    assert len(lines) <= 14
    assert [line for line in lines if line.startswith("PUT")] == ["PUT /rest/v1/patient"]
    assert [notice.delivered for notice in result.key_notices] == [True, True]

    master, (pair,) = sandbox.master_hcp, result.key_pairs
    async with result.med_tech_api as ned, builder(master.login, master.password).build() as hcp:
        await hcp.init_user_crypto(master.key_pair)
        requests.take()
        owner_id = result.key_notices[0].recipient_id
        await hcp.data_owner_api.give_access_back_to(owner_id, pair.public_key)
        lines = requests.take()
        print("giving access back:", *lines, sep="\n    ")
        # Two of them ask for exchange data of today.
        assert len(lines) <= 5
        assert (await ned.patient_api.get_patient(story.patient_id)).note == NOTE
        lines = requests.take()
        print("reading with it:", *lines, sep="\n    ")
        assert len(lines) <= 2


async def test_the_professional_creates(
    sandbox: Sandbox,
    builder: Callable[[str, str], MedTechApiBuilder],
    requests: RequestLog,
) -> None:
    """The first creation also makes the exchange key to herself."""
    master = sandbox.master_hcp
    async with builder(master.login, master.password).build() as api:
        await api.init_user_crypto(master.key_pair)
        requests.take()
        await api.patient_api.create_or_modify_patient(Patient(first_name="A", note="n"))
        assert len(requests.take()) <= 3
        await api.patient_api.create_or_modify_patient(Patient(first_name="B", note="n"))
        assert requests.take() == ["POST /rest/v1/patient"]


async def test_a_page_of_a_filter(
    sandbox: Sandbox,
    builder: Callable[[str, str], MedTechApiBuilder],
    requests: RequestLog,
) -> None:
    """The reference takes one, too, and does not decrypt (wire-protocol.md §6.1)."""
    master = sandbox.master_hcp
    wanted = PatientFilter().contains_fuzzy("stark") & ~PatientFilter().by_ids(["x"])
    async with builder(master.login, master.password).build() as api:
        await api.init_user_crypto(master.key_pair)
        for number in range(3):
            patient = Patient(first_name=str(number), last_name="Stark", note="n")
            await api.patient_api.create_or_modify_patient(patient)
        requests.take()
        found = [patient.note async for patient in api.patient_api.filter_patients(wanted)]
        assert (found, requests.take()) == (["n"] * 3, ["POST /rest/v1/patient/filter"])
        assert await api.patient_api.count_patients(wanted) == 3
        assert requests.take() == ["POST /rest/v1/patient/match"]


async def test_an_invitation_the_first_login_and_the_answer(
    clinic: Clinic, client_session: aiohttp.ClientSession, requests: RequestLog
) -> None:
    """The reference takes 4 requests to invite, and 39 for the login with two professionals."""
    async with clinic.colleague(client_session, "b") as (_, b_id):
        patient = await clinic.patient()
        patient = await clinic.hcp.patient_api.give_access_to(patient, b_id)
        requests.take()
        await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
        lines = requests.take()
        print(f"invite: {len(lines)}", *lines, sep="\n    ")
        assert len(lines) <= 4

        async with clinic.logged_in(await clinic.token()) as result:
            lines = requests.take()
            print(f"first login: {len(lines)}", *lines, sep="\n    ")
            assert len(result.access_requests) == 2
            assert len(lines) <= 10
            # All exchange keys and the delegation go out with the public key.
            assert [line for line in lines if "PUT" in line] == ["PUT /rest/v1/patient"]

            (request,) = await clinic.hcp.notification_api.get_pending_notifications_after()
            requests.take()
            await clinic.hcp.data_owner_api.answer_access_request(request)
            lines = requests.take()
            print(f"answer: {len(lines)}", *lines, sep="\n    ")
            assert len(lines) <= 14
            await result.med_tech_api.patient_api.get_patient(patient.id)
            assert len(requests.take()) <= 4


async def test_sharing(
    sandbox: Sandbox,
    builder: Callable[[str, str], MedTechApiBuilder],
    requests: RequestLog,
) -> None:
    """The reference takes 9 to 12 requests for the first share, and 2 to 5 for the next (§6.10)."""
    master = sandbox.master_hcp
    delegates = [await add_delegate(sandbox, master.key_pair) for _ in range(3)]
    async with builder(master.login, master.password).build() as api:
        await api.init_user_crypto(master.key_pair)
        patients = api.patient_api
        first, second, *many = [
            await patients.create_or_modify_patient(Patient(first_name="A", note="n"))
            for _ in range(12)
        ]
        requests.take()
        shared = await patients.give_access_to(first, delegates[0])
        lines = requests.take()
        print("first share with somebody:", *lines, sep="\n    ")
        assert len(lines) <= 3
        await patients.give_access_to(second, delegates[0])
        assert requests.take() == ["PUT /rest/v1/patient"]
        await patients.give_access_to(shared, delegates[0])
        assert requests.take() == []

        (await patients.share_many(many, delegates)).raise_for_failures()
        lines = requests.take()
        print("10 patients with 3 delegates, of whom 2 are new:", *lines, sep="\n    ")
        assert len(lines) <= 2 + 1 + 10
        assert lines.count("PUT /rest/v1/hcparty") == 1

        lonely = await patients.create_or_modify_patient(Patient(first_name="A", note="n"))
        requests.take()
        (await patients.give_access_to_all_data_of(lonely.id, delegates[0])).raise_for_failures()
        lines = requests.take()
        print("all data of a patient without any:", *lines, sep="\n    ")
        assert len(lines) <= 6

        await api.user_api.share_all_future_data_with(delegates)
        assert len(requests.take()) <= 2
        await api.user_api.stop_sharing_data_with(delegates)
        assert len(requests.take()) <= 2


async def test_a_patient_user_shares_its_own_record(
    sandbox: Sandbox,
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    requests: RequestLog,
) -> None:
    """With keys in it, the document is read twice before it is written."""
    phone = "+32470999888"
    async with anonymous_builder().build() as anonymous_api:
        process = await anonymous_api.authentication_api.start_authentication(
            "captcha",
            phone_number=phone,
            healthcare_professional_id=sandbox.master_hcp.data_owner_id,
            first_name="Arya",
            last_name="Stark",
        )
        code = await sandbox.wait_for_code(phone)
        result = await anonymous_api.authentication_api.complete_authentication(process, code)
    delegate_id = await add_delegate(sandbox, sandbox.master_hcp.key_pair)
    async with result.med_tech_api as api:
        own_id = str((await api.user_api.get_logged_user()).patient_id)
        own = await api.patient_api.get_patient(own_id)
        requests.take()
        await api.patient_api.give_access_to(own, delegate_id)
        lines = requests.take()
        print("first share of the own record:", *lines, sep="\n    ")
        assert len(lines) <= 3
        assert [line for line in lines if line.startswith("PUT")] == ["PUT /rest/v1/patient"]
