"""Callers of the sandbox's own API, and readers of its stream of events."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from tests.support.bare_client import Client, World


def page_of(world: World) -> Client:
    """The sandbox's page, which has the token."""
    token = world.sandbox.page_url.partition("#")[2]
    return Client(world.session, world.sandbox.control_url, {"Authorization": f"Sandbox {token}"})


class Stream:
    """A stream of server-sent events, as a browser reads it."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id: int | None = None

    async def next(self) -> tuple[str, Any]:
        """Return the name and the data of the next event."""
        members: dict[str, str] = {}
        async with asyncio.timeout(5):
            while True:
                line = (await self.response.content.readline()).decode()
                if not line:
                    raise EOFError
                if line == "\n" and "event" in members:
                    break
                name, _, value = line.strip().partition(": ")
                members[name] = value
        if "id" in members:
            self.last_id = int(members["id"])
        return members["event"], json.loads(members["data"])

    async def next_of(self, name: str) -> Any:
        """Return the data of the next event of this name."""
        while True:
            event, data = await self.next()
            if event == name:
                return data

    async def at_end(self) -> bool:
        """Read to the end, and say so."""
        async with asyncio.timeout(5):
            await self.response.content.read()
        return self.response.content.at_eof()


async def follow(world: World, query: str = "", headers: dict[str, str] | None = None) -> Stream:
    """Open a stream as the page."""
    page = page_of(world)
    response = await world.session.get(
        f"{page.base}/events{query}", headers={**page.headers, **(headers or {})}
    )
    assert response.status == 200, await response.text()
    assert response.content_type == "text/event-stream"
    return Stream(response)
