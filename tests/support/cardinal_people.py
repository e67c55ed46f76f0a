"""The people of the golden world of today's clients, on a sandbox."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from icure_async import MedTechApi
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage, MemoryStorage
from tests.support.builders import builder_for
from tests.support.cardinal_world import CARDINAL
from tests.support.exchange_backend import pairs_of


def seed_at(stage: str) -> Any:
    """The database at a stage, with its users' tokens, as a seed."""
    return json.loads(json.dumps(CARDINAL["stages"][stage]))


@contextlib.asynccontextmanager
async def opened(
    sandbox: Sandbox,
    user: str,
    client_session: aiohttp.ClientSession | None = None,
    flavour: Flavour = "cardinal",
) -> AsyncIterator[MedTechApi]:
    """Somebody's API, with the key pairs that the world has of that person."""
    known = CARDINAL["users"][user]
    keys = MemoryKeyStorage()
    for pair in pairs_of(user):
        await keys.store_key_pair(known["dataOwnerId"], pair)
    builder = (
        builder_for(sandbox.icure_url, known["login"], known["token"])
        .with_flavour(flavour)
        .with_key_storage(keys)
        .with_storage(MemoryStorage())
    )
    if client_session is not None:
        builder = builder.with_client_session(client_session)
    async with builder.build() as api:
        await api.init_user_crypto()
        yield api
