"""The golden world of today's clients on a sandbox, with its users' APIs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import aiohttp
import attrs

from icure_async import KeyPair, MedTechApi
from icure_async.sandbox import Sandbox
from tests.support.builders import builder_for
from tests.support.cardinal_world import CARDINAL, Audit, Reader, audit, private_keys_of
from tests.support.seeds import Json, stage

__all__ = ["TodayWorld", "of_stage"]


def of_stage(name: str) -> Json:
    """A copy of a stage of the world, as a seed."""
    return stage(CARDINAL, name)


@attrs.define
class TodayWorld:
    """A sandbox with a stage of the world, and those who work on it."""

    sandbox: Sandbox
    client_session: aiohttp.ClientSession
    url: str | None = None

    async def user(
        self, name: str, flavour: Any = "cardinal", *, encrypted: Iterable[str] = ()
    ) -> MedTechApi:
        """Return the API of a golden user, with its newest key pair in use."""
        user = CARDINAL["users"][name]
        builder = builder_for(self.url or self.sandbox.icure_url, user["login"], user["token"])
        builder.with_flavour(flavour).with_encrypted_fields(patient=encrypted)
        api = await builder.with_client_session(self.client_session).build()
        pair = user["keyPairs"][-1]
        await api.init_user_crypto(KeyPair(pair["publicKey"], pair["privateKey"]))
        return api

    async def stored(self, entity_id: str, kind: str = "patient") -> Json:
        """Return a document as it is stored."""
        entities: dict[str, dict[str, Json]] = (await self.sandbox.export())["entities"]
        return entities[kind][entity_id]

    async def read_by(self, name: str, entity_id: str, kind: str = "patient") -> Json | None:
        """Return an entity as an independent reader of a user's sees it."""
        reader = Reader((await self.sandbox.export())["entities"], *private_keys_of(name))
        return reader.read(kind, entity_id)

    async def audit(self) -> Audit:
        """Check everything that is stored by the rules of today.md."""
        return audit((await self.sandbox.export())["entities"], private_keys_of())


def owner_of(name: str) -> str:
    """The id of the data owner of a golden user."""
    return str(CARDINAL["users"][name]["dataOwnerId"])
