from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web

from icure_async.errors import (
    AuthenticationError,
    BackendError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    RequestTimeoutError,
    ServerError,
    TokenExpiredError,
    TooManyRequestsError,
)
from icure_async.rest.session import LoginAnswer, Session
from icure_async.rest.transport import Transport
from tests.support.loopback import (
    NOW,
    PASSWORD,
    USER,
    Answer,
    Backend,
    Clock,
    Handler,
    basic,
    json_of,
    login_answer,
    open_session,
    open_transport,
    token,
    without_date,
)

LOGIN = "POST /auth/login"
REFRESH = "POST /auth/refresh"
THING = "GET /thing"
MANY = 12


async def read(session: Session) -> object:
    return (await session.request("GET", "/thing", action="read it", repeatable=True)).json()


def for_bearer(*tokens: str) -> Handler:
    """Answer those with one of these tokens, and 401 to everybody else."""

    async def handle(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") in {f"Bearer {text}" for text in tokens}:
            return web.json_response({"ok": True})
        return web.Response(status=401)

    return handle


class Gate:
    """Holds a server's answer back until it is opened."""

    def __init__(self, answer: Callable[[], web.Response]) -> None:
        self._reached = asyncio.Event()
        self.opened = asyncio.Event()
        self._answer = answer

    async def __call__(self, request: web.Request) -> web.Response:
        self._reached.set()
        await self.opened.wait()
        return self._answer()

    async def reached(self) -> None:
        await asyncio.wait_for(self._reached.wait(), 5)


async def all_waiting() -> None:
    """Let every task run until it can't go on."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def session(transport: Transport, backend: Backend) -> Session:
    return open_session(transport, backend.base_url)


# Logging in


async def test_the_first_request_logs_in_and_later_ones_do_not(
    backend: Backend, session: Session
) -> None:
    backend.on(LOGIN, login_answer()).on(THING, {"ok": True})

    assert [await read(session), await read(session)] == [{"ok": True}] * 2

    assert backend.calls == [LOGIN, THING, THING]
    login, *things = backend.seen
    assert json_of(login) == {"username": USER, "password": PASSWORD}
    assert "Authorization" not in login.headers
    assert [seen.authorization for seen in things] == [f"Bearer {token()}"] * 2


async def test_signing_in_tells_what_the_backend_says_of_the_user(
    backend: Backend, session: Session
) -> None:
    backend.on(
        LOGIN, login_answer(userId="u1", groupId="g1", dataOwnerId="", healthcarePartyId="h1")
    )

    first, again = await session.sign_in(), await session.sign_in()

    assert first == again == LoginAnswer(user_id="u1", group_id="g1", data_owner_id=None)
    assert backend.calls == [LOGIN]


@pytest.mark.parametrize("text", ["pässwörd", "日本語", "a\ud800b", 'quote"\\', ""])
async def test_any_password_goes_into_the_login(
    backend: Backend, transport: Transport, text: str
) -> None:
    backend.on(LOGIN, login_answer())

    await open_session(transport, backend.base_url, user_name=text, password=text).sign_in()

    assert json_of(backend.seen[0]) == {"username": text, "password": text}


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "is wrong"), (406, "second-factor"), (412, "too short"), (417, "second factor")],
)
async def test_a_refused_login_says_why(
    backend: Backend, session: Session, status: int, advice: str
) -> None:
    backend.on(
        LOGIN,
        web.json_response(
            {"successful": False, "message": "no"}, status=status, headers={"X-Request-Id": "r-1"}
        ),
    )

    with pytest.raises(AuthenticationError, match=advice) as caught:
        await read(session)

    assert (caught.value.status, caught.value.request_id) == (status, "r-1")
    assert caught.value.server_message == "no"
    assert backend.calls == [LOGIN]


@pytest.mark.parametrize(
    ("answer", "kind", "times"),
    [
        (403, PermissionDeniedError, 1),
        (429, TooManyRequestsError, 3),
        (500, ServerError, 1),
        (503, ServerError, 3),
        ("<html>hello</html>", InvalidResponseError, 1),
        ('{"token":', InvalidResponseError, 1),
        ("", InvalidResponseError, 1),
        ([], InvalidResponseError, 1),
        ({"token": "new\r\nX-Evil: 1"}, InvalidResponseError, 1),
        ({"token": "tökén"}, InvalidResponseError, 1),
        (302, InvalidResponseError, 1),
    ],
)
@pytest.mark.usefixtures("no_pauses")
async def test_a_login_that_fails_otherwise_is_the_backends_error(
    backend: Backend, session: Session, answer: Answer, kind: type[BackendError], times: int
) -> None:
    backend.on(LOGIN, answer)

    with pytest.raises(kind, match=r"Could not log in at http://127\.0\.0\.1:\d+/rest/v1: "):
        await read(session)
    assert backend.calls == [LOGIN] * times


async def test_after_a_failure_the_next_request_tries_again(
    backend: Backend, session: Session
) -> None:
    backend.on(LOGIN, 500, 401, login_answer()).on(THING, {})

    with pytest.raises(ServerError):
        await read(session)
    with pytest.raises(AuthenticationError):
        await read(session)
    await read(session)


# Basic authentication


@pytest.mark.parametrize(
    "answer",
    [{"successful": True}, {"token": ""}, {"token": None}, {"token": 7}, 404, 405, 501],
    ids=str,
)
async def test_without_json_web_tokens_basic_authentication_is_used(
    backend: Backend, session: Session, answer: Answer
) -> None:
    backend.on(LOGIN, answer).on(THING, {})

    await read(session)
    await read(session)

    assert backend.calls == [LOGIN, THING, THING]
    assert {seen.authorization for seen in backend.seen[1:]} == {basic(USER, PASSWORD)}
    assert await session.sign_in() == LoginAnswer()


async def test_basic_only_never_logs_in(backend: Backend, transport: Transport) -> None:
    backend.on(THING, {}, 401)
    session = open_session(transport, backend.base_url, basic_only=True)

    assert await session.sign_in() == LoginAnswer()
    await read(session)
    with pytest.raises(TokenExpiredError, match="worked before"):
        await read(session)

    assert backend.calls == [THING, THING]
    assert backend.seen[0].authorization == basic(USER, PASSWORD)


@pytest.mark.parametrize("status", [401, 403])
async def test_basic_authentication_is_not_tried_where_tokens_are_known(
    backend: Backend, session: Session, status: int
) -> None:
    backend.on(LOGIN, login_answer()).on(THING, status)

    with pytest.raises(BackendError):
        await read(session)

    assert all(seen.authorization.startswith("Bearer ") for seen in backend.seen[1::2])


@pytest.mark.parametrize(
    ("password", "encoding"),
    [("plain", "ascii"), ("pässwörd£", "latin-1"), ("ÿ", "latin-1"), ("€uro", "utf-8")],
)
async def test_basic_is_latin_1_as_far_as_that_goes(
    backend: Backend, transport: Transport, password: str, encoding: str
) -> None:
    backend.on(THING, {})

    await read(open_session(transport, backend.base_url, password=password, basic_only=True))

    assert backend.seen[0].authorization == basic(USER, password, encoding)


async def test_a_password_that_is_no_text_is_refused_by_the_backend(
    backend: Backend, transport: Transport
) -> None:
    backend.on(THING, 401)

    with pytest.raises(AuthenticationError) as caught:
        await read(open_session(transport, backend.base_url, password="\ud800", basic_only=True))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("answer", [404, 405, 501, {}, {"token": None}, {"token": ""}], ids=str)
async def test_basic_authentication_nobody_asked_for_is_in_the_log_once(
    backend: Backend, session: Session, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    backend.on(LOGIN, answer).on(THING, {})
    for _ in range(3):
        await read(session)

    [record] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.name.startswith("icure_async.")
    assert "the password goes with every request" in record.getMessage()
    assert PASSWORD not in record.getMessage()


async def test_basic_authentication_that_was_asked_for_is_not_in_the_log(
    backend: Backend, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    backend.on(THING, {})
    await read(open_session(transport, backend.base_url, basic_only=True))
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


# Tokens that end


async def test_an_expired_token_is_refreshed(
    backend: Backend, session: Session, clock: Clock
) -> None:
    fresh = token(7200, name="fresh")
    backend.on(LOGIN, login_answer()).on(REFRESH, {"token": fresh}).on(THING, {})
    await read(session)
    clock.now += 3600

    await read(session)
    await read(session)

    assert backend.calls == [LOGIN, THING, REFRESH, THING, THING]
    refresh = backend.seen[2]
    assert refresh.headers["Refresh-Token"] == token(86400, name="refresh")
    assert "Authorization" not in refresh.headers
    assert refresh.body == b""
    assert backend.seen[-1].authorization == f"Bearer {fresh}"


async def test_the_refresh_token_is_kept(backend: Backend, session: Session, clock: Clock) -> None:
    backend.on(LOGIN, login_answer()).on(THING, {}).on(
        REFRESH, {"token": token(7200)}, {"token": token(10800)}
    )
    for _ in range(3):
        await read(session)
        clock.now += 3600

    assert backend.calls == [LOGIN, THING, REFRESH, THING, REFRESH, THING]


@pytest.mark.parametrize(
    "answer",
    [401, 403, 404, 500, {}, {"token": ""}, {"token": 7}, {"token": "a\nb"}, "<html>", [], 302, ""],
    ids=str,
)
async def test_a_refused_refresh_is_followed_by_a_login(
    backend: Backend, session: Session, clock: Clock, answer: Answer
) -> None:
    backend.on(LOGIN, login_answer(), login_answer(token(9999))).on(THING, {}).on(REFRESH, answer)
    await read(session)
    clock.now += 3600

    await read(session)

    assert backend.calls == [LOGIN, THING, REFRESH, LOGIN, THING]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.usefixtures("no_pauses")
async def test_a_refresh_that_fails_for_now_is_an_error_that_passes(
    backend: Backend, session: Session, clock: Clock, status: int
) -> None:
    passing = [status] * 3
    backend.on(LOGIN, login_answer()).on(THING, {}).on(REFRESH, *passing, {"token": token(9999)})
    await read(session)
    clock.now += 3600

    with pytest.raises(BackendError, match="Could not renew the session") as caught:
        await read(session)
    assert caught.value.retryable
    await read(session)

    assert backend.count(LOGIN) == 1


@pytest.mark.parametrize(
    "refresh", [token(3600, name="refresh"), "opaque", "a\nb", "", None, 7], ids=repr
)
async def test_without_a_usable_refresh_token_there_is_a_login(
    backend: Backend, session: Session, clock: Clock, refresh: object
) -> None:
    answer = {"token": token(), "refreshToken": refresh}
    backend.on(LOGIN, answer, login_answer(token(9999))).on(THING, {})
    await read(session)
    clock.now += 3600

    await read(session)

    assert backend.calls == [LOGIN, THING, LOGIN, THING]


async def test_a_token_that_cannot_be_read_is_good_for_a_minute(
    backend: Backend, session: Session, clock: Clock
) -> None:
    backend.on(LOGIN, {"token": "opaque-1"}, {"token": "opaque-2"}).on(THING, {})

    await read(session)
    clock.now += 59
    await read(session)
    clock.now += 1
    await read(session)

    assert backend.calls == [LOGIN, THING, THING, LOGIN, THING]
    assert backend.seen[2].authorization == "Bearer opaque-1"
    assert backend.seen[4].authorization == "Bearer opaque-2"


async def test_a_token_that_has_just_been_made_is_not_trusted_once_it_is_refused(
    backend: Backend, session: Session
) -> None:
    backend.on(LOGIN, {"token": "opaque-1"}, {"token": "opaque-2"}).on(THING, 401, {})

    await read(session)

    assert backend.calls == [LOGIN, THING, LOGIN, THING]


@pytest.mark.parametrize("hours", [-28, -2, 2, 28])
@pytest.mark.parametrize("tells_when_made", [True, False])
async def test_a_wrong_clock_costs_no_requests_where_the_server_does_not_tell_the_time(
    backend: Backend, session: Session, clock: Clock, hours: int, tells_when_made: bool
) -> None:
    clock.now = NOW + hours * 3600
    made: dict[str, Any] = {"iat": NOW} if tells_when_made else {}
    answer = login_answer(token(**made), token(86400, **made))
    backend.on(LOGIN, without_date(answer)).on(THING, without_date({}))

    for _ in range(20):
        await read(session)
        clock.now += 2

    assert backend.calls == [LOGIN, *[THING] * 20]


async def test_a_token_that_tells_when_it_was_made_is_renewed_when_it_ends(
    backend: Backend, session: Session, clock: Clock
) -> None:
    clock.now = NOW + 7200
    answer = login_answer(token(iat=NOW), token(86400, iat=NOW))
    backend.on(LOGIN, without_date(answer)).on(THING, without_date({}))
    backend.on(REFRESH, without_date({"token": token(7200, iat=NOW + 3600)}))
    await read(session)

    clock.now += 3599
    await read(session)
    clock.now += 1
    await read(session)

    assert backend.calls == [LOGIN, THING, THING, REFRESH, THING]


@pytest.mark.parametrize("route", [LOGIN, REFRESH])
async def test_expiry_is_told_by_the_servers_clock(
    backend: Backend, session: Session, clock: Clock, route: str
) -> None:
    """Our clock is an hour late: at the server the token of an hour ends in half an hour."""
    ahead = {"Date": formatdate(NOW + 3600, usegmt=True)}
    tokens = {"token": token(5400), "refreshToken": token(86400)}
    if route == LOGIN:
        backend.on(LOGIN, web.json_response(tokens, headers=ahead))
    else:
        backend.on(LOGIN, {**tokens, "token": "opaque"})
        backend.on(REFRESH, web.json_response(tokens, headers=ahead))
        await session.sign_in()
        clock.now += 60
    backend.on(THING, {})
    await read(session)
    before = len(backend.calls)
    clock.now += 1799
    await read(session)
    assert backend.calls[before:] == [THING]

    backend.on(REFRESH, {"token": token(9999)})
    clock.now += 1
    await read(session)

    assert backend.calls[before:] == [THING, REFRESH, THING]


async def test_a_server_whose_clock_is_behind_is_not_asked_again_and_again(
    backend: Backend, session: Session
) -> None:
    behind = {"Date": formatdate(NOW - 7200, usegmt=True)}
    backend.on(LOGIN, web.json_response(login_answer(token(-3600)), headers=behind)).on(THING, {})

    await read(session)
    await read(session)

    assert backend.calls == [LOGIN, THING, THING]


# 401


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_a_revoked_token_costs_one_login_and_one_repeat(
    backend: Backend, session: Session, method: str
) -> None:
    backend.on(LOGIN, login_answer(), login_answer(token(7200))).on(
        f"{method} /thing", 200, for_bearer(token(7200))
    )

    async def do_it() -> None:
        await session.request(method, "/thing", action="do it", body={"id": "1"})

    await do_it()
    await do_it()
    await do_it()

    thing = f"{method} /thing"
    assert backend.calls == [LOGIN, thing, thing, LOGIN, thing, thing]
    assert {seen.body for seen in backend.seen if seen.path == "/thing"} == {b'{"id":"1"}'}


async def test_headers_and_query_of_a_request_are_repeated_with_it(
    backend: Backend, session: Session
) -> None:
    queries: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        queries.append(request.query_string)
        return web.Response(status=401 if len(queries) == 1 else 200)

    backend.on(LOGIN, login_answer(), login_answer(token(7200))).on(THING, handle)

    await session.request("GET", "/thing", action="do it", query="a=1", headers={"token": "x"})

    assert queries == ["a=1", "a=1"]
    assert [seen.headers.get("token") for seen in backend.seen if seen.path == "/thing"] == [
        "x",
        "x",
    ]


async def test_a_request_is_repeated_once_and_never_more(
    backend: Backend, session: Session
) -> None:
    backend.on(LOGIN, login_answer(), login_answer(token(7200))).on(THING, 401)

    with pytest.raises(AuthenticationError, match="Could not read it: ") as caught:
        await read(session)

    assert caught.value.status == 401
    assert backend.calls == [LOGIN, THING, LOGIN, THING]


async def test_a_refused_second_login_is_what_is_reported(
    backend: Backend, session: Session
) -> None:
    backend.on(LOGIN, login_answer(), 401).on(THING, 401)

    with pytest.raises(AuthenticationError, match="Could not log in: "):
        await read(session)
    assert backend.calls == [LOGIN, THING, LOGIN]


async def test_a_backend_that_loses_its_json_web_tokens_gets_basic(
    backend: Backend, session: Session
) -> None:
    backend.on(LOGIN, login_answer(), 404).on(THING, 401, {"ok": True})

    assert await read(session) == {"ok": True}
    assert backend.seen[-1].authorization == basic(USER, PASSWORD)


# Many at once


async def many(session: Session) -> list[object]:
    tasks = (read(session) for _ in range(MANY))
    return list(await asyncio.gather(*tasks, return_exceptions=True))


@pytest.mark.parametrize(
    "answer", [login_answer(), {"token": "opaque"}, {"successful": True}], ids=range(3)
)
async def test_many_requests_share_one_login(
    backend: Backend, session: Session, answer: dict[str, object]
) -> None:
    backend.on(LOGIN, answer).on(THING, {"ok": True})

    assert await many(session) == [{"ok": True}] * MANY
    assert backend.count(LOGIN) == 1


@pytest.mark.parametrize("fresh", [token(7200), "opaque"])
async def test_many_requests_share_one_refresh(
    backend: Backend, session: Session, clock: Clock, fresh: str
) -> None:
    backend.on(LOGIN, login_answer()).on(REFRESH, {"token": fresh}).on(THING, {"ok": True})
    await session.sign_in()
    clock.now += 3600

    assert await many(session) == [{"ok": True}] * MANY
    assert (backend.count(LOGIN), backend.count(REFRESH)) == (1, 1)


@pytest.mark.parametrize("fresh", [token(7200), "opaque-2"])
async def test_many_refused_requests_share_one_login(
    backend: Backend, session: Session, fresh: str
) -> None:
    backend.on(LOGIN, login_answer(), {"token": fresh}).on(THING, for_bearer(fresh))
    await session.sign_in()

    assert await many(session) == [{"ok": True}] * MANY
    assert (backend.count(LOGIN), backend.count(THING)) == (2, 2 * MANY)


async def test_a_backend_that_gives_the_refused_token_again_is_asked_once(
    backend: Backend, session: Session
) -> None:
    backend.on(LOGIN, login_answer()).on(THING, 401)
    await session.sign_in()

    outcomes = await many(session)

    assert {type(outcome) for outcome in outcomes} == {AuthenticationError}
    assert (backend.count(LOGIN), backend.count(THING)) == (2, 2 * MANY)


async def test_a_failure_of_the_past_is_not_shared(backend: Backend, session: Session) -> None:
    backend.on(LOGIN, 500, login_answer()).on(THING, {"ok": True})
    with pytest.raises(ServerError):
        await read(session)

    assert await many(session) == [{"ok": True}] * MANY
    assert backend.count(LOGIN) == 2


async def hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


FAILING_LOGINS: list[tuple[Answer, type[Exception], int]] = [
    (401, AuthenticationError, 1),
    (403, PermissionDeniedError, 1),
    (429, TooManyRequestsError, 3),
    (500, ServerError, 1),
    (503, ServerError, 3),
    ("<html>", InvalidResponseError, 1),
    (hang_up, NetworkError, 3),
]


@pytest.mark.parametrize(
    ("answer", "kind", "times"),
    FAILING_LOGINS,
    ids=[kind.__name__ for _, kind, _ in FAILING_LOGINS],
)
@pytest.mark.parametrize("refused_first", [False, True], ids=["login", "re-login"])
@pytest.mark.usefixtures("no_pauses")
async def test_those_who_wait_share_a_failed_login(
    backend: Backend,
    session: Session,
    answer: Answer,
    kind: type[Exception],
    times: int,
    refused_first: bool,
) -> None:
    backend.on(LOGIN, login_answer()).on(THING, 401)
    if refused_first:
        await session.sign_in()
    backend.on(LOGIN, answer)
    logins = backend.count(LOGIN)

    outcomes = await many(session)

    if refused_first and kind is AuthenticationError:
        kind = TokenExpiredError  # The password was good before.
    assert {type(outcome) for outcome in outcomes} == {kind}
    assert len({str(outcome) for outcome in outcomes}) == 1
    # Each has an error of its own, with a traceback of its own.
    assert len({id(outcome) for outcome in outcomes}) == MANY
    assert backend.count(LOGIN) - logins == times


async def test_those_who_wait_learn_all_that_the_first_learns(
    backend: Backend, session: Session
) -> None:
    backend.on(
        LOGIN,
        web.json_response(
            {"message": "slow down"},
            status=429,
            headers={"Retry-After": "600", "X-Request-Id": "r-9"},
        ),
    )

    for outcome in await many(session):
        assert isinstance(outcome, TooManyRequestsError)
        assert outcome.retry_after == 600.0
        assert outcome.retryable
        assert (outcome.status, outcome.request_id) == (429, "r-9")
        assert outcome.server_message == "slow down"
    assert backend.calls == [LOGIN]


async def test_those_who_wait_do_not_each_wait_for_a_time_out(backend: Backend) -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    backend.on(LOGIN, never)
    async with open_transport(timeout=0.1) as transport:
        outcomes = await many(open_session(transport, backend.base_url))

    assert {type(outcome) for outcome in outcomes} == {RequestTimeoutError}
    assert backend.calls == [LOGIN]


async def test_a_late_401_shares_the_login_that_was_refused_meanwhile(
    backend: Backend, session: Session
) -> None:
    """The answer to the first request is still on its way when a second one is logged out."""
    gate = Gate(lambda: web.Response(status=401))
    backend.on(LOGIN, login_answer(), 401).on(THING, gate, 401)
    slow = asyncio.create_task(read(session))
    await gate.reached()
    with pytest.raises(AuthenticationError):
        await read(session)

    gate.opened.set()

    with pytest.raises(AuthenticationError, match="Could not log in: "):
        await slow
    assert backend.count(LOGIN) == 2


async def test_a_late_401_uses_the_login_that_succeeded_meanwhile(
    backend: Backend, session: Session
) -> None:
    gate = Gate(lambda: web.Response(status=401))
    backend.on(LOGIN, login_answer(), login_answer(token(7200))).on(
        THING, gate, for_bearer(token(7200))
    )
    slow = asyncio.create_task(read(session))
    await gate.reached()
    assert await read(session) == {"ok": True}

    gate.opened.set()

    assert await slow == {"ok": True}
    assert backend.count(LOGIN) == 2


# Cancellation


@pytest.mark.parametrize("step", ["login", "refresh"])
async def test_when_the_one_who_signs_in_is_cancelled_the_next_does_it(
    backend: Backend, session: Session, clock: Clock, step: str
) -> None:
    gate = Gate(web.Response)
    backend.on(THING, {"ok": True})
    if step == "login":
        backend.on(LOGIN, gate, login_answer())
    else:
        backend.on(LOGIN, login_answer()).on(REFRESH, gate, {"token": token(7200)})
        await session.sign_in()
        clock.now += 3600
    route = LOGIN if step == "login" else REFRESH
    first = asyncio.create_task(read(session))
    await gate.reached()
    others = [asyncio.create_task(read(session)) for _ in range(MANY)]
    await all_waiting()
    assert backend.count(route) == 1

    first.cancel()

    assert await asyncio.gather(*others) == [{"ok": True}] * MANY
    assert first.cancelled()
    assert backend.count(route) == 2
    gate.opened.set()


async def test_when_all_who_wait_are_cancelled_the_session_goes_on(
    backend: Backend, session: Session
) -> None:
    gate = Gate(web.Response)
    backend.on(LOGIN, gate, login_answer()).on(THING, {"ok": True})
    tasks = [asyncio.create_task(read(session)) for _ in range(MANY)]
    await gate.reached()
    await all_waiting()

    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert all(task.cancelled() for task in tasks)
    assert await read(session) == {"ok": True}
    gate.opened.set()


async def test_a_cancelled_waiter_does_not_disturb_the_login(
    backend: Backend, session: Session
) -> None:
    gate = Gate(lambda: web.json_response(login_answer()))
    backend.on(LOGIN, gate).on(THING, {"ok": True})
    first = asyncio.create_task(read(session))
    await gate.reached()
    waiter = asyncio.create_task(read(session))
    await all_waiting()

    waiter.cancel()
    await all_waiting()
    gate.opened.set()

    assert await first == {"ok": True}
    assert waiter.cancelled()
    assert backend.calls == [LOGIN, THING]


async def test_a_cancelled_login_does_not_lead_to_basic_authentication(
    backend: Backend, session: Session
) -> None:
    slow, never = Gate(lambda: web.Response(status=401)), Gate(web.Response)
    second, third = token(7200), token(7300)
    backend.on(LOGIN, login_answer(), login_answer(second), never, login_answer(third))
    backend.on(THING, slow, 401, {"ok": True}, 401, for_bearer(third))
    late = asyncio.create_task(read(session))
    await slow.reached()
    await read(session)
    cancelled = asyncio.create_task(read(session))
    await never.reached()
    cancelled.cancel()
    await all_waiting()

    slow.opened.set()
    with contextlib.suppress(AuthenticationError):
        await late
    never.opened.set()

    assert not [seen for seen in backend.seen if seen.authorization.startswith("Basic")]
    assert await read(session) == {"ok": True}


async def test_the_failure_kept_for_others_holds_on_to_nothing(
    backend: Backend, session: Session
) -> None:
    """A traceback would keep every frame behind it alive, with the objects in it."""
    backend.on(LOGIN, 401)
    with pytest.raises(AuthenticationError) as caught:
        await read(session)

    assert session._failure is not None
    assert session._failure is not caught.value
    assert session._failure.__traceback__ is None
    assert session._failure.__context__ is None


# The rest


async def test_errors_of_the_request_come_through(backend: Backend, session: Session) -> None:
    backend.on(LOGIN, login_answer()).on(THING, 404)

    with pytest.raises(NotFoundError, match="Could not read it: "):
        await read(session)
    assert backend.calls == [LOGIN, THING]


def test_the_password_is_not_in_the_repr(transport: Transport) -> None:
    assert repr(open_session(transport, "https://host/rest/v1")) == (
        f"Session(base_url='https://host/rest/v1', user_name='{USER}')"
    )


# Ending


async def test_a_session_that_has_ended_sends_nothing(backend: Backend, session: Session) -> None:
    backend.on(LOGIN, login_answer()).on(THING, {"ok": True})
    await read(session)

    successor = session.end()

    with pytest.raises(AuthenticationError, match="logged out"):
        await read(session)
    assert backend.calls == [LOGIN, THING]
    assert PASSWORD not in str(vars(session))
    # The other calls go on without another login.
    assert await read(successor) == {"ok": True}
    assert backend.count(LOGIN) == 1


@pytest.mark.parametrize("first", [LOGIN, REFRESH], ids=["login", "refresh"])
async def test_an_answer_that_comes_after_the_end_brings_no_session_back(
    backend: Backend, session: Session, clock: Clock, first: str
) -> None:
    gate = Gate(lambda: web.json_response(login_answer()))
    backend.on(THING, {"ok": True})
    if first == REFRESH:
        backend.on(LOGIN, login_answer())
        await read(session)
        clock.now += 4000
    backend.on(first, gate)
    reading = asyncio.create_task(read(session))
    await gate.reached()

    session.end()
    gate.opened.set()

    with pytest.raises(AuthenticationError, match="logged out"):
        await reading
    with pytest.raises(AuthenticationError, match="logged out"):
        await read(session)


@pytest.mark.parametrize("passed", [False, True])
async def test_a_token_whose_end_is_known_has_expired_when_that_is_past(
    backend: Backend, transport: Transport, clock: Clock, passed: bool
) -> None:
    backend.on(LOGIN, 401)
    ends = int(clock.now * 1000) + (-1 if passed else 60_000)
    session = open_session(transport, backend.base_url, token_expires_at=ends)

    with pytest.raises(AuthenticationError) as caught:
        await read(session)

    assert type(caught.value) is (TokenExpiredError if passed else AuthenticationError)
    assert PASSWORD not in str(caught.value)
