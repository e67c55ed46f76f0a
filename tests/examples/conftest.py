"""Fixtures for tests of the examples: a browser, and the service on FastAPI with two workers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from icure_async.sandbox import Sandbox
from icure_async.sandbox.control.people import SandboxPerson
from tests.support.browser import browser
from tests.support.example_services import (
    RunningService,
    free_port,
    need_libraries_of_fastapi,
    running_service,
)
from tests.support.postgres import PostgresServer

__all__ = ["browser"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backend() -> AsyncIterator[Sandbox]:
    """The sandbox that the service on FastAPI uses."""
    async with Sandbox() as sandbox:
        yield sandbox


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def doctor(backend: Sandbox) -> SandboxPerson:
    """The professional with whom people share their notes."""
    return await backend.register("professional")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(
    backend: Sandbox,
    doctor: SandboxPerson,
    postgres_server: PostgresServer,
    _postgres_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[RunningService]:
    """The service on FastAPI with two workers, as the documentation runs it."""
    need_libraries_of_fastapi()
    database = postgres_server.url(postgres_server.new_database(template=_postgres_template))
    port = free_port()
    async with running_service(
        *("-m", "uvicorn", "fastapi_service.app:app", "--workers", "2", "--port", str(port)),
        # A browser would stay with the worker that it has met first.
        *("--header", "connection:close"),
        port=port,
        log=tmp_path_factory.mktemp("service") / "log",
        environment={
            **backend.environment,
            "ICURE_DATABASE_URL": database,
            "SERVICE_SECRET": "a secret of the service that nobody knows",
            "DOCTOR_ID": doctor.data_owner_id,
            "ALLOW_HTTP": "1",
        },
    ) as running:
        yield running
