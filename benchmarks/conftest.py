"""Counts, printed at the end as for the tests."""

from __future__ import annotations

from tests.support.counts import count, pytest_terminal_summary

__all__ = ["count", "pytest_terminal_summary"]
