"""The page about tests, whose blocks are files of a suite that runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "in-tests.md"


def test_the_tests_of_the_page_pass(pytester: pytest.Pytester) -> None:
    page = PAGE.read_text("utf-8")
    files = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, re.DOTALL)
    assert len(files) == page.count("```python")
    for name, source in files:
        (pytester.path / name).write_text(source, "utf-8")
    [ini] = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
    pytester.makeini(ini + "asyncio_default_fixture_loop_scope = function\n")
    result = pytester.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=sum(source.count("def test_") for _, source in files))


def test_the_page_names_every_option() -> None:
    page = PAGE.read_text("utf-8")
    plugin = (PAGE.parents[1] / "pytest_icure" / "__init__.py").read_text("utf-8")
    options = re.findall(r'addini\(\s*"(\w+)"', plugin)
    assert len(options) == 5
    fixtures = re.findall(r"^def (icure_\w+)\(", plugin, re.MULTILINE)
    assert len(fixtures) == 9
    assert [name for name in (*options, *fixtures) if f"`{name}`" not in page] == [
        "icure_sandbox_options"
    ]
