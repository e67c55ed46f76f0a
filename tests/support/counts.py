"""Lines about what tests counted, printed at the end."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

Count = Callable[[str], None]


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Count:
    """Have a line about what was counted printed at the end."""
    return functools.partial(record_property, "count")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        str(value)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, value in report.user_properties
        if name == "count"
    ]
    if lines:
        terminalreporter.section("counts")
    for line in lines:
        terminalreporter.line(line)
