"""Logins of today's flavour: groups, projects, refreshes, and what a hostile server may answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from icure_async.errors import (
    AuthenticationError,
    BackendError,
    ConfigurationError,
    ElevationRequiredError,
    ICureError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    SecondFactorRefusedError,
    SecondFactorRequiredError,
    ServerError,
    TokenExpiredError,
)
from icure_async.rest.dialects import CARDINAL
from icure_async.rest.second_factor import SecondFactor
from icure_async.rest.session import LoginAnswer, Session
from icure_async.rest.transport import Transport
from tests.support.loopback import (
    NOW,
    PASSWORD,
    USER,
    Backend,
    Clock,
    json_of,
    login_answer,
    open_session,
    token,
)

LOGIN = "POST /auth/login"
MATCHES = "GET /user/matches"
SWITCH = "POST /auth/switch/winterfell"
REFRESH = "POST /auth/refresh"
THING = "GET /thing"
ME, OTHER = "06889c4e-2b9d-5a04-8c0b-59aa89b8734d", "11111111-2222-4333-8444-555555555555"
WINTERFELL = {"groupId": "winterfell", "groupsHierarchy": [], "userId": ME, "login": "ned"}
WALL = {"groupId": "wall", "groupName": "The\nWall", "userId": OTHER, "login": "ned"}
FIRST = token(name="first")
FIRST_REFRESH = token(86400, name="first-refresh")
IN_GROUP = token(name="in-group", u=ME, tac=20)
GROUP_REFRESH = token(86400, name="group-refresh")


@pytest.fixture
async def backend(clock: Clock) -> AsyncIterator[Backend]:
    async with Backend(clock, "/rest/v2") as running:
        running.on(LOGIN, login_answer(FIRST, FIRST_REFRESH))
        running.on(MATCHES, [WINTERFELL])
        running.on(SWITCH, login_answer(IN_GROUP, GROUP_REFRESH))
        running.on(THING, {"ok": True})
        yield running


def open_cardinal(transport: Transport, backend: Backend, **options: Any) -> Session:
    return open_session(transport, backend.base_url, dialect=CARDINAL, **options)


@pytest.fixture
def session(transport: Transport, backend: Backend) -> Session:
    return open_cardinal(transport, backend)


async def read(session: Session) -> object:
    return (await session.request("GET", "/thing", action="read it", repeatable=True)).json()


# Groups


async def test_a_user_of_one_group_is_switched_to_it(backend: Backend, session: Session) -> None:
    assert [await read(session), await read(session)] == [{"ok": True}] * 2

    assert backend.calls == [LOGIN, MATCHES, SWITCH, THING, THING]
    login, matches, switch, *things = backend.seen
    assert json_of(login) == {"username": USER, "password": PASSWORD}
    assert (login.query, login.authorization) == ("", "")
    assert matches.authorization == f"Bearer {FIRST}"
    assert switch.headers["Refresh-Token"] == FIRST_REFRESH
    assert (switch.body, switch.authorization) == (b"", "")
    assert [thing.authorization for thing in things] == [f"Bearer {IN_GROUP}"] * 2


async def test_user_and_group_are_known_after_the_login(session: Session) -> None:
    said = await session.sign_in()
    assert said == LoginAnswer(user_id=ME, group_id="winterfell", data_owner_id=None)
    assert session.user_id == ME


@pytest.mark.parametrize("matches", [404, 405, 501, []])
async def test_a_backend_without_groups_is_worked_with_as_it_is(
    backend: Backend, session: Session, matches: Any
) -> None:
    backend.on(MATCHES, matches)

    await read(session)

    assert backend.calls == [LOGIN, MATCHES, THING]
    assert backend.seen[-1].authorization == f"Bearer {FIRST}"


async def test_the_project_is_named_at_login(backend: Backend, transport: Transport) -> None:
    await open_cardinal(transport, backend, project_id="a project/1").sign_in()

    assert backend.seen[0].query == "applicationId=a+project%2F1"
    assert json_of(backend.seen[0]) == {"username": USER, "password": PASSWORD}


async def test_several_groups_need_a_choice_and_the_error_lists_them(
    backend: Backend, session: Session
) -> None:
    backend.on(MATCHES, [WINTERFELL, WALL])

    with pytest.raises(ConfigurationError) as caught:
        await read(session)

    message = str(caught.value)
    assert "with_group_id()" in message
    assert "ICURE_GROUP_ID" in message
    assert "'winterfell', 'wall' (The\\nWall)" in message
    assert message.isprintable()
    assert backend.calls == [LOGIN, MATCHES]


async def test_the_chosen_group_is_entered(backend: Backend, transport: Transport) -> None:
    backend.on(MATCHES, [WALL, WINTERFELL])

    said = await open_cardinal(transport, backend, group_id="winterfell").sign_in()

    assert (said.user_id, said.group_id) == (ME, "winterfell")
    assert backend.calls == [LOGIN, MATCHES, SWITCH]


@pytest.mark.parametrize(
    ("matches", "words"),
    [
        ([WINTERFELL], "is not in the group 'essos'.*'winterfell'"),
        ([WINTERFELL, WALL], "is not in the group 'essos'.*'winterfell', 'wall'"),
        ([], "knows of no groups"),
        (404, "knows of no groups"),
    ],
)
async def test_a_group_that_the_user_is_not_in_is_refused_before_anything_else_is_sent(
    backend: Backend, transport: Transport, matches: Any, words: str
) -> None:
    backend.on(MATCHES, matches)
    session = open_cardinal(transport, backend, group_id="essos")

    with pytest.raises(ConfigurationError, match=words):
        await read(session)

    assert backend.calls == [LOGIN, MATCHES]


async def test_a_long_list_of_groups_is_cut(backend: Backend, session: Session) -> None:
    backend.on(MATCHES, [{"groupId": f"g{number}", "userId": ME} for number in range(1000)])
    with pytest.raises(ConfigurationError, match=r"in 1000 groups.*'g19' and 980 more\.$"):
        await session.sign_in()


async def test_a_later_login_enters_the_same_group_although_there_are_more_now(
    backend: Backend, session: Session
) -> None:
    await session.sign_in()
    backend.on(MATCHES, [WALL, WINTERFELL]).on(THING, 401, {"ok": True})
    # The first tokens may be of the same person in another group.
    backend.on(LOGIN, login_answer(token(u=OTHER), FIRST_REFRESH))

    await read(session)

    assert backend.calls[3:] == [THING, LOGIN, MATCHES, SWITCH, THING]


@pytest.mark.parametrize("matches", [[WALL], [], 404])
async def test_a_later_login_enters_no_other_group(
    backend: Backend, session: Session, matches: Any
) -> None:
    await session.sign_in()
    backend.on(MATCHES, matches).on(THING, 401)

    with pytest.raises(ConfigurationError, match="no longer in the group 'winterfell'"):
        await read(session)

    assert backend.calls[3:] == [THING, LOGIN, MATCHES]


async def test_a_later_login_as_another_user_is_refused(backend: Backend, session: Session) -> None:
    await session.sign_in()
    backend.on(MATCHES, [{**WINTERFELL, "userId": OTHER}]).on(THING, 401)
    backend.on(SWITCH, login_answer(token(), GROUP_REFRESH))

    with pytest.raises(InvalidResponseError, match="session of another user"):
        await read(session)


async def test_a_later_login_as_another_user_is_refused_without_groups_too(
    backend: Backend, session: Session
) -> None:
    backend.on(MATCHES, 404).on(LOGIN, login_answer(token(u=ME)))
    await session.sign_in()
    backend.on(LOGIN, login_answer(token(u=OTHER))).on(THING, 401)

    with pytest.raises(InvalidResponseError, match="session of another user"):
        await read(session)


# Hostile answers


@pytest.mark.parametrize(
    "matches",
    [
        {},
        "winterfell",
        [None],
        ["winterfell"],
        [[WINTERFELL]],
        [{}],
        [{**WINTERFELL, "groupId": 5}],
        [{**WINTERFELL, "groupId": ""}],
        [{**WINTERFELL, "groupId": ".."}],
        [{**WINTERFELL, "groupId": "a/../../user?x=1#"}],
        [{**WINTERFELL, "groupId": "a\nb"}],
        [{**WINTERFELL, "groupId": "x" * 5000}],
        [{**WINTERFELL, "userId": None}],
        [{**WINTERFELL, "userId": ["a"]}],
        [{**WINTERFELL, "groupName": 5}],
        [WINTERFELL, {**WINTERFELL, "userId": OTHER}],
    ],
)
async def test_a_malformed_list_of_groups_is_refused(
    backend: Backend, session: Session, matches: Any
) -> None:
    backend.on(MATCHES, matches)

    with pytest.raises(InvalidResponseError, match=r"Could not list the groups of the user"):
        await read(session)

    assert backend.calls == [LOGIN, MATCHES]


async def test_a_group_that_is_named_twice_is_one(backend: Backend, session: Session) -> None:
    backend.on(MATCHES, [WINTERFELL, WINTERFELL])
    assert (await session.sign_in()).group_id == "winterfell"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (login_answer(token(u=OTHER)), "session of another user"),
        (login_answer(token(g="wall")), "session of another user"),
        ({"token": 5}, "no token"),
        ({"token": ""}, "no token"),
        ({}, "no token"),
        ([], "not an object"),
        ("<html>", "web page"),
        ({"token": "new\r\nX-Evil: 1"}, "token is malformed"),
        ({"token": token(), "refreshToken": "a\nb"}, "token is malformed"),
        ({"token": token(), "refreshToken": 5}, "token is malformed"),
        ({"token": token(), "successful": False}, "did not succeed"),
        ({"token": token(), "successful": "yes"}, "did not succeed"),
    ],
)
async def test_tokens_of_somebody_else_and_malformed_ones_are_refused_after_the_switch(
    backend: Backend, transport: Transport, answer: Any, words: str
) -> None:
    backend.on(MATCHES, [WINTERFELL, WALL]).on(SWITCH, answer)
    session = open_cardinal(transport, backend, group_id="winterfell")

    with pytest.raises(InvalidResponseError, match=f"enter the group winterfell: .*{words}"):
        await read(session)

    assert backend.calls == [LOGIN, MATCHES, SWITCH]


async def test_a_claim_that_names_no_group_is_not_held_against_the_groups(
    backend: Backend, session: Session
) -> None:
    """It is not known what the cloud means by it."""
    backend.on(SWITCH, login_answer(token(g="5")))
    assert (await session.sign_in()).group_id == "winterfell"


@pytest.mark.parametrize(
    "claims", [{"tac": "20"}, {"tac": True}, {"tac": -5}, {"tac": None}, {"tac": [20]}, {}]
)
async def test_a_token_that_does_not_tell_its_class_is_taken(
    backend: Backend, session: Session, claims: dict[str, Any]
) -> None:
    backend.on(SWITCH, login_answer(token(**claims)))
    assert await read(session) == {"ok": True}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"successful": True}, "gives no token"),
        ({"token": None, "successful": True}, "gives no token"),
        ({"token": 5}, "gives no token"),
        ({"token": token(), "refreshToken": ["a"]}, "token is malformed"),
        ({"token": token(), "successful": False}, "did not succeed"),
        ({"token": "tökén"}, "token is malformed"),
    ],
)
async def test_there_is_no_basic_authentication(
    backend: Backend, session: Session, answer: Any, words: str
) -> None:
    backend.on(LOGIN, answer)

    with pytest.raises(InvalidResponseError, match=words):
        await read(session)
    with pytest.raises(InvalidResponseError, match=words):
        await read(session)

    assert set(backend.calls) == {LOGIN}
    assert not any("Authorization" in seen.headers for seen in backend.seen)


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_backend_without_version_2_is_named_as_such(
    backend: Backend, session: Session, status: int
) -> None:
    backend.on(LOGIN, web.Response(status=status, headers={"X-Request-Id": "r-9"}))

    with pytest.raises(NotFoundError, match=r"/rest/v2.*with_flavour\('cardinal'\)") as caught:
        await read(session)

    assert caught.value.request_id == "r-9"
    assert "r-9" in str(caught.value)
    assert backend.calls == [LOGIN]


async def test_a_server_without_refresh_tokens_can_not_be_entered(
    backend: Backend, session: Session
) -> None:
    backend.on(LOGIN, {"token": FIRST, "successful": True})
    with pytest.raises(InvalidResponseError, match="gave no refresh token"):
        await session.sign_in()
    backend.on(MATCHES, 404)
    assert await session.sign_in() == LoginAnswer()


# Refusals


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationError),
        (406, SecondFactorRefusedError),
        (412, AuthenticationError),
        (417, SecondFactorRequiredError),
        (403, PermissionDeniedError),
    ],
)
async def test_a_refused_login_says_why_without_a_body(
    backend: Backend, session: Session, status: int, kind: type[BackendError]
) -> None:
    backend.on(LOGIN, web.Response(status=status, headers={"X-Request-Id": "r-1"}))

    with pytest.raises(kind, match="Could not log in") as caught:
        await read(session)

    assert (caught.value.status, caught.value.request_id) == (status, "r-1")
    assert str(caught.value).endswith("Request id: r-1.")
    assert backend.calls == [LOGIN]


@pytest.mark.parametrize("route", [MATCHES, SWITCH])
@pytest.mark.parametrize(
    ("status", "kind", "times"),
    [(401, AuthenticationError, 1), (403, PermissionDeniedError, 1), (500, ServerError, 3)],
)
async def test_a_failure_on_the_way_into_the_group_is_no_session(
    backend: Backend,
    session: Session,
    route: str,
    status: int,
    kind: type[BackendError],
    times: int,
) -> None:
    backend.on(route, web.Response(status=status, headers={"X-Request-Id": "r-7"}))

    with pytest.raises(kind) as caught:
        await read(session)

    assert caught.value.request_id == "r-7"
    assert backend.count(route) == times
    assert THING not in backend.calls


async def test_the_next_call_tries_again_after_a_failure_on_the_way(
    backend: Backend, session: Session
) -> None:
    backend.on(SWITCH, 403, login_answer(IN_GROUP, GROUP_REFRESH))
    with pytest.raises(PermissionDeniedError):
        await read(session)

    assert await read(session) == {"ok": True}

    assert backend.calls == [LOGIN, MATCHES, SWITCH] * 2 + [THING]


async def test_a_token_that_worked_and_does_no_more_is_said_to_have_expired(
    backend: Backend, session: Session
) -> None:
    await session.sign_in()
    backend.on(LOGIN, 401).on(THING, 401)
    with pytest.raises(TokenExpiredError):
        await read(session)


# One login for many


async def test_many_requests_at_once_log_in_once(backend: Backend, session: Session) -> None:
    assert await asyncio.gather(*(read(session) for _ in range(12))) == [{"ok": True}] * 12
    assert backend.calls == [LOGIN, MATCHES, SWITCH] + [THING] * 12


async def test_a_failed_choice_of_a_group_serves_all_that_wait(
    backend: Backend, session: Session
) -> None:
    backend.on(MATCHES, [WINTERFELL, WALL])

    outcomes = await asyncio.gather(*(read(session) for _ in range(12)), return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {ConfigurationError}
    assert backend.calls == [LOGIN, MATCHES]


@pytest.mark.parametrize("route", [LOGIN, MATCHES, SWITCH])
async def test_a_cancelled_login_leaves_a_session_that_logs_in(
    backend: Backend, session: Session, route: str
) -> None:
    answers: dict[str, Any] = {LOGIN: login_answer(FIRST, FIRST_REFRESH), MATCHES: [WINTERFELL]}
    reached = asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        reached.set()
        await asyncio.sleep(60)
        raise AssertionError

    backend.on(route, hold)
    task = asyncio.create_task(read(session))
    await asyncio.wait_for(reached.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    backend.on(route, answers.get(route, login_answer(IN_GROUP, GROUP_REFRESH)))

    assert await read(session) == {"ok": True}
    assert all("Basic" not in seen.authorization for seen in backend.seen)


@pytest.mark.parametrize("route", [MATCHES, SWITCH])
async def test_a_cancelled_second_login_never_falls_back_to_the_password(
    backend: Backend, session: Session, route: str
) -> None:
    await session.sign_in()
    reached = asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        reached.set()
        await asyncio.sleep(60)
        raise AssertionError

    backend.on(THING, 401).on(route, hold)
    task = asyncio.create_task(read(session))
    await asyncio.wait_for(reached.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    backend.on(route, 403).on(THING, 401)
    with pytest.raises(BackendError):
        await read(session)
    assert all("Basic" not in seen.authorization for seen in backend.seen)


async def test_a_session_that_ended_during_the_login_keeps_no_tokens(
    backend: Backend, session: Session
) -> None:
    async def end(request: web.Request) -> web.Response:
        session.end()
        return web.json_response(login_answer(IN_GROUP, GROUP_REFRESH))

    backend.on(SWITCH, end)
    with pytest.raises(AuthenticationError, match="logged out"):
        await read(session)
    assert session._tokens is None


# Refreshes


async def test_a_token_is_renewed_half_a_minute_before_its_end(
    backend: Backend, session: Session, clock: Clock
) -> None:
    renewed = token(7200, name="renewed", u=ME)
    backend.on(REFRESH, {"successful": True, "token": renewed})
    await read(session)

    clock.now = NOW + 3600 - 31
    await read(session)
    assert backend.count(REFRESH) == 0
    clock.now = NOW + 3600 - 29
    await read(session)

    assert backend.calls[-2:] == [REFRESH, THING]
    assert backend.seen[-2].headers["Refresh-Token"] == GROUP_REFRESH
    assert backend.seen[-1].authorization == f"Bearer {renewed}"


@pytest.mark.parametrize(
    "answer",
    [
        401,
        404,
        {"successful": True},
        {"token": "a\r\nb"},
        {"token": token(7200, u=OTHER)},
        {"token": token(7200, u=ME, g="wall")},
    ],
)
async def test_a_refresh_that_is_of_no_use_leads_to_a_login(
    backend: Backend, session: Session, clock: Clock, answer: Any
) -> None:
    await read(session)
    backend.on(REFRESH, answer)
    backend.on(SWITCH, login_answer(token(7200, u=ME), GROUP_REFRESH))
    clock.now = NOW + 3600

    assert await read(session) == {"ok": True}

    assert backend.calls[-5:] == [REFRESH, LOGIN, MATCHES, SWITCH, THING]


async def test_a_renewed_token_may_name_its_group(
    backend: Backend, session: Session, clock: Clock
) -> None:
    renewed = token(7200, u=ME, g="winterfell")
    backend.on(SWITCH, login_answer(token(g="winterfell"), GROUP_REFRESH))
    backend.on(REFRESH, {"successful": True, "token": renewed})
    await read(session)
    clock.now = NOW + 3600

    await read(session)

    assert backend.seen[-1].authorization == f"Bearer {renewed}"


# Failures of the backend


@pytest.mark.parametrize(("status", "times"), [(500, 3), (502, 3), (503, 3), (409, 1), (403, 1)])
async def test_what_may_be_repeated_is_repeated_after_a_passing_failure(
    backend: Backend, session: Session, status: int, times: int
) -> None:
    backend.on(THING, status)
    with pytest.raises(BackendError):
        await read(session)
    assert backend.count(THING) == times


@pytest.mark.parametrize("status", [500, 502, 503])
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_nothing_is_written_twice_blindly(
    backend: Backend, session: Session, status: int, method: str
) -> None:
    backend.on(f"{method} /thing", status)
    with pytest.raises(ServerError):
        await session.request(method, "/thing", action="write it", body={})
    assert backend.count(f"{method} /thing") == 1


# Elevated operations


def too_weak(level: object) -> web.Response:
    return web.Response(
        status=401,
        headers={"Icure-Minimum-Required-Auth-Level": str(level), "X-Request-Id": "r-3"},
    )


async def write(session: Session) -> object:
    return (await session.request("POST", "/thing", action="write it", body={"a": 1})).json()


async def test_an_elevated_operation_is_sent_again_after_a_fresh_login(
    backend: Backend, session: Session
) -> None:
    """Elevated operations want a login that is not old."""
    await session.sign_in()
    fresh = token(name="fresh", u=ME, tac=20)
    backend.on(SWITCH, login_answer(fresh, GROUP_REFRESH))
    backend.on("POST /thing", too_weak(20), {"ok": True})

    assert await write(session) == {"ok": True}

    assert backend.calls[3:] == ["POST /thing", LOGIN, MATCHES, SWITCH, "POST /thing"]
    assert [json_of(seen) for seen in backend.seen if seen.path == "/thing"] == [{"a": 1}] * 2
    assert backend.seen[-1].authorization == f"Bearer {fresh}"


@pytest.mark.parametrize(
    ("given", "wanted", "words"),
    [
        (10, 20, "login with a password or better.*logged in with a long-lived token"),
        (20, 40, "login with a short-lived token or code or better.*with a password"),
        (20, 50, r"with a second factor or better.*with_second_factor\(\)"),
        (20, 30, "login with an external identity provider or better"),
        (50, 60, "login with a digital identity for this.*logged in with a password with a second"),
        (20, 25, "login with an external identity provider or better"),
        (20, 999, "a login that this SDK has not"),
    ],
)
async def test_a_login_that_stays_too_weak_is_an_error_that_names_the_secret(
    backend: Backend, session: Session, given: int, wanted: int, words: str
) -> None:
    backend.on(SWITCH, login_answer(token(u=ME, tac=given), GROUP_REFRESH))
    backend.on("POST /thing", too_weak(wanted))

    with pytest.raises(ElevationRequiredError, match=f"Could not write it: .*{words}") as caught:
        await write(session)

    error = caught.value
    assert (error.required_level, error.current_level) == (wanted, given)
    assert (error.status, error.request_id) == (401, "r-3")
    assert "Nothing was changed" in str(error)
    assert str(error).endswith("Request id: r-3.")
    assert backend.count("POST /thing") == 1
    assert backend.count(LOGIN) == 2


async def test_a_class_that_is_not_told_is_tried_once(backend: Backend, session: Session) -> None:
    backend.on(SWITCH, login_answer(token(u=ME), GROUP_REFRESH))
    backend.on("POST /thing", too_weak(20))

    with pytest.raises(ElevationRequiredError) as caught:
        await write(session)

    assert caught.value.current_level is None
    assert backend.count("POST /thing") == 2


@pytest.mark.parametrize("header", ["", "abc", "-5", "1e3", "5000", "٢٠"])
async def test_a_malformed_class_is_no_class(
    backend: Backend, session: Session, header: str
) -> None:
    headers = {"Icure-Minimum-Required-Auth-Level": header}
    backend.on("POST /thing", web.Response(status=401, headers=headers))
    with pytest.raises(AuthenticationError) as caught:
        await write(session)
    assert not isinstance(caught.value, ElevationRequiredError)


async def test_only_a_refusal_asks_for_a_class(backend: Backend, session: Session) -> None:
    headers = {"Icure-Minimum-Required-Auth-Level": "20"}
    backend.on("POST /thing", web.Response(status=403, headers=headers))
    with pytest.raises(PermissionDeniedError):
        await write(session)
    assert backend.count(LOGIN) == 1


class Codes:
    """Supplies codes, and counts them."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.given: list[str] = []

    async def __call__(self) -> str:
        self.given.append(f"{next(self._numbers):06d}")
        return self.given[-1]


async def test_a_second_factor_is_asked_for_where_the_operation_wants_one(
    backend: Backend, transport: Transport
) -> None:
    codes = Codes()
    session = open_cardinal(transport, backend, second_factor=SecondFactor(codes))
    await session.sign_in()
    assert not codes.given
    stronger = login_answer(token(u=ME, tac=50), GROUP_REFRESH)
    backend.on(SWITCH, stronger).on("POST /thing", too_weak(50), {"ok": True})

    assert await write(session) == {"ok": True}

    [code] = codes.given
    logins = [json_of(seen)["password"] for seen in backend.seen if seen.path == "/auth/login"]
    assert logins == [PASSWORD, f"{PASSWORD}|{code}"]


async def test_many_that_want_a_second_factor_ask_for_one_code(
    backend: Backend, transport: Transport
) -> None:
    codes = Codes()
    session = open_cardinal(transport, backend, second_factor=SecondFactor(codes))
    await session.sign_in()
    strong = token(u=ME, tac=50)
    backend.on(SWITCH, login_answer(strong, GROUP_REFRESH))

    async def elevated(request: web.Request) -> web.Response:
        if request.headers["Authorization"] == f"Bearer {strong}":
            return web.json_response({"ok": True})
        return too_weak(50)

    backend.on("POST /thing", elevated)

    assert await asyncio.gather(*(write(session) for _ in range(5))) == [{"ok": True}] * 5
    assert len(codes.given) == 1


async def test_a_plain_login_of_another_request_does_not_stand_for_the_strong_one(
    backend: Backend, transport: Transport
) -> None:
    codes = Codes()
    session = open_cardinal(transport, backend, second_factor=SecondFactor(codes))
    await session.sign_in()
    weak, strong = token(u=ME, tac=20, name="weak"), token(u=ME, tac=50)
    backend.on(SWITCH, login_answer(weak, GROUP_REFRESH), login_answer(strong, GROUP_REFRESH))
    both_refused = asyncio.Barrier(2)

    async def elevated(request: web.Request) -> web.Response:
        if request.headers["Authorization"] == f"Bearer {strong}":
            return web.json_response({"ok": True})
        await both_refused.wait()
        # After the other one, which logs in first.
        await asyncio.sleep(0.1)
        return too_weak(50)

    async def plain(request: web.Request) -> web.Response:
        if request.headers["Authorization"] == f"Bearer {IN_GROUP}":
            await both_refused.wait()
            return web.Response(status=401)
        return web.json_response({"ok": True})

    backend.on("POST /thing", elevated).on(THING, plain)

    assert [*await asyncio.gather(write(session), read(session))] == [{"ok": True}] * 2
    assert len(codes.given) == 1


async def test_a_user_without_a_second_factor_is_told_that_one_is_needed(
    backend: Backend, transport: Transport
) -> None:
    """The backend takes the password, and refuses it with a code."""
    codes = Codes()
    session = open_cardinal(transport, backend, second_factor=SecondFactor(codes))

    async def log_in(request: web.Request) -> web.Response:
        if (await request.json())["password"] != PASSWORD:
            return web.Response(status=401)
        return web.json_response(login_answer(FIRST, FIRST_REFRESH))

    backend.on(LOGIN, log_in).on("POST /thing", too_weak(50))

    with pytest.raises(ElevationRequiredError, match="second factor"):
        await write(session)

    assert await read(session) == {"ok": True}
    assert len(codes.given) == 1


@pytest.mark.parametrize("wanted", [20, 60])
async def test_a_person_is_not_asked_for_a_code_that_would_not_do(
    backend: Backend, transport: Transport, wanted: int
) -> None:
    codes = Codes()
    session = open_cardinal(transport, backend, second_factor=SecondFactor(codes))
    backend.on("POST /thing", too_weak(wanted))
    with pytest.raises(ElevationRequiredError):
        await write(session)
    assert not codes.given


async def test_a_token_goes_with_no_code(backend: Backend, transport: Transport) -> None:
    codes = Codes()
    session = open_cardinal(transport, backend, second_factor=SecondFactor(codes))
    backend.on(SWITCH, login_answer(token(u=ME, tac=10), GROUP_REFRESH))
    backend.on("POST /thing", too_weak(50))
    with pytest.raises(ElevationRequiredError):
        await write(session)
    assert not codes.given


# Secrets


async def test_no_secret_is_in_any_message_or_repr(backend: Backend, transport: Transport) -> None:
    session = open_cardinal(transport, backend, project_id="p", second_factor=SecondFactor(Codes()))
    secrets = [PASSWORD, FIRST, FIRST_REFRESH, IN_GROUP, GROUP_REFRESH, "000001"]
    shown: list[str] = []

    async def attempt() -> None:
        try:
            await write(session)
        except ICureError as error:
            shown.extend((str(error), repr(error), str(error.__context__), str(error.__cause__)))

    good = {
        LOGIN: login_answer(FIRST, FIRST_REFRESH),
        MATCHES: [WINTERFELL],
        SWITCH: login_answer(IN_GROUP, GROUP_REFRESH),
        "POST /thing": {"ok": True},
    }
    bad: list[Any] = [
        *(400, 401, 403, 404, 406, 412, 417, 500, {}, [], "<html>", too_weak(50)),
        {"token": FIRST, "refreshToken": 5, "message": PASSWORD},
        login_answer(token(u=OTHER), FIRST_REFRESH),
    ]
    for route in good:
        for answer in bad:
            for each, usual in good.items():
                backend.on(each, answer if each == route else usual)  # type: ignore[arg-type]
            session = open_cardinal(
                transport, backend, project_id="p", second_factor=SecondFactor(Codes())
            )
            await attempt()
            shown.append(repr(session))
            shown.append(repr(vars(session)["_tokens"]))
    assert len(shown) > 100
    for text in shown:
        assert not [secret for secret in secrets if secret in text]


async def test_no_answer_is_a_network_error(transport: Transport) -> None:
    session = open_session(transport, "http://127.0.0.1:9", dialect=CARDINAL)
    with pytest.raises(NetworkError):
        await read(session)
