"""Visitors of a web service: they keep cookies, and send forms as browsers do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs

__all__ = ["Answer", "Visitor", "visiting"]


@attrs.frozen(kw_only=True)
class Answer:
    """An answer that was read."""

    status: int
    text: str
    headers: Any

    @property
    def goes_to(self) -> str:
        """The path that the answer sends the visitor to."""
        return str(self.headers.get("Location", ""))

    @property
    def cookies(self) -> list[str]:
        """The cookies that it sets, with their attributes."""
        return list(self.headers.getall("Set-Cookie", []))


class Visitor:
    """A visitor, who follows no redirect by itself."""

    def __init__(self, client: aiohttp.ClientSession, url: str) -> None:
        self._client = client
        self._url = url

    async def get(self, path: str) -> Answer:
        """Look at a page."""
        return await self._ask("GET", path)

    async def post(self, path: str, headers: dict[str, str] | None = None, **form: str) -> Answer:
        """Send a form of a page of the service, unless the headers say otherwise."""
        own = {"Origin": self._url} if headers is None else headers
        return await self._ask("POST", path, data=form, headers=own)

    async def post_json(
        self, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send JSON from a page of the service, unless the headers say otherwise."""
        own = {"Origin": self._url} if headers is None else headers
        return await self._ask("POST", path, json={} if body is None else body, headers=own)

    async def _ask(self, method: str, path: str, **options: Any) -> Answer:
        async with self._client.request(
            method, self._url + path, allow_redirects=False, **options
        ) as answer:
            return Answer(
                status=answer.status, text=await answer.text(), headers=answer.headers.copy()
            )

    @property
    def cookies(self) -> dict[str, str]:
        """The names and values of the cookies."""
        return {cookie.key: cookie.value for cookie in self._client.cookie_jar}


@asynccontextmanager
async def visiting(url: str) -> AsyncIterator[Visitor]:
    """A visitor with no cookies yet."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        yield Visitor(client, url)
