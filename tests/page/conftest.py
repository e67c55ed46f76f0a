"""Fixtures for tests of the sandbox's page."""

from tests.support.browser import browser

__all__ = ["browser"]
