"""The end of the service on FastAPI: nobody who has asked is left without an answer."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.example_services import (
    ask_sandbox,
    code_shown_by,
    free_port,
    need_libraries_of_fastapi,
    running_service,
    wait_for_strikes,
)
from tests.support.postgres import PostgresServer
from tests.support.visitors import visiting

PHONE = "+32470218321"
CALLS = 6


@pytest.mark.postgres
async def test_requests_under_way_are_answered_when_the_service_is_told_to_end(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    need_libraries_of_fastapi()
    database = postgres_server.url(postgres_server.new_database())
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            running_service(
                *("-m", "fastapi_service"),
                port=free_port(),
                log=tmp_path / "log",
                environment={"ICURE_DATABASE_URL": database},
            )
        )
        visitor = await stack.enter_async_context(visiting(service.url))
        await visitor.post("/sign-in", phone=PHONE, first_name="Jon", last_name="Snow")
        code = await code_shown_by(service.page_url, PHONE)
        assert (await visitor.post("/sign-in/code", code=code)).goes_to == "/notes"
        slow = {"kind": "delay", "method": "POST", "path": "/rest/v1/patient", "seconds": 2}
        await ask_sandbox(service.page_url, "faults", method="POST", body=slow)

        async with asyncio.TaskGroup() as group:
            calls = [
                group.create_task(visitor.post("/notes", text=f"Note {number}"))
                for number in range(CALLS)
            ]
            await wait_for_strikes(service.page_url, CALLS)
            assert not any(call.done() for call in calls)
            service.terminate()

        assert [call.result().status for call in calls] == [303] * CALLS
        assert await service.ended() == 0
        assert service.log().count("Application shutdown complete.") == 2
        assert "Traceback" not in service.log()
