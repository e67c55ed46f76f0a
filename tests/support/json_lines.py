"""A process that is spoken to in JSON lines: a command each, and its answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

ANSWER_LIMIT = 16 * 1024 * 1024
CALL_TIMEOUT = 30.0
EXIT_TIMEOUT = 10.0


class CommandError(Exception):
    """The process refused or failed; ``status`` is the HTTP status where there is one."""

    def __init__(self, message: str, status: int | None = None, url: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.url = url

    def __str__(self) -> str:
        return f"{self.message} (status {self.status}, {self.url})"


class JsonLinesProcess:
    """One process.

    Attributes:
        patience: seconds to wait for an answer.
    """

    patience = CALL_TIMEOUT

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._last_id = 0
        self._log: list[str] = []
        self._log_reader = asyncio.create_task(self._read_log())

    @classmethod
    async def run(cls, *command: str, cwd: Path) -> Self:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=ANSWER_LIMIT,
        )
        return cls(process)

    async def aclose(self) -> None:
        """End the process, and fail if it did not end well."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.close()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await stdin.wait_closed()
        killed = False
        try:
            async with asyncio.timeout(EXIT_TIMEOUT):
                await stdout.read()
                await self._log_reader
                await self._process.wait()
        except TimeoutError:
            killed = True
            self._process.kill()
            await stdout.read()
            await self._log_reader
            await self._process.wait()
        if killed or self._process.returncode != 0:
            how = "did not end by itself" if killed else f"ended with {self._process.returncode}"
            raise CommandError(f"The process {how}:\n{self.log}")

    @property
    def log(self) -> str:
        return "".join(self._log)

    async def call(self, command: str, /, **arguments: object) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        self._last_id += 1
        request = {"id": self._last_id, "command": command, "arguments": arguments}
        try:
            async with asyncio.timeout(self.patience):
                stdin.write(json.dumps(request).encode("ascii") + b"\n")
                await stdin.drain()
                line = await stdout.readline()
        except (TimeoutError, ConnectionError) as error:
            self._process.kill()
            raise CommandError(f"{command} got no answer:\n{self.log}") from error
        if not line:
            await self._log_reader
            raise CommandError(f"The process ended during {command}:\n{self.log}")
        answer = json.loads(line)
        if answer["id"] != self._last_id:
            raise CommandError(f"{command} was answered out of turn: {answer}")
        if "error" in answer:
            raise CommandError(**answer["error"])
        return answer["result"]

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(65_536):
            self._log.append(chunk.decode("utf-8", "replace"))
