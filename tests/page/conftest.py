"""Fixtures for tests of the sandbox's page: one browser, and a sandbox for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from icure_async.sandbox import Sandbox
from tests.support.browser import browser, browser_context
from tests.support.sandbox_page import OpenPage, opener

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

__all__ = ["browser"]


@pytest.fixture
def open_page(browser: Browser, keys_made_once: None, cheap_hashes: None) -> OpenPage:
    """Open a URL in a fresh profile of the browser."""
    return opener(browser)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def modules(browser: Browser) -> AsyncIterator[Page]:
    """A page without a token, whose modules tests import and call."""
    async with Sandbox() as sandbox, browser_context(browser) as context:
        page = await context.new_page()
        await page.goto(sandbox.backend_url)
        yield page
