"""A bare HTTP client of the sandbox: what any caller could send, without the SDK."""

from __future__ import annotations

import base64
import copy
import json
import uuid
from collections.abc import AsyncIterable, Mapping
from typing import Any, BinaryIO
from urllib.parse import quote

import aiohttp
import attrs
from yarl import URL

from icure_async.sandbox import Sandbox
from tests.support.golden import WORLD

Json = dict[str, Any]


def golden_stage(name: str) -> Json:
    return copy.deepcopy(WORLD["stages"][name])


def golden_user(name: str) -> Json:
    return copy.deepcopy(WORLD["users"][name])


@attrs.frozen
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


def basic(name: str, secret: str) -> dict[str, str]:
    encoded = base64.b64encode(f"{name}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@attrs.frozen
class Client:
    """One caller: a base URL and the headers that prove who it is."""

    session: aiohttp.ClientSession
    base: str
    headers: dict[str, str]

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | BinaryIO | AsyncIterable[bytes] | None = None,
    ) -> Answer:
        async with self.session.request(
            method,
            URL(self.base + path, encoded=True),
            json=body,
            data=data,
            headers={**self.headers, **(headers or {})},
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Answer(response.status, json.loads(text) if is_json else text, response.headers)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.send("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.send("POST", path, body, **options)

    async def put(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.send("PUT", path, body, **options)

    async def delete(self, path: str) -> Answer:
        return await self.send("DELETE", path)

    @property
    def standard(self) -> Client:
        """The same caller, as a client that reads today's model only."""
        return attrs.evolve(self, headers={**self.headers, "Cardinal-Model-Standard": "true"})

    async def created(self, path: str, body: Json) -> Json:
        """POST something that must be accepted."""
        answer = await self.post(path, {"id": str(uuid.uuid4()), **body})
        assert answer.status == 200, answer.body
        stored: Json = answer.body
        return stored

    async def filtered(self, path: str, query: Json, parameters: str = "") -> list[str]:
        """Ids of the rows of a filter, in their order."""
        answer = await self.post(f"{path}/filter{parameters}", {"filter": query})
        assert answer.status == 200, answer.body
        return [row["id"] for row in answer.body["rows"]]


@attrs.frozen
class World:
    """A sandbox and ways to call it as somebody."""

    sandbox: Sandbox
    session: aiohttp.ClientSession

    @property
    def anonymous(self) -> Client:
        return Client(self.session, self.sandbox.icure_url, {})

    @property
    def gateway(self) -> Client:
        url = f"{self.sandbox.msg_gw_url}/{self.sandbox.spec_id}"
        return Client(self.session, url, {})

    def with_headers(self, headers: dict[str, str]) -> Client:
        return Client(self.session, self.sandbox.icure_url, headers)

    async def login(self, name: str, secret: str) -> Client:
        answer = await self.anonymous.post("/auth/login", {"username": name, "password": secret})
        assert answer.status == 200, answer.body
        return self.with_headers(bearer(answer.body["token"]))

    @property
    def anonymous_v2(self) -> Client:
        return Client(self.session, self.sandbox.icure_v2_url, {})

    def v2(self, client: Client) -> Client:
        """The same caller, who speaks rest/v2."""
        return Client(self.session, self.sandbox.icure_v2_url, client.headers)

    async def login_v2(self, name: str, secret: str, parameters: str = "") -> Client:
        """Log in as rest/v2 does, without a switch of the group."""
        body = {"username": name, "password": secret}
        answer = await self.anonymous_v2.post(f"/auth/login{parameters}", body)
        assert answer.status == 200, answer.body
        return Client(self.session, self.sandbox.icure_v2_url, bearer(answer.body["token"]))

    async def master_v2(self) -> Client:
        master = self.sandbox.master_hcp
        return await self.login_v2(master.login, master.password)

    async def master(self) -> Client:
        master = self.sandbox.master_hcp
        return await self.login(master.login, master.password)

    async def start(
        self, contact: str, process: str | None = None, *, parameters: str = "", **fields: Any
    ) -> str:
        """Start a process and return its request id."""
        by_email = "@" in contact
        default = (
            self.sandbox.patient_process_by_email_id
            if by_email
            else self.sandbox.patient_process_by_sms_id
        )
        request_id = str(uuid.uuid4())
        answer = await self.gateway.post(
            f"/process/{process or default}/{request_id}{parameters}",
            {
                "g-recaptcha-response": "solved",
                "firstName": "Ned",
                "lastName": "Stark",
                "from": contact,
                "hcpId": self.sandbox.master_hcp.data_owner_id,
                "email" if by_email else "mobilePhone": contact,
                **fields,
            },
        )
        assert answer.status == 200, answer.body
        return request_id

    async def validate(self, request_id: str, code: str) -> Answer:
        return await self.gateway.get(f"/process/validate/{request_id}-{code}")

    async def register(self, contact: str, process: str | None = None, **fields: Any) -> Client:
        """Register a user by its contact and return it, logged in."""
        request_id = await self.start(contact, process, **fields)
        code = await self.sandbox.wait_for_code(contact)
        answer = await self.validate(request_id, code)
        assert answer.status == 200, answer.body
        return await self.login(contact, code)

    async def register_hcp(self, contact: str, **fields: Any) -> Client:
        return await self.register(contact, self.sandbox.hcp_process_by_email_id, **fields)


async def me(client: Client) -> Json:
    """The user that a client is logged in as."""
    user: Json = (await client.get("/user/current")).body
    return user


def shared_with(*owners: str) -> Json:
    """Delegations that give these data owners access."""
    return {
        "delegations": {
            owner: [{"owner": owners[0], "delegatedTo": owner, "key": "00"}] for owner in owners
        }
    }


def encoded(text: str) -> str:
    return quote(text, safe="")
