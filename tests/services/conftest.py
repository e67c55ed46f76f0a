"""Services on a sandbox: their storages, stores and API objects."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from icure_async import AnonymousMedTechApi, MedTechApiBuilder
from icure_async.sandbox import Sandbox
from icure_async.services import ApiPool, ProcessStore, SessionStore
from icure_async.storage import MemoryKeyStorage, MemoryStorage
from tests.support.builders import anonymous_builder_for


@pytest.fixture
def storage() -> MemoryStorage:
    """The storage that all workers of the service share."""
    return MemoryStorage()


@pytest.fixture
def key_storage() -> MemoryKeyStorage:
    return MemoryKeyStorage()


@pytest.fixture
def processes(storage: MemoryStorage) -> ProcessStore:
    return ProcessStore(storage)


@pytest.fixture
def sessions(storage: MemoryStorage) -> SessionStore:
    return SessionStore(storage)


@pytest.fixture
async def anonymous_api(
    sandbox: Sandbox, storage: MemoryStorage, key_storage: MemoryKeyStorage
) -> AsyncIterator[AnonymousMedTechApi]:
    builder = anonymous_builder_for(sandbox).with_storage(storage).with_key_storage(key_storage)
    async with builder.build() as api:
        yield api


@pytest.fixture
async def pool(
    sandbox: Sandbox, storage: MemoryStorage, key_storage: MemoryKeyStorage
) -> AsyncIterator[ApiPool]:
    builder = MedTechApiBuilder().with_icure_base_url(sandbox.icure_url)
    builder.with_storage(storage).with_key_storage(key_storage)
    async with ApiPool(builder) as made:
        yield made
