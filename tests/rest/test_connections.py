"""The waits of a request: how long, for what, and in which event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import anyio
import anyio.to_thread
import pytest
from aiohttp import web

from icure_async import MedTechApiBuilder
from icure_async.errors import ConfigurationError, NetworkError, RequestTimeoutError
from icure_async.rest.connection import Connection, ConnectionOptions
from icure_async.rest.transport import Request, Transport
from icure_async.threads import PARSING
from tests.support.loopback import Backend, open_session, open_transport


def at(backend: Backend, method: str = "GET") -> Request:
    return Request(
        action="read it",
        method=method,
        url=backend.base_url + "/thing",
        repeatable=method == "GET",
    )


def slow(seconds: float) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(seconds)
        return web.json_response({})

    return answer


async def test_a_thousand_calls_over_four_connections_time_out_no_more_than_one_after_the_other(
    backend: Backend,
) -> None:
    backend.on("GET /thing", slow(0.02))
    async with open_transport(timeout=2, options=ConnectionOptions(limit=4)) as transport:
        responses = await asyncio.gather(*(transport.send(at(backend)) for _ in range(1000)))

    # It took more than twice the time limit.
    assert {response.status for response in responses} == {200}
    assert backend.count("GET /thing") == 1000


@pytest.mark.parametrize(
    "limits", [{"limit": 2}, {"limit": 100, "limit_per_host": 2}, {"limit": 0, "limit_per_host": 2}]
)
async def test_the_limits_of_a_callers_session_are_no_silence_of_the_server_either(
    backend: Backend, limits: dict[str, int]
) -> None:
    backend.on("GET /thing", slow(0.05))
    connector = aiohttp.TCPConnector(**limits)  # type: ignore[arg-type]
    async with aiohttp.ClientSession(connector=connector) as session:
        # Two API objects, which know nothing of each other.
        transports = [Transport(Connection(session), timeout=0.5) for _ in range(2)]
        await asyncio.gather(
            *(transport.send(at(backend)) for _ in range(20) for transport in transports)
        )
    assert backend.count("GET /thing") == 40


@pytest.mark.parametrize("limit", [1, 3])
async def test_there_are_no_more_connections_than_the_limit(backend: Backend, limit: int) -> None:
    at_once = most = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return web.json_response({})

    backend.on("GET /thing", answer)
    async with open_transport(options=ConnectionOptions(limit=limit)) as transport:
        await asyncio.gather(*(transport.send(at(backend)) for _ in range(20)))
    assert most == limit


async def test_a_cancelled_wait_for_a_connection_gives_up_its_place(backend: Backend) -> None:
    backend.on("GET /thing", slow(0.05))
    async with open_transport(options=ConnectionOptions(limit=1)) as transport:
        tasks = [asyncio.create_task(transport.send(at(backend))) for _ in range(20)]
        await asyncio.sleep(0.02)
        for task in tasks[1:-1]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert (await transport.send(at(backend))).status == 200
    assert [type(outcome).__name__ for outcome in done] == [
        "Response",
        *["CancelledError"] * 18,
        "Response",
    ]
    assert backend.count("GET /thing") == 3


async def test_a_server_that_is_silent_is_a_time_out_of_what_was_sent(backend: Backend) -> None:
    backend.on("POST /thing", slow(5))
    async with open_transport(timeout=0.1) as transport:
        with pytest.raises(RequestTimeoutError, match="no answer within") as caught:
            await transport.send(at(backend, "POST"))
    assert caught.value.maybe_processed


async def test_a_connection_that_is_not_made_in_time_means_that_nothing_was_sent(
    backend: Backend,
) -> None:
    class Slow(aiohttp.TCPConnector):
        async def connect(self, *args: Any, **kwargs: Any) -> Any:
            try:
                async with asyncio.timeout(kwargs["timeout"].connect):
                    await asyncio.sleep(5)
            except TimeoutError:
                raise aiohttp.ConnectionTimeoutError from None

    async with aiohttp.ClientSession(connector=Slow()) as session:
        transport = Transport(Connection(session), timeout=1)
        with pytest.raises(RequestTimeoutError, match="no connection in time") as caught:
            await transport.send(at(backend, "POST"))
    assert not caught.value.maybe_processed
    assert backend.seen == []


async def test_hosts_are_looked_up_although_the_application_has_used_up_its_threads(
    backend: Backend,
) -> None:
    backend.on("GET /thing", {})
    request = Request(
        action="read it",
        method="GET",
        url=backend.base_url.replace("127.0.0.1", "localhost") + "/thing",
        repeatable=True,
    )
    let_go = threading.Event()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as executor:
        loop.set_default_executor(executor)
        blocked = asyncio.create_task(asyncio.to_thread(let_go.wait, 20))
        try:
            async with open_transport() as transport, asyncio.timeout(10):
                assert (await transport.send(request)).status == 200
        finally:
            let_go.set()
        await blocked


async def test_building_needs_no_thread_of_the_applications(backend: Backend) -> None:
    limiter = anyio.to_thread.current_default_thread_limiter()
    let_go = threading.Event()
    async with anyio.create_task_group() as group:
        for _ in range(int(limiter.total_tokens)):
            group.start_soon(anyio.to_thread.run_sync, let_go.wait, 20)
        try:
            await anyio.wait_all_tasks_blocked()
            assert limiter.available_tokens == 0
            async with asyncio.timeout(10):
                building = MedTechApiBuilder().with_icure_base_url(backend.base_url)
                await (await building.with_user_name("u").with_password("p").build()).aclose()
        finally:
            let_go.set()


# Another event loop


def in_a_loop_that_is_over() -> tuple[Transport, Connection]:
    async def make() -> tuple[Transport, Connection]:
        connection = Connection().acquire()
        return Transport(connection), connection

    return asyncio.run(make())


async def use(transport: Transport, backend_url: str) -> None:
    session = open_session(transport, backend_url)
    with pytest.raises(ConfigurationError, match="This API object was made in another event loop"):
        await session.request("GET", "/thing", action="read it")
    with pytest.raises(ConfigurationError, match=r"asyncio\.run\(\); or use icure_sync"):
        await session.sign_in()
    with pytest.raises(ConfigurationError, match="another event loop"):
        await transport.send(
            Request(action="read it", method="GET", url=backend_url + "/thing", once=True)
        )


def test_another_asyncio_run_is_refused_in_our_words() -> None:
    transport, connection = in_a_loop_that_is_over()

    asyncio.run(use(transport, "http://127.0.0.1:9"))
    asyncio.run(connection.release())

    assert connection.client_session.closed


async def test_the_loop_of_another_thread_is_refused_while_ours_goes_on(
    backend: Backend, transport: Transport
) -> None:
    backend.on("GET /thing", {})
    await asyncio.to_thread(asyncio.run, use(transport, backend.base_url))
    assert backend.seen == []
    assert (await transport.send(at(backend))).status == 200


async def test_a_connection_may_be_let_go_from_another_thread(backend: Backend) -> None:
    backend.on("GET /thing", {})
    connection = Connection().acquire()
    await Transport(connection).send(at(backend))

    await asyncio.to_thread(asyncio.run, connection.release())

    for _ in range(100):
        if connection.client_session.closed:
            break
        await asyncio.sleep(0.01)
    assert connection.client_session.closed


def step(coroutine: Coroutine[Any, Any, object]) -> object:
    """Run a coroutine that waits for nothing, with no event loop at all, as trio would."""
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


def test_no_event_loop_of_asyncios_is_refused_in_our_words() -> None:
    transport, connection = in_a_loop_that_is_over()

    async def call() -> None:
        with pytest.raises(ConfigurationError, match="needs a running event loop of asyncio's"):
            await transport.send(
                Request(action="read it", method="GET", url="http://127.0.0.1:9", once=True)
            )

    step(call())
    asyncio.run(connection.release())


# A session that the caller closes


async def test_a_session_that_is_closed_under_a_request_is_said_to_be_the_callers(
    backend: Backend,
) -> None:
    arrived = asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.sleep(5)
        return web.Response()

    backend.on("POST /thing", never)
    session = aiohttp.ClientSession()
    transport = Transport(Connection(session))
    sending = asyncio.create_task(transport.send(at(backend, "POST")))
    await arrived.wait()

    await session.close()

    with pytest.raises(
        NetworkError, match=r"with_client_session\(\) was closed during the call"
    ) as caught:
        await sending
    assert caught.value.maybe_processed


async def test_a_session_that_is_closed_between_attempts_is_said_to_be_closed(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = aiohttp.ClientSession()

    async def pause(seconds: float) -> None:
        await session.close()

    monkeypatch.setattr("icure_async.rest.retries.pause", pause)
    backend.on("GET /thing", 503)
    with pytest.raises(ConfigurationError, match=r"with_client_session\(\) is closed"):
        await Transport(Connection(session)).send(at(backend))


@pytest.mark.parametrize("error", [RuntimeError("Connection closed."), AssertionError()])
@pytest.mark.usefixtures("no_pauses")
async def test_no_runtime_error_of_aiohttps_reaches_the_caller(
    backend: Backend, error: Exception
) -> None:
    async def fail(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        raise error

    async with aiohttp.ClientSession(middlewares=[fail]) as session:
        with pytest.raises(NetworkError, match=type(error).__name__):
            await Transport(Connection(session)).send(at(backend))


def test_each_event_loop_has_threads_of_its_own_for_large_answers() -> None:
    async def where() -> int:
        return await PARSING.run(threading.get_ident)

    assert asyncio.run(where()) != threading.get_ident()
    assert asyncio.run(where()) != threading.get_ident()
