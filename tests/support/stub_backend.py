"""A backend of today that knows nothing but logins, data owners and their stubs."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.loopback import NOW, login_answer, token
from tests.support.seeds import Json

TYPES = {"hcparty": "hcp", "patient": "patient", "device": "device"}
STUB_MEMBERS = frozenset(
    {
        "id", "rev", "hcPartyKeys", "aesExchangeKeys", "transferKeys", "privateKeyShamirPartitions",
        "publicKey", "publicKeysForOaepWithSha256", "parentId", "cryptoActorProperties",
    }
)  # fmt: skip

Hook = Callable[[], Awaitable[None]]
Change = Callable[[Any], Any]


class StubBackend:
    """Data owners in memory; each login is the id of one.

    Attributes:
        owners: id → kind and document, as they are stored.
        requests: each one as "METHOD /path", below /rest/v2.
        bodies: of the writes.
        before: called once before a request is carried out, by request.
        after: changes the answer to a request, once.
    """

    def __init__(self) -> None:
        self.owners: dict[str, tuple[str, Json]] = {}
        self.requests: list[str] = []
        self.bodies: list[Any] = []
        self.before: dict[str, Hook] = {}
        self.after: dict[str, Change] = {}
        self.users: dict[str, Json] = {}
        self._current = ""
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._server = TestServer(app)

    async def __aenter__(self) -> Self:
        await self._server.start_server(access_log=None)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def add(self, kind: str, owner_id: str, **members: Any) -> Json:
        document = {"id": owner_id, "rev": "1-a", "firstName": "A", **members}
        self.owners[owner_id] = kind, document
        return document

    def document(self, owner_id: str) -> Json:
        return self.owners[owner_id][1]

    def take(self) -> list[str]:
        taken = [line for line in self.requests if "/auth/" not in line and "/user/" not in line]
        self.requests.clear()
        return taken

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/rest/v2")
        assert path != request.path, f"{request.path} is not of today"
        line = f"{request.method} {path}"
        self.requests.append(line)
        body = await request.json() if request.can_read_body else None
        if line in self.before:
            await self.before.pop(line)()
        if request.method == "PUT":
            self.bodies.append(body)
        status, answer = self._answer(line, path.strip("/").split("/"), body)
        if status == 200 and line in self.after:
            changed = self.after.pop(line)(copy.deepcopy(answer))
            if changed is None:
                assert request.transport is not None
                request.transport.close()
            answer = changed
        return web.json_response(answer, status=status)

    def _answer(self, line: str, path: list[str], body: Any) -> tuple[int, Any]:
        match [line.partition(" ")[0], *path]:
            case ["POST", "auth", "login"]:
                self._current = body["username"]
                access = token(exp=int(NOW + 86400), tac=20)
                return 200, login_answer(access, access)
            case ["GET", "user", "matches"]:
                return 404, {"message": "no such endpoint"}
            case ["GET", "user", "current"]:
                return 200, self._user()
            case ["GET", "dataowner", "current"]:
                return 200, self._typed(self._current, "dataOwner")
            case ["GET", "dataowner", "stub", owner_id]:
                return self._found(owner_id, "stub")
            case ["GET", "dataowner", owner_id]:
                return self._found(owner_id, "dataOwner")
            case ["GET", _, _, "aesExchangeKeys"]:
                return 200, {}
            case ["PUT", "dataowner", "stub"]:
                return self._put_stub(body)
            case ["PUT", "patient"]:
                return self._put(body)
            case _:
                return 404, {"message": "no such endpoint"}

    def _user(self) -> Json:
        kind, _ = self.owners[self._current]
        member = {"hcparty": "healthcarePartyId", "patient": "patientId", "device": "deviceId"}
        user = {"id": f"user-{self._current}", "rev": "1-u", "login": self._current}
        return user | {member[kind]: self._current} | self.users.get(self._current, {})

    def _found(self, owner_id: str, member: str) -> tuple[int, Any]:
        if owner_id not in self.owners:
            return 404, {"message": "no such data owner"}
        return 200, self._typed(owner_id, member)

    def _typed(self, owner_id: str, member: str) -> Json:
        kind, document = self.owners[owner_id]
        shown = (
            {name: value for name, value in document.items() if name in STUB_MEMBERS}
            if member == "stub"
            else document
        )
        return {"type": TYPES[kind], member: copy.deepcopy(shown)}

    def _put_stub(self, body: Json) -> tuple[int, Any]:
        stub = body["stub"]
        assert body.keys() == {"type", "stub"}
        assert stub.keys() <= STUB_MEMBERS | {"fromTheFuture"}
        kind, document = self.owners[stub["id"]]
        assert TYPES[kind] == body["type"]
        if stub["rev"] != document["rev"]:
            return 409, {"message": "stale"}
        others = {name: value for name, value in document.items() if name not in STUB_MEMBERS}
        self.owners[stub["id"]] = kind, {**others, **stub, "rev": _next(stub["rev"])}
        return 200, self._typed(stub["id"], "stub")

    def _put(self, body: Json) -> tuple[int, Any]:
        kind, document = self.owners[body["id"]]
        if body["rev"] != document["rev"]:
            return 409, {"message": "stale"}
        self.owners[body["id"]] = kind, {**body, "rev": _next(body["rev"])}
        return 200, copy.deepcopy(self.document(body["id"]))


def _next(rev: str) -> str:
    return f"{int(rev.partition('-')[0]) + 1}-a"
