from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from blockbuster import blockbuster_ctx

from icure_async.sandbox import Sandbox
from tests.support.bare_client import Json, World
from tests.support.today import Today, seed_of_people


@pytest.fixture(autouse=True)
def never_blocked() -> Iterator[None]:
    """Fail when the sandbox touches files or its database in the event loop."""
    with blockbuster_ctx("icure_async.sandbox"):
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh database to copy: making its RSA keys is the slow part of a start."""
    path = tmp_path_factory.mktemp("sandbox") / "template.sqlite"

    async def make() -> None:
        async with Sandbox(database=path):
            pass

    asyncio.run(make())
    return path


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> Path:
    """A fresh database of this test's own."""
    return Path(shutil.copy(template, tmp_path / "sandbox.sqlite"))


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def world(session: aiohttp.ClientSession, fresh: Path) -> AsyncIterator[World]:
    async with Sandbox(database=fresh) as sandbox:
        yield World(sandbox, session)


@pytest.fixture
async def strict(session: aiohttp.ClientSession, fresh: Path) -> AsyncIterator[World]:
    async with Sandbox(database=fresh, profile="strict") as sandbox:
        yield World(sandbox, session)


@pytest.fixture(params=["legacy", "strict"])
async def either(
    request: pytest.FixtureRequest, session: aiohttp.ClientSession, fresh: Path
) -> AsyncIterator[World]:
    """A sandbox of each profile in turn, for what both must do."""
    async with Sandbox(database=fresh, profile=request.param) as sandbox:
        yield World(sandbox, session)


@pytest.fixture(scope="session")
def people(template: Path) -> Json:
    """A seed of people, with a master: making its RSA key is the slow part of a start."""

    async def export() -> Json:
        async with Sandbox(database=template) as sandbox:
            return await sandbox.export()

    exported, seed = asyncio.run(export()), seed_of_people()
    for kind, entities in exported["entities"].items():
        seed["entities"][kind] = {**seed["entities"].get(kind, {}), **entities}
    return seed


@pytest.fixture
async def today(session: aiohttp.ClientSession, people: Json) -> AsyncIterator[Today]:
    """People of today, in the legacy profile."""
    async with Sandbox(seed=people, jwt=False) as sandbox:
        yield Today(sandbox, session)


@pytest.fixture
async def guarded(session: aiohttp.ClientSession, people: Json) -> AsyncIterator[Today]:
    """People of today, in the strict profile."""
    async with Sandbox(seed=people, jwt=False, profile="strict") as sandbox:
        yield Today(sandbox, session)
