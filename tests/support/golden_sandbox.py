"""The golden world on a sandbox, with its users' APIs, and a proxy in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import attrs
import pytest

from icure_async import MedTechApi
from icure_async.models.key_question import KeyQuestion
from icure_async.sandbox import Sandbox
from icure_async.storage import KeyStorage, Storage
from tests.support.builders import builder_for
from tests.support.json_proxy import Proxy
from tests.support.seeds import PASSWORD, Json, key_pair_of, stage


async def confirm_all(_: KeyQuestion) -> bool:
    """A policy for somebody who knows all devices of the user."""
    return True


class Opener:
    """Opens APIs on one backend, all of whose requests go into the log of the test."""

    def __init__(self, url: str, world: Json, client_session: aiohttp.ClientSession) -> None:
        self._url = url
        self._world = world
        self._client_session = client_session

    async def golden(self, name: str, *, url: str | None = None) -> MedTechApi:
        """A golden user's API with its key pair in use."""
        user = self._world["users"][name]
        api = await self.plain(user["login"], user["token"], url=url)
        await api.init_user_crypto(key_pair_of(self._world, name))
        return api

    async def plain(
        self,
        login: str,
        password: str = PASSWORD,
        *,
        url: str | None = None,
        key_storage: KeyStorage | None = None,
        storage: Storage | None = None,
        public_key_policy: Callable[[KeyQuestion], Awaitable[bool]] | None = None,
    ) -> MedTechApi:
        """An API before ``init_user_crypto``."""
        builder = builder_for(url or self._url, login, password).with_client_session(
            self._client_session
        )
        if key_storage is not None:
            builder.with_key_storage(key_storage)
        if storage is not None:
            builder.with_storage(storage)
        if public_key_policy is not None:
            builder.with_public_key_policy(public_key_policy)
        return await builder.build()


@attrs.define
class Backend:
    """The patients on a sandbox, for tests that change them behind everybody's back."""

    sandbox: Sandbox
    session: aiohttp.ClientSession

    async def patient(self, patient_id: str) -> Json:
        stored = await self.sandbox.stored("patient", patient_id)
        assert stored is not None
        return stored

    async def change(self, patient_id: str, **members: Any) -> None:
        master = self.sandbox.master_hcp
        async with self.session.put(
            f"{self.sandbox.icure_url}/patient",
            json=await self.patient(patient_id) | members,
            headers={"Authorization": aiohttp.encode_basic_auth(master.login, master.password)},
        ) as answer:
            assert answer.status == 200, await answer.text()


@pytest.fixture
def seed(world: dict[str, Any]) -> dict[str, Any]:
    """The seed of a test's sandbox; tests that need more override it."""
    return stage(world)


@pytest.fixture
async def sandbox(seed: dict[str, Any]) -> AsyncIterator[Sandbox]:
    async with Sandbox(seed=seed, jwt=False) as running:
        yield running


@pytest.fixture
def opener(
    sandbox: Sandbox, world: dict[str, Any], client_session: aiohttp.ClientSession
) -> Opener:
    return Opener(sandbox.icure_url, world, client_session)


@pytest.fixture
async def proxy(sandbox: Sandbox) -> AsyncIterator[Proxy]:
    async with Proxy(sandbox) as running:
        yield running


@pytest.fixture
def backend(sandbox: Sandbox, client_session: aiohttp.ClientSession) -> Backend:
    return Backend(sandbox, client_session)
