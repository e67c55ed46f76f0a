"""Workers that share a PostgreSQL database, or a folder, and nothing else."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from icure_async import AnonymousMedTechApi, MedTechApiBuilder
from icure_async.sandbox import Sandbox
from icure_async.services import ApiPool, ProcessStore, SessionStore
from icure_async.storage import PostgresStorage, StorageKeyStorage
from tests.support.builders import anonymous_builder_for, builder_for
from tests.support.logins import PHONE, start, tokens_of
from tests.support.postgres import PostgresServer
from tests.support.service_worker import Stores


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    running = PostgresServer(fsync=False)
    try:
        running.start()
        yield running
    finally:
        running.close()


class Worker:
    """One of the workers, with connections of its own."""

    def __init__(self, sandbox: Sandbox, url: str) -> None:
        self._sandbox = sandbox
        self._state = PostgresStorage(url, namespace="state")
        self._keys = PostgresStorage(url, namespace="keys")
        self.processes, self.sessions = ProcessStore(self._state), SessionStore(self._state)
        self._open = AsyncExitStack()
        self.anonymous: AnonymousMedTechApi
        self.pool: ApiPool

    async def open(self) -> None:
        for storage in (self._state, self._keys):
            await storage.init()
            await self._open.enter_async_context(storage)
        keys = StorageKeyStorage(self._keys)
        builder = anonymous_builder_for(self._sandbox).with_storage(self._state)
        self.anonymous = await self._open.enter_async_context(
            builder.with_key_storage(keys).build()
        )
        user_builder = MedTechApiBuilder().with_icure_base_url(self._sandbox.icure_url)
        user_builder.with_storage(self._state).with_key_storage(keys)
        self.pool = await self._open.enter_async_context(ApiPool(user_builder))

    async def aclose(self) -> None:
        await self._open.aclose()

    async def complete(self, sign_in_id: str, code: str) -> str:
        return await self.processes.complete(sign_in_id, code, self.anonymous, self.sessions)


@pytest.fixture
async def workers(sandbox: Sandbox, server: PostgresServer) -> AsyncIterator[list[Worker]]:
    url = server.url(server.new_database())
    made = [Worker(sandbox, url) for _ in range(3)]
    for worker in made:
        await worker.open()
    yield made
    for worker in made:
        await worker.aclose()


@pytest.mark.postgres
async def test_a_code_that_all_workers_get_at_once_makes_one_session(
    sandbox: Sandbox, workers: list[Worker]
) -> None:
    first, second, third = workers
    process, code = await start(first.anonymous, sandbox)
    sign_in_id = await first.processes.add(process)
    session_ids = await asyncio.gather(
        *(worker.complete(sign_in_id, code) for worker in (*workers, *workers))
    )
    (session_id,) = {*session_ids}
    assert len(await tokens_of(sandbox)) == 1

    session = await second.sessions.get(session_id)
    assert session is not None
    async with second.pool.use(session) as api:
        assert await api.data_owner_id() == session.data_owner_id
    result = await third.sessions.sign_out(session_id, third.pool)
    assert result is not None
    assert result.token_revoked
    assert [await worker.sessions.get(session_id) for worker in workers] == [None] * 3
    assert await tokens_of(sandbox, PHONE) == {}


@pytest.mark.parametrize("stuck_at", ["icure.session.", "icure.sign_in."])
async def test_a_worker_that_is_killed_leaves_the_sign_in_to_the_one_that_waits(
    sandbox: Sandbox, tmp_path: Path, stuck_at: str
) -> None:
    """The token is made, and the session is not, or nobody knows of it."""
    urls = {
        "icure": sandbox.icure_url,
        "gateway": sandbox.msg_gw_url,
        "spec": sandbox.spec_id,
        "process": sandbox.patient_process_by_sms_id,
    }
    stores = Stores(tmp_path)
    async with stores.builder(urls).build() as api:
        process, code = await start(api, sandbox)
        sign_in_id = await stores.processes.add(process)
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.service_worker"),
            *(str(tmp_path), sign_in_id, code, json.dumps(urls), stuck_at),
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert worker.stdout is not None
            assert await worker.stdout.readline() == b"stuck\n"
            waiting = asyncio.create_task(
                stores.processes.complete(sign_in_id, code, api, stores.sessions)
            )
            for _ in range(20):
                await asyncio.sleep(0)
            assert not waiting.done()
        finally:
            worker.kill()
            assert await worker.wait() == -signal.SIGKILL
        session = await stores.sessions.get(await waiting)
    assert session is not None
    assert len(await tokens_of(sandbox)) == 1
    builder = builder_for(sandbox.icure_url, session.login, session.token)
    async with builder.with_key_storage(stores.keys).build() as users_api:
        assert len(await users_api.init_user_crypto()) == 1
