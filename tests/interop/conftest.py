from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from icure_async.sandbox import Sandbox
from tests.support.reference_sdk import ReferenceSdk, StartReference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = Path(__file__).parent
NPM_TIMEOUT = 300


@pytest.fixture(scope="session")
def reference_package() -> Path:
    """The folder of the driver, with the pinned packages installed next to it."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        reason = f"{' and '.join(missing)} not on PATH: @icure/api cannot be run"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    modules = HERE / "node_modules"
    modules.mkdir(exist_ok=True)
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    with (HERE / ".npmrc").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        marker = modules / ".installed"
        if not marker.exists() or marker.read_text() != wanted:
            installation = subprocess.run(
                ["npm", "ci"],
                cwd=HERE,
                capture_output=True,
                text=True,
                timeout=NPM_TIMEOUT,
                check=False,
            )
            assert installation.returncode == 0, f"npm ci failed:\n{installation.stderr}"
            marker.write_text(wanted)
    return HERE


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
