"""Connections of blocking callers: to servers, and their closing."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yarl
from aiohttp import web

from icure_async.rest.connection import ConnectionOptions
from icure_sync import InsecureConnectionWarning, MedTechApi, MedTechApiBuilder, errors
from icure_sync._runtime import run
from icure_sync.sandbox import Sandbox
from tests.support.certificates import HOST, client_context, server_context
from tests.support.loopback import NOW, Backend, login_answer
from tests.support.proxy import Proxy


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(allow_hosts=[HOST]) as running:
        yield running


def builder(url: str, login: str = "ned", password: str = "hodor") -> MedTechApiBuilder:
    return (
        MedTechApiBuilder().with_icure_base_url(url).with_user_name(login).with_password(password)
    )


def master_of(sandbox: Sandbox) -> MedTechApiBuilder:
    master = sandbox.master_hcp
    return builder(sandbox.icure_url, master.login, master.password)


@contextlib.contextmanager
def running(server: Any) -> Iterator[Any]:
    """An async server on the loop thread of icure_sync."""
    yield run(server.__aenter__)
    run(server.__aexit__, None, None, None)


class TlsServer:
    """Answers everything with nothing."""

    async def __aenter__(self) -> int:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response({"id": "ned"})

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=server_context())
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()


def test_a_proxy_and_a_private_authority_are_used() -> None:
    with (
        running(TlsServer()) as port,
        running(Proxy(port, password="ned:p@ss")) as proxy,
        builder(f"https://{HOST}")
        .with_proxy(f"http://ned:p%40ss@127.0.0.1:{proxy.port}")
        .with_ssl_context(client_context())
        .build() as api,
    ):
        assert api.user_api.get_user("ned").id == "ned"
    assert set(proxy.lines) == {f"CONNECT {HOST}:443 HTTP/1.1"}


def test_the_proxy_of_the_environment_is_used(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = sandbox.master_hcp
    with running(Proxy(yarl.URL(sandbox.icure_url).port or 0)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setattr("icure_async.cautions.given", set())
        hidden = builder(f"http://{HOST}", master.login, master.password)
        with pytest.warns(InsecureConnectionWarning, match=r"with_icure_base_url\(\)") as told:
            api = hidden.build()
        # In the SDK's own thread no frame is the caller's, and none of the SDK's is named.
        assert told[0].filename.strip("<>") == "sys"
        with api:
            assert api.user_api.get_logged_user().id == master.user_id
    assert proxy.lines[0].startswith(f"POST http://{HOST}/rest/v1/auth/login")


def test_a_proxy_that_refuses_is_said_to_be_the_trouble() -> None:
    with (
        running(Proxy(9, password="ned:right")) as proxy,
        builder(f"https://{HOST}").with_proxy(proxy.url).build() as api,
        pytest.raises(errors.NetworkError, match=r"the proxy given to with_proxy\(\) asks for"),
    ):
        api.user_api.get_logged_user()


def test_threads_share_few_connections_without_time_outs(sandbox: Sandbox) -> None:
    master = sandbox.master_hcp
    limited = master_of(sandbox).with_connection_limit(1).with_timeout(5)
    with limited.build() as api, ThreadPoolExecutor(20) as pool:
        users = list(pool.map(lambda _: api.user_api.get_user(master.user_id), range(100)))
    assert {user.id for user in users} == {master.user_id}


def test_an_answer_that_is_too_large_names_the_option(sandbox: Sandbox) -> None:
    with (
        master_of(sandbox).with_max_response_size(100).build() as api,
        pytest.raises(errors.ResponseTooLargeError, match=r"with_max_response_size\(\)"),
    ):
        api.user_api.get_logged_user()


@pytest.mark.parametrize(
    ("method", "value"),
    [("with_proxy", "proxy:1"), ("with_connection_limit", 0), ("with_ssl_context", None)],
)
def test_a_malformed_option_is_refused_at_once(method: str, value: object) -> None:
    with pytest.raises(errors.ConfigurationError, match=rf"{method}\(\)"):
        getattr(MedTechApiBuilder(), method)(value)


class Slow:
    """An answer that comes when it is let go."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.open = threading.Event()

    async def __call__(self, request: web.Request) -> web.Response:
        self.arrived.set()
        await asyncio.to_thread(self.open.wait, 10)
        return web.json_response({"id": "ned", "patientId": "p"})


@contextlib.contextmanager
def calling(
    answer: Callable[[web.Request], Awaitable[web.Response]], *, timeout: float = 10
) -> Iterator[tuple[MedTechApi, Any]]:
    """An API object, and its call in another thread."""
    with running(Backend(lambda: NOW)) as backend, ThreadPoolExecutor(1) as pool:
        backend.on("POST /auth/login", login_answer()).on("GET /user/ned", answer)
        api = builder(backend.base_url).with_timeout(timeout).build()
        yield api, pool.submit(api.user_api.get_user, "ned")


def test_close_lets_a_call_of_another_thread_finish_and_refuses_new_ones() -> None:
    slow = Slow()
    with calling(slow) as (api, call):
        assert slow.arrived.wait(10)
        closing = threading.Thread(target=api.close)
        closing.start()
        time.sleep(0.1)
        with pytest.raises(errors.ConfigurationError, match="This MedTechApi is closed"):
            api.user_api.get_user("x")
        assert closing.is_alive()
        slow.open.set()
        closing.join(10)
        assert call.result(10).id == "ned"
    api.close()


def test_close_does_not_wait_for_ever() -> None:
    slow = Slow()
    with calling(slow, timeout=0.3) as (api, call):
        assert slow.arrived.wait(10)
        api.close()
        with pytest.raises(errors.NetworkError):
            call.result(10)
        slow.open.set()


def test_an_object_is_closed_although_its_sibling_is_open(sandbox: Sandbox) -> None:
    with master_of(sandbox).build() as first, master_of(sandbox).build() as second:
        first.close()
        with pytest.raises(errors.ConfigurationError, match="This MedTechApi is closed"):
            first.user_api.get_logged_user()
        assert second.user_api.get_logged_user().id == sandbox.master_hcp.user_id


def test_the_options_are_those_of_the_other_package() -> None:
    twin = MedTechApiBuilder().with_connection_limit(7)
    connect = twin.with_icure_base_url("https://kraken.example")._inner._connect()
    assert connect.args == (None, ConnectionOptions(limit=7))  # type: ignore[attr-defined]
