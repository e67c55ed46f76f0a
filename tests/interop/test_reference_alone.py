"""The sandbox is a backend: the published package works with it and nothing of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from icure_async.sandbox import Sandbox
from tests.support.notes import LONE_SURROGATES, MARKER, NOTES
from tests.support.reference_sdk import ReferenceSdkError
from tests.support.reference_steps import (
    CODE_TIMEOUT,
    assert_encrypted,
    log_in_as_master,
    may_meet_valid_padding,
    register_with_reference,
    start_with_reference,
    stored_patient,
)

if TYPE_CHECKING:
    from tests.support.reference_sdk import ReferenceSdk, StartReference

pytestmark = pytest.mark.interop

PHONE = "+32588235595"
EMAIL = "ned.stark@winterfell.example"


async def test_the_package_is_the_pinned_one(reference: ReferenceSdk) -> None:
    assert await reference.version() == "6.4.4"


async def test_the_master_hcp_has_a_password_and_a_key_pair(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    hcp = sandbox.master_hcp
    user = await reference.login(sandbox.icure_url, hcp.login, hcp.password)
    assert user["id"] == hcp.user_id
    assert user["healthcarePartyId"] == hcp.data_owner_id
    await reference.use_key_pair(hcp.key_pair)
    created = await reference.create_patient(firstName="Robb", lastName="Stark", note=MARKER)
    read = await reference.get_patient(created["id"])
    assert read["note"] == MARKER
    assert (read["firstName"], read["lastName"]) == ("Robb", "Stark")


async def test_every_call_after_the_login_is_authenticated_by_jwt(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    hcp = sandbox.master_hcp
    await reference.login(sandbox.icure_url, hcp.login, hcp.password)
    await reference.get_user(hcp.user_id)
    await reference.create_token(validity=60)
    exchanges = await reference.take_exchanges()
    assert [(e.method, e.authorization, e.status) for e in exchanges] == [
        ("POST", None, 200),
        ("GET", "Bearer", 200),
        ("GET", "Bearer", 200),
        ("POST", "Bearer", 200),
    ]
    assert [e.path for e in exchanges[:3]] == [
        "/rest/v1/auth/login",
        "/rest/v1/user/current",
        f"/rest/v1/user/{hcp.user_id}",
    ]
    types = [(e.content_type or "").partition(";")[0] for e in exchanges]
    assert types == ["application/json", "application/json", "application/json", "text/plain"]


async def test_basic_authentication_is_accepted(sandbox: Sandbox, reference: ReferenceSdk) -> None:
    hcp = sandbox.master_hcp
    user = await reference.login(sandbox.icure_url, hcp.login, hcp.password, basic_only=True)
    assert user["id"] == hcp.user_id
    exchanges = await reference.take_exchanges()
    assert [(e.path, e.authorization) for e in exchanges] == [("/rest/v1/user/current", "Basic")]


async def test_a_refresh_token_gives_a_new_access_token(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    hcp = sandbox.master_hcp
    first, second = await start_reference(), await start_reference()
    await first.login(sandbox.icure_url, hcp.login, hcp.password)
    tokens = await first.issue_tokens(hcp.login, hcp.password)
    user = await second.login_with_refresh_token(sandbox.icure_url, tokens["refreshToken"])
    assert user["id"] == hcp.user_id
    assert [(e.path, e.authorization) for e in await second.take_exchanges()] == [
        ("/rest/v1/auth/refresh", None),
        ("/rest/v1/user/current", "Bearer"),
    ]


async def test_a_wrong_password_is_refused_in_every_way(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    with pytest.raises(ReferenceSdkError) as refusal:
        await reference.login(sandbox.icure_url, sandbox.master_hcp.login, "not the password")
    assert refusal.value.status == 401
    exchanges = await reference.take_exchanges()
    assert [(e.path, e.authorization, e.status) for e in exchanges] == [
        ("/rest/v1/auth/login", None, 401),
        ("/rest/v1/user/current", None, 401),
        ("/rest/v1/user/current", None, 401),
        ("/rest/v1/user/current", "Basic", 401),
    ]


async def test_an_access_token_that_expired_meanwhile_costs_two_requests_and_no_login(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    hcp = sandbox.master_hcp
    await reference.login(sandbox.icure_url, hcp.login, hcp.password)
    await reference.take_exchanges()
    sandbox.advance_clock(3700)
    assert (await reference.get_user())["id"] == hcp.user_id
    exchanges = await reference.take_exchanges()
    assert [(e.path, e.authorization, e.status) for e in exchanges] == [
        ("/rest/v1/user/current", "Bearer", 401),
        ("/rest/v1/user/current", None, 401),
        ("/rest/v1/user/current", "Basic", 200),
    ]


async def test_without_jwt_the_package_falls_back_to_basic(reference: ReferenceSdk) -> None:
    async with Sandbox(jwt=False) as sandbox:
        hcp = sandbox.master_hcp
        user = await reference.login(sandbox.icure_url, hcp.login, hcp.password)
        assert user["id"] == hcp.user_id
        exchanges = await reference.take_exchanges()
        assert [(e.path, e.authorization, e.status) for e in exchanges] == [
            ("/rest/v1/auth/login", None, 200),
            ("/rest/v1/user/current", None, 401),
            ("/rest/v1/user/current", None, 401),
            ("/rest/v1/user/current", "Basic", 200),
        ]


@pytest.mark.parametrize("contact", [PHONE, EMAIL], ids=["sms", "email"])
@pytest.mark.parametrize("professional", [False, True], ids=["patient", "professional"])
async def test_a_registered_user_keeps_a_note(
    sandbox: Sandbox,
    start_reference: StartReference,
    contact: str,
    professional: bool,
) -> None:
    reference = await start_reference()
    user = await register_with_reference(reference, sandbox, contact, professional=professional)
    created = await reference.create_patient(firstName="Arya", lastName="Stark", note=MARKER)
    assert (await reference.get_patient(created["id"]))["note"] == MARKER
    modified = await reference.modify_patient(created["id"], note="Valar morghulis")
    assert modified["note"] == "Valar morghulis"
    assert modified["rev"] != created["rev"]

    later = await start_reference()
    logged_in = await later.login(sandbox.icure_url, user.login, user.token)
    assert logged_in["id"] == user.user_id
    await later.use_key_pair(user.key_pair)
    read = await later.get_patient(created["id"])
    assert read["note"] == "Valar morghulis"
    assert read["rev"] == modified["rev"]
    assert_encrypted(await stored_patient(sandbox, created["id"]))


async def test_the_gateway_creates_the_user_and_the_data_owner(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    registered = await register_with_reference(
        reference, sandbox, PHONE, first_name="Ned", last_name="Stark"
    )
    user = await reference.get_user()
    assert user["login"] == PHONE
    assert user["mobilePhone"] == PHONE
    assert user["autoDelegations"] == {"all": [sandbox.master_hcp.data_owner_id]}
    assert PHONE not in str(user.get("authenticationTokens"))
    assert all("token" not in token for token in user["authenticationTokens"].values())
    themselves = await reference.get_patient(registered.data_owner_id)
    assert (themselves["firstName"], themselves["lastName"]) == ("Ned", "Stark")
    assert themselves["publicKey"] == registered.key_pair.public_key


async def test_a_wrong_code_is_refused_and_the_right_one_still_works(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    request_id = await start_with_reference(reference, sandbox, PHONE)
    code = await sandbox.wait_for_code(PHONE, timeout=CODE_TIMEOUT)
    wrong = f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"
    with pytest.raises(ReferenceSdkError) as refusal:
        await reference.validate(sandbox.msg_gw_url, sandbox.spec_id, request_id, wrong)
    assert refusal.value.status is not None
    assert 400 <= refusal.value.status < 500
    with pytest.raises(ReferenceSdkError) as no_user_yet:
        await reference.login(sandbox.icure_url, PHONE, wrong)
    assert no_user_yet.value.status == 401
    assert (
        200 <= await reference.validate(sandbox.msg_gw_url, sandbox.spec_id, request_id, code) < 300
    )
    user = await reference.login(sandbox.icure_url, PHONE, code)
    assert user["login"] == PHONE


async def test_an_expired_code_is_refused(sandbox: Sandbox, reference: ReferenceSdk) -> None:
    request_id = await start_with_reference(reference, sandbox, PHONE)
    code = await sandbox.wait_for_code(PHONE, timeout=CODE_TIMEOUT)
    sandbox.advance_clock(601)
    with pytest.raises(ReferenceSdkError) as refusal:
        await reference.validate(sandbox.msg_gw_url, sandbox.spec_id, request_id, code)
    assert refusal.value.status is not None
    assert 400 <= refusal.value.status < 500


async def test_a_token_is_a_password_and_only_for_its_user(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    registering, other = await start_reference(), await start_reference()
    user = await register_with_reference(registering, sandbox, PHONE)
    with pytest.raises(ReferenceSdkError) as refusal:
        await other.login(sandbox.icure_url, sandbox.master_hcp.login, user.token)
    assert refusal.value.status == 401
    assert (await other.login(sandbox.icure_url, user.user_id, user.token))["login"] == PHONE


async def test_notes_come_back_as_they_were(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    writer, reader = await start_reference(), await start_reference()
    for process in (writer, reader):
        await log_in_as_master(process, sandbox)
    notes = NOTES | {"surrogates": LONE_SURROGATES}
    damaged = []
    for name, note in notes.items():
        created = await writer.create_patient(firstName="Bran", lastName="Stark", note=note)
        if (await reader.get_patient(created["id"]))["note"] != note:
            damaged.append(name)
        if MARKER in note:
            assert_encrypted(await stored_patient(sandbox, created["id"]))
    assert damaged == []


async def test_names_in_clear_come_back_as_they_were(
    sandbox: Sandbox, reference: ReferenceSdk
) -> None:
    await log_in_as_master(reference, sandbox)
    name = NOTES["unicode"]
    created = await reference.create_patient(firstName=name, lastName=NOTES["not_characters"])
    read = await reference.get_patient(created["id"])
    assert read["firstName"] == name
    assert read["lastName"] == NOTES["not_characters"]
    assert "note" not in read


async def test_a_stale_revision_is_a_conflict(sandbox: Sandbox, reference: ReferenceSdk) -> None:
    await log_in_as_master(reference, sandbox)
    created = await reference.create_patient(firstName="Rickon", lastName="Stark", note=MARKER)
    await reference.modify_patient(created["id"], note="second")
    with pytest.raises(ReferenceSdkError) as conflict:
        await reference.modify_patient(created["id"], note="third", rev=created["rev"])
    assert conflict.value.status == 409
    assert (await reference.get_patient(created["id"]))["note"] == "second"


async def test_an_id_in_use_is_a_conflict(sandbox: Sandbox, reference: ReferenceSdk) -> None:
    await log_in_as_master(reference, sandbox)
    created = await reference.create_patient(firstName="Rickon", lastName="Stark", note=MARKER)
    with pytest.raises(ReferenceSdkError) as conflict:
        await reference.create_patient(id=created["id"], firstName="Jon", lastName="Snow")
    assert conflict.value.status == 409
    assert (await reference.get_patient(created["id"]))["firstName"] == "Rickon"


async def test_an_unknown_patient_is_not_found(sandbox: Sandbox, reference: ReferenceSdk) -> None:
    await log_in_as_master(reference, sandbox)
    with pytest.raises(ReferenceSdkError) as missing:
        await reference.get_patient("00000000-0000-4000-8000-000000000000")
    assert missing.value.status == 404


async def test_the_delegate_reads_and_a_stranger_does_not(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    ned, hcp, stranger = [await start_reference() for _ in range(3)]
    await register_with_reference(ned, sandbox, PHONE)
    created = await ned.create_patient(firstName="Sansa", lastName="Stark", note=MARKER)
    await log_in_as_master(hcp, sandbox)
    assert (await hcp.get_patient(created["id"]))["note"] == MARKER
    await hcp.modify_patient(created["id"], note="Seen by the doctor")
    assert (await ned.get_patient(created["id"]))["note"] == "Seen by the doctor"

    await register_with_reference(
        stranger, sandbox, "+32470000001", first_name="Cersei", last_name="Lannister"
    )
    with pytest.raises(ReferenceSdkError) as refusal:
        await stranger.get_patient(created["id"])
    assert refusal.value.status == 403


async def test_the_wrong_key_pair_decrypts_nothing(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    ned, robert = await start_reference(), await start_reference()
    user = await register_with_reference(ned, sandbox, PHONE)
    created = await ned.create_patient(firstName="Sansa", lastName="Stark", note=MARKER)
    other = await register_with_reference(robert, sandbox, "+32470000001")
    later = await start_reference()
    await later.login(sandbox.icure_url, user.login, user.token)
    with pytest.raises(ReferenceSdkError, match="does not belong"):
        await later.use_key_pair(other.key_pair)
    with pytest.raises(ReferenceSdkError, match="Could not decrypt"):
        await later.get_patient(created["id"])


async def test_access_is_given_to_somebody_else_afterwards(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    ned, hcp = await start_reference(), await start_reference()
    user = await register_with_reference(ned, sandbox, PHONE)
    await log_in_as_master(hcp, sandbox)
    created = await hcp.create_patient(firstName="Jon", lastName="Snow", note=MARKER)
    with pytest.raises(ReferenceSdkError) as refusal:
        await ned.get_patient(created["id"])
    assert refusal.value.status == 403
    await hcp.give_patient_access(created["id"], user.data_owner_id)

    later = await start_reference()
    await later.login(sandbox.icure_url, user.login, user.token)
    await later.use_key_pair(user.key_pair)
    assert (await later.get_patient(created["id"]))["note"] == MARKER


@may_meet_valid_padding
async def test_a_lost_key_is_replaced_and_access_given_back(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    ned, hcp = await start_reference(), await start_reference()
    user = await register_with_reference(ned, sandbox, PHONE)
    created = await ned.create_patient(firstName="Sansa", lastName="Stark", note=MARKER)

    new_device = await start_reference()
    await new_device.login(sandbox.icure_url, user.login, user.token)
    new_pair = await new_device.add_key_pair()
    with pytest.raises(ReferenceSdkError, match="Could not decrypt"):
        await new_device.get_patient(created["id"])

    await log_in_as_master(hcp, sandbox)
    requests = await hcp.key_update_requests()
    assert {(r.status, r.concerned_owner_id, r.new_public_key) for r in requests} == {
        ("pending", user.data_owner_id, new_pair.public_key)
    }
    await hcp.give_access_back(requests[0])

    later = await start_reference()
    await later.login(sandbox.icure_url, user.login, user.token)
    await later.use_key_pair(new_pair)
    assert (await later.get_patient(created["id"]))["note"] == MARKER


@may_meet_valid_padding
async def test_the_first_device_reads_what_the_second_wrote(
    sandbox: Sandbox, start_reference: StartReference
) -> None:
    first, second = await start_reference(), await start_reference()
    user = await register_with_reference(first, sandbox, PHONE)
    await second.login(sandbox.icure_url, user.login, user.token)
    await second.add_key_pair()
    created = await second.create_patient(firstName="Sansa", lastName="Stark", note=MARKER)

    later = await start_reference()
    await later.login(sandbox.icure_url, user.login, user.token)
    await later.use_key_pair(user.key_pair)
    assert (await later.get_patient(created["id"]))["note"] == MARKER
