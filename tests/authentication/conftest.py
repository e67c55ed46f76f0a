from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from icure_async import AnonymousMedTechApi, AnonymousMedTechApiBuilder
from icure_async.authentication import completion as authentication
from icure_async.storage import MemoryKeyStorage, MemoryStorage


@pytest.fixture(autouse=True)
def _shortcuts(keys_made_once: None, cheap_hashes: None) -> None:
    """These tests start many sandboxes."""


@pytest.fixture
def sign_in_pause(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds to wait for an account to appear: fewer than by default."""
    assert authentication.SIGN_IN_PAUSE_SECONDS == 1
    monkeypatch.setattr(authentication, "SIGN_IN_PAUSE_SECONDS", 0.05)
    return 0.05


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
