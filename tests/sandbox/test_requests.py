"""The requests that the sandbox noted: all of a backend, and nothing secret of them."""

from __future__ import annotations

import logging
import uuid

import aiohttp
import pytest

from icure_async.sandbox import Fault
from tests.support.bare_client import World, basic
from tests.support.sandbox_control import page_of

PHONE = "+32588235595"


async def test_requests_are_noted_with_status_and_shortened_ids(world: World) -> None:
    master = await world.master()
    await master.get(f"/patient/{uuid.UUID(int=7)}?secret=1")
    last = world.sandbox.requests()[-1]
    assert (last.method, last.status, last.fault) == ("GET", 404, None)
    assert last.path == "/rest/v1/patient/00000000…"
    assert last.milliseconds > 0
    assert [request.number for request in world.sandbox.requests()] == [1, 2]


async def test_no_code_is_in_a_path(world: World) -> None:
    request_id = await world.start(PHONE)
    code = await world.sandbox.wait_for_code(PHONE)
    await world.validate(request_id, code)
    await world.gateway.get(f"/process/validat/{request_id}-{code}")
    await world.gateway.get(f"/process/validate/{code}")
    await world.gateway.get(f"/process/validate/{code}/{code}")
    paths = [request.path for request in world.sandbox.requests()]
    assert paths[1] == f"/msggtw/ic/process/validate/{request_id[:8]}…-(the code)"
    assert not any(code in path for path in paths)


async def test_no_token_is_in_a_path(world: World) -> None:
    await world.session.get(f"{world.sandbox.backend_url}/ws/v1/notification/subscribe;tokenid=abc")
    await world.anonymous.get("/user/current?jwt=abc")
    await world.anonymous.get("/nowhere/abc123")
    paths = [request.path for request in world.sandbox.requests()]
    assert paths == [
        "/ws/v1/notification/subscribe",
        "/rest/v1/user/current",
        "/rest/v1/nowhere/…",
    ]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault("status", status=503), 503),
        (Fault("drop-before"), None),
        (Fault("drop-after"), None),
    ],
    ids=["status", "drop-before", "drop-after"],
)
async def test_the_fault_that_struck_a_request_is_noted(
    world: World, fault: Fault, status: int | None
) -> None:
    with world.sandbox.fault(fault):
        try:
            await world.anonymous.get("/icure/ok")
        except aiohttp.ClientError:
            assert status is None
    # A client may send a GET again that was not answered.
    noted = world.sandbox.requests()[0]
    assert (noted.fault, noted.status) == (fault.kind, status)


async def test_a_refused_page_is_noted_and_the_own_api_is_not(world: World) -> None:
    await world.anonymous.get("/icure/ok", headers={"Origin": "https://evil.example"})
    await page_of(world).get("/requests")
    assert [request.status for request in world.sandbox.requests()] == [403]


async def test_the_newest_thousand_requests_are_kept(world: World) -> None:
    for _ in range(1005):
        async with world.session.get(f"{world.sandbox.icure_url}/icure/ok"):
            pass
    requests = world.sandbox.requests()
    assert (len(requests), requests[0].number, requests[-1].number) == (1000, 6, 1005)


async def test_codes_and_the_token_of_the_page_are_not_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = world.sandbox.page_url.partition("#")[2]
    client = await world.register(PHONE)
    await client.get("/user/current")
    await page_of(world).get("/state")
    master = world.sandbox.master_hcp
    await page_of(world).get("/state", headers=basic(master.login, "wrong"))
    (message,) = world.sandbox.messages()
    assert message.code
    assert message.code not in caplog.text
    assert token not in caplog.text
    assert token not in repr(vars(world.sandbox))
