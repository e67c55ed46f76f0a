"""The service on aiohttp, run as the documentation says, and asked over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.example_services import (
    RunningService,
    ask_sandbox,
    code_shown_by,
    free_port,
    running_service,
    wait_for_strikes,
)
from tests.support.logins import another
from tests.support.visitors import Visitor, visiting

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE = "+32470218401"
NOTE = "My left hand hurts <b>since</b> the fight"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    log = tmp_path_factory.mktemp("aiohttp") / "log"
    port = free_port()
    async with running_service("aiohttp_service.py", port=port, log=log, environment={}) as running:
        yield running


async def ask_for_code(visitor: Visitor, service: RunningService) -> str:
    answer = await visitor.post_json(
        "/sign-in", {"phone": PHONE, "first_name": "Arya", "last_name": "Stark"}
    )
    assert answer.status == 200, answer.text
    return await code_shown_by(service.page_url, PHONE)


async def sign_in(visitor: Visitor, service: RunningService) -> str:
    code = await ask_for_code(visitor, service)
    answer = await visitor.post_json("/sign-in/code", {"code": code})
    assert answer.status == 204, answer.text
    return code


async def write(visitor: Visitor, text: str) -> str:
    answer = await visitor.post_json("/notes", {"text": text})
    assert answer.status == 201, answer.text
    return str(json.loads(answer.text)["id"])


async def readers_of(service: RunningService, note_id: str) -> set[str]:
    record = await ask_sandbox(service.page_url, f"records/patient/{note_id}")
    assert NOTE not in str(record)
    return set(record["delegations"])


async def test_a_person_signs_in_writes_shares_stops_and_comes_back(
    service: RunningService,
) -> None:
    state: dict[str, Any] = await ask_sandbox(service.page_url, "state")
    doctor_id = state["master"]["dataOwnerId"]
    async with visiting(service.url) as arya:
        code = await ask_for_code(arya, service)
        wrong = await arya.post_json("/sign-in/code", {"code": another(code)})
        assert (wrong.status, json.loads(wrong.text)["detail"]) == (422, "The code is wrong.")
        assert wrong.headers["Content-Type"].startswith("application/problem+json")
        signed_in = await arya.post_json("/sign-in/code", {"code": code})
        assert signed_in.status == 204
        assert set(arya.cookies) == {"session"}
        assert all("HttpOnly" in cookie for cookie in signed_in.cookies if "session" in cookie)

        shared = await write(arya, NOTE)
        assert doctor_id in await readers_of(service, shared)
        assert (await arya.post_json("/sharing/stop")).status == 204
        secret = await write(arya, f"{NOTE}, too")
        assert doctor_id not in await readers_of(service, secret)
        assert (await arya.post_json(f"/notes/{secret}/share")).status == 204
        assert doctor_id in await readers_of(service, secret)
        assert (await arya.post_json("/sharing/start")).status == 204

        session = arya.cookies["session"]
        assert (await arya.post_json("/sign-out")).status == 204
        assert arya.cookies == {}
        assert (await arya.get("/notes")).status == 401

        codes = [code, await sign_in(arya, service)]
        listed = json.loads((await arya.get("/notes")).text)
        assert [note["id"] for note in listed] == [secret, shared]
        assert json.loads((await arya.get(f"/notes/{shared}")).text)["text"] == NOTE
    for told in (*codes, session, PHONE[1:], NOTE):
        assert told not in service.log()


async def test_requests_of_other_pages_and_malformed_ones_are_refused(
    service: RunningService,
) -> None:
    elsewhere = [{}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
    async with visiting(service.url) as visitor:
        for headers in elsewhere:
            assert (await visitor.post_json("/sign-out", headers=headers)).status == 403
        malformed: list[object] = [[], {}, {"phone": 1, "first_name": "A", "last_name": "B"}]
        for body in malformed:
            answer = await visitor.post_json("/sign-in", body)
            assert answer.status == 422
            assert answer.headers["Cache-Control"] == "no-store"
        assert (await visitor.get("/notes/no-such-note")).status == 401
        assert (await visitor.get("/nothing")).headers["X-Content-Type-Options"] == "nosniff"


async def test_requests_under_way_are_answered_when_the_service_is_told_to_end(
    service: RunningService,
) -> None:
    async with visiting(service.url) as arya:
        await sign_in(arya, service)
        slow = {"kind": "delay", "method": "POST", "path": "/rest/v1/patient", "seconds": 1}
        await ask_sandbox(service.page_url, "faults", method="POST", body=slow)
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(write(arya, f"Note {number}")) for number in range(3)]
            await wait_for_strikes(service.page_url, 3)
            assert not any(call.done() for call in calls)
            service.terminate()
    assert len({call.result() for call in calls}) == 3
    assert await service.ended() == 0
    assert "Traceback" not in service.log()
