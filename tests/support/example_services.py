"""Services of ``examples``, run as a person runs them: in processes of their own."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import pytest

__all__ = [
    "EXAMPLES",
    "RunningService",
    "ask_sandbox",
    "code_shown_by",
    "example_library",
    "free_port",
    "need_libraries_of_fastapi",
    "running_service",
    "wait_for_strikes",
]

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0


class RunningService:
    """A service that listens.

    Attributes:
        url: of its first page, without a slash at the end.
    """

    def __init__(self, url: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.url = url
        self._process = process
        self._log = log

    def log(self) -> str:
        """Return all that it has written."""
        return self._log.read_text("utf-8")

    @property
    def page_url(self) -> str:
        """The page of the sandbox that the service runs on, which it prints at the start."""
        found = re.search(r"Codes arrive at (\S+)", self.log())
        assert found, self.log()
        return found[1]

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait for its end, and return its exit code."""
        async with asyncio.timeout(_STOP_SECONDS):
            return await self._process.wait()

    async def wait_until_ready(self) -> None:
        """Wait until it answers."""
        async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession() as client:
            while True:
                assert self._process.returncode is None, self.log()
                try:
                    async with client.get(f"{self.url}/health") as answer:
                        assert answer.status == 200, self.log()
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """End it, whatever it does."""
        if self._process.returncode is None:
            self.terminate()
            try:
                await self.ended()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


@asynccontextmanager
async def running_service(
    *arguments: str, port: int, log: Path, environment: Mapping[str, str]
) -> AsyncIterator[RunningService]:
    """Run ``python`` with these arguments in the folder of the examples, until the block ends."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=EXAMPLES,
            env={**os.environ, **environment, "PORT": str(port), "PYTHONUNBUFFERED": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    service = RunningService(f"http://127.0.0.1:{port}", process, log)
    try:
        await service.wait_until_ready()
        yield service
    finally:
        await service.stop()


def example_library(name: str) -> Any:
    """Return a library, or skip the test where it is missing and ``REQUIRE_EXAMPLES`` is not 1."""
    if os.environ.get("REQUIRE_EXAMPLES") == "1":
        return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{name}: install the dependency group `examples`")


def need_libraries_of_fastapi() -> None:
    """Skip the test where a library of the service on FastAPI is missing."""
    for name in ("fastapi", "uvicorn", "python_multipart"):
        example_library(name)


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def ask_sandbox(page_url: str, path: str, *, method: str = "GET", body: object = None) -> Any:
    """Return an answer of the control API of a sandbox, of which only the page is known."""
    address, _, token = page_url.partition("/#")
    headers = {"Authorization": f"Sandbox {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.request(method, f"{address}/sandbox/{path}", json=body) as answer,
    ):
        assert answer.ok, await answer.text()
        return await answer.json()


async def code_shown_by(page_url: str, phone: str) -> str:
    """Return the newest code for a phone, as the control API of a sandbox shows it."""
    messages = await ask_sandbox(page_url, f"messages?contact={quote(phone)}")
    return str(messages[-1]["code"])


async def wait_for_strikes(page_url: str, count: int) -> None:
    """Wait until the only fault of a sandbox has struck so many requests."""
    while True:
        (fault,) = await ask_sandbox(page_url, "faults")
        if fault["struck"] >= count:
            return
        await asyncio.sleep(0.05)
