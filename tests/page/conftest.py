"""Fixtures for tests of the sandbox's page: one browser, and a sandbox for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.browser import browser
from tests.support.sandbox_page import OpenPage, opener

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["browser"]


@pytest.fixture
def open_page(browser: Browser, keys_made_once: None, cheap_hashes: None) -> OpenPage:
    """Open a URL in a fresh profile of the browser."""
    return opener(browser)
