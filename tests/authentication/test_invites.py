"""Inviting a patient: the user, the token and the message; and everything that may be missing."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
from typing import Any, cast

import aiohttp
import attrs
import pytest

from icure_async import (
    EmailMessage,
    ICureError,
    ICureRegistrationEmail,
    MedTechApi,
    Patient,
    SMSMessage,
    User,
)
from icure_async.errors import (
    AuthenticationError,
    BackendError,
    ConfigurationError,
    InvalidResponseError,
    NetworkError,
    PermissionDeniedError,
    ServerError,
    UserExistsError,
    ValidationError,
)
from icure_async.sandbox import Fault
from tests.support.golden import GOLDEN
from tests.support.invitations import (
    EMAIL,
    INVITER,
    PHONE,
    Clinic,
    address,
    by_email,
    by_sms,
    clinic,
    token_in,
)
from tests.support.json_proxy import Exchange, Proxy
from tests.support.leaks import assert_secret_free, logged, printed
from tests.support.request_log import RequestLog

__all__ = ["clinic"]

Json = dict[str, Any]

CREATE = {"method": "POST", "path": "/rest/v1/user"}
TOKEN = {"method": "POST", "path": "/rest/v1/user/token/*/*"}
SEND = {"method": "POST", "path": "/msggtw/ic/email/to/*"}


def recorded(note: str) -> list[Json]:
    """The requests of the reference for an invitation by email or SMS."""
    calls = json.loads((GOLDEN / "transcript2.json").read_text("utf-8"))["calls"]
    (call,) = (
        call
        for call in calls
        if call["method"] == "UserApi.createAndInviteUser" and call["note"] == note
    )
    requests: list[Json] = call["coldRequests"]
    return requests


async def through(proxy: Proxy, clinic: Clinic) -> MedTechApi:
    """The professional's API with a proxy before backend and gateway."""
    master = clinic.sandbox.master_hcp
    builder = (
        clinic.builder(master.login, master.password)
        .with_icure_base_url(proxy.url)
        .with_msg_gw_url(proxy.url.removesuffix("/rest/v1") + "/msggtw")
    )
    return await builder.build()


# --- The requests of the reference ----------------------------------------------------------------


@pytest.mark.parametrize("note", ["e-mail", "SMS"])
async def test_the_bodies_are_those_of_the_reference_byte_for_byte(
    clinic: Clinic, note: str
) -> None:
    them = recorded(note)
    _, creation, _, sending = them
    contact, created = creation["body"]["login"], creation["body"]["created"]
    is_email = note == "e-mail"
    patient = await clinic.patient(
        address(**{"email" if is_email else "mobile": contact}), first_name="In", last_name="Vited"
    )
    inviter = INVITER.evolve(
        last_name="Hcp", addresses=[address(email=sending["body"].get("from", "a@b.example"))]
    )
    factory = ICureRegistrationEmail(inviter, "https://link", "Sol", patient)
    if not is_email:
        factory = cast("ICureRegistrationEmail", by_sms(patient))
        factory = attrs.evolve(
            factory, data_owner=inviter, link="https://link", solution_name="Sol"
        )
    async with Proxy(clinic.sandbox) as proxy, await through(proxy, clinic) as api:
        user = await api.user_api.create_and_invite_user(patient, factory)
    ours = [one for one in proxy.exchanges if one.path != "/auth/login"]
    token = token_in(await clinic.sandbox.wait_for_message(contact))

    replaced = {
        creation["body"]["patientId"]: patient.id,
        creation["body"]["id"]: user.id,
        str(created): str(user.created),
        them[2]["response"]: token,
    }
    assert len(ours) == len(them) == 4
    for mine, theirs in zip(ours, them, strict=True):
        expected = json.dumps(theirs["body"])
        for old, new in replaced.items():
            expected = expected.replace(old, new)
        assert mine.method == theirs["method"]
        assert json.dumps(mine.body) == expected
    assert [one.path.rpartition("/")[0] for one in ours[:2]] == ["/user", ""]
    assert ours[2].path.startswith(f"/user/token/{user.id}/")
    assert ours[3].path == sending["path"]


async def test_an_invitation_takes_four_requests_and_so_does_the_next_one(
    clinic: Clinic, requests: RequestLog
) -> None:
    patient = await clinic.patient()
    for second in ("POST /rest/v1/user", f"GET /rest/v1/patient/{patient.id}"):
        requests.take()
        await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
        first, then, _, last = requests.take()
        assert (first, then) == ("POST /rest/v1/user/filter", second)
        assert last == f"POST /msggtw/ic/email/to/{EMAIL}"


async def test_the_token_works_as_long_as_was_asked_for(clinic: Clinic) -> None:
    patient = await clinic.patient()
    invite = clinic.hcp.user_api.create_and_invite_user
    await invite(patient, by_email(patient))
    await invite(patient, by_email(patient), dt.timedelta(minutes=5))
    (user,) = await clinic.users_of(patient)
    validities = [token["validity"] for token in user["authenticationTokens"].values()]
    assert validities == [172_800, 300]
    for wrong in (300, dt.timedelta(0), None):
        with pytest.raises(ValidationError, match="token_duration"):
            await invite(patient, by_email(patient), cast("dt.timedelta", wrong))


# --- The contact ----------------------------------------------------------------------------------

OTHER = "other@winterfell.example"


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ([address("work", email=OTHER), address("home", email=EMAIL)], EMAIL),
        ([address("work", email=OTHER), address("home", mobile=PHONE)], PHONE),
        ([address("home", mobile=PHONE, email=EMAIL)], EMAIL),
        ([address("other", email=EMAIL), address("work", mobile=PHONE)], PHONE),
        ([address("hospital", mobile=PHONE), address(None, email=EMAIL)], EMAIL),
        ([address("home", email="not an address"), address("work", email=EMAIL)], EMAIL),
        ([address("home", email=" Arya@Winterfell.Example ")], EMAIL),
        ([address("home", mobile="+32 470 12 34 56")], PHONE),
    ],
)
async def test_the_contact_at_home_is_chosen_first_and_an_email_first(
    clinic: Clinic, addresses: list[Any], expected: str
) -> None:
    patient = await clinic.patient(*addresses)

    class Either:
        def get(self, recipient: User, recipient_password: str) -> EmailMessage | SMSMessage:
            assert recipient.login == expected
            if recipient.email:
                return EmailMessage(sender="a@b.example", subject="s", html=recipient_password)
            return SMSMessage(message=recipient_password)

    user = await clinic.hcp.user_api.create_and_invite_user(patient, Either())
    assert user.login == expected
    assert await clinic.sandbox.wait_for_message(expected)


async def test_of_one_address_the_last_contact_of_its_kind_counts(clinic: Clinic) -> None:
    home = address(email=OTHER)
    home.telecoms += address(email=EMAIL).telecoms
    patient = await clinic.patient(home)
    user = await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
    assert user.login == EMAIL


async def test_a_factory_for_text_messages_is_never_given_an_email_address(clinic: Clinic) -> None:
    """The reference sends a text message's members to the email address, and nothing arrives."""
    patient = await clinic.patient(address(email=EMAIL), address("work", mobile=PHONE))
    user = await clinic.hcp.user_api.create_and_invite_user(patient, by_sms(patient))
    assert (user.login, user.mobile_phone, user.email) == (PHONE, PHONE, None)


@pytest.mark.parametrize(
    ("addresses", "message"),
    [
        ([address()], "Add one to the telecoms"),
        ([address(email="nobody at all")], "malformed"),
        ([address(mobile=PHONE)], "It has a mobile phone number"),
    ],
)
async def test_a_patient_without_contact_is_not_invited(
    clinic: Clinic, requests: RequestLog, addresses: list[Any], message: str
) -> None:
    patient = await clinic.patient(*addresses)
    requests.take()
    with pytest.raises(ValidationError, match=message) as caught:
        await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
    assert "Nothing was sent" in str(caught.value)
    assert requests.take() == []


# --- Mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patient", "message"),
    [
        (Patient(addresses=[address(email=EMAIL)]), "save it with create_or_modify_patient"),
        (Patient(id="p", addresses=[address(email=EMAIL)]), "save it with create_or_modify"),
        (Patient(id="a/b", rev="1-a", addresses=[address(email=EMAIL)]), "patient id"),
        ("a-patient", "must be a Patient"),
        (None, "must be a Patient"),
    ],
)
async def test_a_patient_who_was_never_saved_is_not_invited(
    clinic: Clinic, requests: RequestLog, patient: Any, message: str
) -> None:
    requests.take()
    with pytest.raises(ValidationError, match=message):
        await clinic.hcp.user_api.create_and_invite_user(patient, by_email(INVITER))
    assert requests.take() == []


@pytest.mark.parametrize("factory", [None, "text", {"get": 1}, ICureRegistrationEmail, object()])
async def test_a_message_factory_needs_a_method(clinic: Clinic, factory: Any) -> None:
    patient = await clinic.patient()
    with pytest.raises(ValidationError, match="message factory must be"):
        await clinic.hcp.user_api.create_and_invite_user(patient, factory)


@pytest.mark.parametrize(
    "message",
    [
        None,
        "text",
        SMSMessage(message="for a phone"),
        EmailMessage(sender="", subject="s", html="h"),
        EmailMessage(sender="a@b.example", subject=cast("str", 1), html="h"),
        EmailMessage(sender="a@b.example", subject="s", html="half a \ud83d"),
    ],
)
async def test_a_message_is_checked_before_anything_is_created(
    clinic: Clinic, requests: RequestLog, message: Any
) -> None:
    patient = await clinic.patient()

    class Careless:
        def get(self, recipient: User, recipient_password: str) -> Any:
            return message

    requests.take()
    with pytest.raises(ValidationError, match="Nothing was created"):
        await clinic.hcp.user_api.create_and_invite_user(patient, Careless())
    assert requests.take() == ["POST /rest/v1/user/filter"]
    assert await clinic.users_of(patient) == []


async def test_a_factory_that_fails_leaves_nothing(clinic: Clinic) -> None:
    patient = await clinic.patient()

    class Failing:
        async def get(self, recipient: User, recipient_password: str) -> EmailMessage:
            raise KeyError("template")

    with pytest.raises(KeyError, match="template"):
        await clinic.hcp.user_api.create_and_invite_user(patient, Failing())
    assert await clinic.users_of(patient) == []


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_factory_of_ones_own_is_async_or_not(clinic: Clinic, is_async: bool) -> None:
    patient = await clinic.patient()

    class Plain:
        channel = "email"

        def get(self, recipient: User, recipient_password: str) -> EmailMessage:
            html = f"{recipient.login} & {recipient_password}"
            return EmailMessage(sender="a@b.example", subject="Hello", html=html)

    class Async:
        async def get(self, recipient: User, recipient_password: str) -> EmailMessage:
            await asyncio.sleep(0)
            return Plain().get(recipient, recipient_password)

    factory = Async() if is_async else Plain()
    await clinic.hcp.user_api.create_and_invite_user(patient, factory)
    async with clinic.logged_in(await clinic.token()) as result:
        assert result.data_owner_id == patient.id


async def test_without_a_gateway_nothing_is_sent(clinic: Clinic, requests: RequestLog) -> None:
    from tests.support.builders import builder_for

    patient = await clinic.patient()
    master = clinic.sandbox.master_hcp
    requests.take()
    async with builder_for(clinic.sandbox.icure_url, master.login, master.password).build() as api:
        with pytest.raises(ConfigurationError, match=r"with_msg_gw_spec_id\(\)"):
            await api.user_api.create_and_invite_user(patient, by_email(patient))
        with pytest.raises(ConfigurationError, match=r"with_msg_gw_spec_id\(\)"):
            _ = api.message_gateway_api
    assert requests.take() == []


# --- Users that exist -----------------------------------------------------------------------------


async def test_an_email_address_that_another_user_has_is_an_error(clinic: Clinic) -> None:
    first, second = await clinic.patient(), await clinic.patient()
    await clinic.hcp.user_api.create_and_invite_user(first, by_email(first))
    with pytest.raises(UserExistsError, match="another user has this email address") as caught:
        await clinic.hcp.user_api.create_and_invite_user(second, by_email(second))
    assert "Nothing was created" in str(caught.value)
    assert EMAIL not in printed(caught.value)
    assert (caught.value.member, caught.value.status) == ("email", 400)
    assert await clinic.users_of(second) == []


async def test_a_user_who_has_logged_in_is_not_invited_again(clinic: Clinic) -> None:
    token = await clinic.invited()
    async with clinic.logged_in(token) as result:
        patient = await clinic.hcp.patient_api.get_patient(result.data_owner_id)
    with pytest.raises(UserExistsError, match="already exists for this Patient") as caught:
        await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
    assert "has logged in already" in str(caught.value)
    (user,) = await clinic.users_of(patient)
    assert len(user["authenticationTokens"]) == 2


async def test_the_patient_may_have_been_read_before_the_login(clinic: Clinic) -> None:
    patient = await clinic.patient()
    await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
    async with clinic.logged_in(await clinic.token()):
        pass
    with pytest.raises(UserExistsError, match="has logged in already"):
        await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))


@pytest.mark.parametrize(
    "members",
    [
        {"login": "arya", "email": EMAIL},
        {"login": EMAIL, "email": EMAIL, "passwordHash": "correct horse battery"},
        {"login": OTHER, "email": OTHER},
    ],
)
async def test_a_user_who_was_not_invited_is_left_alone(
    clinic: Clinic, client_session: aiohttp.ClientSession, members: Json
) -> None:
    patient = await clinic.patient()
    await clinic.add_user(client_session, {"id": "u", "patientId": patient.id, **members})
    with pytest.raises(UserExistsError, match="not made by an invitation"):
        await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
    (user,) = await clinic.users_of(patient)
    assert not user.get("authenticationTokens")


async def test_a_user_that_the_reference_has_left_without_token_is_finished(
    clinic: Clinic, client_session: aiohttp.ClientSession
) -> None:
    """It uses contacts as they are written."""
    patient = await clinic.patient(address(email="Arya@Winterfell.Example"))
    login = "Arya@Winterfell.Example"
    user = {"id": "u", "name": login, "login": login, "patientId": patient.id, "email": login}
    await clinic.add_user(client_session, user)
    invited = await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
    assert invited.id == "u"
    async with clinic.logged_in(await clinic.token()) as result:
        assert result.user_id == "u"


async def test_an_invited_user_keeps_its_kind_of_contact(clinic: Clinic) -> None:
    patient = await clinic.patient(address(email=EMAIL, mobile=PHONE))
    await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
    with pytest.raises(ValidationError, match="logs in with its email address"):
        await clinic.hcp.user_api.create_and_invite_user(patient, by_sms(patient))


async def test_a_patient_may_not_invite(clinic: Clinic) -> None:
    token = await clinic.invited()
    async with clinic.logged_in(token) as result:
        other = await clinic.patient(address(email=OTHER))
        api = result.med_tech_api
        with pytest.raises(PermissionDeniedError):
            await api.user_api.create_and_invite_user(other, by_email(other))


# --- Interruptions --------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [CREATE, TOKEN, SEND])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [("drop-before", NetworkError), ("drop-after", NetworkError), ("status", ServerError)],
)
async def test_a_repeated_call_finishes_the_job(
    clinic: Clinic, step: Json, kind: str, expected: type[ICureError], no_pauses: None
) -> None:
    patient = await clinic.patient()
    status = {"status": 500} if kind == "status" else {}
    clinic.sandbox.inject_fault(Fault(kind, nth=range(1, 9), **step, **status))  # type: ignore[arg-type]
    with pytest.raises(expected, match=r"Call create_and_invite_user\(\) again") as caught:
        await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
    assert ("no message was sent" in str(caught.value)) == (step is not SEND)
    clinic.sandbox.clear_faults()
    user = await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))
    (stored,) = await clinic.users_of(patient)
    assert stored["id"] == user.id
    async with clinic.logged_in(await clinic.token()) as result:
        assert result.user_id == user.id


async def test_two_invitations_at_the_same_moment_make_one_user(clinic: Clinic) -> None:
    patient = await clinic.patient()
    invite = clinic.hcp.user_api.create_and_invite_user
    users = await asyncio.gather(*(invite(patient, by_email(patient)) for _ in range(4)))
    (stored,) = await clinic.users_of(patient)
    assert {user.id for user in users} == {stored["id"]}
    assert len(stored["authenticationTokens"]) == 4
    async with clinic.logged_in(await clinic.token()) as result:
        assert result.user_id == stored["id"]


async def test_a_gateway_that_refuses_the_user_says_what_is_done(clinic: Clinic) -> None:
    patient = await clinic.patient()
    clinic.sandbox.inject_fault(Fault("status", status=401, **SEND))  # type: ignore[arg-type]
    with pytest.raises(AuthenticationError, match="exists and may log in with the token"):
        await clinic.hcp.user_api.create_and_invite_user(patient, by_email(patient))


# --- Answers that lie, and secrets ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "members"),
    [
        ("POST /user", {"patientId": "somebody-else"}),
        ("POST /user", {"login": "somebody@else.example"}),
        ("POST /user", {"id": "another"}),
    ],
)
async def test_another_user_in_the_answer_gets_no_token(
    clinic: Clinic, line: str, members: Json
) -> None:
    patient = await clinic.patient()

    async def lie(exchange: Exchange) -> None:
        exchange.answer |= members

    async with Proxy(clinic.sandbox) as proxy, await through(proxy, clinic) as api:
        proxy.after(line, lie)
        with pytest.raises(InvalidResponseError):
            await api.user_api.create_and_invite_user(patient, by_email(patient))
        assert not [one for one in proxy.exchanges if "token" in one.path]


async def test_a_user_of_somebody_else_in_a_list_is_no_user_of_the_patient(clinic: Clinic) -> None:
    patient = await clinic.patient()

    async def lie(exchange: Exchange) -> None:
        row = {"id": "u", "login": EMAIL, "email": EMAIL, "patientId": "another"}
        exchange.answer["rows"].append(row)

    async with Proxy(clinic.sandbox) as proxy, await through(proxy, clinic) as api:
        proxy.after("POST /user/filter", lie)
        with pytest.raises(InvalidResponseError, match="users of somebody else"):
            await api.user_api.create_and_invite_user(patient, by_email(patient))


async def test_the_token_is_in_the_message_only(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    patient = await clinic.patient()
    seen: list[str] = []

    class Listening:
        def get(self, recipient: User, recipient_password: str) -> EmailMessage:
            seen.append(recipient_password)
            message = EmailMessage(sender="a@b.example", subject="s", html=recipient_password)
            seen_texts.extend([repr(message), repr(recipient), repr(by_email(patient))])
            return message

    seen_texts: list[str] = []

    async def repeat(exchange: Exchange) -> None:
        exchange.status, exchange.answer = 400, f"This is malformed: {exchange.body} {seen}"

    async with Proxy(clinic.sandbox) as proxy, await through(proxy, clinic) as api:
        for line in (None, f"POST /msggtw/ic/email/to/{EMAIL}"):
            if line:
                proxy.before(line, repeat)
                proxy.after(line, repeat)
            try:
                seen_texts.append(
                    repr(await api.user_api.create_and_invite_user(patient, Listening()))
                )
            except BackendError as error:
                assert_secret_free(error, *seen)
                seen_texts.append(printed(error))
    assert len(seen) == 2
    said = "".join(seen_texts) + logged(caplog.records)
    assert not any(secret in said for secret in seen)
    assert seen[0] in by_email(patient).get(User(login=EMAIL), seen[0]).html
