"""The story, ready to be told once or several times in one test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from icure_async import AnonymousMedTechApiBuilder, MedTechApiBuilder
from icure_async.sandbox import Sandbox
from icure_async.storage import MemoryKeyStorage
from tests.support.story import Story, Teller, Told, tell


@pytest.fixture
def tell_story(
    sandbox: Sandbox,
    anonymous_builder: Callable[[], AnonymousMedTechApiBuilder],
    builder: Callable[[str, str], MedTechApiBuilder],
) -> Teller:
    async def told_to(told: Told) -> Story:
        device = MemoryKeyStorage()
        return await tell(sandbox, anonymous_builder().with_key_storage(device), builder, told=told)

    return told_to
