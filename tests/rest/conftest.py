from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from icure_async.rest.transport import Transport
from tests.support.loopback import Backend, Clock, open_transport


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def transport(clock: Clock) -> AsyncIterator[Transport]:
    async with open_transport(clock=clock) as opened:
        yield opened


@pytest.fixture
async def backend(clock: Clock) -> AsyncIterator[Backend]:
    async with Backend(clock) as running:
        yield running
