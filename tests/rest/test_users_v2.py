"""Users, professionals and devices of today's backend: the requests, and what may come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from icure_async.errors import (
    BackendError,
    BadRequestError,
    ConfigurationError,
    ElevationRequiredError,
    InvalidResponseError,
    UserExistsError,
    WeakPasswordError,
)
from icure_async.rest.dialects import CARDINAL
from icure_async.rest.entities import EntityResource
from icure_async.rest.resources import device_resource, professional_resource, user_resource
from icure_async.rest.session import Session
from icure_async.rest.transport import Transport
from icure_async.rest.users import UserResource
from icure_async.rest.users_v2 import UserResourceV2
from tests.support.leaks import assert_secret_free
from tests.support.loopback import Backend, Clock, json_of, login_answer, open_session

ME = "0d8b0b4e-6b1c-4f3b-9a56-0d3b5c8e2f11"
OLD, NEW = "ned@winterfell.example", "ned@wall.example"
USER: dict[str, object] = {
    "id": ME,
    "rev": "1-a",
    "login": OLD,
    "email": OLD,
    "newMember": {"a": None, "b": 1},
}
PASSWORD = "a-new-password"


@pytest.fixture
async def backend(clock: Clock) -> AsyncIterator[Backend]:
    async with Backend(clock, "/rest/v2") as running:
        running.on("POST /auth/login", login_answer()).on("GET /user/matches", 404)
        yield running


@pytest.fixture
def session(transport: Transport, backend: Backend) -> Session:
    return open_session(transport, backend.base_url, dialect=CARDINAL)


@pytest.fixture
def users(session: Session) -> UserResource:
    return user_resource(session)


def test_the_dialect_decides_about_the_resource(transport: Transport, session: Session) -> None:
    of_2023 = open_session(transport, "https://host")
    assert type(user_resource(of_2023)) is UserResource
    assert type(user_resource(session)) is UserResourceV2


async def test_a_user_is_written_without_nulls_and_without_its_type(
    backend: Backend, users: UserResource
) -> None:
    backend.on("PUT /user", {**USER, "rev": "2-b"})

    stored = await users.modify({**USER, "_type": "org.taktik.icure.entities.User", "name": None})

    assert stored["rev"] == "2-b"
    assert json_of(backend.seen[-1]) == {**USER, "newMember": {"b": 1}, "passwordHash": "*"}


async def test_a_new_password_goes_by_its_own_request(
    backend: Backend, users: UserResource
) -> None:
    backend.on("PUT /user", {**USER, "rev": "2-b"})
    backend.on(f"PUT /user/{ME}/password", {**USER, "rev": "3-c"})

    stored = await users.modify({**USER, "passwordHash": PASSWORD})

    assert stored["rev"] == "3-c"
    first, second = backend.seen[-2:]
    assert json_of(first)["passwordHash"] == "*"
    assert json_of(second) == {"newPassword": PASSWORD}


@pytest.mark.parametrize("kind", [ElevationRequiredError, WeakPasswordError])
async def test_a_password_that_is_refused_after_the_rest_was_stored_says_so(
    backend: Backend, users: UserResource, kind: type[BackendError]
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        if kind is ElevationRequiredError:
            return web.Response(status=401, headers={"Icure-Minimum-Required-Auth-Level": "50"})
        return web.json_response({"message": "Password is too short"}, status=400)

    backend.on("PUT /user", {**USER, "rev": "2-b"}).on(f"PUT /user/{ME}/password", refuse)

    with pytest.raises(kind) as caught:
        await users.modify({**USER, "passwordHash": PASSWORD})

    assert "nothing was changed" not in str(caught.value).lower()
    assert "not changed" in str(caught.value)
    assert "other changes of the user were stored" in str(caught.value)
    assert_secret_free(caught.value, PASSWORD)


@pytest.mark.parametrize(
    ("member", "query"),
    [
        ("email", "newEmail=a%2Bb%40wall.example&previousEmail=ned%40winterfell.example"),
        (
            "mobilePhone",
            "newMobilePhone=a%2Bb%40wall.example&previousMobilePhone=ned%40winterfell.example",
        ),
    ],
)
async def test_a_contact_is_changed_by_its_own_request(
    backend: Backend, users: UserResource, member: str, query: str
) -> None:
    changed = {**USER, "login": "ned", member: "a+b@wall.example"}
    backend.on(f"PUT /user/{ME}/{member}", {**changed, "rev": "2-b"})

    stored = await users.change_contact(changed, member, OLD)

    assert stored["rev"] == "2-b"
    assert backend.seen[-1].query == query
    assert backend.seen[-1].body == b""
    assert len(backend.seen) == 3


async def test_a_first_contact_has_no_previous_one(backend: Backend, users: UserResource) -> None:
    backend.on(f"PUT /user/{ME}/email", {**USER, "rev": "2-b"})
    await users.change_contact({**USER, "email": NEW}, "email", None)
    assert backend.seen[-1].query == "newEmail=ned%40wall.example"


async def test_a_login_that_is_the_old_address_follows(
    backend: Backend, users: UserResource
) -> None:
    backend.on(f"PUT /user/{ME}/email", {**USER, "email": NEW, "rev": "2-b"})
    backend.on("PUT /user", {**USER, "email": NEW, "login": NEW, "rev": "3-c"})

    stored = await users.change_contact({**USER, "email": NEW, "login": NEW}, "email", OLD)

    assert stored["rev"] == "3-c"
    assert json_of(backend.seen[-1])["login"] == NEW
    assert json_of(backend.seen[-1])["rev"] == "2-b"


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "A user with Email ned@wall.example already exists", UserExistsError),
        (409, "A user with Email ned@wall.example already exists", UserExistsError),
        (400, "Password is too short, at least 12 characters", WeakPasswordError),
        (400, "no", BadRequestError),
    ],
)
async def test_the_reason_of_a_refusal_is_told(
    backend: Backend, users: UserResource, status: int, message: str, kind: type[Exception]
) -> None:
    backend.on(
        f"PUT /user/{ME}/email",
        web.json_response(
            {"message": message}, status=status, headers={"X-Request-Id": "request-4"}
        ),
    )
    with pytest.raises(kind, match=f"Could not change the email address of user {ME}") as caught:
        await users.change_contact({**USER, "email": NEW}, "email", OLD)
    assert getattr(caught.value, "request_id", None) == "request-4"


@pytest.mark.parametrize("answer", [{}, [], {**USER, "id": "other"}, {**USER, "rev": 5}, "<html>"])
async def test_another_user_in_an_answer_is_refused(
    backend: Backend, users: UserResource, answer: Any
) -> None:
    backend.on(f"PUT /user/{ME}/password", answer).on(f"PUT /user/{ME}/email", answer)
    with pytest.raises(InvalidResponseError) as caught:
        await users.change_password({**USER, "passwordHash": PASSWORD})
    assert_secret_free(caught.value, PASSWORD)
    with pytest.raises(InvalidResponseError):
        await users.change_contact({**USER, "email": NEW}, "email", OLD)


async def test_a_weak_login_changes_no_password(backend: Backend, users: UserResource) -> None:
    backend.on(
        f"PUT /user/{ME}/password",
        web.Response(status=401, headers={"Icure-Minimum-Required-Auth-Level": "20"}),
    )
    with pytest.raises(ElevationRequiredError, match="change the password of user") as caught:
        await users.change_password({**USER, "passwordHash": PASSWORD})
    assert_secret_free(caught.value, PASSWORD)


@pytest.mark.parametrize(("algorithm", "more"), [("SHA1", {}), ("SHA256", {"algorithm": "SHA256"})])
async def test_the_second_factor_is_switched_on_with_a_code(
    backend: Backend, users: UserResource, algorithm: str, more: dict[str, str]
) -> None:
    backend.on(f"POST /user/{ME}/2fa", 204)
    await users.enable_second_factor(ME, secret="ABC", code="123456", algorithm=algorithm)
    assert json_of(backend.seen[-1]) == {"secret": "ABC", "otpLength": 6, "otp": "123456", **more}


async def test_a_code_is_sent_once(backend: Backend, users: UserResource) -> None:
    backend.on(f"POST /user/{ME}/2fa", 503)
    with pytest.raises(Exception, match="second factor of user") as caught:
        await users.enable_second_factor(ME, secret="ABCDEF", code="123456", algorithm="SHA1")
    assert backend.count(f"POST /user/{ME}/2fa") == 1
    assert_secret_free(caught.value, "ABCDEF", "123456")


async def test_the_second_factor_is_switched_off(backend: Backend, users: UserResource) -> None:
    backend.on(f"DELETE /user/{ME}/2fa", 204)
    await users.disable_second_factor(ME)
    assert backend.calls[-1] == f"DELETE /user/{ME}/2fa"


async def test_the_flavour_of_2023_has_other_means(transport: Transport) -> None:
    users = user_resource(open_session(transport, "http://127.0.0.1:9"))
    with pytest.raises(ConfigurationError, match=r"with_flavour\('cardinal'\).*use2fa true"):
        await users.enable_second_factor(ME, secret="A", code="1", algorithm="SHA1")
    with pytest.raises(ConfigurationError, match=r"with_flavour\('cardinal'\).*use2fa false"):
        await users.disable_second_factor(ME)


async def test_a_token_is_installed_with_a_chosen_secret(
    backend: Backend, users: UserResource
) -> None:
    backend.on(f"POST /user/token/{ME}/key", web.json_response("secret-1"))
    await users.create_token(ME, "key", validity=60, secret="secret-1")
    assert backend.seen[-1].query == "tokenValidity=60"
    assert backend.seen[-1].headers["token"] == "secret-1"


async def test_the_current_user_is_the_one_of_the_chosen_group(
    backend: Backend, session: Session, users: UserResource
) -> None:
    backend.on("GET /user/matches", [{"groupId": "g", "userId": ME, "login": "ned"}])
    backend.on("POST /auth/switch/g", login_answer())
    backend.on("GET /user/current", {**USER, "id": "0d8b0b4e-0000-4f3b-9a56-0d3b5c8e2f11"})
    with pytest.raises(InvalidResponseError, match="another one than that of the user"):
        await users.current()
    backend.on("GET /user/current", USER)
    assert (await users.current())["id"] == ME


# Deleting


async def test_a_user_is_deleted_with_its_revision(backend: Backend, users: UserResource) -> None:
    backend.on(f"GET /user/{ME}", USER)
    backend.on(f"DELETE /user/{ME}", {"id": ME, "rev": "2-b"})
    assert await users.delete(ME) == [{"id": ME, "rev": "2-b"}]
    assert backend.seen[-1].query == "rev=1-a"


async def test_an_unknown_user_is_not_deleted(backend: Backend, users: UserResource) -> None:
    backend.on(f"GET /user/{ME}", 404)
    assert await users.delete(ME) == []
    assert backend.calls[-1] == f"GET /user/{ME}"


@pytest.mark.parametrize(
    ("make", "route", "batch"),
    [(professional_resource, "hcparty", "batch"), (device_resource, "device", "bulk")],
)
async def test_professionals_and_devices_have_the_routes_of_all(
    backend: Backend, session: Session, make: Any, route: str, batch: str
) -> None:
    resource: EntityResource = make(session, "thing")
    document: dict[str, object] = {"id": ME, "rev": "1-a", "newMember": 1}
    backend.on(f"POST /{route}/byIds", [document])
    backend.on(f"POST /{route}/{batch}", [dict(document, rev="2-b")])
    backend.on(f"POST /{route}/delete/batch/withrev", [{"id": ME, "rev": "3-c"}])

    assert await resource.get_many([ME]) == [document]
    assert await resource.create_many([document]) == {ME: "2-b"}
    assert await resource.delete_many([ME]) == {ME: "3-c"}

    assert json_of(backend.seen[2]) == {"ids": [ME]}
    assert json_of(backend.seen[-1]) == {"ids": [{"id": ME, "rev": "1-a"}]}
    assert "Icure-Access-Control-Keys" not in backend.seen[-1].headers
