"""A log of the requests that go over the wire."""

from __future__ import annotations

from typing import Any

import aiohttp


class RequestLog:
    """The requests that went over the wire since the last :meth:`take`."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    async def record(
        self, session: aiohttp.ClientSession, context: Any, params: aiohttp.TraceRequestStartParams
    ) -> None:
        self._lines.append(f"{params.method} {params.url.path}")

    def take(self) -> list[str]:
        taken, self._lines = self._lines, []
        return taken
