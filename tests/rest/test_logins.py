"""Login answers belong to the user who logs in."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from icure_async.errors import InvalidResponseError
from icure_async.rest.data_owners import DataOwnerResource
from icure_async.rest.session import LoginAnswer, Session
from icure_async.rest.tokens import SessionToken
from icure_async.rest.transport import Transport
from icure_async.rest.users import UserResource, may_be_named
from tests.support.loopback import NOW, USER, Backend, login_answer, open_session

LOGIN = "POST /auth/login"
ME = "0d8b0b4e-6b1c-4f3b-9a56-0d3b5c8e2f11"
MY_OWNER = "5b0f7a52-2a4f-4c47-8d27-0a1c6c3f9e22"
OTHER = "11111111-2222-4333-8444-555555555555"


def token_of(**claims: object) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part({'exp': NOW + 3600, **claims})}.sig"


@pytest.fixture
def session(transport: Transport, backend: Backend) -> Session:
    return open_session(transport, backend.base_url)


@pytest.mark.parametrize(
    "answer",
    [
        login_answer(),
        login_answer(username=USER, userId=ME, dataOwnerId=MY_OWNER, groupId="g"),
        login_answer(token_of(u=ME, doId=MY_OWNER), userId=ME, dataOwnerId=MY_OWNER),
        login_answer(token_of(u=ME, doId=MY_OWNER), username=USER.upper()),
        login_answer(token_of(u=5, doId=None), userId=ME),
        login_answer(userId=None, groupId="", dataOwnerId=None, username=None),
    ],
)
async def test_an_answer_that_goes_together_is_believed(
    backend: Backend, session: Session, answer: dict[str, object]
) -> None:
    backend.on(LOGIN, answer)
    said = await session.sign_in()
    assert said.user_id in (ME, None)
    assert said.data_owner_id in (MY_OWNER, None)
    assert (session.user_id, session.data_owner_id) == (said.user_id, said.data_owner_id)


async def test_what_only_the_token_says_is_known(backend: Backend, session: Session) -> None:
    backend.on(LOGIN, login_answer(token_of(u=ME, doId=MY_OWNER)))
    assert await session.sign_in() == LoginAnswer(user_id=ME, data_owner_id=MY_OWNER)


@pytest.mark.parametrize(
    "answer",
    [
        login_answer(token_of(u=OTHER), userId=ME),
        login_answer(token_of(u=ME, doId=OTHER), userId=ME, dataOwnerId=MY_OWNER),
        login_answer(username="somebody@else.example"),
        login_answer(username=5),
    ],
)
async def test_the_session_of_another_user_is_refused(
    backend: Backend, session: Session, answer: dict[str, object]
) -> None:
    backend.on(LOGIN, answer)
    with pytest.raises(InvalidResponseError, match="session of another user"):
        await session.sign_in()


@pytest.mark.parametrize("member", ["userId", "groupId", "dataOwnerId"])
@pytest.mark.parametrize("value", ["../../x", "\ud800", "A" * 20_000, "a\nb", 5, [], {"x": 1}])
async def test_what_is_no_id_is_refused(
    backend: Backend, session: Session, member: str, value: Any
) -> None:
    backend.on(LOGIN, login_answer(**{member: value}))
    with pytest.raises(InvalidResponseError, match=member) as caught:
        await session.sign_in()
    assert len(str(caught.value)) < 400


async def test_a_later_login_stays_that_of_the_same_user(
    backend: Backend, session: Session
) -> None:
    backend.on(LOGIN, login_answer(token_of(u=ME)), login_answer(token_of(u=OTHER)))
    backend.on("GET /user/current", {"id": ME}, 401)
    users = UserResource(session)
    await users.current()
    with pytest.raises(InvalidResponseError, match="session of another user"):
        await users.current()


async def test_the_current_user_is_the_one_of_the_login(backend: Backend, session: Session) -> None:
    backend.on(LOGIN, login_answer(userId=ME))
    backend.on("GET /user/current", {"id": OTHER}, {"id": ME})
    users = UserResource(session)
    with pytest.raises(InvalidResponseError, match="another one than that of the user"):
        await users.current()
    assert await users.current() == {"id": ME}


async def test_the_current_data_owner_is_the_one_of_the_login(
    backend: Backend, session: Session
) -> None:
    def answer(owner_id: str) -> dict[str, object]:
        return {"type": "hcp", "dataOwner": {"id": owner_id, "rev": "1-a"}}

    backend.on(LOGIN, login_answer(dataOwnerId=MY_OWNER))
    backend.on("GET /dataowner/current", answer(OTHER), answer(MY_OWNER))
    owners = DataOwnerResource(session)
    with pytest.raises(InvalidResponseError, match="another one than that of the user"):
        await owners.current()
    owner = await owners.current()
    assert owner is not None
    assert owner.id == MY_OWNER


USER_JSON: dict[str, Any] = {
    "id": ME,
    "login": "+32588235595",
    "email": "Ned@b\u00fccher.example",
    "mobilePhone": "+32588235595",
}


@pytest.mark.parametrize(
    "name",
    [
        ME,
        ME.upper(),
        "+32588235595",
        "+32 (0)588 23.55.95",
        "ned@b\u00fccher.example",
        "NED@xn--bcher-kva.example",
        # Of a form that we know nothing of.
        "ned",
        "some-group/ned@winterfell.example",
    ],
)
def test_a_user_may_log_in_with_any_of_its_names(name: str) -> None:
    assert may_be_named(USER_JSON, name)


@pytest.mark.parametrize("name", [OTHER, "+32470123456", "arya@winterfell.example"])
def test_a_user_does_not_log_in_with_the_name_of_somebody_else(name: str) -> None:
    assert not may_be_named(USER_JSON, name)


@pytest.mark.parametrize("name", ["ned@winterfell.example", "+32588235595"])
def test_a_user_of_whom_no_such_name_is_known_may_have_it(name: str) -> None:
    assert may_be_named({"id": ME, "login": "ned"}, name)


def test_a_token_says_whose_it_is() -> None:
    parsed = SessionToken.parse(token_of(u=ME, doId=MY_OWNER))
    assert parsed.may_be_of(ME, MY_OWNER)
    assert parsed.may_be_of(None, None)
    assert not parsed.may_be_of(OTHER, None)
    assert not parsed.may_be_of(ME, OTHER)
    assert SessionToken.parse("no.token").may_be_of(OTHER, OTHER)
