"""Proxies and certificates: of the environment, and those that the application names."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest
import yarl
from aiohttp import web
from aiohttp.test_utils import TestServer

from icure_async import MedTechApiBuilder
from icure_async.errors import ConfigurationError, ICureError, NetworkError
from icure_async.rest.connection import ConnectionOptions
from icure_async.rest.proxies import EnvironmentProxies, is_loopback
from icure_async.rest.proxies import Proxy as ProxyOption
from icure_async.rest.transport import Request, Transport
from icure_async.sandbox import Sandbox
from tests.support.builders import builder_for
from tests.support.certificates import HOST, authority_file, client_context, server_context
from tests.support.leaks import logged, printed
from tests.support.loopback import Backend, open_transport
from tests.support.proxy import Proxy

PASSWORD = "p@ss:w/rd"
USER_INFO = "ned:p%40ss%3Aw%2Frd"
PLAIN_URL = f"http://{HOST}/rest/v1"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def tls_server() -> AsyncIterator[TestServer]:
    """A server with a certificate of a private authority; nothing resolves its name."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"host": request.host, "headers": dict(request.headers)})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=server_context())
    yield server
    await server.close()


def with_tls(proxy: str | None = None) -> ConnectionOptions:
    chosen = options(proxy) if proxy else ConnectionOptions()
    return attrs.evolve(chosen, ssl_context=client_context())


def options(proxy: str) -> ConnectionOptions:
    return ConnectionOptions(proxy=ProxyOption.parse(proxy, source="x", name="the proxy of ours"))


async def read(transport: Transport, url: str = f"https://{HOST}/thing") -> dict[str, object]:
    request = Request(action="read it", method="GET", url=url, repeatable=True)
    return (await transport.send(request)).raise_for_status().json_object()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_a_backend_that_only_the_proxy_of_the_environment_can_reach_is_reached(
    tls_server: TestServer, monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    assert tls_server.port
    async with Proxy(tls_server.port) as proxy:
        monkeypatch.setenv(variable, f"{scheme}127.0.0.1:{proxy.port}\n")
        async with open_transport(
            options=ConnectionOptions(ssl_context=client_context())
        ) as opened:
            assert (await read(opened))["host"] == HOST
            assert (await read(opened))["host"] == HOST
    # One tunnel serves both.
    assert proxy.lines == [f"CONNECT {HOST}:443 HTTP/1.1"]


async def test_plain_requests_go_by_http_proxy(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.on("GET /thing", {"ok": True})
    async with Proxy(yarl.URL(backend.root_url).port or 0) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with open_transport() as transport:
            assert await read(transport, PLAIN_URL + "/thing") == {"ok": True}
    assert proxy.lines == [f"GET {PLAIN_URL}/thing HTTP/1.1"]


@pytest.mark.parametrize(
    "excepted",
    [
        "*",
        HOST,
        "HOSPITAL.example",
        ".hospital.example",
        f"other, {HOST}:443 ",
        "x,hospital.example",
    ],
)
def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch, excepted: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert EnvironmentProxies().of(yarl.URL(f"https://{HOST}/x")) is None


@pytest.mark.parametrize("excepted", ["", "other", "ospital.example", f"{HOST}:80", "10.0.0.0/8"])
def test_other_hosts_go_by_the_proxy(monkeypatch: pytest.MonkeyPatch, excepted: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    proxy = EnvironmentProxies().of(yarl.URL(f"https://{HOST}/x"))
    assert proxy is not None
    assert proxy.url.host == "proxy.example"


@pytest.mark.parametrize(
    ("url", "excepted"),
    [
        ("https://10.1.2.3/", "10.0.0.0/8"),
        ("https://10.1.2.3/", "10.1.2.3"),
        ("https://[2001:db8::1]:8443/", "[2001:db8::1]"),
        ("https://[2001:db8::1]:8443/", "2001:db8::/32"),
        ("https://127.0.0.1:16044/", ""),
        ("https://[::1]:16044/", ""),
        ("https://localhost/", ""),
        ("https://icure.localhost/", ""),
    ],
)
def test_addresses_are_excepted(monkeypatch: pytest.MonkeyPatch, url: str, excepted: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert EnvironmentProxies().of(yarl.URL(url)) is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST.", "a.localhost"]
)
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "localhost.example", "icure_backend", "", "0.0.0.0"])
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "value",
    [
        "ftp://ned:hodor@proxy",
        "http://",
        "http://ned:hodor@proxy:99999",
        "http://ned:hodor@proxy/x",
    ],
)
async def test_a_malformed_variable_is_named_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    async with open_transport() as transport:
        with pytest.raises(ConfigurationError, match="variable HTTPS_PROXY") as caught:
            await read(transport)
    assert "hodor" not in printed(caught.value)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4"])
def test_socks_is_said_not_to_be_supported(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match="SOCKS proxy, which is not supported"):
        MedTechApiBuilder().with_proxy(f"{scheme}://ned:hodor@proxy:1080")


@pytest.mark.parametrize(
    "proxy",
    [
        *("", "proxy:3128", "ftp://proxy", "http://", "http://ned:hodor@proxy?x=1", None, 3128),
        *("http://ned:hodor@proxy#x", "http://ned:hodor@proxy:x", "http://ned:hodor@proxy\n"),
    ],
)
def test_a_malformed_proxy_is_refused_and_not_quoted(proxy: object) -> None:
    with pytest.raises(ConfigurationError, match=r"with_proxy\(\)") as caught:
        MedTechApiBuilder().with_proxy(proxy)  # type: ignore[arg-type]
    assert "hodor" not in printed(caught.value)


async def test_the_proxy_that_is_named_wins_and_gets_its_password(
    tls_server: TestServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    assert tls_server.port
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    async with Proxy(tls_server.port, password=f"ned:{PASSWORD}") as proxy:
        url = f"http://{USER_INFO}@127.0.0.1:{proxy.port}"
        async with open_transport(options=with_tls(url)) as transport:
            seen = await read(transport)
    assert proxy.lines == [f"CONNECT {HOST}:443 HTTP/1.1"]
    assert "Proxy-Authorization" not in json.dumps(seen)
    assert "w/rd" not in logged(caplog.records)
    assert "w%2Frd" not in logged(caplog.records)


async def test_a_password_goes_to_the_proxy_with_plain_requests_too(backend: Backend) -> None:
    backend.on("GET /thing", {"ok": True})
    port = yarl.URL(backend.root_url).port or 0
    async with Proxy(port, password=f"ned:{PASSWORD}") as proxy:
        url = f"http://{USER_INFO}@127.0.0.1:{proxy.port}"
        async with open_transport(options=options(url)) as transport:
            assert await read(transport, backend.base_url + "/thing") == {"ok": True}
    assert len(proxy.heads) == 1


@pytest.mark.parametrize("url", [f"https://{HOST}/thing", PLAIN_URL + "/thing"])
@pytest.mark.usefixtures("no_pauses")
async def test_a_proxy_that_wants_a_password_says_so(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with Proxy(9, password="ned:right") as proxy:
        wrong = f"http://ned:hodor@127.0.0.1:{proxy.port}"
        async with open_transport(options=options(wrong)) as transport:
            with pytest.raises(
                NetworkError, match="the proxy of ours asks for a user name"
            ) as caught:
                await read(transport, url)
    assert not caught.value.maybe_processed
    assert len(proxy.heads) == 1
    for text in (printed(caught.value), logged(caplog.records)):
        assert "hodor" not in text
        assert "\x1b" not in text


@pytest.mark.parametrize(("status", "attempts"), [(403, 1), (502, 3), (503, 3)])
@pytest.mark.usefixtures("no_pauses")
async def test_a_proxy_that_does_not_connect_is_said_to_be_the_trouble(
    status: int, attempts: int
) -> None:
    async with (
        Proxy(9, status=status) as proxy,
        open_transport(options=options(proxy.url)) as opened,
    ):
        with pytest.raises(
            NetworkError, match=rf"the proxy of ours makes no connection.*HTTP {status}"
        ) as caught:
            await read(opened)
    assert not caught.value.maybe_processed
    assert len(proxy.heads) == attempts
    assert "Forged" not in printed(caught.value)


@pytest.mark.parametrize("proxy", ["http://ned:hodor@127.0.0.1:9", "http://ned:hodor@no.invalid:9"])
@pytest.mark.parametrize("url", [f"https://{HOST}/thing", PLAIN_URL + "/thing"])
@pytest.mark.usefixtures("no_pauses")
async def test_a_proxy_that_is_not_there_is_said_to_be_the_trouble(proxy: str, url: str) -> None:
    async with open_transport(options=options(proxy)) as transport:
        with pytest.raises(NetworkError, match="no connection to the proxy of ours") as caught:
            await read(transport, url)
    assert not caught.value.maybe_processed
    assert "hodor" not in printed(caught.value)


async def test_passwords_of_netrc_are_never_sent(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {HOST} login ned password hodor\ndefault login a password hodor\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text(netrc.read_text())
    backend.on("GET /thing", {})
    async with Proxy(yarl.URL(backend.root_url).port or 0) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with open_transport() as transport:
            await read(transport, PLAIN_URL + "/thing")
            request = Request(
                action="read it",
                method="GET",
                url=PLAIN_URL + "/thing",
                headers={"Authorization": "Bearer x"},
            )
            await transport.send(request)
    assert [seen.authorization for seen in backend.seen] == ["", "Bearer x"]


async def test_a_private_authority_is_trusted_where_it_is_given(tls_server: TestServer) -> None:
    url = f"https://127.0.0.1:{tls_server.port}/thing"
    async with open_transport(options=with_tls()) as transport:
        assert await read(transport, url)


@pytest.mark.usefixtures("no_pauses")
async def test_a_private_authority_is_not_trusted_by_default(tls_server: TestServer) -> None:
    url = f"https://127.0.0.1:{tls_server.port}/thing"
    async with open_transport() as transport:
        with pytest.raises(NetworkError, match=r"with_ssl_context\(\)") as caught:
            await read(transport, url)
    assert not caught.value.maybe_processed


@pytest.fixture
def master(sandbox: Sandbox) -> MedTechApiBuilder:
    return builder_for(sandbox.icure_url, sandbox.master_hcp.login, sandbox.master_hcp.password)


async def test_a_builder_takes_a_proxy(sandbox: Sandbox, master: MedTechApiBuilder) -> None:
    async with (
        Proxy(yarl.URL(sandbox.icure_url).port or 0) as proxy,
        master.with_proxy(proxy.url).build() as api,
    ):
        await api.user_api.get_logged_user()
    assert len(proxy.lines) == 1  # a kept connection
    assert sandbox.icure_url in proxy.lines[0]


COMMAND = """
import sys
from icure_async.cli import main
sys.argv = ["icure", "keys", "doctor", "--keys", sys.argv[1]]
main()
"""
LOGIN = """
import asyncio, sys
from icure_async import MedTechApiBuilder

async def main():
    builder = MedTechApiBuilder.from_env().with_user_name("ned").with_password("x")
    async with builder.build() as api:
        await api.user_api.get_logged_user()

asyncio.run(main())
"""


async def run(program: str, *arguments: object, **environment: str) -> str:
    """Return the stderr of a program."""
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )
    return ended.stderr


async def test_the_command_goes_by_the_proxy_of_the_environment(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    async with Proxy(yarl.URL(sandbox.icure_url).port or 0) as proxy:
        await run(
            COMMAND,
            tmp_path,
            HTTP_PROXY=proxy.url,
            ICURE_URL=f"http://{HOST}\n",
            ICURE_LOGIN=sandbox.master_hcp.login + "\n",
            ICURE_PASSWORD=sandbox.master_hcp.password + "\n",
        )
    assert proxy.lines[0] == f"POST http://{HOST}/rest/v1/auth/login HTTP/1.1"


async def test_the_authority_of_the_environment_is_trusted(tls_server: TestServer) -> None:
    url = f"https://127.0.0.1:{tls_server.port}"
    untrusted = await run(LOGIN, ICURE_URL=url)
    trusted = await run(LOGIN, ICURE_URL=url, SSL_CERT_FILE=str(authority_file()))
    assert "its certificate is not trusted" in untrusted
    # The server is no backend, but the program gets to read its answer.
    assert "certificate" not in trusted
    assert "gives no JSON Web Token at login" in trusted


async def test_no_error_of_a_proxy_is_outside_of_the_hierarchy() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x16\x03\x01\x00\xff nonsense \r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with open_transport(options=options(url)) as transport:
            with pytest.raises(ICureError):
                await transport.send(
                    Request(action="do it", method="POST", url=f"https://{HOST}/x", once=True)
                )
