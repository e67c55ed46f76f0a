from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from icure_async import KeyPair
from icure_async.models.flavour import Flavour
from icure_async.sandbox import Sandbox
from tests.support.ground import Ground, ProgramServer
from tests.support.shortcuts import make_key_pairs

PROCESSES = 2


@pytest.fixture(autouse=True)
def _shortcuts(keys_made_once: None, cheap_hashes: None) -> None:
    """Spares the slow work with keys: the tests are about the fate of keys."""


@pytest.fixture(scope="package")
def key_pairs() -> list[KeyPair]:
    return asyncio.run(make_key_pairs(9))


@pytest.fixture
async def servers() -> AsyncIterator[list[ProgramServer]]:
    """Processes in which the program runs."""
    async with contextlib.AsyncExitStack() as stack:
        started = (stack.enter_async_context(ProgramServer()) for _ in range(PROCESSES))
        yield list(await asyncio.gather(*started))


@pytest.fixture
def flavour() -> Flavour:
    """The flavour of the program, unless a test says another one."""
    return "medtech"


@pytest.fixture
def ground(
    _shortcuts: None,
    sandbox: Sandbox,
    tmp_path: Path,
    key_pairs: list[KeyPair],
    flavour: Flavour,
) -> Ground:
    return Ground(sandbox, tmp_path, key_pairs, flavour)
