"""Who plays in these tests, and a proxy that plays tricks between the SDK and the sandbox."""

from __future__ import annotations

import asyncio
import copy
import functools
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import aiohttp
import attrs
from aiohttp import web

from icure_async import KeyPair, MedTechApi, MedTechApiBuilder
from icure_async.models.key_question import KeyQuestion
from icure_async.sandbox import Sandbox
from icure_async.storage import KeyStorage, Storage

Json = dict[str, Any]

PASSWORD = "correct horse battery staple"


async def confirm_all(_: KeyQuestion) -> bool:
    """A policy for somebody who knows all devices of the user."""
    return True


def key_pair_of(world: Json, name: str) -> KeyPair:
    """The newest key pair of a golden user."""
    pair = world["users"][name]["keyPairs"][-1]
    return KeyPair(pair["publicKey"], pair["privateKey"])


def stage(world: Json, name: str = "1-shared") -> Json:
    """A copy of a golden stage, with a master, to be edited and used as a seed."""
    copied: Json = copy.deepcopy(world["stages"][name])
    for kind, entities in copy.deepcopy(_master()["entities"]).items():
        copied["entities"].setdefault(kind, {}).update(entities)
    return copied


@functools.cache
def _master() -> Json:
    """A sandbox with nothing but its master; making the key of one takes a while."""

    async def export() -> Json:
        async with Sandbox(jwt=False) as sandbox:
            return await sandbox.export()

    with ThreadPoolExecutor(1) as executor:
        return executor.submit(lambda: asyncio.run(export())).result()


def add_user(seed: Json, login: str, **members: Any) -> str:
    """Add a user who logs in with `PASSWORD` to a seed."""
    user_id = f"user-{login}"
    seed["entities"]["user"][user_id] = {
        "id": user_id,
        "login": login,
        "groupId": "test-group",
        **members,
    }
    seed["tokens"][user_id] = [PASSWORD]
    return user_id


def add_hcp(seed: Json, login: str, **members: Any) -> str:
    """Add a healthcare professional without keys, and its user; return the id of the former."""
    hcp_id = f"hcp-{login}"
    seed["entities"]["hcparty"][hcp_id] = {"id": hcp_id, "firstName": "H", "lastName": "M"}
    add_user(seed, login, healthcarePartyId=hcp_id, **members)
    return hcp_id


def add_patient(seed: Json, login: str, document: Json | None = None, **members: Any) -> str:
    """Add a patient without keys, and its user; return the id of the former."""
    patient_id = f"patient-{login}"
    seed["entities"]["patient"][patient_id] = {
        "id": patient_id,
        "firstName": "Bran",
        "lastName": "Stark",
        **(document or {}),
    }
    add_user(seed, login, patientId=patient_id, **members)
    return patient_id


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
        builder = (
            MedTechApiBuilder()
            .with_icure_base_url(url or self._url)
            .with_user_name(login)
            .with_password(password)
            .with_client_session(self._client_session)
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


@attrs.define
class Exchange:
    """One request through the proxy, and its answer once there is one."""

    method: str
    path: str
    body: Any
    status: int = 0
    answer: Any = None


class ConnectionLostError(Exception):
    """Raised by a trick: the proxy drops the connection without an answer."""


Trick = Callable[[Exchange], Awaitable[None]]


class Proxy:
    """Forwards everything to a sandbox, and lets tests look at it and interfere."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._target = sandbox.icure_url.removesuffix("/rest/v1")
        self.exchanges: list[Exchange] = []
        self._before: list[tuple[str, Trick]] = []
        self._after: list[tuple[str, Trick]] = []
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._forward)
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/rest/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    def before(self, line: str, trick: Trick) -> None:
        """Play a trick once, before a request like ``"PUT /patient"`` is forwarded."""
        self._before.append((line, trick))

    def after(self, line: str, trick: Trick) -> None:
        """Play a trick once, before the answer to such a request is given."""
        self._after.append((line, trick))

    def lose(self, line: str) -> None:
        """Drop the connection once the server has done what such a request asks."""

        async def drop(_: Exchange) -> None:
            raise ConnectionLostError

        self.after(line, drop)

    def sent(self, line: str) -> list[Any]:
        """The bodies of the requests of this kind, in order."""
        return [done.body for done in self.exchanges if f"{done.method} {done.path}" == line]

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        data = await request.read()
        body = json.loads(data) if data else None
        exchange = Exchange(request.method, request.path.removeprefix("/rest/v1"), body)
        self.exchanges.append(exchange)
        try:
            await self._play(self._before, exchange)
            headers = {k: v for k, v in request.headers.items() if k.lower() in _FORWARDED}
            async with self._session.request(
                request.method, self._target + request.path_qs, data=data or None, headers=headers
            ) as answer:
                text = await answer.text()
                exchange.status = answer.status
                is_json = answer.content_type == "application/json"
                exchange.answer = json.loads(text) if is_json and text else text
            await self._play(self._after, exchange)
        except ConnectionLostError:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(exchange.answer, str):
            return web.Response(status=exchange.status, text=exchange.answer)
        return web.json_response(exchange.answer, status=exchange.status)

    async def _play(self, tricks: list[tuple[str, Trick]], exchange: Exchange) -> None:
        for trick in tricks:
            if trick[0] == f"{exchange.method} {exchange.path}":
                tricks.remove(trick)
                await trick[1](exchange)
                return


_FORWARDED = {"authorization", "content-type", "token", "refresh-token"}
