"""A client in a process of its own that does and times the commands of the comparison.

It speaks as ``tests/interop/reference.mjs`` does, so that all clients are measured alike.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

Command = Callable[..., Awaitable[Any]]

# Linux counts in KiB, macOS in bytes.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Worker:
    """The commands of a client, by name.

    Attributes:
        commands: called with keyword arguments.
        requests: how many were sent so far.
    """

    def __init__(self) -> None:
        self.commands: dict[str, Command] = {"timed": self.timed, "peakMemory": self.peak_memory}
        self.requests = 0

    async def timed(self, *, command: str, each: list[dict[str, Any]], atOnce: int) -> Any:  # noqa: N803
        """Run a command with each of the arguments, and return what that cost, in seconds."""
        run = self.commands[command]
        requests = self.requests
        remaining = iter(each)
        processor, start = time.process_time(), time.perf_counter()

        async def work() -> None:
            for parameters in remaining:
                await run(**parameters)

        await asyncio.gather(*(work() for _ in range(atOnce)))
        return {
            "cpu": time.process_time() - processor,
            "wall": time.perf_counter() - start,
            "requests": self.requests - requests,
        }

    async def peak_memory(self) -> int:
        """Return the most bytes that this process has had in memory."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT

    async def serve(self) -> None:
        """Answer one command after the other until the input ends."""
        # In a thread, so that the event loop sees what happens to its connections in between.
        while line := await asyncio.to_thread(sys.stdin.readline):
            request = json.loads(line)
            result = await self.commands[request["command"]](**request["arguments"])
            print(json.dumps({"id": request["id"], "result": result}), flush=True)
