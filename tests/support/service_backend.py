"""A backend of a service with many users, each of whom logs in with tokens of their own."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

from icure_async import MedTechApi, MedTechApiBuilder
from icure_async.services import ApiPool, UserCredentials
from tests.support.loopback import NOW, Backend, login_answer, token


def someone(name: str, *, secret: str = "token", expires_at: int | None = None) -> UserCredentials:
    """A user of the service, whose id is ``user-NAME``."""
    return UserCredentials(
        user_id=f"user-{name}",
        login=name,
        token=f"{secret}-of-{name}",
        token_expires_at=expires_at,
    )


class ServiceBackend(Backend):
    """Logs everybody in whose token begins with ``token``, and says who they are.

    Attributes:
        logins: how often each token was used to log in.
        refused: tokens that were revoked.
        ids: user ids of those who are others than their login says.
        arrived: set when somebody logs in.
        hurdle: awaited before each login is answered.
    """

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.logins: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.ids: dict[str, str] = {}
        self.arrived = asyncio.Event()
        self.hurdle: Callable[[], Any] | None = None
        self.on("POST /auth/login", self._log_in).on("GET /user/current", self._tell)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self

    async def _log_in(self, request: web.Request) -> web.Response:
        body = json.loads(self.seen[-1].body)
        name, secret = body["username"], body["password"]
        self.logins[secret] += 1
        self.arrived.set()
        if self.hurdle is not None:
            await self.hurdle()
        if secret in self.refused:
            return web.Response(status=401)
        return web.json_response(login_answer(token(name=name), token(86400, name=name)))

    async def _tell(self, request: web.Request) -> web.Response:
        claims = request.headers["Authorization"].split(".")[1]
        name = json.loads(base64.urlsafe_b64decode(claims + "=="))["name"]
        return web.json_response({"id": self.ids.get(name, f"user-{name}"), "login": name})

    def pool(self, **options: Any) -> ApiPool:
        """A pool whose API objects need no keys."""
        builder = MedTechApiBuilder().with_icure_base_url(self.base_url).with_timeout(5)
        return ApiPool(builder, **{"start": no_keys, "_clock": lambda: NOW} | options)


async def no_keys(api: MedTechApi) -> None:
    """Start an API object without looking for keys."""


async def name_at(api: MedTechApi) -> str:
    """The id of the user of an API object, as the backend says."""
    return (await api.user_api.get_logged_user()).id
