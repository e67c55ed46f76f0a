"""Files of sandboxes: sandboxes in processes of their own, and what is in their files."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import attrs

COMMAND = (sys.executable, "-m", "icure_async", "sandbox", "--port", "0")


@attrs.frozen
class SandboxProcess:
    """The command ``icure sandbox``, and the environment that it printed."""

    process: asyncio.subprocess.Process
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return self.environment["ICURE_URL"]

    @property
    def master(self) -> tuple[str, str]:
        """Login and password of the administrator."""
        return self.environment["ICURE_SANDBOX_LOGIN"], self.environment["ICURE_SANDBOX_PASSWORD"]

    async def kill(self) -> None:
        """Kill it, as ``kill -9`` does."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def sandbox_on(database: Path) -> AsyncIterator[SandboxProcess]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--database", str(database), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        environment: dict[str, str] = {}
        while "ICURE_SANDBOX_PASSWORD" not in environment:
            line = (await process.stdout.readline()).decode()
            assert line, "the sandbox did not start"
            environment.update(re.findall(r"export (\w+)=(\S+)", line))
        yield SandboxProcess(process, environment)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]


def files_next_to(path: Path) -> dict[str, bytes]:
    """Name and content of a database and of all files that SQLite keeps next to it."""
    return {file.name: file.read_bytes() for file in path.parent.glob(path.name + "*")}
