from __future__ import annotations

import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from icure_async.sandbox import Sandbox
from tests.support.cardinal_package import (
    CARDINAL_DRIVER,
    MissingCardinalError,
    cardinal_python,
)
from tests.support.cardinal_sdk import CardinalSdk, StartCardinal
from tests.support.reference_package import MissingProgramError, install_reference
from tests.support.reference_sdk import ReferenceSdk, StartReference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="session")
def reference_package() -> Path:
    """The folder of the driver, with the pinned packages installed next to it."""
    try:
        return install_reference()
    except MissingProgramError as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


@pytest.fixture
async def start_reference(
    reference_package: Path,
) -> AsyncIterator[StartReference]:
    """Start a process of the reference: one that knows nothing of the others."""
    async with AsyncExitStack() as stack:

        async def start() -> ReferenceSdk:
            reference = await ReferenceSdk.start(reference_package)
            stack.push_async_callback(reference.aclose)
            return reference

        yield start


@pytest.fixture
async def reference(start_reference: StartReference) -> ReferenceSdk:
    return await start_reference()


@pytest.fixture(scope="session")
def python_with_cardinal() -> Path:
    """An interpreter that has the package of today's iCure."""
    try:
        return cardinal_python()
    except MissingCardinalError as missing:
        if os.environ.get("REQUIRE_CARDINAL") == "1":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture
async def start_cardinal(python_with_cardinal: Path) -> AsyncIterator[StartCardinal]:
    """Start a process of today's SDK: one that knows nothing of the others."""
    async with AsyncExitStack() as stack:

        async def start() -> CardinalSdk:
            cardinal = await CardinalSdk.run_driver(python_with_cardinal, CARDINAL_DRIVER)
            stack.push_async_callback(cardinal.aclose)
            return cardinal

        yield start
