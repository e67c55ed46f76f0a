"""Streams of events: how connections are opened, kept alive, made again and closed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest
from aiohttp import WSMsgType, web
from yarl import URL

from icure_async.errors import (
    AuthenticationError,
    BadRequestError,
    ICureError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    ResponseTooLargeError,
    ServerError,
)
from icure_async.models.events import ConnectionChange, Reconnected, Reconnection, UnreadableEvent
from icure_async.rest.connection import ConnectionOptions
from icure_async.rest.event_stream import Arrival, EventStream, Timing
from icure_async.rest.proxies import Proxy as NamedProxy
from tests.support.certificates import client_context
from tests.support.event_server import (
    PATIENT,
    SUBSCRIPTION,
    TICKET_PATH,
    EventServer,
    Script,
    Time,
    close,
    event_stream,
    say,
    say_nothing,
    serving,
)
from tests.support.leaks import assert_secret_free
from tests.support.proxy import Proxy

EVENT = json.dumps(PATIENT)


async def arrivals(stream: EventStream, count: int) -> list[Arrival]:
    """Take so many arrivals."""
    taken: list[Arrival] = []
    while len(taken) < count:
        found: Sequence[Arrival] = await stream.peek(count - len(taken))
        assert found, "The stream was closed."
        stream.drop(len(found))
        taken += found
    return taken


async def test_a_connection_is_opened_as_the_reference_does() -> None:
    async with serving(say(EVENT)) as (server, stream):
        assert await arrivals(stream, 1) == [EVENT.encode()]
        assert server.seen == [
            f"GET {TICKET_PATH}",
            "GET /ws/v1/notification/subscribe;tokenid=ticket-1",
        ]
        # Neither a user name nor a sub-protocol goes along (wire-protocol.md §8).
        assert not {"Authorization", "Sec-WebSocket-Protocol"} & server.headers[1].keys()
        assert server.subscriptions == [SUBSCRIPTION]
        await stream.aclose()
        await until(lambda: server.closed == [1001])


async def until(condition: object) -> None:
    """Wait for something to happen on the other side."""
    assert callable(condition)
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_only_the_end_of_the_base_url_is_exchanged() -> None:
    """The reference exchanges the first "http" and the first "rest" that it finds."""
    async with EventServer() as server:
        server.root = "/rest/http"
        async with event_stream(server):
            assert server.seen == [
                f"GET /rest/http{TICKET_PATH}",
                "GET /rest/http/ws/v1/notification/subscribe;tokenid=ticket-1",
            ]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (400, BadRequestError),
        (200, InvalidResponseError),
        (302, InvalidResponseError),
        (500, ServerError),
    ],
)
async def test_a_refused_handshake_is_an_error_that_names_no_token(
    status: int, kind: type[ICureError]
) -> None:
    async with serving(status, start=False) as (server, stream):
        with pytest.raises(kind) as caught:
            await stream.start()
    assert "subscribe to events about patients" in str(caught.value)
    assert_secret_free(caught.value, "ticket-1", "ticket-3")
    # Nothing is tried twice but a token that was too old, which a new one replaces.
    assert server.seen.count(f"GET {TICKET_PATH}") == (2 if status == 401 else 1)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_a_refused_token_is_an_error(status: int) -> None:
    async with serving(start=False) as (server, stream):
        server.tickets = [status]
        with pytest.raises(ICureError):
            await stream.start()
    assert server.seen == [f"GET {TICKET_PATH}"]


@pytest.mark.parametrize("ticket", ["../secret", "a/b", "<html>", "x" * 300, "a?b=c", "ä"])
async def test_a_token_that_is_none_goes_into_no_url(ticket: str) -> None:
    async with serving(start=False) as (server, stream):
        server.tickets = [ticket]
        with pytest.raises(InvalidResponseError) as caught:
            await stream.start()
    assert server.seen == [f"GET {TICKET_PATH}"]
    assert ticket not in str(caught.value)


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def test_a_connection_that_breaks_in_the_handshake_is_an_error() -> None:
    async with serving(hang_up, start=False) as (server, stream):
        with pytest.raises(NetworkError, match="subscribe to events"):
            await stream.start()
    assert len(server.seen) == 2


async def test_a_redirection_is_not_followed() -> None:
    async with EventServer(say(EVENT)) as elsewhere:

        async def redirect(request: web.Request) -> web.StreamResponse:
            url = elsewhere.base_url.replace("/rest/v1", "/ws/v1/notification/subscribe")
            return web.Response(status=307, headers={"Location": url})

        async with serving(redirect, start=False) as (_server, stream):
            with pytest.raises(InvalidResponseError, match="redirection"):
                await stream.start()
        assert elsewhere.seen == []


async def close_before_a_sign(socket: web.WebSocketResponse) -> None:
    await socket.close(code=1011)


async def mute(socket: web.WebSocketResponse) -> None:
    """Leave even the protocol's own pings unanswered."""
    socket._autoping = False
    while (await socket.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED):
        pass


@pytest.mark.parametrize("code", [1003, 1007, 1008])
async def test_a_subscription_that_the_backend_refuses_is_an_error(code: int) -> None:
    async with serving(close(code), start=False) as (_server, stream):
        with pytest.raises(BadRequestError, match="Check the event types and the filter") as caught:
            await stream.start()
    assert caught.value.server_message == "the server's reason"
    assert "the server's reason" not in str(caught.value)


async def test_a_backend_that_never_says_anything_is_an_error() -> None:
    async with serving(mute, start=False, first_sign=0.05) as (server, s):
        with pytest.raises(NetworkError, match=r"said nothing for 0\.05 s"):
            await s.start()
        await until(lambda: server.open == 0)


async def test_a_ping_is_answered() -> None:
    async with serving(say("ping", EVENT)) as (server, stream):
        assert await arrivals(stream, 1) == [EVENT.encode()]
        await until(lambda: server.texts == ["pong"])


async def test_a_backend_that_stops_to_ping_is_left_for_a_new_connection() -> None:
    changes: list[ConnectionChange] = []
    time = Time()
    async with serving(say("ping"), say(EVENT), time=time, changes=changes, ping=0.05) as (
        server,
        stream,
    ):
        marker, event = await arrivals(stream, 2)
    assert isinstance(marker, Reconnected)
    assert event == EVENT.encode()
    assert [change.state for change in changes] == ["connected", "interrupted", "connected"]
    assert "said nothing for 0.05 s" in str(changes[1].error)
    assert server.closed[0] == 1001
    assert server.seen.count(f"GET {TICKET_PATH}") == 2


async def test_a_backend_that_never_pings_is_asked_for_signs_and_kept() -> None:
    async with serving(say_nothing, silence=0.01) as (server, stream):
        await asyncio.sleep(0.1)
        assert server.open == 1
        assert len(server.seen) == 2
        assert stream._error is None


async def stop_to_answer(socket: web.WebSocketResponse) -> None:
    """Answer the first of the protocol's own pings, and no other."""
    socket._autoping = False
    await socket.pong((await socket.receive()).data)
    await mute(socket)


async def test_a_backend_that_answers_no_signs_any_more_is_left() -> None:
    async with serving(stop_to_answer, say(EVENT), silence=0.1, first_sign=0.1) as (server, stream):
        marker, event = await arrivals(stream, 2)
    assert isinstance(marker, Reconnected)
    assert event == EVENT.encode()
    assert len(server.subscriptions) == 2


async def test_each_attempt_has_a_new_token_and_the_same_subscription() -> None:
    async with serving(close(1000), close(1012), say(EVENT), start=False) as (server, stream):
        with pytest.raises(NetworkError, match="closed by the server"):
            await stream.start()
        server.scripts = [one_event_then_close, one_event_then_close, say(EVENT)]
        await stream.start()
        taken = await arrivals(stream, 5)
    markers = [item for item in taken if isinstance(item, Reconnected)]
    assert len(markers) == 2
    assert len(set(server.seen[1::2])) == len(server.seen) // 2 == 4
    assert set(server.subscriptions) == {SUBSCRIPTION}


async def one_event_then_close(socket: web.WebSocketResponse) -> None:
    """Live long enough to be a connection, and no longer."""
    await socket.send_str(EVENT)
    await socket.close(code=1001)


DEATHS: dict[str, Script | int] = {
    "refused for now": 503,
    "refused for too many": 429,
    "closed at once": close(1000),
    "broken": close(1011),
}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS.keys())
async def test_waits_grow_until_a_connection_lasts(death: Script | int) -> None:
    time = Time()
    scripts = [one_event_then_close, *[death] * 4, say(EVENT)]
    async with serving(*scripts, time=time) as (server, stream):
        taken = await arrivals(stream, 3)
    assert time.waits == [1, 2, 4, 8, 16]
    assert isinstance(taken[1], Reconnected)
    assert taken[1].attempts == 5
    assert server.seen.count(f"GET {TICKET_PATH}") == 6


async def test_a_connection_that_dies_at_once_does_not_end_the_waiting() -> None:
    time = Time()
    policy = Reconnection(longest_wait=5)
    async with serving(*[one_event_then_close] * 6, say(EVENT), time=time, policy=policy) as (
        _server,
        stream,
    ):
        await arrivals(stream, 13)
    assert time.waits == [1, 2, 4, 5, 5, 5]


async def test_a_connection_that_has_lasted_begins_anew() -> None:
    time = Time(lives=61)
    async with serving(*[one_event_then_close] * 4, say(EVENT), time=time) as (_server, stream):
        await arrivals(stream, 9)
    assert time.waits == [1, 1, 1, 1]


async def test_attempts_may_be_limited() -> None:
    time = Time()
    policy = Reconnection(max_attempts=3)
    async with serving(one_event_then_close, 503, time=time, policy=policy) as (server, stream):
        await arrivals(stream, 1)
        with pytest.raises(NetworkError, match="3 attempts in a row") as caught:
            await stream.peek(1)
        # It stays so.
        with pytest.raises(NetworkError):
            await stream.peek(1)
    assert "Subscribe again" in str(caught.value)
    assert time.waits == [1, 2, 4]
    assert server.seen.count(f"GET {TICKET_PATH}") == 4


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_will_never_work_is_not_repeated(status: int) -> None:
    async with serving(one_event_then_close, status) as (server, stream):
        await arrivals(stream, 1)
        with pytest.raises((AuthenticationError, PermissionDeniedError, NotFoundError)):
            await stream.peek(1)
        assert server.seen.count(f"GET {TICKET_PATH}") == (3 if status == 401 else 2)


async def test_a_page_of_a_proxy_is_waited_out() -> None:
    async with serving(one_event_then_close, 200, 302, say(EVENT)) as (_server, stream):
        assert len(await arrivals(stream, 3)) == 3


@pytest.mark.parametrize("status", [408, 425])
async def test_a_request_that_was_not_looked_at_is_made_again(status: int) -> None:
    async with serving(one_event_then_close, status, say(EVENT)) as (_server, stream):
        assert len(await arrivals(stream, 3)) == 3


async def test_a_server_that_asks_for_a_longer_wait_gets_it() -> None:
    async def busy(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503, headers={"Retry-After": "77"})

    time = Time()
    async with serving(one_event_then_close, busy, say(EVENT), time=time) as (_server, stream):
        await arrivals(stream, 3)
    assert time.waits == [1, 77]


def test_waits_are_spread() -> None:
    policy = Reconnection(first_wait=8, longest_wait=30)
    waits = [Timing(chance=lambda: 1.0).wait_before(n, policy) for n in (1, 2, 3, 4, 10_000)]
    assert waits == [4, 8, 15, 15, 15]


async def test_what_is_no_event_is_not_lost() -> None:
    async with serving(say("garbage", b"\x00\xff", EVENT)) as (_server, stream):
        garbage, binary, event = await arrivals(stream, 3)
    assert (garbage, event) == (b"garbage", EVENT.encode())
    assert isinstance(binary, UnreadableEvent)


async def test_a_message_that_is_too_large_is_told_and_the_connection_made_again() -> None:
    async with serving(say("ping", "x" * 5000), say(EVENT), max_bytes=4096) as (_server, stream):
        large, marker, event = await arrivals(stream, 3)
    assert isinstance(large, UnreadableEvent)
    assert isinstance(large.error, ResponseTooLargeError)
    assert "with_max_response_size()" in str(large.error)
    assert isinstance(marker, Reconnected)
    assert event == EVENT.encode()


@pytest.mark.parametrize("limits", [{"max_arrivals": 10}, {"max_bytes": 1 << 20}], ids=repr)
async def test_the_backend_has_to_wait_while_the_buffer_is_full(limits: dict[str, int]) -> None:
    sent = 0
    text = "x" * 100_000

    async def flood(socket: web.WebSocketResponse) -> None:
        nonlocal sent
        while sent < 200:
            await socket.send_str(f"{sent:03}{text}")
            sent += 1
        await say_nothing(socket)

    async with serving(flood, **limits) as (_server, stream):
        await until(lambda: sent > 10)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 200
        assert len(stream._buffer) <= 11
        taken = await arrivals(stream, 200)
    # Nothing was dropped, and nothing came twice.
    assert [int(item[:3]) for item in taken if isinstance(item, bytes)] == list(range(200))


async def test_a_pause_of_the_taker_does_not_count_as_silence() -> None:
    async def slow(socket: web.WebSocketResponse) -> None:
        await socket.send_str("ping")
        for number in range(3):
            await socket.send_str(str(number))
        await say_nothing(socket)

    async with serving(slow, max_arrivals=1, ping=0.2) as (server, stream):
        await asyncio.sleep(0.4)
        assert len(server.subscriptions) == 1
        assert await arrivals(stream, 3) == [b"0", b"1", b"2"]
        assert len(server.subscriptions) == 1


async def test_a_marker_says_when_the_backend_was_last_heard_of() -> None:
    time = Time()
    async with serving(one_event_then_close, say(EVENT), time=time) as (_server, stream):
        before = int(time.now * 1000)
        _, marker, _ = await arrivals(stream, 3)
    assert isinstance(marker, Reconnected)
    assert marker.since == marker.at == before


@pytest.mark.parametrize("phase", ["ticket", "handshake", "sign", "open", "waiting"])
async def test_closing_leaves_nothing_behind_in_any_phase(phase: str) -> None:
    entered = asyncio.Event()
    hold = asyncio.Event()

    async def slow_handshake(request: web.Request) -> web.StreamResponse:
        entered.set()
        await hold.wait()
        return web.Response(status=500)

    async def slow_sign(socket: web.WebSocketResponse) -> None:
        entered.set()
        await mute(socket)

    async def normal(socket: web.WebSocketResponse) -> None:
        entered.set()
        await say_nothing(socket)

    scripts: dict[str, list[object]] = {
        "ticket": [slow_handshake],
        "handshake": [slow_handshake],
        "sign": [slow_sign],
        "open": [normal],
        "waiting": [one_event_then_close, 503],
    }

    time = Time()
    if phase == "waiting":

        async def pause(seconds: float) -> None:
            entered.set()
            await hold.wait()

        time.pause = pause  # type: ignore[method-assign]
    before = asyncio.all_tasks()
    async with EventServer(*scripts[phase]) as server:  # type: ignore[arg-type]
        ours = asyncio.all_tasks()
        async with event_stream(server, start=False, time=time) as stream:
            starting = asyncio.create_task(stream.start())
            await asyncio.wait_for(entered.wait(), 5)
            if phase in ("open", "waiting"):
                await starting
            starting.cancel()
            await asyncio.wait([starting])
        hold.set()
        await until(lambda: server.open == 0)
        left = [task for task in asyncio.all_tasks() - ours if "icure" in task.get_name()]
        assert left == []
    assert {t for t in asyncio.all_tasks() - before if "icure" in t.get_name()} == set()


@pytest.mark.parametrize("is_tls", [False, True], ids=["http", "https"])
async def test_a_proxy_and_an_authority_of_the_application_are_used(is_tls: bool) -> None:
    async with EventServer(say("ping", EVENT), tls=is_tls) as server, Proxy(server.port) as proxy:
        options = ConnectionOptions(
            proxy=NamedProxy("the proxy of this test", URL(proxy.url)),
            ssl_context=client_context(),
        )
        async with event_stream(server, options=options) as stream:
            assert await arrivals(stream, 1) == [EVENT.encode()]
            await until(lambda: server.texts == ["pong"])
        assert proxy.lines[-1].startswith("CONNECT" if is_tls else "GET http://127.0.0.1")
