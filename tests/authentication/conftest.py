from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from icure_async import AnonymousMedTechApi, AnonymousMedTechApiBuilder
from icure_async.sandbox import hashing, server
from icure_async.storage import MemoryKeyStorage, MemoryStorage


@pytest.fixture(scope="package", autouse=True)
def _same_keys_for_all_sandboxes() -> Iterator[None]:
    """Spare each sandbox the making of its master's and its signing key."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("generate_key_pair", "generate_signing_key"):
            patch.setattr(server, name, functools.cache(getattr(server, name)))
        yield


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the sandbox the hashes that are slow on purpose."""
    monkeypatch.setattr(hashing, "_scrypt", hashing._sha256)


@pytest.fixture
def key_storage() -> MemoryKeyStorage:
    """The keys on the device."""
    return MemoryKeyStorage()


@pytest.fixture
def storage() -> MemoryStorage:
    """The state on the device."""
    return MemoryStorage()


@pytest.fixture
async def anonymous(
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    key_storage: MemoryKeyStorage,
    storage: MemoryStorage,
) -> AsyncIterator[AnonymousMedTechApi]:
    """For patients, on the device."""
    builder = anonymous_builder().with_key_storage(key_storage).with_storage(storage)
    async with builder.build() as api:
        yield api
