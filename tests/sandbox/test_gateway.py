from __future__ import annotations

import asyncio
import re
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from icure_async.authentication.proof_of_work import smallest_nonce
from icure_async.sandbox import Sandbox
from tests.support.bare_client import Client, Json, World, basic, encoded, me

PHONE = "+32588235595"
EMAIL = "ned@winterfell.example"


async def test_a_patient_registers_by_sms(world: World) -> None:
    hcp_id = world.sandbox.master_hcp.data_owner_id
    ned = await world.register(PHONE, hcpId=hcp_id)
    user = await me(ned)
    assert user["login"] == user["mobilePhone"] == PHONE
    assert "email" not in user
    assert user["status"] == "ACTIVE"
    assert user["autoDelegations"] == {"all": [hcp_id]}
    patient = (await ned.get(f"/patient/{user['patientId']}")).body
    assert (patient["firstName"], patient["lastName"]) == ("Ned", "Stark")
    assert patient["addresses"][0]["telecoms"] == [
        {"telecomType": "mobile", "telecomNumber": PHONE}
    ]


async def test_a_healthcare_professional_registers_by_email(world: World) -> None:
    luwin = await world.register_hcp(EMAIL, firstName="Maester", lastName="Luwin")
    user = await me(luwin)
    assert user["login"] == user["email"] == EMAIL
    assert user["autoDelegations"] == {}
    hcp = (await luwin.get("/hcparty/current")).body
    assert hcp["id"] == user["healthcarePartyId"]
    assert (hcp["firstName"], hcp["lastName"]) == ("Maester", "Luwin")


async def test_with_both_contacts_the_email_wins(world: World) -> None:
    request_id = await world.start(EMAIL, mobilePhone=PHONE)
    code = await world.sandbox.wait_for_code(EMAIL)
    assert (await world.gateway.get(f"/lastSMS/{encoded(PHONE)}")).status == 404
    assert (await world.validate(request_id, code)).status == 200
    user = await me(await world.login(EMAIL, code))
    assert (user["login"], user["email"], user["mobilePhone"]) == (EMAIL, EMAIL, PHONE)


async def test_an_unknown_hcp_is_no_reason_to_fail_for_a_professional(world: World) -> None:
    luwin = await world.register_hcp(EMAIL, hcpId="no-data-owner")
    assert (await me(luwin))["autoDelegations"] == {}


async def test_a_professional_shares_with_nobody_automatically(world: World) -> None:
    luwin = await world.register_hcp(EMAIL, hcpId=world.sandbox.master_hcp.data_owner_id)
    assert (await me(luwin))["autoDelegations"] == {}


def start_body(**fields: Any) -> Json:
    return {"g-recaptcha-response": "solved", "firstName": "Ned", "lastName": "Stark", **fields}


@pytest.mark.parametrize("hcp_id", ["", None, "no-data-owner", "a-patient", "gone"])
async def test_a_new_patient_needs_a_professional_who_is_known(
    world: World, hcp_id: str | None
) -> None:
    master = await world.master()
    await master.created("/patient", {"id": "a-patient", "firstName": "Robb"})
    await master.created("/hcparty", {"id": "gone", "name": "Pycelle"})
    await master.delete("/hcparty/gone")
    body = start_body(mobilePhone=PHONE, hcpId=hcp_id)
    answer = await world.gateway.post(f"/process/patient-sms/{uuid.uuid4()}", body)
    assert answer.status == 422
    assert "healthcare professional" in answer.body["message"]
    assert "hcpId" in answer.body["message"]
    with pytest.raises(TimeoutError):
        await world.sandbox.wait_for_code(PHONE, timeout=0.05)


async def test_a_refused_registration_can_be_started_again_with_the_same_request_id(
    world: World,
) -> None:
    path = f"/process/patient-sms/{uuid.uuid4()}"
    assert (await world.gateway.post(path, start_body(mobilePhone=PHONE))).status == 422
    known = {"hcpId": world.sandbox.master_hcp.data_owner_id}
    assert (await world.gateway.post(path, start_body(mobilePhone=PHONE, **known))).status == 200


@pytest.mark.parametrize("contact", [PHONE, EMAIL])
async def test_a_login_needs_no_professional(world: World, contact: str) -> None:
    first = await me(await world.register(contact))
    again = await me(await world.register(contact, hcpId="", firstName="", lastName=""))
    assert again["id"] == first["id"]
    # Not even at a process for professionals' patients whose professional has gone.
    assert (await me(await world.register(contact, hcpId="no-data-owner")))["id"] == first["id"]


async def test_a_lenient_sandbox_registers_patients_without_a_professional(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    async with Sandbox(database=fresh, lenient=True) as sandbox:
        ned = await World(sandbox, session).register(PHONE, hcpId="")
        assert (await me(ned))["autoDelegations"] == {}
        arya = await World(sandbox, session).register(EMAIL, hcpId="no-data-owner")
        assert (await me(arya))["autoDelegations"] == {}


async def test_a_patient_does_not_come_into_being_once_the_professional_has_gone(
    world: World,
) -> None:
    master = await world.master()
    hcp = await master.created("/hcparty", {"name": "Pycelle"})
    request_id = await world.start(PHONE, hcpId=hcp["id"])
    code = await world.sandbox.wait_for_code(PHONE)
    await master.delete(f"/hcparty/{hcp['id']}")
    assert (await world.validate(request_id, code)).status == 404
    assert (await master.get(f"/user/byPhoneNumber/{encoded(PHONE)}")).status == 404


async def test_who_is_known_logs_in_and_keeps_everything(world: World) -> None:
    first = await me(await world.register(PHONE))
    again = await world.register(PHONE, firstName="", lastName="")
    second = await me(again)
    assert (second["id"], second["patientId"]) == (first["id"], first["patientId"])
    patient = (await again.get(f"/patient/{second['patientId']}")).body
    assert patient["firstName"] == "Ned"


async def test_messages_are_exactly_the_code(world: World) -> None:
    await world.start(PHONE, parameters="?codeLength=8")
    code = await world.sandbox.wait_for_code(PHONE)
    assert re.fullmatch(r"[0-9]{8}", code)
    assert (await world.gateway.get(f"/lastSMS/{encoded(PHONE)}")).body == {"message": code}
    assert (await world.gateway.get(f"/lastSMS/{PHONE}")).body == {"message": code}

    await world.start(EMAIL)
    code = await world.sandbox.wait_for_code(EMAIL)
    assert re.fullmatch(r"[0-9]{6}", code)
    mail = (await world.gateway.get(f"/lastEmail/{encoded(EMAIL)}")).body
    assert mail["subject"] == code
    assert set(mail) == {"from", "subject", "html"}


async def test_nothing_sent_is_not_found(world: World) -> None:
    assert (await world.gateway.get(f"/lastSMS/{encoded(PHONE)}")).status == 404
    assert (await world.gateway.get(f"/lastEmail/{encoded(EMAIL)}")).status == 404


async def test_waiting_for_a_code_waits_and_hands_out_each_code_once(world: World) -> None:
    waiting = asyncio.create_task(world.sandbox.wait_for_code("+32 588 23 55 95"))
    await world.start(PHONE)
    code = await waiting
    assert (await world.gateway.get(f"/lastSMS/{encoded(PHONE)}")).body["message"] == code
    with pytest.raises(TimeoutError, match=re.escape(PHONE)):
        await world.sandbox.wait_for_code(PHONE, timeout=0.05)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"mobilePhone": None}, 400),
        ({"mobilePhone": ""}, 400),
        ({"mobilePhone": "not a number"}, 400),
        ({"mobilePhone": "+12"}, 400),
        ({"mobilePhone": 32588235595}, 400),
        ({"email": "not-an-address"}, 400),
        ({"email": "a b@c.example"}, 400),
        ({"g-recaptcha-response": ""}, 400),
        ({"g-recaptcha-response": None}, 400),
        ({"g-recaptcha-response": None, "friendly-captcha-response": "solved"}, 200),
    ],
)
async def test_what_a_start_needs(world: World, change: Json, status: int) -> None:
    hcp_id = world.sandbox.master_hcp.data_owner_id
    body = start_body(mobilePhone=PHONE, hcpId=hcp_id) | change
    answer = await world.gateway.post(f"/process/patient-sms/{uuid.uuid4()}", body)
    assert answer.status == status
    if "g-recaptcha-response" in change and status == 400:
        assert "captcha" in answer.body["message"]


async def test_unknown_names_are_not_found_and_bad_parameters_refused(world: World) -> None:
    body = {"g-recaptcha-response": "solved", "mobilePhone": PHONE}
    gateway, request_id = world.gateway, uuid.uuid4()
    assert (await gateway.post(f"/process/nothing/{request_id}", body)).status == 404
    assert (await gateway.get(f"/process/validate/{request_id}-123456")).status == 404
    assert (await gateway.post("/process/patient-sms/no-uuid", body)).status == 400
    assert (await gateway.get("/process/validate/no-uuid")).status == 400
    for length in ("3", "13", "x", "0"):
        path = f"/process/patient-sms/{request_id}?codeLength={length}"
        assert (await gateway.post(path, body)).status == 400
    other_spec = f"{world.sandbox.msg_gw_url}/other/process/patient-sms/{request_id}"
    async with world.session.post(other_spec, json=body) as response:
        assert response.status == 404
        assert (await response.json())["message"]


async def test_a_request_id_is_used_once(world: World) -> None:
    request_id = await world.start(PHONE)
    body = {"g-recaptcha-response": "solved", "mobilePhone": PHONE}
    answer = await world.gateway.post(f"/process/patient-sms/{request_id}", body)
    assert answer.status == 409


async def test_a_captcha_can_be_refused(session: aiohttp.ClientSession) -> None:
    async with Sandbox(captcha="42") as sandbox:
        world = World(sandbox, session)
        await world.start(PHONE, **{"g-recaptcha-response": "42"})
        body = {"g-recaptcha-response": "41", "mobilePhone": PHONE}
        answer = await world.gateway.post(f"/process/patient-sms/{uuid.uuid4()}", body)
        assert answer.status == 403
        assert "captcha" in answer.body["message"]


async def test_after_a_wrong_code_the_right_one_still_works(world: World) -> None:
    request_id = await world.start(PHONE)
    code = await world.sandbox.wait_for_code(PHONE)
    for wrong in ("x" * 6, code[:-1], f"{code}0", "0" * 6 if code != "0" * 6 else "1" * 6):
        answer = await world.validate(request_id, wrong)
        assert answer.status == 401
        assert code not in answer.body["message"]
    assert (await world.validate(request_id, code)).status == 200


async def test_a_code_is_no_password_before_it_was_validated(world: World) -> None:
    await world.register(PHONE)
    await world.start(PHONE)
    code = await world.sandbox.wait_for_code(PHONE)
    answer = await world.anonymous.post("/auth/login", {"username": PHONE, "password": code})
    assert answer.status == 401


async def test_a_wrong_code_creates_nobody(world: World) -> None:
    request_id = await world.start(PHONE)
    await world.validate(request_id, "wrong")
    master = await world.master()
    assert (await master.get(f"/user/byPhoneNumber/{encoded(PHONE)}")).status == 404


async def test_too_many_wrong_codes_end_the_process_for_good(world: World) -> None:
    request_id = await world.start(PHONE)
    code = await world.sandbox.wait_for_code(PHONE)
    statuses = [(await world.validate(request_id, "wrong")).status for _ in range(5)]
    assert statuses == [401] * 4 + [429]
    answer = await world.validate(request_id, code)
    assert answer.status == 429
    world.sandbox.advance_clock(10_000)
    assert (await world.validate(request_id, code)).status == 429


async def test_a_code_expires(world: World) -> None:
    request_id = await world.start(PHONE)
    code = await world.sandbox.wait_for_code(PHONE)
    world.sandbox.advance_clock(601)
    answer = await world.validate(request_id, code)
    assert answer.status == 410
    assert code not in answer.body["message"]


async def test_a_code_is_used_once(world: World) -> None:
    request_id = await world.start(PHONE)
    code = await world.sandbox.wait_for_code(PHONE)
    assert (await world.validate(request_id, code)).status == 200
    assert (await world.validate(request_id, code)).status == 410
    assert (await world.validate(request_id, "wrong")).status == 410


async def test_the_code_works_as_password_for_ten_minutes(world: World) -> None:
    request_id = await world.start(PHONE, parameters="?codeLength=4")
    code = await world.sandbox.wait_for_code(PHONE)
    await world.validate(request_id, code)
    credentials = {"username": PHONE, "password": code}
    assert (await world.anonymous.post("/auth/login", credentials)).status == 200
    world.sandbox.advance_clock(601)
    assert (await world.anonymous.post("/auth/login", credentials)).status == 401


async def test_concurrent_validations_succeed_once(world: World) -> None:
    request_id = await world.start(PHONE)
    code = await world.sandbox.wait_for_code(PHONE)
    answers = await asyncio.gather(*(world.validate(request_id, code) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200] + [410] * 4


async def test_concurrent_processes_of_one_contact_create_one_user(world: World) -> None:
    codes = {}
    for _ in range(4):
        request_id = await world.start(PHONE)
        codes[request_id] = await world.sandbox.wait_for_code(PHONE)
    answers = await asyncio.gather(*(world.validate(*item) for item in codes.items()))
    assert [answer.status for answer in answers] == [200] * 4
    entities = (await world.sandbox.export())["entities"]
    users = [user for user in entities["user"].values() if user["login"] == PHONE]
    assert len(users) == 1
    assert set(entities["patient"]) == {users[0]["patientId"]}
    for code in codes.values():
        assert (await me(await world.login(PHONE, code)))["id"] == users[0]["id"]


async def test_who_sends_messages_must_be_a_user(world: World) -> None:
    master = world.sandbox.master_hcp
    sender = world.gateway
    mail = {"from": "hcp@winterfell.example", "subject": "login|token", "html": "<b>Hello</b>"}
    path = f"/email/to/{EMAIL}"
    assert (await sender.post(path, mail)).status == 401
    wrong = basic(master.login, "wrong")
    assert (await sender.post(path, mail, headers=wrong)).status == 401
    right = basic(master.login, master.password)
    assert (await sender.post(path, mail, headers=right)).status == 200
    assert (await sender.get(f"/lastEmail/{EMAIL}")).body == mail

    text = {"message": "Come to Winterfell"}
    assert (await sender.post(f"/sms/to/{PHONE}", text)).status == 401
    assert (await sender.post(f"/sms/to/{encoded(PHONE)}", text, headers=right)).status == 200
    assert (await sender.get(f"/lastSMS/{encoded(PHONE)}")).body == text


async def test_codes_are_nowhere_in_the_database(world: World) -> None:
    request_id = await world.start(PHONE, parameters="?codeLength=12")
    code = await world.sandbox.wait_for_code(PHONE)
    await world.validate(request_id, code)
    assert code not in str(await world.sandbox.export())


async def test_a_code_that_was_replaced_is_not_handed_out(world: World) -> None:
    await world.start(EMAIL)
    await world.start(EMAIL)
    assert len(await world.sandbox.wait_for_code(EMAIL)) == 6
    with pytest.raises(TimeoutError):
        await world.sandbox.wait_for_code(EMAIL, timeout=0.05)


def _solved(challenge: Json, spec_id: str) -> Json:
    """Return the solution of a challenge as a client computes it."""
    nonces = [
        str(smallest_nonce(spec_id, salt, challenge["difficultyFactor"], range(1, 200_000)))
        for salt in challenge["salts"]
    ]
    return {"id": challenge["id"], "nonces": nonces}


async def test_a_captcha_can_be_computed_and_each_challenge_serves_once(world: World) -> None:
    first, second = [(await world.gateway.get("/challenge")).body for _ in range(2)]
    assert set(first["salts"]).isdisjoint(second["salts"])
    assert first["id"] != second["id"]
    start = f"/process/hcp-sms/{uuid.uuid4()}"
    solution = _solved(first, "ic")
    body = {"mobilePhone": PHONE, "kerberus-response": solution, "deployment": "https://x.example"}
    assert (await world.gateway.post(start, body)).status == 200
    assert await world.sandbox.wait_for_code(PHONE)
    again = await world.gateway.post(f"/process/hcp-sms/{uuid.uuid4()}", body)
    assert again.status == 403


async def test_only_a_right_solution_of_its_own_challenge_is_accepted(world: World) -> None:
    async def status(change: Any) -> int:
        challenge = (await world.gateway.get("/challenge")).body
        solution = change(challenge, _solved(challenge, "ic"))
        answer = await world.gateway.post(
            f"/process/hcp-sms/{uuid.uuid4()}",
            {"mobilePhone": PHONE, "kerberus-response": solution},
        )
        return int(answer.status)

    refused = [
        lambda challenge, _: _solved(challenge, "another"),
        lambda _, solution: {**solution, "id": "unknown"},
        lambda _, solution: {**solution, "nonces": solution["nonces"][1:]},
        lambda _, solution: {**solution, "nonces": solution["nonces"][::-1]},
        lambda _, solution: {**solution, "nonces": ["1"] * 10},
    ]
    malformed = [
        lambda _, solution: solution["nonces"],
        lambda _, solution: {**solution, "nonces": [int(n) for n in solution["nonces"]]},
        lambda _, solution: {**solution, "nonces": ["0" + n for n in solution["nonces"]]},
        lambda *_: "text",
    ]
    assert [await status(change) for change in refused] == [403] * len(refused)
    assert [await status(change) for change in malformed] == [400] * len(malformed)
    assert await status(lambda _, solution: solution) == 200


@pytest.mark.parametrize("difficulty", [0, -1, 1_000_001])
def test_a_difficulty_without_sense_is_refused(difficulty: int) -> None:
    with pytest.raises(ValueError, match="difficulty"):
        Sandbox(difficulty=difficulty)


async def test_a_challenge_is_as_hard_as_the_sandbox_was_told(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    async with Sandbox(database=fresh, difficulty=7) as sandbox:
        world = World(sandbox, session)
        challenge = (await world.gateway.get("/challenge")).body
        assert (challenge["difficultyFactor"], len(challenge["salts"])) == (7, 10)
        assert (await world.anonymous.get("/challenge")).status == 404
        other = Client(session, f"{sandbox.msg_gw_url}/another", {})
        assert (await other.get("/challenge")).status == 404


async def test_a_challenge_expires(world: World) -> None:
    challenge = (await world.gateway.get("/challenge")).body
    world.sandbox.advance_clock(301)
    answer = await world.gateway.post(
        f"/process/hcp-sms/{uuid.uuid4()}",
        {"mobilePhone": PHONE, "kerberus-response": _solved(challenge, "ic")},
    )
    assert answer.status == 403


async def test_a_computed_captcha_needs_no_accepted_text(
    session: aiohttp.ClientSession, fresh: Path
) -> None:
    async with Sandbox(database=fresh, captcha="the only one") as sandbox:
        world = World(sandbox, session)
        start = f"/process/hcp-sms/{uuid.uuid4()}"
        wrong = {"mobilePhone": PHONE, "g-recaptcha-response": "another one"}
        assert (await world.gateway.post(start, wrong)).status == 403
        challenge = (await world.gateway.get("/challenge")).body
        solved = {"mobilePhone": PHONE, "kerberus-response": _solved(challenge, "ic")}
        assert (await world.gateway.post(start, solved)).status == 200


async def start_of_today(world: World, **members: Any) -> tuple[str, int]:
    """Start a process as today's clients do; return its request id and the status."""
    challenge = (await world.gateway.get("/challenge")).body
    body = {
        "firstName": "",
        "lastName": "",
        "email": "",
        "mobilePhone": PHONE,
        "kerberus-response": _solved(challenge, "ic"),
        "deployment": world.sandbox.backend_url,
        **members,
    }
    request_id = str(uuid.uuid4())
    answer = await world.gateway.post(f"/process/patient-sms/{request_id}?codeLength=6", body)
    return request_id, answer.status


async def test_a_patient_of_today_registers_without_a_professional(either: World) -> None:
    """Its code works in both APIs, and its record has nothing that today's clients encrypt."""
    request_id, status = await start_of_today(either)
    assert status == 200
    code = await either.sandbox.wait_for_code(PHONE)
    assert (await either.validate(request_id, code)).status == 200
    newer, older = await either.login_v2(PHONE, code), await either.login(PHONE, code)
    user = await me(newer)
    assert await me(older) == {**user, "applicationTokens": {}}
    assert user["autoDelegations"] == {}
    owner = (await newer.get("/dataowner/current")).body
    assert (owner["type"], owner["dataOwner"]["id"]) == ("patient", user["patientId"])
    stored = await either.sandbox.stored("patient", user["patientId"]) or {}
    assert stored.keys() == {"id", "rev", "addresses", "author", "responsible"}


async def test_the_professional_that_a_client_of_today_names_is_shared_with(world: World) -> None:
    hcp_id = world.sandbox.master_hcp.data_owner_id
    request_id, _ = await start_of_today(world, hcpId=hcp_id)
    code = await world.sandbox.wait_for_code(PHONE)
    await world.validate(request_id, code)
    user = await me(await world.login_v2(PHONE, code))
    assert user["autoDelegations"] == {"all": [hcp_id]}


@pytest.mark.parametrize("deployment", ["no url", "ftp://x.example", 7])
async def test_a_deployment_must_be_a_url(world: World, deployment: object) -> None:
    assert (await start_of_today(world, deployment=deployment))[1] == 400


async def test_without_a_deployment_a_patient_needs_a_professional(world: World) -> None:
    assert (await start_of_today(world, deployment=""))[1] == 422
