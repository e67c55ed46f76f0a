"""A Chromium for tests: one for the whole session, and a fresh profile for each test.

It is Debian's, driven by Playwright. Where one of the two is missing, the tests that need it are
skipped, or fail where ``REQUIRE_BROWSER=1`` says that they have to run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page, expect
else:
    try:
        from playwright.async_api import expect
    except ImportError:
        # No test gets as far as this: there is no browser, either.
        expect = None

__all__ = ["BrowserLog", "browser", "browser_context", "expect", "running_browser"]

_NAMES: Final = ("chromium", "chromium-browser")
# Fonts and caches of a container are small, and /dev/shm often is, too.
_OPTIONS: Final = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")


def _missing() -> str | None:
    """Return what is missing for a test in a browser, if anything."""
    if not any(map(shutil.which, _NAMES)):
        return "chromium is not installed"
    return "playwright is not installed" if expect is None else None


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Run Chromium, or skip or fail the test where there is none."""
    missing = _missing()
    if missing and os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"REQUIRE_BROWSER=1, but {missing}")
    if missing:
        pytest.skip(missing)
    from playwright.async_api import async_playwright

    path = next(found for found in map(shutil.which, _NAMES) if found)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=path, args=list(_OPTIONS))
        try:
            yield chromium
        finally:
            await chromium.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, for all tests of a session."""
    async with running_browser() as chromium:
        yield chromium


class BrowserLog:
    """Everything that a browser complained about and, where that is asked for, all that it sent."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def watch(self, page: Page, *, requests: bool) -> None:
        """Note the errors of a page, and its requests with their headers and bodies."""
        if requests:
            page.on("request", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text)
                if message.type in {"error", "warning"}
                else None
            ),
        )

    def _note(self, request: object) -> None:
        from playwright.async_api import Request

        assert isinstance(request, Request)
        parts = [request.method, request.url, repr(request.headers), request.post_data or ""]
        self.requests.append(" ".join(parts))


@asynccontextmanager
async def browser_context(
    browser: Browser,
    *,
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
    calm: bool = True,
) -> AsyncIterator[BrowserContext]:
    """A fresh profile.

    Args:
        browser: in which.
        width: of the window, in pixels.
        height: of the window, in pixels.
        dark: whether the person prefers dark colours.
        calm: whether the person prefers reduced motion.
    """
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce" if calm else "no-preference",
        locale="en-GB",
        timezone_id="Europe/Brussels",
    )
    context.set_default_timeout(10_000)
    try:
        yield context
    finally:
        await context.close()
